"Answers are judged by the benchmark's own rule inside the jail: verdicts beside the graders', what an answer may be."
import ast
import importlib.util
import json
import tracemalloc

import pytest

from azr.benchmarks import (
    BENCHMARKS, _HUMANEVAL_STOP, _MATHS_STOP, Unavailable, _ask_worker, _Check, _cut, _evalplus_passes, fetch,
    _live_passes, _LiveTest, _longest_code, own_functions, _read_program, _run_checks, _same_print, _value_like,
    _WIDE_EXECUTOR, _worker_said)
from azr.contamination import equal_rows, local_benchmarks, _ngrams
from azr.core import Status
from azr.executor import Call, Executor, Outcome, _jail_trouble
from azr.safety import ProgramStatus, check_program
from azr.values import canonical_program
from conftest import always
from graded_programs import (ACCIDENTS, CODE, CODES, DROPPED, FUNCTIONS, HOSTILE, INPUTS, LIBRARY, PEEK, SCRIPTS,
                             SUM)

JAIL = pytest.mark.skipif(bool(_jail_trouble()), reason=f"answers run in a jail only: {_jail_trouble()}")
EVALPLUS = pytest.mark.skipif(importlib.util.find_spec("evalplus") is None, reason="evalplus==0.3.1 is not installed")


@pytest.fixture(scope="module")
def judges():
    with BENCHMARKS["livecodebench"].judging() as executor: yield executor


def live(tests, executor, texts, metadata="{}"):
    row = {"id": "0", "question_content": "", "public_test_cases": json.dumps(tests), "private_test_cases": "[]",
           "metadata": metadata}
    return BENCHMARKS["livecodebench"].judge([(row, text) for text in texts], "chat", executor)


def fenced(*programs): return "<answer>" + "\n".join(f"```python\n{program}\n```" for program in programs) + "</answer>"


def scripted(inputs, outputs): return [{"input": i, "output": o, "testtype": "stdin"} for i, o in zip(inputs, outputs)]


def row_of(entry, reference, inputs, task="Mbpp/9999"):
    return {"id": task, "task_id": task, "prompt": f'"""\nWrite {entry}.\n"""\n', "entry_point": entry,
            "canonical_solution": reference, "base_input": inputs, "plus_input": inputs[:1], "atol": 0}


def test_there_are_two_hundred_programs_half_of_them_wrong():
    verdicts = [one[-1] for one in SCRIPTS + FUNCTIONS + CODES]
    assert len(verdicts) >= 200 and .45 < sum(verdicts) / len(verdicts) < .55


@JAIL
def test_scripts_get_the_verdict_of_livecodebench(judges):
    differ = []
    for at in range(0, len(SCRIPTS), 40):
        for name, inputs, outputs, program, right in SCRIPTS[at:at + 40]:
            verdict, = live(scripted(inputs, outputs), judges, [fenced(program)])
            if verdict.ok != right: differ.append((name, verdict))
    assert not differ


@JAIL
def test_methods_get_the_verdict_of_livecodebench(judges):
    differ = []
    for name, method, inputs, values, program, right in FUNCTIONS:
        tests = [{"input": i, "output": json.dumps(v), "testtype": "functional"} for i, v in zip(inputs, values)]
        verdict, = live(tests, judges, [fenced(program)], json.dumps({"func_name": method}))
        if verdict.ok != right: differ.append((name, verdict))
    assert not differ


@JAIL
def test_right_scripts_that_livecodebench_fails_by_accident(judges):
    verdicts = live(scripted(INPUTS, SUM), judges, [fenced(program) for program in ACCIDENTS.values()])
    assert all(verdict.ok for verdict in verdicts), dict(zip(ACCIDENTS, verdicts))
    verdicts = live(scripted(INPUTS, SUM[::-1]), judges, map(fenced, ACCIDENTS.values()))
    assert all(verdict.status is Status.WRONG for verdict in verdicts)


@JAIL
@EVALPLUS
def test_functions_get_the_verdict_of_evalplus():
    pairs = [(row_of(entry, reference, inputs) | {"id": f"{number}"}, fenced(program))
             for number, (_, entry, reference, inputs, program, _) in enumerate(CODES)]
    with BENCHMARKS["mbpp+"].judging() as executor: verdicts = BENCHMARKS["mbpp+"].judge(pairs, "chat", executor)
    assert not [(one[0], verdict) for one, verdict in zip(CODES, verdicts, strict=True) if verdict.ok != one[-1]]


