"Runs of the embedded model, small enough for a test: records, resuming, refusals."
import errno
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

os.environ["HF_HUB_OFFLINE"] = "1"   # a name that is not a folder is looked up in the cache only

import pytest
from conftest import always
import toy
import yaml
from pages import Azr, papermill
from sums import Sums

from azr.cli import main
from azr.core import Task, alone_in
from azr.metrics import read_metrics, read_rollouts
from azr.records import (
    _CHANGEABLE, Records, check_folder, compact, open_folder, read_compacts, _recorded, surroundings, summary_of,
    write_compact)
from azr.run import _fitting_exam, folder_for, train
from azr.settings import Settings, System, config
from azr.sweep import sweep
from azr.watch import Interrupt
from azr.azr import Config
from azr.checkpoints import last_checkpoint

SMALL = dict(toy.SMALL, steps=4, save_every=2, rollouts_every=2)


def small(folder, **changes):
    return train(config("demo", **{**SMALL, **changes}), folder, say=always(None))


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "done"
    return folder, small(folder)


def test_a_run_leaves_its_files_and_a_summary(done):
    folder, summary = done
    assert {p.name for p in folder.iterdir()} == {
        "params.yaml",
        "metrics.jsonl",
        "timings.jsonl",
        "rollouts.jsonl.gz",
        "exam.jsonl.gz",
        "summary.json",
        "learning.png",
        "checkpoints",
        "model",
        "base.json",
    }
    assert summary == json.loads((folder / "summary.json").read_text())
    assert summary["heldout"]["gain"] == pytest.approx(summary["heldout"]["after"] - summary["heldout"]["before"])
    assert (
        set(summary["heldout"]["by_type"])
        == {"deduction", "abduction", "induction"}
        == set(summary["shifted"]["by_type"])
    )
    assert (
        summary["wall_seconds"] > 0
        and summary["peak_memory_mb"] > 100
        and summary["versions"]["torch"]
        and summary["device"].startswith("cpu")
    )
    assert [r["step"] for r in read_metrics(folder)] == [0, 1, 2, 3, 4] and set(read_rollouts(folder)) == {1, 2, 4}


def test_metrics_hold_the_funnel_and_no_clock(done):
    folder, _ = done
    step = read_metrics(folder)[1]
    assert sum(v for k, v in step.items() if k.startswith("propose/deduction/status/")) == 4
    assert not [k for k in step if "second" in k or "time" in k.split("/")[-1].split("_") or "memory" in k]


def test_same_seed_gives_the_same_bytes(done, tmp_path):
    small(tmp_path / "again")
    assert (tmp_path / "again" / "metrics.jsonl").read_bytes() == (done[0] / "metrics.jsonl").read_bytes()
    assert gzip.decompress((tmp_path / "again" / "rollouts.jsonl.gz").read_bytes()) == gzip.decompress(
        (done[0] / "rollouts.jsonl.gz").read_bytes()
    )


def test_another_seed_gives_another_run(done, tmp_path):
    small(tmp_path / "other", seed=1)
    assert (tmp_path / "other" / "metrics.jsonl").read_bytes() != (done[0] / "metrics.jsonl").read_bytes()


def start(folder, *settings):
    words = [f"--set={name}={value}" for name, value in {**SMALL, **dict(settings)}.items()]
    return Azr("train", "--run", folder, *words)


def wait_for_line(folder, count, process, seconds=600):
    metrics, until = folder / "metrics.jsonl", time.monotonic() + seconds
    while not (metrics.exists() and metrics.read_text().count("\n") >= count):
        assert process.poll() is None and time.monotonic() < until, process.communicate()[0]
        time.sleep(0.01)


@pytest.mark.parametrize("lines", [pytest.param(1, marks=pytest.mark.slow), 3, pytest.param(4, marks=pytest.mark.slow)])
def test_a_killed_run_ends_like_one_that_was_left_alone(done, tmp_path, lines):
    folder = tmp_path / "killed"
    process = start(folder)
    wait_for_line(folder, lines, process)
    process.kill(), process.wait()
    assert not (folder / "summary.json").exists()
    with (folder / "metrics.jsonl").open("a") as file: file.write('{"step": 9')   # a line that a crash cut short
    with (folder / "rollouts.jsonl.gz").open("ab") as file: file.write(gzip.compress(b"a step cut short")[:14])
    small(folder)
    for name in ("metrics.jsonl", "rollouts.jsonl.gz"):
        assert (folder / name).read_bytes() == (done[0] / name).read_bytes(), name


def test_the_first_ctrl_c_ends_the_step_saves_it_and_says_how_to_go_on(done, tmp_path):
    folder = tmp_path / "stopped"
    process = start(folder, ("save_every", 4))   # the stop saves what no schedule would
    wait_for_line(folder, 2, process)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 130 and "this step ends and is saved" in said and "Traceback" not in said, said
    last = last_checkpoint(folder / "checkpoints")
    step = json.loads((last / "selfplay.json").read_text())["step"]
    assert 1 <= step < 4 and f"goes on after step {step}" in said and read_metrics(folder)[-1]["step"] == step
    small(folder, save_every=4)
    for name in ("metrics.jsonl", "rollouts.jsonl.gz"):
        assert (folder / name).read_bytes() == (done[0] / name).read_bytes(), name


