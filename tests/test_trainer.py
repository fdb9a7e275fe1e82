"The step through TRL, on a toy model and the toy domain of sums."
import ast
import importlib
import inspect
from functools import partial
import random
import resource
from dataclasses import fields, replace
from types import SimpleNamespace

import pytest
import torch
from conftest import always
from sums import ZERO, Sums
from sums import recipe as sums_recipe
from toy import TOY, ending_model, toy_model, toy_tokenizer
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed
from trl import GRPOTrainer

from azr.core import Prompt, Role, Rollout, Status, Verdict, Completion
from azr.metrics import step_metrics
from azr.watch import Watch
from azr.sampling import GREEDY, Sampling
from azr.selfplay import Phase, SelfPlay
from azr.azr import Config
from azr.settings import Training, Watching
from azr.checkpoints import last_checkpoint, whole_checkpoints
from azr.models import load_policy, merge_adapter
from azr.rows import _merge, _row, room_for, rows_of
from azr.sampler import PolicySampler, generator
from azr.trainer import SelfPlayTrainer

class Sometimes(Sums):
    "Sums whose verdicts depend on the text alone, so that a random model earns different rewards."
    def _validate(self, text):
        return replace(ZERO, id=text, given={"sum": "1+1"}) if len(text) % 3 else Verdict(Status.MALFORMED)
    def verify(self, groups, env):
        return [
            [Verdict(Status.OK, 1.0) if sum(map(ord, a.text)) % 2 else Verdict(Status.WRONG) for a in attempts]
            for _, attempts in groups
        ]


def make(folder, trainer=SelfPlayTrainer, seed=0, recipe=None, **changes):
    set_seed(seed)
    config = Config(**{**TOY, **changes})
    frozen = config.control == "frozen_proposer"
    recipe = recipe or sums_recipe(
        Sometimes(),
        config.batch,
        config.attempts,
        config.solver_samples,
        weight=0.0 if frozen else 1.0,
        policies={Role.PROPOSE: "base" if frozen else "default", Role.SOLVE: "default"},
    )
    return trainer(ending_model(seed), toy_tokenizer(), SelfPlay(recipe, None, seed), config, folder)


def trained(trainer):
    trainer.train()
    return trainer


def weights(trainer): return torch.cat([p.detach().flatten() for p in trainer.model.parameters()])


def test_training_changes_the_model_and_same_seed_gives_the_same_bits(tmp_path):
    before = weights(make(tmp_path / "start"))
    one, two = (trained(make(tmp_path / name)) for name in ("one", "two"))
    assert torch.equal(weights(one), weights(two)) and not torch.equal(before, weights(one))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"solver_samples": "attempts"},
        {"control": "frozen_proposer"},
        {"lora_rank": 2},
        {"lora_rank": 2, "control": "frozen_proposer"},
        {"micro_batches": 2},
    ],
)
def test_resume_is_bit_identical(tmp_path, changes):
    whole, again = make(tmp_path / "run", **changes), make(tmp_path / "run", **changes)
    whole.train()
    again.resume(tmp_path / "run" / "checkpoint-2")
    again.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-2"))
    assert torch.equal(weights(whole), weights(again)) and whole.selfplay.buffers == again.selfplay.buffers


def test_a_checkpoint_without_its_last_file_does_not_count(tmp_path):
    make(tmp_path).train()
    assert last_checkpoint(tmp_path).name == "checkpoint-4"
    (tmp_path / "checkpoint-4" / "selfplay.json").unlink()
    assert last_checkpoint(tmp_path).name == "checkpoint-2" and last_checkpoint(tmp_path / "nowhere") is None


class Keeping(SelfPlayTrainer):
    "Keeps the batch that goes into the loss."
    def _generate_and_score_completions(self, inputs):
        self.batch = super()._generate_and_score_completions(inputs)
        return self.batch


