"The pages for Colab: one cell more than the page, which asks for the right thing, once, and works beside the pages."
import ast, importlib, json, os, re, subprocess, sys, sysconfig

import nbformat
import pytest
from packaging.requirements import Requirement

from conftest import ROOT
from test_repository import DISTRIBUTIONS, code, imported, name, requirements
import colab, docs, notebooks

ALL = notebooks.notebooks()
PIP = """
import json, os, sys
from pathlib import Path
here = Path(__file__).parents[1]
with open(here / "asked", "a") as file: file.write(json.dumps(sys.argv[1:]) + "\\n")
for name in ("azr", "nbs", "data", "figures"): os.symlink(Path(os.environ["CHECKOUT"]) / name, here / name)
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    "A Python with the libraries of this one, but for azr."
    place = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    version = "python%d.%d" % sys.version_info[:2]
    # a path alone: no hook of an editable azr comes with it
    (place / "lib" / version / "site-packages" / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return place / "bin" / "python"


def run_first(page, python, folder, stub, *paths):
    "Run a page's first cell in a folder, twice; what pip was asked, and where the cell left the process."
    (stub / "pip").mkdir(exist_ok=True)
    (stub / "pip" / "__main__.py").write_text(PIP)
    (stub / "pip" / "__init__.py").write_text("")
    script = f"{colab.page(page).cells[0].source}\nprint(os.getcwd())\n"
    own = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "AZR_DATA")}
    environment = own | {"PYTHONPATH": os.pathsep.join(map(str, (stub, *paths))), "CHECKOUT": str(ROOT)}
    done = [subprocess.run([python, "-c", script], cwd=folder, env=environment, capture_output=True, text=True)
            for _ in range(2)]
    assert not any(one.returncode for one in done), done[0].stderr + done[1].stderr
    asked = (stub / "asked").read_text().splitlines() if (stub / "asked").exists() else []
    return [json.loads(line) for line in asked], [one.stdout.strip() for one in done]


@pytest.mark.parametrize("path", ALL, ids=name)
def test_a_page_gets_one_cell_and_stays_as_it_is(path):
    book, own = colab.page(path), notebooks.read(path)
    nbformat.validate(book)
    assert [cell.id for cell in book.cells[1:]] == [cell.id for cell in own.cells]
    for cell, before in zip(book.cells[1:], own.cells, strict=True):
        if cell.cell_type == "code": assert cell == before
    tree = ast.parse(book.cells[0].source)
    wanted = [(node.module, one.name) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)
              for one in node.names if node.module.startswith("azr")]
    assert len(wanted) >= 3 and all(hasattr(importlib.import_module(module), name) for module, name in wanted)
    assert [cell.cell_type == "code" and "copy_pages(" in cell.source and "pip" in cell.source
            for cell in book.cells[:2]] == [True, False]


@pytest.mark.parametrize("path", ALL, ids=name)
def test_what_is_asked_for_has_all_that_the_page_imports(path):
    asked = Requirement(colab.requirement(path))
    facts = notebooks.facts()
    assert asked.name == "azr" and asked.url == f"git+https://github.com/{facts['user']}/azr@{facts['branch']}"
    groups = ["requirements", *(f"{extra}_requirements" for extra in asked.extras)]
    there = {one.name for one in requirements(*groups)}
    if "papermill" in there: there |= {"nbformat"}   # it needs that itself
    tree = ast.parse(code(notebooks.read(path)))
    first = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
    tops = {dotted.split(".")[0] for node in first for dotted in imported(ast.unparse(node))} - {"azr"}
    assert {DISTRIBUTIONS.get(top, top) for top in tops - set(sys.stdlib_module_names)} <= there


def test_extras_are_those_of_pages_that_exist():
    assert colab.EXTRAS.keys() <= {path.stem for path in ALL}


@pytest.mark.parametrize("page, extra", [("runs/controls", ""), ("3f_lab", "[lab]")])
def test_where_azr_is_missing_it_is_asked_for_once(bare, tmp_path, page, extra):
    (tmp_path / "stub").mkdir()
    (tmp_path / "work" / "azr").mkdir(parents=True)   # a folder of that name is no package
    path, work = ROOT / "nbs" / f"{page}.ipynb", tmp_path / "work"
    asked, left = run_first(path, bare, work, tmp_path / "stub")
    facts = notebooks.facts()
    needed = f"azr{extra} @ git+https://github.com/{facts['user']}/{facts['repo']}@{facts['branch']}"
    assert asked == [["install", "-q", needed]]
    folder = work / "azr-pages" / path.parent.relative_to(ROOT)
    assert left == [str(folder)] * 2 and (folder / path.name).read_bytes() == path.read_bytes()
    assert (work / "azr-pages" / "data" / "demo").is_dir()


def test_in_a_checkout_nothing_is_done(bare, tmp_path):
    folder = ROOT / "nbs" / "runs"
    assert run_first(folder / "train.ipynb", bare, folder, tmp_path, ROOT) == ([], [str(folder)] * 2)
    assert not (folder / "azr-pages").exists()


def test_each_page_of_the_site_leads_to_a_file_that_is_written(tmp_path):
    written = {path.relative_to(tmp_path).as_posix() for path in colab.write(tmp_path)}
    facts = notebooks.facts()
    base = f"https://colab.research.google.com/github/{facts['user']}/{facts['repo']}/blob/{colab.BRANCH}/"
    for path in ALL:
        title = docs.page(path).cells[0].source
        (link,) = re.findall(r"^\[Open in Colab\]\((.*)\)$", title, re.M)
        assert title.startswith("# ") and link == base + path.relative_to(ROOT).as_posix()
        text = "\n".join(cell.source for cell in notebooks.read(tmp_path / path.relative_to(ROOT)).cells
                         if cell.cell_type == "markdown")
        found = re.findall(r"\]\(" + re.escape(base) + r"([^)#]+)", text)
        assert {link.removeprefix(base), *found} <= written
        assert not re.findall(r"\]\((?![a-z]+:|#)[^)\s]*\.\w+\)", re.sub(r"```.*?```", "", text, flags=re.S))
