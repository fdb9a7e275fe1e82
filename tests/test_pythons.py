"""The executor's word on every Python that there is.

What is no program is SYNTAX, what is legitimate has the value of a plain run, what is refused is UNSAFE, and no way
leads out. The interpreters: those named in AZR_PYTHONS (paths, between colons), or those found as pythonX.Y on PATH and
among pyenv's versions."""

import glob
import json
import os
import shutil
import subprocess
import sys

import pytest

from conftest import ROOT
from legitimate import REFUSED, USES, plain
from syntax import ARGUMENTS, FORMS
from test_attacks import REACHED, WAYS_OUT
from azr.executor import Call, Executor
from azr.safety import ProgramStatus, check_expression, check_program

VERSIONS = ("3.11", "3.12", "3.13", "3.14")


def answers(python: str) -> bool:
    "Whether it is a Python that we support."
    try:
        done = subprocess.run(
            [python, "-c", "import sys; print(sys.version_info >= (3, 11))"], capture_output=True, text=True
        )
    except OSError:
        return False
    return done.stdout.strip() == "True"


def pythons() -> dict[str, str]:  # version -> path; None where there is none
    "One interpreter for each version, ours for its own."
    named = [p for p in os.environ.get("AZR_PYTHONS", "").split(os.pathsep) if p]
    found = {}
    for version in VERSIONS:
        places = named or [*filter(None, [shutil.which(f"python{version}")]),
                           *sorted(glob.glob(os.path.expanduser(f"~/.pyenv/versions/{version}.*/bin/python")))]
        running = [p for p in places if answers(p) and version == version_of(p)]
        found[version] = running[0] if running else None
    return found | {"%d.%d" % sys.version_info[:2]: sys.executable}


