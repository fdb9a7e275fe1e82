"""A hundred attacks and more, one property each.

Where that does no harm, an attack is first seen to work against a bare `exec`.
Then the executor meets it, with honest calls on both sides.

The layers, from the outside: the safety rule refuses before anything runs, and guards what a program sees.
The process has limits and a hook that ends it. The jail has nothing in it.
Each is also met with the layers above it switched off."""
import ctypes, json, os, shutil, socket, subprocess, sys, tempfile, textwrap, time
from typing import NamedTuple

import pytest

from conftest import ROOT
from azr.core import Status
from azr.executor import _ISOLATIONS, Call, Executor
from azr.safety import ProgramStatus, check_expression, check_program

OK, TOO_LARGE = Status.OK, Status.TOO_LARGE
UNSAFE, RAISED, TIMEOUT, MEMORY, CRASHED, SYNTAX, UNREPRESENTABLE = (
    ProgramStatus[name] for name in "UNSAFE RAISED TIMEOUT MEMORY CRASHED SYNTAX UNREPRESENTABLE".split())
SETTINGS = dict(workers=2, timeout=.3, memory_mb=128)

# ---- the tools of this page

class Unhooked(Executor):
    "Without the process layer too: nothing is left but the jail."
    _hook = False

def open_door(hook: bool = True, **settings) -> Executor:
    return (Executor if hook else Unhooked)(policy=None, **SETTINGS | settings)

def jail_starts() -> bool:
    command = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"]
    return (
        "jail" in _ISOLATIONS
        and bool(shutil.which("bwrap"))
        and subprocess.run(command, capture_output=True).returncode == 0
    )

NO_JAIL = pytest.mark.skipif(not jail_starts(), reason="bubblewrap is missing, or may not start here")
BOTH = ["process", pytest.param("jail", marks=NO_JAIL)]

BARE = """
import json, os, signal, sys, types
write_text, end = os.write, os._exit  # a program may replace them
def bare(programs):
    for program in programs:
        module = sys.modules["program"] = types.ModuleType("program")
        exec(program, module.__dict__)
        value = module.f(1)
    return value
for programs in json.load(sys.stdin):
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(10)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        try: text = repr(bare(programs))
        except BaseException as error: text = f"{type(error).__name__}: {error}"
        write_text(write, text.encode(errors="replace")[:4_000])
        end(0)
    os.close(write)
    with open(read, "rb") as pipe: text = pipe.read().decode()
    os.wait()
    print(json.dumps([pid, text]))
"""

def against_bare_exec(rows: list[list[str]]) -> list[tuple[int, str]]: # (process id, what the last program's f(1) gave)
    "Each row of programs runs in turn in a process of its own, which nothing guards."
    done = subprocess.run(
        [sys.executable, "-c", BARE], input=json.dumps(rows), capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]

class Met(NamedTuple):
    "What became of an attack, and of the honest calls before and after it."
    outcome: object
    neighbours: list
    def stopped(self, *statuses):
        assert self.outcome.status in statuses and not self.outcome.backstop, self.outcome
        assert (self.outcome.value is None) == (self.outcome.status is not OK)
        self.neighbours_are_right()
    def neighbours_are_right(self):
        assert [o.value for o, _ in self.neighbours] == [v for _, v in self.neighbours], self.neighbours

def honest(n: int) -> tuple[Call, str]:
    return Call(f"def f(x):\n    return [x * {n}, len('ab' * x)]", "3"), f"[{3 * n}, 6]"

def meet(executor: Executor, attacks: dict[str, Call], **kwargs) -> dict[str, Met]:
    "All attacks in one batch, an honest call between any two."
    calls, right = [honest(0)[0]], [honest(0)[1]]
    for n, call in enumerate(attacks.values(), 1): calls += [call, honest(n)[0]]; right += [None, honest(n)[1]]
    outcomes = executor.run(calls, **kwargs)
    assert executor.run([honest(7)[0]])[0].value == honest(7)[1]  # usable afterwards
    return {name: Met(outcomes[2 * n + 1], [(outcomes[m], right[m]) for m in (2 * n, 2 * n + 2)])
            for n, name in enumerate(attacks)}

def source(text: str) -> str: return textwrap.dedent(text).strip() + "\n"

# ---- the safety rule: ways from a value to the interpreter
# Each returns the number of the process that it runs in. No program can know it that has not got out.

GETPID = "\"__import__('os').getpid()\""
EVALUATE = source("""
    CODE, got = "[got.append(__import__('os').getpid()), int][1]", []
    def evaluate(ref): # each Python has its own spelling
        for go in (lambda: ref._evaluate({'got': got}, {}, frozenset()), \
lambda: ref._evaluate({'got': got}, {}, recursive_guard=frozenset()), lambda: ref.evaluate(globals={'got': got})):
            try: go()
            except (AttributeError, TypeError): pass
        return got[0]
    """)
REACHED = source("""
    def builtins_of(found): # whoever holds these has got out
        return found['eval']("__import__('os').getpid()") if 'eval' in found else 'found builtins'
    def globals_of(found): return builtins_of(next((value for key, value in found.items() if key[2:6] == 'buil'), {}))
    """)
