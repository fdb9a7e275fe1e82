"A sweep in a file: its command lines, its records, and what is refused before any run."
import json, shlex, shutil, signal, subprocess, sys

import pytest
import yaml

from azr.cli import _parser, _settings, main
from azr.records import read_compacts, recorded_summary
from azr.settings import config, read_preset
from azr.sweep import read_sweep, sweep
from conftest import ROOT
from toy import SMALL

RUNS = ROOT / "data" / "compare"


@pytest.fixture
def two_arms(tmp_path):
    "A file whose two runs are done: the committed ones."
    for name in ("self-play", "shuffled-rewards"): shutil.copytree(RUNS / name, tmp_path / "runs" / f"{name}-s0")
    own = yaml.safe_load((RUNS / "self-play" / "params.yaml").read_text())["config"]
    changes = {name: value for name, value in own.items() if getattr(config("demo"), name) != value}
    changes = {name: value for name, value in changes.items() if not isinstance(value, list)}
    told = {"runs": str(tmp_path / "runs"), "changes": changes,
            "arms": {"self-play": {}, "shuffled rewards": {"control": "shuffled_rewards"}}}
    return written(tmp_path, told)


def written(folder, told):
    path = folder / "arms.yaml"
    path.write_text(told if isinstance(told, str) else yaml.safe_dump(told, sort_keys=False))
    return path


