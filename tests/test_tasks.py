"Claims are proved by running them, answers judged by running them, and nobody is talked round."
import json
from dataclasses import replace
from random import Random
from statistics import fmean

import pytest
from conftest import always
from programs import PROGRAMS

from azr.buffers import Buffers
from azr.core import Attempt, Prompt, Proposal, Role, Status, Task, Verdict, from_dict, to_json
from azr.executor import Call, Executor, Outcome
from azr.prompts import SOLVE_EXAMPLES, STYLES, answer_text, facts, proposal_text
from azr.safety import ProgramStatus, Safety
from azr.measures import triviality_of, program_measures
from azr.tasks import (_BANNED_WORDS, _HIDDEN, _TASK_TYPES, TRIVIAL, Environment, _Induction, _check_arguments,
                       _check_source, _in_held_out_tenth, induction_task, _leaks, program_key, program_task, task_id,
                       task_types, zero_tasks)
from azr.values import bucket, equal, parse_literal

DOUBLE = "def f(x):\n    return x * 2"
KINDS = {name: kind() for name, kind in _TASK_TYPES.items()}

@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1) as executor: yield executor

@pytest.fixture(scope="module")
def env(executor): return Environment(executor, held_out=always(False))

def propose(kind, claim, env, style="r1", context=None, references=()):
    prompt = Prompt(kind.name, Role.PROPOSE, context=context or {}, references=references)
    (result,) = kind.validate([Proposal(prompt, proposal_text(kind.name, claim, style))], env)
    return result

def answer(task, env, *texts, style="r1"):
    ((*verdicts,),) = replace(KINDS[task.task_type], style=style).verify(
        [(task, [Attempt(task.id, answer_text(task.task_type, text, style)) for text in texts])], env
    )
    return verdicts

class Spy:
    "An executor that remembers every call, and may answer by itself."
    safety, arguments = Safety(), "literal"
    def __init__(self, real=None, reply=None): self.real, self.reply, self.batches = real, reply, []
    def run(self, calls, twice=False):
        self.batches.append((list(calls), twice))
        return [self.reply(call, twice) for call in calls] if self.reply else self.real.run(calls, twice=twice)

# ---- real programs

def test_realistic_programs_become_tasks_and_their_own_answers_are_right(env):
    assert len(PROGRAMS) == 24
    deduction, abduction = KINDS["deduction"], KINDS["abduction"]
    texts = [proposal_text("deduction", {"program": p, "input": i}) for p, i, _ in PROGRAMS]
    tasks = deduction.validate([Proposal(Prompt("deduction", Role.PROPOSE), text) for text in texts], env)
    assert all(isinstance(task, Task) for task in tasks), [t for t in tasks if isinstance(t, Verdict)]
    assert all(
        equal(parse_literal(task.hidden["output"]), parse_literal(o)) for task, (_, _, o) in zip(tasks, PROGRAMS))
    groups = [
        (task, [Attempt(task.id, answer_text("deduction", o)), Attempt(task.id, answer_text("deduction", "'no'"))])
        for task, (_, _, o) in zip(tasks, PROGRAMS)
    ]
    assert [[v.score for v in row] for row in deduction.verify(groups, env)] == [[1, 0]] * 24
    mirrored = [program_task("abduction", p, _check_arguments(i, env), t.hidden["output"])
                for t, (p, i, _) in zip(tasks, PROGRAMS)]
    spy = Spy(env.executor)
    groups = [(replace(task, hidden={"input": "None"}), [Attempt(task.id, answer_text("abduction", i))])
              for task, (_, i, _) in zip(mirrored, PROGRAMS)]
    assert all(row[0].score == 1 for row in abduction.verify(groups, Environment(spy)))
    assert len(spy.batches) == 2  # one to sift, one in two processes

@pytest.mark.parametrize("style", STYLES)
def test_every_type_in_every_style_there_and_back(env, style):
    for kind in task_types(_TASK_TYPES, style, inputs=4):
        claim = {"program": DOUBLE, "input": "21", "inputs": ["1", "'a'", "[2]", "(3,)"], "message": "Twice."}
        task = propose(kind, claim, env, style, context={"program": DOUBLE}, references=("parent",))
        right = {"deduction": "42", "abduction": "21.0", "error": "NoError", "induction": "def g(y): return y + y"}[
            kind.name]
        assert [v.score for v in answer(task, env, right, "7", style=style)] == [1, 0]
        assert from_dict(Task, json.loads(to_json(task))) == task
        text = kind.solve_prompt(task).text or kind.solve_prompt(task).messages[0]["content"]
        assert kind.solve_prompt(replace(task, hidden={})) == kind.solve_prompt(task) and (
            "def f(x):" in text.split("Rules")[0]) == (kind.name != "induction")
        assert task.parent == ("parent" if kind.name == "induction" else None)

@pytest.mark.parametrize("field, value, message", [
    ("style", "r2", "no prompt style 'r2': there are r1, chat, terse, code"),
    ("reference_choice", "newest", "reference_choice is 'newest': give 'uniform' or 'recent'"),
    ("references", -1, "references is -1: give 0 or more"), ("inputs", 1, "inputs is 1: an induction task needs")])
def test_a_task_type_of_which_no_prompt_can_be_made_is_refused(field, value, message):
    with pytest.raises(ValueError, match=message): task_types(**{field: value})