WAYS_OUT = {
    # walking from object to object
    "subclasses": ("def f(x): return next(c for c in ().__class__.__base__.__subclasses__() if c.__name__ == "
                   "'_wrap_close').__init__.__globals__['getpid']()"),
    "mro": ("def f(x): return next(c for c in x.__class__.__mro__[-1].__subclasses__() if c.__name__ == "
            "'_wrap_close').__init__.__globals__['getpid']()"),
    "reduce_ex": "def f(x): return globals_of(object().__reduce_ex__(2)[0].__globals__)",
    "function globals": "def f(x): return globals_of(f.__globals__)",
    "function builtins": "def f(x): return builtins_of(f.__builtins__)",
    "globals of a library function": """\
import re
def f(x): return re.compile.__globals__['enum'].sys.modules['os'].getpid()""",
    "self of a builtin": f"def f(x): return len.__self__.eval({GETPID})",
    "method of an object": f"class A:\n    def m(self): pass\ndef f(x): return globals_of(A().m.__func__.__globals__)",
    "descriptor": f"def f(x): return globals_of(f.__get__(x).__func__.__globals__)",
    "object.__getattribute__": f"def f(x): return globals_of(object.__getattribute__(f, '__globals__'))",
    "type.__getattribute__": (
        "def f(x): return next(c for c in type.__getattribute__(object, '__subclasses__')() if c.__name__ == "
        "'_wrap_close').__init__.__globals__['getpid']()"),
    "super": f"""\
class A:
    def m(self): return super().__getattribute__('m')
def f(x): return globals_of(A().m().__func__.__globals__)""",
    "__build_class__": f"def f(x): return __build_class__.__self__.eval({GETPID})",
    "a site builtin": "def f(x): return quit.__class__.__call__.__globals__['sys'].modules['os'].getpid()",
    "code object": f"""\
def g(x): return x.real
def f(x):
    g.__code__ = g.__code__.replace(co_names=('__globals__',))
    return globals_of(g(f))""",
    "function of a code object": "def f(x): return type(f)(compile(\"__import__('os').getpid()\", '', 'eval'), {})()",
    # frames
    "generator frame": f"def f(x): return builtins_of((i for i in [1]).gi_frame.f_builtins)",
    "coroutine frame": f"""\
async def c(): pass
def f(x):
    k = c()
    b = k.cr_frame.f_builtins
    k.close()
    return builtins_of(b)""",
    "async generator frame": f"async def a(): yield\ndef f(x): return builtins_of(a().ag_frame.f_builtins)",
    "traceback frame": f"""\
def f(x):
    try: 1 / 0
    except ZeroDivisionError as e: return builtins_of(e.__traceback__.tb_frame.f_builtins)""",
    "traceback handed to __exit__": f"""\
class C:
    def __enter__(self): return self
    def __exit__(self, kind, error, trace):
        self.b = trace.tb_frame.f_builtins
        return True
def f(x):
    with C() as c: 1 / 0
    return builtins_of(c.b)""",
    "traceback of an exception's context": f"""\
def f(x):
    try:
        try: 1 / 0
        finally: [][0]
    except IndexError as e: return builtins_of(e.__context__.__traceback__.tb_frame.f_builtins)""",
    # patterns
    "match, keyword": f"def f(x):\n    match f:\n        case object(__globals__=g): return globals_of(g)",
    "match, keyword on a traceback": f"""\
class C:
    def __enter__(self): return self
    def __exit__(self, kind, error, trace):
        match trace:
            case object(tb_frame=object(f_builtins=b)): self.b = b
        return True
def f(x):
    with C() as c: 1 / 0
    return builtins_of(c.b)""",
    "match, position": f"""\
Any = type('Any', (type,), {{'__instancecheck__': lambda c, o: True}})
M = Any('M', (), {{'__match_args__': ('__globals__',)}})
def f(x):
    match f:
        case M(g): return globals_of(g)""",
    "match, position on an attribute": f"""\
Any = type('Any', (type,), {{'__instancecheck__': lambda c, o: True}})
class N: M = Any('M', (), {{'__match_args__': ('__globals__',)}})
def f(x):
    match f:
        case N.M(g): return globals_of(g)""",
    "match, position on a captured builtin name": f"""\
Any = type('Any', (type,), {{'__instancecheck__': lambda c, o: True}})
def f(x):
    match Any('M', (), {{'__match_args__': ('__globals__',)}}):
        case int:
            match f:
                case int(g): return globals_of(g)""",
    "match, position on a starred name": f"""\
Any = type('Any', (type,), {{'__instancecheck__': lambda c, o: True}})
class L(list):
    pass
def f(x):
    match [Any('M', (), {{'__match_args__': ('__globals__',)}})]:
        case [int as str]:
            match f:
                case str(g): return globals_of(g)""",
    "match, position on a name from a mapping": f"""\
Any = type('Any', (type,), {{'__instancecheck__': lambda c, o: True}})
def f(x):
    match {{'m': Any('M', (), {{'__match_args__': ('__globals__',)}})}}:
        case {{'m': list}}:
            match f:
                case list(g): return globals_of(g)""",
    # attributes by computed names
    "getattr": f"def f(x): return globals_of(getattr(f, '__glo' + 'bals__'))",
    "getattr from a dict": f"def f(x): return globals_of(dict(g=getattr)['g'](f, '__glo' + 'bals__'))",
    "getattr as a default": f"def f(x, g=getattr): return globals_of(g(f, '__glo' + 'bals__'))",
    "getattr through map": f"def f(x): return globals_of(next(map(getattr, [f], ['__glo' + 'bals__'])))",
    "getattr with a name that lies": f"""\
class S(str):
    def split(self, *a): return ['real']
    def startswith(self, *a): return False
    def __getitem__(self, n): return 'a'
def f(x): return globals_of(getattr(f, S('__glo' + 'bals__')))""",
    "getattr with another's name": f"def h(getattr): pass\ndef f(x): return globals_of(getattr(f, '__glo' + 'bals__'))",
    "attrgetter": f"import operator\ndef f(x): return globals_of(operator.attrgetter('__globals__')(f))",
    "attrgetter, dotted": f"""\
from operator import attrgetter as a
class A:
    def m(self): pass
def f(x): return globals_of(a('m.__globals__')(A))""",
    "methodcaller": f"""\
import operator
def f(x): return globals_of(operator.methodcaller('__getattribute__', '__globals__')(f))""",
    "update_wrapper": f"""\
import functools
got = []
W = type('W', (), {{'__setattr__': lambda self, name, value: got.append(value)}})
def f(x):
    functools.update_wrapper(W(), f, assigned=('__globals__',), updated=())
    return globals_of(got[0])""",
    "wraps": f"""\
import functools
got = []
W = type('W', (), {{'__setattr__': lambda self, name, value: got.append(value)}})
def f(x):
    functools.wraps(f, ('__globals__',), ())(W())
    return globals_of(got[0])""",
    "Formatter.get_field": f"""\
import string
def f(x): return globals_of(string.Formatter().get_field('0.__globals__', [f], {{}})[0])""",
    "vars": f"def f(x): return builtins_of(vars(len.__self__))",
    # builtins under other names
    "eval in a list": f"def f(x): return [e({GETPID}) for e in [eval]][0]",
    "eval in a generator": f"def f(x): return next(e({GETPID}) for e in iter([eval]))",
    "eval in a dict": f"def f(x): return {{'e': eval}}['e']({GETPID})",
    "eval by keyword": f"def f(x): return (lambda **k: k['e']({GETPID}))(e=eval)",
    "eval as a default": f"def f(x, e=eval): return e({GETPID})",
    "eval by walrus": f"def f(x): return (e := eval)({GETPID})",
    "eval as a decorator": f"@eval\n@(lambda function: {GETPID})\ndef value(): pass\ndef f(x): return value",
    "eval as a class attribute": f"class A: run = eval\ndef f(x): return A.run({GETPID})",
    "eval as __class_getitem__": f"class A: __class_getitem__ = eval\ndef f(x): return A[{GETPID}]",
    "eval in a metaclass": f"class A(metaclass=lambda name, bases, space: eval({GETPID})): pass\ndef f(x): return A",
    "eval in an annotation": f"def g(a: eval({GETPID})): pass\ndef f(x): return g.__annotations__['a']",
    "eval in an f-string": f"def f(x): return int(f'''{{eval({GETPID})}}''')",
    "eval behind a partial": f"import functools\ndef f(x): return functools.partial(eval, {GETPID})()",
    "eval behind a cache": f"import functools\ndef f(x): return functools.lru_cache(eval)({GETPID})",
    "eval for reduce": f"import functools\ndef f(x): return functools.reduce(lambda got, e: e(got), [eval], {GETPID})",
    "eval as a JSON hook": f"""\
import json
def f(x): return json.loads('NaN', parse_constant=lambda text: eval({GETPID}))""",
    "eval as a regex callback": f"import re\ndef f(x): return int(re.sub('.', lambda found: str(eval({GETPID})), 'a'))",
    "eval by __reduce_ex__": f"""\
import copy
R = type('R', (), {{'__reduce_ex__': lambda self, protocol: (eval, ({GETPID},))}})
def f(x): return copy.copy(R())""",
    "eval by __reduce__, deep": f"""\
import copy
R = type('R', (), {{'__reduce__': lambda self: (eval, ({GETPID},))}})
def f(x): return copy.deepcopy([R()])[0]""",
    "eval, excused by a parameter": f"def h(eval=0): pass\ndef f(x): return eval({GETPID})",
    "eval, excused by an exception": f"""\
try: 1 / 0
except ZeroDivisionError as eval: pass
def f(x): return eval({GETPID})""",
    "exec": "def f(x):\n    space = {}\n    exec('import os; pid = os.getpid()', space)\n    return space['pid']",
    "globals": f"def f(x): return globals_of(globals())",
    "__builtins__": f"def f(x): return builtins_of(__builtins__)",
    "__builtins__ put back by dataclass": f"""\
from dataclasses import dataclass
try: 1 / 0
except ZeroDivisionError as __builtins__: pass
@dataclass
class A: x: int = 0
def h(eval=0): pass
def f(x): return eval({GETPID})""",
    # letters that Python reads as others
    "fullwidth eval": f"def f(x): return \uff45\uff56\uff41\uff4c({GETPID})",
    "fullwidth __import__": "def f(x): return __\uff49\uff4d\uff50\uff4f\uff52\uff54__('os').getpid()",
    "fullwidth attribute": f"def f(x): return globals_of(f.__\uff47lobals__)",
    "mathematical import": "import \U0001d428\U0001d42c\ndef f(x): return os.getpid()",
    "an underscore of another kind": f"def f(x): return globals_of(f._\uff3fglobals_\uff3f)",
    # imports of every form
    "import": "import os\ndef f(x): return os.getpid()",
    "import as": "import os as math\ndef f(x): return math.getpid()",
    "import dotted": "import os.path as path\ndef f(x): return path.os.getpid()",
    "from": "from os import getpid as g\ndef f(x): return g()",
    "from star": "from os import *\ndef f(x): return getpid()",
    "from posix": "from posix import getpid\ndef f(x): return getpid()",
    "import inside a class": "class A:\n    import os\ndef f(x): return A.os.getpid()",
    "import in a branch": "def f(x):\n    if x:\n        import os, math\n        return os.getpid()",
    "importlib": "import importlib\ndef f(x): return importlib.import_module('os').getpid()",
    "builtins": f"from builtins import eval as e\ndef f(x): return e({GETPID})",
    "private twin of an allowed module": """\
from _collections_abc import sys
def f(x): return sys.modules['os'].getpid()""",
    "__import__ as a default": "def f(x, i=__import__): return i('os').getpid()",
    # modules in modules
    "module of typing": "import typing\ndef f(x): return typing.sys.modules['os'].getpid()",
    "private module of collections": "import collections\ndef f(x): return collections._sys.modules['os'].getpid()",
    "module of json": "import json\ndef f(x): return json.codecs.sys.modules['os'].getpid()",
    "module of statistics": "from statistics import random\ndef f(x): return random._os.getpid()",
    "module of a submodule": "import json.decoder as d\ndef f(x): return d.scanner.re.enum.sys.modules['os'].getpid()",
    # libraries that evaluate text, or look modules up
    "get_type_hints": f"""\
import typing
got = []
def g(a: "got.append(__import__('os').getpid())"): pass
def f(x):
    typing.get_type_hints(g)
    return got[0]""",
    "singledispatch by annotation": """\
import functools
got = []
@functools.singledispatch
def g(a): pass
def h(a: "[got.append(__import__('os').getpid()), int][1]"): pass
def f(x):
    g.register(h)
    return got[0]""",
    "ForwardRef from a type": EVALUATE + """\
import typing
def f(x): return evaluate(typing.get_args(typing.List[CODE])[0])""",
    "ForwardRef from a TypedDict": EVALUATE + """\
from typing import TypedDict
def f(x): return evaluate(TypedDict('T', {'a': CODE}).__annotations__['a'])""",
    "field names of a dataclass": """\
from dataclasses import dataclass
got = []
T = type('T', (), {'a': 0, '__doc__': '', '__module__': __name__, \
'__annotations__': {'a, got.append(f.__globals__)': int}})
def f(x):
    D = dataclass(T, init=False, repr=False)
    D() == D()
    return globals_of(got[0])""",
    "a dataclass of another module": """\
from dataclasses import dataclass
got = []
T = type('T', (), {'take': got.append, '__doc__': '', '__module__': 'os', \
'__annotations__': {'take(getpid())': int}})
def f(x):
    D = dataclass(T, init=False, repr=False)
    D() == D()
    return got[0]""",
    "an enum of another module": """\
from enum import Enum
def f(x):
    return Enum._convert_('E', 'os', lambda name: name == 'sys').sys.value.modules['os'].getpid()""",
    "attributes of an ABC": f"""\
import abc
class A(abc.ABC):
    @abc.abstractmethod
    def m(self): pass
def f(x): return globals_of(A.m.__globals__)""",
    # doors that stand open for the program's own things
    "a module with another name": """\
import math
math.__name__ = 'os'
from math import path
def f(x): return path.os.getpid()""",
    "a name written while importing": """\
import math
class Space(dict):
    def __setitem__(self, key, value):
        math.__name__ = 'os'
        dict.__setitem__(self, key, value)
M = type('M', (type,), {'__prepare__': classmethod(lambda cls, *a: Space())})
class A(metaclass=M):
    from math import pi, path
def f(x): return A.path.os.getpid()""",
    "__dict__ of a module": "import re\ndef f(x): return re.__dict__['enum'].sys.modules['os'].getpid()",
    "vars of a module": "import re\ndef f(x): return vars(re)['enum'].sys.modules['os'].getpid()",
    "__dict__ of object": "def f(x): return globals_of(object.__dict__['__getattribute__'](f, '__glo' + 'bals__'))",
    "vars of object": "def f(x): return globals_of(vars(object)['__getattribute__'](f, '__glo' + 'bals__'))",
    "vars by another name": "def f(x, v=vars): return globals_of(v(object)['__getattribute__'](f, '__glo' + 'bals__'))",
    "__dict__ by getattr": """\
def f(x): return globals_of(getattr(object, '__dict__')['__getattribute__'](f, '__glo' + 'bals__'))""",
    "__dict__ of type": ("def f(x): return next(c for c in type.__dict__['__subclasses__'](object) if c.__name__ == "
                         "'_wrap_close').__init__.__globals__['getpid']()"),
    "__dict__ of a class of functions": "def f(x): return globals_of(type(f).__dict__['__globals__'].__get__(f))",
    "__dict__ behind an alias": """\
G = type('G', (type(list[int]),), {})
def f(x): return globals_of(G(object, (int,)).__dict__['__getattribute__'](f, '__glo' + 'bals__'))""",
    "__dict__ by attrgetter": """\
import operator
def f(x): return globals_of(operator.attrgetter('__dict__')(object)['__getattribute__'](f, '__glo' + 'bals__'))""",
    "__dict__ in a pattern": """\
def f(x):
    match object:
        case type(__dict__=d): return globals_of(d['__getattribute__'](f, '__glo' + 'bals__'))""",
    "__dict__ of a metaclass that equals all": """\
M = type('M', (type,), {'__eq__': lambda a, b: True, '__hash__': lambda a: hash(int)})
C = M('C', (), {})
def f(x): return globals_of(object.__dict__['__getattribute__'](f, '__glo' + 'bals__'))""",
    "a private way behind an alias": """\
import enum
G = type('G', (type(list[int]),), {})
def f(x): return G(enum.Enum, (int,))._convert_('E', 'os', \
lambda name: name == 'sys').sys.value.modules['os'].getpid()""",
    "a private way behind typing's alias": """\
import enum, typing
A = typing.Annotated[enum.Enum, 1]
def f(x): return A._convert_('E', 'os', lambda name: name == 'sys').sys.value.modules['os'].getpid()""",
    "a private way of a subclass": """\
import enum
class Mine(enum.Enum): pass
def f(x): return Mine._convert_('E', 'os', lambda name: name == 'sys').sys.value.modules['os'].getpid()""",
    "a private way through super": """\
import enum
class M(type(enum.Enum)):
    def go(cls): return super()._convert_('E', 'os', lambda name: name == 'sys')
class Mine(enum.Enum, metaclass=M): pass
def f(x): return Mine.go().sys.value.modules['os'].getpid()""",
    "a private way by getattr": """\
import enum
def f(x): return getattr(enum.Enum, '_convert_')('E', 'os', \
lambda name: name == 'sys').sys.value.modules['os'].getpid()""",
    "a private way by methodcaller": """\
import enum, operator
def f(x): return operator.methodcaller('_convert_', 'E', 'os', \
lambda name: name == 'sys')(enum.Enum).sys.value.modules['os'].getpid()""",
    "a private way, borrowed by name": """\
import enum, functools
class Mine: pass
def f(x):
    try: functools.update_wrapper(enum.Enum, Mine)
    except Exception: pass
    return enum.Enum._convert_('E', 'os', lambda name: name == 'sys').sys.value.modules['os'].getpid()""",
    "traceback of a cause": """\
def f(x):
    try:
        try: 1 / 0
        except ZeroDivisionError as e: raise ValueError from e
    except ValueError as e: return builtins_of(e.__cause__.__traceback__.tb_frame.f_builtins)""",
    "traceback of a cause, in a pattern": """\
def f(x):
    try:
        try: 1 / 0
        except ZeroDivisionError as e: raise ValueError from e
    except ValueError as e:
        match e:
            case ValueError(__cause__=object(__traceback__=t)): return builtins_of(t.tb_frame.f_builtins)""",
    "places of a base": """\
Any = type('Any', (type,), {'__instancecheck__': lambda c, o: True})
B = Any('B', (), {'__match_args__': ('__globals__',)})
class P(B): pass
def f(x):
    match f:
        case P(g): return globals_of(g)""",
    "places of a decorated class": """\
Any = type('Any', (type,), {'__instancecheck__': lambda c, o: True})
@lambda cls: Any('M', (), {'__match_args__': ('__globals__',)})
class P: pass
def f(x):
    match f:
        case P(g): return globals_of(g)""",
    "places by a metaclass": """\
Any = type('Any', (type,), {'__instancecheck__': lambda c, o: True, '__getattr__': lambda c, \
name: ('__globals__',)})
class P(metaclass=Any): pass
def f(x):
    match f:
        case P(g): return globals_of(g)""",
    "places in the class": """\
import abc
class P(abc.ABC): __match_args__ = ('__globals__',)
P.register(type(lambda: 0))
def f(x):
    match f:
        case P(g): return globals_of(g)""",
    "places of a dataclass": """\
import abc
from dataclasses import dataclass
@dataclass
class P(abc.ABC): gi_frame: int = 0
@dataclass
class Q(abc.ABC): f_builtins: int = 0
def g(): yield
P.register(type(g()))
def f(x):
    match g():
        case P(frame):
            Q.register(type(frame))
            match frame:
                case Q(b): return builtins_of(b)""",
    "places of a named tuple": """\
from typing import NamedTuple
class P(NamedTuple): gi_frame: int = 0
A = type('A', (type,), {'__instancecheck__': lambda c, o: True})
class Q(P, metaclass=A): pass
def g(): yield
def f(x):
    match g():
        case Q(frame): return builtins_of(frame.f_builtins)""",
    "places in a namespace of one's own": """\
Any = type('Any', (type,), {'__instancecheck__': lambda c, o: True})
class Space(dict):
    def __missing__(self, key):
        if key == 'int': return Any('M', (), {'__match_args__': ('__globals__',)})
        raise KeyError(key)
M = type('M', (type,), {'__prepare__': classmethod(lambda cls, *a: Space())})
def g(): pass
class A(metaclass=M):
    match g:
        case int(found): pass
def f(x): return globals_of(A.found)""",
    "places of a class that was changed": """\
import abc
class P(abc.ABC): pass
Any = type('Any', (type(P),), {'__instancecheck__': lambda c, o: True, '__getattribute__': lambda c, \
name: ('__globals__',) if name[2:7] == 'match' else type.__getattribute__(c, name)})
P.__class__ = Any
def f(x):
    match f:
        case P(g): return globals_of(g)""",
    "get_type_hints in globals of its own": """\
import typing
got = []
def g(a: "got.append(__import__('os').getpid())"): pass
def f(x):
    typing.get_type_hints(g, {'got': got})
    return got[0]""",
    "get_type_hints, excused by a parameter": """\
import typing
got = []
def g(a: "(lambda eval: 0)(0) or got.append(eval(chr(95)*2 + 'import' + chr(95)*2 + '(\\"os\\").getpid()'))"): \
pass
def f(x):
    typing.get_type_hints(g)
    return got[0]""",
    "get_type_hints of a class of another module": """\
import typing
T = type('T', (), {'__module__': 'os', '__annotations__': {'a': 'getpid'}})
def f(x): return typing.get_type_hints(T)['a']()""",
    "get_type_hints of a module in C": """\
import typing
T = type('T', (), {'__module__': 'posix', '__annotations__': {'a': 'getpid'}})
def f(x): return typing.get_type_hints(T)['a']()""",
    "get_type_hints after another name": """\
import typing
__name__ = 'os'
class T(typing.TypedDict): a: 'getpid'
def f(x): return typing.get_type_hints(T)['a']()""",
    "get_type_hints of a reference into a module": """\
import typing
R = type(typing.get_args(typing.List['int'])[0])
def g(a: R('getpid', module='posix')): pass
def f(x): return typing.get_type_hints(g)['a']()""",
    "get_type_hints, nested": """\
import typing
got = []
A = typing.List['got.append(f.__globals__)']
def g(a: 'A'): pass
def f(x):
    try: typing.get_type_hints(g)
    except TypeError: pass
    return globals_of(got[0])""",
    "get_type_hints of what a function wraps": """\
import typing, textwrap
def g(a: 're'): pass
g.__wrapped__ = textwrap.dedent
def f(x): return typing.get_type_hints(type('T', (), \
{'__annotations__': {}})) or textwrap.re.enum.sys.modules['os'].getpid()""",
    "hints of a named tuple": """\
import typing
got = []
T = typing.NamedTuple('T', [('a', 'got.append(f.__globals__)')])
def f(x):
    try: typing.get_type_hints(T)
    except TypeError: pass
    return globals_of(got[0])""",
    "what a dispatcher copies": """\
import functools
def f(x): return globals_of(functools.singledispatch(object).__dict__['__getattribute__'](f, '__glo' + 'bals__'))""",
    "what a cache copies": """\
import functools
class A: pass
def f(x):
    a = functools.update_wrapper(A(), functools.lru_cache(object))
    return globals_of(a.__dict__['__getattribute__'](f, '__glo' + 'bals__'))""",
    "what wraps copies": """\
import functools
def g(): pass
def f(x): return globals_of(functools.wraps(object)(g).__dict__['__getattribute__'](f, '__glo' + 'bals__'))""",
    "what update_wrapper copies": """\
import functools
class A: pass
def f(x): return globals_of(vars(functools.update_wrapper(A(), object))['__getattribute__'](f, \
'__glo' + 'bals__'))""",
    "what update_wrapper copies from an alias": """\
import functools
class A: pass
def f(x): return globals_of(vars(functools.update_wrapper(A(), \
type(list[int])(object, (int,))))['__getattribute__'](f, '__glo' + 'bals__'))""",
    "singledispatchmethod by annotation": """\
import functools
got = []
class A:
    @functools.singledispatchmethod
    def g(self, a): pass
def h(self, a: "[got.append(__import__('os').getpid()), int][1]"): pass
h.__annotations__['self'] = h.__annotations__.pop('a')
def f(x):
    A.__dict__['g'].register(h)
    return got[0]""",
    "make_dataclass of another module": """\
import dataclasses
got = []
F = dataclasses.make_dataclass('F', [('a', int, 0)])
field = dataclasses.fields(F)[0]
field.name = 'a, got.append(f.__globals__)'
def f(x):
    D = dataclasses.make_dataclass('D', [('b', int, 0)], bases=(F,), init=False, repr=False, \
namespace={'__module__': __name__})
    try: D() == D()
    except AttributeError: pass
    return globals_of(got[0])""",
    "a field renamed by a property": """\
import dataclasses
from dataclasses import dataclass
got = []
T = type('T', (), {'a': 0, '__doc__': '', '__module__': __name__, '__annotations__': {'a': int}})
def f(x):
    dataclasses.Field.name = property(lambda self: 'a, got.append(f.__globals__)', lambda self, value: None)
    D = dataclass(T, init=False, repr=False, match_args=False)
    try: D() == D()
    except AttributeError: pass
    return globals_of(got[0])""",
    "replace by a renamed field": """\
import dataclasses
got = []
def new(meta, *args, **named):
    got.append(named)
    return type.__new__(meta, *args) if args else None
Meta = dataclasses.dataclass(init=False, repr=False, \
eq=False)(type('Meta', (type,), {'x': 0, '__doc__': '', '__module__': __name__, '__annotations__': {'x': int}, \
'__new__': new, '__init__': lambda *a, **k: None}))
C = Meta('C', (), {})
def f(x):
    dataclasses.fields(Meta)[0].name = '__getattribute__'
    dataclasses.replace(C)
    return globals_of(got[-1]['__getattribute__'](f, '__globals__'))""",
    "asdict by a renamed field": """\
import dataclasses
from dataclasses import dataclass
@dataclass
class D(Exception): a: int = 0
def f(x):
    dataclasses.fields(D)[0].name = '__traceback__'
    got = []
    class Deep: pass
    try: raise D()
    except D as e:
        try: dataclasses.asdict(e)
        except TypeError as why: return builtins_of(why.__traceback__.tb_frame.f_builtins)""",
    "Formatter": """\
import string
def f(x): return globals_of(string.Formatter().get_field('0.__globals__', [f], {})[0])""",
    "a state that sets attributes": """\
import copy
R = type('R', (), {'__reduce__': lambda self: (lambda: f, (), (None, {'__kwdefaults__': {'e': 1}}))})
def f(x, *, e=None):
    if e: return globals_of(f.__globals__)
    copy.copy(R())
    return f(x)""",
}

