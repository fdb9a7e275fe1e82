"What is measured of proposed programs: hostile texts have no measure, and the past is what came before."

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from conftest import always
from programs import PROGRAMS as PROGRAMS_THAT_RUN

from azr.contamination import _ngrams, _overlap
from azr.core import Completion, Prompt, Role, Rollout, Status, Task, Verdict
from azr.executor import Executor
from azr.measures import (_changed_inputs, _code_measures, triviality_of, program_measures, program_records,
                          _program_shape, _proposal_metrics,
                          _surprise, _text_distance, _tree_distance, _triviality, _value_type)
from azr.metrics import step_metrics
from azr.tasks import Environment, program_key, program_task
from azr.values import Unrepresentable, canonical, parse_arguments

HOSTILE = ["def f(", "\x00", "def f(x): return '\ud800'", "x" * 100_000,
           "def f(x):\n    return " + "+".join(["x"] * 900), "def f(x):\n    return " + "-" * 5000 + "x",
           "def f(x): return 0x" + "f" * 9000, "def f(x):\n    return " + "(" * 150 + "x" + ")" * 150,
           "def f(x):\n" + "    x = x + 1\n" * 3000]
PROGRAMS = [
    "def f(x):\n    return x",
    "def f(x):\n    return x + 1",
    "def f(x):\n    return [i for i in x if i % 2]",
    "def f(xs):\n    t = 0\n    for x in xs:\n        t += x\n    return t",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_text_has_measures_or_none_and_never_raises(text):
    measures = _code_measures(text)
    assert measures == {} or measures["lines"] >= 1
    for distance in (_tree_distance, _text_distance):
        assert distance(text, PROGRAMS[0]) is None or 0 <= distance(text, PROGRAMS[0]) <= 1
    found = _overlap([text], [text, PROGRAMS[0]], 3)
    assert found["asked"] == 2 and found["equal"] <= 2
    _ngrams(text)


@given(st.text(max_size=200))
@settings(max_examples=60)
def test_any_text_is_survived(text):
    for measured in (_code_measures, _ngrams, _value_type): measured(text)
    for distance in (_tree_distance, _text_distance): distance(text, PROGRAMS[1])


@pytest.mark.parametrize(
    "program, cognitive",
    [
        (PROGRAMS[0], 0),
        (PROGRAMS[3], 1),
        ("def f(x):\n    if x:\n        return 1\n    return 2", 1),
        ("def f(x):\n    for i in x:\n        if i:\n            while i:\n                i -= 1\n    return x", 6),
    ],
)
def test_cognitive_complexity_by_hand(program, cognitive):
    # 1 for each break of the flow, 1 more for each level that it lies in
    assert _code_measures(program)["complexity"] == cognitive


def test_halstead_by_hand():
    measures = _code_measures(
        "def f(x):\n    return x + 1")  # one operator, two operands: length 3, vocabulary 3, difficulty 1/2 * 2/2
    assert measures["volume"] == pytest.approx(3 * 1.58496, abs=1e-4) and measures["effort"] == pytest.approx(
        measures["volume"] / 2)
    assert measures["halstead"] == pytest.approx(
        0.5 * measures["effort"] / 10_000 + 0.3 * 0.1 + 0.2 * measures["volume"] / 500)


@pytest.mark.parametrize("distance", [_tree_distance, _text_distance])
def test_distances_are_zero_for_equals_and_at_most_one(distance):
    for one in PROGRAMS:
        for other in PROGRAMS:
            assert (distance(one, other) == 0) == (one == other) and 0 <= distance(one, other) <= 1


def test_tree_distance_by_hand_is_symmetric_and_keeps_the_triangle():
    assert _tree_distance("x", "y") == pytest.approx(2 / (3 + 3 + 1))   # Module, Expr, Name: one renamed
    for a in PROGRAMS:
        for b in PROGRAMS:
            assert _tree_distance(a, b) == pytest.approx(_tree_distance(b, a))
            for c in PROGRAMS: assert _tree_distance(a, c) <= _tree_distance(a, b) + _tree_distance(b, c) + 1e-12


def task(number, name, step, output="1", program=PROGRAMS[1]):
    pairs = [["1", output], ["2", output]]
    if name == "induction":
        return Task(
            name, {"pairs": pairs[:1], "message": ""}, {"program": program, "pairs": pairs[1:]}, f"t{number}", step=step
        )
    hidden = {"output": output} if name == "deduction" else {"input": output}
    return Task(name, {"program": program}, hidden, f"t{number}", step=step)


def test_undefined_is_undefined():
    assert _surprise("a", Counter()) is None and _surprise("a", Counter("ab")) == .5
    first = _proposal_metrics([task(0, "deduction", 0)], {}, [0, 7])
    assert not {"answer_diversity", "novel_rate", "tree_distance"} & {k.split("/")[-1] for k in first[0]}
    assert first[7] == {}
    assert (
        "propose/induction/complexity" not in _proposal_metrics([task(0, "induction", 1)], {}, [1])[1]
    )  # it borrows its program
    unmeasurable = _proposal_metrics([task(0, "deduction", 1, program=HOSTILE[4])], {}, [1])[1]
    assert not any(k.endswith(("complexity", "lines")) for k in unmeasurable)
    assert _overlap([], [PROGRAMS[0]], 50)["ngram_share"] is None and _overlap([], [])["equal_share"] is None


def test_the_past_is_what_came_before_the_step():
    tasks = [task(0, "abduction", 0, "1"), task(1, "abduction", 1, "1"), task(2, "abduction", 1, "'a'", PROGRAMS[2]),
             task(3, "abduction", 2, "'b'", PROGRAMS[2])]
    found = _proposal_metrics(tasks, {}, [1, 2])
    assert found[1]["propose/abduction/answer_diversity"] == .5 and found[1]["propose/abduction/novel_rate"] == .5
    assert found[2]["propose/abduction/answer_diversity"] == 1
    assert found[2]["propose/abduction/novel_rate"] == 0
    assert found[2]["propose/abduction/type_diversity"] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "program, shape",
    [
        ("def f(x): return x", (1, 0)),
        (
            "import math\n\ndef g(x):\n    'doc'\n    return x\n\nclass A:\n    y: int = 0\n\n"
            "def f(x):\n    return [g(i) for i in x]",
            (3, 0),
        ),
        (
            "def f(x):\n    if x:\n        return 1\n    elif x > 2:\n        return 2\n"
            "    elif x > 3:\n        return 3\n    else:\n        return 4",
            (7, 1),
        ),
        (
            "def f(x):\n    while x:\n        try:\n            with x as y: pass\n"
            "        except ValueError:\n            for i in x:\n                if i: break\n    return x",
            (8, 4),
        ),
        ("def f(x):\n    match x:\n        case 1:\n            if x: return 1\n    return 2", (4, 2)),
    ],
)
def test_program_shape(program, shape):
    assert tuple(_program_shape(program).values()) == shape


