"""What would bore the rewards page: every status, every curve, every p, both settings."""
import inspect
import json
import re
import shutil
from dataclasses import FrozenInstanceError, replace
from functools import partial

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from toy import SMALL

from azr.azr import azr_recipe, opened
from azr.core import Status, Task, Verdict
from azr.metrics import read_rollouts
from azr.rewards import (REWARDS, Crowding, Proposed, RewardSetting, _CURVES, _learnability, _propose_rewards,
                         reward_setting, solve_rate)
from azr.run import train
from azr.settings import config
from azr.safety import ProgramStatus
from azr.tasks import _complexity, _diversity, _intrinsic, cognitive_complexity

TASK = Task("deduction", {}, {}, "t")
VALID = Verdict(Status.OK, score=1.0)
REFUSALS = [s for s in Status if s not in (Status.OK, Status.MALFORMED, Status.DUPLICATE)]


def earns(status, setting, p=None, task=None):
    return _propose_rewards([Proposed(Verdict(status), p, task)], setting)[0]


@pytest.mark.parametrize("status", REFUSALS)
def test_every_refusal_pays_the_same(status):
    assert earns(status, REWARDS["paper"]).total == -.5
    assert earns(status, REWARDS["reference"]).total == -1
    assert earns(status, REWARDS["paper"]).parts == {"refused": -.5}


@pytest.mark.parametrize("status", [s for s in Status if s not in (Status.OK, Status.MALFORMED)])
def test_every_wrong_answer_pays_the_same(status):
    for name, setting in REWARDS.items():
        assert setting.solve(Verdict(status)).total == (1 if name == "format_only" else -.5)


@given(st.integers(1, 64), st.data())
def test_equation_4(n, data):
    k = data.draw(st.integers(0, n))
    p = solve_rate([Verdict(Status.OK, 1.0)] * k + [Verdict(Status.WRONG)] * (n - k))
    expected = 0 if k in (0, n) else 1 - p
    assert earns(Status.OK, REWARDS["paper"], p, TASK).total == expected
    assert earns(Status.OK, REWARDS["reference"], p, TASK).total == (-.5 if k in (0, n) else expected)


@given(st.sampled_from(sorted(_CURVES)), st.floats(0, 1))
def test_curves_are_bounded_and_defined_everywhere(name, p):
    assert -1 <= _CURVES[name](p) <= 8 / 7
    assert (
        earns(Status.OK, RewardSetting(curve=name), p, TASK).total
        == _learnability(p, RewardSetting(curve=name))
        == _CURVES[name](p)
    )


@pytest.mark.parametrize("name", sorted(set(_CURVES) - {"inverse", "ssr", "spice"}))
def test_nothing_to_learn_at_both_ends(name):
    assert _CURVES[name](0.0) == _CURVES[name](1.0) == 0


@given(
    st.sampled_from([*Status, *ProgramStatus]),
    st.one_of(st.none(), st.floats(0, 1)),
    st.booleans(),
    st.sampled_from(["paper", "reference"]),
    st.sampled_from([None, 0.0, -0.5]),
)
def test_parts_sum_to_the_total(status, p, has_task, name, duplicate):
    setting = reward_setting(name, duplicate=duplicate)
    one = Proposed(Verdict(status), p, TASK if has_task else None)
    try: reward = _propose_rewards([one], setting)[0]
    except ValueError:
        assert p is None and (status is Status.OK or has_task and status is Status.DUPLICATE and duplicate is None)
        return
    assert reward.total == sum(v for k, v in reward.parts.items() if k != "solve_rate")


def test_duplicates():
    paper, zero = REWARDS["paper"], reward_setting("paper", duplicate=0.0)
    assert earns(Status.DUPLICATE, paper, .25, TASK) == earns(Status.OK, paper, .25, TASK)
    assert earns(Status.DUPLICATE, zero, .25, TASK).total == 0 and earns(Status.DUPLICATE, zero, None, TASK).total == 0
    assert earns(Status.DUPLICATE, zero).total == -.5          # no task: refused
    assert earns(Status.OK, zero, .25, TASK).total == .75
    with pytest.raises(ValueError, match="let the solver attempt it"): earns(Status.DUPLICATE, paper, None, TASK)