@pytest.fixture(scope="module")
def bare_ways(): return dict(zip(WAYS_OUT, against_bare_exec([[REACHED + program] for program in WAYS_OUT.values()])))

@pytest.fixture(scope="module", params=BOTH)
def refused(request):
    with Executor(**SETTINGS, isolation=request.param) as executor:
        yield meet(executor, {name: Call(REACHED + program, "1") for name, program in WAYS_OUT.items()})

@pytest.mark.parametrize("name", WAYS_OUT)
def test_the_safety_rule_knows_the_way_out(name, refused, bare_ways):
    pid, text = bare_ways[name]
    assert text == str(pid), f"the attack does not work: {text}"
    refused[name].stopped(UNSAFE, RAISED)

# ---- text that is read, and never more: format strings walk attributes, and give text only

SECRET = Call("def f(x):\n    zebra = x\n    return 'zebra' in zebra", "'a zebra, 7419'")
READINGS = {
    "frames of an exception": """\
def f(x):
    try: 1 / 0
    except ZeroDivisionError as e: return [t for n in range(8) if \
(t := read('{0.__traceback__.tb_frame' + '.f_back' * n + '.f_locals}', e))]""",
    "globals of a frame": """\
def f(x):
    try: 1 / 0
    except ZeroDivisionError as e: return [t for n in range(8) if \
(t := read('{0.__traceback__.tb_frame' + '.f_back' * n + '.f_globals}', e))]""",
    "jobs of the worker": """\
def f(x):
    try: 1 / 0
    except ZeroDivisionError as e: return [t for n in range(8) if \
(t := read('{0.__traceback__.tb_frame' + '.f_back' * n + '.f_locals[jobs]}', e))]""",
    "self of the worker": """\
def f(x):
    try: 1 / 0
    except ZeroDivisionError as e: return [t for n in range(8) if \
(t := read('{0.__traceback__.tb_frame' + '.f_back' * n + '.f_locals[self].__dict__}', e))]""",
    "a frame by generator": """\
def g(): yield
def f(x): return [t for n in range(8) if (t := read('{0.gi_frame' + '.f_back' * n + '.f_locals}', g()))]""",
    "the environment": ("def f(x): return [read('{0.__builtins__[getattr].__globals__[os].environ}', f), "
                        "read('{0.__globals__[__builtins__][getattr].__globals__[sys].argv}', f)]"),
    "what the last program left": """\
def f(x): return read('{0.__builtins__[getattr].__globals__[sys].modules[program].__dict__}', f)""",
}
READ = "def read(text, what):\n    try: return text.format(what)\n    except Exception: return ''\n"