def test_the_advantages_of_the_batch_are_ours(tmp_path):
    "TRL's own, of groups that mean nothing, are replaced; filler goes."
    trainer = make(tmp_path, Keeping, steps=1, iterations=2, batch=8)   # two iterations: nothing is merged
    trainer.train()
    ours = sorted(r.advantage for r in trainer._rows if r.copies)
    found = sorted(trainer.batch["advantages"].tolist())
    filler = len(found) - len(ours)
    assert any(ours) and 0 <= filler < 2
    assert sorted(ours + [0.0] * filler) == pytest.approx(found)


def test_the_gradient_is_the_policy_gradient(tmp_path):
    "Against a loop of our own: the mean over tokens of -A log pi."
    trainer = make(tmp_path, Keeping, steps=1, solver_samples="attempts", grad_clip=1e9)
    model = toy_model(0)
    caught = {}
    trainer.optimizer = torch.optim.SGD(trainer.model.parameters(), lr=0.0)
    trainer.optimizer.register_step_pre_hook(
        lambda *_: caught.update({n: p.grad.clone() for n, p in trainer.model.named_parameters() if p.grad is not None})
    )
    trainer.train()
    tokens = sum(r.copies * len(r.completion_ids) for r in trainer._rows)
    loss = 0.0
    for one in (r for r in trainer._rows if r.copies):
        ids = torch.tensor([one.prompt_ids + one.completion_ids])
        logps = model(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])[len(one.prompt_ids) - 1:, 0]
        loss = loss - one.advantage * logps.sum() / tokens
    loss.backward()
    assert any(g.abs().max() > 1e-4 for g in caught.values())
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(caught[name], parameter.grad, atol=1e-5, rtol=1e-3)


def test_merging_equal_completions_keeps_the_gradient():
    rng = random.Random(0)
    ask = Prompt("sums", Role.SOLVE, text="?")
    rollouts = [
        Rollout(
            ask, Completion("", (5,), (rng.randrange(2), 1)), Verdict(Status.OK), advantage=rng.random(), weight=0.5
        )
        for _ in range(20)
    ]
    merged = _merge([_row(r) for r in rollouts])
    assert len(merged) == 2 and sum(r.copies for r in merged) == 20
    assert sum(r.advantage for r in merged) == pytest.approx(sum(0.5 * r.advantage for r in rollouts))


def observing(observation):
    "A trainer whose rollouts end in an observation, as a tool would give it: tokens that the policy did not write."
    class Observing(Keeping):
        def _play(self, prompts, trainer):
            step = self.selfplay.step(self.sampler, self.number)
            def seen(ids, i): return (*ids, *observation(i)) if i % 2 else ids
            def watched(r, i):
                ids = r.completion.completion_ids
                mask = (1,) * len(ids) + (0,) * (len(seen(ids, i)) - len(ids))
                return replace(r, completion=replace(r.completion, completion_ids=seen(ids, i), mask=mask))
            self.played = replace(step, rollouts=tuple(watched(r, i) for i, r in enumerate(step.rollouts)))
            def again(*_): return self.played
            self.selfplay.step, before = again, self.selfplay.step
            try:return super()._play(prompts, trainer)
            finally: self.selfplay.step = before
    return Observing


def none(i): return ()
def short(i): return (5,)
def varied(i): return tuple(2 + (7 * n + i) % 30 for n in range(3 + i % 9))