@pytest.mark.parametrize("name", list(_TASK_TYPES))
def test_finished_examples_are_true_and_their_gold_is_right(env, name):
    (kind,) = task_types((name,), "code", solve_examples=3)
    assert len(SOLVE_EXAMPLES[name]) == 3
    for example in SOLVE_EXAMPLES[name]:
        known = facts(example)
        if name == "induction": example = replace(example, hidden=known | {"pairs": []})
        gold = known["program" if name == "induction" else _HIDDEN[name]]
        text = answer_text(name, gold, "code")
        assert [v.score for v in kind.verify([(example, [Attempt("", text)])], env)[0]] == [1]
        if name == "induction": continue
        claimed = known["error" if name == "error" else "output"]
        (task,) = task_types((name,), "code")[0].validate([Proposal(
            Prompt(name, Role.PROPOSE), proposal_text(name, known | {"claim": claimed}, "code"))], env)
        assert facts(task) == known and task.info["claim_accuracy"] == 1

def test_the_program_of_a_finished_example_is_no_task_where_it_is_shown(env):
    known = facts(SOLVE_EXAMPLES["deduction"][1])
    again = {"program": known["program"].replace("found", "seen"), "input": "9, 2"}
    prompt = Prompt("deduction", Role.PROPOSE)
    for number, leaked in ((0, False), (1, False), (2, True)):
        kind = _TASK_TYPES["deduction"]("code", solve_examples=number)
        (got,) = kind.validate([Proposal(prompt, proposal_text("deduction", again, "code"))], env)
        assert isinstance(got, Task) is not leaked and (not leaked or got.status is Status.LEAKED)

@pytest.mark.parametrize("name, claim, true, false", [
    ("deduction", {"program": DOUBLE, "input": "21"}, "42.0", "43"),
    ("abduction", {"program": DOUBLE, "input": "21"}, "42", "f(21)"),
    ("error", {"program": DOUBLE, "input": "None"}, "TypeError", "NoError"),
    ("induction", {"inputs": ["1", "2", "3", "4"]}, ["2", "4", "6", "8"], ["2", "4", "7", None]),
])
def test_a_claimed_output_is_recorded_and_never_believed(env, name, claim, true, false):
    kind = _TASK_TYPES[name]("code", inputs=4)
    prompt = Prompt(name, Role.PROPOSE, context={"program": DOUBLE, "inputs": 4})
    texts = [proposal_text(name, claim | said, "code") for said in ({}, {"claim": true}, {"claim": false})]
    silent, right, wrong = kind.validate([Proposal(prompt, text) for text in texts], env)
    assert silent == replace(right, info=silent.info) == replace(wrong, info=silent.info)
    assert "claim" not in silent.info and right.info["claim_accuracy"] == 1
    assert right.info["claim"] == ([true] if isinstance(true, str) else true)
    assert wrong.info["claim_accuracy"] == pytest.approx(2 / 3 if name == "induction" else 0)
    assert kind.solve_prompt(silent) == kind.solve_prompt(right) == kind.solve_prompt(wrong)
    measured = program_measures([], [silent, right, wrong])
    assert measured["claim_accuracy"] == fmean([right.info["claim_accuracy"], wrong.info["claim_accuracy"]])

@pytest.mark.parametrize("said", ["__import__('os').system('true')", "(" * 3000 + ")" * 3000, "9" * 5000, "\0", "[1"])
def test_a_hostile_claim_is_a_wrong_one(env, said):
    prompt = Prompt("deduction", Role.PROPOSE)
    text = proposal_text("deduction", {"program": DOUBLE, "input": "21", "claim": said}, "code")
    (task,) = _TASK_TYPES["deduction"]("code").validate([Proposal(prompt, text)], env)
    assert task.hidden == {"output": "42"} and task.info["claim_accuracy"] == 0

def test_an_answer_that_a_stop_text_would_cut_is_no_task(env):
    claim = {"program": DOUBLE, "input": "') == 1'"}
    for name, style, bad in (("abduction", "code", True), ("deduction", "code", False), ("abduction", "r1", False)):
        (got,) = _TASK_TYPES[name](style).validate(
            [Proposal(Prompt(name, Role.PROPOSE), proposal_text(name, claim, style))], env)
        assert isinstance(got, Task) is not bad and (not bad or got.status is ProgramStatus.UNREPRESENTABLE)

# ---- what a proposal can fail of


