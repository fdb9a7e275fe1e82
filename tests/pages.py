"The command that executes a page, for tests that run it as a user does; and the browser of tests that look."
import ast, json, shutil, sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((path for name in NAMES if (path := shutil.which(name))), None)


KEPT = (ast.Import, ast.ImportFrom, ast.FunctionDef)


def defined(page: Path) -> dict[str, object]: # name -> what it stands for
    "The functions of a run page, with what it imports and its names in capitals; nothing else of it is run."
    cells = [cell for cell in json.loads(page.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    nodes = [node for cell in cells for node in ast.parse("".join(cell["source"])).body]
    capitals = [node for node in nodes if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).isupper()]
    space = {"__name__": page.stem}
    kept = [node for node in nodes if isinstance(node, KEPT) or node in capitals]
    exec(compile(ast.Module(kept, []), str(page), "exec"), space)
    return space


def papermill(page: Path, out: Path, *words: str) -> list[str]:
    "papermill on a page, the executed one into `out`; then papermill's own options."
    options = ["-k", "python3", "--no-progress-bar"]
    return [sys.executable, "-m", "papermill", *options, str(page), str(out), *words]