@pytest.mark.parametrize("iterations", [1, 2])
def test_tokens_that_the_policy_did_not_write_change_neither_the_loss_nor_the_counts(tmp_path, iterations):
    runs = []
    for observation in (none, short, varied):
        trainer = make(
            tmp_path / observation.__name__,
            observing(observation),
            steps=1,
            solver_samples="attempts",
            batch=8,
            iterations=iterations,
            entropy_coefficient=0.01,
        )
        trainer.train()
        watch = Watch(
            trainer.settings,
            SimpleNamespace(writes=False, append_rollouts=always(None)),
            always({}),
            print,
            always(None),
        )
        watch.on_play(trainer.played)
        metrics = step_metrics(trainer.played.rollouts)
        counts = [watch.tokens, float(trainer.batch["num_items_in_batch"])] + [
            metrics[f"{slot}/completion_length"] for slot in ("propose/sums", "solve/sums")
        ]
        logged = [{k: r[k] for k in ("loss", "grad_norm", "entropy")} for r in trainer.state.log_history if "loss" in r]
        assert logged and sum(r.written for r in trainer._rows if r.copies) == counts[1] == sum(
            r.completion.written for r in trainer.played.rollouts
        )
        runs.append((counts, logged, weights(trainer)))
    assert (
        sum(len(r.completion.completion_ids) for r in trainer.played.rollouts) > runs[-1][0][0]
        and runs[0][1][0]["grad_norm"] > 1e-3
    )
    for counts, logged, after in runs[1:]:
        assert counts == runs[0][0]
        for one, first in zip(logged, runs[0][1], strict=True): assert one == pytest.approx(first, rel=1e-4, abs=1e-6)
        torch.testing.assert_close(after, runs[0][2], atol=2e-6, rtol=1e-4)


def masked(one, *mask): return replace(one, completion=replace(one.completion, mask=mask))


def test_rows_of_different_masks_are_not_merged_and_a_mask_has_the_length_of_its_completion():
    one = Rollout(Prompt("sums", Role.SOLVE, text="?"), Completion("", (5,), (6, 7)), Verdict(Status.OK), advantage=1.0)
    assert len(_merge([_row(one), _row(masked(one, 1, 0)), _row(masked(one, 1, 0))])) == 2
    with pytest.raises(ValueError, match="2 completion tokens and a mask of 3"):
        _row(masked(one, 1, 1, 0))
    assert (
        rows_of([masked(one, 0, 0)], True) == []
    )  # nothing to learn from


def test_what_trl_counts_with_filler_does_not_go_to_the_trackers(tmp_path):
    trainer = trained(make(tmp_path, steps=1))
    logged = {name for record in trainer.state.log_history for name in record}
    assert {"loss", "entropy"} <= logged and not [
        name for name in logged if name.startswith(("completions/", "reward", "frac_reward"))
    ]


