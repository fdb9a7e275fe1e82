"The notebooks in a real browser: what `make lab` starts, pages run from top to bottom, a run that is interrupted."
import os, re, shlex, shutil, socket, subprocess, sys, time
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from azr.cli import copy_pages
from conftest import ROOT
from pages import BROWSER
import notebooks

playwright = pytest.importorskip("playwright.sync_api", reason="no Playwright here: `make test` installs it")
pytestmark = pytest.mark.skipif(not BROWSER, reason="no Chromium on PATH")
MINUTES = 60_000   # in the browser's milliseconds
FRONT = ".jp-NotebookPanel:not(.lm-mod-hidden)"

# of the page in front: its path, whether it would be saved, its code cells, those that ran, their errors
STATE = """() => {
    const page = jupyterapp.shell.currentWidget, cells = [...page.context.model.cells].filter(c => c.type == "code")
    const outputs = cells.flatMap(c => c.sharedModel.getOutputs())
    return {path: page.context.path, dirty: page.context.model.dirty, cells: cells.length,
            kernel: page.context.sessionContext.kernelDisplayStatus, ran: cells.filter(c => c.executionCount).length,
            errors: outputs.filter(o => o.output_type == "error").map(o => `${o.ename}: ${o.evalue}`)}
}"""
# what has to be scrolled sideways in it: code, outputs, the page itself
WIDE = """() => [...jupyterapp.shell.currentWidget.node.querySelectorAll(
        ".cm-scroller, .jp-OutputArea-output, .jp-RenderedHTMLCommon, .jp-WindowedPanel-outer")]
    .filter(e => e.clientWidth && e.scrollWidth > e.clientWidth + 1)
    .map(e => `${e.className.slice(0, 40)} ${e.scrollWidth} > ${e.clientWidth}: ${e.textContent.slice(0, 80)}`)"""
# a run of a minute
SHORT = """dict(steps=24, evaluate_every=2, evaluate_tasks=4, test_tasks=4, batch=4, attempts=2, seed_factor=1,
               workers=1)"""
# each cell is rendered, so that what stands below the window is measured too
SETTINGS = '{"windowingMode": "none"}'


def git(folder, *words) -> str:
    "What git says there."
    by = ["git", "-c", "user.name=a reader", "-c", "user.email=reader@example.org", *words]
    return subprocess.run(by, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    "The pages in a folder of their own, under git; the train page is set to a short run."
    folder = copy_pages(tmp_path_factory.mktemp("lab") / "pages")
    shutil.copy(ROOT / ".gitignore", folder)
    page = folder / "nbs" / "runs" / "train.ipynb"
    train = notebooks.read(page)
    told, = [cell for cell in train.cells if "parameters" in cell.metadata.get("tags", [])]
    assert told.source.count("changes = {}") == 1
    told.source = told.source.replace("changes = {}", f"changes = {SHORT}")
    notebooks.write(train, page)
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "as they were")
    return folder


@contextmanager
def jupyter(folder: Path, place: Path):
    "What `make lab` starts, on a free port; its address."
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = f"--no-browser --port {port} --IdentityProvider.token=key --allow-root --expose-app-in-browser"
    asked = subprocess.run(["make", "-n", "lab", f"LAB={options}", f"AZR_PYTHON={sys.executable}"], cwd=ROOT,
                           capture_output=True, text=True, check=True).stdout
    command = shlex.split([line for line in asked.splitlines() if "azr.cli" in line][-1])
    tracker = place / "settings" / "@jupyterlab" / "notebook-extension" / "tracker.jupyterlab-settings"
    tracker.parent.mkdir(parents=True)
    tracker.write_text(SETTINGS)
    own = {"JUPYTERLAB_SETTINGS_DIR": place / "settings", "JUPYTERLAB_WORKSPACES_DIR": place / "workspaces",
           **{f"JUPYTER_{name}_DIR": place / name for name in ("CONFIG", "DATA", "RUNTIME")}}
    known = {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}   # figures are drawn inline
    environment = {"PYTHONPATH": str(ROOT)} | known | {name: str(value) for name, value in own.items()}
    with open(place / "jupyter.log", "w") as log, \
            subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log) as server:
        try:
            end = time.monotonic() + 120
            while f"{port}/lab" not in (place / "jupyter.log").read_text():
                assert server.poll() is None and time.monotonic() < end, (place / "jupyter.log").read_text()[-2000:]
                time.sleep(.2)
            yield f"http://127.0.0.1:{port}/lab?token=key"
        finally: server.terminate()


@pytest.fixture(scope="module")
def lab(copy, tmp_path_factory):
    "JupyterLab in a window 1,400 pixels wide."
    place = tmp_path_factory.mktemp("jupyter")
    with jupyter(copy, place) as address, playwright.sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        window = browser.new_page(viewport={"width": 1400, "height": 900})
        window.set_default_timeout(2 * MINUTES)
        window.goto(address)
        window.wait_for_function("() => window.jupyterapp && document.querySelector('.jp-Notebook, .jp-Launcher')")
        yield window
        browser.close()


