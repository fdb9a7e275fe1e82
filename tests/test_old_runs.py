"""A run folder that an earlier version left (LoRA on the embedded model, 4 steps).

Today's version browses, evaluates and resumes it."""

import json
import shutil

import pytest
import yaml

from azr.browse import open_run, views
from azr.evals import Exam, evaluate_models
from azr.metrics import read_metrics, read_rollouts
from azr.run import train
from azr.settings import config
from conftest import ROOT

OLD = ROOT / "tests" / "old_run"


@pytest.fixture
def folder(tmp_path):
    "A copy that may be written to."
    shutil.copytree(OLD, tmp_path / "run")
    return tmp_path / "run"


def settings_of(folder):
    return config("demo", **yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))["config"])


def test_it_is_browsed():
    shown = views(open_run(OLD), 2, "propose", "deduction")
    assert shown and all(view.title for view in shown)
    assert set(read_rollouts(OLD)) == {1, 2, 4} and [record["step"] for record in read_metrics(OLD)] == [0, 1, 2, 3, 4]


def test_a_finished_one_is_left_alone(folder):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    said = []
    assert train(settings_of(folder), folder, say=said.append) == json.loads((OLD / "summary.json").read_text())
    assert "done already" in said[0] and {path: path.read_bytes() for path in before} == before


def test_it_is_evaluated_though_its_base_lay_elsewhere(tmp_path):
    said = []
    exam = Exam(limit=2, max_tokens=64)
    result, = evaluate_models([str(OLD)], ["heldout"], exam, tmp_path, say=said.append, progress=False)
    assert result["exam"]["style"] == "terse" and sum(result["statuses"].values()) == 6, said


def test_it_goes_on_from_its_checkpoint(folder):
    (folder / "summary.json").unlink()   # as a run that was stopped after step 2
    shutil.rmtree(folder / "model")
    said = []
    summary = train(settings_of(folder), folder, say=said.append)
    assert "going on after step 2" in said and summary["steps"] == 4 and summary["seed"] == 0
    old, new = read_metrics(OLD), read_metrics(folder)
    assert new[:3] == old[:3] and [record["step"] for record in new] == [0, 1, 2, 3, 4]
    assert (folder / "model" / "adapter_model.safetensors").exists()
