"""What would bore the metrics page: no sample no key, counts that add up, files in the middle of being written."""
import gzip
import json
import math
import zlib
from enum import StrEnum
from random import Random
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azr.core import Completion, Prompt, Role, Rollout, Status, Task, Verdict, from_dict, to_json
from azr.metrics import gzip_members, gzip_parts, read_metrics, read_rollouts, run_tasks, select, step_metrics
from azr.safety import ProgramStatus
from conftest import ROOT
from pages import defined

rollout_records, solve_rates = (
    defined(ROOT / "nbs" / "runs" / "controls.ipynb")[name] for name in ("rollout_records", "solve_rates"))

TYPES = ("deduction", "abduction", "induction")


def rollout(role, task_type, status=Status.OK, number=0, **parts):
    task_id = f"t{number}" if status in (Status.OK, Status.DUPLICATE) or role is Role.SOLVE else None
    return Rollout(Prompt(task_type, role, text="?"),
                   Completion("text\u2028\ud800", completion_ids=(1,) * (number + 1)),
                   Verdict(status, float(status is Status.OK)), reward=number / 7, reward_parts=parts, task_id=task_id)


rollouts_strategy = st.lists(
    st.builds(rollout, st.sampled_from(list(Role)), st.sampled_from(TYPES), st.sampled_from([*Status, *ProgramStatus]),
              st.integers(0, 4)),
    max_size=40,
)


@given(rollouts_strategy)
@settings(max_examples=80, deadline=None)
def test_every_number_is_defined_and_rates_are_rates(rollouts):
    metrics = step_metrics(rollouts)
    assert list(metrics) == sorted(metrics) and all(math.isfinite(value) for value in metrics.values())
    assert all(0 <= value <= 1 for name, value in metrics.items() if name.endswith(("_rate", "accuracy")))
    for slot in {r.slot for r in rollouts}:
        assert (
            sum(v for k, v in metrics.items() if k.startswith(f"{slot}/status/"))
            == metrics[f"{slot}/count"]
            == sum(r.slot == slot for r in rollouts)
        )
    assert {"/".join(k.split("/")[:2]) for k in metrics} == {r.slot for r in rollouts}
    json.dumps(metrics, allow_nan=False)


def test_nothing_valid_leaves_no_key():
    metrics = step_metrics([rollout(Role.PROPOSE, "induction", ProgramStatus.RAISED)])
    assert metrics["propose/induction/valid_rate"] == 0
    assert not {"unique_rate", "new_rate", "learnability", "solve_rate", "statements"} & {
        k.split("/")[-1] for k in metrics}
    assert not any(k.startswith("solve/") for k in metrics)


def test_valid_unique_and_new_are_three_things():
    P = Role.PROPOSE
    metrics = step_metrics([
        rollout(P, "deduction", Status.OK, 1),
        rollout(P, "deduction", Status.DUPLICATE, 1),
        rollout(P, "deduction", Status.DUPLICATE, 2),
        rollout(P, "deduction", Status.OK, 3),
        rollout(P, "deduction", ProgramStatus.BANNED),
    ])
    assert metrics["propose/deduction/valid_rate"] == 4 / 5       # a known task is still a valid program
    assert metrics["propose/deduction/unique_rate"] == 3 / 4      # 1, 2, 3 among four
    assert metrics["propose/deduction/new_rate"] == 2 / 4


def test_a_duplicate_without_a_task_is_not_valid():
    bare = Rollout(Prompt("induction", Role.PROPOSE, text="?"), Completion(""), Verdict(Status.DUPLICATE))
    assert step_metrics([bare])["propose/induction/valid_rate"] == 0
    assert "propose/induction/completion_length" not in step_metrics([bare])


def test_truth_is_reported_beside_the_score():
    def vote(score, truth):
        return Rollout(Prompt("vote", Role.SOLVE, text="?"), Completion(""), Verdict(Status.OK, score, truth))

    metrics = step_metrics([vote(1.0, False), vote(1.0, True), vote(0.0, None)])
    assert metrics["solve/vote/accuracy"] == 2 / 3 and metrics["solve/vote/truth"] == 1 / 2


