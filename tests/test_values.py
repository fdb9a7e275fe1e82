"""Literals in, literals out: values there and back, limits, and hashes that agree between Python versions.

Texts that are no literals: test_fuzz.py."""

import ast, glob, json, math, os, shutil, subprocess, sys, time
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from azr import values
from azr.values import (Limits, NotLiteral, TooLarge, Unrepresentable, bucket, canonical, canonical_arguments,
    canonical_program, equal,
                        parse_arguments, parse_literal, parse_printed, program_hash)

finite = st.floats(allow_nan=False)
atoms = st.none() | st.booleans() | st.integers() | finite | st.text(max_size=8) | st.binary(max_size=8)
hashable = st.recursive(
    atoms, lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3), max_leaves=6
)
any_value = st.recursive(
    atoms | st.builds(range, st.integers(-5, 5), st.integers(-5, 5)),
    lambda inner: st.lists(inner, max_size=4)
    | st.lists(inner, max_size=3).map(tuple)
    | st.dictionaries(hashable, inner, max_size=3)
    | st.sets(hashable, max_size=4),
    max_leaves=12,
)

@settings(max_examples=300, deadline=None)
@given(any_value)
def test_canonical_text_parses_back(value):
    text = canonical(value)
    back = parse_literal(text)
    assert back == value and equal(back, value) and canonical(back) == text

@settings(max_examples=300, deadline=None)
@given(any_value)
def test_sets_have_one_text(value):
    shuffled = eval(repr(value), {"inf": math.inf}) if not isinstance(value, set) else set(reversed(list(value)))
    assert canonical(shuffled) == canonical(value)

@settings(max_examples=200, deadline=None)
@given(any_value)
def test_reads_what_literal_eval_reads(value):
    try:expected = ast.literal_eval(repr(value))
    except ValueError: return
    assert equal(parse_literal(repr(value)), expected)


@pytest.mark.parametrize(
    "text",
    ["1) or (True", "1)(2", "1), f(2", "*[1]", "**{'a': 1}", "a=1, a=2", "x", "f(1)", "__import__('os')",
     "type('E', (), {})", "(lambda: 1)()", "[x for x in [1]]", "1 if 1 else 2", "'a'.upper()", "''.join(['A'] * 20)",
     "1 < 2", "not 1", "~1", "-True", "True * [1]", "'a' * 2.0", "2 ** True", "1 + 'a'", "1 @ 2", "1 | 2", "[1] + (1,)",
     "f''", "...", "float('nan')", "float('1')", "int('1')", "range('a')", "range(1, 2, 0)", "list({1})",
     "tuple({1, 2})", "list(1)", "dict([1])", "set([[]])", "{[]}", "{{}: 1}", "x := 1", "await x", "1,,2", "1\n2",
     "'\0'"],
)
def test_not_data(text):
    with pytest.raises(NotLiteral): parse_arguments(text)


@pytest.mark.parametrize(
    "text, value",
    [("range(100, 120)", range(100, 120)), ("dict(e=1, d=2)", {"e": 1, "d": 2}), ("dict()", {}),
     ("'st ' + '0\\t'", "st 0\t"), ("[0] * 5", [0] * 5), ("2 * 'ab'", "abab"), ("[1] + [2] * 2", [1, 2, 2]),
     ("frozenset({1})", frozenset({1})), ("set('ab')", {"a", "b"}), ("tuple(range(3))", (0, 1, 2)),
     ("dict([('a', 1)], b=2)", {"a": 1, "b": 2}), ("-1", -1), ("+1.5", 1.5), ("[-1] * -1", []), ("'''a\nb'''", "a\nb"),
     ("(\n1,\n2)", (1, 2))],
)
def test_data_as_people_write_it(text, value):
    assert equal(parse_literal(text), value) and equal(parse_arguments(text), ((value,), {}))

