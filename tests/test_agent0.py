"Agent0: its formulas by hand in both profiles, its settings, and runs of two adapters on a toy model."

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from random import Random

import pytest
from toy import ended_at, moved, toy_base, toy_tokenizer

from azr.agent0 import (
    ADPO, AGENT0, PROFILES, Agent0Settings, CurriculumReward, cross_examine, _exam, _group, _maths_of, _opened, _recipe)
from azr.buffers import Buffers
from azr.card import _overlap_text
from azr.checkpoints import saved_adapters
from azr.core import Completion, Prompt, Role, Rollout, Status, Task, Verdict
from azr.maths import Maths, MathsEnvironment, _Fences
from azr.metrics import read_metrics, read_rollouts
from azr.problems import boxed_text, question_text, school_problems
from azr.records import Records
from azr.rewards import Proposed
from azr.run import train
from azr.settings import SYSTEMS, config, spans, system_named

ANN, SUM = "Ann has 3 coins. Ann finds 4. How many coins has Ann now?", "What is 3 + 4 * 5 - 6?"


def asked(question, scores, turns=(1,), text="", claimed=None):
    "A proposal whose attempts said 7 where they agreed."
    task = Task("maths", {"question": question}, {}, question, info={"claimed": claimed})
    tries = []
    for i, score in enumerate(scores):
        verdict = Verdict(Status.OK, 1.0) if score else Verdict(Status.WRONG)
        said = Completion(boxed_text("7" if score else "8"), turns=turns[i % len(turns)])
        tries.append(Rollout(Prompt("maths", Role.SOLVE, "?"), said, verdict))
    return Proposed(Verdict(Status.OK, 1.0), sum(scores) / len(scores), task, tuple(tries), Completion(text))


NONE = Proposed(Verdict(Status.MALFORMED), completion=Completion("```output" * 9))


def reward_of(profile, env=MathsEnvironment(), **changes):
    return _recipe(Agent0Settings(profile=profile, **changes), env).propose_reward


def totals(reward, batch): return [pytest.approx(one.total) for one in reward(batch)]


# ---- the formulas

BATCH = [asked(ANN, [1, 1, 0, 0], turns=(3, 1)),                       # p .5, tool calls 2 and 0
         asked(ANN.replace("3", "5"), [1, 1, 1, 0], turns=(9,)),       # p .75, eight calls count as four
         asked(SUM, [1, 1, 1, 1], text="```output" * 9, claimed="7"),  # p 1, typed nine marks
         NONE]


def test_the_papers_reward_by_hand():
    "Half of the batch is the first two's cluster, a quarter the third's."
    assert totals(reward_of("paper"), BATCH) == [1 + .6 * 1 - 2 / 4, .5 + .6 * 4 - 2 / 4, max(0, 0 + 0 - 1 / 4), 0]


def test_the_released_reward_by_hand():
    "The tool term counts what the proposer typed, .05 each, at most four; without its own answer there is no doubt."
    gated = [asked(SUM, [1, 1, 0, 0], claimed="7.0", text="```output" * 9), asked(SUM, [1, 1, 0, 0], claimed="8"),
             asked(SUM, [1, 1, 0, 0], turns=(5,))]
    free = totals(reward_of("released", repetition=0), gated)
    assert free == [1 + .05 * 4, 0, 0]


@pytest.mark.parametrize("changes, expected", [
    ({"uncertainty": 0}, .6 * 1 - .5), ({"tool_weight": 0}, 1 - .5), ({"repetition": 0}, 1 + .6),
    ({"tool_scale": .25}, 1 + .15 - .5), ({"tool_cap": 1}, 1 + .6 * .5 - .5), ({"tool_of": "proposer"}, 1 - .5),
    ({"similar": 0}, 1 + .6 - .25), ({"gate": True}, .1)])
def test_each_term_can_be_switched(changes, expected):
    assert reward_of("paper", **changes)(BATCH)[0].total == pytest.approx(expected)