def test_reading_stops_at_what_is_whole(tmp_path):
    steps = {n: [rollout(Role.PROPOSE, "deduction", Status.OK, n, solve_rate=.5)] for n in (1, 20)}
    members = [
        gzip.compress(
            "".join(f'{{"step": {n}, "use": "{use}", "rollout": {to_json(r)}}}\n'
                    for r in members
                    for use in ("trained", "estimate")).encode("utf-8", "surrogatepass")
        )
        for n, members in steps.items()
    ]
    whole = b"".join(members)
    for cut in range(0, len(whole) + 1, 7):
        (tmp_path / "rollouts.jsonl.gz").write_bytes(whole[:cut])
        expected = {n: rollouts for n, rollouts in steps.items() if cut >= (len(members[0]) if n == 1 else len(whole))}
        assert read_rollouts(tmp_path) == expected == read_rollouts(tmp_path, "estimate")
    assert solve_rates(steps[20]) == {"deduction": [.5]}
    text = '{"step": 0}\n{"step": 1}\n'
    for cut in range(len(text) + 1):
        (tmp_path / "metrics.jsonl").write_text(text[:cut])
        assert [r["step"] for r in read_metrics(tmp_path)] == list(range(text[:cut].count("\n")))


def test_damaged_rollouts_say_so(tmp_path):
    (tmp_path / "rollouts.jsonl.gz").write_bytes(b"not gzip at all")
    with pytest.raises(ValueError, match="rollouts.jsonl.gz is damaged"): read_rollouts(tmp_path)


def test_reading_many_members_is_linear(monkeypatch):
    texts = [b"%d\n" % i * (1 + i % 7) for i in range(4000)] + [
        Random(0).randbytes(100_000)]  # the last spans several chunks
    fed, data = [], b"".join(gzip.compress(text, mtime=0) for text in texts)

    class Counting:
        def __init__(self, wbits): self.inner = zlib.decompressobj(wbits)
        def decompress(self, part): fed.append(len(part)); return self.inner.decompress(part)
        def __getattr__(self, name): return getattr(self.inner, name)

    monkeypatch.setattr("azr.metrics.zlib", SimpleNamespace(decompressobj=Counting, error=zlib.error))
    parts = list(gzip_parts(data, 1000))
    assert [text for _, text, _ in parts] == texts == list(gzip_members(data))
    assert all(whole for *_, whole in parts) and b"".join(part for part, *_ in parts) == data
    assert sum(fed) < len(texts) * (1000 + 2**14) + 2 * len(data)   # whole rests would be near 4000 * len(data) / 2
    assert [whole for *_, whole in gzip_parts(data[:-1], 1000)] == [True] * 4000 + [False]