ARITHMETIC = ["10**9", "5 + 1", "-(2 ** 31) + 1", "7 / 2", "-7 // 2", "-7 % 3", "1 << 20", "2 ** -1", "1e3 * 3",
    "0.1 + 0.2", "2 ** 0.5",
              "[10 ** 2, (3 * 4,)]", "{2 ** 3: 1 - 1}", "[0] * 2 ** 3", "list(range(2 * 3))", "1, n=2 ** 10"]

@pytest.mark.parametrize("text", ARITHMETIC)
def test_arithmetic_in_arguments_is_what_python_computes(text):
    "And one value has one canonical text, however it was written. As an answer the same text is refused."
    expected = eval(f"(lambda *args, **kwargs: (args, kwargs))({text})")     # our own text
    read = parse_arguments(text)
    assert read == expected and repr(read) == repr(expected)
    written = ", ".join([*map(canonical, expected[0]), *(f"{k}={canonical(v)}" for k, v in expected[1].items())])
    assert canonical_arguments(text) == written == canonical_arguments(written)
    with pytest.raises(NotLiteral): parse_literal(text)

@pytest.mark.parametrize("text", ["10 ** 10 ** 10", "10 ** 4300", "-10 ** 10 ** 10", "1 << 10 ** 10",
    "9 ** 9 ** 9 ** 9", "1 ** 10 ** 9999", "2 ** 2.0 ** 5000", "1 / 0", "1 % 0", "0 ** -1",
                                  "(-8) ** 0.5", "1e999 - 1e999", "1e308 * 10 - 1e999", "2 << -1", "1.5 << 1",
                                  "True + 1", "2 ** 14000 * 2 ** 14000", "10 ** 400 / 3", "+".join("1" * 500),
                                  "[0] * 10 ** 9"])
def test_arithmetic_without_a_bounded_number_is_refused_unmade(text):
    started = time.thread_time()
    with pytest.raises(NotLiteral): parse_arguments(text)
    assert time.thread_time() - started < .1

def test_one_call_of_f_is_taken_off():
    for text, inside in (("f(5)", "5"), (" f( 'a', n = 2 ) ", "'a', n=2"), ("f()", ""), ("f([f_ for f_ in ()])", None),
        ("f(f(5))", None), ("f(5), 6", None), ("f(5)(6)", None),
                         ("f(5) + 1", None), ("[f(5)]", None), ("f(5)) or (f(5)", None), ("x=f(5)", None),
                         ("g(5)", None), ("a.f(5)", None), ("*f(5)", None)):
        if inside is None:
            with pytest.raises(NotLiteral): canonical_arguments(text, call=True)
        else: assert canonical_arguments(text, call=True) == canonical_arguments(inside)
        if "f(" in text:
            with pytest.raises(NotLiteral): parse_arguments(text)

PRINTING = """
from collections import Counter, OrderedDict, defaultdict, namedtuple
from decimal import Decimal
from enum import Enum, IntEnum, IntFlag, StrEnum
from functools import lru_cache
from typing import NamedTuple
import collections, enum
Point = namedtuple("Point", "x y")
Pair = namedtuple("Couple", ["left", "right"])
Trio = collections.namedtuple("Trio", "a, b, c", defaults=[0])
Named = NamedTuple("Named", [("n", int), ("m", str)])
class Row(NamedTuple):
    key: str
    value: list = []
class Above(namedtuple("Base", "z")):
    def size(self): return 1
class Below(Point): pass
class Color(IntEnum):
    RED = 1
    BLUE = -2
class Word(StrEnum): A = "a>'"
class Perm(IntFlag):
    R = 1
    W = 2
class Level(int, enum.Enum): LOW = 7
class Num(int): pass
class Bag(dict): pass
@lru_cache
def g(x): return x
def told(): return g.cache_info()
def add(x, y): return Decimal(x).as_tuple()
"""
KINDS = ["1", "-1.5", "True", "None", "'a'", "b'a'", "2 + 3j", "[1, (2,)]", "{1: {2}}", "set()", "frozenset({1})",
    "frozenset()", "range(3)", "float('inf')", "-float('inf')", "[float('inf'), {1: -float('inf')}]",
         "10 ** 300 * 1.0", "Counter('aab')", "Counter()", "collections.Counter({'(': -1})", "defaultdict(int, a=1)",
         "defaultdict(list)", "defaultdict(lambda: 0, {1: 2})", "defaultdict(add, {1: 2})", "defaultdict(None, {1: 2})",
         "defaultdict(Counter, {'a': Counter('b')})", "OrderedDict(b=1, a=2)", "OrderedDict()", "Point(1, 2)",
         "Pair(left=[1], right=None)", "Trio(1, 2)", "Named(1, 'x')", "Row('k', [Point(0, 0)])", "Above(3)",
         "Below(1, 2)",
         "Color.RED", "[Color.RED, Color.BLUE]", "Word.A", "{Word.A: 1}", "Perm.R | Perm.W", "Level.LOW", "Num(3)",
         "Bag(a=1)", "g.cache_info()", "add(-1, 0)", "(Counter('a'), 'Counter(1) <Color.RED: 9> defaultdict(int, ')",
         "{'x': [Point(float('inf'), Color.RED)]}"]