def test_seeding_is_kept_and_a_second_ctrl_c_stops_at_once(done, tmp_path, monkeypatch):
    monkeypatch.setattr(Interrupt, "SAME", 0.0)   # here the second one comes in the same moment
    folder, heard = tmp_path / "stopped", []
    def press(line, times):
        def say(said):
            heard.append(said)
            for _ in range(times if said.startswith(line) else 0): signal.raise_signal(signal.SIGINT)
        return say
    with pytest.raises(KeyboardInterrupt): train(config("demo", **SMALL), folder, say=press("seeding:", 1))
    # one batch of the seeding ended
    assert heard[-1] == "stopped; the same command goes on with the seeding" and read_metrics(folder) == []
    with pytest.raises(KeyboardInterrupt): train(config("demo", **SMALL), folder, say=press("before training", 2))
    assert (
        heard[-1] == "stopped; the same command goes on after the seeding"
        and len(read_metrics(folder)) == 1
        and not last_checkpoint(folder / "checkpoints")
    )

    path = (
        folder / "checkpoints" / "seeded" / "selfplay.json"
    )  # and other settings of the executor are named on the way
    state = json.loads(path.read_text())
    assert (
        set(state["executor"]) == {"isolation", "timeout", "memory_mb", "max_output", "workers"}
        and state["executor"]["workers"] == 1
    )
    path.write_text(json.dumps(state | {"executor": state["executor"] | {"isolation": "another", "memory_mb": 64}}))
    heard.clear()
    train(config("demo", **SMALL), folder, say=heard.append)
    warned, = [line for line in heard if line.startswith("warning")]
    assert (
        "isolation 'another' before" in warned and "memory_mb 64 before, 512 now" in warned and "timeout" not in warned
    )
    assert not [line for line in heard if line.startswith(("seeding", "before training"))]   # neither was done again
    assert (folder / "metrics.jsonl").read_bytes() == (done[0] / "metrics.jsonl").read_bytes()


def test_keys_do_not_stop_a_job_in_the_background(monkeypatch):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupt(print) as interrupt:
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN and not interrupt.asked
    finally: signal.signal(signal.SIGINT, before)


def test_a_field_added_later_counts_as_its_default(tmp_path):
    check_folder(tmp_path / "run", config("demo"))
    open_folder(tmp_path / "run", config("demo"))
    path = tmp_path / "run" / "params.yaml"
    params = yaml.safe_load(path.read_text())
    del params["config"]["kl"], params["config"]["batch"]   # 0.0 and 32 in the demo, 0.0 and 64 by default
    path.write_text(yaml.safe_dump(params))
    with pytest.raises(ValueError, match=r"other parameters \(batch: 64 there, 32 now\)"):
        check_folder(tmp_path / "run", config("demo"))
    check_folder(tmp_path / "run", config("demo", batch=64))


def test_a_finished_run_is_not_run_again(done, capsys):
    before = {p.name: p.stat().st_mtime_ns for p in done[0].iterdir()}
    assert small(done[0]) == done[1]
    assert {p.name: p.stat().st_mtime_ns for p in done[0].iterdir()} == before


def test_a_folder_of_another_run_is_refused_with_the_differing_fields(done):
    with pytest.raises(ValueError, match=r"batch: 4 there, 8 now.*choose another run folder"): small(done[0], batch=8)


def test_a_folder_of_another_system_is_refused_by_its_name(done):
    @dataclass(frozen=True)
    class Coins(Settings): flips: int = 4
    coins = System("coins", Coins, environment=list, recipe=list, exam=list)
    wanted = r"\(system: 'azr' there, 'coins' now\): choose another run folder"
    before = sorted(path.name for path in done[0].iterdir())
    with pytest.raises(ValueError, match=wanted): train(Coins(system="coins"), done[0], system=coins)
    assert sorted(path.name for path in done[0].iterdir()) == before


def test_a_corrupt_buffer_file_is_refused_and_nothing_is_lost(tmp_path):
    folder = tmp_path / "corrupt"
    process = start(folder, ("steps", 400), ("evaluate_every", 400))
    wait_for_line(folder, 4, process)
    process.kill(), process.wait()
    buffers = last_checkpoint(folder / "checkpoints") / "buffers.jsonl.gz"
    buffers.write_bytes(buffers.read_bytes()[:-20])
    metrics = (folder / "metrics.jsonl").read_bytes()
    with pytest.raises(
        ValueError, match="cannot read the task buffers in buffers.jsonl.gz.*resume from an older checkpoint"
    ):
        small(folder, steps=400, evaluate_every=400)
    assert (folder / "metrics.jsonl").read_bytes() == metrics


def test_an_unwritable_run_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="run folder .*file/run cannot be made or written to.*choose a folder"):
        small(tmp_path / "file" / "run")


def test_an_unknown_model_is_refused_before_a_file_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # no network: and no minute of trying
    with pytest.raises(ValueError, match="model 'no/such-model-here' cannot be loaded"):
        small(tmp_path / "run", model="no/such-model-here")
    assert not (tmp_path / "run").exists()


