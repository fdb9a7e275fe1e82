"""CRUXEval and AZR's seeds through our validation, by the run notebook itself.

The tests skip, visibly, where the files are missing."""

import json
from pathlib import Path

import pytest
from pages import papermill

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def found(azr_data, tmp_path_factory):
    if not (azr_data / "cruxeval.jsonl").exists(): pytest.skip(f"no cruxeval.jsonl in {azr_data}")
    folder = tmp_path_factory.mktemp("real")
    papermill(ROOT / "nbs/runs/real_programs.ipynb", folder / "out.ipynb", "-p", "data", azr_data, "-p", "record",
              folder / "found.json")
    return json.loads((folder / "found.json").read_text())


def test_cruxeval_programs_give_their_recorded_outputs(found):
    assert found["cruxeval/deduction"]["expression"]["right"] == 800
    assert found["cruxeval/deduction"]["literal"]["right"] == 794 and found["cruxeval/deduction"]["literal"][
        "runs"] == {"ok": 794, "bad_arguments": 6}


def test_recorded_inputs_are_abduction_answers(found):
    assert found["cruxeval/abduction"]["plain literals"] == {"rows": 788, "right": 788}
    assert found["cruxeval/abduction"]["literal"]["right"] == 794 and found["cruxeval/abduction"]["expression"] == {
        "right": 800, "not right": {}}
    assert set(found["cruxeval/abduction"]["literal"]["not right"].values()) == {"bad_arguments"}
    refused = found["cruxeval/deduction"]["literal"]["refused"]
    assert {row for row, why in refused.items() if why.startswith("bad_arguments")} == set(
        found["cruxeval/abduction"]["literal"]["not right"])
    assert set(refused) - set(found["cruxeval/abduction"]["literal"]["not right"]) == {
        "sample_135"}  # called without an argument: it verifies, and is no proposal


def test_azr_seeds_are_refused_for_a_reason(found):
    seeds = found.get("azr seeds/deduction") or pytest.skip("no azr_7b_coder_seed_io.jsonl")
    assert {"stored gold was cut", "nondeterministic", "unsafe"} <= set(seeds) and seeds[
        "ok, and the stored gold is the same"] == 240
    assert sum(v if isinstance(v, int) else len(v) for v in seeds.values()) == 256
    for kind in ("deduction", "induction"):
        groups, why = found[f"azr seeds/{kind}"], found[f"azr seeds/{kind}, why"]
        assert not [
            name for name in groups if "differs" in name
        ], "a stored gold that ours does not equal, and not because it was cut"
        assert {str(n): name
                for name, rows in groups.items()
                if not isinstance(rows, int) and "gold" not in name
                for n in rows} == {n: reason.split(":")[0] for n, reason in why.items()}
    assert found["azr seeds/stored inputs as abduction answers"] == {"tasks": 248, "right": 248}
    assert found["azr seeds/stored programs as induction answers"] == {"tasks": 208, "right": 208}
    assert seeds["stored input is a call, and the stored gold is of two"] == [108]
    assert seeds["stored gold was cut inside a string: still a literal, and wrong"] == [37, 177]


def test_the_committed_record_is_what_the_notebook_finds(found):
    assert found == json.loads((ROOT / "data" / "real_programs.json").read_text())


def test_nothing_of_the_data_is_quoted(azr_data, found):
    "Ids, counts and statuses only: neither the record nor the stored notebook holds a line of a program or an input."
    notebook = json.loads((ROOT / "nbs" / "runs" / "real_programs.ipynb").read_text())
    stored = "".join(
        "".join(output.get("text", [])) for cell in notebook["cells"] for output in cell.get("outputs", []))
    assert "800 of 800" in stored and "248" in stored
    lines = {
        part.strip()
        for name in ("cruxeval", "azr_7b_coder_seed_io", "azr_7b_coder_induction_seed_io")
        if (azr_data / f"{name}.jsonl").exists()
        for row in map(json.loads, (azr_data / f"{name}.jsonl").read_text(encoding="utf-8").splitlines())
        for text in (row.get("code") or row["snippet"], *row.get("inputs", [row.get("input", "")]),
                     *row.get("imports", ()))
        for part in text.splitlines()
    }
    lines = {line for line in lines if len(line) > 12 and not line.replace(", ", "").isdigit()}
    for text in (stored, json.dumps(found)): assert not [line for line in lines if line in text]


def test_without_the_files_it_says_so(tmp_path):
    out = tmp_path / "out.ipynb"
    papermill(ROOT / "nbs/runs/real_programs.ipynb", out, "-p", "data", tmp_path)
    assert out.read_text().count("SKIPPED: no ") >= 3