def test_chunked_log_probabilities_are_trls(tmp_path):
    trainer = make(tmp_path)
    rng = random.Random(0)
    lengths = [(rng.randrange(1, 20), rng.randrange(1, 12)) for _ in range(9)]
    ids = torch.randint(2, 30, (9, 32))
    mask = torch.tensor([[0] * (20 - p) + [1] * (p + c) + [0] * (12 - c) for p, c in lengths])
    ours, entropies, _ = trainer._get_per_token_logps_and_entropies(trainer.model, ids, mask, 12, compute_entropy=True)
    theirs, theirs_entropies, _ = GRPOTrainer._get_per_token_logps_and_entropies(
        trainer, trainer.model, ids, mask, 12, compute_entropy=True
    )
    real = mask[:, 20:].bool()
    torch.testing.assert_close(ours[real], theirs[real], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(entropies[real], theirs_entropies[real], atol=1e-5, rtol=1e-4)


def test_a_clip_of_ones_own_acts_on_its_rows_only(tmp_path):
    def clipped(clip, rollouts):
        return [replace(r, clip_high=clip if r.prompt.role is Role.SOLVE else None) for r in rollouts]
    def recipe(clip): return sums_recipe(Sometimes(), 8, 2, finish=partial(clipped, clip))
    often = dict(iterations=3, learning_rate=3e-2, steps=2, batch=8)
    runs = [trained(make(tmp_path / str(clip), recipe=recipe(clip), **often)) for clip in (0.2, 1e-4)]
    plain = trained(make(tmp_path / "plain", **often))
    torch.testing.assert_close(
        weights(runs[0]), weights(plain), atol=1e-6, rtol=0
    )  # the trainer's own clip, said row by row
    assert not torch.allclose(weights(runs[1]), weights(plain), atol=1e-5)  # clipping bites from the second update on


def test_a_model_made_in_memory_is_held_to_its_own_start(tmp_path):
    "TRL reads the reference from the place that a model names; this one names none."
    trainer = make(tmp_path, kl=.1, steps=2)
    start = weights(trainer)
    trainer.train()
    kept = torch.cat([p.flatten() for p in trainer.ref_model.parameters()])
    assert torch.equal(kept, start) and not torch.equal(weights(trainer), start)
    kls = [line["kl"] for line in trainer.state.log_history if "kl" in line]
    assert kls[0] == 0 < kls[-1]
    following = trainer.following((3, 3))
    assert torch.equal(torch.cat([p.flatten() for p in following.ref_model.parameters()]), start)


def test_a_kl_weight_of_ones_own_acts_on_its_rows_only(tmp_path):
    def held(weights, rollouts): return [replace(one, kl=weights[one.prompt.role]) for one in rollouts]
    def run(name, kl, propose=None, solve=None):
        weighing = partial(held, {Role.PROPOSE: propose, Role.SOLVE: solve})
        own = dict(recipe=sums_recipe(Sometimes(), 8, 2, finish=weighing), kl=kl)
        return weights(trained(make(tmp_path / name, lora_rank=2, learning_rate=3e-2, steps=3, batch=8, **own)))
    everywhere, nowhere = run("everywhere", 2.0), run("nowhere", 0.0)
    torch.testing.assert_close(run("said", 2.0, 1.0, 1.0), everywhere, atol=1e-6, rtol=0)
    torch.testing.assert_close(run("none", 2.0, 0.0, 0.0), nowhere, atol=1e-5, rtol=0)
    proposals = run("proposals", 2.0, 1.0, 0.0)
    assert not torch.allclose(proposals, everywhere, atol=1e-5) and not torch.allclose(proposals, nowhere, atol=1e-5)


def test_rows_with_a_kl_term_stay_apart_and_count_without_an_advantage():
    done = Rollout(Prompt("sums", Role.SOLVE), Completion("", (5,), (2, 1)), Verdict(Status.OK), advantage=1.0)
    free, held = replace(done, kl=0.0), replace(done, weight=0.0, kl=1.0)
    assert [one.copies for one in rows_of([done, done, free, free], True, kl=.5)] == [2, 1, 1]   # free ones merge
    assert [one.copies for one in rows_of([done, free, free], True)] == [1, 2]
    assert [(one.advantage, one.kl) for one in rows_of([held], True, kl=.5)] == [(0.0, 1.0)]
    assert rows_of([held], True) == rows_of([replace(held, kl=None)], True, kl=.5) == []


def test_a_step_in_which_nothing_can_be_learnt_goes_on(tmp_path):
    class Never(Sums):
        def validate(self, proposals, env): return [Verdict(Status.MALFORMED) for _ in proposals]
    trainer = make(tmp_path, recipe=sums_recipe(Never(), 4, 2, "attempts"), solver_samples="attempts", steps=2)
    before = weights(trainer).clone()
    trainer.train()
    assert trainer.state.global_step == 2 and torch.allclose(before, weights(trainer), atol=1e-3)


def test_frozen_proposer_writes_with_the_first_weights(tmp_path):
    trainer = make(tmp_path, control="frozen_proposer", steps=3, learning_rate=0.1)
    ask = [Prompt("sums", Role.PROPOSE, text="ask 1+1")]
    first = trainer.sampler(ask, GREEDY, "base")
    trainer.train()
    assert trainer.sampler(ask, GREEDY, "base") == first != trainer.sampler(ask, GREEDY)


def test_attempts_differ_and_greedy_does_not():
    model, tokenizer = toy_model(), toy_tokenizer()
    sampler = PolicySampler(generator(model, tokenizer), tokenizer, 40, 12)
    ask = Prompt("sums", Role.SOLVE, text="solve 1+1")
    assert len({c.text for c in sampler([ask] * 16, Sampling())}) > 8
    assert len({c.text for c in sampler([ask] * 16, GREEDY)}) == 1


def test_completions_come_back_in_order_whatever_the_chunks():
    model, tokenizer = toy_model(), toy_tokenizer()
    asks = [Prompt("sums", Role.SOLVE, text="solve " + "1+" * n + "1") for n in (5, 1, 9, 2)]
    wide, narrow = (
        PolicySampler(generator(model, tokenizer), tokenizer, 40, 12, size)(asks, GREEDY) for size in (10_000, 1)
    )
    assert wide == narrow and [len(c.prompt_ids) for c in wide] == [17, 9, 25, 11]


def test_only_what_is_trained_on_becomes_a_row():
    ask = Prompt("sums", Role.SOLVE, text="?")
    done = Rollout(ask, Completion("", (5,), (6, 1)), Verdict(Status.OK), advantage=1.0)
    assert [one.copies for one in rows_of([done, replace(done, weight=0.0), done], True)] == [2]
    assert [one.copies for one in rows_of([done, replace(done, weight=0.0), done], False)] == [1, 1]


@pytest.mark.parametrize("ranks, parts", [(1, 1), (1, 3), (2, 1), (3, 5)])
def test_there_is_room_for_the_largest_phase_whatever_the_numbers(ranks, parts):
    recipe = sums_recipe(batch=7, attempts=3)
    phases = [Phase(proposals=7, attempts=3), Phase("solver", proposals=0, solves=5, tries=9, train=(Role.SOLVE,))]
    room = room_for(phases, recipe, ranks, parts)
    assert room % (2 * parts) == 0 and ranks * room >= 45 and room < 45 / ranks + 9 + 2 * parts + 1


def test_the_seams_of_trl_are_where_we_left_them():
    "Fails when a new TRL moves what we override: read its change log before changing this."
    def arguments(name): return list(inspect.signature(getattr(GRPOTrainer, name)).parameters)
    assert arguments("_generate_and_score_completions") == ["self", "inputs"]
    assert arguments("_generate_single_turn") == [
        "self",
        "prompt_ids",
        "images",
        "multimodal_fields",
        "num_generations",
        "has_tool_images",
    ]
    assert arguments("_get_per_token_logps_and_entropies")[:8] == [
        "self",
        "model",
        "input_ids",
        "attention_mask",
        "logits_to_keep",
        "batch_size",
        "compute_entropy",
        "compute_aux_loss",
    ]
    assert (
        arguments("_compute_loss") == ["self", "model", "inputs"]
        and "rollout_func" in inspect.signature(GRPOTrainer.__init__).parameters
    )


def settings_read(source: str) -> set[str]:
    "Names that a module reads of anything called settings."
    found = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)]
    def is_settings(one): return getattr(one, "id", None) == "settings" or getattr(one, "attr", None) == "settings"
    return {node.attr for node in found if is_settings(node.value)}