def test_an_exam_asks_what_fits_and_what_the_run_knows(capsys):
    def sum_of(text, kind="sums"): return Task(kind, {"sum": text}, {"value": "?"}, id=text)
    tasks = [sum_of("1+1"), sum_of("1111+1111"), sum_of("2+2", "products"), sum_of("3+3")]
    system = SimpleNamespace(exam=lambda settings, name, count: tasks[:count])
    selfplay, sampler = SimpleNamespace(types={"sums": Sums()}), SimpleNamespace(fits=lambda one: len(one.text) < 12)
    assert [one.id for one in _fitting_exam(system, None, selfplay, sampler, "heldout", 4)] == ["1+1", "3+3"]
    assert "set heldout: the prompts of 1 of 3 tasks are too long, and left out" in capsys.readouterr().out


def test_a_context_too_short_for_any_prompt_is_refused(tmp_path):
    with pytest.raises(ValueError, match="max_completion_tokens is 300.*context has 256"):
        small(tmp_path / "run", max_completion_tokens=300)
    with pytest.raises(ValueError, match="the prompt of the simplest .* task is longer than 4 tokens"):
        small(tmp_path / "other", max_prompt_tokens=4)


SLOW = [
    {"control": "shuffled_rewards"},
    {"advantage": "trr++_token"},
    {"rewards": "reference"},
    {"references": 0},
    {"task_types": ["abduction", "induction"]},
]


@pytest.mark.parametrize(
    "changes",
    [
        {"solver_samples": "fresh"},
        {"control": "frozen_proposer"},
        {"lora_rank": 2},
        {"iterations": 2, "task_types": ["deduction"]},
        *(pytest.param(c, marks=pytest.mark.slow) for c in SLOW),
    ],
)
def test_every_kind_of_run_goes_through(tmp_path, changes):
    summary = small(tmp_path / "run", steps=2, **changes)
    assert summary["steps"] == 2 and (tmp_path / "run" / "summary.json").exists()
    assert (
        tmp_path / "run" / "model" / ("adapter_model.safetensors" if "lora_rank" in changes else "model.safetensors")
    ).exists()


def test_the_saved_model_opens_anywhere(done):
    from transformers import AutoModelForCausalLM, AutoTokenizer
    tokenizer, model = AutoTokenizer.from_pretrained(done[0] / "model"), AutoModelForCausalLM.from_pretrained(
        done[0] / "model"
    )
    assert (
        model.generate(
            **tokenizer("<ded>def f(x):\n    return x<in>1<out>", return_tensors="pt"), max_new_tokens=4
        ).shape[0]
        == 1
    )


def test_functions_from_a_notebook_cell_are_settings(tmp_path):
    from azr.rewards import reward_setting
    def curve(p): return 4 * p * (1 - p)
    changes = dict(
        steps=2,
        rewards=reward_setting("paper", curve=curve),
        advantage=lambda rewards, keys, groups, lengths: rewards - rewards.mean(),
    )
    small(tmp_path / "run", **changes)
    with pytest.raises(ValueError, match="rewards"):
        small(tmp_path / "run", **{**changes, "rewards": reward_setting("paper", curve=lambda p: 1 - p)})


def test_a_sweep_skips_what_is_done_and_names_what_failed(done, tmp_path):
    os.symlink(done[0], tmp_path / "one")
    settings = {**SMALL, "steps": 2}
    said = []
    summaries = sweep({"one": SMALL, "two": settings}, tmp_path, say=said.append)
    assert summaries["one"] == done[1] and summaries["two"]["steps"] == 2 and said[0] == "1 of 2 runs are done"
    with pytest.raises(RuntimeError, match="three: it failed, and .*three.log says why"):
        sweep({"three": {**settings, "model": "no/such-model"}}, tmp_path, say=said.append)


def test_a_torn_compact_record_is_said_and_left_out(done, tmp_path):
    for name in "abc": write_compact(tmp_path / f"{name}.json", compact(done[0]) | {"name": name})
    (tmp_path / "b.json").write_text("{")
    said = []
    assert (
        [one["name"] for one in read_compacts(tmp_path, say=said.append)] == ["a", "c"]
        and len(said) == 1
        and "b.json is no whole record" in said[0]
    )
    assert [one["name"] for one in read_compacts(tmp_path, {"a", "b"}, said.append)] == ["c"] and len(said) == 1


def test_a_compact_record_is_small_and_whole(done, tmp_path):
    record = compact(done[0], every=2)
    write_compact(tmp_path / "record.json", record)
    assert (tmp_path / "record.json").stat().st_size < 30_000
    read = json.loads((tmp_path / "record.json").read_text())
    assert (
        read["summary"] == done[1]
        and [r["step"] for r in read["metrics"]] == [0, 2, 4]
        and read["params"]["config"]["batch"] == 4
        and min(read["seconds"][phase] for phase in ("propose", "attempt", "update")) > 0
    )
    written = [
        line["generated_tokens"]
        for line in Records(done[0]).read(done[0] / "timings.jsonl")
        if "generated_tokens" in line
    ]
    assert [r.get("tokens", 0) for r in read["metrics"]] == [0, sum(written[:2]), sum(written[:4])]


