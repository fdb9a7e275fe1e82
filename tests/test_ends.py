"Where a completion ends: end tokens of several kinds, stop texts, and what a model's own settings have to say."
from dataclasses import replace

import pytest
from peft import LoraConfig, get_peft_model
from test_backends import vllm
from test_trainer import Sometimes, make
from tokenizers.processors import TemplateProcessing
from conftest import always
from toy import ENDS, LETTERS, ending_model, toy_model, toy_tokenizer
from transformers import set_seed

from azr.core import Prompt, Role
from azr.sampling import GREEDY, Sampling, Script
from azr.sampler import PolicySampler, encode, end_tokens, _turn_end, generator, until

TURNS = "{% for m in messages %}{{ m['content'] }}z {% endfor %}"   # z stands for <|im_end|>
ASKS = [Prompt("sums", Role.SOLVE, text=f"solve {n}+{n}") for n in range(6)]


def spelled(tokens): return "".join(LETTERS[token] for token in tokens)


def with_turns(template=TURNS, **special):
    tokenizer = toy_tokenizer(**{"additional_special_tokens": ["z"], **special})
    tokenizer.chat_template = template
    return tokenizer


@pytest.mark.parametrize(
    "stated, tokenizer, wanted",
    [
        (1, toy_tokenizer(), (1,)),
        ([1, 7], toy_tokenizer(), (1, 7)),
        ([7, 8], toy_tokenizer(), (1, 7, 8)),
        (None, toy_tokenizer(), (1,)),
        (None, toy_tokenizer(eos_token=None), ()),
        (1, with_turns(), (1, 39)),
        ([7, 39], with_turns(), (1, 7, 39)),
        (1, with_turns("{{ raise_exception('system first') }}"), (1,)),
        (1, with_turns("{% for m in messages %}{{ m['content'] }}y{% endfor %}"), (1,)),  # y is a letter like any other
        (1, with_turns("{% for m in messages %}{{ m['role'] }}{% endfor %}"), (1,)),
        (1, with_turns("{{ messages[0]['content'] }}z"), (1,)),
    ],
)
def test_all_end_tokens_of_a_model_are_found(stated, tokenizer, wanted):
    assert end_tokens(ending_model(0, stated), tokenizer) == wanted


def test_the_end_of_a_turn_is_what_follows_the_assistants_words():
    assert (
        _turn_end(with_turns("{% for m in messages %}z{{ m['role'] }}\n{{ m['content'] }}<end>\n{% endfor %}")) == 1
        and _turn_end(toy_tokenizer()) is None
    )
    peft = get_peft_model(ending_model(0, [1, 7]), LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    assert end_tokens(peft, with_turns()) == (1, 7, 39)


@pytest.mark.parametrize("ends", [[1, 7], ENDS])
def test_each_of_several_end_tokens_ends_a_completion(ends):
    sampler = PolicySampler(generator(ending_model(0, ends), toy_tokenizer()), toy_tokenizer(), 40, 30)
    set_seed(1)
    written = [c for _ in range(8) for c in sampler(ASKS)]
    assert len({c.completion_ids[-1] for c in written if c.finished}) > 1
    for c in written:
        assert c.finished == (c.completion_ids[-1] in ends) and not set(c.completion_ids[:-1]) & set(ends)
        assert c.text == spelled(c.completion_ids[:-1] if c.finished else c.completion_ids) and (
            c.finished or len(c.completion_ids) == 30
        )


def test_a_trainer_knows_the_same_ends(tmp_path):
    trainer = make(tmp_path)
    assert trainer.eos_token_ids == ENDS == list(trainer.sampler.ends)
    set_seed(3)
    one = trainer.sampler(ASKS)
    set_seed(3)
    assert (
        one == PolicySampler(generator(trainer.model, toy_tokenizer()), toy_tokenizer(), 40, 12, 256)(ASKS)
        and len({c.completion_ids[-1] for c in one}) > 2
    )


def test_a_tokenizer_that_appends_an_end_does_not_end_the_prompt():
    tokenizer = toy_tokenizer()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        "<pad> $A <end> <end>", special_tokens=[("<pad>", 0), ("<end>", 1)]
    )
    assert tokenizer("1")["input_ids"] == [0, 3, 1, 1] and encode(Prompt("sums", Role.SOLVE, text="1"), tokenizer) == [
        0,
        3,
    ]
    assert encode(Prompt("sums", Role.SOLVE, text="1<end>"), tokenizer) == [0, 3, 1] and encode(
        Prompt("sums", Role.SOLVE, text="1"), toy_tokenizer()
    ) == [3]


