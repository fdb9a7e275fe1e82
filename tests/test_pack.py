"Rows in packs: the mask, and the same log-probabilities, gradients and steps as every row alone."
import random
from dataclasses import replace

import pytest
import torch
from hypothesis import given, strategies as st
from test_trainer import Keeping, make
from toy import toy_model, toy_tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, set_seed

from azr.models import load_policy
from azr.rows import check_packs, follows_masks, pack, packs
from azr.sampler import generator
from azr.sampling import GREEDY, Sampling
from azr.trainer import SelfPlayTrainer, _by_prompt

SIZES = dict(vocab_size=38, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, head_dim=8, max_position_embeddings=128, pad_token_id=0, eos_token_id=1,
             bos_token_id=None, initializer_range=0.3)
PRESETS = ("qwen2", "qwen3", "llama")   # architectures


def tiny(kind, **more):
    "An architecture with few random weights."
    set_seed(0)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **SIZES | more)).eval()


END = 9   # of a prompt, as a template writes it: none begins with another one
rows_drawn = st.lists(
    st.tuples(st.lists(st.integers(0, 2), max_size=5).map(lambda own: [*own, END]),
              st.lists(st.integers(0, 2), max_size=5)),
    min_size=1, max_size=12)


@given(rows_drawn, st.integers(1, 30))
def test_a_token_sees_its_prompt_and_its_own_answer_so_far(rows, limit):
    parts = packs(rows, limit)
    assert sorted(i for part in parts for i in part) == list(range(len(rows)))
    for part in parts:
        whole = [rows[i][0] + rows[i][1] for i in part]
        packed = pack(whole)
        assert len(packed.ids) <= limit or len(part) == 1
        for own, path in zip(whole, packed.places, strict=True):
            assert packed.ids[path].tolist() == own
            assert packed.positions[path].tolist() == list(range(len(own)))
            for i, place in enumerate(path): assert packed.seen[place].nonzero().flatten().tolist() == path[:i + 1]
        # each beginning stands once
        assert len(packed.ids) == len({tuple(own[:n + 1]) for own in whole for n in range(len(own))})


@given(rows_drawn, st.integers(1, 30))
def test_answers_that_fit_stay_beside_their_prompt(rows, limit):
    homes = {}
    for number, part in enumerate(packs(rows, limit)):
        for i in part: homes.setdefault(tuple(rows[i][0]), set()).add(number)
    for prompt, numbers in homes.items():
        own = sorted(completion for asked, completion in rows if tuple(asked) == prompt)
        size = len(pack([[*prompt, *completion] for completion in own]).ids)
        assert len(numbers) == 1 or size > limit


def loss_batch(seed=0, tasks=4, attempts=4, width=9):
    "Prompts that begin alike, several attempts at each, tool tokens; clips, weights and a reference of each row's own."
    rng = random.Random(seed)
    prompts = [[2, 3, 4, *(rng.randrange(2, 38) for _ in range(rng.randrange(1, 12)))] for _ in range(tasks)]
    rows = [(prompt, [rng.randrange(2, 38) for _ in range(rng.randrange(1, width))])
            for prompt in prompts for _ in range(attempts)]
    rows += [(prompts[0], rows[0][1]), ([5, 6], [7]), ([1], [1])]   # twice the same, alone, filler
    before, after = max(len(p) for p, _ in rows), max(len(c) for _, c in rows)
    def left(values, filler): return [filler] * (before - len(values)) + list(values)
    def right(values, filler): return list(values) + [filler] * (after - len(values))
    torch.manual_seed(seed)
    many = len(rows)
    return {
        "prompt_ids": torch.tensor([left(p, 0) for p, _ in rows]),
        "prompt_mask": torch.tensor([left([1] * len(p), 0) for p, _ in rows]),
        "completion_ids": torch.tensor([right(c, 0) for _, c in rows]),
        "completion_mask": torch.tensor([right([1] * len(c), 0) for _, c in rows]),
        "tool_mask": torch.tensor([right([1] + [int(rng.random() < .7) for _ in c[1:]], 0) for _, c in rows]),
        "advantages": torch.randn(many, after),
        "old_per_token_logps": -4 + torch.randn(many, after),
        "ref_per_token_logps": -4 + torch.randn(many, after),
        "clip_high": torch.rand(many, 1),
        "kl": torch.rand(many, 1),
        "num_items_in_batch": torch.tensor(50.0),
    }