def test_names_of_run_folders():
    assert (
        folder_for("demo", 3) == "runs/demo-s3"
        and folder_for("demo", 0, "frozen_proposer") == "runs/demo-frozen-proposer-s0"
    )


def test_the_command_line_says_what_is_wrong(capsys, tmp_path):
    assert main(["train", "--run", str(tmp_path / "run"), "--set", "batch=0"]) == 2
    assert "azr: batch is 0: give 1 or more" in capsys.readouterr().err
    with pytest.raises(SystemExit): main(["train", "--help"])
    assert "learning_rate" in capsys.readouterr().out


NOTEBOOKS = Path(__file__).parents[1] / "nbs" / "runs"


def executed(notebook, output, parameters):
    (output.parent / "parameters.yaml").write_text(yaml.safe_dump(parameters))
    papermill(NOTEBOOKS / notebook, output, "-f", output.parent / "parameters.yaml")
    return json.loads(output.read_text())


def test_the_run_notebook_executes_and_repeats_the_command_lines_bytes(done, tmp_path):
    executed("train.ipynb", tmp_path / "run.ipynb", {"run": str(tmp_path / "run"), "changes": SMALL})
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == (done[0] / "metrics.jsonl").read_bytes()


def test_single_parameters_of_papermill_lie_on_the_preset_that_is_named(tmp_path):
    words = [
        "-p",
        "preset",
        "demo",
        "-p",
        "seed",
        "1",
        "-p",
        "changes",
        json.dumps({**SMALL, "steps": 1}),
        "-r",
        "threads",
        "1",
        "-p",
        "run",
        str(tmp_path / "run"),
    ]
    papermill(NOTEBOOKS / "train.ipynb", tmp_path / "out.ipynb", *words)
    found = yaml.safe_load((tmp_path / "run" / "params.yaml").read_text(encoding="utf-8"))["config"]
    assert found == _recorded(config("demo", **{**SMALL, "steps": 1}, seed=1))


def test_the_controls_notebook_executes(tmp_path):
    changes = {**SMALL, "steps": 2}
    executed(
        "controls.ipynb",
        tmp_path / "out.ipynb",
        {
            "seeds": [0, 1],
            "arms": {"frozen proposer": {"control": "frozen_proposer"}},
            "changes": changes,
            "runs": str(tmp_path / "runs"),
            "records": str(tmp_path / "records"),
            "proposals": str(tmp_path / "proposals"),
        },
    )
    assert sorted(p.name for p in (tmp_path / "records").iterdir()) == [
        "clean.json",
        "demo-frozen-proposer-s0.json",
        "demo-frozen-proposer-s1.json",
    ]
    assert [
        step["step"]
        for step in json.loads((tmp_path / "proposals" / "demo-frozen-proposer-s1.json").read_text())["metrics"]
    ] == [1, 2]


def test_the_real_models_notebook_makes_runs_and_counts_copies(tmp_path):
    exams = ["functions-validation-o", "functions-validation-i"]
    given = {"measure": True, "benchmarks": exams, "runs": str(tmp_path / "runs"), "records": str(tmp_path / "records")}
    executed("real.ipynb", tmp_path / "out.ipynb", given)
    base, run = (json.loads((tmp_path / "records" / f"{name}.json").read_text())
                 for name in ("base", "frozen-proposer-s0"))
    assert run["arm"] == "frozen proposer" and [step["step"] for step in run["metrics"]] == [0, 1, 2]
    for name in exams:
        assert {len(run["exams"][name][digits]) for digits in ("right", "copied", "formed")} == {2}
        assert set(base["copying alone"][name]["right"]) <= {"0", "1"} and set(base["exams"]["0"]) == set(exams)
    assert run["proposals"]["2"][0]["status"]


def test_a_refused_setting_leaves_the_folder_to_the_corrected_one(tmp_path):
    with pytest.raises(ValueError, match="max_completion_tokens is 900"):
        small(tmp_path / "run", max_completion_tokens=900, steps=2)
    assert small(tmp_path / "run", steps=2)["steps"] == 2


def test_a_sweep_leaves_out_a_summary_of_other_settings_and_a_damaged_run(done, tmp_path):
    said = []
    def named(name): return compact(tmp_path / name)
    for name in ("one", "two", "three"): shutil.copytree(done[0], tmp_path / name)
    (tmp_path / "two" / "metrics.jsonl").unlink()
    found = sweep(
        {"one": {**SMALL, "seed": 5}, "two": SMALL, "three": SMALL}, tmp_path, say=said.append, finished=named
    )
    assert list(found) == ["three"] and said[1] == "2 of 3 runs are done"
    assert (
        said[0].startswith("one: LEFT OUT, ValueError: run folder")
        and "belongs to a run with other parameters" in said[0]
        and said[2].startswith("two: LEFT OUT, ValueError")
        and "metrics.jsonl" in said[2]
    )
    (tmp_path / "two" / "params.yaml").write_text("config: [")
    assert list(sweep({"two": SMALL, "three": SMALL}, tmp_path, say=said.append)) == ["three"] and said[-2].startswith(
        "two: LEFT OUT, ParserError"
    )
    with pytest.raises(RuntimeError, match="no run is there to go on with: one: ValueError: run folder"):
        sweep({"one": {**SMALL, "seed": 5}}, tmp_path, say=said.append)