@pytest.mark.parametrize(
    "program, args, status",
    [
        ("def f(x) return x", "1", ProgramStatus.SYNTAX),
        ("async def g(x): return x", "1", ProgramStatus.NO_FUNCTION),
        ("def f():\n    return 1", "1", ProgramStatus.NO_PARAMETER),
        ("import os\ndef f(x): return os.getcwd()", "1", ProgramStatus.UNSAFE),
        ("import secrets\ndef f(x): return secrets.token_hex(x)", "1", ProgramStatus.UNSAFE),
        ("def f(x): return eval(x)", "'1'", ProgramStatus.UNSAFE),
        ("import random\ndef f(x): return eval(x)", "1", ProgramStatus.BANNED),
        (DOUBLE, "y", ProgramStatus.BAD_ARGUMENTS),
        (DOUBLE, "1) or (True", ProgramStatus.BAD_ARGUMENTS),
        (DOUBLE, "f(f(1))", ProgramStatus.BAD_ARGUMENTS),
        (DOUBLE, "f(1) + 1", ProgramStatus.BAD_ARGUMENTS),
        (DOUBLE, "10 ** 10 ** 10", ProgramStatus.BAD_ARGUMENTS),
        (DOUBLE, "1, 2", ProgramStatus.RAISED),
        (DOUBLE, "None", ProgramStatus.RAISED),
        ("class Odd(Exception): pass\ndef f(x): raise Odd('x')", "1", ProgramStatus.RAISED),
        ("def f(x): raise StopIteration", "1", ProgramStatus.RAISED),
        ("def f(x): raise KeyboardInterrupt", "1", ProgramStatus.RAISED),
        ("def f(x):\n    while True: pass", "1", ProgramStatus.TIMEOUT),
        ("def f(x): return 'a' * x", "6000", Status.TOO_LARGE),
        (DOUBLE, f"'{'a' * 6000}'", Status.TOO_LARGE),
        ("def f(x): return [0] * 10 ** 12", "1", ProgramStatus.MEMORY),
        (DOUBLE + "  #" + "." * 11_000, "1", Status.TOO_LARGE),
        ("def f(x): return float('nan')", "1", ProgramStatus.UNREPRESENTABLE),
        ("def f(x): return (y for y in x)", "[1]", ProgramStatus.UNREPRESENTABLE),
        ("def f(x): return f", "1", ProgramStatus.UNREPRESENTABLE),
        ("class E:\n    def __eq__(self, o): return True\ndef f(x): return E()", "1", ProgramStatus.UNREPRESENTABLE),
        ("def f(x): return '</ans' + 'wer>'", "1", ProgramStatus.UNREPRESENTABLE),
        ("def f(x): return list(set(x))", "'abcdefghijklm'", ProgramStatus.NONDETERMINISTIC),
        ("def f(x): return id(x)", "'a'", ProgramStatus.NONDETERMINISTIC),
        ("def f(x): return hash(x)", "'a'", ProgramStatus.NONDETERMINISTIC),
        ("def f(x): return x + '<think>'", "'a'", Status.MALFORMED),
        (DOUBLE, "", Status.MALFORMED),
    ],
)
@pytest.mark.parametrize("kind", ["deduction", "abduction"])
def test_refused(env, kind, program, args, status):
    result = propose(KINDS[kind], {"program": program, "input": args}, env)
    assert isinstance(result, Verdict) and result.status is status and result.detail and result.score == 0

def test_nothing_is_cut(env):
    task = propose(KINDS["deduction"], {"program": "def f(x): return 'ab' * x", "input": "2400"}, env)
    assert task.hidden["output"] == repr("ab" * 2400)
    assert [v.score for v in answer(task, env, repr("ab" * 2400), repr("ab" * 2399))] == [1, 0]

def test_held_out_programs_are_refused_under_any_name(executor):
    strict = Environment(executor, held_out=lambda program: bucket(program) == bucket(DOUBLE))
    for program in (DOUBLE, "def g(number: int):\n    'Twice.'\n    return number*2"):
        assert propose(KINDS["deduction"], {"program": program, "input": "1"}, strict).status is Status.HELD_OUT
    share = sum(_in_held_out_tenth(f"def f(x):\n    return x + {n}") for n in range(1000)) / 1000
    assert .07 < share < .13 and Environment(executor).held_out is _in_held_out_tenth


@pytest.mark.parametrize(
    "line",
    ["import time", "import time as t", "import time, math", "from time import sleep", "from time import *",
     "import os.path", "import os.path as p", "from os import path", "from os import path as p",
     "from os import environ", "import os\nx = os.environ", "import os as o\nx = o.path.join('a')",
     "import sys\nx = sys.exit", "from sys import exit as e", "import concurrent.futures, random",
     "from numpy import random", "import numpy.random as r", "import numpy as n\nx = n.random.rand()",
     "import datetime", "from datetime import date", "import threading", "import multiprocessing.pool"],
)
def test_banned_on_every_import_form(env, line):
    verdict = _check_source(f"{line}\n{DOUBLE}", env)
    assert verdict.status is ProgramStatus.BANNED and "line" in verdict.detail
    inside = "\n".join("    " + part for part in line.split("\n"))
    if "*" not in line: assert _check_source(f"def f(x):\n{inside}\n    return x", env).status is ProgramStatus.BANNED


@pytest.mark.parametrize(
    "source",
    ["time = 3", "# import time", "x = 'import time'", "import math, re, json, itertools", "def random(): pass",
     "from collections import Counter\nx = Counter().time"],
)
def test_not_banned(env, source):
    verdict = _check_source(f"{source}\n{DOUBLE}", env)
    assert verdict is None or verdict.status is not ProgramStatus.BANNED or "Counter" in source

def test_banned_words_are_a_setting(executor):
    assert "math" not in _BANNED_WORDS
    of_maths = Environment(executor, banned=("math",))
    assert _check_source(f"import math\n{DOUBLE}", of_maths).status is ProgramStatus.BANNED
    assert (
        _check_source(f"import os\n{DOUBLE}", Environment(executor, banned=())).status is ProgramStatus.UNSAFE
    )  # safety is a rule of its own

def test_one_batch_whatever_is_in_it_and_equal_calls_once(env):
    spy = Spy(env.executor)
    texts = [proposal_text("deduction", {"program": DOUBLE, "input": i}) for i in ("1", "[1]", "1 ", "x", "( 1)")] + [
        "nothing"]
    results = KINDS["deduction"].validate(
        [Proposal(Prompt("deduction", Role.PROPOSE), text) for text in texts], replace(env, executor=spy)
    )
    assert [type(r) for r in results] == [Task, Task, Task, Verdict, Task, Verdict] and results[0] == results[
        2] == results[4]
    ((calls, twice),) = spy.batches
    assert twice and calls == [Call(DOUBLE, "1"), Call(DOUBLE, "[1]")]
    assert KINDS["deduction"].validate([], env) == [] and KINDS["abduction"].verify([], env) == []

# ---- ids

