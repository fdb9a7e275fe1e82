"Repositories as values: diffs, edits, tools, the rule on edits; suites in the jail, against hostile code."
import json, os, random, signal, subprocess, sys, tempfile, time
from pathlib import Path

import pytest

from azr.core import Status
from azr.executor import _jail_trouble
from azr.workspace import (
    Refused, Repository, RepositoryStatus as S, Run, Suites, Workspace, applied, check_change, difference, edited,
    _powers, pytest_words, read_repository, refusal, _replaced_block, shipped, touched, undone)

NO_JAIL = pytest.mark.skipif(bool(_jail_trouble()), reason=_jail_trouble() or "the jail works")

ONE = Repository("one", {
    "one/__init__.py": "from .half import half\n",
    "one/half.py": "import math\n\ndef half(n):\n    return math.floor(n / 2)\n",
    "tests/test_half.py": "from one import half\n\ndef test_half():\n    assert half(4) == 2\n\n"
                          "def test_odd():\n    assert half(5) == 2\n",
}, ("one",))

def with_half(source: str) -> dict: return {**ONE.files, "one/half.py": source}

# ---- diffs

def random_files(rng: random.Random) -> dict[str, str]:
    def text(): return "".join(rng.choice("abc\n") for _ in range(rng.randrange(40)))
    return {f"p/{name}.py": text() for name in "xyz" if rng.random() < .8}

def test_a_diff_makes_one_set_of_files_the_other():
    rng = random.Random(0)
    for _ in range(300):
        old, new = random_files(rng), random_files(rng)
        empty = {path for path in {*old, *new} if not old.get(path) and not new.get(path)}   # no diff tells these
        old, new = ({path: text for path, text in own.items() if path not in empty} for own in (old, new))
        diff = difference(old, new)
        if not diff:
            assert old == new
            continue
        assert applied(old, diff) == new and undone(new, diff) == old
        assert set(touched(diff)) == {path for path in {*old, *new} if old.get(path) != new.get(path)}

def test_lines_may_have_moved_as_long_as_they_stand_in_one_place():
    old = {"p/a.py": "".join(f"{n}\n" for n in range(20))}
    diff = difference(old, {"p/a.py": old["p/a.py"].replace("10\n", "ten\n")})
    moved = {"p/a.py": "new\n" * 3 + old["p/a.py"]}
    assert applied(moved, diff)["p/a.py"] == moved["p/a.py"].replace("10\n", "ten\n")
    twice = {"p/a.py": "x\n" + old["p/a.py"] * 2}
    assert refusal(applied, twice, diff).status == S.NOT_APPLYING

GOOD = difference(ONE.files, with_half("import math\n\ndef half(n):\n    return math.ceil(n / 2)\n"))

@pytest.mark.parametrize("diff, status", [
    ("", S.BAD_DIFF),
    ("mend it\n", S.BAD_DIFF),
    (GOOD.replace("--- a/", "--- "), None),
    (GOOD.replace("@@ -1,4 +1,4 @@", "@@ -1,5 +1,4 @@"), S.BAD_DIFF),
    (GOOD.replace("@@ -1,4 +1,4 @@", "@@ here @@"), S.BAD_DIFF),
    (GOOD.replace("+++ b/one/half.py", "+++ b/one/other.py"), S.BAD_DIFF),
    (GOOD.replace("\n", "\r\n"), S.LINE_ENDS),
    (GOOD + "GIT binary patch\nliteral 3\n", S.BINARY),
    (GOOD + "Binary files a/x and b/x differ\n", S.BINARY),
    ("new file mode 120000\n" + GOOD, S.OUTSIDE),
    ("rename from one/half.py\nrename to one/x.py\n" + GOOD, S.BAD_DIFF),
    (GOOD.replace("one/half.py", "../one/half.py"), S.OUTSIDE),
    (GOOD.replace("a/one/half.py", "/etc/passwd"), S.OUTSIDE),
    (GOOD.replace("one/half.py", ".git/hooks/pre-commit"), S.OUTSIDE),
    (GOOD.replace("one/half.py", "one/../../x.py"), S.OUTSIDE),
    (GOOD.replace("one/half.py", "one\\half.py"), S.OUTSIDE),
    (GOOD.replace("one/half.py", "one/gone.py"), S.NOT_APPLYING),
    (GOOD.replace(" import math", " import cmath"), S.NOT_APPLYING),
    ("--- /dev/null\n+++ b/one/half.py\n@@ -0,0 +1 @@\n+x = 1\n", S.NOT_APPLYING),
    ("--- /dev/null\n+++ /dev/null\n@@ -0,0 +1 @@\n+x = 1\n", S.BAD_DIFF),
])
def test_every_bad_diff_has_its_status(diff, status):
    found = refusal(applied, ONE.files, diff)
    assert found is None if status is None else found.status == status and found.detail