def opened(lab, name: str) -> dict:
    "A page in front, its kernel idle."
    lab.evaluate("path => { jupyterapp.commands.execute('docmanager:open', {path}) }", name)
    lab.wait_for_function("""path => {
        const page = jupyterapp.shell.currentWidget, context = page?.context
        return context?.path == path && context.isReady && context.sessionContext.kernelDisplayStatus == "idle"
    }""", arg=name)
    lab.wait_for_timeout(1000)   # what a kernel says of itself has come
    return lab.evaluate(STATE)


def command(lab, name: str): lab.evaluate("name => { jupyterapp.commands.execute(name) }", name)


def ran(lab, name: str, minutes: int = 5) -> dict:
    "A page that was run from top to bottom, as a user does it by the menu."
    before = opened(lab, name)
    assert not before["dirty"]
    command(lab, "notebook:restart-run-all") if before["ran"] else command(lab, "notebook:run-all-cells")
    settled(lab, minutes)
    return lab.evaluate(STATE)


def settled(lab, minutes: int = 5):
    "Every code cell has run, or one has failed."
    lab.wait_for_function(f"""() => {{
        const state = ({STATE})()
        return state.kernel == "idle" && (state.ran == state.cells || state.errors.length)
    }}""", timeout=minutes * MINUTES)
    lab.wait_for_timeout(500)   # the last output is drawn


def looked_at(lab, name: str):
    "A screenshot, for who wants to look: into the folder that AZR_SCREENSHOTS names."
    if folder := os.environ.get("AZR_SCREENSHOTS"): lab.screenshot(path=Path(folder, f"{name}.png"))


def test_a_page_that_is_only_opened_is_not_changed(lab, copy):
    for name in ("nbs/index.ipynb", "nbs/05_selfplay.ipynb", "nbs/runs/browse.ipynb"):
        assert not opened(lab, name)["dirty"], name
        lab.evaluate("() => jupyterapp.commands.execute('docmanager:save')")   # waits until it is done
    assert git(copy, "status", "--short") == ""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["05_selfplay", "24_trainer"])
def test_a_page_runs_from_top_to_bottom_and_fits(lab, name):
    state = ran(lab, f"nbs/{name}.ipynb")
    looked_at(lab, name)
    assert state["errors"] == [] and state["ran"] == state["cells"] > 50
    assert lab.evaluate(WIDE) == []


@pytest.mark.slow
def test_the_run_browsers_menus_move(lab):
    state = ran(lab, "nbs/runs/browse.ipynb")
    assert state["errors"] == [] and state["ran"] == state["cells"]
    box = lab.locator(f"{FRONT} .jp-OutputArea-output .widget-vbox").last
    step, slot, number = box.locator("select").all()
    seen = set()
    for value in step.locator("option").all_text_contents():
        step.select_option(label=value)
        slot.select_option(index=1)
        number.select_option(index=1)
        said = re.compile(rf"step {re.escape(re.sub(r'[^0-9]', '', value))}, \w+, \w+, 2 of")
        box.get_by_text(said).wait_for()
        seen.add(box.inner_text())
    box.scroll_into_view_if_needed()
    looked_at(lab, "browse")
    assert len(seen) == 3
    assert lab.evaluate(WIDE) == []


def curve(lab) -> str:
    "The picture that stands under the cell that trains."
    picture = lab.locator(f"{FRONT} .jp-OutputArea-output img").first
    return picture.get_attribute("src") if picture.count() else ""


@pytest.mark.slow
def test_the_curve_is_redrawn_and_an_interrupted_run_goes_on(lab, copy):
    name = "nbs/runs/train.ipynb"
    assert not opened(lab, name)["dirty"]
    command(lab, "notebook:run-all-cells")
    seen, end = set(), time.monotonic() + 300
    while len(seen) < 3:
        seen |= {curve(lab)} - {""}
        assert time.monotonic() < end and not lab.evaluate(STATE)["errors"], lab.evaluate(STATE)
        lab.wait_for_timeout(200)
    looked_at(lab, "train-running")
    lab.locator(f"{FRONT} [data-command='notebook:interrupt-kernel']").first.click()
    settled(lab)
    looked_at(lab, "train-interrupted")
    stopped = lab.evaluate(STATE)
    assert [error.split(":")[0] for error in stopped["errors"]] == ["KeyboardInterrupt"]
    metrics = copy / "runs" / "demo-s0" / "metrics.jsonl"
    done = len(metrics.read_text().splitlines())
    assert 0 < done < 25
    kept = metrics.read_text()
    command(lab, "notebook:run-all-cells")
    lab.wait_for_timeout(1000)
    settled(lab)
    looked_at(lab, "train-done")
    state = lab.evaluate(STATE)
    assert state["errors"] == [] and state["ran"] == state["cells"]
    assert metrics.read_text().startswith(kept) and len(metrics.read_text().splitlines()) > done
    assert lab.evaluate(WIDE) == []