def test_ids_hang_on_content_only():
    renamed = "def f(number):  # twice\n    return (number * 2)"
    assert task_id("deduction", DOUBLE, "1") == task_id("deduction", renamed, "1")
    ids = {task_id("deduction", DOUBLE, "1"), task_id("abduction", DOUBLE, "1"), task_id("deduction", DOUBLE, "2"),
           task_id("deduction", DOUBLE + "\n", "1", "2"), task_id("induction", DOUBLE, "1", message="a"),
           task_id("induction", DOUBLE, "1", message="b"), task_id("induction", DOUBLE, "1", "a")}
    assert len(ids) == 7 and all(len(i) == 16 for i in ids)

# ---- answers

def test_deduction_needs_no_run_and_abduction_never_shows_the_gold(env):
    spy = Spy(env.executor)
    watched = replace(env, executor=spy)
    answer(program_task("deduction", DOUBLE, "'secret'", "'secretsecret'"), watched, "'secretsecret'", "1")
    assert spy.batches == []
    answer(program_task("abduction", DOUBLE, "'secret'", "'secretsecret'"), watched, "'a'", "'secret'", "1) or (True")
    assert [calls for calls, _ in spy.batches] == [
        [Call(DOUBLE, "'a'")]]  # the proposer's own input is right without a run
    answer(induction_task("def f(x):\n    return 'secret'", [["1", "'secret'"], ["2", "'secret'"]]), watched,
           "def f(x): return 0")
    assert len(spy.batches) == 2 and not any("secret" in call.program + call.args for call in spy.batches[1][0])

GOLD = "zebra-7419"

@pytest.mark.parametrize("kind", ["deduction", "abduction", "induction", "error"])
def test_no_gold_enters_a_call(env, kind):
    "Neither text of what is hidden, nor the output that an abduction answer must reach, is ever part of what runs."
    spy = Spy(env.executor)
    spelled = f"def f(x):\n    return 'zebra' + '-' + '7' + '4' + '19' * x"
    task = {
        "induction": induction_task(spelled, [["1", repr(GOLD)], ["2", repr(GOLD + "19")]] * 2),
        "error": program_task("error", spelled, "1", GOLD),
    }.get(kind) or program_task(kind, spelled, "1", repr(GOLD))
    program = "def f(x):\n    return {}"
    answers = (
        [
            program.format(body)
            for body in ("x", "'zebra'", "f", "E()", "[y for y in x]", "gold", "'zebra-' + '7419' * x",
                         "'zebra-741' + '9' + '19' * (x - 1)")
        ]
        + [spelled]
        if kind == "induction"
        else ["1", "1.0", "2", "True", "x=1", "1) or (True", ALWAYS, "f(1)", "gold"]
    )
    verdicts = answer(task, replace(env, executor=spy), *answers)
    assert {v.score for v in verdicts} == ({0, 1} if kind in ("abduction", "induction") else {0}) and bool(
        spy.batches) == (kind in ("abduction", "induction"))
    assert all(
        type(call) is Call and GOLD not in call.program + call.args for calls, _ in spy.batches for call in calls)

ALWAYS = "type('E', (), {'__eq__': lambda s, o: True})()"


@pytest.mark.parametrize(
    "gold, right, wrong",
    [
        ("1", ["1", "1.0", " 1 ", "+1"], ["True", "'1'", "[1]"]),
        ("{'a': 1, 'b': 2}", ["{'b': 2, 'a': 1}", "dict(a=1, b=2)"], ["{'a': 1}"]),
        ("{1, 2}", ["{2, 1}", "set([1, 2])"], ["[1, 2]", "frozenset({1, 2})"]),
        ("(1, 2)", ["1, 2", "(1,\n 2)"], ["[1, 2]"]),
        ("True", ["True"], ["1", "true"]),
        ("'a'", ['"a"'], ["a"]),
        ("0.3", ["0.3", "3e-1"], ["0.30000000000000004"]),
    ],
)
def test_deduction_equality(env, gold, right, wrong):
    verdicts = answer(program_task("deduction", DOUBLE, "0", gold), env, *right, *wrong)
    assert [v.score for v in verdicts] == [1] * len(right) + [0] * len(wrong)
    assert all(v.truth is (v.score == 1) for v in verdicts) and all(
        v.status is Status.WRONG for v in verdicts[len(right) :])

def test_any_preimage_is_right(env):
    task = program_task("abduction", "def f(x, k=0):\n    return sorted(x)[k]", "[3, 1]", "1")
    verdicts = answer(
        task, env, "[1]", "x=[5, 1, 2]", "(2, 1),\n k=0", "range(1, 4)", "[0, 1], 1", "{1}", "[2]", "3", "[1], 0, 0"
    )
    assert [v.status for v in verdicts] == [Status.OK] * 6 + [Status.WRONG, ProgramStatus.RAISED, ProgramStatus.RAISED]

def test_equal_answers_run_once(env):
    spy = Spy(env.executor)
    task = program_task("abduction", DOUBLE, "21", "42")
    verdicts = answer(task, replace(env, executor=spy), "21.0", "21.0", "7", "7")
    assert [v.score for v in verdicts] == [1, 1, 0, 0] and [len(calls) for calls, _ in spy.batches] == [2, 1]

def test_a_lucky_run_is_not_an_answer():
    def reply(call, twice):
        return Outcome(ProgramStatus.NONDETERMINISTIC, error="two runs disagree") if twice else Outcome(Status.OK, "42")
    lucky = Environment(Spy(reply=reply))
    (verdict,) = answer(program_task("abduction", DOUBLE, "21", "42"), lucky, "20")
    assert verdict.status is ProgramStatus.NONDETERMINISTIC and verdict.score == 0
    (verdict,) = answer(induction_task(DOUBLE, [["1", "42"], ["2", "42"]]), lucky, "def f(x): return 42")
    assert verdict.status is ProgramStatus.NONDETERMINISTIC

