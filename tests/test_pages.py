"Every page runs from top to bottom, and says what it has stored."
import difflib, re, shutil

import pytest
from nbclient.exceptions import CellExecutionError

from conftest import ROOT, data_folder
import notebooks

# Pages that take longer than a test should: they run with `make test-slow`.
SLOW = {}
# Run pages that show the committed results as they stand.
RESULTS = [notebooks.ROOT / "nbs" / "runs" / f"{name}.ipynb" for name in ("ablations", "climb", "scaling")]
# Pages whose text may differ from machine to machine, with the reason.
VARYING = {}

@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    "A copy of what a page may look at, so that no page writes into the checkout."
    place = tmp_path_factory.mktemp("checkout")
    for folder in ("nbs", "data", "figures"):
        if (ROOT / folder).is_dir(): shutil.copytree(ROOT / folder, place / folder, ignore=shutil.ignore_patterns(".*"))
    shutil.copy(ROOT / "settings.ini", place / "settings.ini")
    return place

def said(notebook) -> list[str]:
    "The text that a reader sees under each code cell; pictures and HTML tables left out."
    texts = lambda output: output.get("text") or "\n".join(value for kind, value in sorted(output.get("data", {}).items()) if kind in ("text/plain", "text/markdown"))
    return ["".join(texts(output) for output in cell.outputs if not (output.output_type == "stream" and output.name == "stderr"))
            for cell in notebook.cells if cell.cell_type == "code"]

def uncoloured(text: str) -> str: return re.sub("\x1b\\[[0-9;]*m", "", text)

def plain(text: str) -> str: return re.sub(r"<Figure size [^>]*>", "<Figure>", text).strip()

@pytest.mark.parametrize("page", [pytest.param(p, id=p.stem, marks=[pytest.mark.slow] if p.stem in SLOW else []) for p in [*notebooks.pages(), *RESULTS]])
def test_page(page, checkout, monkeypatch):
    monkeypatch.setenv("AZR_DATA", str(data_folder().resolve()))
    monkeypatch.setenv("PYTHONHASHSEED", "random")
    notebook = notebooks.read(page)
    stored = said(notebook)
    try: notebooks.execute(notebook, checkout / page.parent.relative_to(ROOT), timeout=600)
    except CellExecutionError as error: pytest.fail(f"{page.name}: {uncoloured(str(error))}", pytrace=False)
    if page.stem in VARYING: return
    for before, after in zip(stored, said(notebook)):
        if plain(before) == plain(after): continue
        shown = "\n".join(difflib.unified_diff(plain(before).splitlines(), plain(after).splitlines(), "stored", "now", lineterm=""))
        pytest.fail(f"{page.name} does not say what it has stored: `make refresh PAGES={page.relative_to(ROOT)}` stores it.\n{shown}", pytrace=False)
