"What an installed wheel has, in an environment of its own and far from any checkout."
import os, subprocess, sys, sysconfig, zipfile
from pathlib import Path

import pytest

from azr.cli import copy_pages, main
from conftest import ROOT, always
import colab, notebooks

PACKAGED = ("weights/tiny/model.safetensors", "weights/tiny_clean/model.safetensors", "configs/demo.yaml",
            "configs/accelerate/fsdp.yaml", "functions.json", "pages/nbs/index.ipynb", "pages/nbs/runs/train.ipynb",
            "pages/nbs/tutorials/domain.ipynb", "pages/nbs/runs/climb.yaml",
            "pages/data/compare/self-play/exam.jsonl.gz", "pages/figures/headline.png")


def by(*words, cwd, **environment):
    "A command far from the checkout."
    own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "AZR_DATA")}
    return subprocess.run(list(map(str, words)), cwd=cwd, env=own | environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    "The wheel of this checkout, built without a network."
    place = tmp_path_factory.mktemp("wheel")
    source = place / "source"
    listed = subprocess.run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT,
                            capture_output=True, text=True)
    if listed.returncode: pytest.skip("no git checkout")
    for name in filter(None, listed.stdout.split("\0")):   # a build leaves folders behind
        if not (ROOT / name).exists(): continue
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_symlink(): os.symlink(os.readlink(ROOT / name), source / name)
        else: (source / name).write_bytes((ROOT / name).read_bytes())
    alone = ("--no-deps", "--no-index", "--no-build-isolation")
    done = by(sys.executable, "-m", "pip", "wheel", *alone, "-w", place, source, cwd=place)
    assert not done.returncode, done.stderr[-2000:]
    return next(place.glob("azr-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    "A fresh environment with the wheel, which sees the libraries of this one: its python, a folder to work in."
    place = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place / "venv"], check=True)
    python = place / "venv" / "bin" / "python"
    own = Path(by(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])", cwd=place).stdout.strip())
    # a path alone: no hook of an editable azr comes with it
    (own / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    done = by(python, "-m", "pip", "install", "--no-deps", "--no-index", wheel, cwd=place)
    assert not done.returncode, done.stderr[-2000:]
    (place / "work").mkdir()
    return python, place / "work"


@pytest.mark.slow
def test_the_wheel_holds_all_pages_weights_presets_and_repositories(wheel):
    with zipfile.ZipFile(wheel) as archive: names = set(archive.namelist())
    assert not {f"azr/{name}" for name in PACKAGED} - names
    assert {f"azr/pages/{page.relative_to(ROOT).as_posix()}" for page in notebooks.notebooks()} <= names
    assert any(name.startswith("azr/repositories/") for name in names)
    assert not [name for name in names if ".ipynb_checkpoints" in name or name.startswith(("nbs/", "tests/", "data/"))]
    assert wheel.stat().st_size < 15e6


@pytest.mark.slow
def test_every_system_preset_and_weight_is_there(installed):
    python, work = installed
    script = """
import azr, json
from azr.core import WEIGHTS
from azr.settings import SYSTEMS, config, presets, system_named
from azr.tiny import load_tiny
for name in SYSTEMS: system_named(name)
print(azr.__file__)
print(len([config(name) for name in presets()]), [load_tiny(name)[0].num_parameters() for name in WEIGHTS])
"""
    done = by(python, "-c", script, cwd=work)
    assert not done.returncode, done.stderr[-2000:]
    assert str(work.parent / "venv") in done.stdout and "[181120, 181120]" in done.stdout


@pytest.mark.slow
def test_the_pages_are_copied_and_the_demo_runs_without_a_checkout(installed):
    python, work = installed
    azr = python.parent / "azr"
    done = by(azr, "lab", "mine", "--copy-only", cwd=work)
    assert not done.returncode and (work / "mine" / "nbs" / "00_core.ipynb").is_file(), done.stderr
    small = [word for name in ("steps=1", "batch=4", "attempts=2", "seed_factor=1", "evaluate_tasks=4", "test_tasks=4",
                               "workers=1") for word in ("--set", name)]
    done = by(azr, "demo", *small, "--run", "here", cwd=work, OMP_NUM_THREADS="1")
    assert not done.returncode, done.stderr[-2000:]
    assert {"run.ipynb", "summary.json", "exam.jsonl.gz"} <= {path.name for path in (work / "here").iterdir()}
    done = by(azr, "card", "here", cwd=work)
    assert not done.returncode and (work / "here" / "model" / "README.md").is_file(), done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("page", ["runs/controls", "35_watch", "index"])
def test_a_page_for_colab_runs_beside_the_pages_of_the_wheel(installed, tmp_path, page):
    "What Colab does: a page alone, opened in an empty folder."
    python, _ = installed
    colab.write(tmp_path / "branch")
    script = """
import nbformat, sys
from nbclient import NotebookClient
book = nbformat.read(sys.argv[1], as_version=4)
NotebookClient(book, kernel_name="python3", timeout=600).execute()
print("".join(one.get("text", "") for cell in book.cells for one in cell.get("outputs", [])))
"""
    (tmp_path / "work").mkdir()
    file = tmp_path / "branch" / "nbs" / f"{page}.ipynb"
    done = by(python, "-c", script, file, cwd=tmp_path / "work", OMP_NUM_THREADS="1")
    assert not done.returncode, done.stderr[-2000:]
    assert (tmp_path / "work" / "azr-pages" / "nbs" / f"{page}.ipynb").is_file()
    if page == "runs/controls": assert "15 runs" in done.stdout


def test_without_jupyterlab_nothing_is_copied_and_its_exit_status_is_handed_on(tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as gone:
        gone.setattr("importlib.util.find_spec", always(None))
        assert main(["lab", str(tmp_path / "mine")]) == 2
    assert "JupyterLab is not installed: pip install jupyterlab" in capsys.readouterr().err
    assert not (tmp_path / "mine").exists()
    monkeypatch.setattr("importlib.util.find_spec", always(True))
    monkeypatch.setattr("azr.cli.subprocess.run", always(subprocess.CompletedProcess([], 3)))
    assert main(["lab", str(tmp_path / "mine")]) == 3 and (tmp_path / "mine" / "nbs").is_dir()


def test_pages_of_ones_own_stay(tmp_path, capsys):
    assert main(["lab", str(tmp_path / "mine"), "--copy-only"]) == 0
    page = tmp_path / "mine" / "nbs" / "03_rewards.ipynb"
    page.write_text("changed")
    assert copy_pages(tmp_path / "mine") == tmp_path / "mine" and page.read_text() == "changed"
    assert (tmp_path / "mine" / "data" / "browse").is_dir()


@pytest.mark.parametrize("there, said", [
    ("file", "is a file: name a folder"), ("full", "is not empty and holds no pages of azr"),
    ("old", "are of another version than"),
])
def test_a_folder_that_cannot_take_the_pages_is_one_sentence(tmp_path, capsys, there, said):
    place = tmp_path / "mine"
    if there == "file": place.write_text("")
    else:
        place.mkdir()
        (place / "settings.ini").write_text("lib_name = azr\nversion = 0.0.1\n" if there == "old" else "[theirs]\n")
    assert main(["lab", str(place), "--copy-only"]) == 2
    told = capsys.readouterr().err.strip()
    assert said in told and "\n" not in told