def test_what_is_no_question_or_was_never_judged_earns_nothing():
    unjudged = replace(BATCH[0], solve_rate=None, attempts=())
    assert [one.total for one in CurriculumReward()([NONE, unjudged])] == [0, 0] and CurriculumReward()([]) == []


def test_typing_the_mark_pays_only_who_believes_it():
    honest, typed = (asked(SUM, [1] * 4, text=text, claimed="7") for text in ("", "```output" * 4))
    assert totals(reward_of("released", repetition=0), [honest, typed]) == [0, .2]
    assert totals(reward_of("paper", repetition=0), [honest, typed]) == [0, 0]
    used = asked(SUM, [1] * 4, turns=(2,))
    assert totals(reward_of("paper", repetition=0), [used]) == [.6]


def answered(share, weight=1.0, role=Role.SOLVE):
    prompt = Prompt("maths", role, "?", context={"share": share})
    return Rollout(prompt, Completion("7"), Verdict(Status.OK), weight=weight)


@pytest.mark.parametrize("share, weight, clip", [
    (.3, .6, .3), (.1, .6, .3), (.55, .8, .25), (.8, 1.0, .2), (1.0, 1.0, .2)])
def test_adpo_by_hand(share, weight, clip):
    one, = ADPO()([answered(share)])
    assert (one.weight, one.clip_high) == (pytest.approx(weight), pytest.approx(clip))


def test_adpo_leaves_the_rest_alone():
    rows = [answered(None), answered(.5, role=Role.PROPOSE)]
    assert ADPO()(rows) == rows and ADPO()([answered(.3, weight=0)])[0].weight == 0


@pytest.mark.parametrize("profile, right, wrong", [("paper", 1, 0), ("released", 1, -1)])
def test_what_an_answer_earns(profile, right, wrong):
    pay = _recipe(Agent0Settings(profile=profile), MathsEnvironment()).solve_reward
    statuses = (Status.OK, Status.WRONG, Status.MALFORMED)
    assert [pay(Verdict(one, float(one == Status.OK))).total for one in statuses] == [right, wrong, wrong]


# ---- profiles and settings

def test_the_profiles_differ_in_the_table_and_nowhere_else():
    paper, released = (Agent0Settings(profile=name) for name in ("paper", "released"))
    assert PROFILES["paper"].keys() == PROFILES["released"].keys()
    assert all(PROFILES["paper"][name] != PROFILES["released"][name] for name in PROFILES["paper"])
    differing = {name for name in vars(paper) if getattr(paper, name) != getattr(released, name)}
    assert differing == {"profile"}
    kinds = [_maths_of(one) for one in (paper, released)]
    prompts = [one.solve_prompt(Task("maths", {"question": SUM}, {}, "q")) for one in kinds]
    assert [one.stop for one in prompts] == [("\n```\n",), ("```output",)]
    assert not any(one.propose_prompt(Buffers(("maths",)), Random(0)).stop for one in kinds)
    assert [one.retokenises for one in kinds] == [False, True]
    assert [one.phase(55).name for one in (paper, released)] == ["curriculum", "executor"]
    assert [one.phase(6).attempts for one in (paper, released)] == [10, 9]


def test_each_place_of_a_profile_can_be_set_apart():
    for name, value in PROFILES["released"].items():
        own = Agent0Settings(**{name: value})
        assert {one: own.of(one) for one in PROFILES["paper"]} == PROFILES["paper"] | {name: value}


def test_the_released_code_curates_without_the_tool():
    kind = _maths_of(Agent0Settings(profile="released", curriculum_steps=1, pool_steps=1))
    task = Task("maths", {"question": ANN}, {}, "q")
    tools = [kind.solve_prompt(replace(task, step=step)).context["tool"] for step in (1, 2)]
    assert tools == [True, False]
    assert kind.solve_prompt(replace(task, step=2, hidden={"label": "7"})).context["tool"]


