"The whole artifact: both roles with tools for several turns, and what nobody may write or hand in."
import json
import random
from dataclasses import replace

import pytest

from azr.artifacts import Artifacts, _Injecting
from azr.bugs import PARSER, BugStatus as B, Checker
from azr.core import Attempt, Proposal, Role, Status, Task, Verdict, from_dict, to_json
from azr.repairs import Bugs, Workshop, kept_tasks, second_order
from azr.sampling import Script, converse
from azr.selfplay import Phase, Recipe, SelfPlay
from azr.ssr import SSRSettings, ssr_rewards
from azr.workspace import RepositoryStatus as S, Suites, shipped
from conftest import always

ROMANS = shipped()["romans"]
RIGHT, WRONG = "    return (a > b) - (a < b)", "    return (a >= b) - (a < b)"
TEST = 'def test_compare():\n    assert [compare("IX", other) for other in ("X", "IX", "VIII")] == [-1, 0, 1]'

def tool(name, body=""): return f"<tool: {name}>\n{body}\n</tool>"
def block(path, old, new): return f"{path}\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE"

EDITS = [tool("edit", block("romans/reckon.py", RIGHT, WRONG)),
         tool("edit", block("tests/test_reckon.py", TEST, "def test_compare():\n    assert compare"))]
PARTS = [tool("create", "bug/test_script.sh\npytest -rA tests"),
         tool("create", "bug/test_files.txt\ntests/test_reckon.py"),
         tool("create", f"bug/test_parser.py\n{PARSER}")]
INJECTOR = [*EDITS, *PARTS, tool("submit")]
SOLVER = [tool("edit", block("romans/reckon.py", WRONG, RIGHT)), tool("submit")]
FAILING = [tool("edit", block("romans/reckon.py", WRONG, "    return (a <= b) - (a < b)")), tool("submit")]

@pytest.fixture(scope="module")
def env():
    with Suites(seconds=2) as suites: yield Workshop({"romans": ROMANS}, Checker(suites))

KIND = Artifacts({"romans": ROMANS}, kinds=("direct",))

def played(*talks):
    "A sampler that plays each conversation's turns in its order; all conversations go on together."
    talks = [list(one) for one in talks]
    def sample(prompts, sampling=None, policy="default"):
        own = [one for one in talks if one][:len(prompts)]
        return Script(lambda prompt: own.pop(0).pop(0))(prompts)
    return sample

def injected(env, turns=INJECTOR, kind=KIND):
    prompt = kind.propose_prompt(None, random.Random(0))
    (said, submitted), = converse(played(turns), [prompt], (kind,), env)
    result, = kind.validate([Proposal(prompt, submitted)], env)
    return said, submitted, result

def test_a_bug_is_made_in_several_turns_and_mended_in_several(env):
    said, submitted, task = injected(env)
    assert isinstance(task, Task) and said.turns == len(INJECTOR)
    assert set(json.loads(submitted)) == {"test_script.sh", "test_files.txt", "test_parser.py", "bug_inject.diff",
                                          "test_weaken.diff"}
    assert "turns left" in said.text and "+    assert [compare" in task.given["spec"]
    talks = converse(played(SOLVER, FAILING), [KIND.solve_prompt(task)] * 2, (KIND,), env)
    attempts = [Attempt(task.id, text) for _, text in talks]
    (right, wrong), = KIND.verify([(task, attempts)], env)
    assert right.ok and wrong.status == Status.WRONG
    assert not [path for path in env.checker.suites.limits.folder.iterdir() if path.name != "lock"]

def test_a_task_that_was_read_back_opens_the_same_workspace(env):
    _, _, task = injected(env)
    again = from_dict(Task, json.loads(to_json(task)))
    fresh = Workshop(env.repositories, env.checker)
    (_, patch), = converse(played(SOLVER), [KIND.solve_prompt(again)], (KIND,), fresh)
    assert KIND.verify([(again, [Attempt(again.id, patch)])], fresh)[0][0].ok

def test_no_prompt_of_a_solver_holds_the_original(env):
    _, _, task = injected(env)
    text = KIND.solve_prompt(task).messages[0]["content"]
    assert RIGHT.strip() not in text and "test_compare" in text