def test_a_settings_own_duplicate_reward_stands(tmp_path):
    from azr.rewards import reward_setting
    from azr.azr import azr_recipe, environment
    from azr.executor import Executor
    own = config("demo", rewards=reward_setting("paper", duplicate=-0.25))
    with Executor(workers=1) as executor: recipe = azr_recipe(own, environment(own, executor))
    assert recipe.propose_reward.__self__.duplicate == -0.25 and not recipe.attempt_known


def test_prompts_name_the_modules_that_the_executor_lets_through(tmp_path):
    from random import Random
    from azr.buffers import Buffers
    from azr.executor import Executor
    from azr.safety import Safety
    from azr.azr import azr_recipe, environment
    for style, policy, said in (
        ("r1", Safety(imports=("math", "re")), "Only these modules can be imported: math, re."),
        ("chat", Safety(), Safety().imports[-1] + "."),
        ("terse", Safety(), ""),
        ("code", Safety(), ""),
    ):
        own = config("demo", style=style)
        with Executor(workers=1, policy=policy) as executor:
            kinds = azr_recipe(own, environment(own, executor)).task_types
        prompt = kinds[0].propose_prompt(Buffers(own.task_types), Random(0))
        asked = prompt.text or prompt.messages[-1]["content"]
        assert said in asked and ("Only these modules" in asked) == bool(said)


def test_a_folder_from_before_a_setting_existed_ran_with_its_default(tmp_path):
    (tmp_path / "params.yaml").write_text(
        yaml.safe_dump({"config": {k: v for k, v in _recorded(config("demo")).items() if k != "reference_choice"}})
    )
    assert check_folder(tmp_path, config("demo")) == tmp_path
    with pytest.raises(ValueError, match="reference_choice: 'uniform' there, 'recent' now"):
        check_folder(tmp_path, config("demo", reference_choice="recent"))


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    "A folder that azr thinks it lies in, and git there."
    place = tmp_path / "checkout"
    (place / "azr").mkdir(parents=True)
    (place / "azr" / "__init__.py").write_text("1", encoding="utf-8")
    monkeypatch.setattr("azr.__file__", str(place / "azr" / "__init__.py"))
    monkeypatch.delenv("GIT_DIR", raising=False)
    def git(*words, at=place):
        own = ("git", "-c", "user.name=A", "-c", "user.email=a@b.c", *words)
        return subprocess.run(own, cwd=at, check=True, capture_output=True, text=True).stdout.strip()
    return place, git


def commit(git, at):
    for words in (("init",), ("add", "."), ("commit", "-m", "x"), ("tag", "-a", "v1", "-m", "x")): git(*words, at=at)
    return git("rev-parse", "--short", "HEAD", at=at)


def test_the_record_says_whether_the_files_were_those_of_the_commit(checkout):
    place, git = checkout
    (place / "settings.ini").write_text("[DEFAULT]\nlib_name = azr\n", encoding="utf-8")
    own = commit(git, place)
    assert surroundings()["git"] == own
    (place / "azr" / "__init__.py").write_text("2", encoding="utf-8")
    assert surroundings()["git"] == f"{own}+changes"


def test_the_commit_of_somebodys_repository_is_not_recorded_as_ours(checkout):
    place, git = checkout
    commit(git, place.parent)                        # installed somewhere inside it
    assert surroundings()["git"] == f"version {version('azr')}"
    (place / "settings.ini").write_text(
        "[DEFAULT]\nlib_name = azr\n", encoding="utf-8"
    )  # our files, without our history
    assert surroundings()["git"] == f"version {version('azr')}"
    (place / "settings.ini").write_text("[DEFAULT]\nlib_name = theirs\n", encoding="utf-8")
    commit(git, place)                               # a vendored copy at the top of theirs
    assert surroundings()["git"] == f"version {version('azr')}"


def test_another_repository_named_by_a_hook_is_not_ours(checkout, tmp_path, monkeypatch):
    place, git = checkout
    (place / "settings.ini").write_text("[DEFAULT]\nlib_name = azr\n", encoding="utf-8")
    own = commit(git, place)
    (tmp_path / "theirs").mkdir()
    git("init", at=tmp_path / "theirs")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "theirs" / ".git"))
    assert surroundings()["git"] == own


def test_a_machine_without_git_runs_all_the_same(checkout, tmp_path, monkeypatch):
    place, git = checkout
    (place / "settings.ini").write_text("[DEFAULT]\nlib_name = azr\n", encoding="utf-8")
    commit(git, place)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert surroundings()["git"] == f"version {version('azr')}, commit unknown"
    open_folder(tmp_path / "run", Config())
    assert yaml.safe_load((tmp_path / "run" / "params.yaml").read_text(encoding="utf-8"))["git"].endswith(
        "commit unknown"
    )


# ---- a longer run ----

