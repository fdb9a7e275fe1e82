"Statistics against enumeration and simulation; rules against the tools they are taken from; what is said when something is missing."
import base64
import json
import pickle
import subprocess
import sys
import zlib
from itertools import combinations
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr.benchmarks import BENCHMARKS, Unavailable, as_script, evalplus_right, fetch, lend, read_program, same_print
from azr.core import Task
from azr.evals import EXAMS, Exam, bootstrap, compare, comparisons, evaluate_models, examine, mcnemar, open_model, pass_at_k, remarks, result_table, sign_flips, wilson
from azr.executor import Call, Executor
from azr.sampling import Script
from azr.tiny import TINY
from azr.trainer import Config, azr_recipe, environment
from conftest import ROOT

TERSE = Exam(style="terse", limit=3)
ABOUT = {"model": "script"}


@given(st.lists(st.booleans(), min_size=1, max_size=7), st.data())
def test_pass_at_k_is_the_share_of_all_draws(right, data):
    k = data.draw(st.integers(1, len(right)))
    draws = [any(some) for some in combinations(right, k)]
    assert abs(pass_at_k(len(right), sum(right), k) - sum(draws) / len(draws)) < 1e-12


@pytest.mark.parametrize("chance, tasks", [(.133, 30), (.1, 40), (.05, 164), (.02, 200), (.5, 15), (.9, 500)])
def test_wilson_covers_the_truth_on_small_exams_and_rare_successes(chance, tasks):
    "Exactly, over all counts."
    weights = [comb(tasks, k) * chance**k * (1 - chance)**(tasks - k) for k in range(tasks + 1)]
    assert .93 <= sum(w for k, w in enumerate(weights) if (bounds := wilson(k, tasks))[0] <= chance <= bounds[1]) <= .98


def test_tasks_of_one_program_are_resampled_together():
    "200 exams of 40 programs with 1 to 9 tasks each, that are solved or not as a whole."
    rng, covered, alone, false = np.random.default_rng(1), 0, 0, 0
    for seed in range(200):
        sizes = rng.integers(1, 10, size=40)
        clusters, right = np.repeat(np.arange(40), sizes), np.repeat(rng.random(40) < .4, sizes)
        covered += (bounds := bootstrap(right, seed, 400, clusters=clusters))[0] <= .4 <= bounds[1]
        alone += (bounds := bootstrap(right, seed, 400))[0] <= .4 <= bounds[1]
        false += sign_flips(np.repeat(rng.choice([-1, 0, 1], size=40), sizes), clusters, seed, 400) < .05
    assert covered >= 180 and alone < 150 and false <= 20


def test_an_interval_without_spread_is_no_certainty():
    assert bootstrap([.5] * 5) == pytest.approx((.5 * .025 ** .2, 1 - .5 * .025 ** .2)) and bootstrap([1, 0, 1, 0], clusters=list("aabb"))[1] > .9
    result = lambda model, right: {"benchmark": "b", "data": {}, "model": model, "exam": {"samples": 1, "seed": 0, "style": "r1"}, "tasks": dict(zip("123", right)), "clusters": dict(zip("123", "ppq"))}
    found = compare(result("a", [1, 0, 0]), result("b", [0, 1, 0]))
    assert found["low"] == -found["high"] < -.8 and found["test"] == "sign flips" and found["p"] == 1
    old = {key: value for key, value in result("a", [1, 0, 0]).items() if key != "clusters"}
    assert compare(old, result("b", [0, 1, 0])) == found == compare(result("a", [1, 0, 0]), old | {"model": "b", "tasks": dict(zip("123", [0, 1, 0]))})


def test_turned_signs_are_mcnemar_where_every_task_stands_alone():
    differences = [1] * 12 + [-1] * 4 + [0] * 30
    assert abs(sign_flips(differences) - mcnemar([d < 0 for d in differences], [d > 0 for d in differences])) < .01 and sign_flips([0, 0]) == sign_flips([0, 1]) == 1