def test_terms_see_the_whole_batch_and_keep_their_name():
    def rank(batch): return range(len(batch))
    class Constant:
        def __call__(self, batch): return [1] * len(batch)
    setting = reward_setting("paper", terms=(rank, Constant()))
    batch = [Proposed(VALID, .5, TASK), Proposed(Verdict(Status.MALFORMED))]
    first, second = _propose_rewards(batch, setting)
    assert first.parts == {"learnability": .5, "solve_rate": .5, "rank": 0.0, "Constant": 1.0} and first.total == 1.5
    assert second.total == -1 + 1 + 1
    assert _propose_rewards([], setting) == []


def test_a_term_of_the_wrong_length_is_named():
    def short(batch): return []
    with pytest.raises(ValueError, match="short gave 0 numbers for 1 proposals"):
        _propose_rewards([Proposed(VALID, .5, TASK)], reward_setting(terms=(short,)))


def test_bad_names_say_what_there_is():
    with pytest.raises(ValueError, match="'papr'.*paper, reference"): reward_setting("papr")
    with pytest.raises(ValueError, match="'r-zero'.*r_zero"): reward_setting("paper", curve="r-zero")
    with pytest.raises(ValueError, match="no field dupe"): reward_setting("paper", dupe=0)
    with pytest.raises(FrozenInstanceError): REWARDS["paper"].wrong = 0
    assert reward_setting("paper", curve=partial(pow, 2.0)).curve(.5) == 2 ** .5


# ---- terms of the paper's appendix ----

def asked(program, output, p=.5, status=Status.OK):
    return Proposed(
        Verdict(status), p, Task("deduction", {"program": program, "input": "1"}, {"output": output}, program + output)
    )


@pytest.mark.parametrize("name", ["complexity", "diversity"])
@pytest.mark.parametrize(
    "one",
    [asked("def f(x):\n    if x:\n        return 1", "1", p) for p in (0.0, 1.0)]
    + [asked("def f(x):\n    return x", "1", 0.5, Status.DUPLICATE), Proposed(Verdict(ProgramStatus.RAISED))],
)
def test_a_term_adds_nothing_to_what_learnability_does_not_pay(name, one):
    (reward,) = _propose_rewards([one], reward_setting(name, duplicate=0.0))
    assert reward.parts[name] == 0


@pytest.mark.parametrize("weight, paid", [(1.0, 1 / 15), (3.0, 3 / 15), (15.0, .5)])
def test_a_term_is_weighted_and_capped(weight, paid):
    (reward,) = _propose_rewards(
        [asked("def f(x):\n    if x:\n        return 1\n    return 2", "1")],
        RewardSetting(terms=(_intrinsic(_complexity, weight),)),
    )
    assert reward.parts["complexity"] == pytest.approx(paid) and reward.total == pytest.approx(.5 + paid)


def test_answers_of_one_type_are_no_surprise_to_another():
    induction = Proposed(
        VALID,
        0.5,
        Task("induction", {"pairs": [["1", "7"]]}, {"pairs": [["2", "8"]], "program": "def f(x): return x + 6"}, "i"),
    )
    assert _diversity([asked("a", "7"), asked("b", "7"), induction]) == [0, 0, 0.5]
    assert _diversity([]) == [] == _complexity([])


def test_a_program_too_deep_for_a_recursive_parser_has_no_complexity():
    deep = "def f(x):\n    return " + "-" * 90 + "x"
    assert cognitive_complexity(deep) is None and _complexity([asked(deep, "1")]) == [0]


# ---- a function in the place of a setting ----


def by_size(batch):
    return [-2 if one.verdict.status is Status.MALFORMED else len(batch) + (one.solve_rate or 0) for one in batch]


def one_more(batch): return [1] * len(batch)


def test_a_function_pays_all_proposals_and_answers_earn_what_the_paper_says():
    setting = reward_setting(by_size)
    batch = [
        Proposed(VALID, 0.25, TASK),
        Proposed(Verdict(Status.MALFORMED)),
        Proposed(Verdict(Status.DUPLICATE), None, TASK),
        Proposed(VALID, None, TASK),
    ]
    rewards = _propose_rewards(batch, setting)
    assert [r.total for r in rewards] == [4.25, -2, 4, 4] and rewards[0].parts == {"by_size": 4.25, "solve_rate": .25}
    assert (
        setting.solve(Verdict(Status.WRONG)).total == -0.5
        and setting.solve(Verdict(Status.MALFORMED)).total == -1
    )
    assert (
        _propose_rewards(batch, reward_setting(by_size, terms=(one_more,)))[0].total == 5.25
        and reward_setting(setting) == setting
    )