@pytest.mark.parametrize("changes, sentence", [
    ({"votes": 1}, "votes is 1: one answer would agree with itself, so give 2 or more"),
    ({"pool_votes": 1}, "pool_votes is 1: one answer"), ({"low": .9}, "low is 0.9 and high 0.8: no share lies between"),
    ({"high": 1.5}, "high is 1.5: give 0 or more and at most 1"), ({"lora_rank": 0}, "lora_rank is 0, and two agents"),
    ({"profile": "released", "style": "code"}, "in style 'code' at a comment"),
    ({"style": "poem"}, "style is 'poem': choose one"), ({"tool_of": "judge"}, "tool_of is 'judge'"),
    ({"profile": "code"}, "profile is 'code': choose one of paper, released"),
    ({"style": "code", "gate": True}, "gate compares a proposer's own answer"), ({"wrong": 1.0}, "wrong is 1.0"),
    ({"references": 3}, "references is 3, and the prompts of style 'chat' show no questions"),
    ({"turns": 1}, "turns is 1, and an answer with the tool has a program in one turn"),
    ({"wrong": float("nan")}, "wrong is nan"), ({"turns": 0}, "turns is 0: give 1 or more")])
def test_what_no_run_can_do_is_refused_in_a_sentence(changes, sentence):
    with pytest.raises(ValueError) as refused: Agent0Settings(**changes)
    assert sentence in str(refused.value) and "\n" not in str(refused.value)


def test_it_is_a_shipped_system_with_presets():
    assert system_named("agent0") is AGENT0 and "agent0" in SYSTEMS
    for name in ("agent0", "r-zero", "qwen3-4b-agent0", "qwen3-8b-agent0"): assert config(name).system == "agent0"
    paper = config("qwen3-4b-agent0")
    assert (paper.batch, paper.samples, paper.votes, paper.tries, paper.of("executor_steps")) == (128, 4, 10, 16, 40)
    r_zero = config("r-zero")
    assert not r_zero.tool and not r_zero.adpo and r_zero.of("tool_weight") == 0
    differ = {name for name in vars(paper) if getattr(paper, name) != getattr(r_zero, name)}
    assert differ == {"tool", "turns", "adpo", "tool_weight", "executor_steps", "steps"}
    assert spans(r_zero.phase, r_zero.steps)[2] == (14, 28) and r_zero.steps == 84


def test_a_fresh_pool_is_the_iterations_own():
    lengths = {"curriculum_steps": 2, "pool_steps": 1, "executor_steps": 3}
    for fresh, since in ((False, [0, 0, 0, 0]), (True, [1, 1, 7, 7])):
        settings = Agent0Settings(fresh_pool=fresh, **lengths)
        assert [settings.phase(step).since for step in (4, 6, 10, 12)] == since
    assert all(settings.phase(step).since == 0 for step in (1, 3, 7, 9))


def test_samples_of_one_draw_are_a_group():
    prompts = [Maths().propose_prompt(Buffers(("maths",)), rng) for rng in (Random(1), Random(1), Random(2))]
    keys = [_group(Rollout(prompt, Completion("?"), Verdict(Status.OK))) for prompt in prompts]
    assert prompts[0].text == prompts[2].text and keys[0] == keys[1] != keys[2]


# ---- the exam

def test_the_loop_never_asks_a_question_of_the_exam():
    settings = Agent0Settings(workers=1)
    tasks = _exam(settings, "heldout", 30) + _exam(settings, "validation", 30)
    with _opened(settings) as env:
        found = [_maths_of(settings).proved(question_text(task.given["question"]), env) for task in tasks]
    assert {one.status for one in found if isinstance(one, Verdict)} == {Status.HELD_OUT} and len(found) == 60


