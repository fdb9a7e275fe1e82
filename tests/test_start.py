"What a worker needs to start, whom it tells when it cannot, and callers without standard streams."

import ast
import os
import shutil
import subprocess
import sys

import pytest

import azr.executor as executor
from conftest import ROOT
from azr.executor import Call, Executor, _jail_trouble
from azr.safety import ProgramStatus

INC = Call("def f(x): return x + 1", "41")
NO_JAIL = pytest.mark.skipif(bool(_jail_trouble()), reason=_jail_trouble())
BOTH = ["process", pytest.param("jail", marks=NO_JAIL)]
LIBRARY = "int needed(void) { return 0; }"
PROGRAM = """#include <unistd.h>
int needed(void);
int main(int n, char **words) { words[0] = PYTHON; execv(PYTHON, words + needed()); return 1; }
"""


@pytest.fixture
def fresh():
    "What is known of this machine is asked again, before and after."
    known = (executor._jail_trouble, executor._libraries)
    for cached in known:
        cached.cache_clear()
    yield
    for cached in known:
        cached.cache_clear()


@pytest.fixture
def needy(tmp_path_factory, monkeypatch, fresh):
    "An interpreter that starts only with LD_LIBRARY_PATH, like a cluster's; the folder of its library."
    if not (compiler := shutil.which("cc") or shutil.which("gcc")):
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("cluster")
    places = {name: folder / name for name in ("lib", "bin")}
    for place in places.values():
        place.mkdir()
    library, program = places["lib"] / "libneeded.so", places["bin"] / "python"
    (folder / "needed.c").write_text(LIBRARY)
    (folder / "main.c").write_text(PROGRAM.replace("PYTHON", f'"{executor.PYTHON}"'))
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, folder / "needed.c"], check=True)
    subprocess.run([compiler, "-o", program, folder / "main.c", "-L", places["lib"], "-lneeded"], check=True)
    for place in (folder, *folder.parents):  # nobody may read them, too
        if place.owner() == folder.owner() and str(place) != "/tmp":
            os.chmod(place, 0o755)
    (places["lib"] / "secret.txt").write_text("7419")
    monkeypatch.setattr(executor, "PYTHON", str(program))
    return places["lib"]


def test_without_its_library_a_worker_says_so(needy, monkeypatch):
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    with Executor(workers=1, isolation="process") as e:
        with pytest.raises(RuntimeError, match="No worker can start.*libneeded.so"):
            e.run([INC])


def test_a_worker_starts_with_the_libraries_of_its_interpreter(needy, monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", str(needy))
    with Executor(workers=1, isolation="process") as e:
        assert e.run([INC])[0].value == "42"


@NO_JAIL
def test_the_jail_has_the_libraries_and_nothing_beside_them(monkeypatch, tmp_path, fresh):
    "An interpreter of the system maps the copy of a library that lies in the folder; only that file is in the jail."
    maps = subprocess.run(
        [executor.PYTHON, "-S", "-c", "import math; print(open('/proc/self/maps').read())"],
        capture_output=True,
        text=True,
    ).stdout
    used = sorted({line.split()[-1] for line in maps.splitlines() if "/libm.so" in line or "/libm-" in line})
    if not used:
        pytest.skip("this interpreter maps no libm.so of its own")
    folder = tmp_path / "lib"
    folder.mkdir()
    copy = shutil.copy(used[0], folder / os.path.basename(used[0]))
    (folder / "secret.so").write_text("7419")
    for place in (folder, *folder.parents):
        if place.owner() == folder.owner() and str(place) != "/tmp":
            os.chmod(place, 0o755)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))
    assert executor._libraries(executor.PYTHON, str(folder)) == (str(copy),)

    class Unhooked(Executor):
        _hook = False

    with Unhooked(workers=1, isolation="jail", policy=None) as e:
        outcome = e.run([Call(f"import os\ndef f(x): return os.listdir({str(folder)!r})", "1")])[0]
    assert outcome.value == f"[{os.path.basename(copy)!r}]", outcome


@pytest.mark.parametrize("isolation", BOTH)
def test_programs_see_nothing_of_what_a_worker_starts_with(monkeypatch, tmp_path, isolation, fresh):
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    monkeypatch.setenv("A_SECRET_TOKEN", "7419")

    class Unhooked(Executor):
        _hook = False

    with Unhooked(workers=1, isolation=isolation, policy=None) as e:
        value = e.run([Call("import os\ndef f(x): return sorted(os.environ)", "1")])[0].value
    assert set(ast.literal_eval(value)) - {"__CF_USER_TEXT_ENCODING"} == {"LC_ALL", "PYTHONHASHSEED"}


