"""Attacks on the executor, one property each; then recovery, order, neighbours, and the death of the parent."""
import glob, os, shutil, signal, subprocess, sys, textwrap, threading, time, warnings
from pathlib import Path

import pytest

from azr.core import Status
from azr.executor import _ISOLATIONS, Call, Executor, _jail_trouble, _warn_without_jail
from azr.safety import ProgramStatus, Safety, check_expression, check_program
from azr.values import equal, parse_literal
from conftest import always

INC = Call("def f(x): return x + 1", "41")
LOOP = Call("def f(x):\n    while True: pass", "1")

LAYERS = ["process", pytest.param("jail", marks=pytest.mark.skipif(bool(_jail_trouble()), reason=_jail_trouble()))]

class Unchecked(Executor):
    "Without the look before the run, so that the lines behind it are tested."
    _check = False

@pytest.fixture(scope="module")
def executor():
    with Executor(workers=2, timeout=.3, memory_mb=128) as e: yield e

@pytest.fixture(scope="module")
def unchecked():
    with Unchecked(workers=2, timeout=.3, memory_mb=128) as e: yield e

def one(executor, program, args="1", **kwargs): return executor.run([Call(textwrap.dedent(program), args)], **kwargs)[0]

# the safety rule: what does not even start

UNSAFE = {
    "import": "import os\ndef f(x): return os.getcwd()",
    "import inside": "def f(x):\n    import subprocess as s\n    return 1",
    "from": "from os import path\ndef f(x): return 1",
    "relative": "from . import core\ndef f(x): return 1",
    "submodule of a stranger": "import concurrent.futures\ndef f(x): return 1",
    "sys": "import sys\ndef f(x): return sys.modules",
    "private name of a module": "from collections import __builtins__ as b\ndef f(x): return 1",
    "__import__": "def f(x): return __import__('os')",
    "eval": "def f(x): return eval('x')",
    "exec as a value": "def f(x): return list(map(exec, ['1']))",
    "open": "def f(x): return open('/etc/passwd').read()",
    "globals": "def f(x): return globals()",
    "input": "def f(x): return input()",
    "breakpoint": "def f(x): breakpoint()",
    "__builtins__": "def f(x): return __builtins__",
    "subclasses": "def f(x): return ().__class__.__base__.__subclasses__()",
    "function globals": "def f(x): return f.__globals__",
    "self of a builtin": "def f(x): return print.__self__",
    "generator frame": "def f(x): return (i for i in []).gi_frame",
    "traceback frame": "def f(x):\n    try: 1 / 0\n    except Exception as e: return e.__traceback__",
    "getattr computed": "def f(x): return getattr(x, '__cla' + 'ss__')",
    "getattr forbidden": "def f(x): return getattr(f, '__globals__')",
    "getattr as a value": "def f(x):\n    g = getattr\n    return 1",
    "setattr": "class A: pass\ndef f(x): return setattr(A, x, 1)",
    "match keyword": "def f(x):\n    match f:\n        case object(__globals__=g): return g",
    "match position": "class M: pass\nclass M: pass\ndef f(x):\n    match x:\n        case M(g): return g",
    "match position of an attribute": """\
class N:
    class M: pass
def f(x):
    match x:
        case N.M(g): return g""",
    "match_args": "class M:\n    __match_args__ = ('__globals__',)\ndef f(x): return 1",
}

@pytest.mark.parametrize("name", UNSAFE)
def test_the_safety_rule_refuses_with_the_line(name):
    verdict = check_program(UNSAFE[name])
    assert verdict.status is ProgramStatus.UNSAFE and verdict.detail.startswith("line "), verdict

SAFE = [
    "import math, json, re, string, collections, itertools, functools, heapq, bisect, copy\ndef f(x): return 1",
    "from collections import defaultdict, deque, Counter\ndef f(x): return 1",
    "import collections.abc\ndef f(x): return 1",
    "from typing import *\ndef f(x: List[int]) -> int: return 1",
    "def f(input, open=1): return input",
    "class A:\n    def __init__(self): super().__init__(); self._x = 1\ndef f(x): return A().__class__.__name__",
    """\
class A:
    def __init__(self, name): self._name, self._hash = name, 1
    def _add(self, o): return o
    def __getattr__(self, name): return 1
    def __del__(self): pass
def f(x): return A(x)._add(A(x)._name)""",
    "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\ndef f(x): return P(x).x",
    "def f(x): return hasattr(x, 'append') and getattr(x, 'append', None)",
    "def f(x):\n    if __name__ == '__main__': print(1)\n    return [__ for __ in x]",
    "def f(x):\n    match x:\n        case int(y) | [y, *_] | {'a': y}: return y",
    "f = lambda x: x",
    "async def f(x): return x",
    "def f(*a): return a",
    "def f(**k): return k",
]