@pytest.mark.parametrize("expression", KINDS)
def test_the_gold_shown_what_python_prints_and_a_literal_are_one_value(expression):
    space = {"__name__": "program"}
    exec(PRINTING, space)
    value = eval(expression, space)                                          # our own expressions
    gold = canonical(value)
    for text in (gold, repr(value), repr(parse_literal(gold)) if "inf" not in gold else gold):
        assert equal(parse_printed(text, PRINTING), parse_literal(gold))
    assert parse_literal(gold) == value                                      # by Python's own equality too

@pytest.mark.parametrize("text", ["nan", "[nan]", "infinity", "inf()", "inf.real", "int", "[int]", "Counter('aab')",
    "Counter(a=1)", "Counter([1])", "Counter({'a': 1}, {})", "defaultdict({'a': 1})", "defaultdict(1, {})",
    "defaultdict(int())", "OrderedDict(a=1)",
                                  "OrderedDict((1, 2))", "deque([1])", "Point(y=1)", "Point(1, 2, 3)", "Point(1, x=2)",
                                  "Point(x=1, y=2, z=3)", "Couple(1)", "Other(x=1, y=2)", "namespace(x=1, y=2)",
                                  "Color('a', 1)", "Color([1])", "<Other.RED: 1>",
                                  "<Shade.DARK: 1>", "<Color.RED: [1]>", "<Color.RED: f(1)>", "<Color.RED>",
                                  "Color.RED", "<class 'int'>", "<function f at 0x7f>", "Point", "Point(x=f(1), y=2)",
                                  "Counter({x: 1})", "1 + 1", "f(1)", "Bag({'a': 1})", "Num(3)", "eval('1')"])
def test_what_python_does_not_print_for_this_program_is_no_literal(text):
    with pytest.raises(NotLiteral): parse_printed(text, PRINTING + "class Shade(Enum): DARK = 1")

def test_printed_names_are_those_of_the_program():
    for text in ("Counter({'a': 1})", "defaultdict(<class 'int'>, {})", "OrderedDict({})", "Point(x=1, y=2)",
        "<Color.RED: 1>", "CacheInfo(hits=1, misses=1, maxsize=1, currsize=1)"):
        parse_printed(text, PRINTING)
        for program in ("", "def f(x): return x", "def f(x) return", "\0"):
            with pytest.raises(NotLiteral): parse_printed(text, program)
    assert parse_printed("inf") == math.inf and parse_printed("Point(y=1, x=2)", PRINTING) == (2,
        1)   # fields have an order
    with pytest.raises(NotLiteral, match="is not data|is a call"): parse_printed("Counter(x)", PRINTING)