@pytest.mark.parametrize("turns, status", [
    ([*EDITS, *PARTS], B.NO_PART),                                  # nothing is submitted
    ([*EDITS, tool("submit")], B.NO_PART),
    ([EDITS[0], *PARTS, tool("submit")], B.NO_PART),                # nothing is hidden
    ([EDITS[1], *PARTS, tool("submit")], B.NO_PART),                # no bug
    ([*EDITS, tool("create", "bug/test_script.sh\nrm -rf /"), *PARTS[1:], tool("submit")], B.BAD_SCRIPT),
    ([*EDITS, *PARTS, tool("create", "bug/bug_inject.diff\nmend it"), tool("submit")], S.BAD_DIFF),
    ([*EDITS, *PARTS[:2], tool("create", "bug/test_parser.py\nprint('[]')"), tool("submit")], B.BAD_PARSER),
])
def test_what_is_handed_in_badly_has_its_status(env, turns, status):
    kind = replace(KIND, turns=len(turns))
    assert injected(env, turns, kind)[2].status == status

def test_an_injector_writes_source_tests_and_its_parts_alone():
    work = _Injecting(ROMANS, ROMANS.files, None, turns=9)
    for path in ("conftest.py", "bug/more.txt", "tests/conftest.py", "pytest.ini", "../bug/test_script.sh", ".git/x"):
        said = work.act(tool("create", f"{path}\nx = 1"))
        assert "is neither source" in said or "no path inside" in said or "hidden files" in said, path
    assert work.files == ROMANS.files

def test_who_does_not_submit_gets_nothing(env):
    _, _, task = injected(env)
    kind = replace(KIND, turns=2)
    (said, text), = converse(played([SOLVER[0], tool("run", "true")]), [kind.solve_prompt(task)], (kind,), env)
    assert text == "" and kind.verify([(task, [Attempt(task.id, text)])], env)[0][0].status == Status.MALFORMED

def test_a_strict_attempt_ends_at_its_first_wrong_call(env):
    _, _, task = injected(env)
    kind = replace(KIND, strict=True)
    (said, text), = converse(played(["I think"]), [kind.solve_prompt(task)], (kind,), env)
    assert said.turns == 1 and text == ""

def test_a_step_of_self_play_with_tools(env):
    recipe = Recipe((KIND,), always(Phase("self-play", proposals=1, attempts=4)),
                    propose_reward=ssr_rewards().propose, solve_reward=ssr_rewards().solve)
    talks = [INJECTOR, SOLVER, FAILING, FAILING, FAILING]
    step = SelfPlay(recipe, env, 0).step(played(*talks), 1)
    proposal, *attempts = step.rollouts
    assert proposal.prompt.role is Role.PROPOSE and proposal.reward == pytest.approx(1 - 1.8 * .25)
    assert [one.reward for one in attempts] == [1, -1, -1, -1]

# ---- second order

def tried(kind, task, env, *answers):
    attempts = [Attempt(task.id, text) for text in answers]
    verdicts, = kind.verify([(task, attempts)], env)
    return attempts, verdicts

def test_a_failed_repair_becomes_a_bug_of_second_order(env):
    kind = Bugs({"romans": ROMANS})
    task = next(one for one in kept_tasks(kind, "first") if one.given["repository"] == "romans")
    own = Workshop(shipped(), env.checker)
    name, right = task.given["function"].split(".")[-1], task.given["right"]
    worse = task.given["wrong"].rstrip() + "\n    return None\n"
    broken = f"def {name}(*args):\n    return 'no'\n"
    answers = [text.removeprefix(f"def {name}(") for text in (right, broken)]
    attempts, verdicts = tried(kind, task, own, *answers)
    assert [one.status for one in verdicts] == [Status.OK, Status.WRONG]
    found = second_order(kind, task, attempts, verdicts, own)
    assert found.parent == task.id != found.id and found.info["order"] == 2 and "'no'" in found.given["wrong"]
    assert found.hidden["fail_to_pass"] == task.hidden["fail_to_pass"]
    attempts, (mended, same) = tried(kind, found, own, *answers)
    assert mended.ok and same.status == S.NO_CHANGE
    assert second_order(kind, found, attempts, [Verdict(Status.WRONG)] * 2, own) is None   # no third order
    assert second_order(kind, task, attempts[:1], verdicts[:1], own) is None

def test_second_order_bugs_are_drawn_in_later_steps():
    phase = SSRSettings(second_order=True).phase(1)
    assert phase.reuse and phase.solves == 16 and phase.tries == phase.attempts == 8
    assert SSRSettings(style="tools").phase(1).proposals == 16
