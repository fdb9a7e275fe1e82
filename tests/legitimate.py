"""What programs do with the modules they may import, and with attributes that sound dangerous: each `f(1)` has the same value in a plain interpreter.

Run as a script, it reads {name: program} as JSON and prints what a plain run gives: {name: value}."""

import json
import sys
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from azr.values import canonical

USES = {
    "__future__": "from __future__ import annotations\nclass A:\n    def next(self, other: A) -> A: return other\ndef f(x: int) -> list[B]: return A().next(x)",
    "abc": "import abc\nclass Shape(abc.ABC):\n    @property\n    @abc.abstractmethod\n    def area(self): ...\nclass Square(Shape):\n    area = 4\ndef f(x):\n    try: Shape()\n    except TypeError: return Square().area, isinstance(Square(), Shape)",
    "bisect": "import bisect\ndef f(x):\n    y = [1, 3, 5]\n    bisect.insort(y, 4, key=lambda v: v)\n    return y, bisect.bisect_left(y, 3), bisect.bisect(y, 3)",
    "cmath": "import cmath\ndef f(x): return cmath.sqrt(-4), cmath.phase(1j) == cmath.pi / 2, cmath.isclose(1, 1 + 1e-12)",
    "collections": "from collections import *\ndef f(x):\n    d = defaultdict(list)\n    d['a'].append(x)\n    P = namedtuple('P', 'a b', defaults=[7])\n    return dict(d), Counter('hello').most_common(1), list(deque([1, 2, 3], maxlen=2)), P(1)._asdict(), P._fields, P(1)._replace(a=3), ChainMap({'a': 1}, {'b': 2})['b'], list(OrderedDict(a=1))",
    "collections.abc": "import collections.abc\nfrom collections.abc import Mapping, Iterable\nclass M(Mapping):\n    def __init__(self, d): self._d = d\n    def __getitem__(self, k): return self._d[k]\n    def __iter__(self): return iter(self._d)\n    def __len__(self): return len(self._d)\ndef f(x): return dict(M({'a': 1})), M({}).get('b', 2), isinstance([], Iterable), isinstance(M({}), collections.abc.Sized)",
    "collections: user classes": "from collections import UserDict, UserList, UserString\nclass D(UserDict):\n    def __missing__(self, k): return k * 2\nclass L(UserList): pass\ndef f(x): return D()['a'], D(a=1).data, (L([1]) + [2]).data, UserString('ab').upper().data",
    "copy": "import copy\nclass A:\n    __slots__ = ('x', '_y')\n    def __init__(self): self.x, self._y = [1], 2\nclass B:\n    def __deepcopy__(self, memo): return 'deep'\ndef f(x):\n    a = A()\n    b, c = copy.copy(a), copy.deepcopy(a)\n    b.x.append(2)\n    return a.x, c.x, c._y, copy.deepcopy([B()])",
    "dataclasses": "from dataclasses import dataclass, field, fields, asdict, astuple, replace, is_dataclass, InitVar\n@dataclass(order=True)\nclass P:\n    x: int\n    y: list = field(default_factory=list, compare=False)\n    z: InitVar[int] = 3\n    def __post_init__(self, z): self.y.append(z)\ndef f(x): return repr(P(1)), asdict(P(2)), astuple(P(3, [4])), P(1) < P(2), [d.name for d in fields(P)], is_dataclass(P), P(1) == replace(P(1), z=3)",
    "dataclasses: frozen, slots, names like builtins": "from dataclasses import dataclass, FrozenInstanceError\n@dataclass(frozen=True, slots=True)\nclass P:\n    open: int\n    input: str = 'a'\n    id: int = 0\ndef f(x):\n    try: P(1).open = 3\n    except FrozenInstanceError: return hash(P(1)) == hash(P(1)), {P(2): 1}[P(2)], P(1).input",
    "dataclasses: inherited": "from dataclasses import dataclass, replace, KW_ONLY\n@dataclass\nclass A:\n    x: int = 1\n@dataclass\nclass B(A):\n    _: KW_ONLY\n    y: int = 2\n    def __eq__(self, other): return self.y == other.y\ndef f(x): return repr(B(5, y=6)), B(1) == B(2), replace(B(5), y=9).y",
    "dataclasses: make_dataclass": "from dataclasses import make_dataclass, field, asdict\nP = make_dataclass('P', [('x', int), ('y', int, field(default=5))], namespace={'total': lambda self: self.x + self.y}, frozen=True)\ndef f(x): return P(x).total(), asdict(P(x)), repr(P(2))",
    "decimal": "from decimal import Decimal, getcontext, localcontext, ROUND_HALF_UP, InvalidOperation\ndef f(x):\n    with localcontext() as c:\n        c.prec = 5\n        third = str(Decimal(1) / 3)\n    try: Decimal('a')\n    except InvalidOperation: return third, str(Decimal('2.675').quantize(Decimal('.01'), ROUND_HALF_UP)), getcontext().prec, f'{Decimal(1234567):,}', int(Decimal('1e3'))",
    "enum": "from enum import *\nclass C(Enum):\n    A = auto()\n    B = 'b'\n    @property\n    def low(self): return self.name.lower()\n    @classmethod\n    def _missing_(cls, value): return cls.A\nclass F(Flag):\n    X = auto()\n    Y = auto()\nclass S(StrEnum):\n    P = auto()\n@unique\nclass I(IntEnum):\n    ONE = 1\ndef f(x): return C.A.low, C('?').name, [c.value for c in C], (F.X | F.Y).value, S.P + 'z', I.ONE + 1, repr(C.B), C.__members__['A'].name, C['B'].value, Enum('E', 'u v').v.value",
    "enum: names of their own": "from enum import Enum\nclass Planet(Enum):\n    EARTH = (5, 6)\n    def __init__(self, mass, radius): self.mass, self.radius = mass, radius\n    def _evaluate(self): return self.mass * self.radius\ndef f(x): return Planet.EARTH._evaluate(), Planet((5, 6)).name",
    "fractions": "from fractions import Fraction\ndef f(x): return str(Fraction(3, 6)), Fraction('0.25').denominator, Fraction(1.5).limit_denominator(10) == Fraction(3, 2), str(Fraction.from_float(.5)), float(Fraction(1, 4)), str(Fraction(7, 3) // 1)",
    "functools": "import functools\nfrom functools import lru_cache, cache, partial, reduce, cmp_to_key, total_ordering, wraps, cached_property\n@total_ordering\nclass V:\n    def __init__(self, n): self.n = n\n    def __eq__(self, o): return self.n == o.n\n    def __lt__(self, o): return self.n < o.n\n    @cached_property\n    def double(self): return self.n * 2\n@cache\ndef fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)\ndef twice(g):\n    @wraps(g)\n    def inner(*a): return g(*a) * 2\n    return inner\n@twice\ndef inc(n):\n    'adds one'\n    return n + 1\ndef f(x): return fib(50), V(2) >= V(1), V(3).double, reduce(lambda a, b: a * b, [1, 2, 3]), sorted([3, 1], key=cmp_to_key(lambda a, b: a - b)), partial(pow, 2)(5), inc(1), inc.__name__, inc.__doc__, fib.cache_info().misses",
    "functools: singledispatch": "from functools import singledispatch\n@singledispatch\ndef show(v): return 'other'\n@show.register\ndef _(v: int): return 'int'\n@show.register(list)\ndef _(v): return 'list'\n@show.register\ndef _(v: 'str'): return 'text'\nclass Mine: pass\nshow.register(Mine, lambda v: 'mine')\ndef f(x): return show(1), show([]), show(2.5), show('a'), show(Mine()), show(True), show.dispatch(int)(0)",
    "functools: singledispatchmethod": "from __future__ import annotations\nfrom functools import singledispatchmethod\nclass A:\n    @singledispatchmethod\n    def show(self, v): return 'other'\n    @show.register\n    def _(self, v: int): return 'int'\n    @show.register\n    @classmethod\n    def _(cls, v: str): return 'text'\ndef f(x): return A().show(1), A().show('a'), A().show([])",
    "heapq": "import heapq\ndef f(x):\n    h = [3, 1, 2]\n    heapq.heapify(h)\n    heapq.heappush(h, 0)\n    return heapq.heappop(h), heapq.nlargest(2, h), heapq.nsmallest(1, h, key=lambda v: -v), list(heapq.merge([1, 4], [2])), heapq.heapreplace(h, 9)",
    "itertools": "from itertools import *\ndef f(x): return list(islice(count(3), 2)), list(accumulate([1, 2, 3])), list(chain.from_iterable([[1], [2]])), [(k, list(g)) for k, g in groupby('aab')], list(product('ab', repeat=2))[1], list(permutations([1, 2])), list(combinations('abc', 2)), list(zip_longest([1], [2, 3])), list(pairwise([1, 2, 3])), list(starmap(pow, [(2, 3)])), list(takewhile(bool, [1, 0, 1]))",
    "json": "import json\nclass E(json.JSONEncoder):\n    def default(self, o): return sorted(o)\ndef f(x):\n    try: json.loads('[')\n    except json.JSONDecodeError as e: where = e.pos\n    return json.dumps({'b': [1, None, True], 'a': 'é'}, sort_keys=True, indent=1), json.loads('{\"a\": [1.5, null]}', object_hook=lambda d: list(d)), json.dumps({1}, cls=E), where, json.dumps('\\ud800')",
    "json: submodules": "import json.decoder\nfrom json.encoder import JSONEncoder\ndef f(x):\n    try: json.decoder.JSONDecoder().decode('x')\n    except json.decoder.JSONDecodeError as e: return e.msg, JSONEncoder(indent=2).encode([1]), list(JSONEncoder().iterencode([1]))",
    "math": "import math\nfrom math import *\ndef f(x): return math.gcd(12, 18), lcm(4, 6), isqrt(17), comb(5, 2), math.perm(4), prod([2, 3]), hypot(3, 4), floor(-.5), math.isclose(.1 + .2, .3), factorial(20), math.inf, tau > pi, dist([0], [3]), math.log2(8), trunc(2.7)",
    "math: what is not there": "import math\ndef f(x):\n    try: math.cubic\n    except AttributeError as e: return str(e), hasattr(math, 'pi'), hasattr(math, 'phi'), getattr(math, 'phi', 1.6)",
    "numbers": "import numbers\ndef f(x): return isinstance(1, numbers.Integral), isinstance(1.5, numbers.Rational), isinstance(1j, numbers.Number), isinstance(True, numbers.Real)",
    "operator": "import operator\nfrom operator import itemgetter, attrgetter, methodcaller, mul\nclass A:\n    def __init__(self, n): self.n, self.inner = n, self\ndef f(x): return mul(2, 3), sorted([(1, 'b'), (2, 'a')], key=itemgetter(1)), attrgetter('n', 'inner.n')(A(4)), methodcaller('split', ',', maxsplit=1)('a,b,c'), operator.add(1, 2), operator.contains([1], 1), operator.index(True), max([A(1), A(3)], key=attrgetter('n')).n",
    "re": "import re\ndef f(x):\n    m = re.match(r'(?P<a>\\d+)-(\\w*)', '12-ab!')\n    return m.groups(), m['a'], m.span(2), re.sub(r'\\d', lambda d: str(int(d[0]) + 1), 'a1'), re.split('[,;]', 'a,b;c'), re.findall('a.', 'abac', re.I), [t.group() for t in re.finditer('x', 'xx')], re.compile('^b', re.M).search('a\\nb').start(), re.escape('a.b'), bool(re.fullmatch('é', 'É', re.IGNORECASE)), re.findall(r'\\N{DIGIT ONE}', '121'), isinstance(re.compile('a'), re.Pattern)",
    "statistics": "import statistics\nfrom statistics import mean, median, mode, stdev, multimode, NormalDist\ndef f(x): return mean([1, 2, 4]), median([3, 1, 2]), mode('aab'), round(stdev([1, 2, 3]), 6), multimode('aabb'), statistics.fmean([1, 2]), statistics.quantiles([1, 2, 3, 4], n=4), NormalDist(0, 1).cdf(0), statistics.linear_regression([1, 2], [3, 5]).slope, statistics.correlation([1, 2, 3], [1, 2, 4]) > .9",
    "string": "import string\nfrom string import Template, ascii_lowercase, punctuation\ndef f(x): return string.capwords('a b'), Template('$who is $$').substitute(who='I'), ascii_lowercase[:3], len(punctuation), string.digits, Template('$a $b').safe_substitute(a=1), string.hexdigits",
    "string: Formatter": "import string\nclass F(string.Formatter):\n    def get_value(self, key, args, kwargs): return kwargs.get(key, key) if isinstance(key, str) else args[key]\ndef f(x): return F().format('{0} {b} {0.real:>3} {c!r}', 5, b=2), [part[1] for part in string.Formatter().parse('a{x}b')]",
    "textwrap": "import textwrap\ndef f(x): return textwrap.wrap('the quick brown fox', 9), textwrap.fill('a b c', 3), textwrap.dedent('  a\\n    b'), textwrap.indent('a\\nb', '> '), textwrap.shorten('hello world', 8)",
    "typing": "from typing import *\nimport typing\nT = TypeVar('T')\nclass Box(Generic[T]):\n    def __init__(self, v: T): self.v = v\nclass P(NamedTuple):\n    a: int\n    b: 'str' = 'x'\nclass D(TypedDict, total=False):\n    k: List[int]\n@runtime_checkable\nclass Has(Protocol):\n    def size(self) -> int: ...\nclass Mine:\n    def size(self): return 1\nU = NewType('U', int)\ndef f(x: Optional[Union[int, str]], *a: Any, k: Callable[[int], int] = None) -> Dict[str, List[Tuple[int, ...]]]:\n    return Box[int](3).v, P(1), D(k=[1]), isinstance(Mine(), Has), cast(int, 'a'), U(5), get_origin(List[int]) is list, get_args(Dict[str, int]) == (str, int), str(Optional[int]), TYPE_CHECKING, P._field_defaults",
    "typing: made when asked for": "import typing\nfrom typing import Pattern, Match, ContextManager\ndef f(x): return str(Pattern), str(Match[str]), str(typing.AsyncContextManager) != '', str(ContextManager)[:21]",
    "typing: get_type_hints": "from typing import *\nclass Node:\n    left: 'Optional[Node]' = None\n    val: int = 0\ndef g(a: 'List[int]', b: str = 'x', *, c: Optional['Node'] = None) -> 'Node': pass\ndef f(x):\n    hints = get_type_hints(g)\n    return sorted(hints), hints['a'] == List[int], hints['return'] is Node, get_type_hints(Node)['left'] == Optional[Node], get_type_hints(Node)['val'] is int, get_type_hints(len) == {}",
    "typing: get_type_hints with annotations as text": "from __future__ import annotations\nimport typing\nfrom dataclasses import dataclass, fields\n@dataclass\nclass A:\n    x: list[int]\n    y: typing.Dict[str, A] = None\ndef f(x): return typing.get_type_hints(A)['x'] == list[int], typing.get_type_hints(A)['y'] == typing.Dict[str, A], [d.type for d in fields(A)], typing.get_type_hints(A.__init__)['return'] is type(None)",
    # names and attributes that only sound dangerous
    "methods called _evaluate, _getitem, mro": "from typing import List\nclass Expr:\n    def _evaluate(self, env): return env['x']\n    def _getitem(self, i): return i\n    def mro(self): return 'mine'\n    def _field_type(self): return 't'\nclass Add(Expr):\n    def __init__(self): self._convert_ = 3\n    def _evaluate(self, env):\n        self._convert_ += 1\n        return super()._evaluate(env) + self._convert_\ndef f(x): return Add()._evaluate({'x': 1}), Expr()._getitem(2), Add().mro(), Add()._field_type(), getattr(Add(), '_convert_'), hasattr(Expr(), '_convert_')",
    "mro of classes": "class A: pass\nclass B(A): pass\ndef f(x): return [c.__name__ for c in B.mro()], bool in int.mro(), [c.__name__ for c in bool.mro()]",
    "__dict__": "class A:\n    y = 2\n    def __init__(self): self.x = 1\n    def __eq__(self, other): return self.__dict__ == other.__dict__\n    def __repr__(self): return f'A({self.__dict__})'\nclass Borg:\n    state = {}\n    def __init__(self): self.__dict__ = self.state\ndef g(): pass\ndef f(x):\n    a, b = A(), Borg()\n    a.__dict__.update(z=3)\n    b.q = 5\n    g.__dict__['n'] = 1\n    return a.__dict__, vars(a), a == A(), repr(A()), a.z, Borg().q, g.n, [k for k in A.__dict__ if k[0] != '_'], [hasattr(v, '__dict__') for v in (1, 'a', [], a, A)]",
    "__cause__ and __context__": "def f(x):\n    try:\n        try: 1 / 0\n        except ZeroDivisionError as e: raise ValueError('v') from e\n    except ValueError as e:\n        e.add_note('n')\n        return type(e.__cause__).__name__, str(e.__context__), e.__suppress_context__, e.__notes__",
    "patterns by position": "from dataclasses import dataclass\nfrom typing import NamedTuple\nfrom abc import ABC\n@dataclass\nclass P:\n    x: int\n    y: int = 0\nclass Q(NamedTuple):\n    a: int\nclass R:\n    __match_args__ = ('u', 'v')\n    def __init__(self, u, v): self.u, self.v = u, v\nclass Shape(ABC): pass\n@dataclass(frozen=True)\nclass Circle(Shape):\n    r: float\ndef g(o):\n    match o:\n        case P(3): return 'p3'\n        case P(x, y=y): return 'p', x, y\n        case Q(a): return 'q', a\n        case R(u, R(v, w)): return 'rr', u, v, w\n        case R(u, v): return 'r', u, v\n        case Circle(r) if r > 1: return 'c', r\n        case [P(x), *rest]: return 'list', x, len(rest)\n        case {'k': P(x, _)}: return 'dict', x\n        case str(s) | int(s): return s\ndef f(x): return [g(o) for o in (P(3), P(1, 2), Q(5), R(1, 2), R(1, R(2, 3)), Circle(2), [P(7), 1], {'k': P(8)}, 'abc', 4)]",
    "imports that are not used": "import random, time\nfrom datetime import datetime, timedelta\nimport hashlib as h\nimport struct\ndef f(x): return x + 1",
    "an import that is tried": "try: import contextlib\nexcept ImportError: pass\ndef f(x):\n    import base64\n    return x",
    # what the interpreter imports only when it needs it
    "large integers": "import math\ndef f(x):\n    a = 7 ** 30_000\n    q, r = divmod(a, 3 ** 9_000)\n    return a // 5 ** 9_000 % 1_000, q % 1_000, r % 1_000, math.isqrt(a) % 1_000, len(str(7 ** 5_000)), int('7' * 4_300) % 1_000",
    "large integers in a plain program": "def f(x):\n    a = 7 ** 30_000\n    q, r = divmod(a, 3 ** 9_000)\n    return a // 5 ** 9_000 % 1_000, q % 1_000, r % 1_000, len(str(7 ** 5_000)), int('7' * 4_300) % 1_000, f'{7 ** 3_000:,}'[:9]",
    "large integers, refused as text": "def f(x):\n    try: return str(10 ** 5_000)\n    except ValueError as e: return str(e)",
    "names of letters": "def f(x): return 'a\\u2013'.encode('ascii', 'namereplace'), '\\N{EN DASH}', 'é'.encode('ascii', 'xmlcharrefreplace'), 'é'.encode('ascii', 'backslashreplace')",
    "names of letters, with a module": "import math\ndef f(x): return '\\u2013'.encode('ascii', 'namereplace'), b'\\xff'.decode('utf-8', 'surrogateescape')",
    "encodings": "def f(x): return ['aé'.encode(name).decode(name) for name in ('utf-8', 'utf-16', 'latin-1', 'cp1252', 'utf-7', 'mac_roman')], 'bücher'.encode('idna'), 'bücher'.encode('punycode'), b'61'.hex(), 'ab'.encode('utf_32_le')[:4]",
    "an error where nobody can catch it": "class A:\n    def __del__(self): raise ValueError('lost')\ndef f(x):\n    A()\n    return x",
    "warnings": "def f(x): return 1 is 1, '\\d', (lambda: 0) == 1, True + ~True",
    "errors have their text": "def f(x):\n    out = []\n    for go in (lambda: {}['k'], lambda: [][3], lambda: int('x'), lambda: None + 1, lambda: x.foo, lambda: undefined, lambda: 'a'.encode('nowhere')):\n        try: go()\n        except Exception as e: out.append((type(e).__name__, str(e)))\n    return out",
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
    "__dict__ of a library's class": "from fractions import Fraction\ndef f(x): return 'limit_denominator' in Fraction.__dict__",
    "private names of the library": "import collections\ndef f(x): return collections._chain is None",
    "getattr by a computed name": "class A: a = 1\ndef f(x): return [getattr(A, n) for n in ['a']]",
    "__match_args__ that are computed": "class A:\n    __match_args__ = tuple('xy')\ndef f(x): return 1",
    "a library's class by position": "from fractions import Fraction\nclass G(Fraction): pass\nH = G\ndef f(x):\n    match x:\n        case H(): return 1\n        case H(y): return 2\n        case _: return 3",
    "typing.ForwardRef": "from typing import ForwardRef\ndef f(x): return ForwardRef('int') == ForwardRef('int')",
    "a used import": "import random\ndef f(x): return random.Random(0).random() < 2",
    "__class__ is set": "class A: pass\nclass B: pass\ndef f(x):\n    a = A()\n    setattr(a, '__class__', B)\n    return type(a) is B",
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