@pytest.mark.parametrize("isolation", BOTH)
def test_format_strings_see_no_other_call(isolation):
    with Executor(**SETTINGS | dict(workers=1, max_output=400_000), isolation=isolation) as executor:
        attacks = [Call(READ + program, "1") for program in READINGS.values()]
        outcomes = executor.run([SECRET] + [call for attack in attacks for call in (attack, SECRET)])
    assert all(o.value == "True" for o in outcomes[::2])
    for name, outcome in zip(READINGS, outcomes[1::2]):
        seen = (outcome.value or "") + (outcome.error or "")
        assert "zebra, 7419" not in seen and "zebra = x" not in seen and "'HOME" not in seen, f"{name}: {seen[:3_000]}"

# ---- cross-talk: what one program does to another. (what it does, what the other looks at, what it must see)

LEFT_BEHIND = {
    "library constant": ("import string\nstring.digits = 'x'\ndef f(x): return 1",
                         "import string\ndef f(x): return string.digits", "'0123456789'"),
    "library function": ("""\
import json
json.dumps = lambda *a: 'x'
def f(x): return 1""", "import json\ndef f(x): return json.dumps([1])", "'[1]'"),
    "method of a library class": ("""\
import collections
collections.Counter.most_common = lambda *a: 'x'
def f(x): return 1""", "import collections\ndef f(x): return collections.Counter('aa').most_common()", "[('a', 2)]"),
    "operator of a library class": ("""\
from fractions import Fraction
Fraction.__add__ = lambda *a: 7
def f(x): return 1""", """\
from fractions import Fraction
def f(x): return str(Fraction(1, 2) + Fraction(1, 3))""", "'5/6'"),
    "method of UserDict": ("""\
from collections import UserDict
UserDict.__getitem__ = lambda *a: 7
def f(x): return 1""", "from collections import UserDict\ndef f(x): return UserDict(a=1)['a']", "1"),
    "message of an exception": ("""\
import json
json.JSONDecodeError.__str__ = lambda self: 'x'
def f(x): return 1""", """\
import json
def f(x):
    try: json.loads('[')
    except ValueError as e: return str(e)""", "'Expecting value: line 1 column 2 (char 1)'"),
    "encoder of JSON": ("""\
import json
json.JSONEncoder.encode = lambda *a: '{}'
def f(x): return 1""", "import json\ndef f(x): return json.dumps([1])", "'[1]'"),
    "decoder of JSON": ("""\
import json
json.JSONDecoder.decode = lambda *a, **k: 7
def f(x): return 1""", "import json\ndef f(x): return json.loads('[1]')", "[1]"),
    "ABC registration": ("""\
import collections.abc
collections.abc.Sized.register(int)
def f(x): return 1""", "import collections.abc\ndef f(x): return isinstance(1, collections.abc.Sized)", "False"),
    "number registration": ("""\
import numbers
numbers.Integral.register(str)
def f(x): return 1""", "import numbers\ndef f(x): return isinstance('a', numbers.Number)", "False"),
    "decimal context": ("""\
import decimal
decimal.getcontext().prec = 3
def f(x): return 1""", """\
import decimal
def f(x): return str(decimal.Decimal(1) / 7)""", "'0.1428571428571428571428571429'"),
    "decimal traps": ("""\
import decimal
decimal.getcontext().traps[decimal.DivisionByZero] = False
def f(x): return 1""", """\
import decimal
def f(x):
    try: return str(decimal.Decimal(1) / 0)
    except ZeroDivisionError: return 'trapped'""", "'trapped'"),
    "members of an enum": ("""\
import re
re.RegexFlag._member_map_.clear()
re.RegexFlag._value2member_map_.clear()
def f(x): return 1""", "import re\ndef f(x): return [len(re.RegexFlag) > 5, re.RegexFlag(2) is re.I]", "[True, True]"),
    "an enum's names written into a module": ("""\
import enum
enum.global_enum(enum.Enum('E', {'hypot': 3}, module='math'))
def f(x): return 1""", "import math\ndef f(x): return math.hypot(3, 4)", "5.0"),
    "template of strings": ("""\
import string
string.Template.delimiter = '%'
string.Template.substitute = lambda *a, **k: 'x'
def f(x): return 1""", "import string\ndef f(x): return string.Template('$a').substitute(a=1)", "'1'"),
    "attribute of a library function": ("""\
import functools
functools.reduce.__class__
functools.wraps.note = 1
def f(x): return 1""", "import functools\ndef f(x): return hasattr(functools.wraps, 'note')", "False"),
    "defaults of a library function": ("""\
import textwrap
textwrap.dedent.__defaults__ = ('x',)
textwrap.indent.__defaults__ = (lambda line: False,)
def f(x): return 1""", "import textwrap\ndef f(x): return textwrap.indent('a', '> ')", "'> a'"),
    "dataclass field default": ("""\
import dataclasses
dataclasses.Field.__init__ = None
def f(x): return 1""", """\
from dataclasses import dataclass
@dataclass
class P: x: int = 3
def f(x): return P().x""", "3"),
    "cache of regular expressions": ("""\
import re
for cache in (re._cache, getattr(re, '_cache2', {})): cache[str, 'a+', 0] = re.compile('b+')
def f(x): return 1""", "import re\ndef f(x): return re.findall('a+', 'aab')", "['aa']"),
    "dispatch of deepcopy": ("""\
import copy
copy._deepcopy_dispatch[list] = lambda x, memo: 'x'
def f(x): return 1""", "import copy\ndef f(x): return copy.deepcopy([1])", "[1]"),
    "reducers of copy": ("""\
import copy
copy.dispatch_table[type('A', (), {})] = 1
copy.dispatch_table[set] = lambda s: (list, ())
copy._copy_dispatch.pop(set)
def f(x): return 1""", "import copy\ndef f(x): return copy.copy({1})", "{1}"),
    "builtin": ("len.__self__.len = lambda x: 7\ndef f(x): return 1", "def f(x): return len([1])", "1"),
    "builtins by import": ("""\
import builtins
builtins.sum = lambda x: 7
def f(x): return 1""", "def f(x): return sum([1])", "1"),
    "modules": ("import sys\nsys.modules['math'] = None\ndef f(x): return 1",
                "import math\ndef f(x): return math.floor(1.5)", "1"),
    "recursion limit": ("import sys\nsys.setrecursionlimit(120)\ndef f(x): return 1", """\
def g(n): return n and 1 + g(n - 1)
def f(x): return g(500)""", "500"),
    "digits of integers": ("""\
import sys
sys.set_int_max_str_digits(0)
def f(x): return 1""", """\
def f(x):
    try: return len(str(10 ** 5000))
    except ValueError: return 'refused'""", "'refused'"),
    "file in the way of print": ("""\
import sys
sys.stdout = None
import builtins
builtins.print = None
def f(x): return 1""", "def f(x):\n    print('a')\n    return 'printed'", "'printed'"),
    "error hooks": ("""\
import sys
sys.modules['program'].leak = 1
import builtins
builtins.leak = 1
def f(x): return 1""", "def f(x):\n    try: return leak\n    except NameError: return 'clean'", "'clean'"),
    "names": ("""\
leak = 1
def f(x):
    global other
    other = 1
    return 1""", "def f(x):\n    try: return leak\n    except NameError: return 'clean'", "'clean'"),
    "the program's module": ("""\
import sys
sys.modules['program'] = sys
def f(x): return 1""", """\
from dataclasses import dataclass
@dataclass
class P: x: int = 3
def f(x): return P().x""", "3"),
}
SILENT = ("names", "the program's module")  # a bare exec that makes a module for each program is not harmed by these

