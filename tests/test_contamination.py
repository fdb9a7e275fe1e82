"A planted copy of an exam is found, respelt or not; files that are missing or damaged are named."

import json
import subprocess
import sys

import pytest
from pages import papermill

from azr.benchmarks import BENCHMARKS, fetch
from azr.contamination import answered_programs, _benchmark_programs, equal_rows, local_benchmarks, _overlap, overlaps
from azr.core import Completion, Prompt, Role, Rollout, Status, Task, Verdict
from azr.azr import _overlap_record
from azr.settings import config
from azr.grammar import held_out_tasks
from conftest import ROOT

EXAM = {
    "a": "def f(numbers):\n    total = 0\n    for number in numbers:\n        total += number * 2\n    return total",
    "b": "def f(text):\n    words = text.split()\n    return ' '.join(sorted(words, key=len))",
    "c": "def f(x, y):\n    while y:\n        x, y = y, x % y\n    return x",
}
RESPELT = (
    "def f(xs: list) -> int:\n    '''Twice the sum.'''\n    t=0\n    for x in xs: t += (x*2)   # twice\n    return t")
UNRELATED = "def f(s):\n    return {c: s.count(c) for c in set(s)}"


def test_controls():
    found = {name: _overlap([program], EXAM.values())
             for name, program in (("copy", EXAM["a"]), ("respelt", RESPELT), ("unrelated", UNRELATED))}
    assert [one["equal"] for one in found.values()] == [1, 1, 0] and found["copy"]["ngram_share"] == found["respelt"][
        "ngram_share"] == pytest.approx(1 / 3, abs=0.05)
    assert found["unrelated"]["ngram_share"] < 0.1 and found["unrelated"]["mostly_seen"] == 0
    assert found["copy"]["mostly_seen"] == 1
    assert equal_rows([RESPELT, UNRELATED], EXAM) == {"a": RESPELT}
    assert (
        _overlap([EXAM["a"].replace("* 2", "* 3")], EXAM.values())["equal"] == 0)  # another constant is another program


def test_a_part_is_found_by_ngrams_alone():
    found = _overlap([EXAM["c"].replace("x % y", "x - y")], [EXAM["c"]])
    assert found["equal"] == 0 and .5 < found["ngram_share"] < 1 and found["mostly_seen"] == 1


def test_each_question_counts():
    found = overlaps([EXAM["a"]], {"one": [EXAM["a"]] * 3 + [EXAM["b"]], "none": []})
    assert found["one"]["asked"] == 4 and found["one"]["equal"] == 3 and found["one"]["equal_share"] == .75
    assert found["none"]["equal_share"] is None and found["none"]["ngram_share"] is None
    assert _overlap([], EXAM.values())["ngram_share"] == 0


def test_overlap_sees_through_spelling():
    programs = [
        "def f(x):\n    return x",
        "def f(x):\n    return x + 1",
        "def f(x):\n    return [i for i in x if i % 2]",
        "def f(xs):\n    t = 0\n    for x in xs:\n        t += x\n    return t",
    ]
    respelt = "def f(numbers):\n    'sum'\n    total = 0\n    for n in numbers: total += n\n    return total"
    found = _overlap([respelt], programs, 4)
    assert found["equal"] == 1 and found["equal_share"] == 1 / 4 and 1 / 4 <= found["ngram_share"] < 1
    assert _overlap(programs, programs, 4)["equal_share"] == 1 == _overlap(programs, programs, 4)["ngram_share"]


def test_no_hash_seed_changes_a_digit():
    program = ("from azr.contamination import _overlap\n"
               f"print(_overlap([{RESPELT!r}, {UNRELATED!r}], {list(EXAM.values())!r}, 4))")
    said = {
        subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT,
                       env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "PATH": ""}).stdout
        for seed in "12"
    }
    assert len(said) == 1


# ---- benchmarks

