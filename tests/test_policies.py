"Two policies as two adapters: one trainer a phase, nothing of the other one moves, and a run goes on at any step."

import contextlib
from dataclasses import dataclass, replace

import pytest
import torch
from conftest import always
from sums import ZERO, Sums
from toy import ToySettings, ended_at, ending_model, toy_base, toy_tokenizer
from transformers import set_seed

from azr.core import Role
from azr.models import load_policy
from azr.records import Records
from azr.rewards import Reward
from azr.run import train
from azr.sampling import GREEDY
from azr.selfplay import Phase, Recipe, SelfPlay
from azr.settings import System, spans
from azr.trainer import SelfPlayTrainer

TWO = {Role.PROPOSE: "curriculum", Role.SOLVE: "executor"}
CURRICULUM = Phase("curriculum", 1, proposals=4, attempts=2, train=(Role.PROPOSE,))
POOL = Phase("pool", 1, proposals=4, attempts=2, train=())
EXECUTOR = Phase("executor", 1, proposals=0, solves=2, tries=4, train=(Role.SOLVE,))


@dataclass(frozen=True)
class Settled(ToySettings):
    "Sums with two policies, in six steps of three phases."
    system: str = "two"
    kl: float = 0.01
    evaluate_every: int = 3
    evaluate_tasks: int = 2
    test_tasks: int = 2

    @property
    def agents(self): return 2

    def phase(self, step):
        return (CURRICULUM, CURRICULUM, POOL, EXECUTOR, EXECUTOR, replace(CURRICULUM, iteration=2))[step - 1]


def two_recipe(settings, **changes):
    own = {"propose_reward": by_length, "solve_reward": by_status, "tasks": (ZERO,), "policies": TWO}
    return Recipe((Sums(),), settings.phase, **own | changes)


def by_length(batch):
    "Something to learn for who proposes noise."
    return [Reward(float(len(one.completion.text)), {"length": float(len(one.completion.text))}) for one in batch]


def by_status(verdict):
    return Reward(float(len(verdict.status)) + verdict.seconds, {})


def make(folder, settings=Settled(), span=(1, 2), **changes):
    set_seed(0)
    play = SelfPlay(two_recipe(settings, **changes), None, 0)
    return SelfPlayTrainer(ending_model(0), toy_tokenizer(), play, settings, folder, span=span)


def adapters(trainer):
    "Policy -> all numbers of its adapter; base -> those of the model below."
    found = {}
    names = {".default.": trainer.trained, **{f".{name}.": name for name in (*trainer.others, "ref")}}
    for key, weight in trainer.model.named_parameters():
        name = next((policy for part, policy in names.items() if "lora_" in key and part in key), "base")
        found.setdefault(name, []).append(weight.detach().flatten().clone())
    return {name: torch.cat(parts) for name, parts in found.items()}


def same(one, other): return {name: torch.equal(one[name], other[name]) for name in one}


def test_only_the_phases_own_policy_learns(tmp_path):
    trainer = make(tmp_path)
    before = adapters(trainer)
    trainer.train()
    assert same(before, adapters(trainer)) == {"curriculum": False, "executor": True, "ref": True, "base": True}


def test_the_optimiser_holds_the_trained_adapter_and_nothing_else(tmp_path):
    trainer = make(tmp_path)
    trainer.train()
    held = {id(one) for group in trainer.optimizer.param_groups for one in group["params"]}
    own = {id(one) for name, one in trainer.model.named_parameters() if ".default." in name}
    assert held == own and own


def test_policies_are_handed_on_and_the_reference_is_the_phases_start(tmp_path):
    first = make(tmp_path)
    first.train()
    learned = adapters(first)
    pool = first.following((3, 3))
    pool.train()
    assert pool.trained == "executor" and torch.equal(adapters(pool)["curriculum"], learned["curriculum"])
    second = pool.following((4, 5))
    start = adapters(second)
    assert torch.equal(start["ref"], start["executor"]) and torch.equal(start["curriculum"], learned["curriculum"])
    second.train()
    assert same(start, adapters(second)) == {"executor": False, "curriculum": True, "ref": True, "base": True}
    third = second.following((6, 6))
    start = adapters(third)
    assert torch.equal(start["ref"], learned["curriculum"])          # not the base, and not the executor
    third.train()
    kls = [line["kl"] for line in third.state.log_history if "kl" in line]
    assert kls[0] == 0                                               # its own start, before the first update


def test_a_phase_that_trains_nobody_moves_nothing(tmp_path):
    trainer = make(tmp_path, span=(3, 3))
    before = adapters(trainer)
    trainer.train()
    assert all(same(before, adapters(trainer)).values()) and len(trainer.selfplay.buffers) >= 1


def test_each_policy_writes_as_itself(tmp_path):
    trainer = make(tmp_path, settings=replace(Settled(), learning_rate=.5))
    trainer.train()
    prompt = Sums().solve_prompt(ZERO)
    names = ("curriculum", "executor", "base")
    said = {name: trainer.sampler([prompt], GREEDY, name)[0].completion_ids for name in names}
    assert said["executor"] == said["base"] != said["curriculum"]    # the executor's adapter is still 0
    assert trainer.model.active_adapter == "default"
    with pytest.raises(ValueError, match="no policy is called 'default': there are curriculum, executor, base"):
        trainer.sampler([prompt], GREEDY, "default")