def test_the_end_of_a_file_without_a_newline_comes_back():
    old, new = {"a.py": "x\ny"}, {"a.py": "x\nz"}
    assert applied(old, difference(old, new)) == new
    assert "\\ No newline" in difference(old, new)

# ---- edits and tools

def test_a_block_must_stand_there_once_as_whole_lines():
    text = "a\n  b\nc\na\n"
    assert _replaced_block(text, "  b\nc\n", "d\n") == "a\nd\na\n"
    assert refusal(_replaced_block, text, "a\n", "x\n").status == S.NOT_UNIQUE
    for search in ("b\n", "  b\nd\n", "", "\n"):
        assert refusal(_replaced_block, text, search, "x\n").status == S.NOT_FOUND

def block(path, old, new): return f"{path}\n<<<<<<< SEARCH\n{old}\n=======\n{new}\n>>>>>>> REPLACE\n"

@pytest.mark.parametrize("text, status", [
    ("", Status.MALFORMED), ("one/half.py", Status.MALFORMED), (block("one/gone.py", "a", "b"), S.NOT_FOUND),
    (block("one/half.py", "import math", "x") * 2, Status.MALFORMED), (block("../x.py", "a", "b"), S.OUTSIDE),
    (block("one/half.py", "import maths", "x"), S.NOT_FOUND),
])
def test_every_bad_edit_has_its_status(text, status):
    found = refusal(edited, ONE.files, text)
    assert found.status == status and found.detail

def tool(name, body): return f"<tool: {name}>\n{body}\n</tool>"

def test_tools_answer_every_wrong_call_with_a_sentence_and_what_is_left():
    work = Workspace(ONE, ONE.files, None, turns=9)
    for turn, said in (("I think", "one tool"), (tool("edit", "x") * 2, "one tool"),
                       (tool("bash", "ls"), "no tool 'bash'"),
                       (tool("edit", block("tests/test_half.py", "def test_odd():", "x")), "not source"),
                       (tool("create", "one/half.py\nx = 1"), "there already"),
                       (tool("create", "conftest.py\nx = 1"), "not source"),
                       (tool("create", "../x.py\nx = 1"), "no path inside")):
        assert said in (answer := work.act(turn)) and f"[{work.left} turns left]" in answer
    assert work.files == ONE.files
    assert "one/more.py is made" in work.act(tool("create", "one/more.py\nx = 1"))
    assert work.act(tool("submit", "")) is None and work.submitted and "one/more.py" in work.diff()

def test_a_call_that_a_stop_text_cut_is_read():
    work = Workspace(ONE, ONE.files, None, turns=3)
    work.act(tool("edit", block("one/half.py", "import math", "import cmath")).removesuffix("</tool>"))
    assert work.files["one/half.py"].startswith("import cmath")

def test_a_strict_attempt_ends_at_its_first_wrong_call():
    work = Workspace(ONE, ONE.files, None, turns=9, strict=True)
    assert work.act("I think") is None and work.failure.status == Status.MALFORMED

def test_turns_end():
    work = Workspace(ONE, ONE.files, None, turns=1)
    assert work.act("I think") is None and not work.submitted

# ---- the rule