def test_programs_of_benchmarks_are_called_f(tmp_path):
    rows = [{
        "task_id": "HumanEval/0",
        "prompt": "import math\n\ndef area(f):\n    '''Of a circle.'''\n",
        "canonical_solution": "    return math.pi * f * f\n",
    }]
    (tmp_path / "HumanEvalPlus-v0.1.10.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    rows = [{
        "task_id": "Mbpp/1",
        "prompt": "\"\"\"\nWrite a function.\n\"\"\"",
        "canonical_solution": "\ndef add_all(f):\n  return sum(f)\n",
    }]
    (tmp_path / "MbppPlus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found, skipped = local_benchmarks(tmp_path)
    assert equal_rows(["def f(xs): return sum(xs)"], found["MBPP+"]) == {"Mbpp/1": "def f(xs): return sum(xs)"}
    assert list(equal_rows(["import math\ndef f(r):\n    return math.pi * r * r"], found["HumanEval+"])) == [
        "HumanEval/0"]
    assert list(skipped) == ["CRUXEval"] and "AZR_DATA" in skipped["CRUXEval"]
    own, skipped = local_benchmarks(None)
    assert set(own) == {"functions", "functions-validation"} and set(skipped) == {"CRUXEval", "MBPP+", "HumanEval+"}


def test_a_proposal_that_is_a_function_of_our_exam_is_found():
    own, _ = local_benchmarks(None)
    row, program = next((row, program) for row, program in own["functions"].items() if "result" in program)
    proposal = program.replace("result", "answer_so_far").replace("\n", "   # note\n", 1)
    assert equal_rows([proposal, UNRELATED], own["functions"]) == {row: proposal}
    found = overlaps([proposal, UNRELATED], {name: rows.values() for name, rows in own.items()})
    assert [one["equal"] for one in found.values()] == [1, 0] and [one["asked"] for one in found.values()] == [300, 150]


@pytest.mark.parametrize(
    "text, said",
    [
        ('{"id": "1"}', "cruxeval.jsonl, row 1 has no text 'code'"),
        ('{"id": "1", "code": 3}', "has no text 'code'"),
        ('{"id": "1", "code": "x"}\n\n{"id', "cruxeval.jsonl, line 3 is no JSON"),
        ("[1]", "has no text 'id'"),
    ],
)
def test_a_damaged_file_is_named_with_row_and_field(tmp_path, text, said):
    (tmp_path / "cruxeval.jsonl").write_text(text)
    with pytest.raises(ValueError, match=said): _benchmark_programs("CRUXEval", tmp_path)
    assert said in local_benchmarks(tmp_path)[1]["CRUXEval"]


def test_real_benchmarks_are_read_whole(azr_data):
    found, _ = local_benchmarks(azr_data)
    if not {"CRUXEval", "MBPP+"} <= set(found): pytest.skip(f"no cruxeval.jsonl and MbppPlus.jsonl in {azr_data}")
    assert len(found["CRUXEval"]) == 800 and len(found["MBPP+"]) == 378
    assert all("def f(" in program for program in found["MBPP+"].values())


# ---- runs

@pytest.mark.slow   # the held-out splits take ten seconds to draw; 38_run asserts the first half of it on the page
def test_a_planted_exam_shows_in_the_summary():
    settings = config("demo", test_tasks=10, evaluate_tasks=10)
    exam = held_out_tasks("test", 500, ("deduction",))[:10]
    answers = [
        Rollout(Prompt("induction", Role.SOLVE, "..."), Completion(task.given["program"].replace("x", "value")),
                Verdict(Status.WRONG))
        for task in exam[:4]
    ]
    harmless = Task("deduction", {"program": UNRELATED, "input": "'a'"}, {"output": "{'a': 1}"}, "u")
    ours = fetch(BENCHMARKS["functions-o"])[0][0]
    own = Task("deduction", {"program": ours["code"], "input": ours["input"]}, {"output": ours["output"]}, "o")
    clean = _overlap_record([harmless], [], settings)
    leaked = _overlap_record([*exam, harmless, own], answers, settings)
    assert (clean["proposals"]["functions"]["equal"], leaked["proposals"]["functions"]["equal"]) == (0, 1)
    assert clean["proposals"]["test"]["equal"] == 0 == clean["answers"]["test"]["equal"]
    assert leaked["proposals"]["test"]["equal"] == 10
    asked = [task.given["program"] for task in exam]
    assert leaked["answers"]["test"]["equal"] == sum(program in asked[:4] for program in asked)
    assert leaked["proposals"]["test"]["asked"] == 10 and set(leaked["skipped"]) == {"CRUXEval", "MBPP+", "HumanEval+"}


def test_answers_that_are_no_programs_do_not_count():
    def answer(text, kind="induction", role=Role.SOLVE, status=Status.OK):
        return Rollout(Prompt(kind, role, "..."), Completion(text), Verdict(status))

    rollouts = [answer(EXAM["a"]), answer("1<in>2"), answer(EXAM["b"], "abduction"),
                answer(EXAM["b"], role=Role.PROPOSE), answer(EXAM["c"], status=Status.WRONG)]
    assert answered_programs(rollouts, "terse") == {EXAM["a"], EXAM["c"]} and answered_programs(
        rollouts, "terse", right=True
    ) == {EXAM["a"]}


def test_committed_records_hold_counts_and_names_only():
    for name in ("demo", "azr_seeds"):
        path = ROOT / "data" / "contamination" / f"{name}.json"
        found = json.loads(path.read_text())
        assert path.stat().st_size < 30_000 and "def " not in path.read_text()
        assert {"CRUXEval", "MBPP+", "test"} <= set(next(iter(found["overlap"]["proposals"].values())))
    assert all(
        sets[split]["equal"] == 0
        for sets in json.loads((ROOT / "data/contamination/demo.json").read_text())["overlap"]["proposals"].values()
        for split in ("validation", "test", "distinct", "shifted")
    )


@pytest.mark.slow
def test_the_notebook_finds_what_is_planted(tmp_path):
    exam = held_out_tasks("test", 500, ("deduction",))[:3]
    (tmp_path / "mine.jsonl").write_text(
        "".join(json.dumps({"program": program}) + "\n" for program in (exam[0].given["program"], RESPELT)))
    (tmp_path / "cruxeval.jsonl").write_text(json.dumps({"id": "planted", "code": EXAM["a"]}) + "\n")
    papermill(ROOT / "nbs/runs/contamination.ipynb", tmp_path / "out.ipynb", "-p", "programs", tmp_path / "mine.jsonl",
              "-p", "data", tmp_path, "-p", "record", tmp_path / "found.json")
    found = json.loads((tmp_path / "found.json").read_text())
    assert found["overlap"]["proposals"]["mine"]["test"]["equal"] >= 1
    assert found["equal_rows"]["proposals"]["CRUXEval"] == ["planted"]
    assert found["skipped"] == ["HumanEval+", "MBPP+"]