@pytest.mark.parametrize("chance, tasks", [(.5, 100), (.3, 200)])
def test_bootstrap_covers_the_truth(chance, tasks):
    "1,000 exams of models that solve a task with a known chance; 500 draws are enough for quantiles of 2.5 %."
    rng = np.random.default_rng(0)
    intervals = [bootstrap(rng.random(tasks) < chance, seed, draws=500) for seed in range(1000)]
    assert .93 <= np.mean([low <= chance <= high for low, high in intervals]) <= .97


def test_a_model_that_is_always_worse_has_an_interval():
    result = lambda model, right: {"benchmark": "b", "data": {}, "model": model, "exam": {"samples": 1, "seed": 0, "style": "r1"}, "tasks": {str(n): right for n in range(20)}}
    worse, better = compare(result("a", 1), result("b", 0)), compare(result("b", 0), result("a", 1))
    assert worse["difference"] == worse["low"] == -1 and -.9 < worse["high"] < -.8 and (better["low"], better["high"]) == (-worse["high"], 1)


def test_mcnemar_counts_the_tasks_that_differ():
    first, second = [True] * 5 + [False] * 5, [True] * 5 + [True] * 5
    assert mcnemar(first, second) == 2 / 2 ** 5 == mcnemar(second, first) and mcnemar(first, first) == 1


def test_a_row_without_a_field_is_named(tmp_path):
    (tmp_path / "cruxeval.jsonl").write_text('{"code": "a", "input": "1", "output": "2"}\n{"code": "a", "input": "1"}\n')
    with pytest.raises(ValueError, match="cruxeval.jsonl, row 2 has no field 'output': cruxeval-o needs code, input, output"): fetch(BENCHMARKS["cruxeval-o"], tmp_path)
    (tmp_path / "cruxeval.jsonl").write_text('{"code": "a", "input": "1", "output": "2"}\n{"code"')
    with pytest.raises(ValueError, match="line 2 is no JSON"): fetch(BENCHMARKS["cruxeval-o"], tmp_path)
    (tmp_path / "MbppPlus.jsonl.gz").write_bytes(b"cut")
    with pytest.raises(ValueError, match="is the file whole"): fetch(BENCHMARKS["mbpp+"], tmp_path)


def test_an_unreachable_hub_says_where_to_put_the_file(monkeypatch):
    import datasets
    def gone(*_, **__): raise ConnectionError("no route")
    monkeypatch.setattr(datasets, "load_dataset", gone)
    with pytest.raises(Unavailable, match="no route.*put it as math500.jsonl into the data folder"): fetch(BENCHMARKS["math500"], hub=True)


def test_empty_completions_are_counted_and_said(tmp_path):
    result = examine(Script(lambda prompt: ""), "heldout", TERSE, tmp_path, ABOUT, progress=False)
    assert result["remarks"] == ["9 of 9 completions are empty"] and result["scores"]["pass@1"]["value"] == 0 and result["scores"]["pass@1"]["high"] > .2
    assert {"benchmark", "model", "exam", "data", "first_prompt", "versions"} <= result.keys() and result["exam"]["style"] == "terse" and result["data"]["sha256"]


def test_an_exam_goes_on_where_it_stopped(tmp_path):
    exam, calls = Exam(style="terse", limit=4, batch=4, seed=3), []
    def stops(prompt):
        calls.append(prompt)
        if len(calls) > 6: raise KeyboardInterrupt
        return "1"
    with pytest.raises(KeyboardInterrupt): examine(Script(stops), "heldout", exam, tmp_path, ABOUT, progress=False)
    sheet = tmp_path / "heldout.jsonl"
    assert len(sheet.read_bytes().splitlines()) == 1 + 4
    sheet.write_bytes(sheet.read_bytes()[:-9])                       # the machine went off in the middle of a line
    resumed = examine(Script(lambda prompt: "1"), "heldout", exam, tmp_path, ABOUT, progress=False)
    assert resumed == examine(Script(lambda prompt: "1"), "heldout", exam, tmp_path / "unbroken", ABOUT, progress=False)
    with pytest.raises(ValueError, match="exam.seed: 3 there, 4 now"): examine(Script(str), "heldout", Exam(style="terse", limit=4, batch=4, seed=4), tmp_path, ABOUT, progress=False)


