"The statistics, against values from textbooks, enumeration and simulation."
from itertools import combinations
from math import comb
from random import Random
from statistics import stdev

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr.statistics import (_judgement, bootstrap, _detectable, _holm, interval, _mcnemar, _paired_test, pass_at_k,
                            published_differences, settings_table, _sign_flips, wilson)
from conftest import ROOT


@pytest.mark.parametrize("n, factor", [(2, 12.7062), (3, 4.30265), (5, 2.77645), (31, 2.04227)])
def test_the_interval_has_the_printed_factor(n, factor):
    values = [float(i % 2) for i in range(n)]
    assert interval(values)[1] == pytest.approx(factor * stdev(values) / n ** .5, rel=1e-5)


def test_holm_by_hand():
    # .005 x 4, .01 x 3, .03 x 2, .04 x 1 but never below the one before
    assert _holm([.01, .04, .03, .005]) == pytest.approx([.03, .06, .06, .02])
    assert _holm([.6, .5]) == [1.0, 1.0] and _holm([.2, None, .01]) == [.2, None, .02] and _holm([]) == []


def test_paired_test_by_hand():
    assert _paired_test([1.0, 2.0, 3.0]) == pytest.approx(.0741799, abs=1e-7)   # t = 2 sqrt(3), two degrees of freedom
    assert _paired_test([1.0]) is None and _paired_test([2.0, 2.0]) is None


def test_the_test_keeps_its_level_and_intervals_cover():
    rng, false, covered = Random(0), 0, 0
    for _ in range(4000):
        sample = [rng.gauss(3, 2) for _ in range(5)]
        middle, half = interval(sample)
        covered += abs(middle - 3) <= half
        false += _paired_test([x - 3 for x in sample]) < .05
    assert .93 < covered / 4000 < .97 and .035 < false / 4000 < .065


@pytest.mark.parametrize("n, level", [(2, .05), (3, .05), (5, .05), (5, .05 / 13)])
def test_the_detectable_difference_is_found_four_times_in_five(n, level):
    rng, found, trials = Random(1), 0, 1500
    sample = [rng.gauss(0, 1) for _ in range(n)]
    size = _detectable(sample, level) / stdev(sample)
    for _ in range(trials): found += _paired_test([rng.gauss(size, 1) for _ in range(n)]) < level
    assert .76 < found / trials < .84
    assert _detectable([1.0]) is None and _detectable([1.0, 1.0]) is None


def test_holm_keeps_the_level_over_a_whole_table():
    rng, wrong = Random(2), 0
    def no_difference(): return _paired_test([rng.gauss(0, 1) for _ in range(5)])

    for _ in range(600): wrong += min(_holm([no_difference() for _ in range(10)])) < .05
    assert wrong / 600 < .08


def test_rows_show_their_n_and_their_verdict():
    full = {0: 15.0, 1: 14.0, 2: 16.0}
    results = {"full": full, "worse": {s: v - 5 + s / 10 for s, v in full.items()}, "few": {0: 1.0}, "none": {},
               "other seeds": {8: 1.0, 9: 2.0}}
    rows = {row["setting"]: row for row in settings_table(results, "full", {"worse": -3.0})}
    assert rows["full"]["verdict"] == "the base" and rows["worse"]["verdict"] == "agrees with the paper"
    assert rows["worse"]["n"] == rows["worse"]["pairs"] == 3
    assert rows["few"]["n"] == 1 and rows["few"]["half"] is None
    assert rows["few"]["verdict"] == "cannot tell at this scale"
    assert rows["none"]["mean"] is None
    assert rows["other seeds"]["pairs"] == 0 and rows["other seeds"]["difference"] is None
    with pytest.raises(ValueError, match="no setting is called 'full azr'"): settings_table({"full": full}, "full azr")


def test_each_family_is_corrected_alone():
    full = {0: 15.0, 1: 14.0, 2: 16.0}
    spreads = {"a": .5, "b": 1.0, "c": 2.0}
    others = {name: {s: v - 5 + s * spread for s, v in full.items()} for name, spread in spreads.items()}
    results = {"full": full} | others
    alone = {row["setting"]: row for row in settings_table(results, "full", None, {"a": "one", "b": "two", "c": "two"})}
    together = {row["setting"]: row for row in settings_table(results, "full")}
    assert alone["a"]["p_holm"] == alone["a"]["p"] and together["a"]["p_holm"] == pytest.approx(3 * alone["a"]["p"])
    assert alone["a"]["detectable"] < together["a"]["detectable"]   # which the strictest of three rows asks more for
    assert alone["b"]["p_holm"] == pytest.approx(2 * alone["b"]["p"])
    assert [alone[name]["family"] for name in results] == [None, "one", "two", "two"]