def free(sampler, ask): return sampler([ask], GREEDY)[0]


def test_rows_of_one_batch_end_at_their_own_texts():
    calls, model = [], toy_model(2)
    sampler = PolicySampler(generator(model, toy_tokenizer()), toy_tokenizer(), 40, 20)
    alone = [free(sampler, ask) for ask in ASKS]
    stops = [(one.text[3:5], "never there") if i % 2 else () for i, one in enumerate(alone)]
    asks = [replace(ask, stop=stop) for ask, stop in zip(ASKS, stops, strict=True)]
    model.register_forward_hook(lambda *_: calls.append(1))
    for one, ask, whole in zip(sampler(asks, GREEDY), asks, alone, strict=True):
        if not ask.stop: assert one == whole
        else:
            at = whole.text.index(ask.stop[0])
            assert one.finished and one.text == whole.text[:at]
            # letter by letter, the stop text's too
            assert one.completion_ids == whole.completion_ids[:at + len(ask.stop[0])]
    assert vars(model).get("generate") is None
    calls.clear()
    sampler([ask for ask in asks if ask.stop], GREEDY)
    assert len(calls) < 20   # the model stopped, and did not just have its text cut


def test_a_token_that_goes_beyond_the_stop_text_is_kept_whole():
    pieces = ["<end>", "4</", "answer", ">\nUser", ": and 5?", "<pad>"]
    class Spelling:
        eos_token_id = 0
        def __call__(self, text, **_): return {"input_ids": [5], "special_tokens_mask": [0]}
        def decode(self, tokens, skip_special_tokens): return "".join(pieces[t] for t in tokens)

    def write(ids, sampling, policy):
        return [[1, 2, 3, 4, 4, 0, 5] for _ in ids], [
            [-1.0 * n for n in range(7)] for _ in ids
        ]  # a backend that knows no stop texts

    sampler = PolicySampler(write, Spelling(), 10, 9)
    ask = Prompt("sums", Role.SOLVE, text="?", stop=("</answer>", "User:"))
    one, = sampler([ask])
    assert (one.text, one.completion_ids, one.logprobs, one.finished) == ("4", (1, 2, 3), (-0.0, -1.0, -2.0), True)
    both = sampler([Prompt("sums", Role.SOLVE, text="?", stop=("User:",)), Prompt("sums", Role.SOLVE, text="?")])
    assert (
        [c.completion_ids for c in both] == [(1, 2, 3, 4), (1, 2, 3, 4, 4, 0)]
        and both[0].text == "4</answer>\n"
        and all(c.finished for c in both)
    )
    assert sampler([Prompt("sums", Role.SOLVE, text="?")], Sampling(stop=("</answer>",)))[0] == one


@pytest.mark.parametrize(
    "tokens, stop, wanted",
    [
        ([], (), (0, False)),
        ([5], (), (1, False)),
        ([5, 1, 6], (), (2, True)),
        ([5, 7, 6], (), (2, True)),
        ([12, 13, 5], ("+ ",), (2, True)),
        ([12, 13, 5], (" +",), (3, False)),
        ([12, 1, 13], ("+ ",), (2, True)),
        ([12, 13, 1], ("+ ",), (2, True)),
        ([12, 12, 13], ("+ ", "++"), (2, True)),
    ],
)
def test_until(tokens, stop, wanted):
    assert until(tokens, (1, 7), stop, spelled) == wanted


def test_a_row_that_a_stop_text_ended_is_trained_on_whole(tmp_path):
    class Stopped(Sometimes):

        def solve_prompt(self, task):
            return Prompt("sums", Role.SOLVE, text="solve 1", stop=("a", "e", "i", "bc"), task_id=task.id)

    from sums import recipe as sums_recipe
    steps = []
    trainer = make(tmp_path, recipe=sums_recipe(Stopped(), 8, 2), batch=8, steps=1)
    trainer.on_play = steps.append
    trainer.train()
    by_text = [
        r
        for r in steps[0].rollouts
        if r.prompt.stop and r.completion.finished and r.completion.completion_ids[-1] not in ENDS
    ]
    assert by_text and all(
        spelled(r.completion.completion_ids)[:-2].find("bc") < 0 and spelled(r.completion.completion_ids)[-1] in "aeic"
        for r in by_text
    )
    assert all(len(r.completion.text) < len(r.completion.completion_ids) for r in by_text)
    assert {r.completion.completion_ids for r in by_text if r.weight} <= {r.completion_ids for r in trainer._rows}