def test_what_is_missing_does_not_stop_the_rest(tmp_path):
    said = []
    results = evaluate_models([str(tmp_path / "none"), "tiny"], ["mbpp+", "nosuch", "cruxeval-o", "heldout"], TERSE, tmp_path / "out", say=said.append, progress=False)
    assert [r["benchmark"] for r in results] == ["heldout"] and [line for line in said if "SKIPPED" in line] == said[:4]
    assert "cannot be loaded" in said[0] and "no prompts in style 'terse'" in said[1] and "no benchmark 'nosuch'" in said[2] and "no cruxeval.jsonl" in said[3]
    with pytest.raises(ValueError, match="nothing was evaluated"): evaluate_models(["tiny"], ["nosuch"], TERSE, tmp_path / "out", say=said.append, progress=False)


def test_two_models_are_compared_task_by_task(tmp_path):
    base, other = (examine(Script(lambda prompt, text=text: text), "heldout", TERSE, tmp_path / text, {"model": text}, progress=False) for text in ("0", "[]"))
    same = compare(base, base)
    assert same["difference"] == 0 and same["p"] == 1 and same["low"] == -same["high"] < 0
    assert len(comparisons([base, other])) == 1 and "[] minus 0" in result_table([base, other])
    with pytest.raises(ValueError, match="different data"): compare(base, other | {"data": {}})


@pytest.mark.parametrize("settings, said", [({"samples": 0}, "at least 1"), ({"samples": 2}, "temperature above 0"), ({"tries": (2,)}, "draw more"), ({"tries": (0,)}, "k=0 is undefined"),
                                            ({"temperature": -1.0}, "0 or more"), ({"top_p": 0.0}, "more than 0"), ({"max_tokens": -1}, "max_tokens=-1")])
def test_settings_that_contradict_each_other(settings, said):
    with pytest.raises(ValueError, match=said): Exam(**settings)


@pytest.mark.parametrize("line, said", [(0, "line 1 is no JSON.*delete the file"), (2, "line 3 is no JSON.*delete the line")])
def test_a_damaged_sheet_is_named(tmp_path, line, said):
    examine(Script(lambda prompt: "1"), "heldout", TERSE, tmp_path, ABOUT, progress=False)
    sheet = tmp_path / "heldout.jsonl"
    sheet.write_text("\n".join("torn" if number == line else text for number, text in enumerate(sheet.read_text().split("\n"))))
    with pytest.raises(ValueError, match=said): examine(Script(lambda prompt: "1"), "heldout", TERSE, tmp_path, ABOUT, progress=False)
    sheet.write_text(sheet.read_text().replace("torn", "{}"))
    with pytest.raises(ValueError, match="has no field"): examine(Script(lambda prompt: "1"), "heldout", TERSE, tmp_path, ABOUT, progress=False)


@pytest.mark.parametrize("settings, said", [({"max_tokens": 256}, "leaves no room for a prompt in tiny's context of 256"), ({"style": "chat"}, "needs a chat template")])
def test_a_model_that_cannot_be_asked_like_that(settings, said):
    with pytest.raises(ValueError, match=said): open_model("tiny", Exam(**settings))


@pytest.mark.parametrize("config, said", [("{torn", "names no base model"), ("{}", "names no base model"), (json.dumps({"base_model_name_or_path": str(TINY)}), "does not load onto its base")])
def test_a_damaged_adapter_is_named(tmp_path, config, said):
    (tmp_path / "adapter_config.json").write_text(config)
    with pytest.raises(ValueError, match=said): open_model(str(tmp_path), Exam())


@pytest.mark.parametrize("program, entry, args, value", [
    ("def f(x):\n    return x + 1\ndef g(x):\n    return f(f(x))", "g", "1", "3"), ("class Solution:\n    def f(self, x):\n        return -x", "Solution().f", "1", "-1"),
    ("from __future__ import annotations\nimport sys, math\ndef g(x):\n    return min(x, sys.maxsize)", "g", "5", "5"), ("f = 3\ndef g(x):\n    global f\n    f = f + x\n    return f", "g", "1", "4")])
def test_an_entry_is_lent_the_name_f(program, entry, args, value):
    with Executor(workers=1) as executor: outcome, = executor.run([Call(lend(program, entry), args)])
    assert outcome.value == value, outcome


