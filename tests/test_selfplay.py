"The loop on a toy domain: nothing here knows of Python programs."
import random
import re
from collections import Counter
from dataclasses import dataclass, replace

import pytest
from conftest import always
from sums import ZERO, Sums, recipe

from azr.advantages import _grpo, _grpo_no_std
from azr.buffers import Buffers
from azr.core import Completion, Role, Status, Verdict
from azr.benchmarks import EXAMS
from azr.evals import Exam, _judge_batch
from azr.executor import Executor
from azr.exams import evaluate, verdicts_on
from azr.sampling import Script
from azr.selfplay import SelfPlay, _deal_rewards, _judge_attempts, check_phase, seed_buffers


def writer(seed=0, skill=0.5):
    "A scripted policy: proposes small sums, some broken; solves with a fixed probability."
    rng = random.Random(seed)
    def write(prompt):
        if prompt.role is Role.PROPOSE:
            return rng.choice([f"{rng.randrange(30)}+{rng.randrange(30)}"] * 4 + ["3-4", "x+y"])
        a, b = prompt.text.removeprefix("solve ").split("+")
        return str(int(a) + int(b)) if rng.random() < skill else "0"
    return Script(write)


def loop(**changes):
    return SelfPlay(recipe(**{"batch": 8, "attempts": 4, **changes}), env=None, seed=1)


def test_fresh_fills_both_slots_exactly():
    step = loop().step(writer(), 1)
    assert Counter(r.slot for r in step.rollouts) == {"propose/sums": 8, "solve/sums": 8}
    proposals = [r.verdict for r in step.rollouts if r.prompt.role is Role.PROPOSE]
    assert len(step.estimates) == 4 * sum(v.ok or v.status is Status.DUPLICATE for v in proposals)


def test_attempts_are_trained_on_and_nothing_else():
    step = loop(solver_samples="attempts").step(writer(), 1)
    proposed = {r.task_id for r in step.rollouts if r.prompt.role is Role.PROPOSE and r.task_id}
    solves = Counter(r.task_id for r in step.rollouts if r.prompt.role is Role.SOLVE)
    assert solves == {t: 4 for t in proposed} and not step.estimates


def test_learnability_is_one_minus_the_share_of_solving_attempts():
    step = loop(solver_samples="attempts").step(writer(), 1)
    for proposal in (r for r in step.rollouts if r.prompt.role is Role.PROPOSE and r.verdict.ok):
        attempts = [r for r in step.rollouts if r.prompt.role is Role.SOLVE and r.task_id == proposal.task_id]
        rate = sum(r.verdict.score for r in attempts) / 4
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
    assert {r.verdict.status for r in step.rollouts} == {Status.DUPLICATE}
    assert {r.reward for r in step.rollouts} == {0.125}
    assert play.buffers.counts() == {"sums": 1} and not step.tasks


def test_a_step_without_a_valid_proposal_goes_on():
    step = loop(solver_samples="attempts").step(Script(always("nothing")), 1)
    assert {r.verdict.status for r in step.rollouts} == {Status.MALFORMED} and len(step.rollouts) == 8
    assert {r.reward for r in step.rollouts} == {-1.0} and {r.advantage for r in step.rollouts} == {0.0}


def test_a_type_with_nothing_to_show_is_skipped():
    class Shy(Sums):
        def propose_prompt(self, buffers, rng): return None
    step = SelfPlay(recipe(Shy(), batch=4, attempts=2), None).step(writer(), 1)
    assert Counter(r.slot for r in step.rollouts) == {"solve/sums": 4}


def test_seeding_stops_at_its_target():
    play = loop()
    seed_buffers(play, writer())
    assert play.buffers.counts() == {"sums": 32}


def test_fruitless_seeding_stops_and_says_why():
    play = loop(fruitless=3)
    funnel = seed_buffers(play, Script(always("3-4")))
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
    dealt = _deal_rewards(list(plain.rollouts), [r.key for r in plain.rollouts], random.Random(0))
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
    play = loop(weight=0.0, policies={Role.PROPOSE: "base", Role.SOLVE: "default"})
    step = play.step(Noting(writer().write), 1)
    assert asked == [(Role.PROPOSE, "base"), (Role.SOLVE, "default")]
    assert {r.weight for r in step.rollouts if r.prompt.role is Role.PROPOSE} == {0.0}


