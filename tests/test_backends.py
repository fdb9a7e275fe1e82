"""Who writes the completions, what the trackers get, and the warnings.

Each is tested where a GPU, a server or an account would be."""

import json
import re
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM
from test_trainer import make, weights
from conftest import always
from toy import SMALL, toy_model, toy_tokenizer

from azr.core import Completion, Prompt, Role, Rollout, Status, Verdict
from azr.plan import from_config, _state_bytes
from azr.run import _push, train
from azr.settings import config
from azr.tasks import TRIVIAL
from azr.watch import (_Alarm, _COLLAPSES, _RISES, Watch, collapses, _rollout_table, _rollout_text,
                       warning_line)
from azr.sampling import Sampling
from azr.selfplay import Step
from azr.azr import Config
from azr.models import check_packages, load_policy, merge_adapter
from azr.sampler import generator
from azr.trainer import SelfPlayTrainer, _backend_arguments, _untouched, changed

DATA = Path(__file__).parents[1] / "data"
IDS = [[2, 3, 4], [5, 6], [7, 8, 9, 10]]


class FakeVLLM:
    """TRL's `VLLMGeneration` as far as the trainer sees it: one set of weights and attributes that a call reads.

    It writes as transformers does, and says what it was asked."""
    def __init__(self, model, processing_class, **settings):
        self.model, self.tokenizer, self.settings, self.synced, self.asked = model, processing_class, settings, 0, []
        self.vllm_client = SimpleNamespace(
            get_server_info=always({"model_config": {"logprobs_mode": "processed_logprobs"}})
        )
        self.temperature, self.top_p, self.max_completion_length = (
            settings["temperature"],
            settings["top_p"],
            settings["max_completion_length"],
        )
        self.generation_kwargs = settings["generation_kwargs"] or {}

    def sync_weights(self): self.synced += 1

    def generate(self, prompts, images, num_generations, profiler):
        self.asked.append((len(prompts), self.temperature, self.top_p, self.max_completion_length, num_generations))
        self.told = self.generation_kwargs
        written, _ = generator(self.model, self.tokenizer)(
            prompts, Sampling(self.temperature, self.top_p, self.max_completion_length), "default"
        )
        return prompts, written, [[[-0.5] for _ in tokens] for tokens in written], None


@pytest.fixture
def vllm(monkeypatch):
    "As if vLLM and a GPU were there."
    monkeypatch.setattr("azr.trainer.check_packages", always(None))
    monkeypatch.setattr("trl.trainer.grpo_trainer.VLLMGeneration", FakeVLLM)


@pytest.mark.parametrize("backend", ["vllm_colocate", "vllm_server"])
def test_a_vllm_backend_is_trls_own_and_gets_our_sampling(tmp_path, vllm, backend):
    trainer = make(tmp_path, backend=backend, vllm_server="http://there:9", vllm_memory=0.4, max_completion_tokens=8)
    fake = trainer.vllm_generation
    wanted = (
        {"mode": "server", "server_base_url": "http://there:9"}
        if backend == "vllm_server"
        else {
            "mode": "colocate",
            "gpu_memory_utilization": 0.4,
            "max_model_length": trainer.settings.max_prompt_tokens + 8,
        }
    )
    assert {k: fake.settings[k] for k in wanted} == wanted
    before = fake.temperature, fake.top_p, fake.max_completion_length
    written, logprobs = trainer._write(IDS, Sampling(0.0, max_tokens=3), "default")
    assert fake.asked == [(3, 0.0, 1.0, 3, 1)] and (fake.temperature, fake.top_p, fake.max_completion_length) == before
    assert written == generator(trainer.model, trainer.processing_class)(IDS, Sampling(0.0, max_tokens=3), "default")[
        0
    ] and logprobs == [[-0.5] * len(w) for w in written]