@pytest.mark.parametrize("program", ["print(sum(map(int, input().split())))", "import sys\nfor line in sys.stdin:\n    print(sum(int(w) for w in line.split()))\nsys.exit(0)",
                                     "from sys import stdin, stdout\nstdout.write(str(sum(map(int, stdin.read().split()))))", "def f():\n    a, b = map(int, input().split())\n    return a + b\nprint(f())"])
def test_a_script_reads_and_prints(program):
    with Executor(workers=1) as executor: outcome, = executor.run([Call(as_script(program, "20 22\n"), "")])
    assert outcome.ok and outcome.value.strip("'").replace("\\n", "") == "42", outcome


def test_livecodebench_packed_tests_and_their_verdicts():
    packed = base64.b64encode(zlib.compress(pickle.dumps(json.dumps([{"input": "3 4\n", "output": "7.0\n", "testtype": "stdin"}])))).decode()
    row = {"id": "0", "question_content": "Add.", "starter_code": "", "public_test_cases": '[{"input": "1 2\\n", "output": "3\\n", "testtype": "stdin"}]', "private_test_cases": packed}
    texts = [f"<answer>\n```python\n{program}\n```\n</answer>" for program in ("a, b = map(int, input().split())\nprint(a + b)", "print(3)", "while True: pass")]
    with Executor(**BENCHMARKS["livecodebench"].executor | {"timeout": .3}) as executor: verdicts = BENCHMARKS["livecodebench"].judge([(row, text) for text in texts], "chat", executor)
    assert [str(v.status) for v in verdicts] == ["ok", "wrong", "timeout"] and not same_print("a b", "a  b")


@pytest.mark.parametrize("changes", [{"private_test_cases": "abc"}, {"private_test_cases": "aGVsbG8="}, {"public_test_cases": '[{"input": "1"}]'}, {"public_test_cases": '[{"input": "1", "output": "2", "testtype": "functional"}]'},
                                     {"private_test_cases": base64.b64encode(zlib.compress(b"cos\nsystem\n(S'exit'\ntR.")).decode()}])
def test_livecodebench_tests_that_cannot_be_read(changes):
    row = {"id": "7", "question_content": "Add.", "public_test_cases": "[]", "private_test_cases": "[]"} | changes
    with pytest.raises(ValueError, match="livecodebench, row 7: its tests cannot be read"): BENCHMARKS["livecodebench"].judge([(row, "print(3)")], "chat", None)


def test_the_prompts_of_an_exam_are_those_of_training():
    "Both name the modules that the executor lets through."
    task = Task("induction", {"pairs": [["1", "3"], ["2", "6"]], "message": "Thrice."}, {"program": "def f(x):\n    return 3 * x", "pairs": [["14", "42"]]}, "i")
    with Executor(workers=1) as executor: kind, = azr_recipe(config := Config(task_types=("induction",), style="r1"), environment(config, executor)).task_types
    asked = EXAMS["heldout"].ask({"task": task}, "r1")
    assert asked == kind.solve_prompt(task) and "itertools" in asked.text


def test_a_bare_continuation_is_cut_where_it_stops_parsing():
    assert read_program("    return x\n\nThat is the answer.", "plain", "def g(x):\n") == "def g(x):\n    return x\n"


def test_evalplus_own_comparison():
    pytest.importorskip("evalplus")
    row = {"task_id": "Mbpp/1", "entry_point": "g", "atol": 0}
    assert evalplus_right(row, [1], 0.5)(0.5 + 1e-8) and not evalplus_right(row, [1], 0.5)(0.51) and not evalplus_right(row, [1], [1, 2])([1, 2, 3])
    assert evalplus_right(row, [1], True)(1) and evalplus_right(row | {"entry_point": "find_zero", "task_id": "HumanEval/32"} | {"atol": 1e-4}, [[-6, 2]], 0)(3.0)


def test_maths_without_its_package_says_what_to_type(monkeypatch):
    monkeypatch.setitem(sys.modules, "math_verify", None)
    with pytest.raises(Unavailable, match="math_verify is not installed: type `pip install"): BENCHMARKS["aime24"].judge([({"answer": "1"}, "1")], "plain", None)


