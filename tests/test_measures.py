"What is measured of proposed programs: hostile texts have no measure, and the past is what came before."

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azr.contamination import _ngrams, _overlap
from azr.core import Completion, Prompt, Role, Rollout, Status, Task, Verdict
from azr.measures import (_code_measures, program_measures, program_records, _program_shape, _proposal_metrics,
                          _surprise, _text_distance, _tree_distance, _value_type)
from azr.metrics import step_metrics

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