def test_failures_of_the_environment_are_verdicts():
    for status in (ProgramStatus.TIMEOUT, ProgramStatus.CRASHED, ProgramStatus.MEMORY):
        env = Environment(
            Spy(reply=always(Outcome(status, error="why", seconds=0.5))), held_out=always(False)
        )
        assert propose(KINDS["deduction"], {"program": DOUBLE, "input": "1"}, env) == Verdict(
            status, detail="why", seconds=0.5
        )
        assert answer(program_task("abduction", DOUBLE, "21", "42"), env, "1") == [
            Verdict(status, detail="why", seconds=0.5)]

def test_malformed_attempts_keep_their_place(env):
    task = program_task("deduction", DOUBLE, "1", "2")
    (row,) = KINDS["deduction"].verify(
        [(task, [Attempt(task.id, "hm"), Attempt(task.id, answer_text("deduction", "2")), Attempt(task.id, "")])], env
    )
    assert [v.status for v in row] == [Status.MALFORMED, Status.OK, Status.MALFORMED]

def test_completions_without_the_form_are_malformed(env):
    for text in ("", "no answer", "<answer>```python\ndef f(x):\n    return x\n```</answer>",
                 "</think> <answer>```input\n1\n```</answer>"):
        (result,) = KINDS["deduction"].validate([Proposal(Prompt("deduction", Role.PROPOSE), text)], env)
        assert result.status is Status.MALFORMED and result.detail


@pytest.mark.parametrize(
    "deep",
    ["x" + " + 1" * 900, "x" + ".real" * 900, "not " * 900 + "x", "lambda: " * 300 + "x", "1 if x else " * 300 + "2",
     "x" + "[0]" * 900, "-" * 900 + "x"],
)
@pytest.mark.parametrize("kind", _TASK_TYPES)
def test_deep_programs_are_refused_and_break_nothing(env, kind, deep):
    program = f"def f(x): return {deep}"
    result = propose(replace(KINDS[kind], inputs=2),
                     {"program": program, "input": "1", "inputs": ["1", "2"], "message": "hm"}, env,
                     context={"program": program})
    assert result.status is Status.TOO_LARGE and "levels deep" in result.detail

def test_a_hundred_levels_can_be_written_out_by_a_deep_caller(env):
    def deeper(n):
        return (
            deeper(n - 1)
            if n
            else propose(KINDS["deduction"], {"program": f"def f(x): return x{' + 1' * 94}", "input": "1"},
                         replace(env, held_out=_in_held_out_tenth))
        )
    assert isinstance(deeper(200), (Task, Verdict)) and getattr(deeper(200), "status", None) in (None, Status.HELD_OUT)

# ---- induction

def pairs(numbers): return [[str(n), str(2 * n)] for n in numbers]

@pytest.mark.parametrize("n", [2, 5, 6, 10])
def test_half_of_the_pairs_is_hidden(env, n):
    kind = _Induction(inputs=n)
    task = propose(kind, {"inputs": [f" {k}" for k in range(n)], "message": "hm"}, env, context={"program": DOUBLE},
                   references=("p",))
    assert task.given["pairs"] + task.hidden["pairs"] == pairs(range(n)) and len(task.given["pairs"]) == n // 2
    assert task == replace(induction_task(DOUBLE, pairs(range(n)), "hm", "p")) and task.hidden["program"] == DOUBLE


@pytest.mark.parametrize(
    "change, status",
    [
        ({"inputs": ["1", "2", "3", "1.0 "]}, None),
        ({"inputs": ["1", "2", "3", " 1"]}, Status.MALFORMED),
        ({"inputs": ["1", "2", "3"]}, Status.MALFORMED),
        ({"inputs": ["1", "2", "3", "None"]}, ProgramStatus.RAISED),
        ({"inputs": ["1", "2", "3", "y"]}, ProgramStatus.BAD_ARGUMENTS),
        ({"message": f"Write\n{DOUBLE}"}, Status.LEAKED),
        ({"message": "def  f( x ) :\n return x*2"}, Status.LEAKED),
        ({"message": "It is `return x * 2`."}, Status.LEAKED),
        ({"message": "m" * 6000}, Status.TOO_LARGE),
        ({"message": "say <think>"}, Status.MALFORMED),
        ({"message": "Multiply by two and return it."}, None),
    ],
)
def test_induction_proposals(env, change, status):
    result = propose(_Induction(inputs=4), {"inputs": ["1", "2", "3", "4"], "message": "Twice."} | change, env,
                     context={"program": DOUBLE})
    assert result.status is status and result.detail if status else isinstance(result, Task)

def test_leaks_looks_at_bodies():
    program = (
        "def g(y):\n    return [v + 1 for v in y]\n\ndef f(x):\n    'Docs.'\n    return max(g(x), key=lambda v: v % 7)")
    assert _leaks("use [v+1 for v in y], that is return [v+1 for v in y]", program)
    assert _leaks("...\nlambda v: v % 7 ... v%7 return [v + 1\nfor v in y]", program)
    assert _leaks(program, program)
    assert _leaks("def f(x):\n    'Docs.'\n    return max(g(x), key=lambda v: v % 7)",
        program) and _leaks("return max(g(x), key=lambda v: v % 7)", program)
    assert not _leaks("Add one to each, and give the one with the largest rest by seven.", program) and not _leaks(
        "return x", "def f(x):\n    return x"
    )