def losing(folder, model, **changes):
    model.config._name_or_path = str(folder / "start")   # TRL's reference
    model.save_pretrained(folder / "start")
    trainer = make(folder, lambda _, *rest: SelfPlayTrainer(model, *rest), kl=.1, entropy_coefficient=.01, **changes)
    trainer.current_gradient_accumulation_steps = 1   # as train() would set it
    trainer.model.train()
    return trainer


def gradients(trainer, batch):
    "Loss, log-probabilities, entropies, and the gradient of TRL's loss."
    ids, mask = (torch.cat([batch["prompt_" + kind], batch["completion_" + kind]], 1) for kind in ("ids", "mask"))
    with torch.no_grad():
        logps, entropies, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, mask, batch["completion_ids"].size(1), compute_entropy=True)
    trainer.model.zero_grad()
    loss = trainer._compute_loss(trainer.model, batch)
    loss.backward()
    found = {name: one.grad.clone() for name, one in trainer.model.named_parameters() if one.grad is not None}
    return loss.item(), logps, entropies, found


def assert_same(plain, packed):
    largest = max(one.abs().max() for one in plain[3].values())
    assert largest > 1e-3 and plain[3].keys() == packed[3].keys()
    assert max((plain[3][name] - packed[3][name]).abs().max() for name in plain[3]) / largest <= 1e-5
    for one, other in zip(plain[1:3], packed[1:3]): torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-5)
    assert packed[0] == pytest.approx(plain[0], rel=1e-5)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", PRESETS)
@pytest.mark.parametrize("limit", [1, 40, 10_000])
def test_the_gradient_in_packs_is_that_of_every_row_alone(tmp_path, kind, limit, attention):
    found = []
    for tokens in (0, limit):
        trainer = losing(tmp_path / str(tokens), tiny(kind, attn_implementation=attention), pack_tokens=tokens)
        assert trainer.packing == bool(tokens)
        found.append(gradients(trainer, loss_batch()))
    assert_same(*found)


@pytest.mark.parametrize("changes", [{"gradient_checkpointing": True}, {"temperature": .7}, {"lora_rank": 2}])
def test_so_it_is_with_checkpointing_temperature_and_adapters(tmp_path, changes):
    found = []
    for tokens in (0, 40):
        trainer = losing(tmp_path / str(tokens), tiny("qwen2"), pack_tokens=tokens, **changes)
        if changes.get("lora_rank"):   # whose second half begins at zero
            set_seed(1)
            for name, one in trainer.model.named_parameters():
                if "lora_B" in name: torch.nn.init.normal_(one.data)
        found.append(gradients(trainer, loss_batch()))
    assert_same(*found)


@pytest.mark.cuda
def test_so_it_is_on_a_gpu(tmp_path):
    found = []
    for tokens in (0, 40):
        trainer = losing(tmp_path / str(tokens), tiny("qwen2"), pack_tokens=tokens)
        batch = {name: one.to(trainer.accelerator.device) for name, one in loss_batch().items()}
        found.append(gradients(trainer, batch))
    assert_same(*found)


def test_so_it_is_with_the_embedded_model(tmp_path):
    found, batch = [], loss_batch()
    for tokens in (0, 64):
        model, _ = load_policy("tiny")
        found.append(gradients(losing(tmp_path / str(tokens), model, pack_tokens=tokens), batch))
    assert_same(*found)