def test_very_deep_expressions_are_no_trouble():
    assert _program_shape("def f(x): return " + "+".join(["x"] * 900)) == {"statements": 1, "nesting": 0}


def test_only_programs_that_a_task_brings_are_measured():
    tasks = [Task("deduction", {"program": "def f(x): return x", "input": "1"}, {}, "a"),
             Task("induction", {"pairs": []}, {"program": "def f(x):\n    x += 1\n    return x"}, "b")]
    rollouts = [Rollout(Prompt(name, role, text="?"), Completion(""), Verdict(Status.OK))
                for name in ("deduction", "abduction", "induction")
                for role in Role]
    metrics = step_metrics(rollouts, tasks, measures=program_measures)
    assert metrics["propose/deduction/statements"] == 1
    assert "solve/deduction/statements" not in metrics
    assert "propose/induction/statements" not in metrics
    assert "propose/abduction/statements" not in metrics


def test_records_hold_measures_and_the_first_short_programs():
    assert program_records([], {}) == []
    programs = {n: f"def f(x):\n    return {n}" for n in range(1, 7)}
    tasks = [task(0, "deduction", 0), *(task(n, "deduction", 5, program=program) for n, program in programs.items())]
    tasks.insert(1, task(9, "deduction", 5, program="def f(x):\n    return '" + "x" * 200 + "'"))
    prompt = Prompt("deduction", Role.PROPOSE, text="?", references=("t0", "gone"))
    shown = [Rollout(prompt, Completion(""), Verdict(Status.OK), task_id="t1")]
    (record,) = program_records([*tasks, task(10, "induction", 5)], {5: shown}, programs=2)
    assert record["propose/deduction/programs"] == ["def f(x):\n    return 1", "def f(x):\n    return 2"]
    assert record["propose/deduction/tree_distance"] == round(_tree_distance("def f(x):\n    return 1", PROGRAMS[1]), 4)
    assert record["step"] == 5 and "propose/induction/programs" not in record
    assert "propose/induction/answer_diversity" not in record and record["propose/deduction/novel_rate"] == 1.0


# ---- triviality

@pytest.fixture(scope="module")
def env():
    with Executor(workers=1, timeout=.5) as executor: yield Environment(executor, held_out=always(False))


def posed(program, given="5", kind="deduction", **hidden):
    return Task(kind, {"program": program, "input": given}, hidden, f"{kind} {program} {given}")