def curve(p): return 4 * p * (1 - p)
def constant(p): return 0.5
def nothing_for_each(batch): return []
def nothing(batch): return None
def of_nothing(): return [1]
def words(batch): return ["much" for _ in batch]


@pytest.mark.parametrize("function", [curve, constant, nothing_for_each, nothing, of_nothing, words])
def test_a_function_of_something_else_is_refused_at_once(function):
    refused = f"rewards is the function {function.__name__}, and one malformed proposal.*"
    with pytest.raises(ValueError, match=refused + "a function of the solve rate as reward_setting"):
        reward_setting(function)


@pytest.mark.parametrize("function", [curve, nothing, words])
def test_a_setting_is_as_careful_as_its_name(function):
    with pytest.raises(ValueError, match=f"rewards is the function {function.__name__}, and one malformed"):
        RewardSetting(proposals=function)


@pytest.mark.parametrize("given, found", [
    (None, "None"), (5.0, "5.0"), ([None, 1], "None among its numbers"), ([1, float("nan")], "nan among its numbers"),
    ([1], "1 numbers for 2 proposals"), (["1", 1], "'1' among its numbers"), ([[1], 1], "[1] among its numbers")])
def test_what_a_function_gives_instead_of_numbers_is_said(given, found):
    def mine(batch): return given if len(batch) > 1 else [0]
    batch = [Proposed(VALID, .5, TASK)] * 2
    for setting, what in ((reward_setting(mine), "function"), (reward_setting(terms=(mine,)), "reward term")):
        said = f"the {what} mine gave {found}: let it return a list of finite numbers, one for each proposal"
        with pytest.raises(ValueError, match=f"^{re.escape(said)}$"): setting.propose(batch)


@pytest.mark.parametrize("at", [.5, .25])
def test_a_curve_that_gives_no_number_is_said(at):
    def mine(p): return None if p == at else p
    with pytest.raises(ValueError, match=f"^the curve mine gave None for a solve rate of {at}: let it return a finite"):
        reward_setting(curve=mine).propose([Proposed(VALID, .25, TASK)])


def test_what_is_neither_name_setting_nor_function_is_refused():
    for wrong in (5, None, ["paper"]):
        with pytest.raises(ValueError, match="give one of paper, reference"): reward_setting(wrong)


def test_a_function_from_a_cell_trains_end_to_end(tmp_path):
    small = dict(SMALL, task_types=["deduction", "abduction"], rollouts_every=1, save_every=1)
    run, settings = tmp_path / "run", config("demo", rewards=by_size, **small)
    def quiet(text): pass
    train(settings, run, say=quiet)
    metrics = (run / "metrics.jsonl").read_bytes()
    proposals = [r for step in read_rollouts(run).values() for r in step if r.slot.startswith("propose/")]
    assert proposals and all(
        r.reward
        == r.reward_parts["by_size"]
        == (-2 if r.verdict.status is Status.MALFORMED else 8 + r.reward_parts.get("solve_rate", 0))
        for r in proposals
    )
    recorded = yaml.safe_load((run / "params.yaml").read_text())["config"]["rewards"]
    assert recorded == f"by_size: {inspect.getsource(by_size).strip()}"
    with pytest.raises(ValueError, match="belongs to a run with other parameters .rewards: 'by_size: def"):
        train(replace(settings, rewards=lambda batch: [0] * len(batch)), run, say=quiet)
    for name in ("checkpoints/checkpoint-2", "model"):
        shutil.rmtree(run / name)  # as if it had been stopped after the first step
    (run / "summary.json").unlink()
    train(config("demo", rewards=by_size, **small), run, say=quiet)
    assert (run / "metrics.jsonl").read_bytes() == metrics


def found(kind, p=.25, status=Status.OK):
    return Proposed(Verdict(status), p, Task("deduction", {}, {}, kind, info={"trivial": {kind: True, "other": None}}))