@pytest.fixture(scope="module")
def bare_pairs():
    return dict(zip(LEFT_BEHIND, against_bare_exec([[dirty, probe] for dirty, probe, _ in LEFT_BEHIND.values()])))

def alternate(executor: Executor, dirty: str, probe: str, times: int = 4):
    return executor.run(
        [Call(probe, "1")] + [call for _ in range(times) for call in (Call(dirty, "1"), Call(probe, "1"))])

@pytest.fixture(scope="module", params=BOTH)
def guarded(request):
    with Executor(**SETTINGS | dict(workers=1), isolation=request.param) as executor: yield executor

@pytest.fixture(scope="module", params=BOTH)
def unguarded(request):
    with open_door(workers=1, isolation=request.param) as executor: yield executor

@pytest.mark.parametrize("name", LEFT_BEHIND)
def test_nothing_is_left_behind(guarded, bare_pairs, name):
    dirty, probe, clean = LEFT_BEHIND[name]
    assert (bare_pairs[name][1] == clean) is (name in SILENT), f"the attack does not work: {bare_pairs[name][1]}"
    assert [o.value for o in alternate(guarded, dirty, probe)[::2]] == [clean] * 5

@pytest.mark.parametrize("name", LEFT_BEHIND)
def test_nothing_is_left_behind_without_the_safety_rule(unguarded, name):
    dirty, probe, clean = LEFT_BEHIND[name]
    assert [o.value for o in alternate(unguarded, dirty, probe)[::2]] == [clean] * 5

# ---- cross-talk through time: what goes off when the next program is running

BOMBS = {
    "finalizer that never ends": """\
def spin(self):
    while True: pass
B = type('B', (), {'__del__': spin})
def f(x):
    b = B()
    b.b = b
    return 1""",
    "finalizer that eats half of the time": """\
def slow(self):
    for _ in range(4_000_000): pass
B = type('B', (), {'__del__': slow})
def f(x):
    b = B()
    b.b = b
    return 1""",
    "finalizer that eats memory": """\
kept = []
B = type('B', (), {'__del__': lambda self: kept.append(bytearray(30 << 20))})
def f(x):
    for _ in range(3):
        b = B()
        b.b = b
    return 1""",
    "finalizer that raises": """\
def leave(self): raise SystemExit
B = type('B', (), {'__del__': leave})
def f(x):
    b = B()
    b.b = b
    return 1""",
    "suspended generator": """\
def g():
    me = yield
    try: yield me
    finally:
        while True: pass
def f(x):
    a = g()
    next(a), a.send(a)
    return 1""",
    "generator that refuses its end": """\
def g():
    me = yield
    while True:
        try: yield me
        except GeneratorExit: pass
def f(x):
    a = g()
    next(a), a.send(a)
    return 1""",
    "coroutine that spins when it is closed": """\
def once(self): yield
W = type('W', (), {'__await__': once})
async def c(k):
    try: await W()
    finally:
        while True: pass
def f(x):
    k = []
    k.append(c(k))
    k[0].send(None)
    return 1""",
    "memory that stays": "data = [bytearray(1 << 20) for _ in range(60)]\ndef f(x): return len(data)",
    "finalizer of a class": """\
def spin(cls):
    while True: pass
M = type('M', (type,), {'__del__': spin})
def f(x):
    M('A', (), {})
    return 1""",
}
PROBES = [("""\
def f(x):
    total = [[i] for i in range(5_000)]
    return len(total)""", "5000"), ("def f(x):\n    for _ in range(4_000_000): pass\n    return x", "1"),
          ("""\
def f(x):
    try: return len(bytearray(90 << 20))
    except MemoryError: return -1""", str(90 << 20)), ("""\
def g(n): return n and 1 + g(n - 1)
def f(x): return g(700)""", "700")]

