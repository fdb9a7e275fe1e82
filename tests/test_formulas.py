"Formulas of models are read in the jail, each in a process of its own: a hostile one costs itself."

import importlib.util
import time

import pytest

from azr.executor import _jail_trouble
from azr.formulas import Formulas, _by_text, _folders
from conftest import always

readable = pytest.mark.skipif(importlib.util.find_spec("math_verify") is None, reason="math-verify is not installed")
HOSTILE = ["9^{9^{9^9}}", "(" * 5000, "1000000!!", r"\int_0^1 " * 200, "\0", "\ud800", "x" * 100_000]


@readable
def test_equal_formulas_are_one_answer():
    groups = [[r"\frac{1}{2}", "0.5", "2", "1/2", "$0.5$"], ["3", "3.0", "4"], ["half", "half", "a third"], []]
    assert Formulas().classes(groups) == [[0, 0, 1, 0, 0], [0, 0, 1], [0, 0, 1], []]


@readable
def test_an_answer_is_right_wrong_or_unreadable():
    pairs = [(["1/2"], r"so \boxed{0.5}"), (["3"], r"\boxed{4}"), (["5"], "no idea"), (["1", "2"], r"\boxed{2}")]
    assert Formulas().judge(pairs) == [True, False, None, True]


@readable
@pytest.mark.parametrize("formula", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_formula_costs_itself(formula):
    begun = time.monotonic()
    before, hostile, after = Formulas(seconds=2).judge([
        (["1"], r"\boxed{1}"), (["1"], rf"\boxed{{{formula}}}"), (["2"], r"\boxed{2}")])
    assert before is True and after is True and hostile is not True and time.monotonic() - begun < 60


@readable
def test_a_group_that_cannot_be_read_is_compared_as_text():
    assert Formulas(seconds=1).classes([["9^{9^{9^9}}", "9^{9^{9^9}}", "1"], ["2", "2.0"]])[0][:2] == [0, 0]


@readable
def test_it_reads_in_the_jail():
    if trouble := _jail_trouble(): pytest.skip(trouble)
    assert Formulas(isolation="jail").judge([(["2"], r"\boxed{2}")]) == [True]


def test_words_are_themselves(): assert _by_text(["a", "b", "a"]) == [0, 1, 0]


def test_without_its_package_it_says_what_to_type(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", always(None))
    with pytest.raises(ValueError, match="math_verify is not installed: type `pip install 'math-verify"): _folders()