def test_a_wrong_active_adapter_is_an_error(tmp_path):
    trainer = make(tmp_path)
    def another(step): trainer.model.set_adapter("executor")
    trainer.on_play = another
    with pytest.raises(RuntimeError, match="adapter 'executor' is active in a step that trains 'curriculum'"):
        trainer.train()


@pytest.mark.parametrize("changes, sentence", [
    (dict(lora_rank=0), "policies curriculum and executor are adapters, and lora_rank is 0: give a lora_rank"),
    (dict(backend="vllm_server"), "needs the package vllm|holds one set of weights"),
])
def test_what_cannot_have_two_policies_is_refused(tmp_path, changes, sentence):
    with pytest.raises(ValueError, match=sentence): make(tmp_path, settings=replace(Settled(), **changes))


def test_one_step_trains_one_adapter(tmp_path):
    class Both(Settled):
        def phase(self, step): return Phase("both", proposals=4, attempts=2)
    with pytest.raises(ValueError, match="one step trains one adapter"): make(tmp_path, settings=Both())


# ---- a run

def examined(settings, name, count): return [ZERO] * count


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return toy_base(tmp_path_factory.mktemp("toy"))


def system(stops=()):
    "Sums with two policies; a signal to end comes in each of these steps."
    replay = ended_at(stops)
    def recipe(settings, env): return two_recipe(settings, replay=replay)
    return System("two", Settled, always(contextlib.nullcontext()), recipe, examined)


def metrics(folder): return Records(folder).metrics.read_bytes()


def test_a_run_of_phases_goes_on_at_any_step_with_the_same_bytes(base, tmp_path):
    settings = Settled(model=str(base))
    train(settings, tmp_path / "whole", say=list().append, system=system())
    again, stops = system(stops=(1, 2, 3, 5)), 0
    while True:
        try:
            train(settings, tmp_path / "stopped", say=list().append, system=again)
            break
        except KeyboardInterrupt: stops += 1
    assert stops == 4 and metrics(tmp_path / "whole") == metrics(tmp_path / "stopped")
    one, two = (load_policy(str(tmp_path / name))[0] for name in ("whole", "stopped"))
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters()))
    assert (tmp_path / "whole" / "model" / "curriculum" / "adapter_model.safetensors").exists()
    assert not (tmp_path / "whole" / "model" / "ref").exists()


def test_a_run_without_a_model_of_its_own_is_refused(tmp_path):
    with pytest.raises(ValueError, match="begins from none of its own: name one"):
        train(Settled(), tmp_path / "run", say=list().append, system=system())
    assert not (tmp_path / "run").exists()


# ---- what a reader of this page found

def test_a_run_whose_summary_was_not_written_ends_without_a_step(base, tmp_path):
    settings, folder = Settled(model=str(base)), tmp_path / "run"
    train(settings, folder, say=list().append, system=system())
    before = metrics(folder)
    (folder / "summary.json").unlink()
    train(settings, folder, say=list().append, system=system())
    assert metrics(folder) == before


def test_a_run_of_two_policies_can_be_made_longer_and_moved(base, tmp_path):
    folder = tmp_path / "run"
    train(Settled(model=str(base)), folder, say=list().append, system=system())
    saved = {path.parent.name for path in (folder / "model").glob("*/*")}
    assert saved == {"curriculum"} and (folder / "model" / "curriculum" / "base.json").exists()

    class Longer(Settled):
        def phase(self, step): return super().phase(min(step, 6))
    more = System("two", Longer, always(contextlib.nullcontext()), lambda s, env: two_recipe(s), examined)
    summary = train(Longer(model=str(base), steps=7), folder.rename(tmp_path / "moved"), say=list().append, system=more)
    assert summary["steps"] == 7


def test_steps_of_one_name_that_train_others_are_phases_of_their_own():
    def phase(step): return Phase(proposals=2, train=(Role.PROPOSE,) if step < 3 else [Role.SOLVE])
    assert spans(phase, 4) == [(1, 2), (3, 4)]


@pytest.mark.parametrize("policies, sentence", [
    ({Role.PROPOSE: "default", Role.SOLVE: "executor"}, "give each a name of its own"),
    ({Role.PROPOSE: "ref", Role.SOLVE: "executor"}, "a policy is called 'ref'"),
    ({Role.PROPOSE: "my.own", Role.SOLVE: "executor"}, "a policy is called 'my.own'"),
    ({Role.PROPOSE: "base", Role.SOLVE: "executor"}, "trains what only 'base' writes"),
])
def test_names_that_no_adapter_can_have_are_refused(tmp_path, policies, sentence):
    with pytest.raises(ValueError, match=sentence): make(tmp_path, policies=policies)


def test_a_run_of_impossible_adapters_is_refused_before_its_base_is_made(tmp_path):
    def began(settings, folder): raise AssertionError("the base was made")
    with pytest.raises(ValueError, match="are adapters, and lora_rank is 0"):
        train(replace(Settled(), lora_rank=0), tmp_path / "run", system=replace(system(), start=began))