def constant(env, *tasks):
    return [one["trivial"]["constant"] for one in triviality_of(tasks, [None] * len(tasks), env)]


@pytest.mark.parametrize("source, given", [
    ("return 1", "5"), ("return x * 0", "7"), ("return len([1, 2])", "'abc'"), ("x = 3\n    return x", "[1, 2]"),
    ("return [y for y in x if False]", "[1, 2, 3]"), ("return type(x).__name__", "{'a': 1}"), ("return x - x", "2.5"),
])
def test_an_output_that_never_changes_is_constant(env, source, given):
    assert constant(env, posed(f"def f(x):\n    {source}", given)) == [True]


@pytest.mark.parametrize("program, given, output", PROGRAMS_THAT_RUN, ids=range(len(PROGRAMS_THAT_RUN)))
def test_a_real_function_is_not_constant(env, program, given, output):
    assert constant(env, posed(program, given)) == [False]


@pytest.mark.parametrize("source, given", [
    ("return x > 0", "5"), ("return bool(x)", "'abc'"), ("return len(x) == 0", "[1]"), ("return not x", "True"),
    ("return x is None", "1, 2" ), ("return len(x)", "[1, 2, 3]"), ("return sum(x.values())", "{'a': 1}"),
])
def test_conditions_change_with_their_input(env, source, given):
    program = f"def f(x, y=0):\n    {source}"
    assert constant(env, posed(program, given)) == [source == "return x is None"]   # no change makes a number None


def test_what_ran_nowhere_is_unknown_and_counts_for_no_share(env):
    tasks = [posed("def f(x):\n    return {5: 1}[x]"), posed("def f(x):\n    return 1"),
             posed("def f(x):\n    return 1", "None")]
    assert constant(env, *tasks) == [None, True, None]
    judged = _triviality(tasks, env)
    assert judged["constant_rate"] == 1 and judged["unknown_rate"] == 2 / 3


def test_of_an_error_task_the_exception_is_the_output(env):
    same, other = "def f(x):\n    return x.upper() / 2", "def f(x):\n    return 1 / max(0, x)"
    assert constant(env, posed(same, "'ab'", "error"), posed(other, "5", "error"), posed(other, "5")) == [
        True, False, False]


def test_an_induction_task_has_its_pairs(env):
    def induced(*outputs):
        pairs = [[str(i), output] for i, output in enumerate(outputs)]
        return Task("induction", {"pairs": pairs[:2]}, {"program": "def f(x): return 1", "pairs": pairs[2:]}, "i")
    facts = triviality_of([induced("1", "1", "1"), induced("1", "1", "2")], [None] * 2, env)
    assert [one["trivial"] for one in facts] == [
        {"constant": True, "copied": False}, {"constant": False, "copied": False}]
    assert _triviality([induced("1", "1")], env) == {"constant_rate": 1, "copied_rate": 0, "unknown_rate": 0}
    assert _triviality([induced("0", "1", "2")], env)["copied_rate"] == 1


HOSTILE_RUNS = ["while x != 5: pass\n    return x", "return [0] * 10**9 if x != 5 else 1",
                "return 1 / 0 if x != 5 else 1",
                "return '9' * 10**6 if x != 5 else 1", "raise SystemExit if x != 5 else ValueError",
                "return f(x) if x != 5 else 1", "return open('/tmp/azr-was-here', 'w') if x != 5 else 1",
                "return __import__('os').getpid()"]


def test_a_hostile_program_on_changed_inputs_harms_nobody(env):
    tasks = [posed(f"def f(x):\n    {source}") for source in HOSTILE_RUNS] + [posed("def f(x):\n    return x + 1")]
    found = constant(env, *tasks)
    assert found == [None] * len(HOSTILE_RUNS) + [False]
    assert not Path("/tmp/azr-was-here").exists()


def test_all_runs_are_one_batch_and_the_same_on_any_day(env):
    class Spy:
        def __init__(self): self.batches = []
        def run(self, calls, twice=False):
            self.batches.append(list(calls))
            return env.executor.run(calls, twice=twice)
    spy, tasks = Spy(), [posed(program, given) for program, given, _ in PROGRAMS_THAT_RUN]
    nobody = [None] * len(tasks)
    assert triviality_of(tasks, nobody, replace(env, executor=spy)) == triviality_of(tasks, nobody, env)
    assert len(spy.batches) == 1 and len(spy.batches[0]) > 4 * len(tasks)
    assert triviality_of([], [], replace(env, executor=spy)) == [] and len(spy.batches) == 1


def test_changes_do_not_hang_on_the_hash_seed():
    given = "{'b', 'a', 'cc'}, {'k': frozenset({'x', 'y'})}, n=-2"
    source = f"from azr.measures import _changed_inputs; print(*_changed_inputs({given!r}), sep='\\n')"
    said = {subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True,
                           env=os.environ | {"PYTHONHASHSEED": seed}).stdout for seed in "0123"}
    assert len(said) == 1 and len(said.pop().splitlines()) == 8