def test_training_through_vllm_sends_the_weights_once_a_step_and_the_logprobs_on(tmp_path, vllm):
    trainer = make(tmp_path, backend="vllm_colocate", steps=3)
    before, seen = weights(trainer), []
    play = trainer.rollout_func
    def seen_play(prompts, one):
        seen.append(play(prompts, one))
        return seen[-1]
    trainer.rollout_func = seen_play
    trainer.train()
    assert (
        not torch.equal(before, weights(trainer)) and trainer.vllm_generation.synced == 3
    )  # before each step's first completion
    assert all(
        len(lp) == len(ids) and all(v in (0.0, -0.5) for v in lp)
        for one in seen
        for lp, ids in zip(one["logprobs"], one["completion_ids"], strict=True)
    )
    assert any(-0.5 in lp for one in seen for lp in one["logprobs"])
    assert any("sampling/" in k for record in trainer.state.log_history for k in record)   # TRL's correction saw them


def test_a_base_policy_beside_vllm_is_written_by_transformers_or_refused(tmp_path, vllm):
    trainer = make(tmp_path, backend="vllm_colocate", control="frozen_proposer")
    assert (
        trainer._write(IDS, Sampling(0.0, max_tokens=3), "base")[0]
        == generator(trainer.frozen, trainer.processing_class)(IDS, Sampling(0.0, max_tokens=3), "base")[0]
    )
    assert trainer.vllm_generation.asked == []
    with pytest.raises(ValueError, match="vLLM holds one set of weights"):
        Config(backend="vllm_server", control="frozen_proposer", lora_rank=4)


def test_a_backend_without_its_package_or_gpu_is_refused_before_the_model_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr("azr.run.load_policy", lambda *_: pytest.fail("loaded"))
    with pytest.raises(ValueError, match="backend 'vllm_colocate' needs the package vllm: pip install vllm"):
        train(config("demo", backend="vllm_colocate"), tmp_path / "run")
    monkeypatch.setattr("azr.models.importlib.util.find_spec", always(None))
    for changes, package in (
        ({"report_to": ["wandb"]}, "wandb"),
        ({"quantization": "nf4", "lora_rank": 4}, "bitsandbytes"),
    ):
        with pytest.raises(ValueError, match=f"needs the package {package}: pip install {package}"):
            train(config("demo", **changes), tmp_path / "run")
    monkeypatch.setattr("azr.models.importlib.util.find_spec", always(True))
    monkeypatch.setattr("azr.models.torch.cuda.is_available", always(False))
    for backend in ("vllm_server", "paged"):
        with pytest.raises(ValueError, match=f"backend is '{backend}' and this machine has no GPU"):
            train(config("demo", backend=backend), tmp_path / "run")
    with pytest.raises(ValueError, match="backend is 'turbo': choose one of transformers, paged"):
        Config(backend="turbo")
    with pytest.raises(ValueError, match="vllm_memory is 1.5"): Config(vllm_memory=1.5)
    assert not (tmp_path / "run").exists()


def test_every_backend_is_a_field_that_trl_has():
    from trl import GRPOConfig
    for backend in ("transformers", "paged", "vllm_colocate", "vllm_server"):
        assert set(_backend_arguments(Config(backend=backend))) <= {*GRPOConfig.__dataclass_fields__}


class Paged:
    "`generate_batch` as transformers' continuous batching answers it, without an engine."
    def __init__(self, model, lost=0): self.model, self.lost, self.kinds = model, lost, []
    def __call__(self, ids, generation_config, continuous_batching_config, progress_bar):
        self.kinds.append({p.dtype for p in self.model.parameters()})
        return {str(i): SimpleNamespace(generated_tokens=[2, 1]) for i in range(len(ids) - self.lost)}


