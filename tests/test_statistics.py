"The statistics of a table of settings, against values from textbooks and against simulation."
from random import Random
from statistics import stdev

import pytest

from azr.metrics import detectable, holm, interval, judgement, paired_test, published_differences, settings_table
from conftest import ROOT


@pytest.mark.parametrize("n, factor", [(2, 12.7062), (3, 4.30265), (5, 2.77645), (31, 2.04227)])
def test_the_interval_has_the_printed_factor(n, factor):
    values = [float(i % 2) for i in range(n)]
    assert interval(values)[1] == pytest.approx(factor * stdev(values) / n ** .5, rel=1e-5)


def test_holm_by_hand():
    # .005 x 4, .01 x 3, .03 x 2, .04 x 1 but never below the one before
    assert holm([.01, .04, .03, .005]) == pytest.approx([.03, .06, .06, .02])
    assert holm([.6, .5]) == [1.0, 1.0] and holm([.2, None, .01]) == [.2, None, .02] and holm([]) == []


def test_paired_test_by_hand():
    assert paired_test([1.0, 2.0, 3.0]) == pytest.approx(.0741799, abs=1e-7)   # t = 2 sqrt(3), two degrees of freedom
    assert paired_test([1.0]) is None and paired_test([2.0, 2.0]) is None


def test_the_test_keeps_its_level_and_intervals_cover():
    rng, false, covered = Random(0), 0, 0
    for _ in range(4000):
        sample = [rng.gauss(3, 2) for _ in range(5)]
        middle, half = interval(sample)
        covered += abs(middle - 3) <= half
        false += paired_test([x - 3 for x in sample]) < .05
    assert .93 < covered / 4000 < .97 and .035 < false / 4000 < .065


@pytest.mark.parametrize("n, level", [(2, .05), (3, .05), (5, .05), (5, .05 / 13)])
def test_the_detectable_difference_is_found_four_times_in_five(n, level):
    rng, found, trials = Random(1), 0, 1500
    sample = [rng.gauss(0, 1) for _ in range(n)]
    size = detectable(sample, level) / stdev(sample)
    for _ in range(trials): found += paired_test([rng.gauss(size, 1) for _ in range(n)]) < level
    assert .76 < found / trials < .84
    assert detectable([1.0]) is None and detectable([1.0, 1.0]) is None


def test_holm_keeps_the_level_over_a_whole_table():
    rng, wrong = Random(2), 0
    for _ in range(600): wrong += min(holm([paired_test([rng.gauss(0, 1) for _ in range(5)]) for _ in range(10)])) < .05
    assert wrong / 600 < .08


def test_rows_show_their_n_and_their_verdict():
    full = {0: 15.0, 1: 14.0, 2: 16.0}
    rows = {row["setting"]: row for row in settings_table({"full": full, "worse": {s: v - 5 + s / 10 for s, v in full.items()}, "few": {0: 1.0}, "none": {}, "other seeds": {8: 1.0, 9: 2.0}}, "full", {"worse": -3.0})}
    assert rows["full"]["verdict"] == "the base" and rows["worse"]["verdict"] == "agrees with the paper" and rows["worse"]["n"] == rows["worse"]["pairs"] == 3
    assert rows["few"]["n"] == 1 and rows["few"]["half"] is None and rows["few"]["verdict"] == "cannot tell at this scale"
    assert rows["none"]["mean"] is None and rows["other seeds"]["pairs"] == 0 and rows["other seeds"]["difference"] is None
    with pytest.raises(ValueError, match="no setting is called 'full azr'"): settings_table({"full": full}, "full azr")


def test_each_family_is_corrected_alone():
    full = {0: 15.0, 1: 14.0, 2: 16.0}
    results = {"full": full} | {name: {s: v - 5 + s * spread for s, v in full.items()} for name, spread in (("a", .5), ("b", 1.0), ("c", 2.0))}
    alone = {row["setting"]: row for row in settings_table(results, "full", None, {"a": "one", "b": "two", "c": "two"})}
    together = {row["setting"]: row for row in settings_table(results, "full")}
    assert alone["a"]["p_holm"] == alone["a"]["p"] and together["a"]["p_holm"] == pytest.approx(3 * alone["a"]["p"])
    assert alone["a"]["detectable"] < together["a"]["detectable"]   # which the strictest of three rows asks more for
    assert alone["b"]["p_holm"] == pytest.approx(2 * alone["b"]["p"]) and [alone[name]["family"] for name in results] == [None, "one", "two", "two"]


def test_verdicts():
    assert judgement(-1, .01, 2.0) == "disagrees with the paper" and judgement(-1, .01, None) == "worse" and judgement(1, .01, None) == "better"
    assert judgement(-1, .06, -1) == judgement(None, None, None) == "cannot tell at this scale"


def test_published_differences_are_those_of_the_copied_table():
    assert published_differences(ROOT / "data" / "paper" / "table2_ablations.csv") == pytest.approx({"deduction only": -3.5, "no induction": -3.0, "no references": -3.0, "solver only": -1.4})
