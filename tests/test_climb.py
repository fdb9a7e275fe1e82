"The domain in which difficulty climbs: what is refused, what is paid, and that runs repeat."
import json
import subprocess
from dataclasses import asdict, replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import yaml
from hypothesis import given, strategies as st
from pages import papermill

from azr.climb import (
    DEEP,
    DEEPEST,
    OPERATIONS,
    SHARES,
    SPLITS,
    Climb,
    Crowding,
    FlooredAdvantage,
    Replay,
    Trace,
    apply_edit,
    base_example,
    bucket_of,
    climb,
    climb_recipe,
    climbing,
    costs_of,
    deep_at,
    draw_chain,
    draw_edit,
    exam_tasks,
    lead_at_equal_cost,
    listing,
    pretrain,
    source_of,
    states_of,
    trace_task,
    words,
)
from azr.core import Attempt, Completion, Prompt, Proposal, Role, Rollout, Status, Task, Verdict
from azr.executor import Call, Executor
from azr.rewards import Proposed
from azr.safety import ProgramStatus
from azr.tasks import Environment
from azr.tiny import new_tokenizer
from azr.values import bucket, parse_literal
from conftest import ROOT

CHAIN = ["sorted(x)", "x + [7]"]

@pytest.fixture(scope="module")
def env():
    with Executor(workers=1) as executor: yield Environment(executor)

def proposed(env, text, chain=CHAIN):
    (result,) = Trace().validate(
        [Proposal(Prompt("trace", Role.PROPOSE, context={"program": source_of(chain)}), text)], env
    )
    return result


@given(
    st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=DEEPEST),
    st.text(max_size=20)
    | st.builds(
        "{} {}{}".format,
        st.sampled_from(["add", "replace", "remove"]),
        st.integers(0, 11),
        st.sampled_from(["", ": x[1:]"]),
    ),
)
def test_an_edit_changes_one_statement_or_is_none(chain, edit):
    changed = apply_edit(chain, edit)
    if changed is None: return
    kind = edit.split()[0]
    assert len(changed) - len(chain) == {"add": 1, "replace": 0, "remove": -1}[kind]
    rest = [e for i, e in enumerate(changed) if i != int(edit.split()[1][0]) - 1] if kind != "remove" else changed
    assert rest == (chain if kind == "add" else [e for i, e in enumerate(chain) if i != int(edit.split()[1][0]) - 1])

@given(st.integers(0, 10**6), st.integers(1, DEEPEST))
def test_drawn_chains_are_tasks_of_their_split(seed, depth):
    statements, states = draw_chain(Random(seed), depth)
    assert len(statements) == depth and states_of(statements, states[0]) == states
    assert bucket_of(statements) == bucket(source_of(statements)) and bucket_of(statements) in SPLITS["train"]
    edit, value = draw_edit(Random(seed), statements) if depth < DEEPEST else ("remove 1", states[1])
    assert states_of(apply_edit(statements, edit), value)

def test_the_executor_lists_the_values_that_the_grammar_knows(env):
    chains = [draw_chain(Random(seed), 1 + seed % DEEPEST) for seed in range(40)]
    outcomes = env.executor.run([Call(listing(statements), str(states[0])) for statements, states in chains])
    assert [parse_literal(o.value) for o in outcomes] == [states for _, states in chains]


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
def test_what_is_no_task_is_refused(env, text, status):
    open_env = replace(env, held_out=lambda program: False)
    result = proposed(open_env, text)
    assert isinstance(result, Verdict) and result.status is status, result

def test_a_held_out_program_is_no_proposal(env):
    assert proposed(replace(env, held_out=lambda program: True), "add 3: x[::-1]<in>[4, 2]").status is Status.HELD_OUT
    assert isinstance(proposed(replace(env, held_out=lambda program: False), "add 3: x[::-1]<in>[4, 2]"), Task)

def test_too_deep_is_refused(env):
    statements, states = draw_chain(Random(0), DEEPEST)
    assert proposed(env, f"add 1: x[::-1]<in>{states[0]}", statements).status is Status.TOO_LARGE

def test_every_value_is_checked(env):
    task = trace_task(CHAIN, states_of(CHAIN, [4, 2]))
    right = task.hidden["trace"]
    answers = [
        right,
        right.splitlines()[-1],
        right.replace("[2, 4] ", "").replace("# [2, 4]\n", "# [4, 2]\n"),
        right + "\n" + right,
        right.replace("sorted(x)", "x[::-1]"),
    ]
    assert [v.score for v in Trace().verify([(task, [Attempt(task.id, text) for text in answers])], env)[0]] == [
        1,
        0,
        0,
        0,
        0,
    ]