def test_what_a_module_reads_of_its_settings_is_found():
    assert settings_read("settings.kl + self.settings.batch + trainer.settings.steps.real") == {"kl", "batch", "steps"}


@pytest.mark.parametrize("module", ["models", "sampler", "rows", "checkpoints", "trainer"])
def test_training_reads_no_field_of_a_system(module):
    known = {field.name for owner in (Training, Watching) for field in fields(owner)}
    read = settings_read(inspect.getsource(importlib.import_module(f"azr.{module}")))
    assert read <= known, f"{sorted(read - known)} belong to a system: its recipe has to say them"
    assert read or module in ("sampler", "rows", "checkpoints")


def test_a_trainer_takes_the_weights_of_a_checkpoint_and_nothing_else(tmp_path):
    trainer, other = trained(make(tmp_path / "run")), make(tmp_path / "other")
    other.take_weights(last_checkpoint(tmp_path / "run"))
    assert torch.equal(weights(trainer), weights(other)) and (other.done, other.number) == (0, 1)


def test_an_overlong_prompt_is_refused_by_name():
    sampler = PolicySampler(generator(toy_model(), toy_tokenizer()), toy_tokenizer(), 10, 12)
    with pytest.raises(ValueError, match="solve/sums prompt has 17 tokens, over the limit of 10.*max_prompt_tokens"):
        sampler([Prompt("sums", Role.SOLVE, text="solve 1+1+1+1+1+1")])


