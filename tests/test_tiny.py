"""What the page leaves out: the committed weights are what the page says, and pre-training resumes.

Nothing that is held out is trained on."""

import hashlib, json, re, signal, subprocess, sys
from collections import Counter
from random import Random

import pytest
import torch
from hypothesis import given, settings, strategies as st
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from safetensors import safe_open

from azr.executor import Call, Executor
from azr.prompts import SPECIAL_TOKENS, solve_prompt
from azr.tasks import _ZERO_PROGRAM
from azr.grammar import INPUTS, SPLITS, as_task, error_task, _generate_program, generate_sample, held_out_tasks
from azr.safety import ProgramStatus
from azr.tiny import (
    _MIX, TINY, WEIGHTS, _Corpus, Stage, _Training, _answer_of, build, _first_fit, _generate_example, load_tiny, _main,
    _mistake, _pack, new_model, new_tokenizer)
from azr.values import bucket
from conftest import ROOT

RECORD = ROOT / "data" / "tiny" / "record.json"
# of all ids: other Python versions and machines must draw the same tasks
HELD_OUT = {"validation": "cdd65e8e0c841f0a", "test": "590beafe9b50cc12", "distinct": "00471361ffcab6b1",
            "shifted": "e92de86dee817d5c"}

@pytest.fixture(scope="module")
def tiny(): return load_tiny()

@pytest.fixture(scope="module")
def tokenizer(): return new_tokenizer()

# ---- the weights

@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_are_small_and_load_plainly(name):
    with safe_open(WEIGHTS[name] / "model.safetensors", "pt") as file:
        assert {str(file.get_tensor(key).dtype) for key in file.keys()} == {"torch.bfloat16"}
    model = AutoModelForCausalLM.from_pretrained(WEIGHTS[name])
    assert model.config.model_type == "qwen2" and sum(p.numel() for p in model.parameters()) < 200_000
    assert all(p.dtype == torch.float32 for p in load_tiny(name)[0].parameters())

def test_all_weights_together():
    assert sum(file.stat().st_size for file in TINY.parent.rglob("*") if file.is_file()) < 2e6

@pytest.mark.parametrize("name", WEIGHTS)
def test_committed_tokenizer_is_the_page_s(name, tokenizer):
    loaded, rng = AutoTokenizer.from_pretrained(WEIGHTS[name]), Random(1)
    examples = [_generate_example(rng, _Corpus(.5, .5)) for _ in range(300)]
    texts = [e.prompt + e.response + "<end>" for e in examples] + ["Hello world", "é, 漢字\t", ""]
    assert loaded(texts)["input_ids"] == tokenizer(texts)["input_ids"]
    assert (loaded.pad_token, loaded.eos_token, loaded.padding_side, loaded.model_max_length,
            loaded.clean_up_tokenization_spaces) == ("<pad>", "<end>", "left", 256, False)
    assert len(loaded) == len(tokenizer) == AutoModelForCausalLM.from_pretrained(WEIGHTS[name]).config.vocab_size

def test_record_is_of_these_weights():
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    for name, folder in WEIGHTS.items():
        assert (
            record["models"][name]["sha256"] == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        ), "run nbs/runs/tiny.ipynb again"
    base, clean = (record["models"][name]["scores"] for name in ("tiny", "tiny_clean"))
    assert base["test/accuracy"] >= 0.20 and clean["test/accuracy"] > base["test/accuracy"]
    assert 0.55 < base["proposer/valid_rate"] < 0.80

def test_base_answers_as_recorded(tiny):
    model, tok = tiny
    tasks = held_out_tasks("validation", 120, ("deduction",))
    batch = tok([solve_prompt(task, "terse").text for task in tasks], padding=True, return_tensors="pt")
    out = model.generate(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], do_sample=False, max_new_tokens=24
    )
    right = sum(
        text == task.hidden["output"]
        for text, task in zip(tok.batch_decode(out[:, batch["input_ids"].size(1) :], skip_special_tokens=True), tasks)
    )
    recorded = json.loads(RECORD.read_text(encoding="utf-8"))["models"]["tiny"]["scores"][
        "validation/deduction/accuracy"]
    assert abs(right / len(tasks) - recorded) < .15  # the first 120 of 500

def test_unknown_model_is_named():
    with pytest.raises(ValueError, match="no embedded model 'huge': there are tiny, tiny_clean"): load_tiny("huge")

# ---- the tokenizer