@EVALPLUS
def test_evalplus_says_so_still():
    "Its own sanitize and untrusted_check on the same programs."
    from evalplus.eval import untrusted_check
    from evalplus.gen.util import trusted_exec
    from evalplus.sanitize import sanitize
    def passes(entry, reference, inputs, program):
        expected, seconds = trusted_exec(reference, inputs, entry, record_time=True)
        program = sanitize(program, entry)
        return untrusted_check("mbpp", program, inputs, entry, expected, 0, seconds, fast_check=True)[0] == "pass"
    assert [name for name, *task, right in CODES if passes(*task) != right] == []
    assert not any(passes(*CODE[0][:3], program) for program in DROPPED)


@JAIL
@EVALPLUS
def test_right_functions_that_evalplus_fails_by_accident():
    row = row_of(*CODE[0][:3])
    reference, answer = "def find_zero(xs):\n    return -xs[0] / xs[1]\n", "def find_zero(xs):\n    return {}"
    zero = row_of("find_zero", reference, [[[-6, 2]]], "HumanEval/32") | {"atol": 1e-4}
    answers = [(row, fenced(program)) for program in DROPPED]
    answers += [(zero, fenced(answer.format(root))) for root in (3.00001, 4)]
    with BENCHMARKS["mbpp+"].judging() as executor: verdicts = BENCHMARKS["mbpp+"].judge(answers, "chat", executor)
    assert [verdict.ok for verdict in verdicts] == [True] * 5 + [False]




@JAIL
@EVALPLUS
@pytest.mark.parametrize("entry, reference, inputs, answers", LIBRARY, ids=[one[0] for one in LIBRARY])
def test_a_benchmarks_program_has_the_library(entry, reference, inputs, answers):
    row = row_of(entry, reference, inputs, "HumanEval/999")
    with BENCHMARKS["humaneval+"].judging() as executor:
        programs = (reference, *answers, f"def {entry}(*_):\n    return 'no'")
        verdicts = BENCHMARKS["humaneval+"].judge([(row, fenced(program)) for program in programs], "chat", executor)
    assert [verdict.ok for verdict in verdicts] == [True] * (1 + len(answers)) + [False], verdicts


def test_the_tolerance_stays_on_once_a_float_was_expected():
    pytest.importorskip("evalplus")
    def shown(*texts): return [(True, text, 0.0) for text in texts]
    row = row_of("g", "", [[1], [2]])
    assert _evalplus_passes(row, [[1], [2]], shown("0.5", "1000000000"), shown("0.5", "1000000001"))
    assert not _evalplus_passes(row, [[1], [2]], shown("1000000000", "0.5"), shown("1000000001", "0.5"))


HALF, QUARTER = "def half(x):\n    return x // 2", "def quarter(x):\n    return half(half(x))"
TESTS = "def test_quarter():\n    assert quarter(8) == 2\ntest_quarter()"


@pytest.mark.parametrize("programs", [
    (HALF, QUARTER), (QUARTER, HALF), (HALF, QUARTER, TESTS), (f"{HALF}\n{QUARTER}\n{TESTS}",),
    (HALF, QUARTER, "print(quarter(8))"), ("def quarter(x):\n    return 0", HALF, QUARTER),
    (f"{HALF}\n{QUARTER}\nif __name__ == '__main__':\n    import nothing",)])
def test_a_function_among_several_blocks(programs):
    space = {}
    exec(program := _read_program(fenced(*programs), "chat", entry="quarter"), space)   # ours, not a model's
    assert space["quarter"](9) == 2 and "test" not in program and "print" not in program


def test_an_answer_without_the_function_is_refused_unrun():
    refused = {fenced(HALF): ProgramStatus.NO_FUNCTION, fenced("def quarter(x:"): ProgramStatus.SYNTAX,
               "<answer></answer>": Status.MALFORMED, "none": Status.MALFORMED}
    for text, status in refused.items():
        assert _read_program(text, "chat", entry="quarter").status is status
    read = _read_program("    prose alone", "plain", "# Write quarter.\n", "quarter")
    assert read.status is ProgramStatus.NO_FUNCTION
    bare = "def quarter(x):\n    return x"
    assert _read_program(f"<answer>{bare}\n</answer>", "chat", entry="quarter") == bare


@JAIL
def test_scripts_and_methods_among_several_blocks(judges):
    main, test = "print(twice(int(input())))", "assert twice(2) == 4"
    tests = scripted(["4\n"], ["8\n"])
    twice = "def twice(x):\n    return 2 * x"
    answers = [(twice, main), (f"{twice}\n{main}", test), (f"def twice(x):\n    return x\n{main}", test)]
    assert [v.ok for v in live(tests, judges, [fenced(*some) for some in answers])] == [True, True, False]
    method = [{"input": "4", "output": "8", "testtype": "functional"}]
    answers = [(twice, "class Solution:\n    def go(self, x):\n        return twice(x)", "print(Solution().go(2))")]
    assert [v.ok for v in live(method, judges, [fenced(*some) for some in answers], '{"func_name": "go"}')] == [True]


