"The domain in which difficulty climbs: what is refused, what is paid, and that runs repeat and go on."
import json
import signal
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import yaml
from conftest import ROOT, always
from hypothesis import given, strategies as st
from pages import papermill

from azr.azr import CONTROLS
from azr.cli import main
from azr.climb import (
    CLIMB,
    DEEP,
    _DEEPEST,
    _OPERATIONS,
    _SHARES,
    _TEXTS,
    Climb,
    _Trace,
    _apply_edit,
    _base_example,
    _climb_recipe,
    _draw_chain,
    _draw_edit,
    _edit_of,
    _exam_tasks,
    _program,
    _start,
    _states_of,
    _trace_task,
)
from azr.advantages import trr
from azr.buffers import Replay
from azr.core import Attempt, Completion, Prompt, Proposal, Role, Rollout, Status, Task, Verdict
from azr.executor import Executor
from azr.grammar import SPLITS, belongs
from azr.metrics import read_metrics, step_metrics
from azr.records import Records, check_alike
from azr.rewards import Crowding, Proposed
from azr.rows import rows_of
from azr.run import train
from azr.safety import ProgramStatus
from azr.settings import config
from azr.tasks import Environment
from azr.tiny import new_tokenizer
from azr.values import bucket

CHAIN = ["sorted(x)", "x + [7]"]

@pytest.fixture(scope="module")
def env():
    with Executor(workers=1) as executor: yield Environment(executor)

@pytest.fixture(scope="module")
def open_env(env): return replace(env, held_out=always(False))

def proposed(env, text, chain=CHAIN):
    (result,) = _Trace().validate(
        [Proposal(Prompt("trace", Role.PROPOSE, context={"program": _program(chain).source}), text)], env
    )
    return result


@given(
    st.lists(st.sampled_from(_OPERATIONS), min_size=1, max_size=_DEEPEST),
    st.text(max_size=20)
    | st.builds(
        "{} {}{}".format,
        st.sampled_from(["add", "replace", "remove"]),
        st.integers(0, 11),
        st.sampled_from(["", ": x[1:]"]),
    ),
)
def test_an_edit_changes_one_statement_or_is_none(chain, edit):
    changed = _apply_edit(chain, edit)
    if changed is None: return
    kind = edit.split()[0]
    assert len(changed) - len(chain) == {"add": 1, "replace": 0, "remove": -1}[kind]
    rest = [e for i, e in enumerate(changed) if i != int(edit.split()[1][0]) - 1] if kind != "remove" else changed
    assert rest == (chain if kind == "add" else [e for i, e in enumerate(chain) if i != int(edit.split()[1][0]) - 1])

def test_an_input_with_its_name_is_an_input(open_env):
    task = proposed(open_env, "add 3: x[::-1]<in>x=[4, 2]")
    assert task.given["input"] == "[4, 2]" and task == proposed(open_env, "add 3: x[::-1]<in>[4,2]")

def test_a_statement_that_holds_a_mark_of_the_prompts_is_refused(open_env):
    refused = proposed(open_env, "add 3: x[::-1] if '<out>' else x<in>[4, 2]")
    assert refused.status is Status.MALFORMED and "<out>" in refused.detail

@given(st.integers(0, 10**6), st.integers(1, _DEEPEST))
def test_drawn_chains_are_tasks_of_their_split(seed, depth):
    statements, states = _draw_chain(Random(seed), depth)
    assert len(statements) == depth and _states_of(statements, states[0]) == states
    program = _program(statements)
    assert bucket(program.source) in SPLITS["train"] and belongs(program, "train")
    edit, value = _draw_edit(Random(seed), statements) if depth < _DEEPEST else ("remove 1", states[1])
    assert _states_of(_apply_edit(statements, edit), value)

def test_the_executor_gives_the_values_that_the_grammar_knows(open_env):
    chains = [_draw_chain(Random(seed), 1 + seed % _DEEPEST) for seed in range(40)]
    for (statements, states), edit in zip(chains, [f"replace 1: {statements[0]}" for statements, _ in chains]):
        assert proposed(open_env, f"{edit}<in>{states[0]}", statements) == _trace_task(statements, states, edit)


