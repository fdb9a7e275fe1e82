"Several processes: shares that lose nothing, and (slow) torchrun with two of them on a CPU."
import json
import math
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter
from pathlib import Path
from threading import Barrier
from types import SimpleNamespace

import psutil
import pytest
import torch
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.commands.launch import launch_command_parser
from conftest import ROOT, always
from hypothesis import given, strategies as st
from ranks_policies import Talking
from ranks_script import told_run
from toy import toy_tokenizer

import azr.rows
from azr.core import Completion, Prompt, Role, Rollout, Verdict
from azr.executor import Call, Executor
from azr.settings import presets
from azr.rows import Row, _SharedExecutor, cut_alike, deal, room_for, rows_of
from azr.sampler import PolicySampler, chunks
from azr.sampling import converse
from azr.selfplay import Phase, Recipe
from azr.trainer import SelfPlayTrainer

ACCELERATE = sorted((Path(azr.__file__).parent / "configs" / "accelerate").glob("*.yaml"))


@given(st.integers(1, 6), st.lists(st.tuples(st.integers(0, 9), st.integers(1, 20)), max_size=40))
def test_every_row_is_dealt_once_and_answers_stay_beside_their_prompt(ranks, drawn):
    rows = [Row((prompt,), (n,) * length, 1.0) for n, (prompt, length) in enumerate(drawn)]
    shares = deal(rows, ranks, room=max(1, len(rows)))
    dealt = sorted(r.completion_ids for share in shares for r in share)
    assert len(shares) == ranks and dealt == sorted(r.completion_ids for r in rows)
    homes = [{r.prompt_ids for r in share} for share in shares]
    assert sum(map(len, homes)) == len({r.prompt_ids for r in rows})


@given(st.permutations([(0.5, 1.0), (0.5, 1.0), 1.0, 2.0]))
def test_rows_with_an_advantage_for_each_token_stay_apart(advantages):
    "Beside replayed rows, which have one number for all tokens: those are added, the others are not."
    said = Completion("", (1,), (2, 3))
    told = [Rollout(Prompt("sums", Role.SOLVE), said, Verdict("ok"), advantage=one) for one in advantages]
    rows = rows_of(told, merging=True)
    assert sorted((one.advantage, one.copies) for one in rows if not isinstance(one.advantage, tuple)) == [(3.0, 2)]
    assert [one.advantage for one in rows if isinstance(one.advantage, tuple)] == [(0.5, 1.0)] * 2

@given(st.integers(1, 6), st.lists(st.tuples(st.integers(0, 2), st.integers(1, 20)), min_size=1, max_size=40))
def test_no_share_has_more_rows_than_room(ranks, drawn):
    rows = [Row((prompt,), (n,) * length, 1.0) for n, (prompt, length) in enumerate(drawn)]
    room = math.ceil(len(rows) / ranks)
    shares = deal(rows, ranks, room)
    assert sorted(r.completion_ids for share in shares for r in share) == sorted(r.completion_ids for r in rows)
    assert max(map(len, shares)) <= room
    if room > 1:
        with pytest.raises(RuntimeError, match=f"a step has {len(rows)} rows and room for {ranks * (room - 1)}: let"):
            deal(rows, ranks, room - 1)

def test_proposals_of_one_prompt_are_shared_out():
    "A curriculum without references asks all its proposals by the same words."
    phase = Phase("curriculum", proposals=32, samples=4, attempts=10, train=(Role.PROPOSE,))
    room = room_for([phase], Recipe((SimpleNamespace(name="maths"),), always(phase)), ranks=2)
    shares = deal([Row((1,), (n,), 1.0) for n in range(32 * 4)], 2, room)
    assert all(share for share in shares) and sum(map(len, shares)) == 128


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40), st.integers(30, 100), st.integers(1, 5))
def test_a_chunk_of_several_processes_holds_the_limit_on_each(sizes, limit, ranks):
    order = sorted(range(len(sizes)), key=sizes.__getitem__)
    parts = list(chunks(order, sizes, limit, ranks))
    assert [i for part in parts for i in part] == order
    assert all(math.ceil(len(part) / ranks) * max(sizes[i] for i in part) <= limit for part in parts)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.integers(0, 50))
def test_cutting_alike_keeps_every_row(lengths, more):
    numbers = iter(range(sum(lengths)))
    parts = [[next(numbers) for _ in range(n)] for n in lengths]
    count = min(len(parts) + more, sum(lengths))
    cut = cut_alike(parts, count)
    assert len(cut) == count and all(cut) and [i for part in cut for i in part] == list(range(sum(lengths)))