LONG = """def f(words, limit=3):
    'Short ones.'
    found = []  # in order
    for word in words:
        if len(word) < limit: found.append(word + "#'")
    return found"""

QUOTED = {
    "as it is": LONG,
    "comments, brackets and quotes": """def f(words, limit=3):
    found = []
    # look at each
    for word in words:  # all of them
        if len(word) < limit: found.append(word + '#\\'')
    return (found)""",
    "other names, in a block": """Write this:
```python
def short(items: list, most: int = 3) -> list:
    'Doc.'
    kept = []
    for item in items:
        if len(item) < most: kept.append(item + "#'")
    return kept
```
Easy!""",
    "other names, in a line of text": """Here: def g(a, b=3):

    c = [ ]

    # comment
    for d in a:
      if len(d) < b: c.append(d + "#'")
    return c

Is it clear?""",
    "the body": """Do
found = []
for word in words:
 if len(word) < limit:
  found.append(word + "#'")
return found
as you know""",
    "the body, spaced out": """found = [] ; for word in words : if len ( word ) < limit : # keep
 found.append(word + "#'") # more
 return found""",
}
QUOTED |= {
    "a quotation": "It is\n" + "\n".join("> " + line for line in QUOTED["other names, in a line of text"].split("\n")),
    "with line numbers": "\n".join(f"{n}. {line}" for n, line in enumerate(QUOTED["the body"].split("\n"), 1)),
    "on one line": QUOTED["other names, in a line of text"].replace("\n", "\\n"),
}

@pytest.mark.parametrize("name", QUOTED)
def test_a_quoted_program_is_found_in_any_spelling(name): assert _leaks(QUOTED[name], LONG)

@pytest.mark.parametrize("program, message", [
    ("def f(words):\n    return sorted(words, key=lambda w: (-len(w), w))", "Sort by (-len(w), w)."),
    ("def f(words):\n    return sorted(words, key=lambda word: len(word))",
    "The key is `len(word)`, and lambda word: len(word) is how to write it."),
    ("def f(rows):\n    return max(rows, key=lambda row: row['age'])",
    "Take the row with the largest row['age']; it's the key."),
    ("def f(x):\n    return x * 2", "x * 2, e.g. def g(x): return x * 3"),
    (LONG, "Keep words shorter than limit: len(word) < limit. def f(words, limit=3): what comes here?"),
    (LONG, "It's #1: \"found\" is []"), ("def f(total):\n    return total", "Sum up and return total."),
    (LONG, "def f(words): return words"),
])
def test_a_message_may_name_a_key_or_a_part(program, message): assert not _leaks(message, program)

def test_the_limits_of_the_environment_are_those_of_the_prompts(executor):
    env = Environment(executor, max_program=4_321, max_value=123)
    for kind in task_types(_TASK_TYPES, inputs=4, sizes=env.sizes):
        buffers = Buffers([kind.name])
        for task in zero_tasks([kind], env): buffers.add(task)
        if kind.name == "induction":
            buffers = Buffers(["deduction"]); buffers.add(program_task("deduction", DOUBLE, "1", "2"))
        text = kind.propose_prompt(buffers, Random(0)).text
        assert "at most 123 " in text and ("at most 4,321 " in text or kind.name == "induction")
    assert task_types()[0].sizes == Environment(executor).sizes == (10_000, 5_000)
    assert "at most 123 " in task_types(["abduction"], sizes=env.sizes)[0].solve_prompt(program_task("abduction",
        DOUBLE, "1", "2")).text

@pytest.mark.parametrize("text", ["f(21)", " f( 21 )", "20 + 1", "f(x=7 * 3)", "2 ** 4 + 5", "[f][0](21)"])
def test_calls_and_arithmetic_as_inputs(env, text):
    "One canonical text for a proposal and for an answer."
    result = propose(KINDS["abduction"], {"program": DOUBLE, "input": text}, env)
    (verdict,) = answer(program_task("abduction", DOUBLE, "None", "42"), env, text)
    if text.startswith("["): assert result.status is verdict.status is ProgramStatus.BAD_ARGUMENTS
    else: assert result.hidden["input"] in ("21", "x=21") and result.given["output"] == "42" and verdict.score == 1

def test_in_expression_mode_a_call_is_a_value():
    with Executor(workers=1, arguments="expression") as executor:
        loose = Environment(executor)
        assert _check_arguments("f(5)", loose) == "f(5)" and _check_arguments("2 + 3", loose) == "5"
        assert [v.score for v in answer(program_task("abduction", DOUBLE, "None", "20"), loose, "f(5)", "10",
            "f(10)")] == [1, 1, 0]


