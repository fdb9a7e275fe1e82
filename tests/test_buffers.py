"""What would bore the buffers page: properties over random histories, damaged files, a crash while saving."""
import gzip
import os
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azr.buffers import Buffers, _Buffer, _fill_batch, _read_tasks
from azr.core import Task

TYPES = ("deduction", "abduction", "induction")
LENDERS = ("deduction", "abduction", "error")


def task(number, task_type="deduction", step=0, **info):
    return Task(
        task_type,
        {"program": f"def f(x): return {number}", "input": "0"},
        {"output": str(number)},
        f"{task_type}/{number}",
        step=step,
        info=info,
    )


def filled(cap=64, count=30):
    buffers = Buffers(TYPES, cap)
    for n in range(count):
        buffers.add(task(n, TYPES[n % 3], step=n))
    return buffers


@given(st.lists(st.integers(0, 20), max_size=60), st.integers(1, 8))
def test_holds_the_newest_distinct_tasks(numbers, cap):
    buffer, kept = _Buffer(cap), []
    for n in numbers:
        new = n not in kept
        assert buffer.add(task(n)) is new
        if new: kept = (kept + [n])[-cap:]
    assert [t.id for t in buffer.tasks] == [task(n).id for n in kept]
    assert all((task(n).id in buffer) == (n in kept) for n in range(21))


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 40), st.integers(0, 5))
def test_fill_rule(old, fresh, size, seed):
    past, new = [task(n) for n in range(old)], [task(100 + n, step=1) for n in range(fresh)]
    everything = past + new
    batch = _fill_batch(new, everything, size, Random(seed))
    assert len(batch) == (size if everything else 0)
    assert batch[:min(size, fresh)] == list(reversed(new))[:size]
    repeats = len(batch) - len({t.id for t in batch})
    assert repeats == max(0, len(batch) - len(everything))          # a repeat only when there is no other way
    assert batch == _fill_batch(new, everything, size, Random(seed))


def test_new_tasks_need_not_be_in_the_buffer_yet():
    assert {t.id for t in _fill_batch([task(1)], [], 3, Random(0))} == {task(1).id}


def test_fill_is_uniform_over_the_rest():
    rng, past = Random(0), [task(n) for n in range(8)]
    seen = [t.id for _ in range(4000) for t in _fill_batch([past[-1]], past, 3, rng)[1:]]
    shares = [seen.count(t.id) / 4000 for t in past[:-1]]
    assert past[-1].id not in seen and all(abs(share - 2 / 7) < .03 for share in shares)


def test_programs_come_from_every_type_that_has_them():
    buffers = Buffers([*TYPES, "error"])
    buffers.add(task(0, "induction"))
    assert buffers.one_of(LENDERS, Random(0)) is None
    for name in ("deduction", "abduction", "error"): buffers.add(task(1, name))
    rng = Random(0)
    assert {buffers.one_of(LENDERS, rng).task_type for _ in range(60)} == {"deduction", "abduction", "error"}


@pytest.mark.parametrize("name", ["b.jsonl", "b.jsonl.gz"])
def test_round_trip_and_equal_bytes(tmp_path, name):
    buffers = filled()
    buffers.save(tmp_path / name)
    again = Buffers.load(tmp_path / name)
    assert again == buffers and list(again) == list(buffers) and again.counts() == buffers.counts()
    first = (tmp_path / name).read_bytes()
    again.save(tmp_path / name)
    assert (tmp_path / name).read_bytes() == first
    a, b = Random(1), Random(1)
    for _ in range(5):
        assert again.references("deduction", 6, a) == buffers.references("deduction", 6, b)
        assert again.one_of(LENDERS, a) == buffers.one_of(LENDERS, b)
        assert again.solver_batch("induction", 20, a) == buffers.solver_batch("induction", 20, b)
    assert a.getstate() == b.getstate()


@settings(max_examples=60)
@given(st.text(max_size=30))
def test_any_text_survives_the_file(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("text") / "b.jsonl.gz"
    buffers = Buffers(["deduction"])
    buffers.add(task(0, note=text, half="\ud800", lines="a\u2028b\x85c\r\n"))
    buffers.save(path)
    assert Buffers.load(path) == buffers


def test_order_and_empty_buffers_survive(tmp_path):
    buffers = Buffers(["zeta", "alpha"], cap=3)
    buffers.save(tmp_path / "b.jsonl")
    assert list(Buffers.load(tmp_path / "b.jsonl").counts()) == ["zeta", "alpha"]
    assert Buffers.load(tmp_path / "b.jsonl") == buffers


@pytest.mark.parametrize("name", ["b.jsonl", "b.jsonl.gz"])
def test_every_damage_is_one_clear_sentence(tmp_path, name):
    path = tmp_path / name
    filled().save(path)
    whole = path.read_bytes()
    rng = Random(0)
    damaged = [whole[:n] for n in range(0, len(whole), max(1, len(whole) // 40))] + [
        whole + b"x",
        b"",
        b"null\n",
        b"{}\n",
        gzip.compress(b"[]\n"),
    ]
    for _ in range(60):
        at = rng.randrange(len(whole))
        damaged.append(whole[:at] + bytes([whole[at] ^ (1 << rng.randrange(8))]) + whole[at + 1:])
    refused = 0
    for data in damaged:
        path.write_bytes(data)
        try:
            assert Buffers.load(path) == filled()           # a flipped bit in gzip's own header may change nothing
        except ValueError as error:
            refused += 1
            assert name in str(error) and "start again" in str(error)
    assert refused >= len(damaged) - 10


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(ValueError, match="does not exist"): Buffers.load(tmp_path / "none.jsonl.gz")
    with pytest.raises(ValueError, match="start again"): _read_tasks(tmp_path)


def test_a_crash_while_saving_leaves_the_former_file(tmp_path, monkeypatch):
    path = tmp_path / "b.jsonl"
    former = filled(count=3)
    former.save(path)

    def crash(*_): raise KeyboardInterrupt
    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(KeyboardInterrupt): filled().save(path)
    monkeypatch.undo()
    assert Buffers.load(path) == former


def test_a_batch_may_leave_out_what_is_older_than_a_step():
    drawn = filled().solver_batch("deduction", 9, Random(0), since=21)   # deduction has steps 0, 3 ... 27
    assert {one.step for one in drawn} == {21, 24, 27} and len(drawn) == 9
    assert filled().solver_batch("deduction", 9, Random(0), since=28) == []
    assert filled().solver_batch("deduction", 9, Random(0), since=0) == filled().solver_batch("deduction", 9, Random(0))


def test_unknown_task_type_names_the_known_ones():
    with pytest.raises(ValueError, match="'geometry'.*deduction, abduction, induction"):
        filled().solver_batch("geometry", 2, Random(0))
    with pytest.raises(ValueError, match="cap is 0"): Buffers(TYPES, cap=0)