def around(inner):
    text = st.text(max_size=3)
    keyed, words = st.dictionaries(text, inner, max_size=3), st.frozensets(text, max_size=3)
    return st.lists(inner, max_size=3) | st.tuples(inner, inner) | keyed | words


numbers = st.booleans() | st.integers() | st.floats() | st.complex_numbers()
literals = st.recursive(st.none() | numbers | st.text(max_size=8) | st.binary(max_size=4), around, max_leaves=8)


@given(st.lists(literals, min_size=1, max_size=3))
@settings(max_examples=200)
def test_changed_inputs_are_literals_of_the_same_types(values):
    try: text = ", ".join(map(canonical, values))
    except Unrepresentable: return
    changed = _changed_inputs(text)
    assert text not in changed and len(set(changed)) == len(changed) <= 8 and changed == _changed_inputs(text)
    for one in changed:
        args, kwargs = parse_arguments(one)
        assert [type(arg) for arg in args] == [type(arg) for arg in parse_arguments(text)[0]] and not kwargs


@pytest.mark.parametrize("text", ["f(", "x", "", "f(5), open('x')", "\x00"])
def test_what_is_no_literal_is_not_changed(text): assert _changed_inputs(text) == []


@pytest.mark.parametrize("kind, source, given, output, copied", [
    ("deduction", "return y", "5, [1, 'a']", "[1, 'a']", True),
    ("deduction", "return max(x, y)", "5, y=7", "7", True),
    ("deduction", "return x[0]", "[1, 2], 3", "1", False),
    ("deduction", "return [x]", "[1], 3", "[[1]]", False),
    ("deduction", "return x + 0.0", "1, 3", "1.0", True),                     # 1 is judged right
    ("abduction", "return sorted(x)", "[2, 1]", "[1, 2]", True),              # sorting what is sorted
    ("abduction", "return x + 1", "4", "5", False),
    ("abduction", "return [y] + x", "[2], 1", "[1, 2]", False),
    ("abduction", "return x.upper()", "'ab'", "'AB'", True),
    ("abduction", "return len(x)", "'ab'", "2", False),                       # raises
    ("error", "return x / 0", "1", "ZeroDivisionError", None),
])
def test_a_task_whose_prompt_shows_the_answer_is_copied(env, kind, source, given, output, copied):
    task = program_task(kind, f"def f(x, y=0):\n    {source}", given, output)
    (found,) = triviality_of([task], [None], env)
    assert found["trivial"]["copied"] == copied


def test_the_five_kinds(env):
    shown = Prompt("deduction", Role.PROPOSE, context={"shown": [program_key("def f(x):\n    return x[0] + 1")]})
    sources = {"def f(number):\n    'Next.'\n    return number[0] + 1": {"renamed", "one_statement"},
               "def f(x, n=2):\n    y = 3\n    return y": {"constant", "unread"},
               "def f(x):\n    x += [1]\n    return 1": {"constant"},
               "def f(x):\n    def g(y):\n        return x\n    return g(1)": {"copied"},
               "def f(x):\n    y = sorted(x)\n    return y[0] + 1": set()}
    facts = triviality_of([posed(source, "[3, 1]") for source in sources], [shown] * 5, env)
    assert [{kind for kind, whether in one["trivial"].items() if whether} for one in facts] == [*sources.values()]


def test_equal_outputs_on_equal_inputs_are_one_meaning(env):
    alike = ["return x + x", "y = 2\n    return y * x", "return sum([x, x])"]
    facts = triviality_of([posed(f"def f(x):\n    {source}") for source in (*alike, "return x + 5")], [None] * 4, env)
    meanings = [one["meaning"] for one in facts]
    assert len(set(meanings[:3])) == 1 and meanings[3] != meanings[0]   # x + x is x + 5 at 5, and nowhere else


def test_a_step_says_what_share_is_trivial(env):
    tasks = [posed("def f(x):\n    return 1"), posed("def f(y):\n    return y"), posed("def f(z):\n    return z")]
    bare = program_measures([], tasks)
    assert bare["distinct_trees"] == 2 and "constant_rate" not in bare     # nobody asked
    facts = triviality_of(tasks, [None] * 3, env)
    told = program_measures([], [replace(task, info=one) for task, one in zip(tasks, facts)])
    assert told == bare | {"constant_rate": 1 / 3, "renamed_rate": 0, "one_statement_rate": 1, "unread_rate": 1 / 3,
                           "copied_rate": 2 / 3, "unknown_rate": 0}
