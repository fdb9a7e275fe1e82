"""What one of several processes sees of two adapters in alternating phases, and of turns, for test_ranks.py.

`torchrun ... ranks_policies.py FOLDER` leaves FOLDER/played-R.json."""

import hashlib
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from sums import ZERO, Sums, recipe
from test_policies import Settled, adapters, two_recipe
from toy import ending_model, toy_tokenizer
from transformers import TrainerCallback, set_seed

from azr.core import Role, to_json
from azr.metrics import step_metrics
from azr.rows import process_state
from azr.selfplay import SelfPlay
from azr.settings import spans
from azr.trainer import SelfPlayTrainer


class Lenient(Sums):
    "Any text is a task, so that there are some."
    def _validate(self, text): return replace(ZERO, id=text)


@dataclass(frozen=True)
class Talking(Lenient):
    "A solver that is told ` so ` after a first turn, and then answers."
    stop: tuple = ("a", "b", "c", "d", "e")
    turns: int = 2

    def open(self, prompts, env): return [[prompt.role, 0] for prompt in prompts]
    def close(self, states): states.clear()
    def submission(self, state, text): return text

    def step(self, states, texts, env): return [self._told(state) for state in states]

    def _told(self, state):
        state[1] += 1
        return " so " if state[0] is Role.SOLVE and state[1] < 2 else None


class Watching(TrainerCallback):
    "One entry a step: what was played, and what each adapter is afterwards."
    def __init__(self): self.entries, self.played = [], {}

    def on_play(self, step):
        every = (*step.rollouts, *step.estimates)
        text = "\n".join(to_json(one) for one in every)
        self.played = {"step": step.number, "phase": step.phase.name, "metrics": step_metrics(every, step.tasks),
                       "rollouts": hashlib.sha256(text.encode()).hexdigest(),
                       "turns": sorted({one.completion.turns for one in every}),
                       "tasks": [task.id for task in step.tasks]}

    def on_step_end(self, args, state, control, **_):
        found = adapters(self.trainer).items()
        digests = {name: hashlib.sha256(weights.numpy().tobytes()).hexdigest() for name, weights in found}
        shares = [[len(share), sum(row.copies for row in share)] for share in self.trainer._shares]
        self.entries.append(self.played | {"adapters": digests, "shares": shares})


def played(folder, settings, own): # entries
    "All steps of a run, one trainer a phase."
    set_seed(settings.seed)
    seen = Watching()
    stretches = spans(own.phase, settings.steps)
    trainer = SelfPlayTrainer(ending_model(0), toy_tokenizer(), SelfPlay(own, None, 0), settings, folder, seen.on_play,
                              [seen], span=stretches[0])
    for stretch in [*stretches[1:], None]:
        seen.trainer = trainer
        trainer.train()
        if stretch: trainer = trainer.following(stretch)
    return seen.entries


def both(folder): # name -> entries
    "Two adapters, and one policy that talks."
    alternating = Settled(save_every=100)
    talks = Settled(save_every=100, lora_rank=0, kl=0.0, steps=2, learning_rate=1e-3)
    two = replace(two_recipe(alternating), task_types=(Lenient(),))
    return {"policies": played(folder / "policies", alternating, two),
            "turns": played(folder / "turns", talks, recipe(Talking(), 5, 3, "attempts"))}


if __name__ == "__main__":
    place = Path(sys.argv[1])
    found = both(place)
    (place / f"played-{process_state().process_index}.json").write_text(json.dumps(found))
