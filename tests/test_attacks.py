"""A hundred attacks and more, one property each. Where that does no harm, an attack is first seen to work against a bare `exec`; then the executor meets it, with honest calls on both sides.

The layers, from the outside: the policy refuses before anything runs, and guards what a program sees; the process has limits and a hook that ends it; the jail has nothing in it. Each is also met with the layers above it switched off."""
import json, os, shutil, socket, subprocess, sys, textwrap, threading, time
from typing import NamedTuple

import pytest

from azr.core import Status
from azr.executor import ISOLATIONS, Call, Executor, check_expression, check_program

OK, UNSAFE, RAISED, TIMEOUT, MEMORY, TOO_LARGE, CRASHED, SYNTAX, UNREPRESENTABLE = (Status[name] for name in "OK UNSAFE RAISED TIMEOUT MEMORY TOO_LARGE CRASHED SYNTAX UNREPRESENTABLE".split())
SETTINGS = dict(workers=2, timeout=.3, memory_mb=128)

# ---- the tools of this page

class Unchecked(Executor):
    "Without the policy, so that the lines behind it are tested."
    def _refusal(self, call): return None

def open_door(hook: bool = True, **settings) -> Executor:
    "An executor without the policy; also without the audit hook, if asked."
    return Unchecked(**SETTINGS | settings)

def jail_starts() -> bool:
    command = ["bwrap", "--unshare-all", "--ro-bind", "/", "/", "true"]
    return "jail" in ISOLATIONS and bool(shutil.which("bwrap")) and subprocess.run(command, capture_output=True).returncode == 0

NO_JAIL = pytest.mark.skipif(not jail_starts(), reason="bubblewrap is missing, or may not start here")
BOTH = ["process", pytest.param("jail", marks=NO_JAIL)]

BARE = """
import json, os, signal, sys, types
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
        os.write(write, text.encode(errors="replace")[:4_000])
        os._exit(0)
    os.close(write)
    with open(read, "rb") as pipe: text = pipe.read().decode()
    os.wait()
    print(json.dumps([pid, text]))
"""

def against_bare_exec(rows: list[list[str]]) -> list[tuple[int, str]]: # (process id, what the last program's f(1) gave)
    "Each row of programs runs in turn in a process of its own, which nothing guards."
    done = subprocess.run([sys.executable, "-c", BARE], input=json.dumps(rows), capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]

class Met(NamedTuple):
    "What became of an attack, and of the honest calls before and after it."
    outcome: object
    neighbours: list
    def stopped(self, *statuses):
        assert self.outcome.status in statuses and not self.outcome.backstop, self.outcome
        assert (self.outcome.value is None) == (self.outcome.status is not OK)
        self.neighbours_are_right()
    def neighbours_are_right(self): assert [o.value for o, _ in self.neighbours] == [v for _, v in self.neighbours], self.neighbours

def honest(n: int) -> tuple[Call, str]: return Call(f"def f(x):\n    return [x * {n}, len('ab' * x)]", "3"), f"[{3 * n}, 6]"

def meet(executor: Executor, attacks: dict[str, Call], **kwargs) -> dict[str, Met]:
    "All attacks in one batch, an honest call between any two."
    calls, right = [honest(0)[0]], [honest(0)[1]]
    for n, call in enumerate(attacks.values(), 1): calls += [call, honest(n)[0]]; right += [None, honest(n)[1]]
    outcomes = executor.run(calls, **kwargs)
    assert executor.run([honest(7)[0]])[0].value == honest(7)[1]  # usable afterwards
    return {name: Met(outcomes[2 * n + 1], [(outcomes[m], right[m]) for m in (2 * n, 2 * n + 2)]) for n, name in enumerate(attacks)}

def source(text: str) -> str: return textwrap.dedent(text).strip() + "\n"

# ---- the policy: ways from a value to the interpreter. Each returns the number of the process that it runs in, which no program can know that has not got out