@pytest.mark.parametrize("program", SAFE)
def test_the_safety_rule_lets_ordinary_programs_pass(program): assert check_program(program).ok, check_program(program)

def test_check_program_names_each_failure():
    for program, status in [
        ("def f(:", ProgramStatus.SYNTAX), ("return 1", ProgramStatus.SYNTAX),
        ("def f(x):\n    nonlocal y", ProgramStatus.SYNTAX), ("x = " + "(" * 500, ProgramStatus.SYNTAX),
        ("x = " + "-" * 15_000 + "1", ProgramStatus.SYNTAX), ("\0", ProgramStatus.SYNTAX),
        ("\ud800", ProgramStatus.SYNTAX), ("def g(x): pass", ProgramStatus.NO_FUNCTION),
        ("class A:\n    def f(self): pass", ProgramStatus.NO_FUNCTION), ("def f(): pass", ProgramStatus.NO_PARAMETER),
        ("#" * 20_001, Status.TOO_LARGE), ("", ProgramStatus.NO_FUNCTION)]:
        assert check_program(program).status is status, program[:30]
    assert check_program("import random\ndef f(x): return 1", Safety(imports=["random"])).ok

# behind the safety rule: the namespace, the hook, the limits

WALK = """\
def walk():
    for c in ().__class__.__base__.__subclasses__():
        if c.__name__ == '_wrap_close': return c.__init__.__globals__
os = walk()['sys'].modules['os']
"""  # a program that got as far as `os`

BEHIND = {
    "module in a module": ("import re\ndef f(x): return re.enum.sys", ProgramStatus.UNSAFE, "reaches for re.enum"),
    "import at run time": ("import os\ndef f(x): return 1", ProgramStatus.UNSAFE, "imports os"),
    "from a package": ("from json import codecs\ndef f(x): return 1", ProgramStatus.UNSAFE, "reaches for json.codecs"),
    "eval is absent": ("def f(x): return eval('1')", ProgramStatus.UNSAFE, "uses eval"),
    "open is absent": ("def f(x): return open('/etc/passwd')", ProgramStatus.UNSAFE, "uses open"),
    "annotations as code": (
        "import typing\ndef g(a: \"().__class__.__base__\"): pass\ndef f(x): return typing.get_type_hints(g)",
        ProgramStatus.UNSAFE,
        "text that reaches for .__base__",
    ),
    "attrgetter": (
        "from operator import attrgetter\ndef f(x): return attrgetter('real.__class__.__base__')(x)",
        ProgramStatus.UNSAFE,
        "attribute name",
    ),
    "formatter": (
        "import string\ndef f(x): return string.Formatter().get_field('0.__globals__', [f], {})",
        ProgramStatus.UNSAFE,
        "attribute name",
    ),
    "getattr is guarded": ("def f(x): return getattr(f, '__glob' + 'als__')", ProgramStatus.UNSAFE, "attribute name"),
    "names that pretend": (
        "class S(str):\n    def split(self, *a): return ['real']\ndef f(x): return getattr(f, S('__globals__'))",
        ProgramStatus.UNSAFE,
        "attribute name",
    ),
    "file": (WALK + "def f(x): return os.open('/etc/passwd', 0)", ProgramStatus.UNSAFE, "tried open"),
    "system": (WALK + "def f(x): return os.system('true')", ProgramStatus.UNSAFE, "tried os.system"),
    "fork": (WALK + "def f(x): return os.fork()", ProgramStatus.UNSAFE, "tried os.fork"),
    "kill": (WALK + "def f(x): return os.kill(os.getppid(), 9)", ProgramStatus.UNSAFE, "tried os.kill"),
    "listing": (WALK + "def f(x): return os.listdir('/')", ProgramStatus.UNSAFE, "tried os.listdir"),
    "remove": (WALK + "def f(x): return os.remove('/tmp/azr-no-such-file')", ProgramStatus.UNSAFE, "tried os.remove"),
    "in a try": (WALK + "def f(x):\n    try: os.system('true')\n    except BaseException: return 1",
                 ProgramStatus.UNSAFE, "tried os.system"),
    "exit": (WALK + "def f(x): os._exit(0)", ProgramStatus.CRASHED, "ended without"),
    "abort": (WALK + "def f(x): os.abort()", ProgramStatus.CRASHED, "signal 6"),
    "forged nonsense": (
        WALK
        + """\
def f(x):
    for fd in range(3, 20):
        try: os.write(fd, b'nonsense\\n')
        except OSError: pass
    return 1""",
        ProgramStatus.CRASHED,
        "ended without",
    ),
}