def test_a_trivial_task_earns_its_price_instead():
    priced = reward_setting("paper", trivial={"constant": -.5, "unread": 0.0}, duplicate=.125)
    batch = [found("constant"), found("unread"), found("renamed"), found("constant", status=Status.DUPLICATE),
             found("constant", status=ProgramStatus.RAISED)]
    rewards = _propose_rewards(batch, priced)
    assert [one.total for one in rewards] == [-.5, 0, .75, .125, -.5]
    assert rewards[0].parts == {"trivial": -.5, "solve_rate": .25}
    assert _propose_rewards(batch[:1], REWARDS["paper"])[0].total == .75   # a price is a setting
    both = Task("deduction", {}, {}, "t", info={"trivial": {"constant": True, "unread": True}})
    assert _propose_rewards([Proposed(VALID, .5, both)], priced)[0].total == -.5   # the lower of two
    with pytest.raises(ValueError, match="trivial pays constant nan: give a finite number"):
        reward_setting("paper", trivial={"constant": float("nan")})


def key(task): return None if task.id == "renamed" else task.id


def test_equal_keys_share_what_is_earned_and_no_fine():
    batch = [found("constant", .5)] * 2 + [found("renamed", .5)] * 2 + [found("unread", 1.0)] * 2
    assert Crowding(key)(batch) == [-.25, -.25, 0, 0, 0, 0]   # without a key nobody shares; nothing paid, nothing taken
    fined = Crowding(key, setting=REWARDS["reference"])
    assert fined(batch) == [-.25, -.25, 0, 0, 0, 0]           # p = 1 costs .5 there, and stays as dear as that
    assert Crowding(key)([Proposed(Verdict(Status.MALFORMED)), Proposed(VALID, None, TASK)]) == [0, 0]
    known = [found("constant", .5), found("constant", .5, Status.DUPLICATE)]   # paid like a fresh one, unless it is not
    assert Crowding(key)(known) == [-.25, -.25]
    assert Crowding(key, setting=reward_setting("paper", duplicate=.1))(known) == [0, 0]
    priced = reward_setting("paper", trivial={"constant": .2})
    assert Crowding(key, setting=priced)(batch[:2]) == [-.1, -.1]   # what is shared is what is paid


def test_a_crowd_is_remembered_over_batches():
    crowd, one = [found("constant", .5)] * 4, [found("constant", .5)]
    whole = Crowding(key, 2)
    assert whole(crowd) == [-.375] * 4
    again = Crowding(key, 2)
    again.restore(json.loads(json.dumps(whole.state())))
    assert again(one) == whole(one) == [.5 * (1 / 2.5 - 1)] and again(one) == whole(one) == [0.0]


def nothing_for_anyone(batch): return [0.0] * len(batch)


@pytest.mark.parametrize("changes, words", [
    ({"trivial": ("boring",)}, "trivial names 'boring': choose among constant, copied, renamed, one_statement, "),
    ({"trivial_reward": -.5}, "trivial_reward is -0.5, and trivial names no kind that earns it"),
    ({"crowding": "edit"}, "crowding is 'edit': choose one of none, tree, meaning"),
    ({"crowding_batches": 0}, "crowding_batches is 0"),
    ({"crowding": "tree", "rewards": nothing_for_anyone}, "rewards is a function, which pays all"),
])
def test_settings_of_triviality_that_make_no_sense_are_refused(changes, words):
    with pytest.raises(ValueError, match=words): config("demo", **changes)


def test_a_rule_or_a_price_and_a_memory_of_the_crowd():
    rule = config("demo", trivial=["constant", "unread"], crowding="meaning", triviality=False)
    price = config("demo", trivial=("constant",), trivial_reward=-.5)
    with opened(rule) as env:
        assert env.trivial == ("constant", "unread") and env.triviality
        assert list(azr_recipe(rule, env).memories) == ["crowding"]
    with opened(price) as env:
        assert env.trivial == () and azr_recipe(price, env).memories == {}
        assert azr_recipe(price, env).propose_reward([found("constant")])[0].total == -.5
    with opened(config("demo", triviality=False)) as env: assert env.triviality is None