@pytest.mark.parametrize(
    "text, status",
    [
        ("add 2: x[1:]", Status.MALFORMED),
        ("add 2: x[1:]<in>", ProgramStatus.RAISED),
        ("add 9: x[1:]<in>[4, 2]", Status.MALFORMED),
        ("x[1:]<in>[4, 2]", Status.MALFORMED),
        ("add 1: x[<in>[4, 2]", ProgramStatus.SYNTAX),
        ("add 1: x); y = (x<in>[4, 2]", ProgramStatus.SYNTAX),
        ("add 3: x[::-1]<in>[4, 2]<in>[1]", ProgramStatus.BAD_ARGUMENTS),
        ("add 1: x<in>[4, 2]", Status.DUPLICATE),
        ("add 1: x[9:]<in>[4, 2]", Status.TOO_LARGE),
        ("add 1: 3<in>[4, 2]", ProgramStatus.RAISED),
        ("add 1: x + [10]<in>[4, 2]", Status.TOO_LARGE),
        ("add 1: x.append(1)<in>[4, 2]", ProgramStatus.RAISED),
        ("add 1: x.__class__.__mro__<in>[4, 2]", ProgramStatus.UNSAFE),
        ("add 3: states[0][:1]<in>[4, 2]", ProgramStatus.RAISED),
    ],
)
def test_what_is_no_task_is_refused(open_env, text, status):
    result = proposed(open_env, text)
    assert isinstance(result, Verdict) and result.status is status, result

def test_a_held_out_program_is_no_proposal(env, open_env):
    assert proposed(replace(env, held_out=always(True)), "add 3: x[::-1]<in>[4, 2]").status is Status.HELD_OUT
    assert isinstance(proposed(open_env, "add 3: x[::-1]<in>[4, 2]"), Task)

def test_too_deep_is_refused(env):
    statements, states = _draw_chain(Random(0), _DEEPEST)
    assert proposed(env, f"add 1: x[::-1]<in>{states[0]}", statements).status is Status.TOO_LARGE

def test_every_value_is_checked(env):
    task = _trace_task(CHAIN, _states_of(CHAIN, [4, 2]))
    right = task.hidden["trace"]
    answers = [
        right,
        right.splitlines()[-1],
        right.replace("[2, 4] ", "").replace("# [2, 4]\n", "# [4, 2]\n"),
        right + "\n" + right,
        right.replace("sorted(x)", "x[::-1]"),
    ]
    assert [v.score for v in _Trace().verify([(task, [Attempt(task.id, text) for text in answers])], env)[0]] == [
        1,
        0,
        0,
        0,
        0,
    ]

def test_the_exam_is_held_out_and_the_same_twice():
    for split in ("validation", "test"):
        tasks = _exam_tasks(split, 4, 5)
        _exam_tasks.cache_clear()
        assert tasks == _exam_tasks(split, 4, 5) and len({t.id for t in tasks}) == 4
        assert all(bucket(t.given["program"]) in SPLITS[split] and t.info["depth"] == 5 for t in tasks)

def test_the_curve_asks_the_deep_and_each_set_one_depth():
    settings = Climb()
    depths = [task.info["depth"] for task in CLIMB.exam(settings, "validation", 7)]
    assert depths == [4, 5, 6, 4, 5, 6, 4] and CLIMB.exam(settings, "validation", 0) == []
    asked = {name: {task.info["depth"] for task in CLIMB.exam(settings, name, 2)} for name in CLIMB.sets}
    assert asked == {f"depth{depth}": {depth} for depth in range(1, max(DEEP) + 1)}
    assert [*CLIMB.sets][:3] == ["depth4", "depth5", "depth6"]   # the headline: one more than the base has seen

def test_the_deep_exam_asks_what_no_solving_example_shows():
    rng = Random(0)
    solving = [e for e in (_base_example(rng) for _ in range(2000)) if e.prompt.startswith("<ded>")]
    depths = [e.response.count("\n") + 1 for e in solving]
    assert max(depths) == max(_SHARES) < min(DEEP) and .02 < depths.count(3) / len(depths) < .08

