"A domain of one page, by the command line alone: it trains, goes on, is done, and refuses in one sentence."

import json
from random import Random
from shutil import copytree

import pytest
import torch
import yaml

from azr.cli import main
from azr.core import Attempt, Prompt, Proposal, Role, Status, Task
from azr.models import load_policy
from azr.settings import config
from azr.sums import SUMS, Sums, _draw_sum, _split_of, _sum_task
from pages import Azr

SMALL = [f"--set={one}" for one in ("lessons=100", "batch=4", "attempts=2", "steps=2", "test_tasks=4",
                                    "evaluate_tasks=2", "save_every=1")]
NAME = "azr.sums:SUMS"

# a system of one's own, as somebody writes it into a file of this folder; what stands in braces may be wrong
MINE = """
from dataclasses import dataclass
from azr.selfplay import Phase
from azr.settings import Settings, System
from azr.sums import SUMS, SumsSettings

@dataclass(frozen=True)
class Mine(SumsSettings):
    system: str = "my_page:MINE"
    def phase(self, step): return {phase}

class Idle(Settings): pass

MINE = System("mine", Mine, SUMS.environment, {recipe}, {exam}, start=SUMS.start)
IDLE = System("idle", Idle, SUMS.environment, SUMS.recipe, SUMS.exam)
"""
WHOLE = {"phase": 'Phase("mine", proposals=self.batch, attempts=self.attempts)', "recipe": "SUMS.recipe",
         "exam": "SUMS.exam"}


def trained(folder, *words): return main(["train", "--system", NAME, "--run", str(folder), *SMALL, *words])


def refused(capfd, status): # the one sentence
    "What the command says as it refuses."
    said = [line for line in capfd.readouterr().err.splitlines() if line.startswith("azr: ")]
    assert status == 2 and len(said) == 1
    return said[0].removeprefix("azr: ")


# ---- the task type

@pytest.mark.parametrize("text, status", [
    ("1+1", Status.OK), ("3+8+5", Status.OK), ("7", Status.MALFORMED), ("", Status.MALFORMED), ("1+", Status.MALFORMED),
    ("12+3", Status.MALFORMED), ("1+-2", Status.MALFORMED), ("1 + 2", Status.MALFORMED),
    ("\u0661+\u0662", Status.MALFORMED), ("1+1\n", Status.MALFORMED), ("1+2+3+4+5+6", Status.TOO_LARGE)])
def test_a_proposal_is_a_sum_of_digits_or_says_why_not(text, status):
    found, = Sums().validate([Proposal(Prompt("sums", Role.PROPOSE, "1+1;"), text)], None)
    if status == Status.OK: assert isinstance(found, Task) and found.hidden["value"] == str(eval(text))
    else: assert found.status == status and found.detail and "\n" not in found.detail


@pytest.mark.parametrize("name", ["validation", "heldout"])
def test_no_proposal_may_use_a_sum_of_the_exam(name):
    asked = SUMS.exam(config("", system=NAME), name, 100)
    prompt = Prompt("sums", Role.PROPOSE, "1+1;")
    turned = ["+".join(reversed(task.id.split("+"))) for task in asked]
    found = Sums().validate([Proposal(prompt, text) for text in [*turned, *(task.id for task in asked)]], None)
    assert {verdict.status for verdict in found} == {Status.HELD_OUT} and len({task.id for task in asked}) == 100
    assert SUMS.exam(config("", system=NAME), name, 7) == asked[:7]


def test_every_split_has_sums_of_up_to_three_digits():
    for name in ("train", "validation", "heldout"): assert _split_of(_draw_sum(Random(0), 3, name)) == name


@pytest.mark.parametrize("answer, status", [("16", Status.OK), ("016", Status.WRONG), ("11", Status.WRONG),
                                            ("", Status.MALFORMED), ("3+8", Status.MALFORMED)])
def test_an_answer_is_the_value_as_a_number(answer, status):
    task = _sum_task("3+8+5")
    assert Sums().verify([(task, [Attempt(task.id, answer)])], None)[0][0].status == status


# ---- a run by its name

@pytest.fixture(scope="module")
def run(tmp_path_factory): # its folder
    folder = tmp_path_factory.mktemp("sums") / "run"
    assert trained(folder) == 0
    return folder


def test_the_system_trains_by_its_name(run):
    assert {"params.yaml", "metrics.jsonl", "summary.json", "learning.png", "model", "start"} <= {
        path.name for path in run.iterdir()}
    summary = json.loads((run / "summary.json").read_text())
    assert summary["steps"] == 2 and set(summary["heldout"]) == {"before", "after", "gain", "by_type"}
    assert yaml.safe_load((run / "params.yaml").read_text())["config"]["system"] == NAME
    before, after = (load_policy(str(run / name))[0] for name in ("start", "model"))
    assert any(not torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters()))


def test_a_run_that_is_done_stays(run, capfd):
    before = (run / "metrics.jsonl").read_bytes()
    assert trained(run) == 0 and "is done already" in capfd.readouterr().out
    assert (run / "metrics.jsonl").read_bytes() == before