HOSTILE = {
    "vars": "def half(n): return vars()['_' + '_builtins_' + '_']\n",
    "vars handed on": "f = vars\ndef half(n): return n // 2\n",
    "format": "def half(n): return '{0.gi_frame}'.format(x for x in [n])\n",
    "format_map": "def half(n): return '{n.real}'.format_map({'n': n})\n",
    "enum": "from enum import global_enum\ndef half(n): return n // 2\n",
    "wraps": "import functools\ndef half(n): return functools.wraps(half)(n)\n",
    "type under another name": "t = type\ndef half(n): return t('Any', (), {})\n",
    "eval bound elsewhere": "def g(eval=0): pass\ndef half(n): return eval('n // 2')\n",
    "any": "class Any:\n    def __eq__(self, other): return True\ndef half(n): return Any()\n",
    "any by assignment": "class Any:\n    __eq__ = lambda self, other: True\ndef half(n): return Any()\n",
    "any by type()": "def half(n): return type('Any', (), {'__e' + 'q__': max})()\n",
    "any by a metaclass": "class M(type): pass\nclass Any(metaclass=M): pass\ndef half(n): return Any\n",
    "a number of its own": "class N(int): pass\ndef half(n): return N(n)\n",
    "module replaced": "import math\nmath.isclose = max\ndef half(n): return math.floor(n / 2)\n",
    "module renamed": "import math\nm = math\ndef half(n): return m.floor(n / 2)\n",
    "module handed on": "import math\ndef g(m): m.floor = max\ng(math)\ndef half(n): return n // 2\n",
    "setattr": "import math\nsetattr(math, 'floor', max)\ndef half(n): return n // 2\n",
    "os": "import os\nos._exit(0)\ndef half(n): return n // 2\n",
    "sys": "from sys import exit\ndef half(n): exit(0)\n",
    "side door": "import dataclasses\ndef half(n): return dataclasses.sys.modules\n",
    "side door by from": "from dataclasses import sys\ndef half(n): return sys\n",
    "pytest": "import pytest\npytest.skip('later', allow_module_level=True)\ndef half(n): return n // 2\n",
    "_pytest": "from _pytest import runner\ndef half(n): return n // 2\n",
    "frames": "def half(n):\n    try: raise ValueError\n"
              "    except ValueError as e: return e.__traceback__.tb_frame.f_back\n",
    "globals": "def half(n): return half.__globals__\n",
    "eval": "def half(n): return eval('n // 2')\n",
    "import by name": "def half(n): return __import__('os')\n",
    "getattr": "def half(n): return getattr(half, '__glo' + 'bals__')\n",
    "attrgetter": "import operator\ndef half(n): return operator.attrgetter('__glo' + 'bals__')(half)\n",
    "format": "def half(n): return '{0.__globals__}'.format(half)\n",
    "subclasses": "def half(n): return object.__subclasses__()\n",
    "builtins": "def half(n): return __builtins__\n",
    "time": "import time\ndef half(n): return n // 2 if time.time() < 2e9 else n\n",
    "environment": "from os import environ\ndef half(n): return n // 2 if environ else n\n",
    "gc": "import gc\ndef half(n): return gc.get_objects()\n",
    "atexit": "import atexit\ndef half(n): return n // 2\natexit.register(half)\n",
    "ctypes": "import ctypes\ndef half(n): return n // 2\n",
    "a submodule": "import importlib.util\ndef half(n): return n // 2\n",
}

@pytest.mark.parametrize("name", HOSTILE)
def test_an_edit_gains_no_power(name):
    assert refusal(check_change, ONE, ONE.files, with_half(HOSTILE[name])).status == S.UNSAFE

@pytest.mark.parametrize("source", [
    "import hashlib\ndef half(n): return hashlib.md5(b'').digest()[0]\n",
    "def half(n): return len(open(__file__).read())\n",
    "import inspect\ndef half(n): return len(inspect.getsource(half))\n",
])
def test_code_that_reads_itself_is_named(source):
    assert refusal(check_change, ONE, ONE.files, with_half(source)).status == S.READS_ITSELF

@pytest.mark.parametrize("source", [
    "import math\n\ndef half(n):\n    return math.ceil(n / 2)\n",
    "from math import floor\nfrom . import __name__ as own\n\ndef half(n): return floor(n / 2)\n",
    "import itertools, functools\n\n@functools.cache\n"
    "def half(n): return sum(1 for _ in itertools.islice(range(n), 0, n, 2))\n",
    "class Half:\n    def __init__(self, n): self._n = n\n    def value(self): return self._n // 2\n"
    "def half(n): return Half(n).value()\n",
    "def half(n):\n    raise ValueError(f'{n!r} is odd') if n % 2 else n\n".replace(" if n % 2 else n", ""),
])
def test_ordinary_edits_pass(source):
    assert check_change(ONE, ONE.files, with_half(source)) == ["one/half.py"]

