"Claims are validated, answers verified: every refusal by its name, and answers that try to cheat."
import pytest
from programs import PROGRAMS

from azr.core import Attempt, Prompt, Proposal, Role, Status, Task, Verdict
from azr.executor import Executor
from azr.prompts import answer_text, proposal_text
from azr.tasks import Environment, induction_task, program_task, task_types, zero_tasks
from azr.values import bucket, equal, parse_literal


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=2, timeout=1.0) as executor: yield executor


@pytest.fixture(scope="module")
def env(executor): return Environment(executor, held_out=lambda program: False)


KINDS = {kind.name: kind for kind in task_types(("deduction", "abduction", "induction", "error"), "r1", references=2, inputs=4)}


def propose(kind, program, text, env):
    (result,) = KINDS[kind].validate([Proposal(Prompt(kind, Role.PROPOSE), proposal_text(kind, {"program": program, "input": text}, "r1"))], env)
    return result


def propose_inputs(program, inputs, message, env):
    prompt = Prompt("induction", Role.PROPOSE, context={"program": program, "inputs": 4})
    (result,) = KINDS["induction"].validate([Proposal(prompt, proposal_text("induction", {"inputs": inputs, "message": message}, "r1"))], env)
    return result


def answer(task, text, env):
    ((verdict,),) = KINDS[task.task_type].verify([(task, [Attempt(task.id, answer_text(task.task_type, text, "r1"))])], env)
    return verdict


@pytest.mark.parametrize("kind", ["deduction", "abduction"])
def test_realistic_programs_become_tasks_with_their_outputs(kind, env):
    proposals = [Proposal(Prompt(kind, Role.PROPOSE), proposal_text(kind, {"program": p, "input": i}, "r1")) for p, i, _ in PROGRAMS]
    tasks = KINDS[kind].validate(proposals, env)
    assert len(PROGRAMS) >= 24 and not [t for t in tasks if isinstance(t, Verdict)]
    for task, (_, _, output) in zip(tasks, PROGRAMS): assert equal(parse_literal({**task.given, **task.hidden}["output"]), parse_literal(output))
    right = [text for _, text, _ in PROGRAMS] if kind == "abduction" else [output for _, _, output in PROGRAMS]
    verdicts = KINDS[kind].verify([(t, [Attempt(t.id, answer_text(kind, text, "r1"))]) for t, text in zip(tasks, right)], env)
    assert all(v.ok and v.score == 1.0 for (v,) in verdicts)


REFUSED = [
    ("def f(x):\n    return x +", "1", Status.SYNTAX), ("class C:\n    def g(self, x):\n        return x", "1", Status.NO_FUNCTION), ("def f():\n    return 1", "1", Status.NO_PARAMETER),
    ("import random\ndef f(x):\n    return random.choice(x)", "[1]", Status.BANNED), ("from datetime import date as d\ndef f(x):\n    return x", "1", Status.BANNED),
    ("import os.path as p\ndef f(x):\n    return x", "1", Status.BANNED), ("from os import path\ndef f(x):\n    return x", "1", Status.BANNED), ("import time as t, math\ndef f(x):\n    return x", "1", Status.BANNED),
    ("def f(x):\n    import threading\n    return x", "1", Status.BANNED), ("from concurrent.futures import thread\nimport multiprocessing.pool\ndef f(x):\n    return x", "1", Status.BANNED),
    ("import socket\ndef f(x):\n    return x", "1", Status.UNSAFE), ("def f(x):\n    return open(x).read()", "'/etc/passwd'", Status.UNSAFE), ("def f(x):\n    return ().__class__.__base__", "1", Status.UNSAFE),
    ("def f(x):\n    return eval(x)", "'1'", Status.UNSAFE), ("def f(x):\n    return 1 // x", "0", Status.RAISED), ("def f(x):\n    while x:\n        pass", "1", Status.TIMEOUT),
    ("def f(x):\n    return list({'a', 'b', 'c', 'd', 'e', x})", "'f'", Status.NONDETERMINISTIC), ("def f(x):\n    return hash(x)", "'abc'", Status.NONDETERMINISTIC),
    ("def f(x):\n    return lambda: x", "1", Status.UNREPRESENTABLE), ("def f(x):\n    return (y for y in x)", "[1]", Status.UNREPRESENTABLE), ("def f(x):\n    return float('nan')", "1", Status.UNREPRESENTABLE),
    ("def f(x):\n    return 'a' * x", "100000", Status.TOO_LARGE), ("def f(x):\n    return x", "'" + "a" * 6000 + "'", Status.TOO_LARGE), ("def f(x):\n    return x\n" + "#" * 10_000, "1", Status.TOO_LARGE),
    ("def f(x):\n    return x", "__import__('os')", Status.BAD_ARGUMENTS), ("def f(x):\n    return x", "open('x')", Status.BAD_ARGUMENTS),
]


