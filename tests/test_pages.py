"Every page runs from top to bottom, and says what it has stored."
import ast, difflib, json, re, shutil, subprocess, sys
from operator import attrgetter

import nbformat
import pytest
import yaml
from jupyter_client import AsyncKernelManager
from nbclient.exceptions import CellExecutionError

from azr.cli import page_settings, _parameter, parameters
from conftest import ROOT, data_folder
from pages import LoadedKernel
import notebooks

# Pages that take longer than a test should: they run with `make test-slow`.
SLOW = {"reward", "domain", "model"}
# Run pages that show the committed results as they stand.
SHOWN = ("ablations", "agent0", "agent0_ablations", "climb", "compare", "controls", "evaluate", "real", "scaling",
         "ssr", "ssr_ablations")
RESULTS = [notebooks.ROOT / "nbs" / "runs" / f"{name}.ipynb" for name in SHOWN]
TUTORIALS = sorted((notebooks.ROOT / "nbs" / "tutorials").glob("*.ipynb"))
# Pages whose text may differ from machine to machine, with the reason.
VARYING = {
    "91_sums": "it trains a model from nothing, and other processors add in another order",
    "domain": "the same", "reward": "it trains", "model": "it trains",
}
if sys.version_info >= (3, 12):   # outputs are stored by 3.11
    VARYING |= {"10_values": "an OrderedDict has another repr", "16_tasks": "ast.unparse quotes f-strings otherwise"}

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
    def texts(output):
        return output.get("text") or "\n".join(
            value for kind, value in sorted(output.get("data", {}).items()) if kind in ("text/plain", "text/markdown")
        )
    return [
        "".join(
            texts(output) for output in cell.outputs if not (output.output_type == "stream" and output.name == "stderr")
        )
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]

def uncoloured(text: str) -> str: return re.sub("\x1b\\[[0-9;]*m", "", text)

def plain(text: str) -> str: return re.sub(r"<Figure size [^>]*>", "<Figure>", text).strip()


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(p, id=p.stem, marks=[pytest.mark.slow] if p.stem in SLOW else [])
        for p in [*notebooks.pages(), *RESULTS, *TUTORIALS]
    ],
)
@pytest.mark.parametrize("kernel", [
    pytest.param(LoadedKernel, id="loaded"), pytest.param(AsyncKernelManager, id="fresh", marks=pytest.mark.slow)])
def test_page(page, kernel, checkout, tmp_path, monkeypatch):
    monkeypatch.setenv("AZR_DATA", str(data_folder().resolve()))
    monkeypatch.setenv("PYTHONHASHSEED", "random")
    notebook = notebooks.read(page)
    stored = said(notebook)
    elsewhere = page in TUTORIALS and kernel is AsyncKernelManager   # they read nothing that lies beside them
    folder = tmp_path if elsewhere else checkout / page.parent.relative_to(ROOT)
    try: notebooks.execute(notebook, folder, timeout=600, kernel_manager_class=kernel)
    except CellExecutionError as error: pytest.fail(f"{page.name}: {uncoloured(str(error))}", pytrace=False)
    if page.stem in VARYING: return
    for before, after in zip(stored, said(notebook)):
        if plain(before) == plain(after): continue
        shown = "\n".join(
            difflib.unified_diff(plain(before).splitlines(), plain(after).splitlines(), "stored", "now", lineterm="")
        )
        pytest.fail(
            (
                f"{page.name} does not say what it has stored: `make refresh PAGES={page.relative_to(ROOT)}` stores "
                f"it.\n{shown}"
            ),
            pytrace=False,
        )

# ---- parameters of the run pages ----

RUN_PAGES = [
    page for page in sorted((ROOT / "nbs" / "runs").glob("*.ipynb")) if "parameters" in page.read_text(encoding="utf-8")
]

def read_by(page, given: dict) -> dict:
    "The parameters as a page has them after its first two cells, papermill's own in between."
    code = [cell for cell in notebooks.read(page).cells if cell.cell_type == "code"]
    at, = [i for i, cell in enumerate(code) if "parameters" in cell.metadata.get("tags", [])]
    own, shared = {}, {}
    exec(code[at].source, own)
    names = [name for name in own if not name.startswith("__") and name != "defaults"]
    exec(code[at].source, shared)
    shared.update(given)
    exec(code[at + 1].source, shared)
    return {name: own[name] for name in names}, {name: shared[name] for name in names}

def as_text(value): return value if isinstance(value, str) else json.dumps(value)

@pytest.mark.parametrize("page", [pytest.param(page, id=page.stem) for page in RUN_PAGES])
def test_a_run_page_reads_each_parameter_as_a_text(page):
    defaults, _ = read_by(page, {})
    texts = {name: as_text(value) for name, value in defaults.items()}
    nothing = {name: None for name in defaults if not (page.stem == "browse" and name in ("step", "task_type"))}
    for given in ({}, texts, defaults, nothing, dict.fromkeys(nothing, "")):
        assert read_by(page, given) == (defaults, defaults)
    changed = {
        name: value
        for name, value in {"seeds": "[7, 8]", "changes": "{steps: 3}", "jobs": "5", "quick": "true"}.items()
        if name in defaults
    }
    _, found = read_by(page, changed)
    wanted = {"seeds": [7, 8], "changes": {"steps": 3}, "jobs": 5, "quick": True}
    assert {name: found[name] for name in changed} == {name: wanted[name] for name in changed}

def test_every_run_page_with_parameters_reads_them():
    assert len(RUN_PAGES) == 22