def test_text_survives_the_tokenizer():
    tokenizer, rng = new_tokenizer(_TEXTS), Random(1)
    for example in (_base_example(rng) for _ in range(200)):
        assert (
            tokenizer.decode(tokenizer(example.prompt + example.response)["input_ids"])
            == example.prompt + example.response
        )

def edited(edit, p):
    "A proposal that was solved so often."
    statements = _apply_edit(["x + [8]"], edit)
    return Proposed(Verdict(Status.OK, 1.0), p, _trace_task(statements, _states_of(statements, [4, 2]), edit))

def test_equal_edits_share_their_pay():
    assert Crowding(_edit_of)(
        [
            edited("add 2: x + [7]", 0.5),
            edited("add 2: x + [6]", 0.25),
            edited("add 1: x[1:]", 0.5),
            Proposed(Verdict(ProgramStatus.SYNTAX)),
        ]
    ) == [-0.25, -0.375, 0.0, 0.0]
    assert Crowding(_edit_of)([edited("add 2: x + [7]", 1.0), edited("add 2: x + [6]", 0.0)]) == [
        0.0,
        0.0,
    ]  # nothing was earned
    assert Crowding(_edit_of)([edited("add 2: x[1:]", 0.5)] * 4) == [-0.375] * 4 and Crowding(_edit_of)(
        [edited("add 2: x[1:]", 0.5), edited("add 1: x[1:]", 0.5)]
    ) == [
        0.0,
        0.0,
    ]  # the place counts

def test_pay_is_shared_over_batches_and_forgotten():
    crowding, many, one = Crowding(_edit_of, 2), [edited("add 2: x[1:]", .5)] * 4, [edited("add 2: x[1:]", .5)]
    assert crowding(many) == [-.375] * 4
    assert crowding(one) == [.5 * (1 / 2.5 - 1)] and crowding(one) == [0.0]

def test_the_floor_keeps_small_differences_small():
    advantage = _climb_recipe(Climb()).advantage
    tiny_spread = advantage(np.array([0.0, .02]), ["a", "a"], [0, 1], np.ones(2))
    wide = advantage(np.array([0.0, 1.0]), ["a", "a"], [0, 1], np.ones(2))
    assert np.allclose(trr(np.array([0.0, .02]), ["a", "a"], [0, 1], np.ones(2)), [-1, 1])
    assert np.allclose(tiny_spread, [-.1, .1]) and np.allclose(wide, [-1, 1])

def test_crowding_goes_on_from_its_state():
    whole, many, one = Crowding(_edit_of, 2), [edited("add 2: x[1:]", .5)] * 4, [edited("add 2: x[1:]", .5)]
    whole(many)
    again = Crowding(_edit_of, 2)
    again.restore(json.loads(json.dumps(whole.state())))
    assert again(one) == whole(one) == [.5 * (1 / 2.5 - 1)] and again(one) == whole(one) == [0.0]

def rollout(reward, token, role=Role.SOLVE):
    return Rollout(Prompt("trace", role, ""), Completion("", (1,), (token,)), Verdict(Status.OK), reward)

def replayed(replay, seed=0): return [one.completion.completion_ids for one in replay(2, Random(seed))]

def test_replay_takes_what_was_paid_in_proportion():
    replay = Replay("trace", count=400, keep=4)
    replay.hear([rollout(1.0, n) for n in (0, 1, 2, 3, 4, 4, 9)] + [rollout(-.5, 9), rollout(1.0, 5, Role.PROPOSE)])
    assert replayed(replay) == []        # what a step replays is older than the step
    assert [completion for _, completion in replay.paid] == [(2,), (3,), (4,), (9,)]
    drawn = replay(2, Random(0))
    assert 60 < sum(one.completion.completion_ids == (9,) for one in drawn) < 140
    assert {(one.advantage, one.weight, one.slot) for one in drawn} == {(1.0, 1.0, "solve/trace")}

def test_replay_goes_on_from_its_state():
    replay, again = Replay("trace", count=5, keep=4), Replay("trace", count=5, keep=4)
    replay.hear([rollout(1.0, n) for n in range(6)])
    replayed(replay)
    again.restore(json.loads(json.dumps(replay.state())))
    assert again.paid == replay.paid and replayed(again) == replayed(replay)

