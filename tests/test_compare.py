"Runs beside one another: finished, half-written, of an older version, of another system."
import gzip, json, shutil
from pathlib import Path
from statistics import fmean

import pytest

from azr.cli import main
from azr.compare import compare, open_runs, read_exam
from azr.core import Completion, Prompt, Role, Rollout, Status, Task, Verdict
from azr.records import Records, open_folder
from azr.settings import config
from azr.statistics import _mcnemar, paired
from conftest import ROOT

OLD, RUNS = ROOT / "tests" / "old_run", ROOT / "data" / "compare"


def answered(right: bool, name: str, program: str = "") -> tuple[Task, Rollout]:
    "A task and its answer."
    task = Task("deduction", {"program": program} if program else {"question": name}, {"output": "1"}, name)
    verdict = Verdict(Status.OK, 1.0) if right else Verdict(Status.WRONG)
    return task, Rollout(Prompt("deduction", Role.SOLVE, f"{name}?"), Completion("1" if right else "2"), verdict)


def run_of(folder, rights, step=2, programs=(), **changes):
    "A run folder with the answers to one exam."
    open_folder(folder, config("demo", **changes))
    records = Records(folder)
    records.append(records.metrics, {"step": step, "heldout/accuracy": fmean(rights)})
    own = [answered(right, f"t{i}", programs[i] if programs else "") for i, right in enumerate(rights)]
    records.append_exam(step, "heldout", *zip(*own))
    return folder


def notes_of(shown) -> str: return "\n".join(note for view in shown for note in view.notes)


def test_the_test_is_the_one_by_hand(tmp_path):
    first, second = [1] * 5 + [0] * 15, [1] * 4 + [0] * 6 + [1] * 10
    shown = compare([run_of(tmp_path / "a", first, seed=1), run_of(tmp_path / "b", second, seed=2)])
    row, = shown[2].rows
    assert row[:5] == ("heldout", "b minus a", 20, "25.0%", "70.0%") and row[5] == "+45.0" and row[-1] == "McNemar"
    assert float(row[-2]) == pytest.approx(_mcnemar(first, second), rel=.05)
    assert [r[:3] for r in shown[0].rows] == [("seed", "1", "2")]
    alone = [row[0] for row in shown[4].rows]
    assert alone == ["a alone, 1 of 1", *["b alone, 1 of 10"] * 3]


def test_tasks_on_one_program_hang_together(tmp_path):
    first, second = [0] * 20, [1] * 20
    programs = [f"p{i // 10}" for i in range(20)]
    shown = compare([run_of(tmp_path / name, own, programs=programs) for name, own in (("a", first), ("b", second))])
    assert shown[2].rows[0][-1] == "sign flips" and float(shown[2].rows[0][-2]) == .5   # two programs tell little
    assert paired(first, second)["p"] < .001


def test_the_pages_own_runs_lie_in_a_checkout(tmp_path, monkeypatch):
    cells = json.loads((ROOT / "nbs" / "runs" / "compare.ipynb").read_text(encoding="utf-8"))["cells"]
    first, = ["".join(cell["source"]) for cell in cells if "open_runs(folders)" in "".join(cell["source"])]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="runs is empty, .* give run folders"): exec(first, {"runs": [], "examples": 2})


def test_figures_go_into_a_new_folder_and_into_no_file(tmp_path, capsys):
    (tmp_path / "afile").write_text("")
    words = ["compare", *map(str, (RUNS / "self-play", RUNS / "shuffled-rewards")), "--figures"]
    for place in ("afile", "afile/below"):
        assert main([*words, str(tmp_path / place)]) == 2
        told = capsys.readouterr()
        assert "a file stands where a folder is wanted" in told.err and "\n" not in told.err.strip() and not told.out
    assert main([*words, str(tmp_path / "new" / "deeper")]) == 0
    assert (tmp_path / "new" / "deeper" / "curves.png").is_file()