# target of the Makefile -> page
TARGETS = {
    "bench": "bench_executor",
    "bench-training": "bench_training",
    "bench-gpu": "bench_gpu",
    "figures": "figures",
    "climb": "climb",
    "ablations": "ablations",
    "scaling": "scaling",
    "real": "real",
    "agent0": "agent0",
    "agent0-ablations": "agent0_ablations",
    "ssr": "ssr",
    "ssr-ablations": "ssr_ablations",
}
OPTIONS = {"bench": "BENCH", "bench-training": "BENCH", "bench-gpu": "BENCH",   # of the others: their names
           "agent0-ablations": "AGENT0", "ssr-ablations": "SSR"}

@pytest.mark.parametrize("path", sorted((ROOT / "nbs" / "runs").glob("*.yaml")), ids=attrgetter("stem"))
def test_a_file_of_parameters_sets_parameters_that_exist(path):
    cell, = [c for c in notebooks.read(path.with_suffix(".ipynb")).cells if "parameters" in c.metadata.get("tags", [])]
    names = {name.id for node in ast.parse(cell.source).body for name in node.targets} - {"defaults"}
    assert set(yaml.safe_load(path.read_text(encoding="utf-8"))) <= names

@pytest.mark.skipif(not shutil.which("make"), reason="no make on PATH")
@pytest.mark.parametrize("target, page", TARGETS.items(), ids=[*TARGETS])
def test_make_executes_a_run_page_by_its_file(target, page):
    extra = [f"{OPTIONS.get(target, target.upper())}=-p name value"] if target != "figures" else []
    done = subprocess.run(["make", "-n", target, *extra], cwd=ROOT, capture_output=True, text=True, check=True)
    line, = [line for line in done.stdout.splitlines() if "-m papermill " in line]   # a make within a make prints more
    words = line.split("-m papermill ")[1].split()
    given = [] if target == "figures" else ["-f", f"nbs/runs/{page}.yaml", "-p", "name", "value"]
    assert words[-2 - len(given):] == [f"nbs/runs/{page}.ipynb", f"runs/{page}.ipynb", *given]

@pytest.mark.skipif(not shutil.which("make"), reason="no make on PATH")
def test_make_help_names_every_run_page():
    listed = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert set(TARGETS) < {name for _, name, words in (line.split(maxsplit=2) for line in listed.splitlines()) if words}

@pytest.mark.parametrize(
    "value, default, wanted",
    [
        ("3", [0], [3]),
        (3, [0], [3]),
        ("[3, 4]", [], [3, 4]),
        ("tiny", ["a"], ["tiny"]),
        ('["7"]', [0], [7]),
        ("1e-3", 0.5, 0.001),
        (2, 0.5, 2.0),
        (7, "name", "7"),
        ("false", True, False),
        ("{a: {b: 1}}", {}, {"a": {"b": 1}}),
        ("None", {"a": 1}, {"a": 1}),
        ("", 4, 4),
        (None, "demo", "demo"),
    ],
)
def test_a_parameter_becomes_what_its_default_is(value, default, wanted):
    assert _parameter("it", value, default) == wanted and type(_parameter("it", value, default)) is type(wanted)


@pytest.mark.parametrize(
    "value, default, said",
    [
        ("many", 4, "it is 'many': give a whole number"),
        (2.5, 4, "it is 2.5: give a whole number"),
        (True, 4, "it is True"),
        ("[1, 2", [0], "is no YAML"),
        ("[a]", [0], "it, element 1 is 'a': give a whole number"),
        ("[1]", {}, "it is '.1.': give a mapping"),
        (1, False, "give True or False"),
        ([1], "a", "give a text"),
    ],
)
def test_a_parameter_that_cannot_be_meant_is_refused(value, default, said):
    with pytest.raises(ValueError, match=said): _parameter("it", value, default)

def test_a_browser_may_ask_for_the_last_step():
    given, defaults = {"step": None, "role": None}, {"step": 60, "role": "propose"}
    assert parameters(given, defaults, nullable=("step",)) == {"step": None, "role": "propose"}

def test_what_papermill_leaves_alone_is_not_read():
    defaults = {"place": ROOT, "jobs": 2, "_": 1}   # of a second run in one kernel: whatever else it knows
    assert parameters({"place": ROOT, "jobs": "3", "_": "many"}, defaults) == {"jobs": 3}


@pytest.mark.parametrize(
    "given, preset, wanted",
    [
        ({"seed": 1}, "demo", ("demo", {"seed": 1})),
        ({"seed": 1}, "", ("demo", {"seed": 1})),
        ({"seed": "1", "betas": "[0.9, 0.95]"}, "coder-7b", ("coder-7b", {"seed": 1, "betas": [0.9, 0.95]})),
        ({}, "", ("demo", {})),
        ({"model": "tiny", "batch": 4}, "", ("paper", {"model": "tiny", "batch": 4})),
        ({"model": "tiny_clean"}, "demo", ("demo", {"model": "tiny_clean"})),
    ],
)
def test_single_settings_lie_on_the_preset_that_is_named(given, preset, wanted):
    assert page_settings(given | {"steps_of_the_page": 1}, preset, {}) == wanted
    assert page_settings(given, preset, {"seed": 9})[1]["seed"] == 9   # `changes` have the last word

def test_without_ipywidgets_the_demos_notebook_opens_without_a_warning(tmp_path):
    source = notebooks.read(ROOT / "nbs" / "runs" / "train.ipynb")
    opening = [cell for cell in source.cells if cell.cell_type == "code"][:4]   # parameters, imports, what will run
    hidden = nbformat.v4.new_code_cell("import sys; sys.modules['ipywidgets'] = None", id="hidden")
    page = nbformat.v4.new_notebook(cells=[hidden, *opening], metadata=source.metadata)
    notebooks.execute(page, tmp_path, timeout=200)
    assert "model" in page.cells[-1].outputs[0].text   # it has run
    assert [output for cell in page.cells for output in cell.outputs if output.get("name") == "stderr"] == []