@pytest.mark.parametrize("name", BEHIND)
def test_the_lines_behind_the_safety_rule_hold(unchecked, name):
    program, status, error = BEHIND[name]
    outcome = one(unchecked, program)
    assert outcome.status is status and error in outcome.error, outcome
    assert unchecked.run([INC])[0].value == "42"


@pytest.mark.parametrize(
    "frame",
    ['{"status": "ok", "value": 5, "seconds": 0}', '{"status": "wrong", "value": "1", "seconds": 0}',
     '{"status": "ok", "value": "__import__(1)", "seconds": 0}', '[]', '{}'],
)
def test_forged_results_raise_nothing_here(unchecked, frame):
    forge = (
        WALK
        + f"""\
def f(x):
    for fd in range(3, 20):
        try: os.write(fd, {frame.encode() + bytes([10])!r})
        except OSError: pass
    os._exit(0)"""
    )
    outcome = unchecked.run([Call(forge, "1")], twice=True)[0]
    assert outcome.status is ProgramStatus.CRASHED or outcome.value == "__import__(1)"  # text, which nobody evaluates
    assert unchecked.run([INC])[0].value == "42"

def test_workers_carry_nothing_worth_stealing(unchecked):
    assert one(unchecked, WALK + "def f(x): return sorted(os.environ)").value in (
        "['LC_ALL', 'PYTHONHASHSEED']", "['LC_ALL', 'PYTHONHASHSEED', '__CF_USER_TEXT_ENCODING']")
    assert (
        one(
            unchecked,
            WALK
            + ("def f(x): return sorted(m for m in walk()['sys'].modules if m.split('.')[0] in ('torch', 'numpy', "
               "'transformers', 'ctypes', 'site'))"),
        ).value
        == "[]"
    )
    assert one(unchecked, WALK + "def f(x): return os.getcwd()").value == "'/'"

@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_no_file_of_ours_is_open_in_a_worker(tmp_path):
    with open(tmp_path / "secret", "w") as f, Executor(workers=1) as e:
        os.set_inheritable(f.fileno(), True)
        e.run([INC])
        folder = f"/proc/{e._pools[0].workers[0].process.pid}/fd"
        open_files = [os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder)]
        assert len(open_files) <= 6 and not any("secret" in name for name in open_files), open_files

@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become nobody")
def test_root_becomes_nobody(unchecked): assert one(unchecked, WALK + "def f(x): return os.getuid()").value == "65534"

# limits

LIMITS = {
    "loop": (LOOP.program, ProgramStatus.TIMEOUT),
    "loop that catches everything": (
        "def f(x):\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass",
        ProgramStatus.TIMEOUT),
    "loop while defining": ("while True: pass\ndef f(x): return x", ProgramStatus.TIMEOUT),
    "regular expression": ("import re\ndef f(x): return bool(re.match('(a+)+$', 'a' * 40 + 'b'))",
                           ProgramStatus.TIMEOUT),
    "large power": ("def f(x): return len(str((10 ** 7) ** (10 ** 6)))", ProgramStatus.TIMEOUT),
    "endless __eq__": ("class A:\n    def __eq__(self, other):\n        while True: pass\ndef f(x): return A() == 1",
                       ProgramStatus.TIMEOUT),
    "endless __str__ of an error": (
        "class E(Exception):\n    def __str__(self):\n        while True: pass\ndef f(x): raise E()",
        ProgramStatus.TIMEOUT),
    "list": ("def f(x): return [0] * 10 ** 9", ProgramStatus.MEMORY),
    "string that doubles": ("def f(x):\n    s = 'a'\n    while True: s += s", ProgramStatus.MEMORY),
    "bytes": ("def f(x): return bytearray(10 ** 10)", ProgramStatus.MEMORY),
    "long value": ("def f(x): return 'a' * 30_000", Status.TOO_LARGE),
    "wide value": ("def f(x):\n    y = []\n    for _ in range(60): y = [y, y]\n    return y", Status.TOO_LARGE),
    "deep value": ("def f(x):\n    y = []\n    for _ in range(900): y = [y]\n    return y", Status.TOO_LARGE),
    "many digits": ("def f(x): return 10 ** 5_000", Status.TOO_LARGE),
    "NaN": ("def f(x): return float('nan')", ProgramStatus.UNREPRESENTABLE),
    "NaN inside": ("def f(x): return {'a': (1, float('inf') - float('inf'))}", ProgramStatus.UNREPRESENTABLE),
    "function": ("def f(x): return f", ProgramStatus.UNREPRESENTABLE),
    "generator": ("def f(x): yield x", ProgramStatus.UNREPRESENTABLE),
    "coroutine": ("async def f(x): return x", ProgramStatus.UNREPRESENTABLE),
    "cycle": ("def f(x):\n    y = []\n    y.append(y)\n    return y", ProgramStatus.UNREPRESENTABLE),
    "object that equals all": (
        "class A:\n    def __eq__(self, other): return True\n    def __repr__(self): return '1'\ndef f(x): return A()",
        ProgramStatus.UNREPRESENTABLE),
    "recursion": ("def f(x): return f(x)", ProgramStatus.RAISED),
    "exit": ("def f(x): raise SystemExit(0)", ProgramStatus.RAISED),
    "interrupt": ("def f(x): raise KeyboardInterrupt", ProgramStatus.RAISED),
    "error while defining": ("y = 1 / 0\ndef f(x): return x", ProgramStatus.RAISED),
    "error without a message": ("class E(BaseException):\n    def __str__(self): raise self\ndef f(x): raise E()",
                                ProgramStatus.RAISED),
    "wrong number of arguments": ("def f(x, y): return x", ProgramStatus.RAISED),
    "no function after all": ("def f(x): return x\ndel f", ProgramStatus.NO_FUNCTION),
}