def test_both_halves_of_the_school_exam_ask_every_template():
    halves = [_exam(Agent0Settings(exam="school"), name, 500) for name in ("validation", "heldout")]
    every = [row[0] for row in school_problems()]
    places = [{every.index(task.given["question"]) % 24 for task in half} for half in halves]
    assert [len(half) for half in halves] == [48, 192] and places == [set(range(24))] * 2


def test_a_question_of_a_listed_exam_is_refused_and_its_words_are_found():
    settings = Agent0Settings(exam="school", workers=1)
    task = _exam(settings, "heldout", 1)[0]
    with _opened(settings) as env:
        assert env.held_out(task.given["question"].upper()) and not env.held_out(ANN)
    ours = Task("maths", {"question": f"Now then: {task.given['question']}"}, {}, "q")
    other = Task("maths", {"question": ANN}, {}, "r")
    found = AGENT0.findings(settings, [ours, other, task], ())["overlap"]["proposals"]["school"]
    assert (found["proposed"], found["asked"], found["equal"]) == (3, 240, 1) and found["mostly_seen"] > 1
    assert AGENT0.findings(settings, [other], ())["overlap"]["proposals"]["school"]["mostly_seen"] == 0
    assert "| proposals | school | 240 | 1 |" in _overlap_text(AGENT0.findings(settings, [task], ()))


def test_gsm8k_is_read_from_a_file_and_left_out_aloud(tmp_path, monkeypatch):
    monkeypatch.setenv("AZR_DATA", str(tmp_path))
    settings = Agent0Settings(exam="gsm8k")
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.warns(UserWarning, match="exam gsm8k is left out"): assert _exam(settings, "heldout", 5) == []
    row = {"question": "How many?", "answer": "3 and 4\n#### 1,007"}
    (tmp_path / "gsm8k.jsonl").write_text("".join(json.dumps(row) + "\n" for _ in range(12)))
    assert [task.hidden for task in _exam(settings, "heldout", 50)] == [{"answer": "1,007"}] * 10
    assert len(_exam(settings, "validation", 50)) == 2 and _exam(settings, "shifted", 5) == []
    (tmp_path / "gsm8k.jsonl").write_text(json.dumps(row) + '\n{"problem": "?"}\n')
    with pytest.raises(ValueError, match="gsm8k.jsonl, line 2 has no texts 'question' and 'answer'"):
        _exam(settings, "heldout", 5)


def test_exams_do_not_overlap():
    for exam in ("problems", "school"):
        settings = Agent0Settings(exam=exam)
        asked = [{task.given["question"] for task in _exam(settings, name, 200)} for name in ("validation", "heldout")]
        assert not asked[0] & asked[1] and len(asked[1]) == (192 if exam == "school" else 200)


# ---- a run on a toy model

@dataclass(frozen=True)
class Letters(_Fences):
    "Whatever a model of random letters writes is a question, an answer, and now and then a program."
    stop: tuple = ("5", "6")
    def question(self, text): return f"What is {len(text)} and {sum(map(ord, text)) % 50}?"
    def program(self, text): return "print(3)" if text.endswith("5") else None
    def observation(self, text, output): return f" so {output} "
    def answer(self, text): return str(len(text) % 3)
    def pose(self, references): return {"text": "ask"}


TOY = dict(style="terse", curriculum_steps=1, pool_steps=1, executor_steps=2, batch=2, samples=2, votes=4, pool=8,
           pool_votes=4, solves=3, tries=4, low=.2, high=1.0, near=0.0, turns=3, steps=8, workers=1, lora_rank=4,
           learning_rate=1e-2, dtype="float32", micro_batches=1, gradient_checkpointing=False, max_prompt_tokens=60,
           max_completion_tokens=12, chunk_tokens=512, score_tokens=512, save_every=1, keep_checkpoints=9,
           evaluate_every=8, evaluate_tasks=3, test_tasks=3, rollouts_every=1)