@pytest.mark.parametrize("text", ["defaultdict(" * 1_600, "defaultdict(<" * 1_500, "defaultdict(<" + "<a>" * 6_000,
    "<A." * 6_000, "<A." + "|" * 19_000, "<Color.RED: " * 1_600, "<Color.RED: '" * 1_500, "'\\'" * 6_000,
    "Counter(" * 2_400, "-inf" * 4_900, "'" * 19_999, "<" * 19_999])
def test_long_printed_texts_cost_little(text):
    started = time.thread_time()
    with pytest.raises(NotLiteral): parse_printed(text, PRINTING)
    assert time.thread_time() - started < .1

def test_characters_are_counted_exactly():
    limits = Limits(characters=10)
    assert canonical("x" * 8, limits) and parse_literal(canonical("x" * 8, limits), limits) == "x" * 8
    with pytest.raises(TooLarge): canonical("x" * 9, limits)
    with pytest.raises(NotLiteral): parse_literal("'" + "x" * 9 + "'", limits)

def in_list(v): return [v]
def in_tuple(v): return (v,)
def in_dict(v): return {1: v}
def in_frozenset(v): return frozenset({v})

def test_deep_values_round_trip_at_the_limit():
    for wrap in (in_list, in_tuple, in_dict, in_frozenset):
        value = 1
        for _ in range(Limits().nesting): value = wrap(value)
        assert equal(parse_literal(canonical(value)), value)
        with pytest.raises(TooLarge): canonical(wrap(value))

class Liar:
    __class__ = list
    def __eq__(self, other): return True
    def __hash__(self): return 0

class LoudInt(int):
    def __repr__(self): return "pwned"
    def __eq__(self, other): return True
    def __hash__(self): return 0

class LoudDict(dict):
    def items(self): return [("pwned", 1)]
    def __iter__(self): return iter(["pwned"])

def test_objects_cannot_lie_about_themselves():
    with pytest.raises(Unrepresentable): canonical(Liar())
    with pytest.raises(Unrepresentable): canonical([Liar()])
    assert canonical(LoudInt(3)) == "3" and canonical(LoudDict(a=1)) == "{'a': 1}" and canonical({LoudInt(3)}) == "{3}"

RENAMED = [
    ("def f(x):\n    y = x\n    return y", "def f(a: int = 1 if 0 else 2) -> int: ...", False),
    ("def f(x):\n    y = x\n    return y", "def f(abc):\n    'doc'\n    z = abc  # why\n    return z", True),
    ("def f(x): return [y for y in x]", "def f(y): return [x for x in y]", True),
    ("def f(x): return [x for x in x]", "def f(y): return [x for x in y]", True),
    ("def f(x): return [y for x in x]", "def f(y): return [x for x in y]", False),
    ("def g(a): return a\ndef f(a): return g(a)", "def h(b):\n    return b\n\ndef f(c):\n    return h(c)", True),
    ("def f(x): return sum(x)", "def f(x): return max(x)", False),
    ("def f(sum): return sum", "def f(x): return x", True),
    ("import math\ndef f(x): return math.pi", "import math as m\ndef f(y): return m.pi", True),
    ("from math import pi\ndef f(x): return pi", "from math import pi as tau\ndef f(y): return tau", True),
    (
        "def f(x):\n    def g():\n        nonlocal x\n        x = 1\n    g()\n    return x",
        "def f(a):\n    def h():\n        nonlocal a\n        a = 1\n    h()\n    return a",
        True,
    ),
    (
        "def f(x):\n    def g():\n        nonlocal x\n        x = 1\n    g()\n    return x",
        "def f(a):\n    def h():\n        b = 1\n    h()\n    return a",
        False,
    ),
    (
        "n = 0\ndef f(x):\n    global n\n    n += x\n    return n",
        "total = 0\ndef f(k):\n    global total\n    total += k\n    return total",
        True,
    ),
    (
        "class A:\n    def m(self): return 1\ndef f(x): return A().m()",
        "class B:\n    def m(s): return 1\ndef f(y): return B().m()",
        True,
    ),
    (
        "class A:\n    def m(self): return 1\ndef f(x): return A().m()",
        "class A:\n    def k(self): return 1\ndef f(x): return A().k()",
        False,
    ),
    ("def f(x): return f'{x:>3}'", "def f(x): return ''.join((format(x, ''.join(('>3',))),))", True),
    ("def f(x):\n    for i in x:\n        if (y := i): return y",
     "def f(a):\n    for b in a:\n        if (c := b): return c", True),
    ("def f(x): return [(y := i) for i in x] + [y]", "def f(a): return [(b := c) for c in a] + [b]", True),
    ("def f(x): return -1", "def f(x): return - 1", True),
    ("def f(x): return 1", "def f(x): return 1.0", False),
]

