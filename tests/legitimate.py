"""What programs do with the modules they may import, and with attributes that sound dangerous.

Each `f(1)` has the same value in a plain interpreter.

Run as a script, it reads {name: program} as JSON and prints what a plain run gives: {name: value}."""

import json
import sys
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from azr.values import canonical

USES = {
    "__future__": """\
from __future__ import annotations
class A:
    def next(self, other: A) -> A: return other
def f(x: int) -> list[B]: return A().next(x)""",
    "abc": """\
import abc
class Shape(abc.ABC):
    @property
    @abc.abstractmethod
    def area(self): ...
class Square(Shape):
    area = 4
def f(x):
    try: Shape()
    except TypeError: return Square().area, isinstance(Square(), Shape)""",
    "bisect": """\
import bisect
def f(x):
    y = [1, 3, 5]
    bisect.insort(y, 4, key=lambda v: v)
    return y, bisect.bisect_left(y, 3), bisect.bisect(y, 3)""",
    "cmath": """\
import cmath
def f(x): return cmath.sqrt(-4), cmath.phase(1j) == cmath.pi / 2, cmath.isclose(1, 1 + 1e-12)""",
    "collections": """\
from collections import *
def f(x):
    d = defaultdict(list)
    d['a'].append(x)
    P = namedtuple('P', 'a b', defaults=[7])
    return dict(d), Counter('hello').most_common(1), list(deque([1, 2, 3], maxlen=2)), P(1)._asdict(), \
P._fields, P(1)._replace(a=3), ChainMap({'a': 1}, {'b': 2})['b'], list(OrderedDict(a=1))""",
    "collections.abc": """\
import collections.abc
from collections.abc import Mapping, Iterable
class M(Mapping):
    def __init__(self, d): self._d = d
    def __getitem__(self, k): return self._d[k]
    def __iter__(self): return iter(self._d)
    def __len__(self): return len(self._d)
def f(x): return dict(M({'a': 1})), M({}).get('b', 2), isinstance([], Iterable), \
isinstance(M({}), collections.abc.Sized)""",
    "collections: user classes": """\
from collections import UserDict, UserList, UserString
class D(UserDict):
    def __missing__(self, k): return k * 2
class L(UserList): pass
def f(x): return D()['a'], D(a=1).data, (L([1]) + [2]).data, UserString('ab').upper().data""",
    "copy": """\
import copy
class A:
    __slots__ = ('x', '_y')
    def __init__(self): self.x, self._y = [1], 2
class B:
    def __deepcopy__(self, memo): return 'deep'
def f(x):
    a = A()
    b, c = copy.copy(a), copy.deepcopy(a)
    b.x.append(2)
    return a.x, c.x, c._y, copy.deepcopy([B()])""",
    "dataclasses": """\
from dataclasses import dataclass, field, fields, asdict, astuple, replace, is_dataclass, InitVar
@dataclass(order=True)
class P:
    x: int
    y: list = field(default_factory=list, compare=False)
    z: InitVar[int] = 3
    def __post_init__(self, z): self.y.append(z)
def f(x): return repr(P(1)), asdict(P(2)), astuple(P(3, [4])), P(1) < P(2), [d.name for d in fields(P)], \
is_dataclass(P), P(1) == replace(P(1), z=3)""",
    "dataclasses: frozen, slots, names like builtins": """\
from dataclasses import dataclass, FrozenInstanceError
@dataclass(frozen=True, slots=True)
class P:
    open: int
    input: str = 'a'
    id: int = 0
def f(x):
    try: P(1).open = 3
    except FrozenInstanceError: return hash(P(1)) == hash(P(1)), {P(2): 1}[P(2)], P(1).input""",
    "dataclasses: inherited": """\
from dataclasses import dataclass, replace, KW_ONLY
@dataclass
class A:
    x: int = 1
@dataclass
class B(A):
    _: KW_ONLY
    y: int = 2
    def __eq__(self, other): return self.y == other.y
def f(x): return repr(B(5, y=6)), B(1) == B(2), replace(B(5), y=9).y""",
    "dataclasses: make_dataclass": """\
from dataclasses import make_dataclass, field, asdict
P = make_dataclass('P', [('x', int), ('y', int, field(default=5))], \
namespace={'total': lambda self: self.x + self.y}, frozen=True)
def f(x): return P(x).total(), asdict(P(x)), repr(P(2))""",
    "decimal": """\
from decimal import Decimal, getcontext, localcontext, ROUND_HALF_UP, InvalidOperation
def f(x):
    with localcontext() as c:
        c.prec = 5
        third = str(Decimal(1) / 3)
    try: Decimal('a')
    except InvalidOperation: return third, str(Decimal('2.675').quantize(Decimal('.01'), ROUND_HALF_UP)), \
getcontext().prec, f'{Decimal(1234567):,}', int(Decimal('1e3'))""",
    "enum": """\
from enum import *
class C(Enum):
    A = auto()
    B = 'b'
    @property
    def low(self): return self.name.lower()
    @classmethod
    def _missing_(cls, value): return cls.A
class F(Flag):
    X = auto()
    Y = auto()
class S(StrEnum):
    P = auto()
@unique
class I(IntEnum):
    ONE = 1
def f(x): return C.A.low, C('?').name, [c.value for c in C], (F.X | F.Y).value, S.P + 'z', I.ONE + 1, repr(C.B), \
C.__members__['A'].name, C['B'].value, Enum('E', 'u v').v.value""",
    "enum: names of their own": """\
from enum import Enum
class Planet(Enum):
    EARTH = (5, 6)
    def __init__(self, mass, radius): self.mass, self.radius = mass, radius
    def _evaluate(self): return self.mass * self.radius
def f(x): return Planet.EARTH._evaluate(), Planet((5, 6)).name""",
    "fractions": """\
from fractions import Fraction
def f(x): return str(Fraction(3, 6)), Fraction('0.25').denominator, \
Fraction(1.5).limit_denominator(10) == Fraction(3, 2), str(Fraction.from_float(.5)), float(Fraction(1, 4)), \
str(Fraction(7, 3) // 1)""",
    "functools": """\
import functools
from functools import lru_cache, cache, partial, reduce, cmp_to_key, total_ordering, wraps, cached_property
@total_ordering
class V:
    def __init__(self, n): self.n = n
    def __eq__(self, o): return self.n == o.n
    def __lt__(self, o): return self.n < o.n
    @cached_property
    def double(self): return self.n * 2
@cache
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
def twice(g):
    @wraps(g)
    def inner(*a): return g(*a) * 2
    return inner
@twice
def inc(n):
    'adds one'
    return n + 1
def f(x): return fib(50), V(2) >= V(1), V(3).double, reduce(lambda a, b: a * b, [1, 2, 3]), \
sorted([3, 1], key=cmp_to_key(lambda a, b: a - b)), partial(pow, 2)(5), inc(1), inc.__name__, inc.__doc__, \
fib.cache_info().misses""",
    "functools: singledispatch": """\
from functools import singledispatch
@singledispatch
def show(v): return 'other'
@show.register
def _(v: int): return 'int'
@show.register(list)
def _(v): return 'list'
@show.register
def _(v: 'str'): return 'text'
class Mine: pass
show.register(Mine, lambda v: 'mine')
def f(x): return show(1), show([]), show(2.5), show('a'), show(Mine()), show(True), show.dispatch(int)(0)""",
    "functools: singledispatchmethod": """\
from __future__ import annotations
from functools import singledispatchmethod
class A:
    @singledispatchmethod
    def show(self, v): return 'other'
    @show.register
    def _(self, v: int): return 'int'
    @show.register
    @classmethod
    def _(cls, v: str): return 'text'
def f(x): return A().show(1), A().show('a'), A().show([])""",
    "heapq": """\
import heapq
def f(x):
    h = [3, 1, 2]
    heapq.heapify(h)
    heapq.heappush(h, 0)
    return heapq.heappop(h), heapq.nlargest(2, h), heapq.nsmallest(1, h, key=lambda v: -v), \
list(heapq.merge([1, 4], [2])), heapq.heapreplace(h, 9)""",
    "itertools": """\
from itertools import *
def f(x): return list(islice(count(3), 2)), list(accumulate([1, 2, 3])), list(chain.from_iterable([[1], [2]])), \
[(k, list(g)) for k, g in groupby('aab')], list(product('ab', repeat=2))[1], list(permutations([1, 2])), \
list(combinations('abc', 2)), list(zip_longest([1], [2, 3])), list(pairwise([1, 2, 3])), \
list(starmap(pow, [(2, 3)])), list(takewhile(bool, [1, 0, 1]))""",
    "json": """\
import json
class E(json.JSONEncoder):
    def default(self, o): return sorted(o)
def f(x):
    try: json.loads('[')
    except json.JSONDecodeError as e: where = e.pos
    return json.dumps({'b': [1, None, True], 'a': 'é'}, sort_keys=True, indent=1), \
json.loads('{"a": [1.5, null]}', object_hook=lambda d: list(d)), json.dumps({1}, cls=E), where, \
json.dumps('\\ud800')""",
    "json: submodules": """\
import json.decoder
from json.encoder import JSONEncoder
def f(x):
    try: json.decoder.JSONDecoder().decode('x')
    except json.decoder.JSONDecodeError as e: return e.msg, JSONEncoder(indent=2).encode([1]), \
list(JSONEncoder().iterencode([1]))""",
    "math": """\
import math
from math import *
def f(x): return math.gcd(12, 18), lcm(4, 6), isqrt(17), comb(5, 2), math.perm(4), prod([2, 3]), hypot(3, 4), \
floor(-.5), math.isclose(.1 + .2, .3), factorial(20), math.inf, tau > pi, dist([0], [3]), math.log2(8), trunc(2.7)""",
    "math: what is not there": """\
import math
def f(x):
    try: math.cubic
    except AttributeError as e: return str(e), hasattr(math, 'pi'), hasattr(math, 'phi'), \
getattr(math, 'phi', 1.6)""",
    "numbers": """\
import numbers
def f(x): return isinstance(1, numbers.Integral), isinstance(1.5, numbers.Rational), \
isinstance(1j, numbers.Number), isinstance(True, numbers.Real)""",
    "operator": """\
import operator
from operator import itemgetter, attrgetter, methodcaller, mul
class A:
    def __init__(self, n): self.n, self.inner = n, self
def f(x): return mul(2, 3), sorted([(1, 'b'), (2, 'a')], key=itemgetter(1)), attrgetter('n', 'inner.n')(A(4)), \
methodcaller('split', ',', maxsplit=1)('a,b,c'), operator.add(1, 2), operator.contains([1], 1), \
operator.index(True), max([A(1), A(3)], key=attrgetter('n')).n""",
    "re": """\
import re
def f(x):
    m = re.match(r'(?P<a>\\d+)-(\\w*)', '12-ab!')
    return m.groups(), m['a'], m.span(2), re.sub(r'\\d', lambda d: str(int(d[0]) + 1), 'a1'), \
re.split('[,;]', 'a,b;c'), re.findall('a.', 'abac', re.I), [t.group() for t in re.finditer('x', 'xx')], \
re.compile('^b', re.M).search('a\\nb').start(), re.escape('a.b'), bool(re.fullmatch('é', 'É', re.IGNORECASE)), \
re.findall(r'\\N{DIGIT ONE}', '121'), isinstance(re.compile('a'), re.Pattern)""",
    "statistics": """\
import statistics
from statistics import mean, median, mode, stdev, multimode, NormalDist
def f(x): return mean([1, 2, 4]), median([3, 1, 2]), mode('aab'), round(stdev([1, 2, 3]), 6), multimode('aabb'), \
statistics.fmean([1, 2]), statistics.quantiles([1, 2, 3, 4], n=4), NormalDist(0, 1).cdf(0), \
statistics.linear_regression([1, 2], [3, 5]).slope, statistics.correlation([1, 2, 3], [1, 2, 4]) > .9""",
    "string": """\
import string
from string import Template, ascii_lowercase, punctuation
def f(x): return string.capwords('a b'), Template('$who is $$').substitute(who='I'), ascii_lowercase[:3], \
len(punctuation), string.digits, Template('$a $b').safe_substitute(a=1), string.hexdigits""",
    "string: Formatter": """\
import string
class F(string.Formatter):
    def get_value(self, key, args, kwargs): return kwargs.get(key, key) if isinstance(key, str) else args[key]
def f(x): return F().format('{0} {b} {0.real:>3} {c!r}', 5, b=2), \
[part[1] for part in string.Formatter().parse('a{x}b')]""",
    "textwrap": """\
import textwrap
def f(x): return textwrap.wrap('the quick brown fox', 9), textwrap.fill('a b c', 3), \
textwrap.dedent('  a\\n    b'), textwrap.indent('a\\nb', '> '), textwrap.shorten('hello world', 8)""",
    "typing": """\
from typing import *
import typing
T = TypeVar('T')
class Box(Generic[T]):
    def __init__(self, v: T): self.v = v
class P(NamedTuple):
    a: int
    b: 'str' = 'x'
class D(TypedDict, total=False):
    k: List[int]
@runtime_checkable
class Has(Protocol):
    def size(self) -> int: ...
class Mine:
    def size(self): return 1
U = NewType('U', int)
def f(x: Optional[Union[int, str]], *a: Any, k: Callable[[int], int] = None) -> Dict[str, List[Tuple[int, ...]]]:
    return Box[int](3).v, P(1), D(k=[1]), isinstance(Mine(), Has), cast(int, 'a'), U(5), \
get_origin(List[int]) is list, get_args(Dict[str, int]) == (str, int), str(Optional[int]), TYPE_CHECKING, \
P._field_defaults""",
    "typing: made when asked for": """\
import typing
from typing import Pattern, Match, ContextManager
def f(x): return str(Pattern), str(Match[str]), str(typing.AsyncContextManager) != '', str(ContextManager)[:21]""",
    "typing: get_type_hints": """\
from typing import *
class Node:
    left: 'Optional[Node]' = None
    val: int = 0
def g(a: 'List[int]', b: str = 'x', *, c: Optional['Node'] = None) -> 'Node': pass
def f(x):
    hints = get_type_hints(g)
    return sorted(hints), hints['a'] == List[int], hints['return'] is Node, \
get_type_hints(Node)['left'] == Optional[Node], get_type_hints(Node)['val'] is int, get_type_hints(len) == {}""",
    "typing: get_type_hints with annotations as text": """\
from __future__ import annotations
import typing
from dataclasses import dataclass, fields
@dataclass
class A:
    x: list[int]
    y: typing.Dict[str, A] = None
def f(x): return typing.get_type_hints(A)['x'] == list[int], \
typing.get_type_hints(A)['y'] == typing.Dict[str, A], [d.type for d in fields(A)], \
typing.get_type_hints(A.__init__)['return'] is type(None)""",
    # names and attributes that only sound dangerous
    "methods called _evaluate, _getitem, mro": """\
from typing import List
class Expr:
    def _evaluate(self, env): return env['x']
    def _getitem(self, i): return i
    def mro(self): return 'mine'
    def _field_type(self): return 't'
class Add(Expr):
    def __init__(self): self._convert_ = 3
    def _evaluate(self, env):
        self._convert_ += 1
        return super()._evaluate(env) + self._convert_
def f(x): return Add()._evaluate({'x': 1}), Expr()._getitem(2), Add().mro(), Add()._field_type(), \
getattr(Add(), '_convert_'), hasattr(Expr(), '_convert_')""",
    "mro of classes": """\
class A: pass
class B(A): pass
def f(x): return [c.__name__ for c in B.mro()], bool in int.mro(), [c.__name__ for c in bool.mro()]""",
    "__dict__": """\
class A:
    y = 2
    def __init__(self): self.x = 1
    def __eq__(self, other): return self.__dict__ == other.__dict__
    def __repr__(self): return f'A({self.__dict__})'
class Borg:
    state = {}
    def __init__(self): self.__dict__ = self.state
def g(): pass
def f(x):
    a, b = A(), Borg()
    a.__dict__.update(z=3)
    b.q = 5
    g.__dict__['n'] = 1
    return a.__dict__, vars(a), a == A(), repr(A()), a.z, Borg().q, g.n, [k for k in A.__dict__ if k[0] != '_'], \
[hasattr(v, '__dict__') for v in (1, 'a', [], a, A)]""",
    "__cause__ and __context__": """\
def f(x):
    try:
        try: 1 / 0
        except ZeroDivisionError as e: raise ValueError('v') from e
    except ValueError as e:
        e.add_note('n')
        return type(e.__cause__).__name__, str(e.__context__), e.__suppress_context__, e.__notes__""",
    "patterns by position": """\
from dataclasses import dataclass
from typing import NamedTuple
from abc import ABC
@dataclass
class P:
    x: int
    y: int = 0
class Q(NamedTuple):
    a: int
class R:
    __match_args__ = ('u', 'v')
    def __init__(self, u, v): self.u, self.v = u, v
class Shape(ABC): pass
@dataclass(frozen=True)
class Circle(Shape):
    r: float
def g(o):
    match o:
        case P(3): return 'p3'
        case P(x, y=y): return 'p', x, y
        case Q(a): return 'q', a
        case R(u, R(v, w)): return 'rr', u, v, w
        case R(u, v): return 'r', u, v
        case Circle(r) if r > 1: return 'c', r
        case [P(x), *rest]: return 'list', x, len(rest)
        case {'k': P(x, _)}: return 'dict', x
        case str(s) | int(s): return s
def f(x): return [g(o) for o in (P(3), P(1, 2), Q(5), R(1, 2), R(1, R(2, 3)), Circle(2), [P(7), 1], {'k': P(8)}, \
'abc', 4)]""",
    "imports that are not used": """\
import random, time
from datetime import datetime, timedelta
import hashlib as h
import struct
def f(x): return x + 1""",
    "an import that is tried": """\
try: import contextlib
except ImportError: pass
def f(x):
    import base64
    return x""",
    # what the interpreter imports only when it needs it
    "large integers": """\
import math
def f(x):
    a = 7 ** 30_000
    q, r = divmod(a, 3 ** 9_000)
    return a // 5 ** 9_000 % 1_000, q % 1_000, r % 1_000, math.isqrt(a) % 1_000, len(str(7 ** 5_000)), \
int('7' * 4_300) % 1_000""",
    "large integers in a plain program": """\
def f(x):
    a = 7 ** 30_000
    q, r = divmod(a, 3 ** 9_000)
    return a // 5 ** 9_000 % 1_000, q % 1_000, r % 1_000, len(str(7 ** 5_000)), int('7' * 4_300) % 1_000, \
f'{7 ** 3_000:,}'[:9]""",
    "large integers, refused as text": """\
def f(x):
    try: return str(10 ** 5_000)
    except ValueError as e: return str(e)""",
    "names of letters": (
        "def f(x): return 'a\\u2013'.encode('ascii', 'namereplace'), '\\N{EN DASH}', 'é'.encode('ascii', "
        "'xmlcharrefreplace'), 'é'.encode('ascii', 'backslashreplace')"
    ),
    "names of letters, with a module": """\
import math
def f(x): return '\\u2013'.encode('ascii', 'namereplace'), b'\\xff'.decode('utf-8', 'surrogateescape')""",
    "encodings": (
        "def f(x): return ['aé'.encode(name).decode(name) for name in ('utf-8', 'utf-16', 'latin-1', 'cp1252', "
        "'utf-7', 'mac_roman')], 'bücher'.encode('idna'), 'bücher'.encode('punycode'), b'61'.hex(), "
        "'ab'.encode('utf_32_le')[:4]"
    ),
    "an error where nobody can catch it": """\
class A:
    def __del__(self): raise ValueError('lost')
def f(x):
    A()
    return x""",
    "warnings": "def f(x): return 1 is 1, '\\d', (lambda: 0) == 1, True + ~True",
    "errors have their text": """\
def f(x):
    out = []
    for go in (lambda: {}['k'], lambda: [][3], lambda: int('x'), lambda: None + 1, lambda: x.foo, \
lambda: undefined, lambda: 'a'.encode('nowhere')):
        try: go()
        except Exception as e: out.append((type(e).__name__, str(e)))
    return out""",
}