class Counted(SelfPlayTrainer):
    "Counts the tokens that the model reads in the loss."
    def _generate_and_score_completions(self, inputs):
        self.read = 0
        set_seed(self.number)   # micro-batches are shuffled otherwise
        return super()._generate_and_score_completions(inputs)

    def _get_per_token_logps_and_entropies(self, model, *args, **kwargs):
        def count(module, _, told): self.read += told["input_ids"].numel()
        handle = model.register_forward_pre_hook(count, with_kwargs=True)
        try: return super()._get_per_token_logps_and_entropies(model, *args, **kwargs)
        finally: handle.remove()


@pytest.mark.parametrize("changes", [{}, {"micro_batches": 3}, {"iterations": 2, "clip_high": .01}])
def test_two_steps_in_packs_are_the_two_steps_alone(tmp_path, changes):
    "Of the same rollouts: writing with a shared prompt has its own tests."
    logs, read = [], []
    for tokens in (0, 60):
        trainer = make(tmp_path / str(tokens), Counted, steps=2, batch=8, attempts=6, solver_samples="attempts",
                       pack_tokens=tokens, **changes)
        trainer.train()
        logs.append([line for line in trainer.state.log_history if "loss" in line])
        read.append(trainer.read)
    assert len(logs[0]) == len(logs[1]) == 2 and read[1] < .6 * read[0]
    for plain, packed in zip(*logs):
        assert packed["loss"] == pytest.approx(plain["loss"], abs=1e-5)
        assert packed["grad_norm"] == pytest.approx(plain["grad_norm"], rel=2e-5)


def test_answers_to_one_prompt_stay_in_one_micro_batch(tmp_path):
    trainer = make(tmp_path, Keeping, steps=1, batch=8, attempts=6, solver_samples="attempts", micro_batches=2,
                   pack_tokens=60)
    trainer.train()
    halves = [{tuple(ids) for ids in half["prompt_ids"].tolist()} for half in trainer._buffered_inputs]
    assert len(halves) == 2 and len(halves[0] & halves[1]) <= 1   # one prompt may lie across the cut
    kept = sorted(map(tuple, trainer.batch["completion_ids"].tolist()))
    assert kept == sorted(tuple(ids) for half in trainer._buffered_inputs for ids in half["completion_ids"].tolist())


@pytest.mark.parametrize("kind,more,words", [
    ("gemma3_text", {"sliding_window": 20}, "a sliding window of 20 tokens is shorter than rows of 52"),
    ("mistral", {"sliding_window": 20}, "a sliding window of 20 tokens is shorter than rows of 52"),
    ("qwen2", {"use_sliding_window": True, "sliding_window": 20, "max_window_layers": 1}, "a sliding window of 20"),
    ("mamba", {"state_size": 4}, "linear_attention"),
    ("qwen3_next", {"linear_num_key_heads": 2, "linear_num_value_heads": 2, "linear_key_head_dim": 8,
                    "linear_value_head_dim": 8, "num_experts": 2, "num_experts_per_tok": 1}, "linear_attention"),
])
def test_models_of_other_attention_are_refused_before_any_work(tmp_path, kind, more, words):
    model = tiny(kind, **more)
    with pytest.raises(ValueError, match=words) as error: losing(tmp_path, model, pack_tokens=60)
    assert "pack_tokens is 60" in str(error.value) and "set pack_tokens to 0" in str(error.value)


def test_flash_attention_is_refused():
    model = toy_model()
    model.config._attn_implementation = "flash_attention_2"
    with pytest.raises(ValueError, match="attention 'flash_attention_2' takes no mask of our own"):
        check_packs(model, 60, 52)


def test_a_window_that_no_row_fills_is_no_obstacle(tmp_path):
    found = []
    for tokens in (0, 60):
        model = tiny("gemma3_text", sliding_window=64)
        found.append(gradients(losing(tmp_path / str(tokens), model, pack_tokens=tokens), loss_batch()))
    assert_same(*found)


