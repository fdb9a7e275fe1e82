"""Literals in, literals out: values there and back, limits, and hashes that agree between Python versions. Texts that are no literals: test_fuzz.py."""
import ast, glob, json, math, os, shutil, subprocess, sys
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from azr import values
from azr.values import (Limits, NotLiteral, TooLarge, Unrepresentable, bucket, canonical, canonical_program, equal, parse_arguments,
                        parse_literal, program_hash)

finite = st.floats(allow_nan=False)
atoms = st.none() | st.booleans() | st.integers() | finite | st.text(max_size=8) | st.binary(max_size=8)
hashable = st.recursive(atoms, lambda inner: st.lists(inner, max_size=3).map(tuple) | st.frozensets(inner, max_size=3), max_leaves=6)
any_value = st.recursive(atoms | st.builds(range, st.integers(-5, 5), st.integers(-5, 5)),
                         lambda inner: st.lists(inner, max_size=4) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(hashable, inner, max_size=3) | st.sets(hashable, max_size=4), max_leaves=12)

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
    try: expected = ast.literal_eval(repr(value))
    except ValueError: return
    assert equal(parse_literal(repr(value)), expected)

@pytest.mark.parametrize("text", ["1) or (True", "1)(2", "1), f(2", "*[1]", "**{'a': 1}", "a=1, a=2", "x", "f(1)", "__import__('os')", "type('E', (), {})", "(lambda: 1)()", "[x for x in [1]]", "1 if 1 else 2",
    "'a'.upper()", "''.join(['A'] * 20)", "1 < 2", "not 1", "~1", "-True", "True * [1]", "'a' * 2.0", "2 ** 3", "1 + 1", "[1] + (1,)", "f''", "...", "float('nan')", "float('1')", "int('1')", "range('a')", "range(1, 2, 0)",
    "list({1})", "tuple({1, 2})", "list(1)", "dict([1])", "set([[]])", "{[]}", "{{}: 1}", "x := 1", "await x", "1,,2", "1\n2", "'\0'"])
def test_not_data(text):
    with pytest.raises(NotLiteral): parse_arguments(text)

@pytest.mark.parametrize("text, value", [("range(100, 120)", range(100, 120)), ("dict(e=1, d=2)", {"e": 1, "d": 2}), ("dict()", {}), ("'st ' + '0\\t'", "st 0\t"), ("[0] * 5", [0] * 5), ("2 * 'ab'", "abab"), ("[1] + [2] * 2", [1, 2, 2]),
    ("frozenset({1})", frozenset({1})), ("set('ab')", {"a", "b"}), ("tuple(range(3))", (0, 1, 2)), ("dict([('a', 1)], b=2)", {"a": 1, "b": 2}), ("-1", -1), ("+1.5", 1.5), ("[-1] * -1", []), ("'''a\nb'''", "a\nb"), ("(\n1,\n2)", (1, 2))])
def test_data_as_people_write_it(text, value):
    assert equal(parse_literal(text), value) and equal(parse_arguments(text), ((value,), {}))

def test_characters_are_counted_exactly():
    limits = Limits(characters=10)
    assert canonical("x" * 8, limits) and parse_literal(canonical("x" * 8, limits), limits) == "x" * 8
    with pytest.raises(TooLarge): canonical("x" * 9, limits)
    with pytest.raises(NotLiteral): parse_literal("'" + "x" * 9 + "'", limits)

def test_deep_values_round_trip_at_the_limit():
    for wrap in (lambda v: [v], lambda v: (v,), lambda v: {1: v}, lambda v: frozenset({v})):
        value = 1
        for _ in range(Limits().depth): value = wrap(value)
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
    ("def f(x):\n    def g():\n        nonlocal x\n        x = 1\n    g()\n    return x", "def f(a):\n    def h():\n        nonlocal a\n        a = 1\n    h()\n    return a", True),
    ("def f(x):\n    def g():\n        nonlocal x\n        x = 1\n    g()\n    return x", "def f(a):\n    def h():\n        b = 1\n    h()\n    return a", False),
    ("n = 0\ndef f(x):\n    global n\n    n += x\n    return n", "total = 0\ndef f(k):\n    global total\n    total += k\n    return total", True),
    ("class A:\n    def m(self): return 1\ndef f(x): return A().m()", "class B:\n    def m(s): return 1\ndef f(y): return B().m()", True),
    ("class A:\n    def m(self): return 1\ndef f(x): return A().m()", "class A:\n    def k(self): return 1\ndef f(x): return A().k()", False),
    ("def f(x): return f'{x:>3}'", "def f(x): return ''.join((format(x, ''.join(('>3',))),))", True),
    ("def f(x):\n    for i in x:\n        if (y := i): return y", "def f(a):\n    for b in a:\n        if (c := b): return c", True),
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
    return pick(Stack(words), n=2), seen, last, outer(), f"{words!r:>12}|{best:{best}}|{{}}", (lambda words: words)(flag), [*map(lambda a, b=1: a * b, "xy")]
'''
    text = canonical_program(program)
    assert canonical_program(text) == text
    results = []
    for source in (program, text):
        space = {}
        exec(source, space)
        results.append(space["f"](["a", "b", "a"]))
    assert results[0] == results[1]

@pytest.mark.parametrize("program", ["def f(:", "(" * 300, "x = " + "-" * 50_000 + "1", "\0", "def f(x): return " + "9" * 5_000, "\ud800"])
def test_broken_programs_are_syntax_errors(program):
    with pytest.raises(SyntaxError): program_hash(program)

def pythons():
    "Every other Python from 3.11 on that lies around here."
    found = {os.path.realpath(p) for v in ("3.11", "3.12", "3.13", "3.14") for p in filter(None, [shutil.which(f"python{v}"), *glob.glob(os.path.expanduser(f"~/.pyenv/versions/{v}.*/bin/python"))])}
    return sorted(p for p in found if subprocess.run([p, "-c", "import sys"], capture_output=True).returncode == 0)

def vectors():
    cell = next(c for c in json.loads(Path(__file__, "../../nbs/10_values.ipynb").resolve().read_text())["cells"] if "".join(c["source"]).startswith("VECTORS = "))
    return next(ast.literal_eval(n.value) for n in ast.parse("".join(cell["source"])).body if isinstance(n, ast.Assign))

@pytest.mark.parametrize("python", [sys.executable, *pythons()])
def test_hashes_agree_between_python_versions(python):
    programs = list(vectors()) + [p for one, two, _ in RENAMED for p in (one, two)]
    script = "import sys, json, runpy; m = runpy.run_path(sys.argv[1]); print(json.dumps([m['program_hash'](p) for p in json.load(sys.stdin)]))"
    there = subprocess.run([python, "-c", script, values.__file__], input=json.dumps(programs), capture_output=True, text=True, check=True).stdout
    assert json.loads(there) == [program_hash(p) for p in programs]
    assert all(h.startswith(v) for h, v in zip(json.loads(there), vectors().values()))

def test_buckets_are_even():
    share = sum(bucket(f"def f(x): return x + {i}") < 10 for i in range(1_000)) / 1_000
    assert .07 < share < .13
