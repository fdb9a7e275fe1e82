"""R-Zero's loop on sums: a questioner and a solver that alternate, labels by majority vote, and nobody who knows.

It tests the seams that such a recipe needs, with a toy model, through `azr.run.train`."""

import contextlib
import json
from collections import Counter
from dataclasses import dataclass, replace

import pytest
from conftest import always
from sums import Sums
from toy import ToySettings, ended_at, moved, toy_base

from azr.buffers import Buffers
from azr.checkpoints import saved_adapters
from azr.core import Prompt, Role, Status, Task, Verdict
from azr.metrics import read_rollouts
from azr.records import Records
from azr.rewards import RewardSetting, solve_rate
from azr.run import train
from azr.sampling import Script
from azr.selfplay import Phase, Recipe, SelfPlay
from azr.settings import System

LOW, HIGH, VOTES = .3, .8, 5   # the pool's band, and attempts that vote
CURRICULUM = Phase("curriculum", proposals=4, samples=2, attempts=VOTES, train=(Role.PROPOSE,))
POOL = Phase("pool", proposals=10, attempts=VOTES, train=())
SOLVER = Phase("solver", proposals=0, solves=3, tries=4, train=(Role.SOLVE,))


def answer(text): return str(len(text))   # what a toy model of random letters answers
def truth(task): return str(sum(map(int, task.given["sum"].split("+"))))   # known to the test, and never paid


@dataclass(frozen=True)
class Voted(Sums):
    "Sums of which nobody knows the value: most attempts have it, and once a task is in the pool, its label."
    def propose_prompt(self, buffers, rng): return Prompt(self.name, Role.PROPOSE, "ask")   # no references

    def _validate(self, text):
        if len(text) < 2: return Verdict(Status.MALFORMED, detail="too short for a question")
        asked = f"{sum(map(ord, text)) % 4}+{len(text) % 3}"
        return Task(self.name, {"sum": asked}, {}, id=asked)

    def verify(self, groups, env):
        return [self._voted(task, [answer(attempt.text) for attempt in attempts]) for task, attempts in groups]

    def _voted(self, task, answers):
        label = task.hidden.get("label")
        if label is None and len(answers) < 2:
            return [Verdict(Status.UNSCORED, detail="one answer would agree with itself") for _ in answers]
        label = label or Counter(answers).most_common(1)[0][0]
        return [Verdict(Status.OK if said == label else Status.WRONG, float(said == label), said == truth(task))
                for said in answers]


def repetition(batch):
    "What is written alike shares a penalty: its share of the batch."
    words = Counter(one.completion.text for one in batch)
    return [-words[one.completion.text] / len(batch) for one in batch]


@dataclass(frozen=True)
class RZero(ToySettings):
    "Two iterations of three phases, a step each."
    system: str = "rzero"
    keep_checkpoints: int = 6
    evaluate_every: int = 6
    evaluate_tasks: int = 4
    test_tasks: int = 4
    rollouts_every: int = 1

    def phase(self, step):
        iteration, place = divmod(step - 1, 3)
        return replace((CURRICULUM, POOL, SOLVER)[place], iteration=iteration)


@dataclass(frozen=True)
class Curate:
    "What enters the pool: tasks of the pool's phase that most answers agree on, neither always nor seldom."
    phase: object   # step -> Phase

    def __call__(self, task, attempts, verdicts):
        share = solve_rate([one for one in verdicts if one.status != Status.MALFORMED])
        agreed = [answer(attempt.text) for attempt, verdict in zip(attempts, verdicts) if verdict.ok]
        if self.phase(task.step).name != "pool" or share is None or not LOW <= share <= HIGH: return []
        return [replace(task, hidden={"label": agreed[0]}, info={"share": share})]


def rzero_recipe(settings, **changes):
    rewards = RewardSetting("r_zero", refused=0.0, malformed=0.0, terms=(repetition,))
    own = {"phase": settings.phase, "propose_reward": rewards.propose,
           "solve_reward": RewardSetting(wrong=0.0, answer_malformed=0.0).solve,
           "policies": {Role.PROPOSE: "questioner", Role.SOLVE: "solver"}, "advantage": "grpo",
           "remember": Curate(settings.phase)}
    return Recipe((Voted(),), **own | changes)


# ---- one step by hand

def by_hand(phase, answers, questions=("aab", "aab", "zz", "c")):
    "A step by a script: what it proposes, what it answers."
    asked, said = iter(questions), iter(answers)
    play = SelfPlay(rzero_recipe(RZero(), phase=always(phase), remember=Curate(always(phase))), None)
    return play, play.step(Script(lambda prompt: next(asked if prompt.role is Role.PROPOSE else said)), 1)