def test_the_exam_is_held_out_and_the_same_twice():
    tasks = exam_tasks("test", 4)
    assert tasks == exam_tasks("test", 4) and len({t.id for t in tasks}) == 4 * max(DEEP)
    assert all(bucket(t.given["program"]) in SPLITS["test"] for t in tasks) and [t.info["depth"] for t in tasks] == [
        d for d in range(1, max(DEEP) + 1) for _ in range(4)
    ]

def test_the_deep_exam_asks_what_no_solving_example_shows():
    rng = Random(0)
    solving = [e for e in (base_example(rng) for _ in range(2000)) if e.prompt.startswith("<ded>")]
    depths = [e.response.count("\n") + 1 for e in solving]
    assert max(depths) == max(SHARES) < min(DEEP) and .02 < depths.count(3) / len(depths) < .08

def test_text_survives_the_tokenizer():
    tokenizer, rng = new_tokenizer(words()), Random(1)
    for example in (base_example(rng) for _ in range(200)):
        assert (
            tokenizer.decode(tokenizer(example.prompt + example.response)["input_ids"])
            == example.prompt + example.response
        )

def edited(edit, p):
    "A proposal that was solved so often."
    statements = apply_edit(["x + [8]"], edit)
    return Proposed(Verdict(Status.OK, 1.0), p, trace_task(statements, states_of(statements, [4, 2]), edit))

def test_equal_edits_share_their_pay():
    assert Crowding()(
        [
            edited("add 2: x + [7]", 0.5),
            edited("add 2: x + [6]", 0.25),
            edited("add 1: x[1:]", 0.5),
            Proposed(Verdict(ProgramStatus.SYNTAX)),
        ]
    ) == [-0.25, -0.375, 0.0, 0.0]
    assert Crowding()([edited("add 2: x + [7]", 1.0), edited("add 2: x + [6]", 0.0)]) == [
        0.0,
        0.0,
    ]  # nothing was earned
    assert Crowding()([edited("add 2: x[1:]", 0.5)] * 4) == [-0.375] * 4 and Crowding()(
        [edited("add 2: x[1:]", 0.5), edited("add 1: x[1:]", 0.5)]
    ) == [
        0.0,
        0.0,
    ]  # the place counts

def test_pay_is_shared_over_batches_and_forgotten():
    crowding, many, one = Crowding(2), [edited("add 2: x[1:]", .5)] * 4, [edited("add 2: x[1:]", .5)]
    assert crowding(many) == [-.375] * 4
    assert crowding(one) == [.5 * (1 / 2.5 - 1)] and crowding(one) == [0.0]

def test_the_floor_keeps_small_differences_small():
    tiny_spread = FlooredAdvantage(.1)(np.array([0.0, .02]), ["a", "a"], [0, 1], np.ones(2))
    wide = FlooredAdvantage(.1)(np.array([0.0, 1.0]), ["a", "a"], [0, 1], np.ones(2))
    assert np.allclose(tiny_spread, [-.1, .1]) and np.allclose(wide, [-1, 1])

def rollout(depth, reward, token):
    return Rollout(
        Prompt("trace", Role.SOLVE, "\n" * depth), Completion("", (1,), (token,)), Verdict(Status.OK), reward
    )

def test_replay_takes_what_was_paid_in_proportion():
    replay = Replay(keep=4)
    replay.add([rollout(1, 1.0, n) for n in range(5)] + [rollout(1, 1.0, 4), rollout(2, 1.0, 9), rollout(3, -.5, 9)])
    assert [r.completion_ids for r in replay.rows] == [(2,), (3,), (4,), (9,)]
    drawn = replay.draw(400, Random(0))
    assert 60 < sum(r.completion_ids == (9,) for r in drawn) < 140 and {r.advantage for r in drawn} == {1.0}
    assert Replay(2).draw(3, Random(0)) == []

def test_what_nobody_solved_is_no_reference():
    remember, task = climb_recipe(Climb()).remember, trace_task(CHAIN, states_of(CHAIN, [4, 2]))
    assert (
        remember(task, [], [Verdict(Status.OK, 0.0), Verdict(Status.OK, 1.0)]) == [task]
        and remember(task, [], [Verdict(Status.OK, 0.0)] * 2) == []
    )