GETPID = "\"__import__('os').getpid()\""
EVALUATE = source("""
    CODE, got = "[got.append(__import__('os').getpid()), int][1]", []
    def evaluate(ref): # each Python has its own spelling
        for go in (lambda: ref._evaluate({'got': got}, {}, frozenset()), lambda: ref._evaluate({'got': got}, {}, recursive_guard=frozenset()), lambda: ref.evaluate(globals={'got': got})):
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
    "subclasses": "def f(x): return next(c for c in ().__class__.__base__.__subclasses__() if c.__name__ == '_wrap_close').__init__.__globals__['getpid']()",
    "mro": "def f(x): return next(c for c in x.__class__.__mro__[-1].__subclasses__() if c.__name__ == '_wrap_close').__init__.__globals__['getpid']()",
    "reduce_ex": "def f(x): return globals_of(object().__reduce_ex__(2)[0].__globals__)",
    "function globals": "def f(x): return globals_of(f.__globals__)",
    "function builtins": "def f(x): return builtins_of(f.__builtins__)",
    "globals of a library function": "import re\ndef f(x): return re.compile.__globals__['enum'].sys.modules['os'].getpid()",
    "self of a builtin": f"def f(x): return len.__self__.eval({GETPID})",
    "method of an object": f"class A:\n    def m(self): pass\ndef f(x): return globals_of(A().m.__func__.__globals__)",
    "descriptor": f"def f(x): return globals_of(f.__get__(x).__func__.__globals__)",
    "object.__getattribute__": f"def f(x): return globals_of(object.__getattribute__(f, '__globals__'))",
    "type.__getattribute__": "def f(x): return next(c for c in type.__getattribute__(object, '__subclasses__')() if c.__name__ == '_wrap_close').__init__.__globals__['getpid']()",
    "super": f"class A:\n    def m(self): return super().__getattribute__('m')\ndef f(x): return globals_of(A().m().__func__.__globals__)",
    "__build_class__": f"def f(x): return __build_class__.__self__.eval({GETPID})",
    "a site builtin": "def f(x): return quit.__class__.__call__.__globals__['sys'].modules['os'].getpid()",
    "code object": f"def g(x): return x.real\ndef f(x):\n    g.__code__ = g.__code__.replace(co_names=('__globals__',))\n    return globals_of(g(f))",
    "function of a code object": "def f(x): return type(f)(compile(\"__import__('os').getpid()\", '', 'eval'), {})()",
    # frames
    "generator frame": f"def f(x): return builtins_of((i for i in [1]).gi_frame.f_builtins)",
    "coroutine frame": f"async def c(): pass\ndef f(x):\n    k = c()\n    b = k.cr_frame.f_builtins\n    k.close()\n    return builtins_of(b)",
    "async generator frame": f"async def a(): yield\ndef f(x): return builtins_of(a().ag_frame.f_builtins)",
    "traceback frame": f"def f(x):\n    try: 1 / 0\n    except ZeroDivisionError as e: return builtins_of(e.__traceback__.tb_frame.f_builtins)",
    "traceback handed to __exit__": f"class C:\n    def __enter__(self): return self\n    def __exit__(self, kind, error, trace):\n        self.b = trace.tb_frame.f_builtins\n        return True\ndef f(x):\n    with C() as c: 1 / 0\n    return builtins_of(c.b)",
    "traceback of an exception's context": f"def f(x):\n    try:\n        try: 1 / 0\n        finally: [][0]\n    except IndexError as e: return builtins_of(e.__context__.__traceback__.tb_frame.f_builtins)",
    # patterns
    "match, keyword": f"def f(x):\n    match f:\n        case object(__globals__=g): return globals_of(g)",
    "match, keyword on a traceback": f"class C:\n    def __enter__(self): return self\n    def __exit__(self, kind, error, trace):\n        match trace:\n            case object(tb_frame=object(f_builtins=b)): self.b = b\n        return True\ndef f(x):\n    with C() as c: 1 / 0\n    return builtins_of(c.b)",
    "match, position": f"class Any(type):\n    def __instancecheck__(c, o): return True\nM = Any('M', (), {{'__match_args__': ('__globals__',)}})\ndef f(x):\n    match f:\n        case M(g): return globals_of(g)",
    "match, position on an attribute": f"class Any(type):\n    def __instancecheck__(c, o): return True\nclass N: M = Any('M', (), {{'__match_args__': ('__globals__',)}})\ndef f(x):\n    match f:\n        case N.M(g): return globals_of(g)",
    "match, position on a captured builtin name": f"class Any(type):\n    def __instancecheck__(c, o): return True\ndef f(x):\n    match Any('M', (), {{'__match_args__': ('__globals__',)}}):\n        case int:\n            match f:\n                case int(g): return globals_of(g)",
    "match, position on a starred name": f"class Any(type):\n    def __instancecheck__(c, o): return True\nclass L(list):\n    pass\ndef f(x):\n    match [Any('M', (), {{'__match_args__': ('__globals__',)}})]:\n        case [int as str]:\n            match f:\n                case str(g): return globals_of(g)",
    "match, position on a name from a mapping": f"class Any(type):\n    def __instancecheck__(c, o): return True\ndef f(x):\n    match {{'m': Any('M', (), {{'__match_args__': ('__globals__',)}})}}:\n        case {{'m': list}}:\n            match f:\n                case list(g): return globals_of(g)",
    # attributes by computed names
    "getattr": f"def f(x): return globals_of(getattr(f, '__glo' + 'bals__'))",
    "getattr from a dict": f"def f(x): return globals_of(dict(g=getattr)['g'](f, '__glo' + 'bals__'))",
    "getattr as a default": f"def f(x, g=getattr): return globals_of(g(f, '__glo' + 'bals__'))",
    "getattr through map": f"def f(x): return globals_of(next(map(getattr, [f], ['__glo' + 'bals__'])))",
    "getattr with a name that lies": f"class S(str):\n    def split(self, *a): return ['real']\n    def startswith(self, *a): return False\n    def __getitem__(self, n): return 'a'\ndef f(x): return globals_of(getattr(f, S('__glo' + 'bals__')))",
    "getattr with another's name": f"def h(getattr): pass\ndef f(x): return globals_of(getattr(f, '__glo' + 'bals__'))",
    "attrgetter": f"import operator\ndef f(x): return globals_of(operator.attrgetter('__globals__')(f))",
    "attrgetter, dotted": f"from operator import attrgetter as a\nclass A:\n    def m(self): pass\ndef f(x): return globals_of(a('m.__globals__')(A))",
    "methodcaller": f"import operator\ndef f(x): return globals_of(operator.methodcaller('__getattribute__', '__globals__')(f))",
    "update_wrapper": f"import functools\ngot = []\nclass W:\n    def __setattr__(self, name, value): got.append(value)\ndef f(x):\n    functools.update_wrapper(W(), f, assigned=('__globals__',), updated=())\n    return globals_of(got[0])",
    "wraps": f"import functools\ngot = []\nclass W:\n    def __setattr__(self, name, value): got.append(value)\ndef f(x):\n    functools.wraps(f, ('__globals__',), ())(W())\n    return globals_of(got[0])",
    "Formatter.get_field": f"import string\ndef f(x): return globals_of(string.Formatter().get_field('0.__globals__', [f], {{}})[0])",
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
    "eval as a JSON hook": f"import json\ndef f(x): return json.loads('NaN', parse_constant=lambda text: eval({GETPID}))",
    "eval as a regex callback": f"import re\ndef f(x): return int(re.sub('.', lambda found: str(eval({GETPID})), 'a'))",
    "eval by __reduce_ex__": f"import copy\nclass R:\n    def __reduce_ex__(self, protocol): return eval, ({GETPID},)\ndef f(x): return copy.copy(R())",
    "eval by __reduce__, deep": f"import copy\nclass R:\n    def __reduce__(self): return eval, ({GETPID},)\ndef f(x): return copy.deepcopy([R()])[0]",
    "eval, excused by a parameter": f"def h(eval=0): pass\ndef f(x): return eval({GETPID})",
    "eval, excused by an exception": f"try: 1 / 0\nexcept ZeroDivisionError as eval: pass\ndef f(x): return eval({GETPID})",
    "exec": "def f(x):\n    space = {}\n    exec('import os; pid = os.getpid()', space)\n    return space['pid']",
    "globals": f"def f(x): return globals_of(globals())",
    "__builtins__": f"def f(x): return builtins_of(__builtins__)",
    "__builtins__ put back by dataclass": f"from dataclasses import dataclass\ntry: 1 / 0\nexcept ZeroDivisionError as __builtins__: pass\n@dataclass\nclass A: x: int = 0\ndef h(eval=0): pass\ndef f(x): return eval({GETPID})",
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
    "private twin of an allowed module": "from _collections_abc import sys\ndef f(x): return sys.modules['os'].getpid()",
    "__import__ as a default": "def f(x, i=__import__): return i('os').getpid()",
    # modules in modules
    "module of typing": "import typing\ndef f(x): return typing.sys.modules['os'].getpid()",
    "private module of collections": "import collections\ndef f(x): return collections._sys.modules['os'].getpid()",
    "module of json": "import json\ndef f(x): return json.codecs.sys.modules['os'].getpid()",
    "module of statistics": "from statistics import random\ndef f(x): return random._os.getpid()",
    "module of a submodule": "import json.decoder as d\ndef f(x): return d.scanner.re.enum.sys.modules['os'].getpid()",
    # libraries that evaluate text, or look modules up
    "get_type_hints": f"import typing\ngot = []\ndef g(a: \"got.append(__import__('os').getpid())\"): pass\ndef f(x):\n    typing.get_type_hints(g)\n    return got[0]",
    "singledispatch by annotation": "import functools\ngot = []\n@functools.singledispatch\ndef g(a): pass\ndef h(a: \"[got.append(__import__('os').getpid()), int][1]\"): pass\ndef f(x):\n    g.register(h)\n    return got[0]",
    "ForwardRef from a type": EVALUATE + "import typing\ndef f(x): return evaluate(typing.get_args(typing.List[CODE])[0])",
    "ForwardRef from a TypedDict": EVALUATE + "from typing import TypedDict\ndef f(x): return evaluate(TypedDict('T', {'a': CODE}).__annotations__['a'])",
    "field names of a dataclass": "from dataclasses import dataclass\ngot = []\nT = type('T', (), {'a': 0, '__doc__': '', '__module__': __name__, '__annotations__': {'a, got.append(f.__globals__)': int}})\ndef f(x):\n    D = dataclass(T, init=False, repr=False)\n    D() == D()\n    return globals_of(got[0])",
    "a dataclass of another module": "from dataclasses import dataclass\ngot = []\nT = type('T', (), {'take': got.append, '__doc__': '', '__module__': 'os', '__annotations__': {'take(getpid())': int}})\ndef f(x):\n    D = dataclass(T, init=False, repr=False)\n    D() == D()\n    return got[0]",
    "an enum of another module": "from enum import Enum\ndef f(x):\n    return Enum._convert_('E', 'os', lambda name: name == 'sys').sys.value.modules['os'].getpid()",
    "attributes of an ABC": f"import abc\nclass A(abc.ABC):\n    @abc.abstractmethod\n    def m(self): pass\ndef f(x): return globals_of(A.m.__globals__)",
}

@pytest.fixture(scope="module")
def bare_ways(): return dict(zip(WAYS_OUT, against_bare_exec([[REACHED + program] for program in WAYS_OUT.values()])))

@pytest.fixture(scope="module", params=BOTH)
def refused(request):
    with Executor(**SETTINGS, isolation=request.param) as executor: yield meet(executor, {name: Call(REACHED + program, "1") for name, program in WAYS_OUT.items()})

@pytest.mark.parametrize("name", WAYS_OUT)
def test_policy_knows_the_way_out(name, refused, bare_ways):
    pid, text = bare_ways[name]
    assert text == str(pid), f"the attack does not work: {text}"
    refused[name].stopped(UNSAFE, RAISED)