def version_of(python: str) -> str:
    return subprocess.run(
        [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, text=True
    ).stdout.strip()


PYTHONS = pythons()
EACH = [
    pytest.param(path, id=version,
                 marks=() if path else pytest.mark.skip(reason=f"no Python {version} here: name one in AZR_PYTHONS"))
    for version, path in PYTHONS.items()
]

SCRIPT = """
import json, sys
from azr.executor import Call, Executor
from azr.safety import Safety, check_program
assert not {"torch", "numpy", "transformers"} & sys.modules.keys(), "a worker's module loads a large package"
calls, settings = json.load(sys.stdin)
class Unchecked(Executor): _check = False
more = settings.pop("more", ())
kind = Unchecked if settings.pop("unchecked", False) else Executor
with kind(workers=2, timeout=2, policy=Safety(imports=(*Safety().imports, *more)), **settings) as executor:
    outcomes = executor.run([Call(*call) for call in calls])
    print(json.dumps([[[str(o.status), o.value, o.error] for o in outcomes], executor.stats()["restarts"]]))
"""


def told(python: str, calls: list, **settings) -> list:  # [status, value, error] of each
    "What an interpreter's executor makes of calls."
    done = subprocess.run([python, "-W", "ignore", "-c", SCRIPT], input=json.dumps([calls, settings]), cwd=ROOT,
                          capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
    assert done.returncode == 0, done.stderr[-2_000:]
    outcomes, restarts = json.loads(done.stdout)
    assert restarts == 0
    return outcomes


# ---- syntax errors


@pytest.mark.parametrize("name", FORMS)
def test_what_is_no_program_is_syntax(name):
    verdict = check_program(FORMS[name])
    assert verdict.status is ProgramStatus.SYNTAX and verdict.detail.startswith("line "), verdict


@pytest.mark.parametrize("python", EACH)
def test_a_worker_says_so_too(python):
    outcomes = told(python, [(form, "1") for form in FORMS.values()])
    assert {name: (status, error)
            for name, (status, _, error) in zip(FORMS, outcomes)
            if status != "syntax" or not error.startswith("line ")} == {}


@pytest.mark.parametrize("python", EACH)
@pytest.mark.parametrize("kind", ["literal", "expression"])
def test_arguments_that_are_none(python, kind):
    outcomes = told(python, [("def f(*a, **k): return a", args) for args in ARGUMENTS.values()], arguments=kind)
    assert {
        name: (status, error) for name, (status, _, error) in zip(ARGUMENTS, outcomes) if status != "bad_arguments"
    } == {}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_an_expression_that_is_none(name):
    assert check_expression(ARGUMENTS[name]).status is ProgramStatus.BAD_ARGUMENTS


@pytest.mark.parametrize("settings", [dict(), dict(policy=None)], ids=["safety rule", "none"])
def test_a_syntax_error_costs_no_worker(settings):
    "Neither a worker nor its runner: the process that runs the next plain program is the one that ran the last."
    address = Call("def f(x): return id(f) > 0, x", "1")
    with Executor(workers=1, timeout=2, **settings) as executor:
        executor.run([address])
        runners = children_of(executor)
        outcomes = executor.run([Call(form, "1") for form in FORMS.values()])
        assert [o.status for o in outcomes] == [ProgramStatus.SYNTAX] * len(FORMS)
        assert executor.stats()["restarts"] == 0
        if not settings:
            assert children_of(executor) == runners
        assert max(o.seconds for o in outcomes) < 0.5


def children_of(executor) -> set[int]:
    "Process ids below the executor's workers, where /proc tells."
    from test_executor import descendants

    if not os.path.isdir("/proc/self"):
        pytest.skip("reads /proc")
    return {pid for worker in executor._pools[0].workers for pid in descendants(worker.process.pid)}


# ---- legitimate uses


@pytest.mark.parametrize("python", EACH)
def test_legitimate_uses_have_the_value_of_a_plain_run(python):
    done = subprocess.run(
        [python, str(ROOT / "tests" / "legitimate.py")], input=json.dumps(USES), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    right = json.loads(done.stdout)
    outcomes = told(python, [(program, "1") for program in USES.values()])
    assert {name: (status, value, error, right[name])
            for name, (status, value, error) in zip(USES, outcomes)
            if status != "ok" or value != right[name]} == {}


def test_every_allowed_module_has_its_uses():
    from azr.safety import Safety

    assert {name.split(":")[0].split(".")[0] for name in USES} >= set(Safety().imports)


@pytest.mark.parametrize("python", EACH)
def test_what_is_refused_is_no_result(python):
    outcomes = told(python, [(program, "1") for program in REFUSED.values()])
    assert {
        name: (status, value, error) for name, (status, value, error) in zip(REFUSED, outcomes) if status != "unsafe"
    } == {}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_would_have_had_a_result(name):
    assert plain(REFUSED[name])


# ---- what is imported late

LATE = """
import ast, sys
from azr.safety import Safety, importlib
for name in Safety().imports: importlib.import_module(name)
allowed = [m for name, m in list(sys.modules.items()) if name.split(".")[0] in Safety().imports]
roots = [m for m in allowed if (getattr(m, "__file__", None) or "").endswith(".py")]
found = set()
for module in roots:
    tree = ast.parse(open(module.__file__, encoding="utf-8").read())
    functions = [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))]
    for node in (n for function in functions for n in ast.walk(function)):
        if isinstance(node, ast.Import): found.update(alias.name for alias in node.names)
        home = module.__package__ + "." if getattr(node, "level", 0) else ""
        if isinstance(node, ast.ImportFrom): found.add(home + (node.module or ""))
print(*sorted(found - set(sys.builtin_module_names)))
"""


@pytest.mark.parametrize("python", EACH)
def test_what_a_module_imports_when_it_is_used_is_there(python):
    "Every import inside a function of an allowed module, by the module's own source."
    names = subprocess.run([python, "-c", LATE], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert "unicodedata" in names
    walk = "s = next(c for c in object.__subclasses__() if c.__name__ == '_wrap_close').__init__.__globals__['sys']\n"
    program = walk + f"def f(x): return [n for n in {names!r} if n not in s.modules]"
    assert told(python, [(program, "1")], unchecked=True) == [["ok", "[]", None]]


@pytest.mark.parametrize("python", EACH)
def test_modules_that_a_safety_rule_adds_find_theirs(python):
    programs = {
        "import datetime\ndef f(x): return datetime.datetime.strptime('2020-02-03', '%Y-%m-%d').day": "3",
        "import random\ndef f(x): return random.Random('a').random() < 1": "True",
        "import time\ndef f(x): return time.strptime('2020', '%Y').tm_year": "2020",
        "import time\ndef f(x): return time.sleep(0)": "None",   # an event for the hook from 3.13 on
        "from datetime import date\ndef f(x): return f'{date(2020, 1, 2):%d.%m.}'": "'02.01.'",
    }
    outcomes = told(python, [(program, "1") for program in programs], more=["datetime", "random", "time"])
    assert [value for _, value, _ in outcomes] == list(programs.values()), outcomes


# ---- ways out


@pytest.mark.parametrize("python", EACH)
def test_no_way_leads_out(python):
    outcomes = told(python, [(REACHED + program, "1") for program in WAYS_OUT.values()])
    assert {name: (status, value, error)
            for name, (status, value, error) in zip(WAYS_OUT, outcomes)
            if status not in ("unsafe", "raised")} == {}