@JAIL
@EVALPLUS
@pytest.mark.parametrize("after", ["\ndef next_exercise(y):\n    return y\n", "\nassert following(1) == 3\n",
                                   "\nif __name__ == '__main__':\n    following()\n", "\nprint(following())\n",
                                   "\n\nThat is the answer.\n",
                                   "\nclass Solution:\n    pass\n", "</s>def following(x):\n    return 0",
                                   "\nimport nothing\n", "<|endoftext|>\n(("])
def test_what_follows_a_bare_continuation_changes_nothing(after):
    row = row_of("following", "    return x + 1\n", [[1], [5]], "HumanEval/999")
    row |= {"prompt": "\ndef following(x):\n    \"\"\"The next number.\"\"\"\n"}
    asked = BENCHMARKS["humaneval"].ask(row, "plain")
    assert asked.stop == _HUMANEVAL_STOP and asked.text.startswith("def following")
    bodies = ("    return x + 1\n", "    return x + 2\n", "\tif x:\n\t\treturn x + 1\n")
    with BENCHMARKS["humaneval"].judging() as executor:
        verdicts = BENCHMARKS["humaneval"].judge([(row, body + after) for body in bodies], "plain", executor)
    assert [verdict.ok for verdict in verdicts] == [True, False, True]


@pytest.mark.parametrize("after", ["\n\nProblem:\nWhat is 1 + 12?\n\nSolution: \\boxed{13}", "</s>\\boxed{13}",
                                   "\n\nQuestion: 6 + 7? Answer: \\boxed{13}", "\n\nProblem 2. \\boxed{13}"])
def test_an_invented_next_problem_is_not_read(after):
    asked = BENCHMARKS["math500"].ask({"id": "0", "problem": "What is 6 times 7?"}, "plain")
    assert asked.stop == _MATHS_STOP and _cut(" \\boxed{42}" + after, asked.stop).strip() == "\\boxed{42}"
    pytest.importorskip("math_verify")
    said = (("42", " \\boxed{42}."), ("13", " \\boxed{42}."), ("42", " It is 42."))
    rows = [({"answer": gold}, text + after) for gold, text in said]
    assert [v.ok for v in BENCHMARKS["math500"].judge(rows, "plain", None)] == [True, False, True]


def test_what_is_too_deep_to_be_written_is_no_end_of_an_exam():
    for deep in ("-" * 300, "not " * 150, "(" * 60 + "1" + ")" * 60 + "+ 1" * 900):
        program = _read_program(fenced(f"def quarter(x):\n    return {deep} 1", HALF), "chat", entry="quarter")
        assert isinstance(program, str) or program.status is ProgramStatus.SYNTAX


def test_the_longest_code_is_found_in_bounded_time():
    assert _longest_code("Here it is:\n\ndef f(x):\n    return x\n\nThat is the answer.") == "def f(x):\n    return x\n"
    assert _longest_code("No code here, just words.") == ""
    assert len(_longest_code("\n".join(f"some words {n}" for n in range(3000)))) < 100


def test_lines_are_compared_one_by_one():
    assert _same_print(" 1.0 \nYes\n", "1\nYes") and not _same_print("1\n\n2", "1\n2")
    assert not _same_print("nan", "nan ok")


# ---- the jail without the policy



@JAIL
@pytest.mark.parametrize("name", HOSTILE)
def test_nothing_leads_out_of_the_jail(judges, name):
    programs = [fenced(f"{HOSTILE[name]}\nprint('SECRET')"), fenced("print('SECRET')")]
    verdict, after = live(scripted([""], ["SECRET"]), judges, programs)
    assert not verdict.ok and after.ok


@JAIL
def test_a_program_never_sees_what_is_expected_of_it(judges):
    given, = live(scripted(["SECRET"], ["SECRET"]), judges, [fenced(PEEK)])
    expected, = live(scripted([""], ["SECRET"]), judges, [fenced(PEEK)])
    assert given.ok and not expected.ok   # it finds its input, so it looks where it should


@JAIL
@pytest.mark.parametrize("program", [
    "while True:\n    pass", "while True:\n    try:\n        int('x')\n    except Exception:\n        pass",
    "import time\ntime.sleep(1000)", "x = [0] * 10 ** 11"])
def test_what_never_ends_is_ended(program):
    with Executor(**_WIDE_EXECUTOR | {"workers": 1}) as executor:
        verdict, = _run_checks([[_Check(_ask_worker("script", program, "", .2), bool)]], executor)
    assert verdict.seconds < 10 and verdict.status in (ProgramStatus.TIMEOUT, ProgramStatus.MEMORY)