@pytest.mark.parametrize("one, two, same", RENAMED)
def test_programs_coincide_exactly_when_they_should(one, two, same):
    assert (program_hash(one) == program_hash(two)) is same

def test_canonical_programs_run_alike_and_are_fixed_points():
    program = '''
from collections import Counter as C
best = 2
class Stack:
    top: int = 0
    def __init__(self, items): self.items = list(items)
    def pop(self, *, at=-1): return self.items.pop(at)
def pick(s, n=1): return s.pop(at=-n)
def f(words, flag=True):
    global best
    best += 1
    try: seen = {w: n for w, n in C(words).items() if (last := w)}
    except TypeError as error: return str(error)
    def outer():
        k = 0
        def inner():
            nonlocal k
            k += best
            return k
        inner(); return inner()
    printed = f"{words!r:>12}|{best:{best}}|{{}}"
    called = (lambda words: words)(flag), [*map(lambda a, b=1: a * b, "xy")]
    return pick(Stack(words), n=2), seen, last, outer(), printed, called
'''
    text = canonical_program(program)
    assert canonical_program(text) == text
    results = []
    for source in (program, text):
        space = {}
        exec(source, space)
        results.append(space["f"](["a", "b", "a"]))
    assert results[0] == results[1]


@pytest.mark.parametrize(
    "program", ["def f(:", "(" * 300, "x = " + "-" * 50_000 + "1", "\0", "def f(x): return " + "9" * 5_000, "\ud800"]
)
def test_broken_programs_are_syntax_errors(program):
    with pytest.raises(SyntaxError): program_hash(program)

def pythons():
    "Every other Python from 3.11 on that lies around here."
    found = {
        os.path.realpath(p)
        for v in ("3.11", "3.12", "3.13", "3.14")
        for p in filter(
            None, [shutil.which(f"python{v}"), *glob.glob(os.path.expanduser(f"~/.pyenv/versions/{v}.*/bin/python"))]
        )
    }
    return sorted(p for p in found if subprocess.run([p, "-c", "import sys"], capture_output=True).returncode == 0)

def vectors():
    cell = next(c
                for c in json.loads(Path(__file__, "../../nbs/10_values.ipynb").resolve().read_text())["cells"]
                if "".join(c["source"]).startswith("VECTORS = "))
    return next(ast.literal_eval(n.value) for n in ast.parse("".join(cell["source"])).body if isinstance(n, ast.Assign))

@pytest.mark.parametrize("python", [sys.executable, *pythons()])
def test_hashes_agree_between_python_versions(python):
    programs = list(vectors()) + [p for one, two, _ in RENAMED for p in (one, two)]
    script = (
        "import sys, json, runpy; m = runpy.run_path(sys.argv[1]); print(json.dumps([m['program_hash'](p) for p in "
        "json.load(sys.stdin)]))")
    there = subprocess.run(
        [python, "-c", script, values.__file__], input=json.dumps(programs), capture_output=True, text=True, check=True
    ).stdout
    assert json.loads(there) == [program_hash(p) for p in programs]
    assert all(h.startswith(v) for h, v in zip(json.loads(there), vectors().values()))

def test_buckets_are_even():
    share = sum(bucket(f"def f(x): return x + {i}") < 10 for i in range(1_000)) / 1_000
    assert .07 < share < .13