def test_measures_are_of_valid_proposals():
    def one(edit, status=Status.OK):
        prompt = Prompt("trace", Role.PROPOSE, context={"program": _program(CHAIN).source})
        return Rollout(prompt, Completion(f"{edit}<in>[1]", (1,), (2,)), Verdict(status))
    rollouts = [one("add 1: x[1:]"), one("add 1: x[1:]"), one("remove 1"), one("replace 9: x", Status.MALFORMED)]
    found = step_metrics(rollouts, kinds=(_Trace(),))
    assert found["propose/trace/statements"] == pytest.approx(7 / 3) and found["propose/trace/count"] == 4
    assert found["propose/trace/edits/unique_rate"] == pytest.approx(2 / 3)
    assert [found[f"propose/trace/{kind}/count"] for kind in ("add", "replace", "remove")] == [2, 0, 1]
    assert "propose/trace/statements" not in step_metrics(rollouts[3:], kinds=(_Trace(),))

def test_what_nobody_solved_is_no_reference():
    remember, task = _climb_recipe(Climb()).remember, _trace_task(CHAIN, _states_of(CHAIN, [4, 2]))
    assert (
        remember(task, [], [Verdict(Status.OK, 0.0), Verdict(Status.OK, 1.0)]) == [task]
        and remember(task, [], [Verdict(Status.OK, 0.0)] * 2) == []
    )

def test_the_preset_is_what_the_page_describes():
    preset = yaml.safe_load((Path(__file__).parents[1] / "nbs" / "runs" / "climb.yaml").read_text())
    assert config("", system="climb", **preset["changes"]) == Climb() and len(set(preset["seeds"])) >= 5

def test_every_run_starts_from_every_depth_that_the_base_knows():
    seeds = _climb_recipe(Climb(seeds=9)).tasks
    assert [t.info["depth"] for t in seeds] == [1, 2, 3] * 3 and not any(bucket(t.given["program"]) < 10 for t in seeds)
    assert _climb_recipe(Climb(seeds=9, control="frozen_proposer")).tasks == seeds     # the same in all arms

def test_only_proposals_are_held_to_the_base_in_every_arm():
    for control in CONTROLS:
        recipe = _climb_recipe(Climb(control=control))
        recipe.finish([rollout(1.0, 2)])
        recipe.replay(1, Random(0))
        held = recipe.finish([rollout(1.0, 1, Role.PROPOSE), rollout(1.0, 1)]) + recipe.replay(2, Random(0))[:1]
        assert [one.kl for one in held] == [1.0, 0.0, 0.0]
        assert len(rows_of(held, merging=True, kl=4.0)) == 3      # the frozen proposer's too, without an advantage

def test_a_frozen_proposer_is_recorded_and_not_trained():
    recipe = _climb_recipe(Climb(control="frozen_proposer"))
    weights = [one.weight for one in recipe.finish([rollout(1.0, 1, Role.PROPOSE), rollout(1.0, 1)])]
    assert weights == [0, 1] and recipe.policies == {Role.PROPOSE: "base", Role.SOLVE: "default"}

def test_proposals_weigh_more_and_what_the_solver_got_wrong_less():
    recipe = _climb_recipe(Climb(proposer_weight=5.0, negative_weight=.5))
    wrong = replace(rollout(-.5, 1), advantage=-1.0)
    assert [one.weight for one in recipe.finish([rollout(1.0, 1, Role.PROPOSE), wrong, rollout(1.0, 1)])] == [5, .5, 1]

@pytest.mark.parametrize("changes", [
    {"control": "frozen"}, {"steps": 0}, {"batch": 0}, {"replay": -1}, {"keep": 0}, {"sharing": 0}, {"floor": 0.0},
    {"malformed": float("nan")}, {"negative_weight": -.5}, {"base_steps": 0}])
def test_settings_that_make_no_sense_are_refused(changes):
    (name, value), = changes.items()
    with pytest.raises(ValueError, match=f"{name} is .*{value}"): config("", system="climb", **changes)