@pytest.mark.parametrize("name", LIMITS)
def test_limits(executor, name):
    program, status = LIMITS[name]
    outcome = one(executor, program)
    assert outcome.status is status and outcome.value is None and outcome.error and not outcome.backstop, outcome
    assert executor.run([INC])[0].value == "42"

def test_errors_begin_with_the_class(executor):
    assert one(executor, "def f(x): raise ValueError('no')").error == "ValueError: no"
    assert one(executor, "class Odd(Exception): pass\ndef f(x): raise Odd").error == "Odd"

def test_errors_are_the_same_every_time(executor):
    assert one(executor, "def f(x): raise ValueError(object())").error == "ValueError: <object object at (an address)>"
    assert (
        one(executor, "def f(x): return id(object())", twice=True).error
        == "(an address) in one process, (an address) in another"
    )

def test_what_is_printed_goes_nowhere(executor):
    outcome = one(
        executor,
        """def f(x):\n    for _ in range(10_000): print('{"status": "ok", "value": "1", "id": 0}')\n    return 2""")
    assert outcome.value == "2"

def test_values_come_back_whole(executor):
    for text in ["'" + "\\ud800é😀\\x00\\n" * 50 + "'", "{'b': 1, 'a': {(1, 2), (0,)}}",
                 "[float('inf'), -0.0, 1e-300, None, True, b'\\xff']", "'" + "x" * 19_998 + "'", "range(0, 3)",
                 str(list(range(3_400)))]:
        outcome = one(executor, "def f(x): return x", text)
        assert outcome.ok and equal(parse_literal(outcome.value), parse_literal(text)), outcome

def test_arguments_are_read_before_the_program_exists(executor):
    assert one(executor, "def f(a, *b, k=0): return a, b, k", "1, 2, k=[3]").value == "(1, (2,), [3])"
    for args in ["1) or (True", "x", "f(1)", "open('/etc/passwd')", "[", "*[1]", "__import__('os')"]:
        assert one(executor, "x = 1\ndef f(x): return True", args).status is ProgramStatus.BAD_ARGUMENTS
    assert one(executor, "def f(x): return 1", "'" + "a" * 30_000 + "'").status is Status.TOO_LARGE

# no state leaks

LEAKS = [
    ("import math\nmath.pi = 3\ndef f(x): return 1", "import math\ndef f(x): return round(math.pi, 2)", "3.14"),
    (
        "from fractions import Fraction\nFraction.denominator = 5\ndef f(x): return 1",
        "from fractions import Fraction\ndef f(x): return Fraction(1, 2).denominator",
        "2",
    ),
    (
        "import collections\ncollections.Counter.total = lambda self: 0\ndef f(x): return 1",
        "import collections\ndef f(x): return collections.Counter('aa').total()",
        "2",
    ),
    ("def len(x): return 7\nsum = len\ndef f(x): return 1", "def f(x): return len([sum([1])])", "1"),
    (
        "count = 0\ndef f(x):\n    global count\n    count += 1\n    return count",
        "count = 5\ndef f(x):\n    global count\n    count += 1\n    return count",
        "6",
    ),
    ("def f(x):\n    f.note = 1\n    return f.note", "def f(x): return hasattr(f, 'note')", "False"),
    ("def f(x):\n    try: return f(x)\n    except RecursionError: return 1",
     "def f(x): return 0 if x == 0 else 1 + f(x - 1)", "900"),
    (
        "class A:\n    def __del__(self):\n        while True: pass\ndef f(x):\n    a = A()\n    a.a = a\n    return 1",
        "def f(x): return len([[i] for i in range(5_000)])",
        "5000",
    ),
]