def test_paged_generation_leaves_the_float32_weights_as_they_were(tmp_path, monkeypatch):
    with monkeypatch.context() as gpu:
        gpu.setattr("azr.models.torch.cuda.is_available", always(True))
        check_packages(Config(backend="paged"))
    monkeypatch.setattr("azr.trainer.check_packages", always(None))
    trainer = make(tmp_path, backend="paged")
    before, kinds, paged = weights(trainer), [b.dtype for b in trainer.model.buffers()], Paged(trainer.model)
    monkeypatch.setattr(trainer.model, "generate_batch", paged, raising=False)
    trainer.args.bf16 = True   # as on a GPU: TRL casts the model in place
    assert trainer._write(IDS, Sampling(max_tokens=3), "default") == ([[2, 1]] * 3, None) and paged.kinds == [
        {torch.bfloat16}
    ]
    assert (
        torch.equal(before, weights(trainer))
        and weights(trainer).dtype is torch.float32
        and kinds == [b.dtype for b in trainer.model.buffers()]
    )
    paged.lost = 1
    with pytest.raises(RuntimeError, match="backend 'paged' answered 2 of 3 prompts"):
        trainer._write(IDS, Sampling(max_tokens=3), "default")
    assert torch.equal(before, weights(trainer))


def test_changed_and_untouched_put_back_after_an_error():
    thing, model = SimpleNamespace(a=1), toy_model()
    with pytest.raises(KeyError), changed(thing, a=2), _untouched(model):
        assert thing.a == 2
        model.to(torch.bfloat16)
        raise KeyError
    assert thing.a == 1 and {p.dtype for p in model.parameters()} == {torch.float32}


def test_every_recorded_demo_run_is_healthy():
    for path in sorted((DATA / "demo").glob("demo*.json")):
        records = json.loads(path.read_text())["metrics"]
        assert collapses(records, steps=12) == [], path.name  # every tenth step is kept: windows of three are of thirty


def test_the_recorded_collapse_is_noticed_once_and_early():
    records = json.loads((DATA / "collapse" / "learning_rate.json").read_text())["metrics"]
    found = {one["measure"]: one for one in collapses(records)}
    assert set(found) == {"valid_rate", "entropy"} and len(collapses(records)) == 2
    assert 10 < found["valid_rate"]["step"] < 15 and found["valid_rate"]["value"] < 0.5 * found["valid_rate"]["start"]
    line = warning_line(found["valid_rate"])
    assert (
        line.startswith(f"warning, step {found['valid_rate']['step']}: valid_rate fell to")
        and "learning_rate" in line
        and "proposer_weight" in line
    )


@pytest.mark.parametrize(
    "measure, setting",
    [("unique_rate", "duplicate_reward"), ("new_rate", "references"), ("valid_rate", "learning_rate")],
)
def test_each_fall_names_its_settings(measure, setting):
    records = [{"step": n, f"propose/deduction/{measure}": 0.9 if n <= 20 else 0.1} for n in range(1, 60)]
    one, = collapses(records)
    assert one["measure"] == measure and 20 < one["step"] < 30 and setting in one["settings"]
    assert collapses([r | {f"propose/deduction/{measure}": 0.6} for r in records]) == [] == collapses(records[:15])


@pytest.mark.parametrize("measure, below", [("constant_rate", (.1, .4)), ("copied_rate", (.1, .4)),
                                            ("renamed_rate", (.3, .4)), ("one_statement_rate", (.1, .5))])
def test_trivial_proposals_warn_when_they_rise(measure, below):
    def run(first, last):
        return [{"step": n, f"propose/deduction/{measure}": first if n <= 10 else last} for n in range(1, 60)]
    one, = collapses(run(.2, .8))
    assert 10 < one["step"] < 20 and one["measure"] == measure and "trivial" in one["settings"]
    times = "twice" if measure == "one_statement_rate" else "1.5 times"
    assert f"{measure} rose to" in warning_line(one) and f"at least {times} the first steps' 0.2" in warning_line(one)
    assert [collapses(run(*shares)) for shares in (below, (.6, .8), (.8, .1), (.85, .9))] == [[]] * 4
    for first in (1.0, .85):   # no room to rise
        full, = collapses(run(first, 1.0))
        said = f"{measure} is {full['value']:.3g}, above 0.9, and was {first:.3g} in the first steps; look at:"
        assert said in warning_line(full)


def test_warnings_name_settings_and_kinds_that_exist():
    names = {field.name for field in fields(Config)}
    for measure, advice in (_COLLAPSES | _RISES).items():
        assert names & set(re.findall(r"[a-z_]+", advice)), measure
    assert set(_RISES) == {f"{kind}_rate" for kind in TRIVIAL}
    for kind in TRIVIAL: assert f"trivial, which refuses or prices {kind}" in _RISES[f"{kind}_rate"]