def test_verdicts():
    assert _judgement(-1, .01, 2.0) == "disagrees with the paper"
    assert _judgement(-1, .01, None) == "worse" and _judgement(1, .01, None) == "better"
    assert _judgement(-1, .06, -1) == _judgement(None, None, None) == "cannot tell at this scale"


def test_published_differences_are_those_of_the_copied_table():
    printed = {"deduction only": -3.5, "no induction": -3.0, "no references": -3.0, "solver only": -1.4}
    assert published_differences(ROOT / "data" / "paper" / "table2_ablations.csv") == pytest.approx(printed)


def test_published_rows_without_a_setting_of_ours_are_left_out(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("variant,overall,setting\nOne,40,one\nFull,46.5,full\nOther,1,\n")
    assert published_differences(path) == {"one": -6.5} and published_differences(path, "one") == {"full": 6.5}


def test_interval_covers_what_it_says():
    rng, hits = Random(0), 0
    for _ in range(4000):
        middle, half = interval([rng.gauss(0, 1) for _ in range(5)])
        hits += abs(middle) <= half
    assert abs(hits / 4000 - .95) < .015
    assert interval([2.0]) == (2.0, None) and interval([1.0] * 3) == (1.0, 0.0)
    assert interval([0, 1] * 30)[1] == pytest.approx(0.13, abs=0.01)


# ---- scores of many tasks

@given(st.lists(st.booleans(), min_size=1, max_size=7), st.data())
def test_pass_at_k_is_the_share_of_all_draws(right, data):
    k = data.draw(st.integers(1, len(right)))
    draws = [any(some) for some in combinations(right, k)]
    assert abs(pass_at_k(len(right), sum(right), k) - sum(draws) / len(draws)) < 1e-12


@pytest.mark.parametrize("chance, tasks", [(.133, 30), (.1, 40), (.05, 164), (.02, 200), (.5, 15), (.9, 500)])
def test_wilson_covers_the_truth_on_small_exams_and_rare_successes(chance, tasks):
    "Exactly, over all counts."
    weights = [comb(tasks, k) * chance**k * (1 - chance)**(tasks - k) for k in range(tasks + 1)]
    bounds = [wilson(k, tasks) for k in range(tasks + 1)]
    assert .93 <= sum(w for w, (low, high) in zip(weights, bounds) if low <= chance <= high) <= .98


def test_tasks_of_one_program_are_resampled_together():
    "200 exams of 40 programs with 1 to 9 tasks each, that are solved or not as a whole."
    rng, covered, alone, false = np.random.default_rng(1), 0, 0, 0
    for seed in range(200):
        sizes = rng.integers(1, 10, size=40)
        clusters, right = np.repeat(np.arange(40), sizes), np.repeat(rng.random(40) < .4, sizes)
        covered += (bounds := bootstrap(right, seed, 400, clusters=clusters))[0] <= .4 <= bounds[1]
        alone += (bounds := bootstrap(right, seed, 400))[0] <= .4 <= bounds[1]
        false += _sign_flips(np.repeat(rng.choice([-1, 0, 1], size=40), sizes), clusters, seed, 400) < .05
    assert covered >= 180 and alone < 150 and false <= 20


def test_turned_signs_are_mcnemar_where_every_task_stands_alone():
    differences = [1] * 12 + [-1] * 4 + [0] * 30
    exact = _mcnemar([d < 0 for d in differences], [d > 0 for d in differences])
    assert abs(_sign_flips(differences) - exact) < .01 and _sign_flips([0, 0]) == _sign_flips([0, 1]) == 1


@pytest.mark.parametrize("chance, tasks", [(.5, 100), (.3, 200)])
def test_bootstrap_covers_the_truth(chance, tasks):
    "1,000 exams of models that solve a task with a known chance; 500 draws are enough for quantiles of 2.5 %."
    rng = np.random.default_rng(0)
    intervals = [bootstrap(rng.random(tasks) < chance, seed, draws=500) for seed in range(1000)]
    assert .93 <= np.mean([low <= chance <= high for low, high in intervals]) <= .97


def test_mcnemar_counts_the_tasks_that_differ():
    first, second = [True] * 5 + [False] * 5, [True] * 5 + [True] * 5
    assert _mcnemar(first, second) == 2 / 2 ** 5 == _mcnemar(second, first) and _mcnemar(first, first) == 1