@pytest.mark.parametrize("preset", ["", "mine.yaml"])
def test_each_printed_line_is_the_run_that_the_file_means(tmp_path, capsys, monkeypatch, preset):
    monkeypatch.chdir(tmp_path)
    if preset: (tmp_path / preset).write_text(yaml.safe_dump(read_preset("demo") | {"batch": 24}))
    other = {"task_types": ["deduction"], "learning_rate": 1e-4, "control": "shuffled_rewards"}
    arms = {"plain": {}, "it's one": other}
    told = {"runs": "my runs", "arms": arms, "seeds": [3, 4], "changes": {"steps": 7}}
    if preset: told["preset"] = preset
    assert main(["sweep", str(written(tmp_path, told)), "--print"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    found = []
    for words in map(shlex.split, lines):
        assert words.pop(0) == "azr"
        settings, folder = _settings(_parser(words).parse_args(words))
        found.append((folder.relative_to(tmp_path).as_posix(), settings))
    own = {f"my runs/{name}-s{seed}": config(preset or "demo", steps=7, seed=seed, **changes)
           for seed in (3, 4) for name, changes in zip(("plain", "it-s-one"), arms.values())}
    assert dict(found) == own and not (tmp_path / "my runs").exists()


def test_another_systems_runs_are_printed_and_started_by_it(tmp_path, capsys):
    told = {"runs": "r", "arms": {"few": {"most": 3}, "many": {"most": 6}}, "changes": {"system": "azr.sums:SUMS"}}
    assert main(["sweep", str(written(tmp_path, told)), "--print"]) == 0
    words = shlex.split(capsys.readouterr().out.splitlines()[1])[1:]
    settings, _ = _settings(_parser(words).parse_args(words))
    assert (settings.system, settings.most) == ("azr.sums:SUMS", 6)


def test_a_queues_signal_reaches_the_run_that_the_pages_line_starts(tmp_path):
    page = "".join("".join(cell["source"]) for cell in json.loads((ROOT / "nbs/39_sweep.ipynb").read_text())["cells"])
    assert "--signal=B:TERM@" in page   # to the script's own process, which the run has to be
    wrap = shlex.split(page.partition("--wrap ")[2].split("\n")[0])[0]
    waits = "import signal, sys; signal.signal(15, lambda *_: sys.exit(7)); print('up', flush=True); signal.pause()"
    (tmp_path / "lines.txt").write_text("false\n" + shlex.join([sys.executable, "-c", waits]) + "\n")
    with subprocess.Popen(["sh", "-c", wrap], cwd=tmp_path, env={"PATH": "/usr/bin:/bin", "SLURM_ARRAY_TASK_ID": "2"},
                          stdout=subprocess.PIPE) as script:
        assert script.stdout.readline() == b"up\n"
        script.send_signal(signal.SIGTERM)
        assert script.wait(60) == 7


@pytest.mark.parametrize("how", [["--collect"], []])
def test_records_come_together_and_no_run_is_repeated(two_arms, capsys, how):
    place = two_arms.parent / "runs"
    before = (place / "self-play-s0" / "metrics.jsonl").read_bytes()
    assert main(["sweep", str(two_arms), *how]) == 0
    shown = capsys.readouterr().out
    summary = json.loads((RUNS / "self-play" / "summary.json").read_text())
    assert f"{100 * summary['heldout']['after']:.1f}" in shown and "LEFT OUT" not in shown
    records = read_compacts(place / "records")
    assert [record["arm"] for record in records] == ["self-play", "shuffled rewards"]
    assert (place / "self-play-s0" / "metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize("how", [["--collect"], []])
def test_what_has_a_record_is_done_without_its_folder(two_arms, capsys, how):
    place = two_arms.parent / "runs"
    assert main(["sweep", str(two_arms), "--collect"]) == 0
    before, shown = read_compacts(place / "records"), capsys.readouterr().out
    for folder in place.glob("*-s0"): shutil.rmtree(folder)
    assert main(["sweep", str(two_arms), *how]) == 0
    assert capsys.readouterr().out.endswith(shown) and read_compacts(place / "records") == before
    assert [path.name for path in place.iterdir()] == ["records"]


def test_a_record_is_made_once_and_one_of_other_settings_is_left_out(two_arms):
    told, said, asked = read_sweep(two_arms), [], []
    plan = {name: changes for name, (_, changes) in told.every().items()}
    (told.records / "self-play-s0.json").parent.mkdir()
    (told.records / "self-play-s0.json").write_text("{")   # it is not whole, so it is made again
    def swept(runs): return sweep(runs, told.runs, say=said.append, records=told.records, finished=asked.append)
    first = swept(plan)
    assert asked == list(plan) and swept(plan) == first and asked == list(plan)
    assert all("metrics" in record for record in read_compacts(told.records))
    other = plan["self-play-s0"] | {"batch": 20}
    shutil.rmtree(told.records.parent / "self-play-s0")
    assert list(swept(plan | {"self-play-s0": other})) == ["shuffled-rewards-s0"]
    assert "self-play-s0.json belongs to a run with other parameters (batch: 16 there, 20 now)" in said[-2]
    longer = config("demo", **plan["shuffled-rewards-s0"] | {"steps": 2 * config("demo").steps})
    assert recorded_summary(told.records / "shuffled-rewards-s0.json", longer) is None   # it goes on


@pytest.mark.parametrize("preset, name, changes", [
    ("demo", "demo/demo-frozen-proposer-s1", {"control": "frozen_proposer", "seed": 1}),
    ("demo", "ablations/n-16-s2", {"attempts": 16, "seed": 2}),
    ("demo", "scaling/width-112-s0", {"model": "runs/sizes/112/tiny"}),
    ("", "climb/self-play-s12", {"system": "climb", "model": "data/climb/base", "seed": 12}),
    ("agent0", "agent0/no-tool-s0", {"tool": False, "turns": 1, "keep_checkpoints": 12}),
    ("ssr", "ssr/runs/repair-only-s1", {"control": "repair_only", "seed": 1}),
    ("ssr", "ssr/ablations/g-4-s2", {"attempts": 4, "seed": 2}),
    ("smollm2-135m", "real/self-play-s3", {"seed": 3}),
    ("smollm2-135m", "real/format-only-s1", {"control": "frozen_proposer", "rewards": "format_only", "seed": 1}),
])
def test_committed_records_are_of_the_runs_that_their_pages_plan(preset, name, changes):
    path = ROOT / "data" / f"{name}.json"
    assert recorded_summary(path, config(preset, **changes))["seed"] == changes.get("seed", 0)


def test_what_is_not_done_is_said_and_left_out(two_arms, capsys):
    place = two_arms.parent / "runs"
    (place / "self-play-s0" / "summary.json").unlink()
    told = yaml.safe_load(two_arms.read_text()) | {"seeds": [0, 1]}
    written(two_arms.parent, told)
    assert main(["sweep", str(two_arms), "--collect"]) == 0
    shown = capsys.readouterr().out
    assert "self-play-s0: LEFT OUT, it is under way, or was stopped" in shown
    assert "self-play-s1: LEFT OUT, it has not begun" in shown
    told["changes"]["batch"] = 20
    written(two_arms.parent, told)
    assert main(["sweep", str(two_arms), "--collect"]) == 0
    assert "belongs to a run with other parameters (batch: 16 there, 20 now)" in capsys.readouterr().out


@pytest.mark.parametrize("told, said", [
    ("just words", "has no runs: give runs, a folder, and arms"),
    ({"runs": "r"}, "has no arms"),
    ({"runs": "r", "arms": {"a": {}}, "seed": 3}, "has 'seed': give only runs, arms, seeds, changes, preset"),
    ({"runs": "r", "arms": {"a": {}}, "seeds": 3}, "seeds is 3"),
    ({"runs": "r", "arms": {"a": {"bach": 3}}}, "run a-s0: unknown setting bach of system azr: did you mean batch"),
    ({"runs": "r", "arms": {"a": {}}, "seeds": [-1]}, "run a-s-1: seed is -1"),
    ({"runs": "r", "arms": {"a b": {}, "a-b": {}}}, "would write into one folder"),
    ({"runs": "r", "arms": {"a": 3}}, "arm a is 3: give settings"),
    ({"runs": "r", "arms": {"a": {}}, "preset": "no"}, "preset is 'no': choose one of"),
    ("runs: [", "cannot be read"),
])
def test_what_is_wrong_is_one_sentence_before_any_run(tmp_path, capsys, told, said):
    assert main(["sweep", str(written(tmp_path, told))]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error and "\n" not in error and [path.name for path in tmp_path.iterdir()] == ["arms.yaml"]


def test_there_is_no_such_file(capsys):
    assert main(["sweep", "nowhere.yaml"]) == 2 and "nowhere.yaml cannot be read" in capsys.readouterr().err


@pytest.mark.slow
def test_a_sweep_runs_its_arms_and_prints_the_table(tmp_path, capsys):
    told = {"runs": str(tmp_path / "runs"), "changes": SMALL, "arms": {"plain": {}, "wide": {"batch": 8}}}
    assert main(["sweep", str(written(tmp_path, told))]) == 0
    assert "wide" in capsys.readouterr().out and len(read_compacts(tmp_path / "runs" / "records")) == 2
    assert read_sweep(tmp_path / "arms.yaml").every()["wide-s0"][1]["batch"] == 8
