"""What would bore the advantages page: invariances of every estimator, TRL's formula as an oracle, bad input."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azr.advantages import _ADVANTAGES, _standardise, advantage_function
from conftest import always

SLOTS = [(role, task) for role in ("propose", "solve") for task in ("deduction", "abduction", "induction")]
NAMES = sorted(_ADVANTAGES)


def batch(seed=0, size=48):
    rng = np.random.default_rng(seed)
    index = rng.integers(0, len(SLOTS), size)
    groups = [f"t{n}" for n in rng.integers(0, 8, size)]
    return rng.choice([-1, -.5, 0, .125, .875, 1], size), [SLOTS[i] for i in index], groups, rng.integers(1, 30, size)


@pytest.mark.parametrize("name", NAMES)
@given(st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_order_does_not_matter(name, seed):
    rewards, keys, groups, lengths = batch(seed)
    order = np.random.default_rng(seed + 1).permutation(len(rewards))
    estimate = advantage_function(name)
    direct = estimate(rewards, keys, groups, lengths)[order]
    assert np.allclose(
        direct,
        estimate(rewards[order], [keys[i] for i in order], [groups[i] for i in order], lengths[order]),
        atol=1e-6,
    )


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"none"}))
def test_equal_rewards_teach_nothing(name):
    _, keys, groups, lengths = batch()
    for value in (-.5, .1, .875, 1 / 3):
        result = advantage_function(name)(np.full(48, value), keys, groups, lengths)
        assert np.abs(result).max() < 1e-6  # token whitening divides a rounding error by sqrt(1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_empty_and_single(name):
    estimate = advantage_function(name)
    assert estimate([], [], [], []).shape == (0,)
    alone = estimate([.5], [SLOTS[0]], ["t"], [7])
    assert alone.tolist() == ([.5] if name == "none" else [0])
    assert np.isfinite(estimate([.5, 1], [SLOTS[0]] * 2, ["t"] * 2, [0, 0])).all()
    assert np.isfinite(estimate([.5, 1], [SLOTS[0]] * 2, ["t"] * 2, [1, 0])).all()


@pytest.mark.parametrize("name", ["trr++", "trr++_token", "grpo"])
@given(st.integers(0, 1000), st.floats(.1, 10), st.floats(-5, 5))
@settings(max_examples=30, deadline=None)
def test_one_key_never_moves_another(name, seed, scale, shift):
    rewards, keys, groups, lengths = batch(seed)
    chosen = np.array([key == SLOTS[0] for key in keys])
    estimate = advantage_function(name)
    before, after = (
        estimate(r, keys, groups, lengths) for r in (rewards, np.where(chosen, rewards * scale + shift, rewards))
    )
    assert (before[~chosen] == after[~chosen]).all()
    assert np.allclose(
        before, after, rtol=1e-3, atol=1e-3
    )  # token whitening adds 1e-8 to a variance that scales with the rewards


def test_trr_is_centred_and_scaled_in_every_key():
    rewards, keys, groups, lengths = batch(3, 400)
    advantages = _ADVANTAGES["trr++"](rewards, keys, groups, lengths)
    for slot in SLOTS:
        rows = [i for i, key in enumerate(keys) if key == slot]
        assert abs(advantages[rows].mean()) < 1e-12 and abs(advantages[rows].std() - 1) < 1e-12


@given(st.integers(2, 64), st.integers(0, 100))
@settings(deadline=None)
def test_trl_group_normalisation_is_trr_but_for_bessel(size, seed):
    """TRL: (r - mean) / (std(ddof=1) + 1e-4) within a group.

With one group per (role, task type) that is TRR++ times sqrt((B-1)/B)."""
    rng = np.random.default_rng(seed)
    rewards, keys = rng.choice([-1., -.5, 0, .875], size * 6), [slot for slot in SLOTS for _ in range(size)]
    ours = _ADVANTAGES["trr++"](rewards, keys, range(size * 6), np.ones(size * 6))
    by_slot = rewards.reshape(6, size)
    trl = (by_slot - by_slot.mean(1, keepdims=True)) / (by_slot.std(1, ddof=1, keepdims=True) + 1e-4)
    assert np.allclose(ours * np.sqrt((size - 1) / size), trl.ravel(), atol=3e-3)


def test_token_whitening_is_the_whitening_of_tokens():
    rewards, keys, groups, lengths = batch(5)
    ours = _ADVANTAGES["trr++_token"](rewards, keys, groups, lengths)
    for slot in SLOTS:
        rows = [i for i, key in enumerate(keys) if key == slot]
        tokens = np.repeat(rewards[rows], lengths[rows])          # each token has its completion's reward
        white = (tokens - tokens.mean()) / np.sqrt(tokens.var(ddof=1) + 1e-8)
        assert np.allclose(np.repeat(ours[rows], lengths[rows]), white)


def test_groups_of_different_slots_are_different_groups():
    keys = [("propose", "deduction")] * 2 + [("solve", "deduction")] * 2
    assert _ADVANTAGES["grpo"]([0, 1, 5, 7], keys, ["x"] * 4, [1] * 4).tolist() == [-1, 1, -1, 1]
    assert _ADVANTAGES["grpo_no_std"]([0, 1, 5, 7], keys, ["x"] * 4, [1] * 4).tolist() == [-.5, .5, -1, 1]


def test_rewards_are_not_changed_in_place():
    rewards, keys, groups, lengths = batch()
    copy = rewards.copy()
    for estimate in _ADVANTAGES.values(): estimate(rewards, keys, groups, lengths)
    assert (rewards == copy).all() and _ADVANTAGES["none"](rewards, keys, groups, lengths) is not rewards


def test_hashable_keys_of_any_kind():
    assert _standardise([1, 3], [None, None]).tolist() == [-1, 1]
    assert _standardise([1, 3], [("a", 1), ("a", 2)]).tolist() == [0, 0]


def test_bad_input_is_one_clear_sentence():
    with pytest.raises(ValueError, match="'gae'.*trr\\+\\+"): advantage_function("gae")
    with pytest.raises(ValueError, match=r"\[2, 1, 2, 2\]"):
        advantage_function("trr++")([1, 2], ["a"], ["t", "t"], [1, 1])
    with pytest.raises(ValueError, match="reward 1 of 2 is not a finite"):
        advantage_function("none")([0, float("inf")], ["a"] * 2, ["t"] * 2, [1, 1])
    by_token = advantage_function(lambda rewards, keys, groups, lengths: np.outer(rewards, np.ones(4)))
    assert by_token([0, 1], ["a"] * 2, ["t"] * 2, [4, 2]).shape == (2, 4)
    with pytest.raises(ValueError, match="gave shape"):
        advantage_function(always(np.zeros(3)))([0, 1], ["a"] * 2, ["t"] * 2, [1, 1])


def test_a_key_that_names_no_role_is_refused_where_the_role_is_asked_for():
    with pytest.raises(ValueError, match=r"the key 'propose/sums' is no \(role, task type\)"):
        advantage_function("role")([0, 1], ["propose/sums", "prepare/sums"], ["a", "b"], [1, 1])
    assert advantage_function("role")(
        [0, 1, 5, 7], [("propose", "a"), ("propose", "b"), ("prepare", "a"), ("prepare", "b")], list("abcd"), [1] * 4
    ).tolist() == [
        -1,
        1,
        -1,
        1,
    ]  # no letter