@pytest.mark.parametrize(
    "field, value",
    [("attempts", 0), ("advantage", "ppo"), ("rewards", "generous"), ("seeding", -1), ("fruitless", 0)],
)
def test_bad_settings_name_value_and_remedy(field, value):
    with pytest.raises(ValueError, match=str(value)): loop(**{field: value})


# ---- what was cut off ----

class Cut(Script):
    "A sampler whose every second completion does not end by itself."
    def __call__(self, prompts, sampling=None, policy="default"):
        return [Completion(self.write(p), (1,), (2, 3), finished=i % 2 == 0) for i, p in enumerate(prompts)]


@dataclass(frozen=True)
class Watched(Sums):
    "Sums that keeps what it is asked about."
    seen: list = None
    def validate(self, proposals, env):
        self.seen.extend(p.text for p in proposals)
        return super().validate(proposals, env)
    def verify(self, groups, env):
        self.seen.extend(a.text for _, attempts in groups for a in attempts)
        return super().verify(groups, env)


@pytest.mark.parametrize("solver_samples", ["fresh", "attempts"])
def test_what_was_cut_off_earns_what_a_malformed_one_earns_and_is_shown_to_nobody(solver_samples):
    cut_verdict = Verdict(Status.MALFORMED, detail="cut off at the completion length, after 2 tokens")
    seen, count = [], iter(range(9999))
    def text(p):   # every text is right
        if p.role is Role.PROPOSE: return f"{next(count)}+1"
        return str(sum(map(int, p.text.removeprefix("solve ").split("+"))))
    step = SelfPlay(recipe(Watched(seen=seen), 8, 4, solver_samples), None).step(Cut(text), 1)
    for r in step.rollouts + step.estimates:
        if r.completion.finished: assert r.verdict.ok
        else: assert r.reward == -1 and r.verdict == cut_verdict
    assert sum(not r.completion.finished for r in step.rollouts) >= 8 and len(step.tasks) == 4
    valid = [r for r in step.rollouts if r.prompt.role is Role.PROPOSE and r.verdict.ok]
    assert {r.reward_parts["solve_rate"] for r in valid} == {0.5}   # the cut half solves nothing
    assert len(seen) == sum(r.completion.finished for r in step.rollouts + step.estimates)


def test_a_cut_answer_in_an_exam_is_malformed_too():
    verdicts = verdicts_on(Cut(always("2")), [ZERO] * 4, (Sums(),), None)
    assert [v.status for v in verdicts] == [Status.OK, Status.MALFORMED] * 2
    assert evaluate(Cut(always("2")), [ZERO] * 4, (Sums(),), None)["heldout/accuracy"] == .5


# ---- verdicts that need the whole group ----

@dataclass(frozen=True)
class Votes(Sums):
    "Right is what most attempts at a task say."
    smallest_group: int = 3
    def verify(self, groups, env):
        assert all(len(attempts) >= 3 for _, attempts in groups)
        most = [Counter(a.text for a in attempts).most_common(1)[0][0] for _, attempts in groups]
        def agree(a, winner): return Verdict(Status.OK, 1.0) if a.text == winner else Verdict(Status.WRONG)
        return [[agree(a, winner) for a in attempts] for (_, attempts), winner in zip(groups, most)]


def checked(one): check_phase(one.phase(1), one)


def test_a_type_that_votes_is_refused_where_groups_are_too_small():
    def unasked(prompts, sampling, policy="default"): pytest.fail("asked")
    why = "'sums' compares at least 3 attempts at a task, and its groups here have 1: .*train the solver on"
    with pytest.raises(ValueError, match=why): checked(recipe(Votes(), 4, 8))
    with pytest.raises(ValueError, match="its groups here have 2: .*give more attempts"):
        checked(recipe(Votes(), 4, 2, "attempts"))
    with pytest.raises(ValueError, match="'sums' compares at least 3 .* groups here have 1"):
        verdicts_on(unasked, [ZERO], (Votes(),), None)
    with pytest.raises(ValueError, match="'sums' compares at least 3"):
        evaluate(unasked, [ZERO], (Sums("others"), Votes()), None)
    verdict, = verdicts_on(Script(always("2")), [ZERO], (Sums(), Votes("others")), None)
    assert verdict.ok   # a type that is not asked for does no harm


def said(*completions): return [(one, one.text) for one in completions]