def test_a_longer_run_goes_on_to_the_same_bytes(run, tmp_path, capfd):
    "Two steps, then one more in the same folder: the steps are those of three at once."
    assert trained(tmp_path / "whole", "--set=steps=3") == 0
    assert trained(tmp_path / "parts") == 0 and trained(tmp_path / "parts", "--set=steps=3") == 0
    assert "going on after step 2" in capfd.readouterr().out
    whole, parts = ([json.loads(line) for line in (tmp_path / name / "metrics.jsonl").open()]
                    for name in ("whole", "parts"))
    def steps(lines): return [{k: v for k, v in line.items() if k.startswith(("propose/", "solve/"))} for line in lines]
    assert steps(whole) == steps(parts) and len(whole) == 4


def test_the_same_metrics_where_the_base_was_made_before(run, tmp_path):
    "A stop between the base and the first step changes nothing: the run's random numbers begin after the base."
    copytree(run / "start", tmp_path / "run" / "start")
    assert trained(tmp_path / "run") == 0
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == (run / "metrics.jsonl").read_bytes()


def test_it_trains_an_adapter_on_its_own_base(tmp_path):
    assert trained(tmp_path / "run", "--set=lora_rank=2", "--set=steps=1") == 0
    model, _ = load_policy(str(tmp_path / "run"))
    assert any("lora_" in name for name, _ in model.named_parameters())


# ---- what is refused, before any work

@pytest.mark.parametrize("lines, words, sentence", [
    ("system: azr.sums:SUMS\nstyle: r1", [], "unknown setting style of system azr.sums:SUMS"),
    ("system: azr\nstyle: r1", ["--system", NAME], "is of system 'azr', and 'azr.sums:SUMS' is asked for"),
    ("system: azr\nforgotten: .5", [], "unknown setting forgotten of system azr"),
    ("system: azr.sums:SUMS\nmost: 2", [], "most is 2: of two digits too few sums are held out, so give 3 or more"),
    ("system: azr.sums:SUMS\nbatch: many", [], "batch is 'many': give a whole number"),
])
def test_a_file_of_another_systems_settings_is_refused(tmp_path, capfd, lines, words, sentence):
    (tmp_path / "own.yaml").write_text(lines)
    status = main(["train", *words, "--config", str(tmp_path / "own.yaml"), "--run", str(tmp_path / "run")])
    assert sentence in refused(capfd, status) and not (tmp_path / "run").exists()


@pytest.mark.parametrize("name, sentence", [
    ("nobody:NONE", "system 'nobody:NONE' cannot be imported (ModuleNotFoundError: No module named 'nobody')"),
    ("azr.sums:NONE", "system 'azr.sums:NONE' cannot be imported"),
    ("azr.sums:Sums", "'azr.sums:Sums' is a type: name an azr.settings.System"),
    ("chess", "no system is called 'chess': take one of "),
])
def test_what_is_no_system_is_refused(tmp_path, capfd, name, sentence):
    status = main(["train", "--system", name, "--run", str(tmp_path / "run")])
    assert sentence in refused(capfd, status) and not (tmp_path / "run").exists()


def test_a_folder_of_another_system_is_refused(run, capfd):
    before = sorted(path.name for path in run.iterdir())
    status = main(["train", "--preset", "demo", "--run", str(run)])
    assert "system: 'azr.sums:SUMS' there, 'azr' now" in refused(capfd, status)
    assert sorted(path.name for path in run.iterdir()) == before


def test_a_prompt_that_does_not_fit_leaves_no_folder(tmp_path, capfd):
    status = trained(tmp_path / "run", "--set=max_prompt_tokens=2")
    assert "the prompt of the simplest sums task is longer than 2 tokens" in refused(capfd, status)
    assert not (tmp_path / "run").exists()


# ---- a file of one's own

def by_command(folder, *words): # exit status, what it said
    "`azr train` as a person calls it who stands in this folder."
    process = Azr("train", "--run", "run", *words, folder=folder, CUDA_VISIBLE_DEVICES="")
    said, _ = process.communicate(300)
    return process.returncode, said


def test_a_system_of_ones_own_lies_in_this_folder(tmp_path):
    (tmp_path / "my_page.py").write_text(MINE.format(**WHOLE))
    status, said = by_command(tmp_path, "--system", "my_page:MINE", *SMALL)
    assert status == 0, said[-2000:]
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["steps"] == 2


@pytest.mark.parametrize("wrong, name, sentence", [
    ({"exam": "None"}, "MINE", "system 'mine' has no exam: give a function"),
    ({"recipe": "None"}, "MINE", "system 'mine' has no recipe: give a function"),
    ({"phase": 'Phase("mine", proposals=2 - step)'}, "MINE", "phase 'mine' has nothing to do: give it proposals, or "),
    ({}, "IDLE", "Idle has no phase: let its `phase(step)` return a Phase"),
])
def test_a_system_that_is_not_whole_is_refused_before_any_work(tmp_path, wrong, name, sentence):
    (tmp_path / "my_page.py").write_text(MINE.format(**WHOLE | wrong))
    status, text = by_command(tmp_path, "--system", f"my_page:{name}", "--set", "steps=2")
    said = text.strip().splitlines()
    assert status == 2 and len(said) == 1 and sentence in said[0] and not (tmp_path / "run").exists()