def test_runs_are_compared_at_equal_cost():
    def run(deep, tokens):
        return {
            "steps": [
                {"exam": {d: 0 for d in range(1, 7)}, "step": 0},
                {"step": 1, "tokens": tokens},
                {"step": 2, "tokens": tokens, "exam": {d: deep for d in range(1, 7)}},
            ],
            "cpu_seconds": [0, tokens / 10],
        }
    slow, quick = run(.8, 200), run(.4, 100)
    assert costs_of(slow, "tokens") == [0, 400] and deep_at(slow, 100, "tokens") == pytest.approx(.2)
    assert [lead_at_equal_cost(slow, quick, unit) for unit in ("steps", "tokens", "CPU seconds")] == pytest.approx(
        [0.4, 0, 0]
    )

def test_the_preset_is_what_the_page_describes():
    preset = yaml.safe_load((Path(__file__).parents[1] / "nbs" / "runs" / "climb.yaml").read_text())
    assert Climb(**preset["changes"]) == Climb() and len(set(preset["seeds"])) >= 5

def test_every_run_starts_from_every_depth_that_the_base_knows():
    seeds = climb_recipe(Climb(seeds=9)).tasks
    assert [t.info["depth"] for t in seeds] == [1, 2, 3] * 3 and not any(bucket(t.given["program"]) < 10 for t in seeds)
    assert climb_recipe(Climb(seeds=9, control="frozen_proposer")).tasks == seeds     # the same in all arms

def test_a_frozen_proposer_is_recorded_and_not_trained():
    recipe = climb_recipe(Climb(control="frozen_proposer"))
    assert recipe.finish.proposer == 0 and recipe.policies == {Role.PROPOSE: "base", Role.SOLVE: "default"}

@pytest.mark.parametrize("changes", [{"control": "frozen"}, {"steps": 0}])
def test_settings_that_make_no_sense_are_refused(changes):
    with pytest.raises(ValueError, match=str(next(iter(changes.values())))): Climb(**changes)

SMALL = dict(steps=2, batch=4, attempts=2, seeds=6, per_depth=1, evaluate_every=1, tokens=24)

@pytest.fixture(scope="module")
def base(tmp_path_factory): return pretrain(tmp_path_factory.mktemp("climb"), steps=2, batch=4, progress=False)

def test_a_run_repeats_and_is_not_made_twice(base, tmp_path):
    record = climb(Climb(**SMALL), base, tmp_path / "a.json", progress=False)
    again = climb(Climb(**SMALL), base, progress=False)
    assert (
        again | {"cpu_seconds": record["cpu_seconds"]}
        == record
        == json.loads((tmp_path / "a.json").read_text())
        == climb(Climb(**SMALL), "nowhere", tmp_path / "a.json")
    )
    assert record["setting"] == asdict(Climb(**SMALL)) and [s["step"] for s in record["steps"]] == [0, 1, 2]
    with pytest.raises(ValueError, match="other settings"): climb(Climb(seed=1, **SMALL), base, tmp_path / "a.json")
    with pytest.raises(ValueError, match="other settings"):
        climb(Climb(**SMALL), base, tmp_path / "a.json", split="validation")
    other = pretrain(tmp_path / "other", steps=1, batch=4, progress=False)
    with pytest.raises(ValueError, match="of another base: remove it"):
        climb(Climb(**SMALL), other, tmp_path / "a.json")


def test_a_base_is_made_once_and_one_of_other_settings_is_refused(base):
    before = (base / "model.safetensors").stat().st_mtime_ns
    assert (
        pretrain(base, steps=2, batch=4, progress=False) == base
        and (base / "model.safetensors").stat().st_mtime_ns == before
    )
    with pytest.raises(ValueError, match="holds a base of .*'steps': 2.* and .*'steps': 3.* is asked for: remove it"):
        pretrain(base, steps=3, batch=4)

def test_the_figure_has_a_line_for_each_arm(base):
    records = [climb(Climb(control=control, **SMALL), base, progress=False) for control in ("none", "frozen_proposer")]
    drawn = climbing(records)
    assert len(drawn.axes) == 4 and [t.get_text() for t in drawn.legends[0].get_texts()] == [
        "base",
        "self-play (n = 1)",
        "frozen proposer (n = 1)",
    ]


def test_the_climb_page_makes_runs_and_keeps_them_to_itself(tmp_path):
    before = {path: path.read_bytes() for path in (ROOT / "data" / "climb").rglob("*.json")}
    subprocess.run(
        papermill(ROOT / "nbs" / "runs" / "climb.ipynb", tmp_path / "out.ipynb", "-p", "measure", "True"),
        check=True,
        capture_output=True,
        cwd=ROOT,
    )
    text = (tmp_path / "out.ipynb").read_text()
    assert (
        "self-play (n = 1)" in text
        and "shuffled rewards (n = 1)" in text
        and before == {path: path.read_bytes() for path in (ROOT / "data" / "climb").rglob("*.json")}
    )