def test_markers_are_single_tokens(tokenizer):
    for marker in SPECIAL_TOKENS:
        assert tokenizer.convert_tokens_to_ids(marker) == tokenizer(marker)["input_ids"][0]
        assert len(tokenizer(marker)["input_ids"]) == 1
    assert tokenizer.pad_token_id == 0 and tokenizer.eos_token_id == 1

@given(st.integers(0, 10**6), st.sampled_from([1, 3, 5]))
@settings(max_examples=100)
def test_programs_come_back(seed, depth):
    source, tok = _generate_program(Random(seed), depth).source, _TOKENIZER
    assert tok.decode(tok(source)["input_ids"]) == source

@given(st.text(max_size=60))
def test_any_text_comes_back(text):
    assert _TOKENIZER.decode(_TOKENIZER(text)["input_ids"]) == text

_TOKENIZER = new_tokenizer()

def test_digits_and_letters_stay_single(tokenizer):
    tokens = [tokenizer.decode([i]) for i in tokenizer("f([12, 345]) 'ABBA' -10")["input_ids"]]
    assert all(len(token) == 1 for token in tokens if re.search("[0-9A-E]", token))

# ---- programs and facts

def test_sources_are_as_ast_writes_them():
    import ast
    for seed in range(300):
        source = _generate_program(Random(seed)).source
        assert ast.unparse(ast.parse(source)) == source

def test_runs_agree_with_the_executor():
    rng = Random(5)
    samples = [generate_sample(rng, depth=1 + n % 5) for n in range(400)]
    errors = [error_task(rng) for _ in range(200)]
    with Executor(workers=2) as executor:
        outcomes = executor.run([Call(s.program.source, repr(s.values[0])) for s in samples])
        raised = executor.run([Call(task.given["program"], task.given["input"]) for task in errors])
    assert [o.value for o in outcomes] == [repr(s.results[0]) for s in samples]
    assert [o.error.split(":")[0] if o.status is ProgramStatus.RAISED else "NoError" for o in raised] == [
        task.hidden["error"] for task in errors]

# ---- what is held out

@pytest.mark.parametrize("split", HELD_OUT)
def test_held_out_tasks(split):
    tasks = held_out_tasks(split)
    assert Counter(task.task_type for task in tasks) == {"deduction": 500, "abduction": 500, "induction": 500}
    assert len({task.id for task in tasks}) == 1500
    programs = [task.given.get("program") or task.hidden["program"] for task in tasks]
    assert {bucket(program) for program in set(programs)} <= set(SPLITS[split]) and (len(set(programs)) == 500) == (
        split == "distinct")
    assert hashlib.sha256("".join(task.id for task in tasks).encode()).hexdigest()[:16] == HELD_OUT[split]
    assert held_out_tasks(split, 7, ("abduction",)) == [task for task in tasks if task.task_type == "abduction"][:7]

def test_shifted_programs_are_longer():
    lines = [task.given["program"].count("\n") for task in held_out_tasks("shifted", 100, ("deduction",))]
    assert min(lines) >= 4

def test_unknown_split_is_named():
    for split in ("train", "exam"):
        with pytest.raises(
            ValueError, match=f"no held-out set '{split}': there are validation, test, distinct, shifted"
        ):
            held_out_tasks(split)

def test_no_text_of_the_corpus_holds_a_held_out_program():
    "Wrong answers included; a broken program cannot be one, because nothing held out raises or fails to parse."
    rng, checked = Random(9), 0
    for _ in range(1500):
        example = _generate_example(rng, _Corpus(wrong=.5))
        for program in re.findall(r"def f\(x\):\n.*?(?=<|$)", example.prompt + "<" + example.response, re.S):
            if program == _ZERO_PROGRAM: continue
            assert bucket(program) >= 10, program
            checked += 1
    assert checked > 1500

# ---- the corpus

def test_the_mix():
    rng = Random(3)
    marks = Counter(re.match("<[a-z]+>", _generate_example(rng, _Corpus()).prompt)[0] for _ in range(3000))
    assert sum(_MIX.values()) == pytest.approx(1) and set(marks) == set(SPECIAL_TOKENS[2:10])
    assert marks["<ded>"] == pytest.approx(3000 * .40, rel=.15) and marks["<pind>"] == pytest.approx(3000 * .04, rel=.4)

def test_proposals_are_learned_with_and_without_references():
    rng = Random(4)
    prompts = [
        e.prompt for e in (_generate_example(rng, _Corpus()) for _ in range(3000)) if e.prompt.startswith("<pded>")]
    assert {"<pded><prog>", f"<pded>{_ZERO_PROGRAM}<in>'Hello world'<prog>"} < set(prompts) and max(
        p.count("<prog>") for p in prompts) == 1