@pytest.mark.parametrize(
    "text, status",
    [
        ("f = lambda x: x * 2", Status.OK),
        ("double = lambda x: x + x", Status.OK),
        ("f = lambda x: x", Status.WRONG),
        ("f = lambda: 2", ProgramStatus.RAISED),
        (DOUBLE, Status.OK),
        ("def f(x):\n    return x + x", Status.OK),
        ("def helper(a): return a + a\ndef main(b): return helper(b)", Status.OK),
        ("class A:\n    def g(self, x): return 2 * x\ndef f(x): return A().g(x)", Status.OK),
        ("def f(x):\n    return {0: 0, 1: 2, 2: 4}[x]", ProgramStatus.RAISED),
        ("def f(x):\n    return {3: 6, 4: 8, 5: 10}.get(x)", Status.WRONG),
        ("def f(x):\n    return x * 2 if x else False", Status.WRONG),
        ("def f(x): return x *", ProgramStatus.SYNTAX),
        ("import time\ndef f(x): return x * 2", ProgramStatus.BANNED),
        ("import os\ndef f(x): return x * 2", ProgramStatus.UNSAFE),
        ("def f(): return 2", ProgramStatus.NO_PARAMETER),
        ("f = 3", Status.MALFORMED),
        ("class E:\n    def __eq__(self, o): return True\ndef f(x): return E()", ProgramStatus.UNREPRESENTABLE),
        ("def f(x):\n    raise SystemExit", ProgramStatus.RAISED),
        ("def f(x):\n    while x: pass", ProgramStatus.TIMEOUT),
        (
            """\
class I(int):
    def __eq__(self, other): return True
    __hash__ = int.__hash__
def f(x): return I(7)""",
            Status.WRONG,
        ),
        ("import os\ndef f(x): os._exit(0)", ProgramStatus.UNSAFE),
        ("def f(x): print(x * 2)", Status.WRONG),
        ("class S(str):\n    def __eq__(self, o): return True\n    __hash__ = str.__hash__\ndef f(x): return S('0')",
         Status.WRONG),
        ("class L(list):\n    def __eq__(self, o): return True\ndef f(x): return L()", Status.WRONG),
        (
            """\
class D(dict):
    def __eq__(self, o): return True
    def items(self): return [(0, 0)]
def f(x): return D()""",
            Status.WRONG,
        ),
        ("class I(int):\n    def __repr__(self): return '6'\ndef f(x): return I(5)", Status.WRONG),
        (
            """\
class F(float):
    def __add__(self, o): return 6.0
    def __eq__(self, o): return True
    __hash__ = float.__hash__
def f(x): return F(5)""",
            Status.WRONG,
        ),
        ("seen = []\ndef f(x):\n    seen.append(x)\n    return 6 + 2 * (len(seen) - 1)", Status.WRONG),
        ("class A:\n    __class__ = int\n    def __eq__(self, o): return True\ndef f(x): return A()",
         ProgramStatus.UNSAFE),
        ("def f(x): return {6, 8, 10}", Status.WRONG),
        ("def f(x):\n    raise Exception(x * 2)", ProgramStatus.RAISED),
        ("def f(x): yield x * 2", ProgramStatus.UNREPRESENTABLE),
        ("def f(x): return f(x)", ProgramStatus.RAISED),
        ("def g(x): return x", Status.WRONG),
        ("", Status.MALFORMED),
        ("def f(x): return str(x * 2)", Status.WRONG),
        ("def f(x): return x" + " + 1" * 500, Status.TOO_LARGE),
    ],
)
def test_induction_answers(env, text, status):
    (verdict,) = answer(induction_task(DOUBLE, pairs(range(6))), env, text)
    assert verdict.status is status and verdict.score == (status is Status.OK) and verdict.truth is None

def test_hidden_pairs_run_first_and_both_halves_count(env):
    spy = Spy(env.executor)
    (verdict,) = answer(induction_task(DOUBLE, pairs(range(6))), replace(env, executor=spy),
                        "def f(x):\n    return x * 2 if x > 2 else 0")
    assert verdict.status is Status.WRONG and spy.batches[0] == (
        [Call("def f(x):\n    return x * 2 if x > 2 else 0", "3")], False)
    assert [len(calls) for calls, _ in spy.batches] == [1, 6] and spy.batches[1][1]

# ---- prompts from buffers

def test_propose_prompts_draw_from_the_buffers(env):
    kinds, rng = task_types(references=2, inputs=4), Random(0)
    buffers = Buffers([kind.name for kind in kinds])
    assert [kind.propose_prompt(buffers, rng) is None for kind in kinds] == [
        False, False, True]  # no program to borrow yet
    for task in zero_tasks(kinds, env): buffers.add(task)
    prompts = [kind.propose_prompt(buffers, rng) for kind in kinds]
    assert all(len(prompt.references) == 1 for prompt in prompts) and prompts[2].context["inputs"] == 4
    assert prompts[2].references[0] in buffers
    for n in range(5): buffers.add(program_task("deduction", DOUBLE, str(n), str(2 * n)))
    assert len(kinds[0].propose_prompt(buffers, rng).references) == 2
    assert "random" in kinds[0].propose_prompt(buffers, rng).text
    assert replace(kinds[0], allowed=("math",)).propose_prompt(buffers, rng).text.count("Only these modules") == 1

@pytest.mark.parametrize("style", STYLES)
def test_the_zero_triplet_may_belong_to_the_held_out(executor, style):
    env = Environment(executor, held_out=always(True))
    for inputs in (2, 6, 10, 13):
        tasks = zero_tasks(task_types(_TASK_TYPES, style, inputs=inputs), env)
        assert [task.task_type for task in tasks] == list(_TASK_TYPES) and len({task.id for task in tasks}) == 4
        assert len(tasks[2].given["pairs"] + tasks[2].hidden["pairs"]) == inputs
    crashing = Spy(reply=always(Outcome(ProgramStatus.CRASHED, error="x")))
    with pytest.raises(RuntimeError, match="does the executor work"):
        zero_tasks(task_types(style=style), Environment(crashing))

def test_names_and_numbers_are_checked():
    with pytest.raises(ValueError, match="no task type 'x': there are deduction, abduction, induction, error"):
        task_types(["deduction", "x"])
    with pytest.raises(ValueError, match="inputs is 1"): task_types(inputs=1)
    with pytest.raises(ValueError, match="references is -1"): task_types(references=-1)
    with pytest.raises(ValueError, match="no prompt style 'haiku'"):
        task_types(style="haiku")[0].solve_prompt(program_task("deduction", DOUBLE, "1", "2"))

