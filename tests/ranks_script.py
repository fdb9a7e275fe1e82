"""What one of several processes sees of a few toy runs, step by step, for test_ranks.py.

`torchrun ... ranks_script.py FOLDER` leaves FOLDER/rank-R.json and the first step's gradients."""

import hashlib
import json
import random
import sys
from dataclasses import replace
from pathlib import Path

import torch
from sums import ZERO, Sums
from sums import recipe as sums_recipe
from toy import TOY, ending_model, toy_tokenizer
from transformers import TrainerCallback, set_seed
from trl import GRPOTrainer

from azr.core import Completion, Role, Status, Verdict
from azr.selfplay import SelfPlay
from azr.azr import Config
from azr.rows import process_state
from azr.sampler import encode
from azr.trainer import SelfPlayTrainer

SETTINGS = dict(TOY, steps=3, chunk_tokens=100, score_tokens=100)
RUNS = {
    "fresh": {},
    "attempts": {"solver_samples": "attempts", "batch": 6, "attempts": 3, "micro_batches": 3},
    "reused": {"iterations": 2, "micro_batches": 2, "gradient_checkpointing": True},
    "lora": {"lora_rank": 2, "control": "frozen_proposer", "solver_samples": "attempts"},
    "frozen": {"control": "frozen_proposer"},
    "packed": {"pack_tokens": 40, "solver_samples": "attempts", "batch": 6, "attempts": 3, "micro_batches": 2},
}


class Uneven(Sums):
    "Sums of which a third of the proposals are valid, another number in each step."
    def _validate(self, text):
        return (
            replace(ZERO, id=text, given={"sum": "1+1"}) if sum(map(ord, text)) % 3 == 0 else Verdict(Status.MALFORMED)
        )
    def verify(self, groups, env):
        return [
            [Verdict(Status.OK, 1.0) if sum(map(ord, a.text)) % 2 else Verdict(Status.WRONG) for a in attempts]
            for _, attempts in groups
        ]


class Counting(SelfPlayTrainer):
    "Counts the calls that all processes must make together."
    written = scored = 0
    def _write(self, ids, sampling, policy):
        self.written += 1
        return super()._write(ids, sampling, policy)


class Diary(TrainerCallback):
    "One entry a step."
    def __init__(self): self.entries, self.gradients = [], None

    def on_pre_optimizer_step(self, args, state, control, model=None, **_):
        if self.gradients is None:
            self.gradients = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])

    def on_step_end(self, args, state, control, model=None, **_):
        t = self.trainer
        def rows(rows): return sorted([r.prompt_ids, r.completion_ids, r.advantage, r.copies] for r in rows if r.copies)
        def digest(text): return hashlib.sha256(text).hexdigest()
        self.entries.append(
            {
                "weights": digest(
                    b"".join(p.detach().numpy().tobytes() for p in t.accelerator.unwrap_model(t.model).parameters())
                ),
                "buffers": [task.id for task in t.selfplay.buffers],
                "own": rows(t._rows),
                "all": rows(r for share in t._shares for r in share),
                "trained": self.trained,
                "proposed": self.proposed,
                "calls": [t.written, t.scored],
                "draw": torch.rand(1).item(),
            }
        )


def toy_run(folder, name, changes):
    set_seed(0)
    config, diary = Config(**SETTINGS | changes), Diary()
    frozen = config.control == "frozen_proposer"
    recipe = sums_recipe(
        Uneven(),
        config.batch,
        config.attempts,
        config.solver_samples,
        weight=0.0 if frozen else 1.0,
        policies={Role.PROPOSE: "base" if frozen else "default", Role.SOLVE: "default"},
    )
    def seen(step):
        diary.trained = sum(r.weight != 0 and bool(r.completion.completion_ids) for r in step.rollouts)
        diary.proposed = sum(r.prompt.role is Role.PROPOSE and r.verdict.ok for r in step.rollouts)
    trainer = diary.trainer = Counting(
        ending_model(0), toy_tokenizer(), SelfPlay(recipe, None, 0), config, Path(folder) / name, seen, [diary]
    )
    original = GRPOTrainer._get_per_token_logps_and_entropies
    def counted(self, *args, **kwargs):
        trainer.scored += 1
        return original(self, *args, **kwargs)
    GRPOTrainer._get_per_token_logps_and_entropies = counted
    try:trainer.train()
    finally: GRPOTrainer._get_per_token_logps_and_entropies = original
    return diary.entries


def told_run(folder, **changes):
    "One step on rollouts that do not depend on the number of processes; its gradients."
    set_seed(0)
    config, diary, rng = (
        Config(**SETTINGS | {"attempts": 3, "solver_samples": "attempts", "grad_clip": 0.0, "steps": 1} | changes),
        Diary(),
        random.Random(0),
    )
    trainer = Counting(
        ending_model(0),
        toy_tokenizer(),
        SelfPlay(sums_recipe(Uneven(), config.batch, config.attempts, config.solver_samples), None, 0),
        config,
        folder,
        lambda step: None,
        [diary],
    )
    def told(prompts, sampling=None, policy="default"):
        words = ["".join(rng.choice("0123456789+") for _ in range(rng.choice((2, 5, 9)))) for _ in prompts]
        return [
            Completion(w, tuple(encode(p, trainer.processing_class)), tuple(trainer.processing_class(w)["input_ids"]))
            for p, w in zip(prompts, words, strict=True)
        ]
    trainer.sampler, diary.trainer, diary.trained, diary.proposed = told, trainer, 0, 0
    trainer.train()
    return diary.gradients


if __name__ == "__main__":
    folder, rank = Path(sys.argv[1]), process_state().process_index
    torch.save(told_run(folder / "told"), folder / f"gradients-{rank}.pt")
    torch.save(told_run(folder / "told-packed", pack_tokens=40), folder / f"packed-{rank}.pt")
    if process_state().num_processes > 1:
        (folder / f"rank-{rank}.json").write_text(
            json.dumps({name: toy_run(folder, name, changes) for name, changes in RUNS.items()})
        )