def test_a_finished_run_goes_on_to_more_steps(done, tmp_path):
    longer, fresh = tmp_path / "longer", tmp_path / "fresh"
    shutil.copytree(done[0], longer)
    words = [
        word for name, value in {**SMALL, "steps": 6, "save_every": 1}.items() for word in ("--set", f"{name}={value}")
    ]
    assert main(["train", "--run", str(longer), *words]) == 0
    small(fresh, steps=6, save_every=1)
    summary = json.loads((longer / "summary.json").read_text(encoding="utf-8"))
    assert summary["steps"] == 6 and [r["step"] for r in read_metrics(longer)] == list(range(7))
    assert summary["heldout"] == json.loads((fresh / "summary.json").read_text(encoding="utf-8"))["heldout"]
    one, other = ((folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines() for folder in (longer, fresh))
    assert [n for n in range(7) if one[n] != other[n]] == [4]   # whose exam was the last one's
    assert not json.loads(other[4]).items() - json.loads(one[4]).items()
    assert summary_of(longer, config("demo", **{**SMALL, "steps": 6})) == summary
    assert yaml.safe_load((longer / "params.yaml").read_text(encoding="utf-8"))["config"]["steps"] == 6
    with pytest.raises(ValueError, match="steps: 6 there, 4 now"): small(longer)


def test_a_longer_run_that_was_killed_has_no_summary_and_goes_on(done, tmp_path):
    shutil.copytree(done[0], tmp_path / "run")
    open_folder(
        tmp_path / "run", config("demo", **{**SMALL, "steps": 6})
    )  # as far as a run comes before its first step
    assert not (tmp_path / "run" / "summary.json").exists()
    assert small(tmp_path / "run", steps=6)["steps"] == 6


def test_a_run_may_leave_no_checkpoint_and_is_not_made_longer_then(done, tmp_path):
    folder, said = tmp_path / "run", []
    (folder / "checkpoints" / "runs").mkdir(parents=True)   # a tracker's
    summary = small(folder, keep_checkpoints=0)
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["runs"] and (folder / "model").exists()
    assert (folder / "metrics.jsonl").read_bytes() == (done[0] / "metrics.jsonl").read_bytes()
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="keeps no checkpoint to go on from: give another folder for more steps"):
        small(folder, steps=6)
    assert train(config("demo", **SMALL), folder, say=said.append) == summary and "is done already" in said[0]
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_settings_on_which_no_number_hangs_may_change(done, tmp_path):
    shutil.copytree(done[0], tmp_path / "run")
    for name in _CHANGEABLE:
        other = {"report_to": ("tensorboard",)}.get(name, 3)
        assert check_folder(tmp_path / "run", config("demo", **{**SMALL, name: other})) == tmp_path / "run"
    with pytest.raises(ValueError, match="chunk_tokens: 32768 there, 7 now"):
        check_folder(tmp_path / "run", config("demo", **SMALL, chunk_tokens=7))


def test_threads_below_one_are_refused(tmp_path):
    with pytest.raises(ValueError, match="threads is 0: give 1 or more"):
        train(config("demo", **SMALL), tmp_path / "run", threads=0)
    assert not (tmp_path / "run").exists()


# ---- one process in a folder ----

def test_a_second_process_in_a_run_folder_is_refused_and_names_the_first(tmp_path):
    folder = tmp_path / "run"
    first = start(folder, ("steps", 400), ("evaluate_every", 400))
    wait_for_line(folder, 2, first)
    second = start(folder, ("steps", 400), ("evaluate_every", 400))
    said = second.communicate(timeout=120)[0]
    assert (
        second.returncode == 2
        and f"{folder} is in use by process {first.pid} on " in said
        and "name another folder" in said
    ), said
    with pytest.raises(ValueError, match=f"in use by process {first.pid}"): small(folder, steps=400, evaluate_every=400)
    first.kill(), first.wait()
    with alone_in(folder):
        assert (
            (folder / "lock").read_text(encoding="utf-8").startswith(f"process {os.getpid()} on ")
        )  # nothing is left of the dead owner
    steps = [r["step"] for r in read_metrics(folder)]
    assert steps == list(range(len(steps)))


def test_azr_demo_is_refused_too_and_leaves_the_notebook_of_the_first(tmp_path, capsys):
    with alone_in(tmp_path):
        assert main(["demo", "--run", str(tmp_path)]) == 2
        assert f"in use by process {os.getpid()}" in capsys.readouterr().err
    with alone_in(tmp_path, "run.ipynb.lock"): assert main(["demo", "--run", str(tmp_path)]) == 2
    assert not list(tmp_path.iterdir())


def test_a_sweep_leaves_out_a_run_that_another_process_has(done, tmp_path):
    said = []
    shutil.copytree(done[0], tmp_path / "done")
    with alone_in(tmp_path / "held"): found = sweep({"done": SMALL, "held": SMALL}, tmp_path, say=said.append)
    assert (
        list(found) == ["done"]
        and said[-1].startswith("held: LEFT OUT, ValueError: ")
        and "is in use by process" in said[-1]
    )
    assert not (tmp_path / "held.log").exists()
    for wrong in ("jobs", "processes"):
        with pytest.raises(ValueError, match=f"{wrong} is 0: give 1 or more"):
            sweep({"done": SMALL}, tmp_path, **{wrong: 0})