@pytest.mark.parametrize("number", range(len(LEAKS)))
def test_no_call_sees_another(executor, number):
    dirty, clean, value = LEAKS[number]
    outcomes = executor.run([c for _ in range(8) for c in (Call(dirty, "1"), Call(clean, "900"))])
    assert [o.value for o in outcomes[1::2]] == [value] * 8, outcomes
    assert len({o.value for o in outcomes[::2]}) == 1

# determinism


@pytest.mark.parametrize(
    "program",
    [
        "def f(x): return hash('a')",
        "def f(x): return list({'a', 'b', 'c', 'd', 'e', 'f', 'g'})",
        "def f(x): return id(x)",
        "def f(x): return repr(object())",
        "def f(x): return str({'a', 'b', 'c', 'd', 'e', 'f'})",
        """\
def f(x):
    if hash('q') % 2 ** 16 > 2 ** 15: raise ValueError
    return [i for i in {'a', 'b', 'c', 'd', 'e', 'f'}]""",
    ],
)
def test_hash_order_is_refused(executor, program):
    assert one(executor, program, twice=True).status is ProgramStatus.NONDETERMINISTIC
    once = {one(executor, program).value for _ in range(2)} if "id(" not in program and "object" not in program else {1}
    assert len(once) == 1  # one run alone is the same on every worker


@pytest.mark.parametrize(
    "program",
    ["def f(x): return {'b', 'a', 'c'}", "def f(x): return {k: 1 for k in {'a', 'b', 'c', 'd'}}",
     "def f(x): raise ValueError(object())", "def f(x): return sorted({'b', 'a'})"],
)
def test_what_only_looks_unordered_is_not(executor, program):
    status = one(executor, program, twice=True).status
    assert status is one(executor, program).status is not ProgramStatus.NONDETERMINISTIC

def test_long_values_are_compared_when_the_limit_is_raised():
    with Executor(workers=1, max_output=100_000) as e:
        assert (
            len(one(e, "def f(x): return {str(i): 'a' * 50 for i in {str(j) for j in range(900)}}", twice=True).value)
            > 40_000
        )

def test_verdicts_repeat(executor):
    calls = [Call(p, "1") for p, _ in list(LIMITS.values())[7:]] + [INC] * 5
    def strip(outcomes): return [(o.status, o.value, o.error) for o in outcomes]
    assert strip(executor.run(calls)) == strip(executor.run(calls[::-1]))[::-1]

# neighbours, order, recovery

def test_order_and_neighbours(executor):
    calls = [
        (
            LOOP
            if i in (7, 40)
            else Call("def f(x): return [0] * 10 ** 9", "1") if i % 25 == 3 else Call(f"def f(x): return x + {i}", "1")
        )
        for i in range(60)
    ]
    outcomes = executor.run(calls)
    for i, o in enumerate(outcomes):
        expected = ProgramStatus.TIMEOUT if i in (7, 40) else ProgramStatus.MEMORY if i % 25 == 3 else Status.OK
        assert o.status is expected
        if o.ok: assert o.value == str(1 + i)
    assert executor.stats()["restarts"] == 0

def test_generators_empty_batches_and_reuse(executor):
    assert executor.run([]) == [] and executor.run(iter([INC, INC]), twice=True)[1].value == "42"

@pytest.mark.parametrize("isolation", LAYERS)
def test_a_killed_worker_is_replaced(isolation):
    with Executor(workers=2, timeout=.3, isolation=isolation) as e:
        e.run([INC] * 64)
        everyone = [p for h in e._pools[0].workers for p in (h.process.pid, *descendants(h.process.pid))]
        for handle in e._pools[0].workers: os.kill(handle.process.pid, signal.SIGKILL)
        for _ in range(20):
            assert [o.value for o in e.run([INC] * 64)] == ["42"] * 64
            if e.stats()["restarts"] == 2: break
        gone(everyone)

def test_workers_killed_in_the_middle_cost_nobody_anything():
    with Executor(workers=2, timeout=.3) as e:
        e.run([INC] * 4)
        threading.Timer(
            0.15, lambda: [os.kill(h.process.pid, signal.SIGKILL) for h in list(e._pools[0].workers)]
        ).start()
        outcomes = e.run([LOOP] * 2 + [INC] * 30)
        assert [o.status for o in outcomes[:2]] == [ProgramStatus.TIMEOUT] * 2
        assert all(o.value == "42" for o in outcomes[2:])
        assert e.stats()["restarts"] >= 1

