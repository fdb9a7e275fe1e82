"Presets, settings as text, and what the command line says when something is wrong."
import subprocess
import sys
from dataclasses import fields

import nbformat
import pytest
import yaml

from azr.cli import execute, field_help, main
from azr.run import config, folder_for, presets, read_preset
from azr.trainer import Config
from conftest import ROOT

PAPER = ("paper", "base-7b", "coder-3b", "coder-7b", "coder-14b", "llama-3.1-8b", "qwen3-4b")


@pytest.mark.parametrize("name", sorted(presets()))
def test_every_preset_is_a_configuration(name):
    settings = config(name)
    assert isinstance(settings, Config) and all(getattr(settings, k) == (tuple(v) if isinstance(v, list) else v) for k, v in read_preset(name).items())


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_presets_have_table_3(name):
    c = config(name)
    assert (c.batch, len(c.task_types) * 2, c.learning_rate, c.temperature, c.references, c.attempts, c.max_prompt_tokens, c.max_completion_tokens, c.steps) == (64, 6, 1e-6, 1.0, 6, 8, 6144, 8096, 500)


def test_the_checkout_shows_the_packages_presets():
    assert {p.name: p.read_bytes() for p in (ROOT / "nbs" / "runs" / "configs").glob("*.yaml")} == {p.name: p.read_bytes() for p in presets().values()}


@pytest.mark.parametrize("changes, said", [
    ({"learning_rat": 1e-5}, "unknown setting learning_rat: did you mean learning_rate"), ({"zzz": 1}, "unknown setting zzz: the settings are model"),
    ({"batch": "ten"}, "batch is 'ten': give a whole number"), ({"batch": True}, "batch is True: give a whole number"), ({"batch": 2.5}, "batch is 2.5"),
    ({"learning_rate": "fast"}, "learning_rate is 'fast': give a number"), ({"gradient_checkpointing": 1}, "true or false"), ({"task_types": "deduction"}, "give a list"),
    ({"micro_batches": 7}, r"micro_batches is 7: .* 3 task types x \(1 propose \+ 1 solve\) x batch 64 = 384 places, and 384 / 7 = 54.86")])
def test_wrong_settings_are_refused_by_name(changes, said):
    with pytest.raises(ValueError, match=said): config("paper", **changes)


def test_a_preset_of_ones_own(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("model: tiny\nlearning_rate: 1e-5\n")
    assert config(mine) == Config(model="tiny", learning_rate=1e-5) and folder_for(str(mine), 2) == "runs/mine-s2"
    mine.write_text("just words")
    with pytest.raises(ValueError, match="mine.yaml holds no"): config(mine)
    with pytest.raises(ValueError, match="absent.yaml cannot be read"): config(tmp_path / "absent.yaml")
    with pytest.raises(ValueError, match="choose one of .*coder-7b"): config("coder7b")


def test_help_tells_every_field(capsys):
    with pytest.raises(SystemExit): main(["train", "--help"])
    shown = capsys.readouterr().out
    for name, default, words in field_help(): assert f"  {name}" in shown and words in shown and default in shown
    assert [name for name, _, _ in field_help()] == [f.name for f in fields(Config)]


def test_a_failing_notebook_ends_in_one_sentence(tmp_path):
    page, folder = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("raise OSError('disk full')")]), tmp_path / "nbs" / "runs"
    folder.mkdir(parents=True)
    nbformat.write(page, folder / "bad.ipynb")
    with pytest.raises(ValueError, match="stopped with OSError: disk full; the whole traceback lies in .*out.ipynb"): execute(folder / "bad.ipynb", tmp_path / "out.ipynb", {})


def test_a_killed_kernel_ends_in_one_sentence(tmp_path):
    page, folder = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import os\nos.kill(os.getpid(), 9)")]), tmp_path / "nbs" / "runs"
    folder.mkdir(parents=True)
    nbformat.write(page, folder / "bad.ipynb")
    with pytest.raises(ValueError, match="kernel died"): execute(folder / "bad.ipynb", tmp_path / "out.ipynb", {})


@pytest.mark.slow
def test_papermill_takes_a_preset_file_and_repeats_azr_trains_bytes(tmp_path):
    small = dict(batch=4, attempts=2, steps=1, seed_factor=1, evaluate_tasks=4, test_tasks=4, evaluate_every=2, save_every=2, workers=1)
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump(read_preset("demo") | small))
    assert main(["train", "--config", str(mine), "--run", str(tmp_path / "line")]) == 0
    subprocess.run([sys.executable, "-m", "papermill", "-k", "python3", "--no-progress-bar", str(ROOT / "nbs" / "runs" / "train.ipynb"), str(tmp_path / "out.ipynb"), "-f", str(mine), "-p", "run", str(tmp_path / "page")],
                   check=True, capture_output=True, cwd=ROOT)
    assert (tmp_path / "line" / "metrics.jsonl").read_bytes() == (tmp_path / "page" / "metrics.jsonl").read_bytes()
