"What is measured of proposed programs: hostile texts have no measure, distances are distances, overlap finds what is respelt."

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azr.core import Task
from azr.metrics import (
    code_measures,
    ngrams,
    overlap,
    proposal_metrics,
    run_proposals,
    run_tasks,
    surprise,
    text_distance,
    tree_distance,
    value_type,
)

HOSTILE = [
    "def f(",
    "\x00",
    "def f(x): return '\ud800'",
    "x" * 100_000,
    "def f(x):\n    return " + "+".join(["x"] * 900),
    "def f(x):\n    return " + "-" * 5000 + "x",
    "def f(x): return 0x" + "f" * 9000,
    "def f(x):\n    return " + "(" * 150 + "x" + ")" * 150,
    "def f(x):\n" + "    x = x + 1\n" * 3000,
]
PROGRAMS = [
    "def f(x):\n    return x",
    "def f(x):\n    return x + 1",
    "def f(x):\n    return [i for i in x if i % 2]",
    "def f(xs):\n    t = 0\n    for x in xs:\n        t += x\n    return t",
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_text_has_measures_or_none_and_never_raises(text):
    measures = code_measures(text)
    assert measures == {} or measures["lines"] >= 1
    for distance in (tree_distance, text_distance):
        assert distance(text, PROGRAMS[0]) is None or 0 <= distance(text, PROGRAMS[0]) <= 1
    found = overlap([text], [text, PROGRAMS[0]], 3)
    assert found["asked"] == 2 and found["equal"] <= 2
    ngrams(text)


@given(st.text(max_size=200))
@settings(max_examples=60)
def test_any_text_is_survived(text):
    code_measures(text), tree_distance(text, PROGRAMS[1]), text_distance(text, PROGRAMS[1]), ngrams(text), value_type(
        text
    )


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
    assert (
        code_measures(program)["complexity"] == cognitive
    )  # 1 for each break of the flow, 1 more for each level that it lies in


def test_halstead_by_hand():
    measures = code_measures(
        "def f(x):\n    return x + 1"
    )  # one operator, two operands: length 3, vocabulary 3, difficulty 1/2 * 2/2
    assert measures["volume"] == pytest.approx(3 * 1.58496, abs=1e-4) and measures["effort"] == pytest.approx(
        measures["volume"] / 2
    )
    assert measures["halstead"] == pytest.approx(
        0.5 * measures["effort"] / 10_000 + 0.3 * 0.1 + 0.2 * measures["volume"] / 500
    )


@pytest.mark.parametrize("distance", [tree_distance, text_distance])
def test_distances_are_zero_for_equals_and_at_most_one(distance):
    for one in PROGRAMS:
        for other in PROGRAMS:
            assert (distance(one, other) == 0) == (one == other) and 0 <= distance(one, other) <= 1


def test_tree_distance_by_hand_is_symmetric_and_keeps_the_triangle():
    assert tree_distance("x", "y") == pytest.approx(2 / (3 + 3 + 1))   # Module, Expr, Name: one renamed
    for a in PROGRAMS:
        for b in PROGRAMS:
            assert tree_distance(a, b) == pytest.approx(tree_distance(b, a))
            for c in PROGRAMS: assert tree_distance(a, c) <= tree_distance(a, b) + tree_distance(b, c) + 1e-12


def task(number, name, step, output="1", program=PROGRAMS[1]):
    pairs = [["1", output], ["2", output]]
    if name == "induction":
        return Task(
            name, {"pairs": pairs[:1], "message": ""}, {"program": program, "pairs": pairs[1:]}, f"t{number}", step=step
        )
    hidden = {"output": output} if name == "deduction" else {"input": output}
    return Task(name, {"program": program}, hidden, f"t{number}", step=step)


def test_undefined_is_undefined():
    assert surprise("a", Counter()) is None and surprise("a", Counter("ab")) == .5
    first = proposal_metrics([task(0, "deduction", 0)], {}, [0, 7])
    assert (
        not {"answer_diversity", "novel_rate", "tree_distance"} & {k.split("/")[-1] for k in first[0]}
        and first[7] == {}
    )
    assert (
        "propose/induction/complexity" not in proposal_metrics([task(0, "induction", 1)], {}, [1])[1]
    )  # it borrows its program
    unmeasurable = proposal_metrics([task(0, "deduction", 1, program=HOSTILE[4])], {}, [1])[1]
    assert not any(k.endswith(("complexity", "lines")) for k in unmeasurable)
    assert overlap([], [PROGRAMS[0]], 50)["ngram_share"] is None and overlap([], [])["equal_share"] is None


def test_the_past_is_what_came_before_the_step():
    tasks = [
        task(0, "abduction", 0, "1"),
        task(1, "abduction", 1, "1"),
        task(2, "abduction", 1, "'a'", PROGRAMS[2]),
        task(3, "abduction", 2, "'b'", PROGRAMS[2]),
    ]
    found = proposal_metrics(tasks, {}, [1, 2])
    assert found[1]["propose/abduction/answer_diversity"] == .5 and found[1]["propose/abduction/novel_rate"] == .5
    assert (
        found[2]["propose/abduction/answer_diversity"] == 1
        and found[2]["propose/abduction/novel_rate"] == 0
        and found[2]["propose/abduction/type_diversity"] == pytest.approx(2 / 3)
    )


def test_overlap_sees_through_spelling():
    respelt = "def f(numbers):\n    'sum'\n    total = 0\n    for n in numbers: total += n\n    return total"
    found = overlap([respelt], PROGRAMS, 4)
    assert found["equal"] == 1 and found["equal_share"] == 1 / 4 and 1 / 4 <= found["ngram_share"] < 1
    assert overlap(PROGRAMS, PROGRAMS, 4)["equal_share"] == 1 == overlap(PROGRAMS, PROGRAMS, 4)["ngram_share"]


def test_a_folder_without_a_checkpoint_holds_no_tasks(tmp_path):
    (tmp_path / "rollouts.jsonl.gz").write_bytes(b"")
    assert run_tasks(tmp_path) == [] and run_proposals(tmp_path) == {}