def test_a_folder_without_metrics_or_with_a_damaged_line_is_named(tmp_path):
    with pytest.raises(ValueError, match="there is no .*metrics.jsonl"): read_metrics(tmp_path)
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n{"st\n{"step": 3}\n{"ste')
    with pytest.raises(ValueError, match="line 2 cannot be read"): read_metrics(tmp_path)


def test_rollouts_of_another_version_are_named(tmp_path):
    with pytest.raises(ValueError, match="there is no .*rollouts.jsonl.gz"): read_rollouts(tmp_path)
    (tmp_path / "rollouts.jsonl.gz").write_bytes(
        gzip.compress(b'{"use": "trained", "step": 1, "rollout": {"reward": 0.5}}\n'))
    with pytest.raises(ValueError, match="Rollout lacks the field .*verdict"): read_rollouts(tmp_path)


def test_measures_of_a_task_type_stand_beside_those_of_all():
    class Counted:
        name = "deduction"
        def measures(self, rollouts, tasks): return {"asked": len(rollouts), "proved": len(tasks)}

    step = [rollout(Role.PROPOSE, name) for name in TYPES] + [rollout(Role.SOLVE, "deduction")] * 2
    tasks = [Task(name, {}, {}, name) for name in TYPES]
    bare, metrics = step_metrics(step), step_metrics(step, tasks, [Counted(), SimpleNamespace(name="induction")])
    own = {
        "propose/deduction/asked": 1,
        "propose/deduction/proved": 1,
        "solve/deduction/asked": 2,
        "solve/deduction/proved": 0,   # a solver proves nothing
    }
    assert metrics == bare | own and list(metrics) == sorted(metrics)
    either = step_metrics(step, tasks, [Counted()], lambda rollouts, tasks: {"mine": len(tasks)})
    mine = {f"{role}/{name}/mine": int(role == "propose") for role in Role for name in TYPES if name != "deduction"}
    assert either == bare | own | {key: value for key, value in mine.items() if f"{key[:-5]}/count" in bare}


def test_select_takes_one_measure_of_every_type_and_nothing_beside():
    record = {"step": 3, "propose/a/reward": 1, "propose/b/reward": 2, "propose/reward": 3, "propose/a/deep/reward": 4,
              "solve/a/reward": 5, "propose/a/status/ok": 6, "xpropose/a/reward": 7}
    assert select(record, Role.PROPOSE, "reward") == {"a": 1, "b": 2} == select(record, "propose", "reward")
    assert select(record, "propose", "status/ok") == {"a": 6}
    assert select(record, "propose", "status/") == {"a": {"ok": 6}} and select(record, "propose", "stat/") == {}
    assert select(record, "propose", "ok") == {} == select({}, "propose", "ok")


def test_records_keep_lengths_rewards_and_how_many_attempts_solved():
    members = [rollout(Role.PROPOSE, "deduction", number=n, solve_rate=n / 4) for n in (1, 1, 4)] + [
        rollout(Role.SOLVE, "deduction", number=1)]
    assert rollout_records({7: members, 9: []}, 4) == [
        {"step": 7, "propose/deduction/completion_length": 3.0, "propose/deduction/reward": round(6 / 7 / 3, 4),
         "propose/deduction/solved": [0, 2, 0, 0, 1], "solve/deduction/completion_length": 2.0,
         "solve/deduction/reward": round(1 / 7, 4)},
        {"step": 9},
    ]


def test_a_folder_without_a_checkpoint_holds_no_tasks(tmp_path):
    (tmp_path / "rollouts.jsonl.gz").write_bytes(b"")
    assert run_tasks(tmp_path) == [] and read_rollouts(tmp_path) == {} and rollout_records({}, 8) == []


class _Own(StrEnum):
    "What some other domain calls its refusals."
    TOO_STEEP = "too_steep"


@pytest.mark.parametrize("status", [Status.DUPLICATE, ProgramStatus.RAISED, _Own.TOO_STEEP])
def test_a_status_of_any_domain_comes_back_equal_and_counts_alike(status):
    written = rollout(Role.PROPOSE, "deduction", status)
    read = from_dict(Rollout, json.loads(to_json(written)))
    assert read == written and to_json(read) == to_json(written) and not read.verdict.ok
    assert type(read.verdict.status) is (Status if status in list(Status) else str)
    assert step_metrics([read, written])[f"propose/deduction/status/{status}"] == 2
    assert step_metrics([read]) == step_metrics([written])


def test_ok_is_a_value_and_no_member():
    assert Verdict("ok").ok and not Verdict("OK").ok and not Verdict(ProgramStatus.RAISED).ok


@pytest.mark.parametrize("status", [None, 5, ["ok"]])
def test_a_status_that_is_no_text_was_written_by_something_else(status):
    with pytest.raises(ValueError, match=r"Verdict.status is .*, which is no text"):
        from_dict(Verdict, {"status": status})


def test_no_value_means_two_things():
    assert not {str(s) for s in Status} & {str(s) for s in ProgramStatus}