def test_questions_are_paid_for_doubt_and_fined_for_repetition():
    few = replace(CURRICULUM, proposals=2, attempts=4)
    _, step = by_hand(few, ["x", "xx", "x", "xxx", "x", "x", "x", "x"])
    paid = {one.completion.text: one.reward_parts for one in step.rollouts if one.prompt.role is Role.PROPOSE}
    assert paid["aab"] == {"learnability": 1.0, "repetition": -.5, "solve_rate": .5}    # two of four agree
    assert paid["zz"] == {"learnability": 0.0, "repetition": -.25, "solve_rate": 1.0}   # nobody doubts
    assert paid["c"] == {"format": 0.0, "repetition": -.25}
    assert {one.weight for one in step.rollouts if one.prompt.role is Role.SOLVE} == {0.0}
    assert any(one.advantage for one in step.rollouts if one.prompt.role is Role.PROPOSE)


def test_the_pool_keeps_the_label_and_its_share():
    play, step = by_hand(replace(POOL, proposals=4, attempts=4), ["x", "xx", "x", "xxx", "x", "x", "x", "x"])
    task, = play.buffers
    assert task.hidden == {"label": "1"} and task.info == {"share": .5} and step.tasks == (task,)


def test_a_label_is_the_judge_from_then_on():
    task = Task("sums", {"sum": "1+1"}, {"label": "3"}, id="1+1")
    verdicts = Voted()._voted(task, ["2", "2", "3"])
    assert [(one.score, one.truth) for one in verdicts] == [(0, True), (0, True), (1, False)]
    assert Voted()._voted(replace(task, hidden={}), ["2"])[0].status == Status.UNSCORED


# ---- a run

@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return toy_base(tmp_path_factory.mktemp("toy"))


def asked(settings, name, count):
    "An exam with right answers: here somebody knows."
    sums = [f"{n % 4}+{n // 4}" for n in range(count)]
    tasks = [Task("sums", {"sum": text}, {}, id=text) for text in sums]
    return [replace(task, hidden={"label": truth(task)}) for task in tasks]


def system(stops=()):
    replay = ended_at(stops)
    def recipe(settings, env): return rzero_recipe(settings, replay=replay)
    return System("rzero", RZero, always(contextlib.nullcontext()), recipe, asked)


@pytest.fixture(scope="module")
def run(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rzero") / "run"
    train(RZero(model=str(base)), folder, say=list().append, system=system())
    return folder


def checkpoint(run, step): return run / "checkpoints" / f"checkpoint-{step}"


def test_only_the_phases_adapter_moves(run):
    at = {step: saved_adapters(checkpoint(run, step)) for step in range(1, 7)}
    assert set(at[1]) == {"questioner", "solver"}
    found = [moved(at[step - 1], at[step]) for step in range(2, 7)]
    assert found == [set(), {"solver"}, {"questioner"}, set(), {"solver"}]


def test_the_pool_holds_what_is_doubted_and_only_pool_phases_fill_it(run):
    pools = {step: [*Buffers.load(checkpoint(run, step) / "buffers.jsonl.gz")] for step in range(1, 7)}
    assert not pools[1] and pools[2] == pools[3] == pools[4] and len(pools[5]) > len(pools[2]) > 0
    assert pools[5] == pools[6] and {task.step for task in pools[6]} == {2, 5}
    assert all(LOW <= task.info["share"] <= HIGH and task.hidden["label"] for task in pools[6])


def test_accuracy_is_agreement_and_truth_is_told_beside_it(run):
    lines = [json.loads(line) for line in Records(run).metrics.open()]
    solved = {line["step"]: line for line in lines if line["step"] in (3, 6)}
    both = {step: (line["solve/sums/accuracy"], line["solve/sums/truth"]) for step, line in solved.items()}
    assert len(both) == 2 and any(agreed != right for agreed, right in both.values())
    assert all(line["solve/sums/count"] == 12 for line in solved.values())


def test_every_question_is_paid_by_curve_and_term(run):
    found = [one for step in (1, 4) for one in read_rollouts(run)[step] if one.prompt.role is Role.PROPOSE]
    assert len(found) == 16 and any("learnability" in one.reward_parts for one in found)
    for one in found:
        rate = one.reward_parts.get("solve_rate")
        paid = one.reward_parts["repetition"] + (1 - 2 * abs(rate - .5) if rate is not None else 0)
        assert one.reward == pytest.approx(paid) and one.policy == "questioner"


def test_a_run_goes_on_in_any_phase_with_the_same_bytes(run, base, tmp_path):
    again, stops = system(stops=(1, 2, 3, 5)), 0
    while True:
        try:
            train(RZero(model=str(base)), tmp_path / "stopped", say=list().append, system=again)
            break
        except KeyboardInterrupt: stops += 1
    assert stops == 4 and Records(run).metrics.read_bytes() == Records(tmp_path / "stopped").metrics.read_bytes()