def test_an_unknown_model_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="model .*nowhere.* cannot be loaded: there is no such folder"):
        load_policy(str(tmp_path / "nowhere"))


def test_a_tokenizer_without_padding_is_refused_with_the_remedy(tmp_path):
    toy_tokenizer(pad_token=None).save_pretrained(tmp_path)
    toy_model().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="no padding token.*pad_token='<end>'"): load_policy(str(tmp_path))
    assert load_policy(str(tmp_path), pad_token="<end>")[1].pad_token_id == 1


@pytest.mark.parametrize(
    "field, value",
    [
        ("batch", 0),
        ("attempts", 0),
        ("style", "sonnet"),
        ("task_types", ("deduktion",)),
        ("control", "placebo"),
        ("temperature", 0.0),
        ("rewards", "generous"),
        ("advantage", "ppo"),
        ("references", -1),
        ("held_out_share", 5),
        ("task_types", ("error",)),
    ],
)
def test_a_bad_setting_is_refused_by_name_and_value(field, value):
    shown = value[0] if isinstance(value, tuple) else value
    with pytest.raises(ValueError, match=str(shown)): Config(**{field: value})


def test_nobody_is_asked_for_divisors(tmp_path):
    trainer = make(tmp_path, micro_batches=3, batch=5, steps=1)
    trainer.train()
    assert trainer.state.global_step == 1


@pytest.mark.parametrize(
    "field, value, said",
    [
        ("batch", "ten", "batch is 'ten': give a whole number"),
        ("batch", 4.0, "batch is 4.0: give a whole number"),
        ("learning_rate", "x", "learning_rate is 'x': give a number"),
        ("gradient_checkpointing", 1, "give true or false"),
        ("timeout", 0, "timeout is 0: give more than 0"),
        ("timeout", float("nan"), "timeout is nan"),
        ("learning_rate", -1.0, "learning_rate is -1.0"),
        ("task_types", "deduction", "task_types is 'deduction': give a list"),
        ("keep_checkpoints", -1, "keep_checkpoints is -1"),
        ("quantization", "nf4", "give a lora_rank"),
        ("report_to", ("mlflow",), "report_to names 'mlflow'"),
        ("advantage", "grpo", "its group has one member"),
    ],
)
def test_a_setting_of_the_wrong_kind_is_refused_with_the_remedy(field, value, said):
    with pytest.raises(ValueError, match=said): Config(**{field: value})


def test_a_missing_package_is_named_with_its_line(tmp_path, monkeypatch):
    toy_tokenizer().save_pretrained(tmp_path)
    toy_model().save_pretrained(tmp_path)
    monkeypatch.setattr("azr.models.importlib.util.find_spec", always(None))
    with pytest.raises(ValueError, match="needs the package bitsandbytes: pip install bitsandbytes"):
        load_policy(str(tmp_path), quantization="nf4")
    with pytest.raises(ValueError, match="needs the package trackio: pip install trackio"):
        make(tmp_path / "run", report_to=("trackio",))


