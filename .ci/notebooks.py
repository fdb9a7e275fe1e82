"What the scripts of this folder share: reading, cleaning, executing and writing notebooks."
import os, re
from collections.abc import Callable
from configparser import ConfigParser
from functools import cache
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
KERNEL = {"display_name": "python3", "language": "python", "name": "python3"}
WIDGET = "application/vnd.jupyter.widget-view+json"   # a bar or a menu: nothing without its kernel
SKIPPED = {"eval: false", "notest", "cuda", "slow"}      # cells with one of these directives keep the outputs they have

def pages() -> list[Path]: # in reading order
    "The pages: notebooks right under nbs/."
    return sorted((ROOT / "nbs").glob("*.ipynb"))

def notebooks() -> list[Path]:
    "Every notebook of ours, the run notebooks included."
    return sorted(
        p for p in (ROOT / "nbs").rglob("*.ipynb") if not any(part[0] in "._" for part in p.relative_to(ROOT).parts)
    )

@cache
def facts() -> dict[str, str]:
    "What settings.ini says."
    parser = ConfigParser(delimiters=["="])
    parser.read(ROOT / "settings.ini", encoding="utf-8")
    return dict(parser["DEFAULT"])

def repository(kind: str = "blob") -> str: # "blob": to be looked at, "raw": the file itself
    "Where files that are no page can be read."
    own = facts()
    return f"https://github.com/{own['user']}/{own['repo']}/{kind}/{own['branch']}/"

def relinked(text: str, page: Path, there: Callable[[Path], str]) -> str:
    "A page's text with links to files of the checkout turned to what `there` makes of them. Code stays as it is."
    def place(target):
        name, mark, anchor = target.partition("#")
        if not name or re.match(r"[a-z]+:|/", target): return target
        path = (page.parent / name).resolve()
        if not path.is_relative_to(ROOT) or not path.exists(): return target   # the test of links names it
        return there(path) + mark + anchor
    fences = re.split(r"(^```.*?^```)", text, flags=re.M | re.S)
    links = re.compile(r"(\]\(|<img src=\"|<a href=\")([^)\s\"]+)")
    return "".join(part if i % 2 else links.sub(lambda found: found[1] + place(found[2]), part)
                   for i, part in enumerate(fences))

def directives(cell) -> set[str]:
    "The `#|` lines of a cell, without their mark."
    return {re.sub(r"^#\s*\|\s*", "", line).strip() for line in cell.source.splitlines() if re.match(r"#\s*\|", line)}

def clean(notebook):
    "Ids in order, tags as the only cell metadata, no counts, one kernel: what a diff should not show."
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL})
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"c{i:03d}"
        cell.metadata = nbformat.from_dict({key: value for key, value in cell.metadata.items() if key == "tags"})
        if cell.cell_type != "code": continue
        cell.execution_count = None
        cell.outputs = [one for one in cell.outputs if WIDGET not in one.get("data", {})]   # its state is not stored
        for output in cell.outputs:
            if "execution_count" in output: output.execution_count = None
            if "metadata" in output: output.metadata = nbformat.from_dict({})
            for kind, data in output.get("data", {}).items():
                if kind.startswith("image/") and isinstance(data, str): output.data[kind] = data.rstrip()
    return notebook

def read(path: Path): return nbformat.read(path, as_version=4)

def write(notebook, path: Path) -> bool: # whether the file changed
    "Clean and write, untouched where nothing changed."
    text = nbformat.writes(clean(notebook)).rstrip("\n") + "\n"
    if path.exists() and path.read_text(encoding="utf-8") == text: return False
    aside = path.with_suffix(".tmp")
    aside.write_text(text, encoding="utf-8")
    os.replace(aside, path)
    return True

def execute(notebook, folder: Path, timeout: int = 900, **options):
    """Run the page in `folder`; cells that ask to be skipped keep their outputs. Raises nbclient's CellExecutionError.

    `options` are NotebookClient's."""
    from nbclient import NotebookClient
    kept = {}
    for i, cell in enumerate(notebook.cells):
        if cell.cell_type == "code" and directives(cell) & SKIPPED:
            kept[i], notebook.cells[i] = cell, nbformat.v4.new_code_cell("")
    # the kernel draws inline
    environment = {"OMP_NUM_THREADS": "1", **{key: value for key, value in os.environ.items() if key != "MPLBACKEND"}}
    client = NotebookClient(
        notebook, timeout=timeout, kernel_name="python3", resources={"metadata": {"path": str(folder)}}, **options
    )
    try: client.execute(env=environment)
    finally:
        for i, cell in kept.items(): notebook.cells[i] = cell
    return merge_streams(notebook)

def merge_streams(notebook):
    "Neighbouring pieces of one stream become one: how the kernel cut them is chance."
    for cell in notebook.cells:
        if cell.cell_type != "code": continue
        merged = []
        for output in cell.outputs:
            if merged and output.output_type == "stream" == merged[-1].output_type and output.name == merged[-1].name:
                merged[-1].text += output.text
            else: merged.append(output)
        cell.outputs = merged
    return notebook
