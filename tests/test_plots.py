"""What would bore the plots page: runs that have barely begun, other task types, gaps; nothing is left open."""

import io
import math
import random
from itertools import combinations

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
import pytest
from pages import defined, papermill

from azr.core import Completion, Prompt, Role, Rollout, Status, Verdict
from azr.metrics import step_metrics
from azr.plots import (
    ARMS, _COLOURS, ablation_rows, accuracy_by_size, arm_gains, at_tokens, _funnel_shares, learning_curve, _measure,
    scaling, _table, type_lines, validity_funnel)
from azr.rewards import curve_function, expected_pay
from azr.safety import ProgramStatus
from conftest import ROOT

FIGURES = defined(ROOT / "nbs" / "runs" / "figures.ipynb")
accuracy_by_tokens, depth_curves, headline, learnability_over_training, proposal_curves, roles_by_type = (
    FIGURES[name] for name in ("accuracy_by_tokens", "depth_curves", "headline", "learnability_over_training",
                               "proposal_curves", "roles_by_type"))
SSR = defined(ROOT / "nbs" / "runs" / "ssr.ipynb")


def png(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=50, bbox_inches="tight", metadata={"Software": None})
    return buffer.getvalue()


def rollout(role, task_type, status, reward=0.0, **parts):
    return Rollout(Prompt(task_type, role, text="?"), Completion("", completion_ids=(1, 2)),
                   Verdict(status, float(status is Status.OK)), reward, parts,
                   task_id="t" if status is Status.OK else None)


def step_of(number, types=("deduction", "abduction"), status=Status.OK):
    rollouts = [rollout(Role.PROPOSE, name, status, 0.5, solve_rate=0.5) for name in types] + [
        rollout(Role.SOLVE, name, Status.WRONG, -0.5) for name in types]
    return {"step": number, **step_metrics(rollouts)}


TYPES = ("deduction", "abduction", "induction")
RUNS = {
    "nothing yet": [],
    "only the first exam": [
        {"step": 0, "heldout/accuracy": 0.2, "heldout/deduction/accuracy": 0.2, "seeding/deduction/ok": 3}],
    "validation and no step": [{"step": 0, "validation/deduction/accuracy": 0.2, "validation/accuracy": 0.2}],
    "one step": [step_of(1)],
    "nothing valid": [step_of(1, status=ProgramStatus.RAISED), step_of(2, status=Status.MALFORMED)],
    "proposers only": [
        {"step": n, "propose/deduction/valid_rate": 0.5, "propose/deduction/reward": 0.1} for n in range(3)],
    "another domain": [step_of(n, types=("maths", "bugs", "geometry", "music")) for n in range(3)],
    "a type that comes late": [step_of(1), step_of(2, ("deduction", "abduction", "induction"))],
    "a type that goes": [step_of(1, ("deduction", "abduction", "induction")), step_of(2)],
    "steps out of order": [step_of(3), step_of(1), step_of(2)],
    "no step between two exams": [{"step": 0, "heldout/deduction/accuracy": 0.2},
                                  {"step": 9, "heldout/deduction/accuracy": 0.3}],
}


def test_curves_are_read_at_common_numbers_of_tokens():
    run = [{"step": 0, "validation/accuracy": 0.2}, {"step": 1, "tokens": 50},
           {"step": 2, "tokens": 100, "validation/accuracy": 0.4}]
    assert list(at_tokens(run, [0, 25, 100, 1000])) == pytest.approx([.2, .25, .4, .4])
    assert png(accuracy_by_tokens({"one": [run], "two": [run, [run[0], run[1], run[2] | {"tokens": 60}]]}, 100))


def test_rows_of_a_table_stand_under_its_name():
    row = {"pairs": 2, "difference": 1.0, "difference_half": .5, "detectable": .7}
    axes = ablation_rows([row | {"setting": "a", "family": "first"}, row | {"setting": "b", "family": "second"}]).axes[
        0]
    assert [label.get_text() for label in axes.get_yticklabels()][::-1] == ["first", "a (n = 2)", "second", "b (n = 2)"]
    axes = ablation_rows([row | {"setting": "a"}]).axes[0]   # without families no names
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a (n = 2)"]


@pytest.mark.parametrize("name", RUNS)
def test_every_state_of_a_run_can_be_drawn(name):
    for draw in (learning_curve, validity_funnel): assert png(draw(RUNS[name])).startswith(b"\x89PNG")
    assert png(validity_funnel(RUNS[name], Role.SOLVE)).startswith(b"\x89PNG")
    assert not plt.get_fignums()


def test_the_same_records_give_the_same_picture():
    run = [step_of(n) for n in range(4)]
    assert png(learning_curve(run)) == png(learning_curve(run))


def test_drawing_leaves_the_style_of_others_alone():
    before = dict(plt.rcParams)
    learning_curve([step_of(1)])
    assert dict(plt.rcParams) == before