def test_a_home_of_the_interpreter_is_handed_on(monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/no/such/home")
    with Executor(workers=1, isolation="process") as e:
        with pytest.raises(RuntimeError, match="No worker can start.*(encodings|codec|home)"):
            e.run([INC])


# ---- callers without standard streams

SCRIPT = """
import os, sys
closed = [int(n) for n in sys.argv[1].split(",") if n]
out = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
while out <= 2: out = os.dup(out)
for fd in closed: os.close(fd)
from azr.executor import Call, Executor
with Executor(workers=2, timeout=2, isolation=sys.argv[3]) as executor:
    calls = [Call(f"def f(x): return x + {n}", "1") for n in range(50)]
    calls.append(Call("import math\\ndef f(x): return math.floor(x)", "2.5"))
    calls.append(Call("def f(x):\\n    print('noise')\\n    raise ValueError('no')", "1"))
    outcomes = executor.run(calls, twice=True, progress="calls")
    free = [fd for fd in closed if os.path.exists(f"/proc/self/fd/{fd}")]
    right = [str(n + 1) for n in range(50)] + ["2", "ValueError: no"]
    told = [o.value or o.error for o in outcomes] == right, executor.stats()["restarts"], free
    os.write(out, repr(told).encode())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("isolation", BOTH)
@pytest.mark.parametrize("closed", ["0", "1", "2", "0,1", "0,2", "1,2", "0,1,2"])
def test_closed_streams_cost_nothing(closed, isolation, tmp_path):
    "And no pipe of ours takes the number of a stream: whoever prints would speak to a worker."
    told = tmp_path / "told"
    subprocess.run([sys.executable, "-c", SCRIPT, closed, str(told), isolation], cwd=ROOT, timeout=120)
    assert told.read_text() == "(True, 0, [])"


@pytest.mark.parametrize("closed, redirection", [("2", ""), ("", "2>&-")])
def test_a_bar_that_nobody_can_see_costs_nothing(closed, redirection, tmp_path):
    "It appears after two seconds."
    told, slow = tmp_path / "told", "    calls.insert(0, Call('def f(x):\\n    while True: pass', '1'))\n    outcomes ="
    script = SCRIPT.replace("    outcomes =", slow).replace("in outcomes]", "in outcomes[1:]]")
    script = script.replace("workers=2", "workers=1")
    subprocess.run(["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-c", script, closed, str(told),
                    "process"], cwd=ROOT, timeout=120)
    assert told.read_text() == "(True, 0, [])"


@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_a_shell_closed(redirection, tmp_path):
    told = tmp_path / "told"
    subprocess.run(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", sys.executable, "-c", SCRIPT, "", str(told), "process"],
        cwd=ROOT,
        timeout=120,
    )
    assert told.read_text() == "(True, 0, [])"


# ---- a worker that dies before its first answer


def broken(monkeypatch, tmp_path, times: int, end: str):
    "Workers that end as told, so many times; then they work."
    count = tmp_path / "count"
    count.write_text("")
    said = f"n = len(open({str(count)!r}).read())\nopen({str(count)!r}, 'a').write('.')"
    boot = f"import sys, os\n{said}\nif n < {times}:\n    {end}\n"
    monkeypatch.setattr(executor, "_BOOT", boot + executor._BOOT)
    return count


@pytest.mark.parametrize(
    "end, words",
    [
        ("raise OSError('no room for a worker')", "no room for a worker"),
        ("os.write(2, b'killed by the scheduler\\n'); os._exit(3)", "killed by the scheduler"),
        ("os.kill(os.getpid(), 9)", "no message, status -9"),
        ("os._exit(0)", "no message, status 0"),
    ],
)
def test_a_worker_without_a_first_answer_is_an_error(monkeypatch, tmp_path, end, words):
    count = broken(monkeypatch, tmp_path, 100, end)
    with Executor(workers=1, isolation="process") as e:
        with pytest.raises(
            RuntimeError, match=f"No worker can start: the last one ended before its first answer .*{words}"
        ):
            e.run([INC] * 3)
    assert len(count.read_text()) == 2


def test_one_worker_that_was_killed_young_costs_nothing(monkeypatch, tmp_path):
    broken(monkeypatch, tmp_path, 1, "os.kill(os.getpid(), 9)")
    with Executor(workers=1, isolation="process") as e:
        assert [o.value for o in e.run([INC] * 3)] == ["42"] * 3


def test_a_supervisor_that_fails_says_why(monkeypatch, tmp_path):
    "After it has begun to serve, too: its words come through the pipe that it was given."
    failing = "import azr.worker as w; w._Supervisor.fork = lambda self, work: {}['a fork']; work()"
    monkeypatch.setattr(executor, "_BOOT", executor._BOOT.replace("work()", failing))
    with Executor(workers=1, isolation="process") as e:
        with pytest.raises(RuntimeError, match="KeyError: 'a fork'"):
            e.run([INC])


def test_a_program_that_ends_its_worker_is_to_blame(monkeypatch):
    "Its worker has answered: us."

    class Open(Executor):
        _hook = _check = False

    kill = "import os, signal\ndef f(x):\n    os.kill(os.getppid(), signal.SIGKILL)\n    while True: pass"
    with Open(workers=1, isolation="process", policy=None) as e:
        assert e.run([Call(kill, "1"), INC])[0].status is ProgramStatus.CRASHED