# refused, and named on the page: a program that does this has a result, and no task is made of it
REFUSED = {
    "dir": "def f(x): return 'append' in dir([])",
    "memoryview": "def f(x): return bytes(memoryview(b'abc')[1:])",
    "locals": "def f(x): return locals()",
    "globals": "def f(x): return 'f' in globals()",
    "eval": "def f(x): return eval('1 + 1')",
    "__mro__": "class A: pass\ndef f(x): return len(A.__mro__)",
    "__bases__": "class A: pass\ndef f(x): return len(A.__bases__)",
    "__module__": "class A: pass\ndef f(x): return A.__module__ != ''",
    "__wrapped__": "from functools import cache\n@cache\ndef g(n): return n\ndef f(x): return g.__wrapped__(x)",
    "__self__": "def f(x): return [1].append.__self__",
    "__traceback__": "def f(x):\n    try: 1 / 0\n    except ZeroDivisionError as e: return e.__traceback__ is None",
    "__defaults__": "def g(a=1): pass\ndef f(x): return g.__defaults__",
    "__dict__ of a module": "import math\ndef f(x): return 'pi' in math.__dict__",
    "__dict__ of a library's class": """\
from fractions import Fraction
def f(x): return 'limit_denominator' in Fraction.__dict__""",
    "private names of the library": "import collections\ndef f(x): return collections._chain is None",
    "getattr by a computed name": "class A: a = 1\ndef f(x): return [getattr(A, n) for n in ['a']]",
    "__match_args__ that are computed": "class A:\n    __match_args__ = tuple('xy')\ndef f(x): return 1",
    "a library's class by position": """\
from fractions import Fraction
class G(Fraction): pass
H = G
def f(x):
    match x:
        case H(): return 1
        case H(y): return 2
        case _: return 3""",
    "typing.ForwardRef": "from typing import ForwardRef\ndef f(x): return ForwardRef('int') == ForwardRef('int')",
    "a used import": "import random\ndef f(x): return random.Random(0).random() < 2",
    "__class__ is set": """\
class A: pass
class B: pass
def f(x):
    a = A()
    setattr(a, '__class__', B)
    return type(a) is B""",
}

def plain(program: str) -> str:
    "The value of `f(1)` where nothing guards anything."
    module = sys.modules["program"] = types.ModuleType("program")
    exec(compile(program, "<program>", "exec", dont_inherit=True), module.__dict__)
    return canonical(module.f(1))

if __name__ == "__main__":
    import warnings
    warnings.simplefilter("ignore")
    sys.unraisablehook = bool
    print(json.dumps({name: plain(program) for name, program in json.load(sys.stdin).items()}))