def test_a_gap_stays_a_gap():
    frame = _table(RUNS["a type that comes late"])
    column = _measure(frame, "solve", "accuracy")["induction"]
    assert math.isnan(column[1]) and column[2] == 0
    assert _measure(frame, "solve", "nonsense").empty and _measure(_table([]), "solve", "accuracy").empty


def test_measure_takes_no_deeper_and_no_shallower_path():
    frame = _table(
        [{"step": 1, "solve/accuracy": 1.0, "solve/deduction/accuracy": 0.5, "solve/deduction/deep/accuracy": 0.25}])
    assert _measure(frame, "solve", "accuracy").to_dict() == {"deduction": {1: .5}}


def test_funnel_shares_add_up_and_pool_the_rest():
    statuses = [*Status, *ProgramStatus]
    run = [
        {"step": n, **{f"propose/{name}/status/{status}": 1 + i for i, status in enumerate(statuses)},
         "solve/deduction/status/wrong": 5}
        for n in range(1, 200)
        for name in ("deduction",)
    ]
    shares = _funnel_shares(run)
    assert len(shares) <= 40 and shares.index[0] == 1 and list(shares)[:2] == ["ok", "duplicate"]
    assert list(shares)[-1] == "other" and len(list(shares)) == 6
    assert (shares.sum(axis=1) - 1).abs().max() < 1e-12
    total = sum(range(1, len(statuses) + 1))
    assert shares["ok"].iloc[0] == pytest.approx((1 + statuses.index(Status.OK)) / total)
    assert list(_funnel_shares(run, Role.SOLVE)) == ["wrong"]


def test_funnel_pools_task_types_by_count_not_by_share():
    run = [{"step": 1, "propose/deduction/status/ok": 30, "propose/induction/status/raised": 10}]
    assert _funnel_shares(run).loc[1].to_dict() == {"ok": .75, "raised": .25}


@pytest.mark.parametrize("attempts", [1, 2, 3, 8, 16])
def test_parts_of_a_step_add_up(attempts):
    one, other = [1] * (attempts + 1), [2] + [0] * attempts
    steps = [{"step": 1, "propose/deduction/solved": one, "propose/geometry/solved": other},
             {"step": 20, "propose/deduction/solved": other}]
    figure = learnability_over_training([steps, steps[:1]])   # two seeds, one of them shorter
    for axes, name in zip(figure.axes, ("deduction", "geometry")):
        bars = [(bar.get_x(), bar.get_height()) for bar in axes.patches]
        for place in {x for x, _ in bars}:
            heights = [height for x, height in bars if x == place]
            assert len(heights) == attempts + 1 and sum(heights) == pytest.approx(1)
        total = 2 * (attempts + 1) + 2 if name == "deduction" else 4
        assert f"n = {total}" in axes.get_title(loc="left")
    assert png(figure)


def test_measures_of_rollouts_are_drawn_as_kept():
    rollouts = [rollout(Role.PROPOSE, "abduction", Status.OK, solve_rate=0.25),
                rollout(Role.PROPOSE, "abduction", ProgramStatus.RAISED),
                rollout(Role.SOLVE, "abduction", Status.WRONG)]
    records = defined(ROOT / "nbs" / "runs" / "controls.ipynb")["rollout_records"]({3: rollouts}, 4)
    figure = learnability_over_training([records])
    assert [bar.get_height() for bar in figure.axes[0].patches] == [0, 1, 0, 0, 0]
    assert png(roles_by_type([records, records])) and png(roles_by_type([[]]))
    panels = {"completion_length": ("length", "tokens", None), "no_such_measure": ("nothing", "", None)}
    assert png(proposal_curves([records], panels)) and png(proposal_curves([[]], panels))


def test_arm_gains():
    runs = [{"arm": arm, "seed": s, "before": 0.2, "after": 0.2 + gain + s / 100}
            for arm, gain in (("self-play", 0.1), ("other", 0))
            for s in (-1, 0, 1)]
    gains = arm_gains(runs, clean=.3)
    assert list(gains.index) == ["self-play", "other"]
    assert gains.loc["self-play", "gain"] == pytest.approx(0.1)
    assert gains.loc["self-play", "regained"] == pytest.approx(1)
    assert gains.loc["other", "half"] == pytest.approx(4.30265 * .01 / 3 ** .5)
    figure = headline(pd.DataFrame(runs), clean=.3, tasks=1500)
    words = " ".join(text.get_text() for text in figure.axes[0].texts) + figure.axes[0].get_title(loc="left")
    assert "+10.0 ± 2.5" in words and "100 % of the lead" in words and "clean base" in words and "1500 tasks" in words
    assert [label.get_text().split("\n")[1] for label in figure.axes[0].get_xticklabels()] == ["(n = 3 seeds)"] * 2
    assert "lead" not in " ".join(text.get_text() for text in headline(runs).axes[0].texts)
    assert png(headline(runs[:1])) and png(figure)