def test_a_lock_of_several_at_once_lets_one_in(tmp_path):
    script = ("import sys, time; from azr.core import alone_in\n"
              "with alone_in(sys.argv[1]): print('in', flush=True); time.sleep(60)")
    crowd = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "run")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    try:
        until = time.monotonic() + 60
        while sum(one.poll() is None for one in crowd) > 1 and time.monotonic() < until: time.sleep(0.05)
        holder, = [one for one in crowd if one.poll() is None]
        assert holder.stdout.readline() == "in\n"
        others = [one.communicate()[1] for one in crowd if one is not holder]
        named = (f"in use by process {holder.pid}", "in use by another process")   # before it has said its number
        assert all(any(name in error for name in named) for error in others)
    finally:
        for one in crowd: one.kill(), one.communicate()
    with alone_in(tmp_path / "run"): pass   # kill -9 of the holder freed it
    assert not (tmp_path / "run" / "lock").exists()


def test_a_place_without_locks_is_said_and_used(tmp_path, monkeypatch):
    def refuse(*_): raise OSError(errno.ENOLCK, "No locks available")
    monkeypatch.setattr("azr.core.fcntl.flock", refuse)
    with pytest.warns(UserWarning, match="run cannot be locked .No locks available.: take care that one process"):
        with alone_in(tmp_path / "run"): (tmp_path / "run" / "file").write_text("", encoding="utf-8")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["file"]


# ---- a signal to end ----

@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.slow)])
def test_a_schedulers_signal_ends_the_step_and_saves_it(done, tmp_path, number):
    folder = tmp_path / "stopped"
    process = start(folder, ("save_every", 4))   # the stop saves what no schedule would
    wait_for_line(folder, 2, process)
    process.send_signal(number), process.send_signal(number)   # the scheduler's, and that of a launcher between
    said = process.communicate(timeout=60)[0]
    assert (
        process.returncode == 128 + number
        and f"{number.name}: this step ends and is saved" in said
        and "Traceback" not in said
    ), said
    step = json.loads((last_checkpoint(folder / "checkpoints") / "selfplay.json").read_text(encoding="utf-8"))["step"]
    assert (
        1 <= step < 4
        and f"goes on after step {step}" in said
        and f"stopped by {number.name}" in said
        and not (folder / "lock").exists()
    )
    small(folder)
    for name in ("metrics.jsonl", "rollouts.jsonl.gz"):
        assert (folder / name).read_bytes() == (done[0] / name).read_bytes(), name


def test_a_signal_before_there_is_anything_to_save_ends_at_once(tmp_path):
    process = start(tmp_path / "run")
    until = time.monotonic() + 60
    while not (tmp_path / "run" / "lock").exists() and time.monotonic() < until: time.sleep(0.01)
    process.terminate()
    said = process.communicate(timeout=60)[0]
    assert (
        process.returncode == 128 + signal.SIGTERM
        and "Traceback" not in said
        and not (tmp_path / "run" / "lock").exists()
    ), said


@pytest.mark.slow
def test_a_sweep_that_is_told_to_end_tells_its_runs_and_waits_for_them(tmp_path):
    runs = {"one": dict(SMALL, steps=400, save_every=400)}
    script = f"from azr.sweep import sweep; sweep({runs}, {str(tmp_path)!r})"
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    wait_for_line(tmp_path / "one", 2, process)
    process.terminate()
    process.communicate(timeout=60)
    assert "SIGTERM: this step ends" in (tmp_path / "one.log").read_text(encoding="utf-8") and last_checkpoint(
        tmp_path / "one" / "checkpoints"
    )
    with alone_in(tmp_path / "one"): pass   # the run has ended before the sweep did


@pytest.mark.slow
def test_several_processes_end_their_step_at_sigterm_and_are_refused_a_folder_in_use(tmp_path):
    settings = {**SMALL, "steps": 400, "save_every": 400, "evaluate_every": 400}
    words = [f"--set={name}={value}" for name, value in settings.items()]
    two = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    launch = [*two, "-m", "--", "azr.cli", "train", "--run", str(tmp_path / "run"), *words]
    with alone_in(tmp_path / "run"):
        refused = subprocess.run(launch, capture_output=True, text=True, env=os.environ | {"CUDA_VISIBLE_DEVICES": ""})
    assert (
        refused.returncode
        and f"is in use by process {os.getpid()}" in refused.stderr
        and not (tmp_path / "run").exists()
    )
    process = subprocess.Popen(
        launch,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )
    wait_for_line(tmp_path / "run", 2, process)
    process.terminate()
    said = process.communicate(timeout=60)[0]
    step = json.loads(
        (last_checkpoint(tmp_path / "run" / "checkpoints") / "selfplay.json").read_text(encoding="utf-8")
    )["step"]
    assert (
        "SIGTERM: this step ends and is saved" in said
        and f"goes on after step {step}" in said
        and read_metrics(tmp_path / "run")[-1]["step"] == step
    )
    with alone_in(tmp_path / "run"): pass


