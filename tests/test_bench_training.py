"""The benchmarks of the trainer and of a GPU at their smallest: they run, and their records are whole.

Figures come from the record alone. Nothing here is timed."""

import ast, json

import pytest
import yaml

from conftest import ROOT
import notebooks
from test_bench import run as run_page

PAGES = {name: ROOT / f"nbs/runs/{name}.ipynb" for name in ("bench_training", "bench_gpu")}
COMMITTED = ROOT / "data/bench/training.json"

def run(page, folder, *parameters): run_page(folder, *parameters, page=PAGES[page])

def committed(section: str = "machine") -> dict:
    found = json.loads(COMMITTED.read_text()) if COMMITTED.exists() else {}
    if section not in found:
        pytest.skip(f"data/bench/training.json has no {section!r}: `make bench-training` measures it")
    return found

@pytest.mark.parametrize("page", ["bench_training", "bench_gpu"])
def test_make_sets_parameters_that_exist(page):
    cell = next(c for c in notebooks.read(PAGES[page]).cells if "parameters" in c.metadata.get("tags", []))
    names = {name.id for node in ast.parse(cell.source).body for name in node.targets}
    asked = set(yaml.safe_load(PAGES[page].with_suffix(".yaml").read_text()))
    assert {"record", "figures"} <= asked <= names

def test_committed_long_run_is_flat_and_its_parts_add_up():
    found = committed("flat")["flat"]
    assert (
        found["steps"] == 1000
        and found["settings"]["learning_rate"] == 0
        and found["steps compared"] == [[101, 200], [901, 999]]
    )
    late_over_early = found["late over early"]
    assert late_over_early["low"] <= late_over_early["ratio"] <= late_over_early["high"]
    assert late_over_early["ratio"] == pytest.approx(found["ms per token"][1] / found["ms per token"][0], rel=1e-3)
    assert (
        len(found["samples"]["step"])
        == len(found["samples"]["ms per token"])
        == len(found["samples"]["memory, MB"])
        == 50
    )

def test_committed_kills_changed_nothing():
    found = committed("crash")["crash"]
    assert found["kills"] == len(found["points"]) >= 20 and found["processes left"] == 0
    assert set(found["runs that ended as the undisturbed one"].values()) == {found["runs"]}
    assert len(found["where"]) > 2, "the kills fell into different parts of a run"

@pytest.mark.parametrize("model", ["SmolLM2-135M-Instruct", "Qwen2.5-0.5B-random"])
def test_committed_packs_compute_each_prompt_once(model):
    "Tokens, CPU seconds and memory of packs of 640 tokens, beside the update without packs of the same run."
    measured = committed("pack")["pack"][model]
    assert measured["settings"]["attempts"] == 8
    for kind in {one["type"] for one in measured["updates"]}:
        plain, packed = ([one for one in measured["updates"] if (one["type"], one["pack_tokens"]) == (kind, limit)][0]
                         for limit in (0, 640))
        assert plain["tokens"] > 3 * packed["tokens"]
        assert plain["wall"] > 2 * packed["wall"] and plain["cpu"] > 2 * packed["cpu"]
        assert packed["memory"] <= plain["memory"]
        assert packed["norm"] == pytest.approx(plain["norm"], rel={"float32": 1e-4, "bfloat16": .02}[kind])

def test_record_is_small(): assert committed() and COMMITTED.stat().st_size < 30_000

def test_figure_is_redrawn_from_the_record_alone(tmp_path):
    committed()
    run("bench_training", tmp_path, "record", COMMITTED, "measure", False, "figures", tmp_path)
    for name in ("training_cost.png", "training_cost.svg"):
        assert (tmp_path / name).read_bytes() == (ROOT / "figures" / name).read_bytes()

@pytest.mark.slow
def test_training_page_by_its_defaults(tmp_path):
    run("bench_training", tmp_path, "record", tmp_path / "record.json", "figures", tmp_path, "work", tmp_path / "work")
    found = json.loads((tmp_path / "record.json").read_text())
    assert {"machine", "flat", "tax", "crash", "pack"} <= set(found)
    assert (
        found["crash"]["kills"] == 1
        and set(found["crash"]["runs that ended as the undisturbed one"].values()) == {1}
        and found["crash"]["processes left"] == 0
    )
    assert found["tax"]["ours over raw"]["cpu"]["n"] == 2 and found["flat"]["steps"] == 8

@pytest.mark.slow
def test_gpu_page_by_its_defaults(tmp_path):
    run("bench_gpu", tmp_path, "record", tmp_path / "record.json", "figures", tmp_path)
    found = json.loads((tmp_path / "record.json").read_text())
    for how in ("full", "lora"):
        step, speed = found[f"step/toy/{how}"], found["results"][f"toy/{how}"]["our speed over TRL's"]
        assert (
            step["proposals"] == 4
            and step["attempts"] > 0
            and set(step["phases"]) == {"propose", "validate", "attempt", "verify", "reward", "update"}
        )
        assert set(speed) == {"at once", "two portions"} and all(value > 0 for value in speed.values())
    assert found["writing/toy/transformers"]["tokens a second"] > 0
    assert (tmp_path / "gpu.png").exists() and (tmp_path / "gpu.svg").exists()

@pytest.mark.slow
def test_gpu_page_names_what_failed_and_goes_on(tmp_path):
    run(
        "bench_gpu", tmp_path, "record", tmp_path / "record.json", "prompt_tokens", 9
    )  # no prompt fits, so no step can be played
    found = json.loads((tmp_path / "record.json").read_text())
    assert (
        "prompt_tokens is 9" in found["step/toy/full"]["error"]
        and "prompt_tokens is 9" in found["step/toy/lora"]["error"]
    )
    assert found["writing/toy/transformers"]["tokens a second"] > 0 and found["device"]["TFLOP a second"] > 0


def test_measurements_of_other_settings_are_not_taken_over(tmp_path):
    "The cells up to the first measurement."
    cells = [c for c in json.loads(PAGES["bench_gpu"].read_text())["cells"] if c["cell_type"] == "code"]
    *_, until = (i for i, c in enumerate(cells) if 'keep("settings"' in "".join(c["source"]))
    first = cells[:until + 1]
    def start(**changes):
        names = {}
        exec("".join(first[0]["source"]), names)
        names |= {"record": str(tmp_path / "gpu.json"), "measure": True} | changes
        for cell in first[1:]: exec("".join(cell["source"]), names)
        return names
    start()["keep"]("device", {"TFLOP a second": 1})
    assert "device" in start()["found"]
    with pytest.raises(ValueError, match="other settings .batch: 2 there, 3 now.: name another record"): start(batch=3)
    assert json.loads((tmp_path / "gpu.json").read_text())["settings"]["batch"] == 2
