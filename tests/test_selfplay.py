"The loop on a toy domain: nothing here knows of Python programs."
import random
from collections import Counter

import pytest
from sums import ZERO, Sums

from azr.buffers import Buffers
from azr.core import Role, Status
from azr.sampling import Script
from azr.selfplay import Recipe, SelfPlay, deal_rewards


def writer(seed=0, skill=0.5):
    "A scripted policy: proposes small sums, some broken; solves with a fixed probability."
    rng = random.Random(seed)
    def write(prompt):
        if prompt.role is Role.PROPOSE: return rng.choice([f"{rng.randrange(30)}+{rng.randrange(30)}"] * 4 + ["3-4", "x+y"])
        a, b = prompt.text.removeprefix("solve ").split("+")
        return str(int(a) + int(b)) if rng.random() < skill else "0"
    return Script(write)


def loop(**changes):
    return SelfPlay(Recipe((Sums(),), (ZERO,), **{"batch": 8, "attempts": 4, **changes}), env=None, seed=1)


def test_fresh_fills_both_slots_exactly():
    step = loop().step(writer(), 1)
    assert Counter(r.slot for r in step.rollouts) == {"propose/sums": 8, "solve/sums": 8}
    assert len(step.estimates) == 4 * sum(r.verdict.ok or r.verdict.status is Status.DUPLICATE for r in step.rollouts if r.prompt.role is Role.PROPOSE)


def test_attempts_are_trained_on_and_nothing_else():
    step = loop(solver_samples="attempts").step(writer(), 1)
    proposed = {r.task_id for r in step.rollouts if r.prompt.role is Role.PROPOSE and r.task_id}
    solves = Counter(r.task_id for r in step.rollouts if r.prompt.role is Role.SOLVE)
    assert solves == {t: 4 for t in proposed} and not step.estimates


def test_learnability_is_one_minus_the_share_of_solving_attempts():
    step = loop(solver_samples="attempts").step(writer(), 1)
    for proposal in (r for r in step.rollouts if r.prompt.role is Role.PROPOSE and r.verdict.ok):
        rate = sum(r.verdict.score for r in step.rollouts if r.prompt.role is Role.SOLVE and r.task_id == proposal.task_id) / 4
        assert proposal.reward_parts["solve_rate"] == rate
        assert proposal.reward == (0 if rate in (0, 1) else 1 - rate)


def test_advantages_are_centred_within_each_slot():
    step = loop().step(writer(), 1)
    for slot in ("propose/sums", "solve/sums"):
        values = [r.advantage for r in step.rollouts if r.slot == slot]
        assert abs(sum(values)) < 1e-6 and any(values)


def test_this_steps_tasks_are_in_the_solver_batch():
    play = loop(batch=4)
    step = play.step(writer(), 1)
    new = {t.id for t in step.tasks}
    assert new and new <= {r.task_id for r in step.rollouts if r.prompt.role is Role.SOLVE}


def test_duplicates_stay_out_of_the_buffer_and_earn_their_setting():
    from azr.rewards import reward_setting
    play = loop(rewards=reward_setting("paper", duplicate=0.125), solver_samples="attempts")
    step = play.step(Script(lambda p: "1+1" if p.role is Role.PROPOSE else "2"), 1)
    assert {r.verdict.status for r in step.rollouts} == {Status.DUPLICATE} and {r.reward for r in step.rollouts} == {0.125}
    assert play.buffers.counts() == {"sums": 1} and not step.tasks


def test_a_step_without_a_valid_proposal_goes_on():
    step = loop(solver_samples="attempts").step(Script(lambda p: "nothing"), 1)
    assert {r.verdict.status for r in step.rollouts} == {Status.MALFORMED} and len(step.rollouts) == 8
    assert {r.reward for r in step.rollouts} == {-1.0} and {r.advantage for r in step.rollouts} == {0.0}


def test_a_type_with_nothing_to_show_is_skipped():
    class Shy(Sums):
        def propose_prompt(self, buffers, rng): return None
    step = SelfPlay(Recipe((Shy(),), (ZERO,), batch=4, attempts=2), None).step(writer(), 1)
    assert Counter(r.slot for r in step.rollouts) == {"solve/sums": 4}


def test_seeding_stops_at_its_target():
    play = loop()
    play.seed_buffers(writer())
    assert play.buffers.counts() == {"sums": 32}


def test_fruitless_seeding_stops_and_says_why():
    play = loop(fruitless=3)
    funnel = play.seed_buffers(Script(lambda p: "3-4"))
    assert play.buffers.counts() == {"sums": 1} and funnel == {"sums/malformed": 24}


def test_same_seed_same_steps_and_state_goes_on():
    one, two = loop(), loop()
    first, second = writer(3), writer(3)
    assert one.step(first, 1).rollouts == two.step(second, 1).rollouts
    state, buffers = one.state(), one.buffers
    after = one.step(writer(4), 2).rollouts
    again = loop()
    again.restore(state, Buffers(("sums",)))
    for task in list(buffers)[:len(two.buffers)]: again.buffers.add(task)
    assert again.step(writer(4), 2).rollouts == after


def test_shuffled_rewards_keep_their_distribution():
    plain = loop().step(writer(), 1)
    dealt = deal_rewards(list(plain.rollouts), random.Random(0))
    for slot in ("propose/sums", "solve/sums"):
        rewards = [[r.reward for r in group if r.slot == slot] for group in (plain.rollouts, dealt)]
        assert sorted(rewards[0]) == sorted(rewards[1]) and rewards[0] != rewards[1]


def test_a_task_whose_prompt_does_not_fit_is_refused():
    class Narrow(Script):
        def fits(self, prompt): return len(prompt.text) < len("solve 10+10")
    step = loop(solver_samples="attempts").step(Narrow(lambda p: "20+20" if p.role is Role.PROPOSE else "40"), 1)
    assert {r.verdict.status for r in step.rollouts} == {Status.TOO_LARGE}


def test_frozen_proposer_is_another_policy_with_no_weight():
    asked = []
    class Noting(Script):
        def __call__(self, prompts, sampling=None, policy="default"):
            asked.append((prompts[0].role, policy))
            return super().__call__(prompts, sampling, policy)
    play = loop(proposer_weight=0.0, policies={Role.PROPOSE: "base", Role.SOLVE: "default"})
    step = play.step(Noting(writer().write), 1)
    assert asked == [(Role.PROPOSE, "base"), (Role.SOLVE, "default")]
    assert {r.weight for r in step.rollouts if r.prompt.role is Role.PROPOSE} == {0.0}


@pytest.mark.parametrize("field, value", [("batch", 0), ("attempts", 0), ("solver_samples", "stale"), ("advantage", "ppo"), ("rewards", "generous")])
def test_bad_settings_name_value_and_remedy(field, value):
    with pytest.raises(ValueError, match=str(value)): loop(**{field: value})