def test_colours_and_lines_differ():
    def grey(colour):
        return sum(weight * int(colour[i:i + 2], 16) / 255 for weight, i in ((.299, 1), (.587, 3), (.114, 5)))
    assert set(_COLOURS) == set(Role) and abs(grey(_COLOURS[Role.PROPOSE]) - grey(_COLOURS[Role.SOLVE])) > .25
    assert not {*_COLOURS.values()} & {colour for colour, _ in ARMS.values()}  # an arm is never mistaken for a role
    for (_, first), (_, second) in combinations(ARMS.values(), 2): assert first != second
    several = type_lines([*TYPES, "maths", "bugs"], TYPES)
    assert len(set(map(str, several.values()))) == 5
    for shown in (["induction"], TYPES[::-1]): assert type_lines(shown, TYPES)["induction"] == several["induction"]
    assert type_lines(["sums", "maths"]) == type_lines(["maths", "sums"])   # the alphabet decides, not who comes first


# ---- bugs and repairs ----


def test_a_bug_is_paid_by_groups_of_its_repairs():
    measured, pay = SSR["measured_pay"], curve_function("ssr")
    assert measured([1, 0] * 32, 2) == pytest.approx(.1)
    assert measured([1, 0, 1], 2) == pytest.approx(.1)   # what fills no group pays nothing
    assert expected_pay(pay, .5, 2) == pytest.approx(-.35)
    assert measured([0] * 64, 8) == pytest.approx(expected_pay(pay, 0, 8))


def test_bugs_and_repairs_are_drawn():
    rng = random.Random(0)
    tries = [[int(rng.random() < rate) for _ in range(64)] for rate in (0, .05, .2, .3, .5, .7, .95, 1)]
    run = [{"step": step, "propose/bugs/status/ok": 6 + step % 3, "propose/bugs/status/no_change": 3,
            "propose/bugs/status/too_few_failing": 2} for step in range(1, 21)]
    gains = {"held out": {"self-play": [1, 2, 3], "repair only": [0, 2, 1]}, "seen": {"self-play": [9, 8, 12]}}
    drawn = SSR["bugs_and_repairs"](tries, run, gains, {"propose": 1.0, "validate": 4.0, "verify": 5.0})
    pay, funnel, gained, cost = drawn.axes
    assert "n = 8" in pay.get_title(loc="left") and len(pay.lines) == 7   # theory and bugs of three sizes, and 0
    for axes, names in ((funnel, ["valid and new", "no change", "too few failing"]), (gained, [*gains])):
        assert [text.get_text() for text in axes.get_legend().get_texts()] == names
    assert [label.get_text() for label in gained.get_xticklabels()] == ["self-play\n(n = 3)", "repair\nonly\n(n = 3)"]
    assert [label.get_text() for label in cost.get_yticklabels()] == ["propose", "validate", "verify"]
    assert png(drawn) and not plt.get_fignums()
    nothing = SSR["bugs_and_repairs"]([], [], {"held out": {}}, {})
    assert png(nothing) and not nothing.axes[1].patches


# ---- depth and size ----


@pytest.mark.parametrize(
    "after", [[], [{"deduction": {1: (3, 4)}}], [{"deduction": {1: (3, 4)}}, {"deduction": {1: (1, 4)}}]]
)
def test_solve_rates_by_depth_are_drawn_for_any_number_of_seeds(after):
    assert png(depth_curves({"deduction": {1: (1, 4)}}, after)) and png(depth_curves({}, []))


@pytest.mark.parametrize("gains", [{}, {181_120: [1.0]}, {50_624: [-1.0, 2.0], 181_120: [3.0, 4.0, 5.0]}])
def test_scaling_is_drawn_for_any_number_of_sizes(gains):
    figure = scaling(gains, {3e9: 5.7})
    assert png(figure) == png(scaling(gains, {3e9: 5.7})) and len(figure.axes[0].get_xticks()) == len(gains)


@pytest.mark.parametrize("name", RUNS)
def test_accuracy_by_size_takes_every_state_of_a_run(name):
    assert png(accuracy_by_size({1000: [RUNS[name]], 2000: []}))


def test_the_funnel_of_several_runs_adds_them_up():
    one, other = [step_of(n) for n in range(3)], [step_of(n, status=ProgramStatus.RAISED) for n in range(3)]
    assert _funnel_shares(one + other).to_dict() == {
        "ok": dict.fromkeys(range(3), 0.5),
        "raised": dict.fromkeys(range(3), 0.5),
    }


def test_the_committed_records_give_the_same_figures_twice(tmp_path):
    drawn = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        papermill(ROOT / "nbs" / "runs" / "figures.ipynb", tmp_path / "out.ipynb", "-p", "output", folder)
        drawn.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert drawn[0] == drawn[1]
    pages = ("climb", "executor", "real", "training_cost")   # that make their records and draw them
    own = {"ssr.png", *(f"{name}.{kind}" for name in pages for kind in ("png", "svg"))}
    assert set(drawn[0]) == {path.name for path in (ROOT / "figures").iterdir()} - own