def test_no_shipped_repository_needs_a_power_that_others_would_be_refused():
    for repository in shipped().values():
        for path in repository.modules:
            own = _powers(repository.files[path], repository.packages)   # comparisons of its classes; no os, no eval
            assert all("__" in what or "its own" in what or what == "uses dataclass" for what in own), (path, own)

def test_a_power_of_the_file_stays_and_a_repair_may_bring_back_the_originals():
    eq = "class V:\n    def __eq__(self, other): return True\n"
    original, broken = with_half(eq), with_half("class V:\n    pass\n")
    assert check_change(ONE, original, with_half(eq + "x = 1\n")) == ["one/half.py"]
    assert refusal(check_change, ONE, broken, original).status == S.UNSAFE
    assert check_change(ONE, broken, original, original) == ["one/half.py"]

@pytest.mark.parametrize("path, status", [
    ("conftest.py", S.NOT_SOURCE), ("one/conftest.py", S.NOT_SOURCE), ("sitecustomize.py", S.NOT_SOURCE),
    ("one/sitecustomize.py", S.NOT_SOURCE), ("tests/test_half.py", S.NOT_SOURCE), ("one/test_more.py", S.NOT_SOURCE),
    ("pytest.ini", S.NOT_SOURCE), ("pyproject.toml", S.NOT_SOURCE), ("pytest.py", S.NOT_SOURCE),
    ("one/x.so", S.NOT_SOURCE), ("one/x.pth", S.NOT_SOURCE), (".git/hooks/pre-commit", S.OUTSIDE),
    ("/tmp/x.py", S.OUTSIDE), ("one/../x.py", S.OUTSIDE),
])
def test_only_source_is_changed(path, status):
    assert refusal(check_change, ONE, ONE.files, {**ONE.files, path: "x = 1\n"}).status == status

# ---- anyone's repository

@pytest.fixture
def package(tmp_path) -> Path:
    "A package with a source folder, written out."
    for path, text in {"src/thing/__init__.py": "x = 1\n", "src/thing/core.py": "y = 2\n", "setup.py": "",
                       "README.md": "",
                       "tests/test_x.py": "from thing import x\ndef test_x(): assert x == 1\n"}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "data.bin").write_bytes(b"\xff\x00")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("secret")
    (tmp_path / "link.py").symlink_to("/etc/passwd")
    return tmp_path

def test_a_package_under_src_is_read_and_not_written_to(package):
    before = sorted((path, path.stat().st_mtime_ns) for path in package.rglob("*"))
    found = read_repository(package, "python -m pytest -q tests")
    assert found.sources == ("src/thing",) and found.command == ("-q", "tests")
    assert found.modules == {"src/thing/__init__.py": "thing", "src/thing/core.py": "thing.core"}
    assert found.files["data.bin"] == b"\xff\x00" and not {"link.py", ".git/config"} & set(found.files)
    with Suites(seconds=5) as suites: report, = suites.run([Run(found, found.files, ("thing.core",))])
    assert report.passed == {"tests/test_x.py::test_x"} and not report.imports
    assert sorted((path, path.stat().st_mtime_ns) for path in package.rglob("*")) == before

def test_what_is_no_repository_is_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="no folder"): read_repository(tmp_path / "gone")
    with pytest.raises(ValueError, match="no Python package"): read_repository(tmp_path)
    (tmp_path / "a.py").write_text("x = 1\n")
    with pytest.raises(ValueError, match="no test file"): read_repository(tmp_path)
    (tmp_path / "test_a.py").write_text("def test_x(): pass\n")
    with pytest.raises(ValueError, match="one call of pytest"): read_repository(tmp_path, "make test")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ValueError, match="git is not installed"): read_repository("https://example.org/x.git")

def test_an_address_that_cannot_be_cloned_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(ValueError, match="cannot be cloned"): read_repository(f"file://{tmp_path}/gone.git")
    assert not list(tmp_path.iterdir())