def test_an_interrupted_run_leaves_a_usable_executor():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)   # a background job of a shell ignores Ctrl-C
    try:
        with Executor(workers=1, timeout=2) as e:
            e.run([INC])
            threading.Timer(.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
            with pytest.raises(KeyboardInterrupt): e.run([LOOP] * 3)
            assert e.run([INC])[0].value == "42"
    finally: signal.signal(signal.SIGINT, before)

def test_a_closed_executor_leaves_no_process_and_says_so():
    e = Executor(workers=1)
    e.run([INC])
    pid = e._pools[0].workers[0].process.pid
    e.close(), e.close()
    assert not alive(pid)
    with pytest.raises(RuntimeError, match="closed"): e.run([INC])

def test_threads_may_share_one(executor):
    results = []
    threads = [threading.Thread(target=lambda: results.extend(executor.run([INC] * 20))) for _ in range(4)]
    [t.start() for t in threads], [t.join() for t in threads]
    assert [o.value for o in results] == ["42"] * 80

def test_a_fork_of_us_cannot_use_our_pipes(executor):
    executor.run([INC])
    pid = os.fork()
    if pid == 0:
        try: executor.run([INC])
        except RuntimeError: os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7 and executor.run([INC])[0].ok

def alive(pid: int) -> bool:
    try: return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError): return False