@pytest.mark.parametrize("name", BOMBS)
def test_nothing_goes_off_later(guarded, name):
    outcomes = guarded.run([Call(program, "1") for probe, _ in PROBES for program in (BOMBS[name], probe)])
    assert [o.value for o in outcomes[1::2]] == [value for _, value in PROBES], outcomes
    assert len({(o.status, o.value) for o in outcomes[::2]}) == 1 and not any(o.backstop for o in outcomes)

# ---- limits, inside C calls too

NEST = "".join(" " * (n + 1) + "try: {}\n" + " " * (n + 1) + "finally:\n" for n in range(18))
LIMITS = {
    # processor time
    "power of a power": ("def f(x): return (10 ** 10 ** 8) % 7", TIMEOUT, MEMORY),
    "sum of a range": ("def f(x): return sum(range(10 ** 15))", TIMEOUT),
    "alternatives": ("import re\ndef f(x): return bool(re.fullmatch('(a|aa)+$', 'a' * 60 + 'b'))", TIMEOUT),
    "nested stars in a search": ("import re\ndef f(x): return re.sub('(x*)*y', '', 'x' * 40)", TIMEOUT),
    "back-references": ("import re\ndef f(x): return bool(re.match('(.*)*\\\\1{9}!', 'ab' * 40))", TIMEOUT),
    "modular power": ("def f(x): return pow(7, 10 ** 60_000, 10 ** 60_000 + 1) % 7", TIMEOUT),
    "factorial": ("import math\ndef f(x): return math.factorial(10 ** 7) % 7", TIMEOUT),
    "product of itertools": ("""\
import itertools
def f(x): return sum(1 for _ in itertools.product(range(1_000), repeat=8))""", TIMEOUT),
    "combinations without end": ("""\
import itertools, collections
def f(x): return len(collections.deque(itertools.combinations(range(200), 100), maxlen=1))""", TIMEOUT),
    "maximum of all numbers": ("import itertools\ndef f(x): return max(itertools.count())", TIMEOUT),
    "search in all numbers": ("import itertools\ndef f(x): return -1 in itertools.count()", TIMEOUT),
    "deque that swallows": ("""\
import itertools, collections
def f(x): return len(collections.deque(itertools.count(), maxlen=0))""", TIMEOUT),
    "all of the same": ("def f(x): return all(iter(lambda: 1, 0))", TIMEOUT),
    "slow key": ("def f(x): return sorted(range(10 ** 5), key=lambda v: sum(range(10 ** 5)))", TIMEOUT),
    "slow comparison": ("""\
class A:
    def __lt__(self, other): return sum(range(10 ** 5)) < 0
def f(x): return len(sorted(A() for _ in range(10 ** 4)))""", TIMEOUT),
    "slow hash": ("class A:\n    def __hash__(self): return sum(range(10 ** 9))\ndef f(x): return {A()}", TIMEOUT),
    "colliding keys": ("def f(x): return len({(2 ** 61 - 1) * i for i in range(10 ** 5)})", TIMEOUT),
    "exceptions from exceptions": ("def g():\n    try: g()\n    finally: g()\ndef f(x): g()", TIMEOUT),
    "fraction of an exponent": ("""\
from fractions import Fraction
def f(x): return Fraction('1e100000000') > 1""", TIMEOUT, MEMORY),
    "decimal of many digits": ("""\
import decimal
def f(x):
    decimal.getcontext().prec = 10 ** 8
    return len(str(decimal.Decimal(2).sqrt()))""", TIMEOUT, MEMORY),
    "integer of a decimal": ("""\
from decimal import Decimal
def f(x): return int(Decimal('1e99999999')) % 7""", TIMEOUT, MEMORY),
    "printing": ("def f(x):\n    while True: print('a' * 10 ** 6)", TIMEOUT),
    "argument that is read for ever": ("""\
class A:
    def __len__(self): return 10
    def __getitem__(self, n): return n
def f(x): return [v for v in A() if v < 0]""", TIMEOUT),
    "catching every end": ("""\
def f(x):
    while True:
        try: sum(range(10 ** 15))
        except BaseException: continue""", TIMEOUT),
    # memory
    "list": ("def f(x): return [0] * 10 ** 11", MEMORY),
    "tuple": ("def f(x): return (0,) * 10 ** 11", MEMORY),
    "bytes": ("def f(x): return bytes(10 ** 11)", MEMORY),
    "growing bytearray": ("def f(x):\n    b = bytearray(1)\n    while True: b += bytes(b)", MEMORY, TIMEOUT),
    "join": ("def f(x): return len(','.join(['a' * 10 ** 6] * 10 ** 6))", MEMORY, TIMEOUT),
    "replace": ("def f(x): return len(('a' * 10 ** 6).replace('a', 'b' * 10 ** 6))", MEMORY),
    "zfill": ("def f(x): return len('1'.zfill(10 ** 11))", MEMORY),
    "center": ("def f(x): return len('1'.center(10 ** 11))", MEMORY),
    "tabs": ("def f(x): return len('\\t'.expandtabs(2 * 10 ** 9))", MEMORY, RAISED),
    "format width": ("def f(x): return len('{:>10000000000}'.format(1))", MEMORY),
    "format width from a value": ("def f(x): return len(f'{x:{10 ** 10}}')", MEMORY),
    "percent width": ("def f(x): return len('%*d' % (2_000_000_000, 1))", MEMORY),
    "percent precision": ("def f(x): return len('%.2000000000f' % 1.5)", MEMORY, RAISED),
    "indentation of JSON": ("import json\ndef f(x): return len(json.dumps([1], indent=10 ** 10))", MEMORY),
    "shift": ("def f(x): return (1 << 10 ** 11) % 7", MEMORY),
    "permutations": ("""\
import itertools
def f(x): return len(list(itertools.permutations(range(12))))""", MEMORY, TIMEOUT),
    "small objects": ("def f(x): return len([object() for _ in range(10 ** 9)])", MEMORY, TIMEOUT),
    "classes": ("def f(x): return len([type('A', (), {}) for _ in range(10 ** 7)])", MEMORY, TIMEOUT),
    "endless iterator in a list": ("""\
import itertools
def f(x): return len(list(itertools.repeat('a' * 100)))""", MEMORY, TIMEOUT),
    "endless tee": ("""\
import itertools
def f(x):
    a, b = itertools.tee(itertools.count())
    for _ in a: pass""", MEMORY, TIMEOUT),
    "memory, caught and tried again": ("""\
def f(x):
    while True:
        try: [0] * 10 ** 11
        except MemoryError: pass""", TIMEOUT),
    "pattern of many states": ("""\
import re
def f(x): return bool(re.compile('((((a{1,999}){1,999}){1,999}){1,999})' * 50).match('a' * 9))""", OK, MEMORY, TIMEOUT,
RAISED),
    # depth
    "recursion of repr": ("class A:\n    def __repr__(self): return repr([self])\ndef f(x): return repr(A())", RAISED),
    "recursion of eq": ("""\
class A:
    def __eq__(self, other): return [self] == [A()]
def f(x): return A() == A()""", RAISED),
    "recursion of hash": ("class A:\n    def __hash__(self): return hash((self,))\ndef f(x): return hash(A())", RAISED),
    "recursion of __getattr__": ("""\
A = type('A', (), {'__getattr__': lambda self, name: self.other})
def f(x): return A().one""", RAISED),
    "recursion between two": ("def g(x): return f(x)\ndef f(x): return g(x)", RAISED),
    "nested JSON": ("import json\ndef f(x): return json.loads('[' * 10 ** 5)", RAISED),
    "nested groups": ("import re\ndef f(x): return re.compile('(' * 5_000 + ')' * 5_000)", RAISED),
    "deep copy of a deep list": ("""\
import copy
def f(x):
    y = []
    for _ in range(10 ** 4): y = [y]
    return copy.deepcopy(y)""", RAISED),
    "comparison of deep lists": ("""\
def f(x):
    y, z = [], []
    for _ in range(10 ** 5): y, z = [y], [z]
    return y == z""", RAISED),
    "hash of a deep tuple": ("""\
def f(x):
    y = ()
    for _ in range(10 ** 6): y = (y,)
    return hash(y) * 0""", CRASHED, RAISED, TIMEOUT, OK),  # beyond C's stack where nothing counts the levels
    "iterators in iterators": ("""\
def f(x):
    y = iter([1])
    for _ in range(2 * 10 ** 5): y = map(int, y)
    return next(y)""", CRASHED, RAISED, OK),
    "recursion, caught deep down": ("""\
def g():
    try: return g()
    except RecursionError: return repr([[[[]]]])
def f(x): return g()""", OK, RAISED),
    # size of what comes back
    "list of one list": ("def f(x):\n    y = [0] * 100\n    for _ in range(5): y = [y] * 100\n    return y", TOO_LARGE),
    "long integer": ("def f(x): return 1 << 10 ** 6", TOO_LARGE),
    "long message": ("def f(x): raise ValueError('a' * 10 ** 7)", RAISED),
    "long class name": ("E = type('E' * 10 ** 6, (Exception,), {})\ndef f(x): raise E", RAISED, CRASHED),
    "deep set": ("""\
def f(x):
    y = frozenset()
    for _ in range(200): y = frozenset({y})
    return y""", TOO_LARGE),
    "dict of dicts": ("def f(x):\n    y = {}\n    for _ in range(40): y = {1: y, 2: y}\n    return y", TOO_LARGE),
    # what the compiler makes of it
    "finally in finally": (
        "def f(x):\n" + NEST.format(*["pass"] * 18) + " " * 20 + "x = 1\n    return x", TOO_LARGE, SYNTAX, UNSAFE,
        TIMEOUT, MEMORY
    ),
    "return in finally": (
        "def f(x):\n" + NEST.format(*["return x"] * 18) + " " * 20 + "x = 1\n    return x", TOO_LARGE, SYNTAX, UNSAFE,
        TIMEOUT, MEMORY
    ),
    "brackets": ("x = " + "(" * 199 + ")" * 199 + "\ndef f(x): return x", SYNTAX, RAISED, OK),
    "minus signs": ("def f(x): return " + "-" * 15_000 + "x", SYNTAX, RAISED, CRASHED),
    "branches": ("def f(x):\n    if x > 1: pass\n" + "    elif x: pass\n" * 1_100, OK, SYNTAX, RAISED, CRASHED),
    "comparisons": ("def f(x): return " + "x < " * 4_000 + "x", OK, SYNTAX, RAISED),
    "lambdas": ("def f(x): return " + "lambda: " * 2_000 + "x", SYNTAX, RAISED, UNREPRESENTABLE, TIMEOUT, CRASHED),
    "attributes": ("def f(x): return x" + ".real" * 3_500, OK, SYNTAX, RAISED, CRASHED),
    "colliding constants": (
        "def f(x): return len({" + ", ".join(str((2 ** 61 - 1) * i) for i in range(700)) + "})", OK
    ),
    "semicolons": ("def f(x): " + "x;" * 9_900, OK),
}