@JAIL
def test_a_program_that_speaks_in_the_workers_place_gives_nothing():
    forged = """import os, json
for fd in range(3, 30):
    try: os.write(fd, (json.dumps(["ok", "7"]) + chr(10)).encode())
    except OSError: pass"""
    with Executor(**_WIDE_EXECUTOR | {"workers": 1}) as executor:
        outcome, = executor.run([_ask_worker("script", forged, "", 1.0)])
    assert not outcome.ok or _worker_said(outcome)[0] == "the program spoke in the worker's place"


def test_without_a_jail_a_benchmark_is_unavailable(monkeypatch):
    monkeypatch.setattr("azr.executor._jail_trouble", always("bubblewrap is not installed"))
    for name in ("mbpp+", "humaneval", "livecodebench"):
        said = f"{name.replace('+', '.')}.*only in a jail.*bubblewrap is not installed"
        with pytest.raises(Unavailable, match=said): BENCHMARKS[name].judging()
    assert "isolation" not in BENCHMARKS["cruxeval-o"].executor   # its programs keep to the policy


FORGED = [f"(None, [(True, '1', {'9' * 400})])", "(None, [(True, '1', 2j)])", "(None, 5)", "7", "[[]]"]

@pytest.mark.parametrize("said", FORGED)
def test_nothing_that_speaks_in_the_workers_place_ends_an_exam(said):
    assert _worker_said(Outcome(Status.OK, said)) == ("the program spoke in the worker's place", [])


def test_a_value_far_longer_than_the_expected_one_is_not_read():
    tests, huge = [_LiveTest("f", "1", [3, 4])], "(" + "0, " * 300_000 + ")"
    assert _live_passes(tests, [(True, "[3, 4.0]", 0.0)]) and not _live_passes(tests, [(True, "[3, 5]", 0.0)])
    assert _value_like("1" + "0" * 22, 1e22) == 1e22
    tracemalloc.start()
    with pytest.raises(ValueError, match="900002 characters, where 1600 are"): _live_passes(tests, [(True, huge, 0.0)])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10_000_000   # bytes; its tree has 300 million


# ---- functions of our own

TEST, VALIDATION = (own_functions(part) for part in ("test", "validation"))


def masked(program):
    "Its normalised tree without its constants: two that differ in these alone are one template."
    tree = ast.parse(canonical_program(program))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant): node.value = 0
    return ast.dump(tree)


def test_our_functions_are_many_and_short():
    own = TEST + VALIDATION
    assert (len(TEST), len(VALIDATION), len({row["id"] for row in own})) == (300, 150, 450)
    for row in own:
        assert 2 <= row["code"].count("\n") + 1 <= 8 and check_program(row["code"]).ok, row
        assert len(row["input"]) <= 80 and len(row["output"]) <= 60, row
    assert fetch(BENCHMARKS["functions-i"])[0] == TEST
    rows, source = fetch(BENCHMARKS["functions-validation-o"], limit=20)
    assert rows == VALIDATION[:20] and (source["source"], source["rows"]) == ("functions.json", 20)


def test_our_functions_give_their_outputs_twice():
    own = 2 * (TEST + VALIDATION)
    with Executor() as executor: outcomes = executor.run([Call(row["code"], row["input"]) for row in own])
    assert [outcome.value for outcome in outcomes] == [row["output"] for row in own]


def test_no_two_of_our_functions_are_one_template():
    trees = [{masked(row["code"]) for row in part} for part in (TEST, VALIDATION)]
    assert [len(part) for part in trees] == [300, 150] and not trees[0] & trees[1]


def test_our_functions_are_no_benchmarks(azr_data):
    theirs = {name: rows for name, rows in local_benchmarks(azr_data)[0].items() if not name.startswith("functions")}
    if not theirs: pytest.skip(f"no file of a benchmark in {azr_data}")
    own = {row["id"]: row["code"] for row in TEST + VALIDATION}
    grams = {key: _ngrams(code) for key, code in own.items()}
    for name, rows in theirs.items():
        assert equal_rows(rows.values(), own) == {}, name
        for theirs in map(_ngrams, rows.values()):
            assert not [own[key] for key, some in grams.items() if 2 * len(some & theirs) >= len(some) > 0], name


@pytest.mark.parametrize("name", ["functions", "functions-validation"])
def test_gold_answers_to_our_functions_are_right_and_others_wrong(name):
    for side, field in (("o", "output"), ("i", "input")):
        benchmark = BENCHMARKS[f"{name}-{side}"]
        rows = fetch(benchmark)[0]
        pairs = [(row, text) for row in rows for text in (row[field], f"{row[field]}, {row[field]}, 0")]
        with benchmark.judging() as executor: verdicts = benchmark.judge(pairs, "terse", executor)
        assert all(verdict.ok for verdict in verdicts[::2]) and not any(verdict.ok for verdict in verdicts[1::2])
