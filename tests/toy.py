"A toy model of 20,000 random weights and a character tokenizer, made on the spot; settings of small runs."
import signal
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM, set_seed

from azr.settings import Settings

LETTERS = ["<pad>", "<end>", *"0123456789+ abcdefghijklmnopqrstuvwxyz"]
# of a trainer on sums with the toy model
TOY = dict(
    batch=4,
    attempts=2,
    steps=4,
    learning_rate=1e-3,
    dtype="float32",
    micro_batches=1,
    gradient_checkpointing=False,
    max_prompt_tokens=40,
    max_completion_tokens=12,
    chunk_tokens=256,
    score_tokens=256,
    save_every=2,
    entropy_coefficient=0.0,
)
# of a run of the embedded model, from the seeding to the last exam
SMALL = dict(
    batch=4, attempts=2, steps=2, seed_factor=1, evaluate_tasks=4, test_tasks=4, evaluate_every=2, workers=1
)


@dataclass(frozen=True)
class ToySettings(Settings):
    "Of a run of two adapters on the toy model, in six steps, a checkpoint after each."
    steps: int = 6
    learning_rate: float = 1e-2
    lora_rank: int = 4
    dtype: str = "float32"
    micro_batches: int = 1
    gradient_checkpointing: bool = False
    entropy_coefficient: float = 0.0
    max_prompt_tokens: int = 40
    max_completion_tokens: int = 12
    chunk_tokens: int = 256
    score_tokens: int = 256
    save_every: int = 1


def toy_tokenizer(**special):
    core = Tokenizer(models.WordLevel({c: i for i, c in enumerate(LETTERS)}, unk_token="<pad>"))
    core.pre_tokenizer, core.decoder = pre_tokenizers.Split("", "isolated"), decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=core, **{"pad_token": "<pad>", "eos_token": "<end>", "padding_side": "left", **special}
    )


def toy_model(seed=0, context=64):
    set_seed(seed)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=len(LETTERS),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=context,
            pad_token_id=0,
            eos_token_id=1,
            bos_token_id=None,
            initializer_range=0.1,
        )
    )


ENDS = [1, *range(2, 12)]   # a digit ends a completion too: of random weights hardly one would end else


def ending_model(seed=0, ends=ENDS):
    "The toy model with other end tokens in its generation settings."
    model = toy_model(seed)
    model.generation_config.eos_token_id = ends
    return model


def toy_base(folder, ends=ENDS):
    "The folder, with that model and its tokenizer in it: what a run begins from."
    ending_model(0, ends).save_pretrained(folder)
    toy_tokenizer().save_pretrained(folder)
    return folder


def ended_at(stops):
    "A recipe's `replay` that replays nothing; a signal to end comes in each of these steps."
    left = list(stops)
    def stopping(step, rng):
        if left and step == left[0]:
            left.pop(0)
            signal.raise_signal(signal.SIGTERM)
        return []
    return stopping


def moved(before, after):
    "The adapters whose weights differ."
    return {name for name in after if any(not torch.equal(after[name][k], before[name][k]) for k in after[name])}
