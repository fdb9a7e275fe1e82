"What a run computes in: by processor flags and settings alone, recorded, and kept by whoever goes on with it."
import subprocess
import sys

import pytest
import torch
import yaml
from test_trainer import make
from conftest import always
from toy import SMALL

import azr.models
import azr.run
from azr.core import Prompt, Role
from azr.models import _computation, precision
from azr.plan import check_device, memory_line
from azr.run import train
from azr.sampling import GREEDY
from azr.settings import Settings, config

pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="what a processor computes in")
HALF, WHOLE = {"avx512f", "avx512_bf16"}, {"avx2", "avx512f"}


@pytest.fixture
def flags(monkeypatch):
    "Sets the processor's flags."
    def have(found): monkeypatch.setattr(azr.models, "_processor_flags", always(found))
    return have


@pytest.mark.parametrize(
    "found, wanted",
    [(HALF, "bfloat16"), ({"amx_bf16"}, "bfloat16"), (WHOLE, "float32"), ({"amx_tile"}, "float32"), (set(), "float32")],
)
def test_auto_follows_from_the_flags(flags, found, wanted):
    flags(found)
    assert _computation("auto") is getattr(torch, wanted)
    assert precision(Settings()) == {"weights": "float32", "compute": wanted, "generation": wanted}
    assert precision(Settings(lora_rank=4))["weights"] == wanted
    assert precision(Settings(dtype="float32"))["compute"] == "float32"


def test_bfloat16_computes_and_the_trained_weights_stay_float32(tmp_path, flags):
    flags(HALF)
    trainer = make(tmp_path, dtype="auto")
    seen = set()
    trainer.model.lm_head.register_forward_hook(lambda module, given, out: seen.add(out.dtype))
    before = [one.detach().clone() for one in trainer.model.parameters()]
    trainer.train()
    assert seen == {torch.bfloat16}
    assert {p.dtype for p in trainer.model.parameters()} == {torch.float32}
    assert any(not torch.equal(a, b) for a, b in zip(before, trainer.model.parameters()))
    saved = torch.cat([p.flatten() for p in trainer.model.parameters()])
    assert not torch.equal(saved, saved.bfloat16().float())   # not rounded


def test_the_copy_that_writes_is_the_model_after_each_update(tmp_path, flags):
    flags(HALF)
    trainer = make(tmp_path, dtype="auto", steps=2)
    def copied():
        half = trainer._synced()
        assert half is trainer.half
        pairs = list(zip(half.parameters(), trainer.model.parameters(), strict=True))
        assert all(mine.dtype is torch.bfloat16 and torch.equal(mine, theirs.bfloat16()) for mine, theirs in pairs)
        return [mine.clone() for mine, _ in pairs]
    start = copied()
    tables = [b.dtype for b in trainer.half.buffers()]
    assert tables == [b.dtype for b in trainer.model.buffers()]
    trainer.train()
    assert any(not torch.equal(a, b) for a, b in zip(start, copied()))
    untouched = trainer._copied
    trainer._synced()
    assert trainer._copied is untouched   # nothing was copied again
    with torch.no_grad():
        for weight in trainer.model.parameters(): weight.mul_(3)
    copied()
    assert sum(1 for one in trainer.half.parameters()) == len(start)


def test_a_frozen_start_writes_in_bfloat16_too_and_stays(tmp_path, flags):
    flags(HALF)
    trainer = make(tmp_path, dtype="auto", control="frozen_proposer")
    assert {p.dtype for p in trainer.frozen.parameters()} == {torch.bfloat16}
    asked = [Prompt("sums", Role.SOLVE, "1+2=")]
    before = trainer.sampler(asked, GREEDY, "base")[0].text
    assert before == trainer.sampler(asked, GREEDY, "default")[0].text
    with torch.no_grad():
        for weight in trainer.model.parameters(): weight.add_(1)
    assert trainer.sampler(asked, GREEDY, "base")[0].text == before


def test_an_adapter_writes_under_autocast_without_a_copy(tmp_path, flags):
    flags(HALF)
    trainer = make(tmp_path, dtype="auto", lora_rank=2)
    seen = set()
    trainer.model.get_base_model().lm_head.register_forward_hook(lambda module, given, out: seen.add(out.dtype))
    trainer.train()
    assert trainer.half is None and seen == {torch.bfloat16}
    assert {p.dtype for n, p in trainer.model.named_parameters() if p.requires_grad} == {torch.float32}