def system(stops=()):
    replay = ended_at(stops)
    def recipe(settings, env):
        own = _recipe(settings, env)
        kind = replace(own.task_types[0], notation=Letters("terse"))
        remember = replace(own.remember, kind=kind)
        return replace(own, task_types=(kind,), remember=remember, replay=replay)
    return replace(AGENT0, recipe=recipe, exam=short)


def short(settings, name, count):
    "Questions that the toy model has room for."
    asked = [f"{name[0]} {n} + 1?" for n in range(count)] if name != "shifted" else []
    return [Task("maths", {"question": text}, {"answer": str(n % 3)}, text) for n, text in enumerate(asked)]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return toy_base(tmp_path_factory.mktemp("toy"), [1, *range(2, 7)])   # digits 0 to 4 end a completion


@pytest.fixture(scope="module")
def run(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("agent0") / "run"
    train(Agent0Settings(model=str(base), **TOY), folder, say=list().append, system=system())
    return folder


def adapters(run, step): return saved_adapters(run / "checkpoints" / f"checkpoint-{step}")


def test_only_the_phases_agent_moves(run):
    at = {step: adapters(run, step) for step in range(1, 9)}
    assert set(at[1]) == {"curriculum", "executor"}
    assert [moved(at[step - 1], at[step]) for step in range(2, 9)] == [
        set(), {"executor"}, {"executor"}, {"curriculum"}, set(), {"executor"}, {"executor"}]


def test_answers_had_turns_and_observations_are_masked(run):
    found = [one for rows in read_rollouts(run).values() for one in rows if one.prompt.role is Role.SOLVE]
    talked = [one.completion for one in found if one.completion.turns > 1]
    assert talked and all(0 in said.mask and len(said.mask) == len(said.completion_ids) for said in talked)
    spell = toy_tokenizer().decode
    def own(said): return spell([token for token, mine in zip(said.completion_ids, said.mask) if not mine])
    assert {own(said).replace(" ", "")[:3] for said in talked} == {"so3"}   # the toy's words have no spaces


def test_every_measure_is_told(run):
    lines = {line["step"]: line for line in map(json.loads, Records(run).metrics.open())}
    asking, pool, answering = lines[1], lines[2], lines[3]
    assert {"propose/maths/uncertainty", "propose/maths/tool", "propose/maths/repetition", "solve/maths/agreement",
            "solve/maths/tool_calls", "propose/maths/effective_rate"} <= asking.keys()
    assert pool["propose/maths/pool"] > 0 and 0 < pool["propose/maths/label_share"] <= 1
    assert answering["solve/maths/count"] == 12 and "propose/maths/count" not in answering


def test_labels_weigh_by_their_share(run):
    rows = [one for step in (3, 4, 7, 8) for one in read_rollouts(run)[step]]
    adpo = ADPO(low=.2, high=1.0)
    def clip(one): return .2 + .1 * (1 - adpo.clear(one.prompt.context["share"]))
    assert rows and all(one.clip_high == pytest.approx(clip(one)) for one in rows)


def test_it_goes_on_in_any_phase_with_the_same_bytes(run, base, tmp_path):
    again, stops = system(stops=(1, 2, 3, 4, 6)), 0
    while True:
        try:
            train(Agent0Settings(model=str(base), **TOY), tmp_path / "stopped", say=list().append, system=again)
            break
        except KeyboardInterrupt: stops += 1
    assert stops == 5 and Records(run).metrics.read_bytes() == Records(tmp_path / "stopped").metrics.read_bytes()


ARMS = {
    "one set of weights": {"shared": True},
    "r-zero": {"tool": False, "turns": 1, "adpo": False, "tool_weight": 0},
    "random labels": {"control": "shuffled_rewards"},
    "an empty pool": {"low": .99},
    "a frozen curriculum": {"curriculum_steps": 0},
}


@pytest.mark.parametrize("changes", ARMS.values(), ids=ARMS)
def test_arms_run_to_their_end(base, tmp_path, changes):
    settings = Agent0Settings(model=str(base), **TOY | {"steps": 4} | changes)
    assert train(settings, tmp_path / "run", say=list().append, system=system())["steps"] == 4


# one iteration of the embedded base: two curriculum steps, a pool step, two executor steps
LITTLE = dict(curriculum_steps=2, pool_steps=1, executor_steps=2, steps=5, batch=2, samples=2, votes=4, pool=16,
              pool_votes=4, low=.2, high=1.0, solves=2, tries=4, save_every=1, rollouts_every=1, evaluate_every=5,
              evaluate_tasks=4, test_tasks=4)
# where a process ends itself by SIGKILL, and at which call; each goes on from what the one before it left
DEATHS = {
    "proposals are written": ("azr.selfplay:judge", 1),
    "attempts are written": ("azr.selfplay:_judge_attempts", 1),
    "in the first update": ("azr.trainer:SelfPlayTrainer._compute_loss", 1),
    "in a checkpoint": ("azr.trainer:save_loop", 1),
    "in the second update": ("azr.trainer:SelfPlayTrainer._compute_loss", 2),
    "between phases": ("azr.trainer:SelfPlayTrainer.following", 1),
    "the pool is being filled": ("azr.selfplay:_remember", 1),
    "a program runs": ("azr.maths:_run_tool", 2),
    "rollouts are recorded": ("azr.records:Records.append_rollouts", 1),
    "before the summary": ("azr.run:_summarise", 1),
}
DYING = """
import importlib, os, signal, sys
from azr.run import train
from azr.settings import config
where, count, folder, settings = sys.argv[1], int(sys.argv[2]), sys.argv[3], eval(sys.argv[4])
if where:
    module, _, path = where.partition(":")
    owner, left = importlib.import_module(module), [count]
    *outer, name = path.split(".")
    for one in outer: owner = getattr(owner, one)
    real = getattr(owner, name)
    def dying(*given, **more):
        left[0] -= 1
        if not left[0]: os.kill(os.getpid(), signal.SIGKILL)
        return real(*given, **more)
    setattr(owner, name, dying)
train(config("agent0", **settings), folder)
"""


def lived(folder, where="", count=0): # exit status
    "A process that goes on with the run in this folder."
    words = [sys.executable, "-c", DYING, where, str(count), str(folder), repr(LITTLE)]
    return subprocess.run(words, capture_output=True, text=True).returncode


@pytest.mark.slow
def test_killed_at_ten_points_of_an_iteration_it_ends_with_the_same_bytes(tmp_path):
    assert lived(tmp_path / "whole") == 0
    for words, (where, count) in DEATHS.items():
        assert lived(tmp_path / "killed", where, count) == -signal.SIGKILL, words
    assert not (tmp_path / "killed" / "summary.json").exists() and lived(tmp_path / "killed") == 0
    for name in ("metrics.jsonl", "rollouts.jsonl.gz"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_agents_are_asked_afterwards_what_the_run_was_asked(tmp_path):
    folder = tmp_path / "run"
    train(config("agent0", **LITTLE), folder, say=list().append)
    found, lines = cross_examine(folder, count=8, held_out=4), read_metrics(folder)
    for name in ("heldout", "shifted"):
        assert found[name]["accuracy"] == [lines[0][f"{name}/accuracy"], lines[-1][f"{name}/accuracy"]]
    own = found["questions 1"]
    assert 0 < own["n"] <= own["posed"] <= 8 and len(own["accuracy"]) == len(own["tool_calls"]) == 2
    shutil.rmtree(folder / "checkpoints" / "checkpoint-5")
    with pytest.raises(ValueError, match="checkpoint-5 is missing: run it again with a larger keep_checkpoints"):
        cross_examine(folder)


def test_the_embedded_base_wants_its_style(tmp_path):
    with pytest.raises(ValueError, match="which the embedded base cannot read: name a model, or take style terse"):
        train(Agent0Settings(), tmp_path / "run", say=list().append)
    assert not (tmp_path / "run" / "params.yaml").exists()