def test_a_vote_sees_whole_groups_and_too_few_ended_ones_are_not_judged():
    step = SelfPlay(recipe(Votes(), 4, 3, "attempts"), None).step(writer(), 1)
    groups = Counter(r.task_id for r in step.rollouts if r.prompt.role is Role.SOLVE)
    assert groups and set(groups.values()) == {3}
    def cut(text): return Completion(text, (1,), (2,), finished=False)
    completions = said(Completion("5"), cut("2"), Completion("5"), Completion("2"))
    four, = _judge_attempts([(ZERO, completions)], (Votes(),), None)
    assert [v.status for v in four] == [Status.OK, Status.MALFORMED, Status.OK, Status.WRONG]
    few, cut_ones = said(Completion("2"), cut("2"), Completion("2")), said(*[cut("2")] * 3)
    two, none = _judge_attempts([(ZERO, few), (ZERO, cut_ones)], (Votes(),), None)
    assert [v.status for v in two] == [Status.UNSCORED, Status.MALFORMED, Status.UNSCORED]
    assert {v.score for v in two} == {0.0} and "2 of 3 attempts ended" in two[0].detail
    assert {v.status for v in none} == {Status.MALFORMED}


RIGHT = Verdict(Status.OK, 1.0)

@pytest.mark.parametrize("method, given, found", [
    ("validate", None, "None"), ("validate", [], "0 items for 2"), ("validate", [True, RIGHT], "True"),
    ("verify", None, "None"), ("verify", [RIGHT] * 4, "4 items for 2"), ("verify", [RIGHT] * 2, "Verdict"),
    ("verify", [[RIGHT], [RIGHT] * 2], "1 items for 2"), ("verify", [[RIGHT] * 2, [RIGHT, True]], "True")])
def test_what_a_type_gives_in_another_shape_is_said(method, given, found):
    class Mine(Sums): pass
    setattr(Mine, method, lambda self, items, env: given)
    sums = iter(["2+3", "3+4"])
    wanted = {"validate": "one Task or Verdict for each", "verify": "one list for each group"}
    script = Script(lambda p: next(sums) if p.role is Role.PROPOSE else "5")
    with pytest.raises(ValueError, match=f"^{method} of task type sums gave {found}.*: let it return {wanted[method]}"):
        SelfPlay(recipe(Mine(), 2, 2, "attempts"), None).step(script, 1)

@pytest.mark.parametrize("method", ["validate", "verify"])
def test_an_error_of_a_type_says_where_it_was(method):
    class Mine(Sums): pass
    setattr(Mine, method, lambda self, items, env: items[0].nowhere)
    script = Script(lambda p: "2+3" if p.role is Role.PROPOSE else "5")
    with pytest.raises(AttributeError) as caught: SelfPlay(recipe(Mine(), 2, 2, "attempts"), None).step(script, 1)
    assert caught.value.__notes__ == [f"in {method} of task type sums"]


def test_an_attempt_that_nobody_judged_counts_nothing():
    class Blind(Sums):
        "Answers that end in `?` are not judged."
        def verify(self, groups, env):
            def look(answer, verdict): return Verdict(Status.UNSCORED) if answer.text.endswith("?") else verdict
            judged = super().verify(groups, env)
            return [[look(a, v) for a, v in zip(answers, verdicts, strict=True)]
                    for (_, answers), verdicts in zip(groups, judged, strict=True)]

    def play(answers):
        answers, sums = iter(answers), iter(["2+3"])
        script = Script(lambda p: next(sums) if p.role is Role.PROPOSE else next(answers))
        (proposal, *attempts) = SelfPlay(recipe(Blind(), 1, 4, "attempts"), None).step(script, 1).rollouts
        return proposal, attempts
    proposal, attempts = play(["5", "4", "?", "?"])
    assert [r.weight for r in attempts] == [1.0, 1.0, 0.0, 0.0]
    assert proposal.reward == 0.5 and proposal.weight == 1.0  # of the two that were judged, one is right
    proposal, attempts = play(["?"] * 4)
    assert {r.weight for r in (proposal, *attempts)} == {0.0}


# ---- keys and groups of advantages ----

def test_keys_are_role_and_task_type():
    seen = {}
    def spy(rewards, keys, groups, lengths):
        return seen.update(keys=keys, groups=groups, lengths=lengths.tolist()) or rewards

    step = loop(advantage=spy, solver_samples="attempts").step(Cut(writer().write), 1)
    assert set(seen["keys"]) == {(Role.PROPOSE, "sums"), (Role.SOLVE, "sums")}
    assert [r.key for r in step.rollouts] == list(seen["keys"])
    assert set(seen["lengths"]) == {2}
    for name in ("trr++", "role", "global", "grpo"): loop(advantage=name, solver_samples="attempts").step(writer(), 1)