def recorded(folder, name):
    "What a committed record warns of: measure -> step."
    record = json.loads((DATA / folder / f"{name}.json").read_text())
    return {one["measure"]: one["step"] for one in collapses(record["metrics"], record["params"]["config"]["steps"])}


def test_recorded_runs_of_twelve_steps_warn_of_what_took_over():
    found = {seed: recorded("real", f"self-play-s{seed}") for seed in range(5)}
    assert all(one["one_statement_rate"] == 4 for one in found.values())   # from the start
    assert {seed: one["constant_rate"] for seed, one in found.items() if "constant_rate" in one} == {0: 12, 4: 9}
    assert found[4]["unread_rate"] == 9 and found[1]["entropy"] == 12
    assert "copied_rate" in recorded("real", "frozen-proposer-s4") and not recorded("real", "grammar-proposer-s0")


@pytest.mark.parametrize("steps, window", [(0, 3), (12, 3), (24, 6), (39, 9), (40, 10), (120, 10)])
def test_windows_follow_the_length_of_a_run(steps, window):
    assert _Alarm(steps).window == window
    falls = [{"step": n, "entropy": 2.0 if n <= window else 0.1} for n in range(1, 3 * window)]
    one, = collapses(falls, steps)
    assert window < one["step"] <= 2 * window and not collapses(falls[:window], steps)


def test_a_resumed_run_does_not_warn_again(tmp_path):
    records = [{"step": n, "entropy": 2.0 if n <= 10 else 0.1} for n in range(1, 40)]
    alarm = _Alarm(40)
    assert sum(len(alarm.see(r)) for r in records[:30]) == 1 and not [w for r in records[30:] for w in alarm.see(r)]


def a_step(count=5):
    rollouts = tuple(
        Rollout(
            Prompt("deduction", role, "ask | me\nnow " * 20),
            Completion(f"answer\n{i}" * 30),
            Verdict(Status.OK, 1.0),
            0.5,
            {},
            advantage=float(i),
        )
        for role in (Role.PROPOSE, Role.SOLVE)
        for i in range(count)
    )
    return Step(20, rollouts)


def test_the_table_of_rollouts_takes_slots_in_turn_and_fits_a_line():
    rows = _rollout_table(a_step(), 3)
    assert [(r["role"], r["advantage"]) for r in rows] == [("propose", 0.0), ("solve", 0.0), ("propose", 1.0)] and len(
        rows[0]["prompt"]
    ) == 60
    lines = _rollout_text(rows).split("\n")
    assert (
        len(lines) == 5
        and all(line.count(" | ") == lines[0].count(" | ") for line in lines)
        and max(map(len, lines)) < 260
    )
    assert _rollout_table(a_step(), 0) == [] and _rollout_text([]) == "" and len(_rollout_table(a_step(2), 99)) == 4


@pytest.mark.parametrize("writes", [True, False])
def test_trackers_that_know_tables_get_one(monkeypatch, writes):
    told, said = [], []
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(Table=lambda dataframe: dataframe, log=told.append))
    watch = Watch(
        Config(report_to=("wandb",), rollouts_shown=2),
        SimpleNamespace(writes=writes, append_rollouts=always(None)),
        always({}),
        said.append,
        always(None),
    )
    watch.on_play(a_step())
    watch.show_table()
    if not writes:assert told == []   # of several processes one has its trackers open: a log without them raises
    else: assert list(told[0]["rollouts"]["role"]) == ["propose", "solve"]
    assert said[0].startswith("| step | role |") and "rollouts" not in watch.numbers()