def test_vllm_is_told_ends_and_stop_texts(tmp_path, vllm):
    trainer = make(tmp_path, backend="vllm_colocate")
    trainer.sampler([Prompt("sums", Role.SOLVE, text="1", stop=("bc",))])
    assert (
        trainer.vllm_generation.told == {"stop_token_ids": ENDS, "stop": ["bc"]}
        and trainer.vllm_generation.generation_kwargs == {}
    )


OWN = dict(
    repetition_penalty=3.0,
    top_k=1,
    top_p=0.1,
    min_p=0.9,
    temperature=0.01,
    suppress_tokens=[*range(2, 20)],
    no_repeat_ngram_size=1,
    stop_strings=["a"],
    min_new_tokens=9,
    forced_eos_token_id=1,
    do_sample=False,
)


@pytest.mark.parametrize("sampling", [Sampling(), GREEDY])
def test_a_models_own_settings_do_not_change_what_is_drawn(tmp_path, sampling):
    plain, odd = ending_model(), ending_model()
    for name, value in OWN.items(): setattr(odd.generation_config, name, value)
    before = odd.generation_config.to_dict()
    written = []
    for model in (plain, odd):
        set_seed(5)
        written.append(
            PolicySampler(generator(model, toy_tokenizer()), toy_tokenizer(), 40, 12, 256)(ASKS * 4, sampling)
        )
    assert written[0] == written[1] and odd.generation_config.to_dict() == before
    trainers = [
        make(tmp_path / str(n), lora_rank=2 * n) for n in range(2)
    ]  # the weights alone, and under an adapter that says nothing yet
    for trainer in trainers:
        inner = trainer.model.get_base_model() if trainer.settings.lora_rank else trainer.model
        for name, value in OWN.items(): setattr(inner.generation_config, name, value)
        set_seed(5)
        assert trainer.sampler(ASKS * 4, sampling) == written[0] and inner.generation_config.top_k == 1


def test_an_unknown_policy_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="no policy is called 'curriculum': there are default, base"):
        PolicySampler(generator(toy_model(), toy_tokenizer()), toy_tokenizer(), 40, 9)(ASKS, GREEDY, "curriculum")
    trainer = make(tmp_path / "plain")
    for name in ("curriculum", "base"):   # no model of the start was kept
        with pytest.raises(ValueError, match=f"no policy is called '{name}': there is default"):
            trainer.sampler(ASKS, GREEDY, name)
    for changes in ({"control": "frozen_proposer"}, {"lora_rank": 2}):
        trainer = make(tmp_path / str(len(changes)), **changes)
        assert trainer.sampler(ASKS[:1], GREEDY, "base")
        with pytest.raises(ValueError, match="'curriculum': there are default, base"):
            trainer.sampler(ASKS, GREEDY, "curriculum")


def test_a_recipe_of_an_unknown_policy_is_refused_before_the_first_step(tmp_path):
    from sums import recipe as sums_recipe
    with pytest.raises(ValueError, match="policies curriculum are adapters, and lora_rank is 0"):
        make(
            tmp_path,
            recipe=sums_recipe(Sometimes(), 4, 2, policies={Role.PROPOSE: "curriculum", Role.SOLVE: "curriculum"}),
        )


def test_a_script_ends_at_stop_texts_too():
    one, = Script(always("4</answer> User: 5"))([Prompt("sums", Role.SOLVE, text="?", stop=("</answer>",))])
    assert one.text == "4" and one.finished


def test_a_prompt_may_ask_for_less_than_the_sampler_gives():
    "Its own limit holds, never above the sampler's or the call's, and each limit has chunks of its own."
    asked = []
    def generate(ids, sampling, policy):
        asked.append((len(ids), sampling.max_tokens))
        return [[5] * sampling.max_tokens for _ in ids], None
    sampler = PolicySampler(generate, toy_tokenizer(), 40, 12, 40)
    limits = [None, 3, 30, 3, None, 8]
    prompts = [replace(ask, max_tokens=limit) for ask, limit in zip(ASKS, limits)]
    assert [len(one.completion_ids) for one in sampler(prompts)] == [12, 3, 12, 3, 12, 8]
    assert sorted(asked) == [(1, 8), (1, 12), (1, 12), (1, 12), (2, 3)]   # 40 tokens a chunk: 2 x 12 fit, 2 x 21 do not
    assert [len(one.completion_ids) for one in sampler(prompts, Sampling(max_tokens=5))] == [5, 3, 5, 3, 5, 5]