def children_of(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try: name, rest = stat.read_text().rsplit(")", 1)
        except (FileNotFoundError, ProcessLookupError): continue
        if int(rest.split()[1]) == pid: found.append(int(stat.parent.name))
    return found

def gone(pids: list[int]):
    "Waits for the end of processes."
    until = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < until: time.sleep(.02)
    assert not any(map(alive, pids))

def descendants(pid: int) -> list[int]: return [p for child in children_of(pid) for p in (child, *descendants(child))]

@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("isolation", LAYERS)
@pytest.mark.parametrize("busy", [False, True])
def test_workers_die_with_a_parent_that_was_killed(busy, isolation):
    script = (
        f"""\
from azr.executor import *
import sys
e = Executor(workers=2, timeout=60, isolation={isolation!r})
e.run([Call('def f(x): return x', '1')] * 4)
print('ready', flush=True)
"""
        + ("e.run([Call('def f(x):\\n    while True: pass', '1')] * 4)" if busy else "import time; time.sleep(60)")
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout.readline() == "ready\n"
    time.sleep(.4 if busy else 0)
    everyone = descendants(parent.pid)
    assert len(children_of(parent.pid)) == 2 and len(everyone) >= 4
    parent.kill(), parent.wait(), parent.stdout.close()
    gone(everyone)

# expressions as arguments

@pytest.fixture(scope="module")
def expressions():
    with Executor(workers=1, timeout=.3, arguments="expression") as e: yield e


@pytest.mark.parametrize(
    "program, args, value",
    [
        ("def f(x): return x", "''.join(['A'] * 3)", "'AAA'"),
        ("def f(x, g): return [i for i in x if g(i)]", "[0, 3, 1], lambda x: x < 2", "[0, 1]"),
        ("def f(x): return x", "[1, 2][:1]", "[1]"),
        ("def f(x): return x", "[i * i for i in range(3)]", "[0, 1, 4]"),
        ("def f(a, k=0): return a + k", "k=len('abc'), a=1", "4"),
        ("import math\ndef f(x): return math.floor(x)", "5 / 2", "2"),
    ],
)
def test_expressions(expressions, program, args, value):
    assert one(expressions, program, args).value == value


def test_an_expression_cannot_change_what_f_does(expressions):
    program = "import decimal\nlimit = [1]\nclass Box: size = 1\ndef f(x): return limit, Box.size"
    for args in ["[0 for Box.size in [3]]", "(limit := 3)", "[0 for limit[0] in [5]]", "setattr(Box, 'size', 2)"]:
        assert one(expressions, program, args).status is ProgramStatus.UNSAFE
    for args in ["limit.append(2)", "(lambda: limit.clear())()", "(decimal.setcontext(0), 1)[1]"]:
        assert one(expressions, program, args).error.startswith("NameError")  # nothing of the program is in sight
    assert one(expressions, "limit = [1]\ndef f(x): return x, limit", "limit.append(2)").value == "(None, [1])"
    assert one(expressions, "data = [1, 2]\ndef f(x): return x", "data[:]").value == "[1, 2]"
    for args in ["1) or (True", "1), f(2", ""]:
        status = one(expressions, "def f(x): return x == 'gold'", args).status
        assert status in (ProgramStatus.BAD_ARGUMENTS, ProgramStatus.RAISED)
    for args in ["type('E', (), {'__eq__': lambda a, b: True})()", "[lambda: 0]", "object()",
                 "lambda: type('E', (), {})", "(i for i in [1])"]:
        assert one(expressions, "def f(x): return x == 'gold'", args).status is ProgramStatus.BAD_ARGUMENTS, args
    assert one(expressions, "def f(x): return x", "[0] * 10 ** 10").status is ProgramStatus.MEMORY and one(
        expressions, "def f(x): return x", "1 / 0"
    ).error.startswith("ZeroDivisionError")
    assert check_expression("open('x')").status is ProgramStatus.UNSAFE

# other Pythons

def pythons(version):
    installed = glob.glob(os.path.expanduser(f"~/.pyenv/versions/{version}.*/bin/python"))
    return [path for path in (shutil.which(f"python{version}"), *installed) if path]

OTHERS = sorted({os.path.realpath(path)
                 for version in ("3.12", "3.13", "3.14") for path in pythons(version)
                 if subprocess.run([path, "-c", "import sys"], capture_output=True).returncode == 0})
SCRIPT = """
from azr.executor import Call, Executor
from azr.safety import _is_plain
program = '''def f(x):
    try: y = [i for i in x if i and (lambda a: a)(i)]
    except ValueError as e: return str(e)
    return sorted(y)[:2], sum(i for i in x), {**{'a': f'{x!r:>9}'}}'''
assert _is_plain(compile(program, "", "exec")), "an ordinary program is not plain here"
data_class = '''import math
from dataclasses import dataclass
@dataclass
class A:
    x: int = 0
def f(x): return math.floor(A(x).x)'''
calls = [
    Call(program, "[3, 1, 2]"),
    Call(data_class, "2.5"),
    Call("def f(x):\\n    while True: pass", "1"),
    Call("def f(x): return [0] * 10 ** 11", "1"),
    Call("def f(x): return ().__class__.__base__", "1"),
    Call("from collections import namedtuple\\ndef f(x): return namedtuple('P', 'a b')(x, 2)", "1"),
]
with Executor(workers=1, timeout=.3) as executor:
    print([(str(o.status), o.value) for o in executor.run(calls, twice=True)])
"""

@pytest.mark.skipif(not OTHERS, reason="no other Python here")
@pytest.mark.parametrize("python", OTHERS)
def test_the_same_on_every_python(python):
    done = subprocess.run(
        [python, "-W", "ignore", "-c", SCRIPT], cwd=Path(__file__).parents[1], capture_output=True, text=True
    )
    assert done.stdout.strip() == str([("ok", "([1, 2], 6, {'a': '[3, 1, 2]'})"), ("ok", "2"), ("timeout", None),
                                       ("memory", None), ("unsafe", None), ("ok", "(1, 2)")]), done.stderr

# settings


@pytest.mark.parametrize(
    "settings", [dict(workers=0), dict(timeout=0), dict(memory_mb=1), dict(isolation="prison"), dict(arguments="eval")]
)
def test_bad_settings_are_one_clear_error(settings):
    with pytest.raises(ValueError, match=str(list(settings.values())[0])): Executor(**settings)

@pytest.mark.parametrize("call", [Call(None, "1"), Call(b"def f(x): return x", "1"), Call("def f(x): return x", 1)])
def test_calls_are_text(executor, call):
    with pytest.raises(TypeError, match="Call number 1 has a program of type"): executor.run([INC, call])
    assert executor.run([INC])[0].value == "42"


@pytest.mark.parametrize(
    "program, args, status",
    [
        ("def f(x): return 1\0", "1", ProgramStatus.SYNTAX),
        ("#" * 20_001, "1", Status.TOO_LARGE),
        ("def g(x): return 1", "1", ProgramStatus.NO_FUNCTION),
        ("f = 3", "1", ProgramStatus.NO_FUNCTION),
        ("", "1", ProgramStatus.NO_FUNCTION),
        ("def f(x): return x", "y", ProgramStatus.BAD_ARGUMENTS),
        ("def f(x): return x", "1\0", ProgramStatus.BAD_ARGUMENTS),
        ("def f(x): return x", "\ud800", ProgramStatus.BAD_ARGUMENTS),
        ("\ud800", "1", ProgramStatus.SYNTAX),
    ],
)
def test_what_a_program_can_cause_is_a_status(executor, program, args, status):
    assert one(executor, program, args).status is status


def test_a_jail_that_cannot_be_had_is_an_error_and_auto_says_so_once(monkeypatch):
    monkeypatch.setattr("shutil.which", always(None))
    for cached in (_jail_trouble, _warn_without_jail): cached.cache_clear()
    try:
        with pytest.raises(RuntimeError, match="apt install bubblewrap"): Executor(isolation="jail")
        with pytest.warns(UserWarning, match="without a jail.*could read your files"):
            assert Executor().isolation == "process"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert Executor().isolation == Executor(isolation="process").isolation == "process"
    finally:
        for cached in (_jail_trouble, _warn_without_jail): cached.cache_clear()

def test_memory_is_watched_where_no_limit_holds():
    class Watched(Executor): _enforced = False
    with Watched(workers=1, timeout=20, memory_mb=64, isolation="process") as e:
        for program in ("def f(x):\n    y = []\n    while True: y.append(bytearray(1 << 20))",
                        "import math\ndef f(x):\n    y = []\n    while True: y.append(bytearray(1 << 20))"):
            outcomes = e.run([INC, Call(program, "1"), INC])
            assert [o.status for o in outcomes] == [Status.OK, ProgramStatus.MEMORY, Status.OK]

def test_one_slow_program_holds_up_nobody():
    "The calls handed out with it are taken over by the other worker, and each is answered once."
    count = "def f(x):\n    n = 0\n    while n < x: n += 1\n    return n"
    slow = Call(count, "40_000_000")
    with Executor(workers=2, timeout=60) as e:
        e.run([Call(count, f"2_000_00{i}") for i in range(4)])   # both workers have started
        assert len(e._pools[0].workers) == 2
        done = []
        pool, settle = e._pools[0], type(e._pools[0]).answered
        def answered(result):
            done.append(result[0])
            return settle(pool, result)
        pool.answered = answered
        outcomes = e.run([slow] + [Call(f"def f(x): return x + {i}", "1") for i in range(300)])
        assert [o.value for o in outcomes] == ["40000000"] + [str(i + 1) for i in range(300)]
        assert done[-1] == min(done), "the slow call, which was handed out first, was not the last to end"


def test_a_progress_bar_on_request(executor):
    assert [o.value for o in executor.run([INC] * 3, progress="calls")] == ["42"] * 3


def test_a_worker_that_cannot_start_says_why():
    with Executor(workers=1, policy=Safety(imports=("math", "no_such_module"))) as e:
        with pytest.raises(RuntimeError, match="no_such_module"): e.run([INC])

def test_description_and_counts(executor):
    assert f"isolation {executor.isolation!r}" in executor.describe() and executor.isolation in _ISOLATIONS
    before = executor.stats().get("timeout", 0)
    executor.run([LOOP])
    assert executor.stats()["timeout"] == before + 1 and executor.stats()["backstop"] == 0
    assert executor.stats()["seconds_lost"] >= 0.3 * executor.stats()["timeout"]

@pytest.mark.slow
def test_endurance():
    "10,000 calls of every kind: same verdicts, same processes, no growth."
    def memory(e):
        return sum(int(Path(f"/proc/{h.process.pid}/statm").read_text().split()[1]) for h in e._pools[0].workers)

    programs = [INC.program, "def f(x): return 1 / 0", "import math\ndef f(x): return math.pi",
                "def f(x): return list(range(5_000))", "def f(x): return 'a' * 50_000"]
    with Executor(workers=2) as e:
        batch = [Call(programs[i % 5], str(i)) for i in range(500)]
        e.run(batch)
        pids, start = [h.process.pid for h in e._pools[0].workers], memory(e)
        statuses = [o.status for o in e.run(batch)]
        for _ in range(20): assert [o.status for o in e.run(batch)] == statuses
        assert [h.process.pid for h in e._pools[0].workers] == pids and memory(e) < 1.2 * start

@pytest.mark.slow
def test_a_call_that_waits_meets_the_backstop():
    with Unchecked(workers=1, timeout=0.1) as e:
        outcome = one(e, WALK + "def f(x): return walk()['sys'].modules['select'].select([], [], [])")
    assert outcome.status is ProgramStatus.TIMEOUT and outcome.backstop


def test_the_names_of_earlier_versions_go_on_working():
    "The parameter, and the class that it took."
    from azr.executor import Policy
    with Executor(workers=1, policy=Policy(imports=("math",), max_program=60)) as e:
        programs = ["import math\ndef f(x): return x", "import re\ndef f(x): return x", "#" * 61]
        outcomes = e.run([Call(program, "1") for program in programs])
    assert [o.status for o in outcomes] == [Status.OK, ProgramStatus.UNSAFE, Status.TOO_LARGE]
