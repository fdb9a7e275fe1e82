"A model card says what the records say, of any system, and refuses a run that is not done."
import json, shutil
from statistics import fmean

import pytest
import yaml

from azr.card import model_card
from azr.cli import main
from azr.compare import read_exam
from azr.statistics import bootstrap
from conftest import ROOT

OLD, RUN = ROOT / "tests" / "old_run", ROOT / "data" / "compare" / "self-play"
SECTIONS = ("What it is", "Data", "How it was made", "Exam", "Contamination", "Safety", "Licence")


def parts(text): # the head, section -> its text
    _, head, body = text.split("---\n", 2)
    found = dict(part.split("\n", 1) for part in body.split("\n## ")[1:])
    return yaml.safe_load(head), found


def test_a_card_holds_the_runs_own_numbers():
    head, found = parts(model_card(RUN))
    summary = json.loads((RUN / "summary.json").read_text())
    params = yaml.safe_load((RUN / "params.yaml").read_text())
    assert tuple(found) == SECTIONS and head["datasets"] == [] and "No data set" in found["Data"]
    exam, _ = read_exam(RUN)
    lines = [*exam[10]["heldout"].values()]
    right = [float(line["right"]) for line in lines]
    low, high = bootstrap(right, clusters=[line["cluster"] for line in lines])
    assert f"{100 * fmean(right):.1f} % ({100 * low:.1f} to {100 * high:.1f})" in found["Exam"]
    assert f"{100 * summary['heldout']['after']:.1f} %" in found["Exam"]   # the mean of types of one size
    assert f"| `batch` | `{params['config']['batch']}` | `64` |" in found["How it was made"]
    own = summary["overlap"]["proposals"]["test"]
    row = f"| proposals | test | {own['asked']} | {own['equal']} | {own['ngram_share']:.1%} |"
    assert row in found["Contamination"]
    assert f"{summary['executor']['calls']:,} programs" in found["Safety"]


def test_it_is_written_beside_the_weights_and_its_head_is_read_by_the_hub(tmp_path, capsys):
    folder = shutil.copytree(OLD, tmp_path / "run")
    assert main(["card", str(folder)]) == 0 and "README.md" in capsys.readouterr().out
    from huggingface_hub import ModelCard
    card = ModelCard.load(folder / "model" / "README.md")
    assert card.data.library_name == "transformers" and "azr" in card.data.tags
    assert "Without intervals: no answers to an exam are recorded" in card.text   # of an older version
    assert main(["card", str(folder), "--output", "-"]) == 0
    assert capsys.readouterr().out == (folder / "model" / "README.md").read_text(encoding="utf-8")


def test_a_system_without_overlap_or_executor_says_so(tmp_path):
    folder = shutil.copytree(RUN, tmp_path / "run")
    summary = json.loads((folder / "summary.json").read_text())
    for name in ("overlap", "executor"): del summary[name]
    (folder / "summary.json").write_text(json.dumps(summary))
    _, found = parts(model_card(folder))
    assert "Not measured" in found["Contamination"] and "programs that the model wrote" not in found["Safety"]


@pytest.mark.parametrize("gone, said", [
    ("summary.json", "so the run is not done: finish it by `azr train`"),
    ("params.yaml", "has no params.yaml: give the folder of a run"),
    ("", "has no model to write the card beside: give --output FILE"),
])
def test_what_has_no_card_is_one_sentence(tmp_path, capsys, gone, said):
    folder = shutil.copytree(RUN, tmp_path / "run")
    if gone: (folder / gone).unlink()
    assert main(["card", str(folder)]) == 2
    told = capsys.readouterr().err.strip()
    assert said in told and "\n" not in told


def test_a_card_goes_into_a_new_folder_and_over_none(tmp_path, capsys):
    assert main(["card", str(RUN), "--output", str(tmp_path / "new" / "card.md")]) == 0
    assert (tmp_path / "new" / "card.md").read_text().startswith("---") and capsys.readouterr().out
    assert main(["card", str(RUN), "--output", str(tmp_path / "new")]) == 2
    told = capsys.readouterr().err.strip()
    assert str(tmp_path / "new") in told and told.endswith("a folder stands where a file is wanted, name a file in it")


def test_a_torn_summary_is_one_sentence(tmp_path, capsys):
    folder = shutil.copytree(RUN, tmp_path / "run")
    (folder / "summary.json").write_text("{")
    assert main(["card", str(folder)]) == 2 and "cannot be read" in capsys.readouterr().err