@pytest.fixture(scope="module")
def limited():
    "What became of these attacks in one kind of isolation: they run once."
    met = {}
    def of(isolation: str, names) -> dict[str, Met]:
        if isolation not in met:
            with Executor(**SETTINGS | dict(timeout=.15), isolation=isolation) as executor:
                met[isolation] = meet(executor, {name: Call(LIMITS[name][0], "1") for name in names})
        return met[isolation]
    return of

SOME = list(LIMITS)[::3]  # a jail has the same limits, so a third of them is enough

@pytest.mark.parametrize(
    "isolation, name",
    [("process", name) for name in LIMITS] + [pytest.param("jail", name, marks=NO_JAIL) for name in SOME])
def test_limits_hold(limited, isolation, name):
    one = limited(isolation, LIMITS if isolation == "process" else SOME)[name]
    one.stopped(*LIMITS[name][1:])
    assert len(one.outcome.error or "") < 1_000 and len(one.outcome.value or "") <= 20_000

@pytest.mark.parametrize(
    "name", [name for name in LIMITS if LIMITS[name][0].count("finally") > 9 or len(LIMITS[name][0]) > 1_500]
)
def test_no_program_costs_the_caller_anything(name):
    "The check runs in the caller's own process, where nothing limits it."
    check_program("def f(x): return x")
    started = time.thread_time()
    check_program(LIMITS[name][0]), check_expression(LIMITS[name][0])
    assert time.thread_time() - started < 1

# ---- the process, with the safety rule switched off: `os` is at hand, and little can be done with it