@pytest.mark.parametrize("program, text, status", REFUSED)
def test_a_refusal_has_its_own_name_and_a_reason(program, text, status, env):
    result = propose("deduction", program, text, env)
    assert isinstance(result, Verdict) and result.status is status and result.detail, result


def test_a_completion_without_the_form_is_malformed(env):
    for text in ("", "no answer", "<answer>```python\ndef f(x):\n    return x\n```</answer>", "</think> <answer>```input\n1\n```</answer>"):
        (result,) = KINDS["deduction"].validate([Proposal(Prompt("deduction", Role.PROPOSE), text)], env)
        assert result.status is Status.MALFORMED and result.detail


def test_held_out_programs_are_refused_under_any_names(executor):
    program = next(p for p in (f"def f(x):\n    return x + {n}" for n in range(1000)) if bucket(p) < 10)
    for text in (program, program.replace("x", "value"), '"""A doc."""\n' + program + "  # a comment"):
        assert propose("deduction", text, "1", Environment(executor)).status is Status.HELD_OUT


def test_induction_inputs_must_differ_and_the_message_must_not_tell(env):
    program = "def f(x):\n    y = x * 2\n    return y + 1"
    task = propose_inputs(program, ["1", "2", "3", "4"], "Double it and add one.", env)
    assert isinstance(task, Task) and len(task.given["pairs"]) == len(task.hidden["pairs"]) == 2 and task.hidden["program"] == program
    assert propose_inputs(program, ["1", "2", "1", "4"], "Double it.", env).status is Status.MALFORMED
    assert propose_inputs(program, ["1", "2", "3"], "Double it.", env).status is Status.MALFORMED
    assert propose_inputs(program, ["1", "2", "3", "[]"], "Double it.", env).status is Status.RAISED
    assert propose_inputs(program, ["1", "2", "3", "4"], f"It is {program}", env).status is Status.LEAKED


def test_equal_tasks_have_equal_ids_and_names_do_not_matter(env):
    one, two = propose("deduction", "def f(x):\n    return x + 1", "1", env), propose("deduction", "def f(value):\n    # add\n    return value + 1", " 1 ", env)
    assert one.id == two.id != propose("abduction", "def f(x):\n    return x + 1", "1", env).id


DEDUCTION = program_task("deduction", "def f(x):\n    return x.upper() + '!'", "'secret-blue'", "'SECRET-BLUE!'")
ABDUCTION = program_task("abduction", "def f(x):\n    return x.upper() + '!'", "'secret-blue'", "'SECRET-BLUE!'")
INDUCTION = induction_task("def f(x):\n    return x * 2 + 1", [("1", "3"), ("2", "5"), ("10", "21"), ("7", "15")])


def test_right_answers_score(env):
    assert answer(DEDUCTION, '"SECRET-BLUE!"', env).score == 1.0
    assert answer(ABDUCTION, "'Secret-Blue'", env).score == 1.0 and answer(ABDUCTION, "x='secret-blue'", env).score == 1.0
    assert answer(INDUCTION, "def f(n):\n    return n + n + 1", env).score == 1.0 and answer(INDUCTION, "def double(n):\n    return 2 * n + 1", env).score == 1.0


