"The site of `make docs`: whole, without a network, searched in a browser where there is one."
import importlib.util, os, re, subprocess, sys, threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from conftest import ROOT, always
from pages import BROWSER
import docs, notebooks


def test_links_of_a_page_lead_to_their_places_in_the_site():
    page, run = ROOT / "nbs" / "index.ipynb", ROOT / "nbs" / "runs" / "real.ipynb"
    assert docs.moved("[a](../LOG.md#x) ![b](../figures/real.png) [c](00_core.ipynb)", page) == \
        "[a](LOG.md#x) ![b](figures/real.png) [c](00_core.ipynb)"
    assert docs.moved("[a](../16_tasks.ipynb) [y](real.yaml)", run) == \
        f"[a](../16_tasks.ipynb) [y]({notebooks.repository()}nbs/runs/real.yaml)"
    assert docs.moved("[a](nbs/00_core.ipynb)", ROOT / "LOG.md") == "[a](00_core.ipynb)"
    assert docs.moved("```\n[a](../LOG.md)\n```", page) == "```\n[a](../LOG.md)\n```"


def test_every_stored_picture_has_a_text():
    for path in notebooks.notebooks():
        for cell in docs.page(path).cells:
            kinds = [kind for output in cell.get("outputs", []) for kind in output.get("data", {})]
            if not any("image" in kind for kind in kinds): continue
            words = cell.metadata["mystnb"]["image"]["alt"].split()
            assert len(words) > 2, (path.name, cell.source[-80:])


def test_a_pictures_text_is_that_of_the_function_that_draws_it():
    own = docs.drawing('@figure\ndef mine(x):\n    "What mine shows."\ndef other(x): pass')
    assert docs.alternative("save(mine(1)); axes.legend(2); other(3)", "Above it.", own) == "What mine shows."
    assert docs.alternative("legend(fig)", "First of all. This stands above.", own) == "This stands above."
    assert docs.alternative("learning_curve(1)", "Above it.", {}) == docs.figures()["learning_curve"]


def test_the_reference_shows_docments_and_methods():
    text = docs.reference(ROOT / "azr" / "statistics.py")
    assert "## bootstrap" in text and "# one for each task" in text and "*" not in text.split("## bootstrap")[1][:3]
    assert "np.quantile" not in text   # no bodies
    assert "### System" not in text and "### Exam.ask" in docs.reference(ROOT / "azr" / "evals.py")
    for path in docs.modules(): assert docs.reference(path).startswith(f"# azr.{path.stem}\n")


def test_a_page_without_outputs_says_why():
    unrun = [path for path in notebooks.notebooks() if docs.NOT_RUN in str(docs.page(path))]
    assert {path.parent.name for path in unrun} == {"runs"}


def test_faults_are_found(tmp_path):
    (tmp_path / "a.html").write_text('<p id="x"><a href="b.html#y">1</a><a href="c.html">2</a><img src="d.png"></p>')
    (tmp_path / "b.html").write_text('<a href="a.html#x">fine</a><a href="https://nowhere.example">not ours</a>')
    assert docs.faults(tmp_path) == [
        "a.html: b.html#y has no such anchor", "a.html: c.html leads nowhere",
        "a.html: d.png has no text for who cannot see it", "a.html: d.png is no file"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    "The whole site, built in a folder of its own by a process that has no network to ask."
    if not importlib.util.find_spec("myst_nb"): pytest.skip("no Sphinx with myst-nb here: `make docs` installs them")
    place = tmp_path_factory.mktemp("site")
    script = ("import sys; sys.path.insert(0, '.ci'); import docs; from pathlib import Path\n"
              "import socket; socket.socket.connect = None   # whoever calls it fails\n"
              "place = Path(sys.argv[1]); docs.STAGED, docs.SITE = place / 'docs', place / 'html'\n"
              "sys.exit(docs.main())")
    done = subprocess.run([sys.executable, "-c", script, str(place)], cwd=ROOT, capture_output=True, text=True)
    assert not done.returncode, done.stdout[-2000:] + done.stderr[-2000:]
    return place / "html"


@pytest.mark.slow
def test_the_site_is_whole(site):
    assert {"index.html", "LOG.html", "api/selfplay.html", "05_selfplay.html", "runs/real.html", "search.html",
            "tutorials/domain.html"} <= {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    text = (site / "index.html").read_text(encoding="utf-8")
    assert "theme-toggle" in text   # light and dark
    assert not re.findall(r'<(?:img|iframe)[^>]*src="https?:', text)


@pytest.mark.slow
@pytest.mark.skipif(not BROWSER, reason="no Chromium on PATH")
def test_the_site_is_searched_in_a_browser(site, tmp_path):
    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": always(None)})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        at = f"http://127.0.0.1:{server.server_port}"
        def seen(page, *words): # what stands in the page once its scripts have run
            options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path}", *words,
                       "--virtual-time-budget=15000", "--enable-logging=stderr", "--dump-dom"]
            done = subprocess.run([BROWSER, *options, at + page], capture_output=True, text=True, timeout=300,
                                  env=os.environ | {"HOME": str(tmp_path)})
            assert not re.findall("Uncaught", done.stderr), done.stderr[-1000:]
            return done.stdout
        found = seen("/search.html?q=learnability")
        assert "03_rewards.html" in found and re.search(r"Search finished|found \d+ page", found)
        wide = seen("/05_selfplay.html", "--window-size=1400,900")
        assert "<h1>" in wide
        server.shutdown()