# ---- errors

def test_error_prediction(env):
    kind = KINDS["error"]
    assert propose(
        kind, {"program": "class Odd(Exception): pass\ndef f(x): raise Odd(x)", "input": "1"}, env
    ).hidden == {"error": "Odd"}
    assert propose(kind, {"program": DOUBLE, "input": "1"}, env).hidden == {"error": "NoError"}
    told = propose(kind, {"program": "def f(x): return id(x)", "input": "'a'"}, env)
    assert told.status is ProgramStatus.NONDETERMINISTIC
    assert propose(
        kind, {"program": "class E(Exception): pass\nE.__name__ = 'a b'\ndef f(x): raise E", "input": "1"}, env
    ).status in (ProgramStatus.UNREPRESENTABLE, ProgramStatus.UNSAFE)
    task = propose(kind, {"program": "def f(x): return x[2]", "input": "[]"}, env)
    assert [
        v.score
        for v in answer(
            task, env, "IndexError", "indexerror", "IndexError: list index out of range", "NoError", "Exception"
        )
    ] == [1, 1, 1, 0, 0]

# ---- triviality

@pytest.mark.parametrize("rule, program, why", [
    ("constant", "def f(x):\n    y = x * 0\n    return y", "its output stays the same when its input changes"),
    ("copied", "def f(x):\n    y = [x]\n    return y[0]", "what its solve prompt shows is its answer"),
    ("unread", "def f(x):\n    y = 2\n    return y", "its program reads none of its parameters"),
    ("one_statement", "def f(x):\n    return x + 7", "its program has one statement"),
    ("renamed", "def f(number):\n    return number * 2", "its program is one that its prompt shows, but for names"),
])
def test_a_trivial_task_is_refused_by_the_rule_that_names_it(env, rule, program, why):
    shown = KINDS["deduction"].propose_prompt(filled(DOUBLE), Random(0))
    assert shown.context == {"shown": [program_key(DOUBLE)]}
    proposal = Proposal(shown, proposal_text("deduction", {"program": program, "input": "21"}))
    def validated(**changes): return KINDS["deduction"].validate([proposal], replace(env, **changes))[0]
    verdict = validated(triviality=triviality_of, trivial=(rule,))
    assert (verdict.status, verdict.detail, verdict.ok) == (ProgramStatus.TRIVIAL, f"{rule}: {why}", False)
    measured, plain = validated(triviality=triviality_of), validated()
    assert measured.info["trivial"][rule] is True and measured.id == plain.id and "trivial" not in plain.info
    assert replace(measured, info=plain.info) == plain   # measuring changes nothing else
    assert from_dict(Task, json.loads(to_json(measured))) == measured

def filled(*programs):
    buffers = Buffers(("deduction",))
    for program in programs: buffers.add(program_task("deduction", program, "3", "6"))
    return buffers

def test_a_rule_spares_what_is_not_of_its_kind(env):
    rule = replace(env, triviality=triviality_of, trivial=tuple(TRIVIAL))
    program = "def f(x):\n    y = [i * i for i in x]\n    return sum(y)"
    texts = [proposal_text("deduction", {"program": source, "input": "[1, 2]"}) for source in ("def f(", program, "")]
    results = KINDS["deduction"].validate([Proposal(Prompt("deduction", Role.PROPOSE), text) for text in texts], rule)
    assert [isinstance(result, Task) for result in results] == [False, True, False]
    assert not any(results[1].info["trivial"].values()) and results[0].status is ProgramStatus.SYNTAX

def test_where_copies_are_refused_the_ordinary_functions_stand_alone(env):
    kinds, rule = [KINDS["deduction"], KINDS["induction"]], replace(env, triviality=triviality_of, trivial=("copied",))
    def first(env): return [task.task_type for task in zero_tasks(kinds, env, ordinary=True)]
    assert first(env) == ["deduction"] * 5 + ["induction"] and first(rule) == ["deduction"] * 4 + ["induction"]

def test_an_answer_that_is_no_program_has_a_length_of_its_own():
    kinds = task_types(("deduction", "abduction", "error", "induction"), "code", answer_tokens=40)
    tasks = [program_task(name, DOUBLE, "3", "6") for name in ("deduction", "abduction", "error")]
    tasks.append(induction_task(DOUBLE, [("1", "2"), ("2", "4")]))
    assert [kind.solve_prompt(task).max_tokens for kind, task in zip(kinds, tasks)] == [40, 40, 40, None]
    assert task_types(("deduction",), "code")[0].solve_prompt(tasks[0]).max_tokens is None

def test_what_nobody_knows_is_not_refused(env):
    rule = replace(env, triviality=triviality_of, trivial=("constant",))
    result = propose(KINDS["deduction"], {"program": "def f(x):\n    return {5: 1}[x]", "input": "5"}, rule)
    assert isinstance(result, Task) and result.info["trivial"]["constant"] is None

def test_the_zero_triplet_is_no_matter_of_the_rule(env):
    assert len(zero_tasks([KINDS["deduction"]], replace(env, triviality=triviality_of, trivial=tuple(TRIVIAL)))) == 1

def test_measuring_costs_one_batch_beside_the_proof(executor):
    spy = Spy(executor)
    watched = Environment(spy, held_out=always(False), triviality=triviality_of)
    texts = [proposal_text("deduction", {"program": DOUBLE, "input": str(i)}) for i in range(4)]
    KINDS["deduction"].validate([Proposal(Prompt("deduction", Role.PROPOSE), text) for text in texts], watched)
    assert [twice for _, twice in spy.batches] == [True, False]
