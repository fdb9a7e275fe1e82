"The benchmark of the executor at its smallest: it runs, and its record is whole. Nothing here is timed."
import ast, json

import pytest
import yaml

from conftest import ROOT, data_folder
import notebooks
from pages import papermill

PAGE = ROOT / "nbs/runs/bench_executor.ipynb"
SECTIONS = {
    "settings",
    "machine",
    "calls a second",
    "share of the limit",
    "times pebble",
    "start, seconds",
    "recovery, seconds",
    "slow neighbour",
}

def run(folder, *parameters, page=PAGE):
    "Executes a page, which measures, with parameters, given as name and value in turn."
    parameters = parameters if "measure" in parameters else ("measure", True, *parameters)
    options = [word for name, value in zip(parameters[::2], parameters[1::2]) for word in ("-p", name, value)]
    papermill(page, folder / "out.ipynb", *options)

def spreads(value):
    "Every median with its quartiles, at any depth."
    if isinstance(value, dict) and "median" in value: yield value
    elif isinstance(value, dict):
        for inner in value.values(): yield from spreads(inner)

@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    "The page with its defaults: the folder, and the record."
    folder = tmp_path_factory.mktemp("bench")
    run(folder, "data", data_folder(), "record", folder / "record.json", "figures", folder)
    return folder, json.loads((folder / "record.json").read_text())

def test_record_is_whole(smoke):
    _, found = smoke
    assert SECTIONS | {"endurance"} <= set(found) and len(json.dumps(found, indent=1)) < 30_000
    assert found["settings"]["work"] == (
        "CRUXEval" if (data_folder() / "cruxeval.jsonl").exists() else "azr.tiny's grammar"
    )
    for isolation in found["start, seconds"]:
        for size in (1, 32, 1000):
            assert {f"{isolation}/first sight/{size}", f"{isolation}/repeats/{size}"} <= set(
                found["share of the limit"]
            )
    assert {"pebble/mapped", "pebble/one at a time", "bare loops at once"} <= set(
        found["share of the limit"]
    ) and "limit" in found["calls a second"]

def test_ratios_are_positive_and_in_order(smoke):
    _, found = smoke
    values = [
        s
        for section in ("calls a second", "share of the limit", "times pebble", "start, seconds")
        for s in spreads(found[section])
    ]
    assert len(values) > 20 and all(0 < s["low"] <= s["median"] <= s["high"] and s["n"] > 0 for s in values)

def test_hostile_programs_cost_nobody_else(smoke):
    result = smoke[1]["endurance"]
    assert result["programs"] == 1400 and result["wrong"] == 0 and result["processes left at the end"] == 0
    assert all(statuses for statuses in result["hostile"].values()), "each kind has its turn"

def test_reference_solutions(smoke):
    if "mbpp+" not in smoke[1]: pytest.skip(f"no MbppPlus.jsonl in {data_folder()}")
    result = smoke[1]["mbpp+"]
    assert result["tasks"] == 2 and sum(result["statuses"].values()) == result["calls"] > 100
    assert result["tasks all ok"] + len(result["not all ok"]) == 2

def test_figure_is_redrawn_from_the_record_alone(smoke, tmp_path):
    folder, _ = smoke
    run(tmp_path, "record", folder / "record.json", "measure", False, "figures", tmp_path, "data", tmp_path)
    for name in ("executor.png", "executor.svg"): assert (folder / name).read_bytes() == (tmp_path / name).read_bytes()

@pytest.mark.slow   # the other tests take this way where the files are missing
def test_without_the_files_the_grammar_gives_the_calls(tmp_path):
    run(
        tmp_path,
        "data",
        tmp_path,
        "record",
        tmp_path / "record.json",
        "rounds",
        1,
        "repeated",
        1,
        "endurance",
        0,
        "calls",
        4,
    )
    found = json.loads((tmp_path / "record.json").read_text())
    assert (
        set(found) == SECTIONS and found["settings"]["work"] == "azr.tiny's grammar" and found["settings"]["calls"] == 4
    )

def test_make_bench_sets_parameters_that_exist():
    cell = next(c for c in notebooks.read(PAGE).cells if "parameters" in c.metadata.get("tags", []))
    names = {target.id for node in ast.parse(cell.source).body for target in node.targets}
    asked = set(yaml.safe_load(PAGE.with_suffix(".yaml").read_text()))
    assert {"calls", "rounds", "record", "figures"} <= asked <= names

def test_committed_record():
    path = ROOT / "data/bench/executor.json"
    if not path.exists(): pytest.skip("no data/bench/executor.json: `make bench` writes it")
    found = json.loads(path.read_text())
    assert path.stat().st_size < 30_000 and SECTIONS | {"endurance", "mbpp+"} <= set(found)
    assert (
        found["endurance"]["programs"] >= 100_000
        and found["endurance"]["wrong"] == 0
        and found["endurance"]["processes left at the end"] == 0
    )