def test_committed_runs_are_compared_by_the_command(capsys, tmp_path):
    assert main(["compare", str(RUNS / "self-play"), str(RUNS / "shuffled-rewards"), "--figures", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "control  none       shuffled_rewards" in shown and "shuffled-rewards minus self-play" in shown
    assert {path.name for path in tmp_path.iterdir()} == {"curves.png", "funnels.png"}
    exam, wrong = read_exam(RUNS / "self-play")
    summary = json.loads((RUNS / "self-play" / "summary.json").read_text())
    last, of_type = exam[max(exam)]["heldout"].values(), {}
    for line in last: of_type.setdefault(line["type"], []).append(line["right"])
    assert not wrong and fmean(map(fmean, of_type.values())) == pytest.approx(summary["heldout"]["after"])


def test_an_older_version_kept_no_answers():
    shown = compare([RUNS / "self-play", OLD])
    assert "old_run: no answers to an exam are recorded" in notes_of(shown)
    assert "have no task of an exam in common" in notes_of(shown) and len(shown[1].rows) == 3 and shown[3].rows
    backend, = [row for row in shown[0].rows if row[0] == "lora_rank"]
    assert backend == ("lora_rank", "0", "2") and "trivial" not in {row[0] for row in shown[0].rows}   # a later field


def test_recipes_are_said_to_be_not_compared(tmp_path):
    for name in ("one", "two"): open_folder(tmp_path / name, config("", system="azr.sums:SUMS"))
    shown = compare([tmp_path / "one", tmp_path / "two"])
    assert not shown[0].rows and shown[0].notes[-2:] == (
        "all settings are equal",
        "what a recipe of one's own changes, such as its rewards, is no setting and not compared")


def test_runs_of_two_systems(tmp_path):
    sums = tmp_path / "sums"
    open_folder(sums, config("", system="azr.sums:SUMS"))
    shown = compare([RUNS / "self-play", sums])
    differ = {row[0]: row[1:] for row in shown[0].rows}
    assert differ["system"] == ("azr", "azr.sums:SUMS") and differ["most"] == (None, "5")
    assert "there is no metrics.jsonl" in notes_of(shown)


def test_a_system_that_is_not_here(tmp_path):
    open_folder(tmp_path / "theirs", config("demo"))
    text = (tmp_path / "theirs" / "params.yaml").read_text().replace("system: azr", "system: nowhere:THEIRS")
    (tmp_path / "theirs" / "params.yaml").write_text(text)
    assert "shown as they were recorded, since system 'nowhere:THEIRS'" in notes_of(compare([OLD, tmp_path / "theirs"]))


def halved(path): path.write_bytes(path.read_bytes()[:path.stat().st_size // 2])
def spoiled(path): path.write_bytes(b"no gzip")
def first_only(path): path.write_bytes(path.read_bytes()[:len(next_member(path.read_bytes()))])

def next_member(data):
    "The first gzip member of a file."
    end = data.index(b"\x1f\x8b\x08", 3)
    return data[:end]


@pytest.mark.parametrize("name, change, said", [
    ("exam.jsonl.gz", halved, "exam.jsonl.gz ends torn"),
    ("exam.jsonl.gz", spoiled, "exam.jsonl.gz is damaged"),
    ("exam.jsonl.gz", first_only, "its only answers are those before training"),
    ("metrics.jsonl", halved, "the last line of metrics.jsonl is not whole"),
    ("params.yaml", Path.unlink, "there is no params.yaml"),
    ("params.yaml", spoiled, "params.yaml holds no settings"),
    ("summary.json", Path.unlink, "there is no summary.json: the run is not finished"),
])
def test_a_half_written_run_is_compared_as_far_as_it_goes(tmp_path, name, change, said):
    shutil.copytree(RUNS / "self-play", tmp_path / "run")
    change(tmp_path / "run" / name)
    shown = compare([tmp_path / "run", RUNS / "shuffled-rewards"])
    told = [note for note in shown[0].notes if note.startswith("run: ")]
    assert len(told) == 1 and said in told[0] and "\n" not in told[0]
    assert all(repr(view) and view._repr_html_() for view in shown)


@pytest.mark.parametrize("folders, said", [
    ([OLD], "1 run folder is given: give two or more"),
    ([OLD, OLD], "is given twice"),
    ([OLD, ROOT / "nbs"], "holds no file of a run"),
    ([OLD, ROOT / "nothing"], "no run folder"),
])
def test_what_is_no_pair_of_runs_is_one_sentence(folders, said, capsys):
    assert main(["compare", *map(str, folders)]) == 2
    told = capsys.readouterr().err.strip()
    assert said in told and "\n" not in told


def test_two_folders_of_one_name_are_told_apart(tmp_path):
    for place in ("a", "b"): shutil.copytree(RUNS / "self-play", tmp_path / place / "run")
    assert [side.name for side in open_runs([tmp_path / "a" / "run", tmp_path / "b" / "run"])] == ["a/run", "b/run"]


def test_an_exam_beyond_the_last_checkpoint_is_forgotten(tmp_path):
    folder, records = run_of(tmp_path / "run", [1, 0]), Records(tmp_path / "run")
    records.append_exam(5, "heldout", *zip(answered(True, "t0")))
    assert sorted(read_exam(folder)[0]) == [2, 5]
    records.cut(2)
    assert sorted(read_exam(folder)[0]) == [2]
    assert gzip.decompress((folder / "exam.jsonl.gz").read_bytes()).count(b"\n") == 2
