"A toy domain of sums, the smallest that fills the loop: it tests that the loop knows nothing of Python programs."

from dataclasses import dataclass, replace
from functools import partial

from azr.core import Prompt, Role, Status, Task, Verdict
from azr.rewards import reward_setting
from azr.selfplay import Phase, Recipe


@dataclass(frozen=True)
class Sums:
    name: str = "sums"

    def propose_prompt(self, buffers, rng):
        shown = buffers.references(self.name, 1, rng)
        text = "ask " + " ".join(t.given["sum"] for t in shown)
        return Prompt(self.name, Role.PROPOSE, text, references=tuple(t.id for t in shown))

    def validate(self, proposals, env):
        return [self._validate(p.text) for p in proposals]

    def _validate(self, text):
        parts = text.split("+")
        if len(parts) != 2: return Verdict(Status.MALFORMED, detail="no plus sign")
        if not all(p.isdigit() for p in parts): return Verdict("bad_arguments", detail=text)
        return Task(self.name, {"sum": text}, {"value": str(sum(map(int, parts)))}, id=text)

    def solve_prompt(self, task):
        return Prompt(self.name, Role.SOLVE, text=f"solve {task.given['sum']}", task_id=task.id)

    def verify(self, groups, env):
        def right(task, a): return Verdict(Status.OK, 1.0) if a.text == task.hidden["value"] else Verdict(Status.WRONG)
        return [[right(task, a) for a in attempts] for task, attempts in groups]


ZERO = Task("sums", {"sum": "1+1"}, {"value": "2"}, id="1+1")


def recipe(
    kind=None, batch=64, attempts=8, solver_samples="fresh", rewards="paper", weight=1.0, seed_factor=4, **changes
):
    "A recipe for sums by the names that AZR gives to its numbers."
    setting, phase = reward_setting(rewards), Phase("sums", proposals=batch, attempts=attempts,
                                                    solves=batch if solver_samples == "fresh" else 0)
    own = {"propose_reward": setting.propose, "solve_reward": setting.solve, "tasks": (ZERO,),
           "attempt_known": setting.duplicate is None, "seeding": seed_factor * batch}
    if weight != 1.0:
        own["finish"] = partial(weighed, weight)
    return Recipe((kind or Sums(),), lambda step: phase, **{**own, **changes})


def weighed(weight, rollouts):
    return [replace(r, weight=r.weight * weight) if r.prompt.role is Role.PROPOSE else r for r in rollouts]