@pytest.mark.parametrize("kind, least", [("deduction", .6), ("abduction", .5), ("induction", .8)])
def test_mistakes_are_mostly_mistakes(kind, least):
    rng = Random(6)
    samples = [generate_sample(rng, inputs=INPUTS) for _ in range(200)]
    assert sum(_mistake(kind, s, rng) != _answer_of(as_task(kind, s)) for s in samples) > least * len(samples)

def test_error_tasks_are_balanced():
    rng = Random(7)
    kinds = Counter(error_task(rng).hidden["error"] for _ in range(400))
    assert 150 < kinds["NoError"] < 250 and len(kinds) >= 5

# ---- pre-training

@given(st.lists(st.integers(1, 50), min_size=1, max_size=40))
def test_first_fit_loses_nothing(lengths):
    rows = _first_fit(lengths, 50)
    assert sorted(i for row in rows for i in row) == list(range(len(lengths))) and all(
        sum(lengths[i] for i in row) <= 50 for row in rows)

def test_examples_fit_the_context(tokenizer):
    rng = Random(8)
    batch = _pack([_generate_example(rng, _Corpus(.5, .5)) for _ in range(500)], tokenizer)
    assert batch.ids.size(1) <= 208 and batch.positions.max() < 160

def test_a_toy_build_resumes_to_the_same_weights(tmp_path, tokenizer):
    phases = (Stage("clean", 10, 3e-3), Stage("weak", 10, 1e-3, _Corpus(.5, .5)))
    whole = build(tmp_path / "whole", phases=phases, progress=False)
    part = tmp_path / "part"
    part.mkdir()
    for number, (phase, steps) in enumerate(zip(phases, (10, 4))):
        training = _Training(new_model(tokenizer), tokenizer, phase, before=phases[:number])
        if phase.name == "weak":
            training.model.load_state_dict(torch.load(part / "clean.pt", weights_only=True)["model"])
        for _ in range(steps): training.step()
        training.save(part / f"{phase.name}.pt", seed=0)
    assert (build(part, phases=phases, progress=False) / "model.safetensors").read_bytes() == (
        whole / "model.safetensors").read_bytes()
    model, tok = AutoModelForCausalLM.from_pretrained(whole), AutoTokenizer.from_pretrained(whole)
    assert model.dtype == torch.bfloat16 and len(tok) == len(tokenizer)

def test_a_checkpoint_of_other_settings_is_refused(tmp_path, tokenizer):
    build(tmp_path, phases=(Stage("a", 1, 1e-3),), progress=False)
    with pytest.raises(ValueError, match="a.pt is a checkpoint of other settings: remove it"):
        build(tmp_path, phases=(Stage("a", 2, 1e-3),), progress=False)

def test_a_phase_on_another_base_is_refused(tmp_path):
    build(tmp_path, phases=(Stage("a", 1, 1e-3), Stage("b", 1, 1e-3)), progress=False)
    (tmp_path / "a.pt").unlink()
    with pytest.raises(ValueError, match="b.pt is a checkpoint of other settings: remove it"):
        build(tmp_path, phases=(Stage("a", 2, 1e-3), Stage("b", 1, 1e-3)), progress=False)

def test_the_command_can_be_interrupted(tmp_path):
    command = [sys.executable, "-m", "azr.tiny", "--output", str(tmp_path), "--tiny-clean-steps", "100000"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while "it/s" not in process.stderr.read(40): assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert "the same command goes on" in process.communicate(timeout=30)[1] and process.returncode == 130

def test_the_command_refuses_no_steps(capsys):
    with pytest.raises(SystemExit): _main(["--tiny-steps", "0"])
    assert "every phase needs at least 1 step" in capsys.readouterr().err


def test_another_width_is_another_model_and_its_checkpoint_is_not_taken_for_the_embedded_ones(tmp_path, tokenizer):
    phases = (Stage("a", 1, 1e-3),)
    assert AutoConfig.from_pretrained(build(tmp_path, phases=phases, width=16, progress=False)).hidden_size == 16
    with pytest.raises(ValueError, match="a.pt is a checkpoint of other settings"):
        build(tmp_path, phases=phases, progress=False)
    for width in (0, 7, 36):
        with pytest.raises(ValueError, match=f"width is {width}: give a multiple of 8"):
            new_model(tokenizer, width=width)


def test_a_bad_width_is_one_sentence_on_the_command_line(capsys, tmp_path):
    with pytest.raises(SystemExit): _main(["--output", str(tmp_path), "--width", "50"])
    assert "width is 50: give a multiple of 8" in capsys.readouterr().err