class Deaf:
    "A model of fixed masks: it does not hear of ours, or refuses it."
    def __init__(self, model, refuses=()): self.model, self.refuses, self.original = model, refuses, model.forward

    def __call__(self, input_ids=None, attention_mask=None, position_ids=None, **more):
        if attention_mask is not None and attention_mask.dim() == 4:
            if self.refuses: raise ValueError("a mask has two dimensions")
            attention_mask = None
        return self.original(input_ids=input_ids, attention_mask=attention_mask, **more)


@pytest.mark.parametrize("refuses", [False, True])
def test_a_model_of_fixed_masks_takes_the_plain_path_and_says_so(tmp_path, refuses):
    assert follows_masks(toy_model())
    model = toy_model()
    model.model.forward = Deaf(model.model, refuses)
    assert not follows_masks(model)
    with pytest.warns(UserWarning, match="does not follow a mask of our own: every row is computed alone"):
        trainer = losing(tmp_path / "deaf", model, pack_tokens=60)
    assert not trainer.packing
    plain = losing(tmp_path / "plain", toy_model())
    assert torch.equal(gradients(trainer, loss_batch())[1], gradients(plain, loss_batch())[1])


@given(st.lists(st.integers(1, 6), min_size=1, max_size=9), st.integers(1, 4))
def test_micro_batches_hold_every_row_and_cut_few_prompts(sizes, parts):
    "A prompt is cut only where no micro-batch has room for it."
    rows = [prompt for prompt, size in enumerate(sizes) for _ in range(size)]
    rows += [99] * (-len(rows) % parts)   # filler
    batch = {"prompt_ids": torch.tensor(rows)[:, None], "advantages": torch.arange(len(rows)), "told": None}
    found = _by_prompt(batch, parts)
    order, room = found["advantages"].tolist(), len(rows) // parts
    assert sorted(order) == list(range(len(rows)))
    assert found["prompt_ids"].flatten().tolist() == [rows[i] for i in order]
    cut = sum(len({place // room for place, i in enumerate(order) if rows[i] == prompt}) > 1 for prompt in set(rows))
    assert cut <= max(parts - 1, sum(size > room for size in sizes))


def writes(model, once, sampling, ids):
    "What is written with this seed, and the tokens that are read before anything is drawn."
    read = []
    def note(_, __, told): read.append(told["input_ids"].numel())
    handle = model.register_forward_pre_hook(note, with_kwargs=True)
    set_seed(3)
    try: written = generator(model, toy_tokenizer(), once=once)(ids, replace(sampling, max_tokens=10), "default")[0]
    finally: handle.remove()
    return written, read[0]


@pytest.mark.parametrize("kind,more", [*((kind, {}) for kind in PRESETS), ("gemma3_text", {"sliding_window": 8})])
@pytest.mark.parametrize("sampling", [GREEDY, Sampling(temperature=1.0), Sampling(temperature=1.0, stop=("ab",))])
def test_a_prompt_that_is_read_once_is_answered_alike(kind, more, sampling):
    "Of several lengths, some prompts once: greedy to the token, drawn with the same seed alike as well."
    ids = [[5, 6, 7]] * 3 + [[4] * 12] * 4 + [[9, 9]] + [[5, 6, 8]] * 2
    model = tiny(kind, **more)
    (plain, all_read), (shared, once_read) = (writes(model, once, sampling, ids) for once in (False, True))
    assert plain == shared and (all_read, once_read) == (10 * 12, 4 * 11)


@pytest.mark.parametrize("kind,more", [*((kind, {}) for kind in PRESETS), ("gemma3_text", {"sliding_window": 8})])
@pytest.mark.parametrize("stop", [(), ("qh",), ("e", "w")])
def test_rows_that_have_ended_leave_and_the_others_write_on(kind, more, stop):
    "Greedy, to the token, over several parts of sixteen; fewer rows are computed."
    ids = [[letter] * 4 for letter in range(3, 13)] + [[5, 6, 7, letter] for letter in range(3, 38)]
    model, ends, computed = tiny(kind, **more), list(range(25, 29)), []
    model.generation_config.eos_token_id = ends
    def note(_, __, told): computed[-1].append(len(told["input_ids"]))
    model.register_forward_pre_hook(note, with_kwargs=True)
    written = []
    for once in (False, True):
        computed.append([])
        generate = generator(model, toy_tokenizer(), once=once)
        written.append(generate(ids, Sampling(temperature=0, stop=stop, max_tokens=50), "default")[0])
    plain, sparing = written
    lengths = sorted(map(len, plain))
    assert plain == sparing and lengths[0] < 16 and lengths[-1] > 32, lengths
    assert sum(computed[1]) < sum(computed[0]) == len(ids) * len(computed[0])


@pytest.mark.parametrize("kind,more", [*((kind, {}) for kind in PRESETS), ("gemma3_text", {"sliding_window": 8})])
@pytest.mark.parametrize("own, again", [([[7], [8], [9, 4]], 1), ([[7], [8, 3, 5], [9, 4]], 3), ([[7], [8]], 1)])
def test_what_all_prompts_begin_with_is_read_once(monkeypatch, kind, more, own, again):
    "Rows of several lengths, alone or several times; one of them is padded behind the common beginning."
    monkeypatch.setattr("azr.sampler._HEAD", 6)
    ids = [[5, 6, 7, 8, 9, 10, *mine] for mine in own] * again
    model = tiny(kind, **more)
    (plain, _), (shared, once_read) = (writes(model, once, GREEDY, ids) for once in (False, True))
    slides = "sliding_window" in more
    assert plain == shared and (once_read == 6) == (not slides)


@pytest.mark.parametrize("ids", [[[5]] * 3, [[5, 6], [5, 7]]])
def test_there_is_nothing_to_share(ids):
    model = toy_model()
    assert writes(model, False, GREEDY, ids) == writes(model, True, GREEDY, ids)


def test_a_recurrent_model_writes_as_before():
    model, ids = tiny("mamba", state_size=4), [[5, 6, 7]] * 3
    assert writes(model, False, GREEDY, ids) == writes(model, True, GREEDY, ids)


@pytest.mark.parametrize("changes", [{}, {"control": "frozen_proposer"}, {"lora_rank": 2}])
def test_a_trainer_that_packs_writes_the_same(tmp_path, changes):
    written = []
    for tokens in (0, 60):
        trainer = make(tmp_path / str(tokens), Keeping, steps=1, attempts=6, solver_samples="attempts",
                       pack_tokens=tokens, **changes)
        trainer.train()
        written.append(trainer.batch["completion_ids"])
    assert torch.equal(*written)


def test_in_bfloat16_packs_differ_by_rounding_alone(tmp_path):
    "The mask takes the type of the computation. Both ways lie about as far from full precision."
    batch, exact = loss_batch(), gradients(losing(tmp_path / "exact", tiny("qwen2")), loss_batch())[1]
    off = []
    for tokens in (0, 40):
        trainer = losing(tmp_path / str(tokens), tiny("qwen2"), pack_tokens=tokens)
        with torch.autocast("cpu", torch.bfloat16): found = gradients(trainer, batch)[1]
        off.append((found - exact).abs().mean().item())
    assert 0 < off[1] < 2 * off[0] < .2


@pytest.mark.parametrize("frozen", [False, True])
def test_the_last_layer_reads_what_lies_in_one_piece(frozen):
    "Of a slice torch copies the matrix of all words for each row, where the weights want no gradients: gigabytes."
    model, pieces = toy_model().requires_grad_(not frozen), []
    model.lm_head.register_forward_hook(lambda layer, given, _: pieces.append(given[0].is_contiguous()))
    ids = [[5, 6, 7], [4, 8, 9]]
    generator(model, toy_tokenizer(), once=True)(ids, Sampling(max_tokens=3), "default")
    assert len(pieces) == 3 and all(pieces) and not model.lm_head._forward_pre_hooks
    del pieces[:]
    generator(model, toy_tokenizer())(ids, Sampling(max_tokens=3), "default")
    assert not all(pieces)                      # as transformers hands it over