GOT_OS = """\
sys = next(c for c in object.__subclasses__() if c.__name__ == '_wrap_close').__init__.__globals__['sys']
os = sys.modules['os']
"""
REACHES = { # PLACE is a folder in which anybody may write
    "make a folder": "def f(x): return os.mkdir(PLACE + '/made')",
    "read a file": "def f(x): return len(os.fdopen(os.open('/etc/passwd', 0)).read()) and None",
    "write a file": "def f(x): return os.close(os.open(PLACE + '/made', os.O_CREAT | os.O_WRONLY))",
    "remove a file": "def f(x): return os.remove(PLACE + '/file')",
    "rename a file": "def f(x): return os.rename(PLACE + '/file', PLACE + '/made')",
    "link a file": "def f(x): return os.link(PLACE + '/file', PLACE + '/made')",
    "link a name": "def f(x): return os.symlink('/', PLACE + '/made')",
    "change rights": "def f(x): return os.chmod(PLACE + '/file', 0o600)",
    "cut a file": "def f(x): return os.truncate(PLACE + '/file', 0)",
    "list a folder": "def f(x): return os.listdir('/') and None",
    "go elsewhere": "def f(x): return os.chdir(PLACE)",
    "run a program": "def f(x): return os.system('true') or None",
    "become a program": "def f(x): return os.execv('/bin/true', ['true'])",
    "fork": "def f(x):\n    pid = os.fork()\n    if pid == 0: os._exit(0)\n    os.waitpid(pid, 0)",
    "spawn": "def f(x): return os.waitpid(os.posix_spawn('/bin/true', ['true'], {}), 0) and None",
    "signal another process": "def f(x): return os.kill(os.getppid(), 0)",
    "look through all objects": "import gc\ndef f(x): return gc.get_objects() and None",
    "trace": "def f(x): return sys.settrace(None)",
    "listen to audits": "def f(x): return sys.addaudithook(print)",
    "more descriptors": "def f(x):\n    for _ in range(8): os.pipe()",
    "threads": "import _thread\ndef f(x): return _thread.start_new_thread(len, ([],)) and None",
    "more memory": "import resource\ndef f(x): return resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "a folder, after the hook's switches": """\
def f(x):
    frame = sys._getframe()
    while frame:
        for value in [*frame.f_locals.values(), *(v for o in frame.f_locals.values() for v in getattr(o, \
'__dict__', {}).values())]:
            if type(value) is list: value.clear()
        frame = frame.f_back
    return os.mkdir(PLACE + '/made')""",
    "a folder, after the hook's tools": """\
def f(x):
    for module in [os, *(m for name, m in list(sys.modules.items()) if name.startswith('azr'))]:
        for name, value in list(vars(module).items()):
            if callable(value) and name not in ('mkdir', 'fspath'): setattr(module, name, lambda *a, **k: None)
    return os.mkdir(PLACE + '/made')""",
    "a folder, after the hook's class": """\
def f(x):
    for value in list(vars(sys.modules.get('azr.executor', os)).values()):
        for name in list(vars(value)) if type(value) is type else ():
            try: setattr(value, name, lambda *a, **k: None)
            except (TypeError, AttributeError): pass
    os._exit = lambda code: None
    return os.mkdir(PLACE + '/made')""",
}

@pytest.fixture
def places(tmp_path_factory):
    "A folder for each attack, where nobody, whom root's workers become, may write too."
    with tempfile.TemporaryDirectory() as root:
        os.chmod(root, 0o755)
        for name in REACHES:
            os.mkdir(folder := os.path.join(root, name))
            with open(file := os.path.join(folder, "file"), "w") as f: f.write("kept")
            os.chmod(folder, 0o777), os.chmod(file, 0o666)
        yield root

def state(root: str) -> dict:
    return {path: (os.lstat(path).st_mode, os.lstat(path).st_size)
            for folder, folders, files in os.walk(root)
            for path in [folder, *(os.path.join(folder, name) for name in folders + files)]}

def at(place: str, name: str) -> str: return f"PLACE = {os.path.join(place, name)!r}\n{GOT_OS}{REACHES[name]}"

def test_a_bare_exec_reaches_everything(places):
    before = state(places)
    for name, (_, text) in zip(REACHES, against_bare_exec([[at(places, name)] for name in REACHES])):
        assert (
            text == ("" if name == "become a program" else "None") or name == "threads" and text.isdigit()
        ), f"{name} does not work: {text}"
    assert len(state(places)) - len(before) == 7 - 1  # seven made, one removed

@pytest.mark.parametrize("isolation", BOTH)
@pytest.mark.parametrize("hook", [True, False], ids=["hook", "no hook"])
def test_a_process_reaches_nothing(places, isolation, hook):
    if isolation == "process" and not hook: pytest.skip("the hook is the last line here")
    before = state(places)
    with open_door(hook, isolation=isolation) as executor:
        met = meet(executor, {name: Call(at(places, name), "1") for name in REACHES})
    assert state(places) == before
    for name, one in met.items():
        one.stopped(*(UNSAFE, RAISED, CRASHED) if hook else (UNSAFE, RAISED, CRASHED, MEMORY, OK))

# ---- the jail alone: whatever Python can do, without safety rule, hook or limits

JAILED = {
    "users": "open('/etc/passwd').read()", "homes": "os.listdir('/home')",
    "the folder of this checkout": "os.listdir(CHECKOUT)",
    "a file of this checkout": "open(CHECKOUT + '/settings.ini').read()", "a secret beside it": "open(SECRET).read()",
    "root of the system": "open('/made-by-azr', 'w').close(), os.remove('/made-by-azr')",
    "the system's programs": "open('/usr/made-by-azr', 'w').close(), os.remove('/usr/made-by-azr')",
    "a folder for everybody": "open('/tmp/made-by-azr', 'w').close(), os.remove('/tmp/made-by-azr')",
    "shared memory": "open('/dev/shm/made-by-azr', 'w').close(), os.remove('/dev/shm/made-by-azr')",
    "our process": "os.kill(PARENT, 0)", "all processes": "os.listdir('/proc')",
    "settings of the kernel": "open('/proc/sys/kernel/hostname').read()", "devices": "os.listdir('/sys/class')",
    "terminal": "os.stat('/dev/ptmx')",
    "a server of this machine": "socket.create_connection(('127.0.0.1', PORT), 2).close()",
    "the network": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('192.0.2.1', 9))",
    "a hidden socket": "socket.socket(socket.AF_UNIX).connect(NAME)",
    "interfaces": "next(name for _, name in socket.if_nameindex() if name != 'lo')",
    "a queue of messages": "LIBC('shmget', KEY, 4_096, 0)",
}
ROOTS = {
    "another root": "os.chroot('/usr')", "a mount": "LIBC('mount', b'none', b'/tmp', b'tmpfs', 0, None)",
    "a device file": "os.mknod('/tmp/made-by-azr', 0o20600, os.makedev(1, 3))",
    "a raw socket": "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close()",
    "another name for the machine": "socket.sethostname('made-by-azr')",
    "a tracer on us": "LIBC('ptrace', 16, PARENT, None, None)",
    "the clock": "time.clock_settime(time.CLOCK_REALTIME, time.time())"
}
INSIDE = """
import ctypes, json, os, socket, sys, time
CHECKOUT, SECRET, PARENT, PORT, NAME, KEY, attempts = json.loads(sys.argv[1])
def LIBC(name, *arguments):
    ctypes.set_errno(0)
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def attempt(text):
    try: eval(text)
    except BaseException as error: return f"{type(error).__name__}: {error}"
    return "works"
print(json.dumps({text: attempt(text) for text in attempts}))
"""

@pytest.fixture(scope="module")
def inside(tmp_path_factory):
    "What each attempt gives outside and inside."
    secret, name, key = tmp_path_factory.mktemp("beside") / "secret", f"\0azr-{os.getpid()}", 0x617A72
    secret.write_text("7419")
    shared = ctypes.CDLL(None).shmget(key, 4_096, 0o1600)
    try:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as hidden:
            hidden.bind(name), hidden.listen()
            def results(command, attempts):
                told = json.dumps([
                    str(ROOT), str(secret), os.getpid(), server.getsockname()[1], name, key, list(attempts.values())
                ])
                done = subprocess.run([*command, told], capture_output=True, text=True, check=True, timeout=60)
                return json.loads(done.stdout)
            python = [
                os.path.realpath(getattr(sys, "_base_executable", sys.executable)), "-P", "-s", "-S", "-c", INSIDE
            ]
            yield results(python, JAILED), results(_ISOLATIONS["jail"](python), JAILED | ROOTS)
    finally: ctypes.CDLL(None).shmctl(shared, 0, None)

@NO_JAIL
@pytest.mark.parametrize("name", [*JAILED, *ROOTS])
def test_a_jail_is_empty(inside, name):
    outside, within = inside
    text = (JAILED | ROOTS)[name]
    if name in JAILED and outside[text] != "works": pytest.skip(f"not to be had outside either: {outside[text]}")
    if name == "the folder of this checkout" and within[text] == "works":
        return  # it leads to the worker's own files, and holds nothing else: see the next
    assert within[text].split(":")[0] in (
        "FileNotFoundError", "PermissionError", "OSError", "ProcessLookupError", "ConnectionRefusedError",
        "StopIteration", "NotADirectoryError"
    ), within[text]

# ---- what runs between worker and program: descriptors, signals, frames of the protocol

FRAMES = {
    "honest": b'{"status": "ok", "value": "666", "seconds": 0.0}',
    "of another call": b'{"status": "ok", "value": "666", "seconds": 0.0, "id": 0}',
    "endless time": b'{"status": "ok", "value": "666", "seconds": 1e999}',
    "no time": b'{"status": "ok", "value": "666"}', "time as text": b'{"status": "ok", "value": "666", "seconds": "0"}',
    "huge time": b'{"status": "ok", "value": "666", "seconds": 1' + b"0" * 400 + b"}",
    "not a number": b'{"status": "ok", "value": "666", "seconds": NaN}', "empty": b"{}", "list": b"[]", "null": b"null",
    "a line break": b"", "deep": b"[" * 50_000, "binary": bytes(range(256)), "ready": b'{"ready": true}',
    "not a literal": b'{"status": "ok", "value": "__import__(1)", "seconds": 0.0}',
    "long": b'{"status": "ok", "value": "\'' + b"a" * 100_000 + b'\'", "seconds": 0.0}',
    "no line break": b"a" * 3_000_000, "other status": b'{"status": "wrong", "value": "666", "seconds": 0.0}',
    "value that is no text": b'{"status": "ok", "value": 666, "seconds": 0.0}',
    "half": b'{"status": "ok", "value": "666", "sec'
}
WRITE = GOT_OS + """\
def f(x):
    for fd in range(40):
        try:
            for _ in range(3): os.write(fd, {frame})
        except OSError: pass
    {end}"""
PROTOCOL = {
    f"frame, {name}": WRITE.format(
        frame=(
            repr(frame + b"\n" * (name not in ("no line break", "half")))
            if len(frame) < 5_000
            else f"{frame[:40]!r} + {frame[40:41]!r} * {len(frame) - 60} + {frame[-20:] + bytes([10])!r}"
        ),
        end="return x",
    )
    for name, frame in FRAMES.items()
}
PROTOCOL |= {f"frame and end, {name}": WRITE.format(frame=repr(FRAMES[name] + b"\n"), end="os._exit(0)")
             for name in ("honest", "empty", "of another call", "ready", "no time")}
PROTOCOL |= {
    "exit": GOT_OS + "def f(x): os._exit(0)", "exit, as if killed": GOT_OS + "def f(x): os._exit(137)",
    "abort": GOT_OS + "def f(x): os.abort()", "exit while defining": GOT_OS + "os._exit(0)\ndef f(x): return x",
    "all descriptors closed": GOT_OS + "def f(x):\n    os.closerange(0, 100)\n    return 1",
    "descriptors moved": GOT_OS + """\
def f(x):
    for fd in range(3, 40):
        try: os.dup2(1, fd)
        except OSError: pass
    return 1""",
    "noise": GOT_OS + """\
def f(x):
    for fd in (1, 2): os.write(fd, b'{"status": "ok", "value": "666", "seconds": 0}\\n' * 1_000)
    print('666')
    return 1""",
    "killed": GOT_OS + "import signal\ndef f(x): signal.raise_signal(9)",
    "terminated": GOT_OS + "import signal\ndef f(x): signal.raise_signal(15)",
    "segmentation fault": GOT_OS + "import signal\ndef f(x): signal.raise_signal(11)",
    "interrupted": GOT_OS + "import signal\ndef f(x):\n    signal.raise_signal(2)\n    while True: pass",
    "a worker without functions": GOT_OS + """\
def f(x):
    for name, value in list(vars(sys.modules['azr.executor']).items()):
        if callable(value): sys.modules['azr.executor'].__dict__[name] = None
    return 1""",
    "a worker with another canonical": GOT_OS + """\
def f(x):
    sys.modules['azr.executor'].canonical = lambda *a: '666'
    sys.modules['azr.values'].canonical = lambda *a: '666'
    return 1""",
    "without a parent process": GOT_OS + "def f(x):\n    os.getppid = lambda: 1\n    return 1",
    "clock switched off": GOT_OS + """\
import signal
def f(x):
    for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL, signal.ITIMER_VIRTUAL): signal.setitimer(timer, 0)
    for number in (signal.SIGPROF, signal.SIGXCPU, signal.SIGALRM, signal.SIGVTALRM): signal.signal(number, \
signal.SIG_IGN)
    while True: pass""",
}

@pytest.fixture(scope="module", params=BOTH)
def spoken(request):
    with open_door(isolation=request.param) as executor:
        yield meet(executor, {name: Call(program, "1") for name, program in PROTOCOL.items()}), executor.stats()

@pytest.mark.parametrize("name", PROTOCOL)
def test_nobody_speaks_for_another(spoken, name):
    "What a program says of itself is its own affair, within the form of a value; the calls beside it are not."
    met, stats = spoken
    met[name].neighbours_are_right()
    outcome = met[name].outcome
    assert outcome.status in (OK, CRASHED, UNSAFE, RAISED, TIMEOUT, MEMORY, TOO_LARGE) and not outcome.backstop, outcome
    if outcome.ok: assert outcome.value in ("1", "666")
    assert 0 <= outcome.seconds < 60 and 0 <= stats["seconds"] < 600  # no NaN, no infinity