def test_float32_has_no_copy_and_no_autocast(tmp_path, flags):
    flags(HALF)
    trainer = make(tmp_path, dtype="float32")
    assert trainer.half is None and not trainer.args.bf16


# ---- runs

def small(**changes):
    return config("demo", **{**SMALL, "dtype": "auto", "save_every": 1, "warmup_steps": 0, **changes})


def params(run): return yaml.safe_load((run / "params.yaml").read_text(encoding="utf-8"))
def weights(run): return (run / "model" / "model.safetensors").read_bytes()


def test_a_run_goes_on_in_the_precision_and_threads_that_it_began_with(tmp_path, flags, monkeypatch):
    assert 0 < azr.run._bfloat16_cost(size=64, tries=1) < float("inf")
    monkeypatch.setattr(azr.run, "_bfloat16_cost", always(1.5))
    left = {}
    for own, wanted, other in ((WHOLE, "float32", HALF), (HALF, "bfloat16", WHOLE)):
        alone, moved, said = tmp_path / f"{wanted} alone", tmp_path / f"{wanted} moved", []
        flags(own)
        train(small(), alone, say=said.append)
        assert any("1.5 times as long" in line for line in said) == (wanted == "bfloat16")
        train(small(steps=1), moved, say=list)
        flags(other)   # another machine
        train(small(), moved, say=said.append, threads=2)
        assert "warning: this run began with threads=1 and goes on so, not with 2" in said
        assert torch.get_num_threads() == params(moved)["threads"] == 1
        found = {"weights": "float32", "compute": wanted, "generation": wanted}
        assert params(moved)["precision"] == params(alone)["precision"] == found
        assert params(moved)["config"]["dtype"] == "auto" and weights(moved) == weights(alone)
        left[wanted] = weights(alone)
    assert left["float32"] != left["bfloat16"]


def test_a_run_of_an_older_version_goes_on_in_float32(tmp_path, flags):
    flags(WHOLE)
    run = tmp_path / "run"
    train(small(steps=1), run, say=list)
    old = params(run)
    for name in ("precision", "threads", "loaded"): del old[name]
    (run / "params.yaml").write_text(yaml.safe_dump(old), encoding="utf-8")
    flags(HALF)
    train(small(steps=2), run, say=list)
    assert params(run)["precision"]["compute"] == "float32" and params(run)["threads"] == 1


def test_little_memory_is_said_before_anything_is_loaded(monkeypatch):
    class Memory: available, total = 3.2e9, 8e9
    monkeypatch.setattr("psutil.virtual_memory", always(Memory))
    said = []
    check_device(config("demo", model="me/real"), said.append)
    assert said == [memory_line(config("demo", model="me/real"))] and said[0].startswith("warning: 3.2 GB of this")
    assert memory_line(config("demo")) == ""   # the embedded model needs little
    Memory.available = 4e9
    assert memory_line(config("demo", model="me/real")) == ""


def test_a_known_model_wants_what_is_planned_for_it(monkeypatch):
    class Memory: available, total = 5 * 2**30, 8 * 2**30
    monkeypatch.setattr("psutil.virtual_memory", always(Memory))
    one = config("smollm2-135m")
    said = memory_line(one)
    assert said.startswith("warning: 5.0 GiB of this machine's memory are free, and smollm2-135m-instruct-q4 is ")
    assert " is planned to take 5.7 without executor and exams: " in said
    assert said.endswith("end other programs first, or take a smaller model")
    assert memory_line(one, here=False) == ""   # a GPU holds it
    Memory.total = 5 * 2**30
    assert memory_line(one).endswith("take a smaller model, or a machine with more")
    Memory.available = 6 * 2**30
    assert memory_line(one) == ""


def test_a_line_on_memory_loads_no_torch():
    script = ("import sys\nfrom azr.plan import memory_line\nfrom azr.settings import config\n"
              "memory_line(config('smollm2-135m')), memory_line(config('demo', model='me/real'))\n"
              "print(sorted({'torch', 'transformers'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