def test_tensorboard_gets_the_held_out_accuracy_the_funnel_and_the_table(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    small = dict(SMALL, task_types=["deduction", "abduction"], rollouts_shown=3)
    said = []
    train(config("demo", report_to=["tensorboard"], **small), tmp_path / "run", say=said.append)
    events = EventAccumulator(str(next((tmp_path / "run" / "checkpoints" / "runs").iterdir())))
    events.Reload()
    scalars, metrics = set(events.Tags()["scalars"]), [
        json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    for name in ("heldout/accuracy", "validation/accuracy", "proposer/valid_rate"):
        assert [(e.step, pytest.approx(e.value, abs=1e-6)) for e in events.Scalars(f"train/{name}")] == [
            (r["step"], r[name]) for r in metrics if name in r
        ], name
    for name in ("propose/deduction/valid_rate", "solve/deduction/accuracy", "propose/abduction/status/ok"):
        assert [e.step for e in events.Scalars(f"train/{name}")] == [r["step"] for r in metrics if name in r], name
    assert {"train/loss", "train/grad_norm"} <= scalars and any("rollouts" in name for name in events.Tags()["tensors"])
    assert sum("| step | role |" in line for line in said) == 2   # the first step and the last


def test_the_final_model_is_pushed_and_a_failing_network_costs_nothing(monkeypatch, tmp_path):
    pushed, said = [], []
    class Hub:
        def create_repo(self, name, exist_ok): return SimpleNamespace(repo_id=f"{name}-there")
        def upload_folder(self, **what): pushed.append(what)
    monkeypatch.setattr("azr.run.HfApi", Hub)
    trainer = SimpleNamespace(
        settings=Config(push_to_hub="me/azr"), args=SimpleNamespace(output_dir=str(tmp_path / "checkpoints"))
    )
    _push(trainer, said.append)
    assert pushed == [
        {"repo_id": "me/azr-there", "folder_path": tmp_path / "model", "ignore_patterns": ["training_args.bin"]}
    ] and said == ["pushed to me/azr"]
    def refuse(self, **what): raise ConnectionError("no network")
    monkeypatch.setattr(Hub, "upload_folder", refuse)
    _push(trainer, said.append)
    assert "could not push to me/azr (no network)" in said[1] and f"hf upload me/azr {tmp_path / 'model'}" in said[1]


def test_qlora_trains_float32_adapters_on_four_bits_and_merges_into_a_plain_model(tmp_path):
    pytest.importorskip("bitsandbytes")
    toy_model().save_pretrained(tmp_path / "base")
    toy_tokenizer().save_pretrained(tmp_path / "base")
    model, tokenizer = load_policy(str(tmp_path / "base"), "bfloat16", "", "nf4")
    made = make(tmp_path / "aside")
    trainer = SelfPlayTrainer(
        model,
        tokenizer,
        made.selfplay,
        replace(made.settings, lora_rank=4, quantization="nf4", learning_rate=0.05, steps=2),
        tmp_path / "run",
    )
    trained = [p for p in trainer.model.parameters() if p.requires_grad]
    before = [p.detach().clone() for p in trained]
    assert {type(m).__name__ for m in trainer.model.modules()} >= {"Linear4bit"} and {p.dtype for p in trained} == {
        torch.float32
    }
    trainer.train()
    assert all(not torch.equal(p, q) for p, q in zip(trained, before, strict=True))
    planned = _state_bytes(trainer.settings, from_config(model.config))
    assert (
        sum(p.nbytes for p in trained) == planned["adapter"]
        and sum(v.nbytes for one in trainer.optimizer.state.values() for k, v in one.items() if k != "step")
        == planned["optimiser"]
    )
    trainer.save_model(str(tmp_path / "model"))
    tokenizer.save_pretrained(str(tmp_path / "model"))
    merge_adapter(tmp_path / "model", tmp_path / "merged")
    assert {p.dtype for p in AutoModelForCausalLM.from_pretrained(tmp_path / "merged").parameters()} == {torch.float32}


def test_memory_that_came_and_went_within_a_step_is_counted():
    said = subprocess.run([sys.executable, "-c", "from azr.watch import usage; before = usage()['memory_mb']\n"
                           "b'x' * (300 << 20); print(usage()['memory_mb'] - before)"],
                          capture_output=True, text=True, check=True).stdout
    assert 250 < float(said) < 400