EXPRESSIONS = ["1) or (True", "True or (1", "f('secret-blue')", "f", "gold", "output", "__import__('os').getcwd()", "type('E', (), {'__eq__': lambda s, o: True})()", "(lambda: 'SECRET-BLUE!')()",
               "'secret-blue'.upper() + '!'", "f'{1}'", "'SECRET' if True else 0", "# 'SECRET-BLUE!'", "...", "None", "True", "b'SECRET-BLUE!'", "'SECRET\u2010BLUE!'", "['SECRET-BLUE!']", "'SECRET-BLUE!',",
               "[" * 3000 + "]" * 3000, "9" * 20_000, "'" + "A" * 30_000 + "'", "\\\n'x'", "'SECRET-BLUE!' == 'SECRET-BLUE!'", "exit()", "'SECRET-BLUE!'; 1", "*['SECRET-BLUE!']", "{**{}}", "eval(\"'SECRET-BLUE!'\")"]


@pytest.mark.parametrize("task", [DEDUCTION, ABDUCTION], ids=["deduction", "abduction"])
@pytest.mark.parametrize("text", EXPRESSIONS)
def test_an_answer_that_is_no_plain_right_value_scores_nothing(task, text, env):
    verdict = answer(task, text, env)
    assert verdict.score == 0.0 and not verdict.ok and verdict.detail


@pytest.mark.parametrize("program", [
    "class E:\n    def __eq__(self, other):\n        return True\n\ndef f(x):\n    return E()", "class I(int):\n    def __eq__(self, other):\n        return True\n\ndef f(x):\n    return I(3)",
    "def f(x):\n    return {1: 3, 2: 5}[x]", "def f(x):\n    raise SystemExit", "def f(x):\n    while True:\n        pass", "import os\ndef f(x):\n    os._exit(0)", "def f(x):\n    print(x * 2 + 1)",
    "def f(x):\n    return f(x)", "def g(x):\n    return x", "f = lambda x: x * 2", "", "def f(x):\n    return str(x * 2 + 1)", "def f(x):\n    return True"])
def test_programs_that_are_not_the_answer_score_nothing(program, env):
    assert answer(INDUCTION, program, env).score == 0.0


def test_the_gold_never_enters_the_executor(env, monkeypatch):
    seen = []
    original = Executor.run
    monkeypatch.setattr(Executor, "run", lambda self, calls, twice=False: (seen.extend(calls), original(self, calls, twice))[1])
    answer(ABDUCTION, "'other'", env), answer(DEDUCTION, "'other'", env), answer(INDUCTION, "def f(x):\n    return 0", env)
    assert seen and not [call for call in seen if "SECRET-BLUE!" in call.program + call.args or "* 2 + 1" in call.program]


def test_verdicts_come_in_the_order_of_the_attempts(env):
    texts = ["'secret-blue'", "1", "'secret-blue'", "nonsense", "'Secret-blue'"]
    (verdicts,) = KINDS["abduction"].verify([(ABDUCTION, [Attempt(ABDUCTION.id, answer_text("abduction", t, "r1")) for t in texts])], env)
    assert [v.score for v in verdicts] == [1.0, 0.0, 1.0, 0.0, 1.0]


def test_error_prediction(env):
    task = propose("error", "def f(x):\n    return 1 // x", "0", env)
    assert task.hidden["error"] == "ZeroDivisionError" and answer(task, "ZeroDivisionError", env).ok and not answer(task, "NoError", env).ok
    assert propose("error", "def f(x):\n    return 1 // x", "1", env).hidden["error"] == "NoError"


@pytest.mark.parametrize("style", ["r1", "chat", "terse"])
def test_the_zero_triplet_in_every_style(style, executor):
    tasks = zero_tasks(task_types(("deduction", "abduction", "induction"), style, references=0, inputs=6), Environment(executor))
    assert [t.task_type for t in tasks] == ["deduction", "abduction", "induction"] and tasks[0].given["program"] == "def f(x):\n    return x"


def test_an_unknown_task_type_is_named():
    with pytest.raises(ValueError, match="no task type 'deduktion': there are deduction, abduction, induction"): task_types(("deduktion",))