@pytest.mark.parametrize("script", [
    "", "#", "pytest; ls", "pytest | tail", "pytest > log", "pytest -p x", "pytest -c x.ini", "pytest --rootdir /",
    "pytest 'unclosed", "sh -c pytest", "pytest\npytest", "pytest /etc", "python -c 'import pytest'",
    "pytest -o addopts=x", "pytest $HOME"])
def test_a_script_is_one_pytest_command(script):
    with pytest.raises(ValueError, match="test command"): pytest_words(script, ONE.files)

# ---- in the jail, past the rule: what happens if hostile code runs after all

RUNNING = {
    "exit": "import os\nos._exit(0)\n",
    "exit at a call": "import os\ndef half(n): os._exit(0)\n",
    "kills the server": "import os\nos.kill(os.getppid(), 9)\n",
    "kills all": "import os\nos.kill(-1, 9)\n",
    "forges on every pipe": "import os, marshal\nnames = ['half', 'odd']\n"
                            "passed = {f'tests/test_half.py::test_{name}': 'passed' for name in names}\n"
                            "for fd in range(1, 64):\n"
                            "    try: os.write(fd, marshal.dumps((b'x' * 16, 0, passed, {}, {})))\n"
                            "    except OSError: pass\nos._exit(0)\n",
    "prints results": "import json\npassed = {'outcomes': {'tests/test_half.py::test_half': 'passed'}}\n"
                      "print(json.dumps(['0', passed]))\ndef half(n): return 0\n",
    "loops": "while True: pass\n",
    "sleeps": "import time\ntime.sleep(1e6)\n",
    "rewrites the tests": "from pathlib import Path\nfor p in Path('tests').glob('*'): p.write_text('')\n"
                          "def half(n): return 0\n",
    "system exit": "raise SystemExit(0)\n",
    "keyboard interrupt": "def half(n): raise KeyboardInterrupt\n",
    "too much memory": "x = [0] * 10**10\ndef half(n): return 0\n",
}

@NO_JAIL
def test_hostile_code_passes_nothing_and_harms_no_other_run():
    sources = list(RUNNING.values())
    runs = [Run(ONE, with_half(source)) for source in sources]
    mixed = [run for one in runs for run in (one, Run(ONE, ONE.files))]
    with Suites(seconds=1) as suites:
        suites.limits = type(suites.limits)(suites.limits.folder, 1, 1024, "jail")
        reports = suites.run(mixed)
        assert not [path for path in suites.limits.folder.iterdir() if path.name != "lock"]
    every = {"tests/test_half.py::test_half", "tests/test_half.py::test_odd"}
    for name, report in zip(RUNNING, reports[::2]): assert report.passed != every, name
    for name, report in zip(RUNNING, reports[1::2]): assert report.passed == every, f"beside {name}"
    assert not Path(suites.limits.folder).exists()

JUDGES = {
    "a test that runs nothing": "import _pytest.python as p\ndef ok(self): pass\np.Function.runtest = ok\n",
    "other code in a function": "import _pytest.runner as r\ndef ok(c, r): return False\n"
                                "r.check_interactive_exception.__code__ = ok.__code__\n",
    "a case that runs nothing": "import unittest\nunittest.TestCase.run = print\n",
    "everything is true": "import builtins\nbuiltins.all = bool\n",
}

def test_a_run_in_which_a_judge_was_replaced_counts_for_nothing():
    fair = "def half(n):\n    return n // 2\n"
    with Suites(seconds=2) as suites:
        reports = suites.run([Run(ONE, with_half(text + fair)) for text in ("", *JUDGES.values())])
    assert reports[0].trouble is None and len(reports[0].passed) == 2
    for name, report in zip(JUDGES, reports[1:]): assert report.trouble.status == S.REPLACED, (name, report)

