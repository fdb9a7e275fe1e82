"""Each page for Colab, into _docs/colab: the page after a cell that installs what is missing there.

The workflow of the site makes that folder the branch `colab`, which the site's pages lead to. The wheel is enough: it
holds the pages with what they read, and a new editable install would not be seen by the kernel that made it."""

import shutil
from pathlib import Path

import nbformat

import notebooks

ROOT, BRANCH = notebooks.ROOT, "colab"
# pages that import more than the package requires -> the extra of settings.ini that has it
EXTRAS = {"3f_lab": "lab", "bench_executor": "dev", "reference_answers": "evals"}
FIRST = """\
# for Colab: installs azr where it is missing, which takes minutes; then works beside the pages that come with it
import importlib.util, os, subprocess, sys
if not getattr(importlib.util.find_spec("azr"), "origin", None):   # a folder of that name is no package
    needed = ["{requirement}"]
    needed += [name for name in ("torchvision", "torchaudio") if importlib.util.find_spec(name)]   # kept fit for torch
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", *needed], check=True)
    importlib.invalidate_caches()
    from importlib.metadata import version
    def old(name): return name in sys.modules and sys.modules[name].__version__ != version(name)
    if names := [name for name in ("numpy", "pandas", "torch") if old(name)]:
        raise RuntimeError(f"{{', '.join(names)}} was loaded before: restart the runtime, then run this cell again")
from azr.cli import copy_pages
from azr.core import checkout, is_checkout
if not is_checkout(checkout()): os.chdir(copy_pages("azr-pages") / "{folder}")"""

def requirement(page: Path) -> str:
    "What pip is asked for: azr from its repository, with the extra that the page needs."
    facts = notebooks.facts()
    extra = f"[{EXTRAS[page.stem]}]" if page.stem in EXTRAS else ""
    return f"{facts['lib_name']}{extra} @ git+https://github.com/{facts['user']}/{facts['repo']}@{facts['branch']}"

def address(page: Path) -> str:
    "Where Colab opens a page."
    facts, inside = notebooks.facts(), page.relative_to(ROOT).as_posix()
    return f"https://colab.research.google.com/github/{facts['user']}/{facts['repo']}/blob/{BRANCH}/{inside}"

def there(path: Path) -> str:
    "Where a link to a file of the checkout leads from a page in Colab."
    if path.suffix == ".ipynb": return address(path)
    kind = "raw" if path.suffix == ".png" else "blob"   # Colab shows no picture that lies beside its page
    return notebooks.repository(kind) + path.relative_to(ROOT).as_posix()

def page(path: Path):
    "A page in its form for Colab, stored outputs and all."
    book = notebooks.read(path)
    for cell in book.cells:
        if cell.cell_type == "markdown": cell.source = notebooks.relinked(cell.source, path, there)
    first = FIRST.format(requirement=requirement(path), folder=path.parent.relative_to(ROOT).as_posix())
    book.cells.insert(0, nbformat.v4.new_code_cell(first, id="colab"))
    return book

def write(place: Path) -> list[Path]: # the files
    "Every page, at its place below a folder."
    shutil.rmtree(place, ignore_errors=True)   # pages that are gone
    files = [place / path.relative_to(ROOT) for path in notebooks.notebooks()]
    for path, file in zip(notebooks.notebooks(), files, strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(page(path), file)
    return files