SMALL = dict(steps=3, batch=4, attempts=2, seeds=6, test_tasks=1, evaluate_tasks=3, evaluate_every=1, save_every=1,
             max_completion_tokens=24, base_steps=2)

@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("climb") / "base"
    _start(Climb(base_steps=2), folder)
    return folder

def metrics(folder): return Records(folder).metrics.read_bytes()

@pytest.fixture(scope="module")
def whole(base, tmp_path_factory):
    "A run that nothing has stopped."
    folder = tmp_path_factory.mktemp("runs") / "whole"
    train(Climb(model=str(base), **SMALL), folder, say=list().append)
    return folder

def test_a_run_repeats_and_is_not_made_twice(base, whole, tmp_path):
    settings, said = Climb(model=str(base), **SMALL), []
    train(settings, tmp_path / "again", say=list().append)
    assert metrics(whole) == metrics(tmp_path / "again")
    assert train(settings, whole, say=said.append)["steps"] == 3 and "is done already" in said[0]
    records = read_metrics(whole)
    assert [record["step"] for record in records] == [0, 1, 2, 3]
    assert all(f"{name}/accuracy" in records[end] for name in CLIMB.sets for end in (0, -1))
    with pytest.raises(ValueError, match="run with other parameters .seed: 0 there, 1 now"):
        train(replace(settings, seed=1), whole, say=list().append)

def test_a_run_that_was_stopped_goes_on_with_the_same_bytes(base, whole, tmp_path):
    left = [1, 2]
    def stopping(settings, env):
        recipe = _climb_recipe(settings, env)
        def replay(step, rng):
            if left and step == left[0]:
                left.pop(0)
                signal.raise_signal(signal.SIGTERM)
            return recipe.replay(step, rng)
        return replace(recipe, replay=replay)
    settings, system, stops = Climb(model=str(base), **SMALL), replace(CLIMB, recipe=stopping), 0
    while True:
        try:
            train(settings, tmp_path / "stopped", say=list().append, system=system)
            break
        except KeyboardInterrupt: stops += 1
    assert stops == 2 and metrics(tmp_path / "stopped") == metrics(whole)

def test_the_command_line_trains_each_arm_and_makes_the_base(tmp_path, capsys):
    folder = tmp_path / "run"
    told = SMALL | {"steps": 2, "control": "frozen_proposer"}
    words = [word for name, value in told.items() for word in ("--set", f"{name}={value}")]
    assert main(["train", "--system", "climb", "--run", str(folder), *words]) == 0
    assert "held-out traces, 4 statements" in capsys.readouterr().out
    made = (folder / "start" / "model.safetensors").stat().st_mtime_ns
    assert main(["train", "--run", str(folder), "--set", "system=climb", *words]) == 0   # sweeps say it so
    assert (folder / "start" / "model.safetensors").stat().st_mtime_ns == made
    assert main(["train", "--system", "climb", "--run", str(folder), *words, "--set", "base_steps=3"]) == 2
    assert "base_steps: 2 there, 3 now" in capsys.readouterr().err

def test_the_records_are_of_one_experiment():
    kept = [json.loads(path.read_text()) for path in (ROOT / "data" / "climb").glob("*-s[0-9]*.json")]
    check_alike(kept, {"control"})
    assert len(kept) == 30
    assert {len(record["metrics"]) for record in kept} == {101}

def test_the_climb_page_makes_runs_and_keeps_them_to_itself(tmp_path):
    before = {path: path.read_bytes() for path in (ROOT / "data" / "climb").rglob("*.json")}
    told = ("-p", "measure", "True", "-p", "figures", str(tmp_path))
    papermill(ROOT / "nbs" / "runs" / "climb.ipynb", tmp_path / "out.ipynb", *told)
    text, drawn = (tmp_path / "out.ipynb").read_text(), (tmp_path / "climb.svg").read_text()
    for arm in ("self-play", "frozen proposer", "shuffled rewards"):
        assert f"{arm} (n = 1)" in text and f"<!-- {arm} (n = 1) -->" in drawn   # the figure has a line for each arm
    assert "self-play less frozen proposer" in text and (tmp_path / "climb.png").exists()
    assert before == {path: path.read_bytes() for path in (ROOT / "data" / "climb").rglob("*.json")}