@pytest.mark.parametrize("asked", [1, 2, 7])
def test_two_samplers_together_write_what_one_writes(asked):
    tokenizer, calls, told, barrier = toy_tokenizer(), {0: [], 1: []}, {}, Barrier(2, timeout=20)
    prompts = [Prompt("sums", Role.SOLVE, text="1" * (n + 1)) for n in range(asked)]

    def sampler(rank, ranks, gather):
        def generate(ids, sampling, policy):
            calls[rank].append(len(ids))
            return [[*reversed(tokens), tokenizer.eos_token_id] for tokens in ids], None
        return PolicySampler(generate, tokenizer, 40, 12, 50, rank, ranks, gather)

    def gather_for(rank):
        def gather(own):
            told[rank] = own
            barrier.wait()
            return told[0] + told[1]
        return gather

    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda rank: sampler(rank, 2, gather_for(rank))(prompts), (0, 1))
    assert calls[0] == calls[1] and one == two == sampler(0, 1, list)(prompts)


@pytest.mark.parametrize("asked", [1, 2, 7])
def test_two_samplers_together_hold_the_conversations_that_one_holds(asked):
    "Of a type with turns each process plays all conversations, and writes its share of each turn."
    tokenizer, told, barrier, heard = toy_tokenizer(), {}, Barrier(2, timeout=20), {0: [], 1: []}
    prompts = [Prompt("sums", Role.SOLVE, text="1" * (n + 1)) for n in range(asked)]

    def generate(ids, sampling, policy):
        return [[*tokens[-3:], *tokenizer("9a").input_ids, tokenizer.eos_token_id] for tokens in ids], None

    def gather_for(rank):
        def gather(own):
            told[rank] = own
            barrier.wait()
            both = told[0] + told[1]
            barrier.wait()   # nobody writes the next turn's before both have read this one's
            heard[rank].append(len(both))
            return both
        return gather

    def talk(rank, ranks, gather):
        sampler = PolicySampler(generate, tokenizer, 40, 12, 60, rank, ranks, gather)
        return converse(sampler, prompts, [Talking()], None)

    with ThreadPoolExecutor(2) as pool: one, two = pool.map(lambda rank: talk(rank, 2, gather_for(rank)), (0, 1))
    assert one == two == talk(0, 1, list) and heard[0] == heard[1] == [asked, asked]
    assert {said.turns for said, _ in one} == {2} and all(0 in said.mask for said, _ in one)


def test_shared_executor_alone_is_the_executor():
    with Executor(workers=1) as executor:
        calls = [Call("def f(x):\n    return x + 1", "1"), Call("def f(x):\n    return 1 / x", "0")]
        shared = _SharedExecutor(executor)
        assert (
            [o.value for o in shared.run(iter(calls), twice=True)]
            == [o.value for o in executor.run(calls)]
            == ["2", None]
        )
        assert shared.safety is executor.safety and shared.arguments == executor.arguments


@pytest.mark.parametrize("path", ACCELERATE, ids=attrgetter("stem"))
def test_accelerate_knows_every_line_of_our_configurations(path):
    found, options = load_config_from_file(str(path)), vars(launch_command_parser().parse_args(["script"]))
    inner = found.fsdp_config if found.distributed_type == "FSDP" else found.deepspeed_config
    assert inner and not set(inner) - set(options) and path.stem not in presets()


def test_there_are_configurations_for_fsdp_and_both_stages_of_zero():
    assert [path.stem for path in ACCELERATE] == ["fsdp", "zero2", "zero3"]


def test_the_gradients_of_the_shares_add_up_to_that_of_the_whole(tmp_path, monkeypatch):
    whole, parts = told_run(tmp_path / "whole"), []
    monkeypatch.setattr(azr.rows, "process_state", always(SimpleNamespace(num_processes=2, is_main_process=True)))
    monkeypatch.setattr(SelfPlayTrainer, "_ranks", 2)
    for rank in (0, 1):
        monkeypatch.setattr(SelfPlayTrainer, "_rank", rank)
        parts.append(told_run(tmp_path / str(rank)))
    assert all(part.norm() > 0 for part in parts) and torch.allclose(
        whole, parts[0] + parts[1], rtol=1e-3, atol=1e-5 * float(whole.abs().max())
    )


def launched(*words): # a torchrun of two processes
    "Its output in a pipe; standalone: a free port."
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}",
        "CUDA_VISIBLE_DEVICES": "",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", *map(str, words)],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ended(process, seconds=300): # its output
    "Waits; what hangs is a failure, and nothing stays behind."
    try: return process.communicate(timeout=seconds)[0]
    except subprocess.TimeoutExpired:
        for child in psutil.Process(process.pid).children(recursive=True): child.kill()
        process.kill()
        pytest.fail(f"still running after {seconds} s: {process.communicate()[0][-2000:]}")


@pytest.fixture(scope="module")
def diaries(tmp_path_factory): # what each of two processes saw, and the folder
    folder = tmp_path_factory.mktemp("ranks")
    process = launched(ROOT / "tests" / "ranks_script.py", folder)
    output = ended(process)
    assert process.returncode == 0, output[-3000:]
    return [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in (0, 1)], folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fresh", "attempts", "reused", "lora", "frozen", "packed"])