def whole(path):
    "Waits until a file of JSON is there; what it holds."
    until = time.monotonic() + 60
    while not path.exists() and time.monotonic() < until: time.sleep(0.05)
    return json.loads(path.read_text(encoding="utf-8"))


def test_azr_demo_hands_a_signal_on_to_its_notebook(tmp_path):
    folder = tmp_path / "run"
    words = [
        word
        for name, value in {**SMALL, "steps": 400, "save_every": 400}.items()
        for word in ("--set", f"{name}={value}")
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "azr.cli", "demo", "--run", str(folder), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=NOTEBOOKS.parents[1],
    )
    wait_for_line(folder, 2, process)
    process.terminate()
    said = process.communicate(timeout=60)[0]
    assert (
        process.returncode == 143 and "SIGTERM: this step ends and is saved" in said and "Traceback" not in said
    ), said
    assert (
        "goes on after step" in said
        and last_checkpoint(folder / "checkpoints")
        and whole(folder / "run.ipynb")["cells"]
    )


def test_a_notebook_whose_papermill_was_killed_ends_its_step(tmp_path):
    (tmp_path / "parameters.yaml").write_text(
        yaml.safe_dump({"run": str(tmp_path / "run"), "changes": {**SMALL, "steps": 400, "save_every": 400}}),
        encoding="utf-8",
    )
    pages = [NOTEBOOKS / "train.ipynb", tmp_path / "out.ipynb"]
    process = subprocess.Popen(
        [sys.executable, "-m", "papermill", "-k", "python3", *pages, "-f", tmp_path / "parameters.yaml"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=NOTEBOOKS.parents[1],
    )
    wait_for_line(tmp_path / "run", 2, process)
    process.terminate(), process.wait()
    until = time.monotonic() + 60
    while not last_checkpoint(tmp_path / "run" / "checkpoints") and time.monotonic() < until: time.sleep(0.05)
    saved = last_checkpoint(tmp_path / "run" / "checkpoints")
    assert (
        saved
        and json.loads((saved / "selfplay.json").read_text(encoding="utf-8"))["step"]
        == read_metrics(tmp_path / "run")[-1]["step"]
        < 400
    )
    while time.monotonic() < until:   # and then the kernel ends
        try:
            with alone_in(tmp_path / "run"): return
        except ValueError:
            time.sleep(0.2)
    pytest.fail("the kernel goes on")


# ---- pages that run many runs, in their smallest form ----

@pytest.mark.slow
def test_the_ablations_page_runs_and_leaves_out_what_is_not_its_own(tmp_path):
    own = {
        "quick": True,
        "rows": ["deduction only", "complexity reward"],
        "seeds": [0],
        "changes": {**SMALL, "steps": 1},
        "runs": str(tmp_path / "runs"),
        "records": str(tmp_path / "records"),
    }
    text = "".join(
        str(cell["outputs"])
        for cell in executed("ablations.ipynb", tmp_path / "out.ipynb", own)["cells"]
        if cell["cell_type"] == "code"
    )
    assert (
        "3 rows x 1 seeds = 3 runs" in text and "0 of 3 runs are done" in text and "cannot tell at this scale" in text
    )
    found = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "records").iterdir()}
    assert {name: record["row"] for name, record in found.items()} == {
        "full-s0": "full",
        "deduction-only-s0": "deduction only",
        "complexity-reward-s0": "complexity reward",
    }
    assert all(0 <= record["before"] <= 1 and 0 <= record["after"] <= 1 for record in found.values())
    other = found["deduction-only-s0"]
    other["params"]["config"]["batch"] = 99
    (tmp_path / "records" / "deduction-only-s0.json").write_text(json.dumps(other))
    (tmp_path / "records" / "complexity-reward-s0.json").write_text("{")
    text = "".join(
        str(cell["outputs"])
        for cell in executed("ablations.ipynb", tmp_path / "again.ipynb", own)["cells"]
        if cell["cell_type"] == "code"
    )
    assert "deduction-only-s0: LEFT OUT" in text and "cannot tell at this scale" in text
    assert (
        json.loads((tmp_path / "records" / "complexity-reward-s0.json").read_text()) == found["complexity-reward-s0"]
    )  # made again


@pytest.mark.slow
def test_the_scaling_page_pretrains_another_size_and_plays_from_it(tmp_path):
    own = {
        "quick": True,
        "widths": [16, 64],
        "changes": {**SMALL, "steps": 1},
        "models": str(tmp_path / "models"),
        "runs": str(tmp_path / "runs"),
        "records": str(tmp_path / "records"),
    }
    executed("scaling.ipynb", tmp_path / "out.ipynb", own)
    found = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "records").iterdir()}
    assert (
        sorted(found) == ["width-16-s0", "width-64-s0"]
        and found["width-16-s0"]["weights"] < found["width-64-s0"]["weights"] == 181_120
    )
    assert found["width-16-s0"]["params"]["config"]["model"] == os.path.relpath(
        tmp_path / "models" / "quick" / "16" / "tiny", Path(__file__).parents[1]
    )