@NO_JAIL
def test_nothing_outside_is_seen_or_reached():
    source = """import os, socket
def half(n):
    assert not any(map(os.path.exists, ("/etc/passwd", "/proc/self", "/root/.ssh")))
    try: socket.create_connection(("1.1.1.1", 53), .2)
    except OSError: pass
    else: raise AssertionError("the network")
    for place in ("one/half.py", "tests/new.py", "/tmp/x", "/usr/x"):
        try: open(place, "w")
        except OSError: continue
        raise AssertionError(place)
    return n // 2
"""
    with Suites(seconds=2, isolation="jail") as suites: report, = suites.run([Run(ONE, with_half(source))])
    assert len(report.passed) == 2, report.output

@NO_JAIL
def test_a_shell_sees_the_files_and_changes_none():
    with Suites(seconds=2, isolation="jail") as suites:
        ended = suites.shell("cat one/half.py; echo x > one/half.py; cat /etc/passwd", ONE.files)
    assert "math.floor" in ended.output and "Read-only" in ended.errors and "root:" not in ended.output

@NO_JAIL
def test_a_killed_process_leaves_no_process_and_the_next_one_removes_its_folder(tmp_path):
    import psutil
    script = ("from azr.workspace import *\nfrom azr.workspace import Run\n"
              "test = 'def test_x():\\n    while True: pass\\n'\n"
              "r = Repository('l', {'l.py': 'x = 1\\n', 'test_l.py': test}, ('l.py',))\n"
              "with Suites(seconds=100) as s:\n    print(s.limits.folder, flush=True)\n    s.run([Run(r, r.files)])\n")
    told = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=told)
    folder = process.stdout.readline().strip()
    def inside():
        every = psutil.process_iter(["cmdline"])
        return [process.pid for process in every if folder in " ".join(process.info["cmdline"] or ())]
    for _ in range(600):
        if inside(): break
        time.sleep(.05)
    assert inside(), "the test would say nothing"
    process.send_signal(signal.SIGKILL)
    process.wait()
    for _ in range(600):
        if not inside(): break
        time.sleep(.05)
    assert not inside() and Path(folder).exists()
    script = "from azr.workspace import Suites\nwith Suites(): pass"
    subprocess.run([sys.executable, "-c", script], env=told, check=True)
    assert not list(tmp_path.iterdir())


def served(scratch, jobs):
    asked = json.dumps({"jobs": jobs, "scratch": str(scratch), "jailed": False})
    return subprocess.run([sys.executable, "-c", "from azr.suite import serve; serve()"], input=asked, text=True,
                          capture_output=True)


def test_a_suite_that_waits_is_ended_by_the_clock_and_says_so(tmp_path):
    for name in ("tree", "scratch"): (tmp_path / name).mkdir()
    (tmp_path / "tree" / "test_it.py").write_text("import time\n\ndef test_it(): time.sleep(60)\n")
    job = {"name": "one", "folder": str(tmp_path / "tree"), "seconds": 20, "wall": 2, "paths": ["."], "modules": [],
           "arguments": ["-q"]}
    (_, said), = map(json.loads, served(tmp_path / "scratch", [job]).stdout.splitlines())
    assert (said["reason"], said["limit"], said["outcomes"]) == ("time", "2 seconds by the clock", {})


def test_only_what_suites_have_left_is_taken_away(tmp_path):
    (tmp_path / "mine" / "deep").mkdir(parents=True)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "test_it.py").write_text(
        "import os, pathlib\n\ndef test_it():\n    home = pathlib.Path(os.environ['HOME'])\n"
        "    assert not [*home.iterdir()] and [*home.parent.iterdir()] == [home]\n"
        "    (home.parent / 'left').mkdir(), (home / 'left').write_text('x'), (home.parent / 'file').write_text('x')\n")
    job = {"folder": str(tmp_path / "tree"), "seconds": 20, "wall": 60, "paths": ["."], "modules": [],
           "arguments": ["-q"]}
    jobs = [job | {"name": name} for name in ("one", "two")]
    done = served(tmp_path, jobs)
    assert done.returncode and "is not empty" not in done.stdout and "not empty: give a new folder" in done.stderr
    (tmp_path / "scratch").mkdir()
    found = [json.loads(line)[1]["outcomes"] for line in served(tmp_path / "scratch", jobs).stdout.splitlines()]
    assert [[*one.values()] for one in found] == [["passed"], ["passed"]]
    assert (tmp_path / "mine" / "deep").is_dir() and (tmp_path / "tree" / "test_it.py").exists()