def test_processes_agree_after_each_step_and_share_its_rows(diaries, name):
    zero, one = (diary[name] for diary in diaries[0])
    assert len(zero) == len(one) >= 3
    for a, b in zip(zero, one, strict=True):
        assert a["weights"] == b["weights"] and a["buffers"] == b["buffers"] and a["calls"] == b["calls"]
        assert sorted(a["own"] + b["own"]) == a["all"] == b["all"]              # none lost, none twice
        assert sum(copies for *_, copies in a["all"]) == a["trained"] == b["trained"]
        assert a["draw"] != b["draw"]  # each samples from random numbers of its own
    assert len({entry["weights"] for entry in zero}) > 1


@pytest.mark.slow
def test_some_steps_had_an_odd_number_of_rows_and_of_proposals(diaries):
    entries = [entry for run in diaries[0][0].values() for entry in run]
    assert any(len(e["all"]) % 2 for e in entries) and len({e["proposed"] for e in entries}) > 2


@pytest.mark.slow
def test_two_processes_have_the_gradient_of_one(diaries, tmp_path):
    script = subprocess.run(
        [sys.executable, ROOT / "tests" / "ranks_script.py", tmp_path],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", "CUDA_VISIBLE_DEVICES": ""},
    )
    assert script.returncode == 0, script.stderr[-2000:]
    alone = torch.load(tmp_path / "gradients-0.pt")
    for name in ("gradients", "packed"):   # each process packs its own rows
        zero, one = (torch.load(diaries[1] / f"{name}-{rank}.pt") for rank in (0, 1))
        assert torch.equal(zero, one) and alone.norm() > 0
        assert torch.allclose(alone, zero, rtol=1e-3, atol=1e-5 * float(alone.abs().max()))


@pytest.fixture(scope="module")
def games(tmp_path_factory): # what each of two processes played
    folder = tmp_path_factory.mktemp("games")
    process = launched(ROOT / "tests" / "ranks_policies.py", folder)
    output = ended(process)
    assert process.returncode == 0, output[-3000:]
    return [json.loads((folder / f"played-{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["policies", "turns"])
def test_processes_play_the_same_game_and_share_its_rows(games, name):
    zero, one = (game[name] for game in games)
    assert zero == one and len(zero) == {"policies": 6, "turns": 2}[name]   # metrics, rollouts, tasks, every adapter
    rows = [sum(copies for _, copies in entry["shares"]) for entry in zero]   # answers stay beside their prompt, so one
    assert [n > 0 for n in rows] == [entry["phase"] != "pool" for entry in zero]   # process may have none


@pytest.mark.slow
def test_the_other_adapter_is_bit_equal_on_both_processes(games):
    for game in games:
        entries = game["policies"]
        moved = [{name for name in ("curriculum", "executor", "base") if a["adapters"][name] != b["adapters"][name]}
                 for a, b in zip(entries, entries[1:])]
        assert moved == [{"curriculum"}, set(), {"executor"}, {"executor"}, {"curriculum"}]


@pytest.mark.slow
def test_both_processes_speak_in_turns_and_train_on_them(games):
    for entry in games[0]["turns"]:
        assert entry["turns"] == [1, 2] and all(copies for _, copies in entry["shares"])


TINY = [
    f"--set={setting}"
    for setting in (
        "steps=5",
        "batch=4",
        "attempts=2",
        "seed_factor=1",
        "test_tasks=4",
        "evaluate_tasks=2",
        "evaluate_every=5",
        "save_every=1",
        "workers=1",
        "rollouts_every=1",
    )
]


def azr_train(folder): return launched("-m", "--", "azr.cli", "train", "--preset", "demo", "--run", folder, *TINY)


def after_checkpoint(process, folder, step):
    "Waits for a checkpoint; the two processes, by rank."
    until = time.monotonic() + 200
    while not (folder / "checkpoints" / f"checkpoint-{step}" / "selfplay.json").exists():
        assert process.poll() is None and time.monotonic() < until, process.communicate()[0][-3000:]
        time.sleep(0.05)
    return {int(child.environ()["RANK"]): child for child in psutil.Process(process.pid).children()}


@pytest.mark.slow
def test_a_killed_process_and_ctrl_c_end_the_run_and_the_same_command_goes_on(tmp_path):
    whole = azr_train(tmp_path / "whole")
    assert "seeding" in ended(whole) and whole.returncode == 0

    killed = azr_train(tmp_path / "run")
    after_checkpoint(killed, tmp_path / "run", 1)[1].kill()
    output = ended(killed, 60)
    assert (
        killed.returncode != 0
        and "the same command goes on after step" in output
        and not (tmp_path / "run" / "summary.json").exists()
    )

    stopped = azr_train(tmp_path / "run")
    after_checkpoint(stopped, tmp_path / "run", 3)
    stopped.send_signal(signal.SIGINT)
    output = ended(stopped, 60)
    assert (
        stopped.returncode != 0
        and "going on after step" in output
        and "stopped; the same command goes on after step" in output
    )

    assert "going on after step" in ended(azr_train(tmp_path / "run"))
    for name in ("metrics.jsonl", "rollouts.jsonl.gz"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["processes"] == 2