def test_chat_style_needs_a_chat_template(tmp_path):
    class Talks(Sometimes):
        def solve_prompt(self, task):
            words = ({"role": "user", "content": task.given["sum"]},)
            return Prompt(self.name, Role.SOLVE, messages=words, task_id=task.id)
    with pytest.raises(ValueError, match="has no chat template"): make(tmp_path, recipe=sums_recipe(Talks(), 4, 2))


@pytest.mark.parametrize("keep", [0, 1, 3])
def test_the_newest_checkpoints_stay(tmp_path, keep):
    make(tmp_path, save_every=1, keep_checkpoints=keep).train()
    assert (
        [p.name for p in whole_checkpoints(tmp_path)]
        == [f"checkpoint-{n}" for n in (1, 2, 3, 4)][-max(1, keep):]
        == sorted(p.name for p in tmp_path.glob("checkpoint-*"))
    )


def test_a_lora_run_opens_with_peft_and_merges_to_the_same_logits(tmp_path):
    toy_model().save_pretrained(tmp_path / "base")
    trainer = trained(make(tmp_path / "run", lora_rank=2, learning_rate=0.05))
    trainer.model.peft_config["default"].base_model_name_or_path = str(tmp_path / "base")
    trainer.save_model(str(tmp_path / "model"))
    trainer.processing_class.save_pretrained(str(tmp_path / "model"))
    merge_adapter(tmp_path / "model", tmp_path / "merged")
    ids = torch.arange(2, 20)[None]
    adapted = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(tmp_path / "base"), tmp_path / "model")(
        ids
    ).logits
    torch.testing.assert_close(
        adapted, AutoModelForCausalLM.from_pretrained(tmp_path / "merged")(ids).logits, atol=1e-4, rtol=1e-4
    )
    assert (adapted - toy_model()(ids).logits).abs().max() > 1e-3   # the adapter says something
    assert AutoTokenizer.from_pretrained(tmp_path / "merged").eos_token == "<end>"


@pytest.mark.parametrize("where", ["model.safetensors", "optimizer.pt"])
def test_what_safetensors_and_torch_say_of_a_full_disk_is_one_sentence_too(tmp_path, monkeypatch, where):
    run, save = make(tmp_path / "run"), GRPOTrainer._save_checkpoint
    def full(self, *how):
        if self.state.global_step < 4: return save(self, *how)
        soft, hard = resource.getrlimit(
            resource.RLIMIT_FSIZE
        )  # no file may grow further: the writers' own errors, as on a full disk
        resource.setrlimit(
            resource.RLIMIT_FSIZE, ((tmp_path / "run" / "checkpoint-2" / where).stat().st_size - 1, hard)
        )
        try:
            return save(self, *how)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    monkeypatch.setattr(GRPOTrainer, "_save_checkpoint", full)
    with pytest.raises(
        ValueError, match="checkpoint-4 could not be written .*what was saved before is whole, so make room"
    ):
        run.train()
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["checkpoint-2"]


@pytest.mark.parametrize("where", ["model", "buffers"])
def test_a_full_disk_leaves_the_checkpoint_before_it_whole(tmp_path, monkeypatch, where):
    whole = trained(make(tmp_path / "whole"))
    run = make(tmp_path / "run")
    owner, name = (
        (SelfPlayTrainer, "_save_optimizer_and_scheduler") if where == "model" else (type(run.selfplay.buffers), "save")
    )
    original = getattr(owner, name)
    def full(self, path):
        if "checkpoint-4" in str(path): raise OSError(28, "No space left on device")
        return original(self, path)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, full)
        with pytest.raises(ValueError, match="checkpoint-4 could not be written.*No space left on device.*make room"):
            run.train()
    assert [p.name for p in (tmp_path / "run").iterdir()] == ["checkpoint-2"]
    again = make(tmp_path / "run")
    again.resume(tmp_path / "run" / "checkpoint-2")
    again.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-2"))
    assert torch.equal(weights(whole), weights(again)) and last_checkpoint(tmp_path / "run").name == "checkpoint-4"