def test_maths_by_math_verify():
    pytest.importorskip("math_verify")
    rows = [({"answer": gold}, text) for gold, text in (("\\frac{1}{2}", "so \\boxed{0.5}"), ("3", "\\boxed{4}"), (["1", "2"], "\\boxed{2}"), ("5", "no idea"))]
    assert [str(v.status) for v in BENCHMARKS["aime24"].judge(rows, "plain", None)] == ["ok", "wrong", "ok", "malformed"]


def test_the_evaluation_page_runs_as_it_stands(tmp_path):
    subprocess.run([sys.executable, "-m", "papermill", "-k", "python3", "--no-progress-bar", str(ROOT / "nbs/runs/evaluate.ipynb"), str(tmp_path / "out.ipynb"), "-p", "results", str(tmp_path), "-p", "limit", "2",
                    "-p", "record", str(tmp_path / "record.json")], check=True, capture_output=True, cwd=ROOT)
    record = json.loads((tmp_path / "record.json").read_text())
    assert [r["model"] for r in record["results"]] == ["tiny", "tiny_clean"] and record["comparisons"][0]["n"] == 6 and "tasks" not in record["results"][0]


def test_committed_reference_answers_are_right():
    record = json.loads((ROOT / "data" / "evals" / "reference_answers.json").read_text())
    for name in ("cruxeval-o", "cruxeval-i"): assert record[name] == {"right": 800, "rows": 800, "not right": {}}
    assert record["mbpp+, canonical"]["rows"] == 378 and record["mbpp+, canonical"]["right"] == 377 and list(record["mbpp+, canonical"]["not right"]) == ["Mbpp/596"]
    assert record["mbpp+"]["completions"] - record["mbpp+"]["agree"] == 3 and set(record["mbpp+"]["disagree"]) == {"Mbpp/596 canonical", "Mbpp/255 canonical", "Mbpp/630 canonical"}   # unscored; twice evalplus' clock under load
    assert record["heldout deduction, lm-eval"]["agree"] == record["heldout deduction, lm-eval"]["tasks"] == 500
    assert record["maths"]["agree"] == record["maths"]["answers"] and set(record["cruxeval-o, lm-eval"]["disagree"].values()) == {"a text"}


@pytest.mark.slow
def test_reference_answers_again(azr_data, tmp_path):
    if not (azr_data / "cruxeval.jsonl").exists(): pytest.skip(f"no cruxeval.jsonl in {azr_data}")
    subprocess.run([sys.executable, "-m", "papermill", "-k", "python3", "--no-progress-bar", str(ROOT / "nbs/runs/reference_answers.ipynb"), str(tmp_path / "out.ipynb"), "-p", "data", str(azr_data), "-p", "limit", "20", "-p", "programs", "20",
                    "-p", "record", str(tmp_path / "record.json")], check=True, capture_output=True, cwd=ROOT)
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["cruxeval-o"]["right"] == record["cruxeval-i"]["right"] == 20
    if "mbpp+" in record: assert record["mbpp+"]["canonical right"] == 20 and record["mbpp+"]["agree"] == 40


def test_a_task_without_an_expected_value_is_said_and_no_ones_fault():
    pytest.importorskip("evalplus")
    row = {"id": "Mbpp/596", "task_id": "Mbpp/596", "prompt": "", "entry_point": "size", "canonical_solution": "import sys\ndef size(x):\n    return sys.getsizeof(x)\n", "base_input": [[[1]]], "plus_input": [], "atol": 0}
    with Executor(**BENCHMARKS["mbpp+"].executor) as executor: verdict, = BENCHMARKS["mbpp+"].judge([(row, "<answer>\n```python\ndef size(x):\n    return 64\n```\n</answer>")], "chat", executor)
    assert str(verdict.status) == "unscored" and verdict.score == 0
    record = {"statuses": {"unscored": 1}, "empty": 0, "cut": 0}
    assert remarks([record], Exam()) == ["1 of 1 cannot be judged, because no test of their task has an expected value here: counted as wrong"]