@pytest.mark.parametrize("advantage", ["grpo", "grpo_no_std"])
def test_grpo_compares_proposals_that_answer_the_same_words_alone(advantage):
    class Asking(Sums):
        def propose_prompt(self, buffers, rng):
            return replace(super().propose_prompt(buffers, rng), text=f"ask {next(count) // of_prompt}")

    count, of_prompt = iter(range(99)), 1
    def proposals(step): return [r for r in step.rollouts if r.prompt.role is Role.PROPOSE]
    own = recipe(Asking(), 8, 4, "attempts", advantage=advantage)
    def play(): return SelfPlay(own, None, 1).step(writer(), 1)
    alone = proposals(play())
    assert len({r.reward for r in alone}) > 1 and {r.advantage for r in alone} == {0.0}  # each prompt is a group of one
    count, of_prompt = iter(range(99)), 8
    same = proposals(play())
    assert len({r.reward for r in same}) > 1
    assert abs(sum(r.advantage for r in same)) < 1e-9 < max(r.advantage for r in same)


@pytest.mark.parametrize("advantage", ["grpo", _grpo, "grpo_no_std", _grpo_no_std])
def test_grpo_with_groups_of_one_is_refused_by_name_and_as_a_function(advantage):
    with pytest.raises(ValueError, match="its group has one member"): checked(recipe(advantage=advantage))
    with pytest.raises(ValueError, match="its group has one member"):
        checked(recipe(advantage=advantage, solver_samples="attempts", attempts=1))
    checked(recipe(advantage=advantage, solver_samples="attempts", attempts=2))


def test_a_cut_answer_is_malformed_in_our_exams_and_judged_by_other_peoples_graders():
    ours = EXAMS["heldout"]
    row, = [row for row in ours.rows(limit=1) if row["group"] == "deduction"]
    theirs = replace(ours, judge=lambda answers, style, executor: [Verdict(Status.OK, 1.0) for _ in answers])
    right = row["task"].hidden["output"]
    def judged(finished, benchmark):
        written = [[Completion(right, (1,), (2,), finished=finished)]]
        found, = _judge_batch(benchmark, [row], written, Exam("terse"), executor)
        return found["right"], found["statuses"]
    with Executor(workers=1) as executor:
        found = [judged(finished, benchmark) for finished in (True, False) for benchmark in (ours, theirs)]
    assert found == [(1, {"ok": 1}), (1, {"ok": 1}), (0, {"malformed": 1}), (1, {"ok": 1})]


def test_remember_sees_what_was_submitted_and_may_write_it_into_the_task():
    class Talking(Sums):
        "A solver of two turns: the first is a thought, the second is submitted."
        stop, turns = ("?",), 2
        def open(self, prompts, env): return [prompt.role for prompt in prompts]
        def step(self, states, texts, env):
            return ["so " if role is Role.SOLVE and text == "hm" else None for role, text in zip(states, texts)]
        def submission(self, state, text): return text.strip()
        def close(self, states): pass
    def label(task, attempts, verdicts):
        winner = Counter(attempt.text for attempt in attempts).most_common(1)[0][0]
        return [replace(task, hidden={"label": winner})]
    def write(prompt):
        if prompt.role is Role.PROPOSE: return "2+3"
        return "4" if prompt.text.endswith("so ") else "hm"
    play = SelfPlay(recipe(Talking(), batch=1, attempts=2, solver_samples="attempts", remember=label), None)
    step = play.step(Script(write), 1)
    assert [task.hidden for task in step.tasks] == [{"label": "4"}] and step.tasks[0] in [*play.buffers]
    assert {one.completion.text for one in step.rollouts if one.prompt.role is Role.SOLVE} == {"hmso 4"}


@pytest.mark.parametrize("left_out, said", [
    ({"step"}, "task type 'sums' has turns, and no step: give it step, submission, close, turns"),
    ({"close", "turns"}, "task type 'sums' has turns, and no close"),
    (set(), "turns of task type 'sums' is 0: give 1 or more"),
])
def test_a_type_whose_turns_cannot_be_played_is_refused_with_its_recipe(left_out, said):
    whole = dict(open=None, step=None, submission=None, close=None, turns=0)
    talking = type("Talking", (Sums,), {name: value for name, value in whole.items() if name not in left_out})
    with pytest.raises(ValueError, match=re.escape(said)): recipe(talking())
