"The parser reads what people write, and says why it cannot. That it never raises, whatever the text: test_fuzz.py."
import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr.core import Status, Verdict
from azr.parse import answer_block, blocks, entry_to_f, field, parse_answer, parse_proposal
from azr.prompts import SPECIAL_TOKENS, STYLES, TAGS, answer_text, fence, proposal_text

KINDS = ("deduction", "abduction", "induction", "error")
CODE = "def f(x):\n    return x + 1"
R1 = "so </think> <answer>\n{}\n</answer>"

def why(got):
    assert isinstance(got, Verdict) and got.status is Status.MALFORMED and got.score == 0 and got.detail
    return got.detail

# ---- there and back

value_texts = st.one_of(st.recursive(st.one_of(st.integers(), st.booleans(), st.none(), st.text(max_size=20)), lambda inner: st.lists(inner, max_size=3), max_leaves=5).map(ascii),
                        st.sampled_from(["1, 'a'", "[1,\n 2]", "x=3", "'```'", '"""a\n```\nb"""', "'# Input: 5'"]))
clean = value_texts.filter(lambda text: not any(mark in text for mark in SPECIAL_TOKENS + TAGS))
programs = st.sampled_from([CODE, "import math\n\ndef g(x):\n    return math.floor(x)\n\ndef f(x):\n    def h(y):\n        return g(y)\n    return h(x)", "class A:\n    def g(self):\n        return 1\n\ndef f(x):\n    return A().g() + x",
                            'def f(x):\n    """\n    ```python\n    f(1)\n    ```\n    """\n    return x', "def f(x):\n    s = '''\n   \n'''\n    return s + x", "\u0064ef f(é):\n    return é  # é", "@staticmethod\ndef f(x):\n    return x"])

@given(programs, clean, st.sampled_from(["deduction", "abduction", "error"]), st.sampled_from(STYLES))
def test_proposals_there_and_back(program, text, kind, style):
    claim = {"program": program, "input": text}
    assert parse_proposal(proposal_text(kind, claim, style), kind, style) == claim

@given(st.lists(clean, min_size=1, max_size=5), st.sampled_from(STYLES))
def test_inductions_there_and_back(inputs, style):
    claim = {"inputs": inputs, "message": "" if style == "terse" else "Find it!\nIt is `hard`."}
    assert parse_proposal(proposal_text("induction", claim, style), "induction", style, len(inputs)) == claim

@given(clean, programs, st.sampled_from(STYLES))
def test_answers_there_and_back(text, program, style):
    for kind, answer in (("deduction", text), ("abduction", text), ("induction", program), ("error", "NoError")):
        assert parse_answer(answer_text(kind, answer, style), kind, style) == answer

# ---- the ladder, rung by rung

def test_only_the_last_closed_answer_counts():
    assert answer_block("</think><answer>a</answer><answer>b</answer>", "r1") == "b"
    assert answer_block("</think><answer>a</answer><answer>b", "r1") == "a"
    assert answer_block("<answer>a</answer>", "chat") == "a"
    assert why(answer_block("<answer>a</answer></think>", "r1")) == "no </think> before the <answer>"

@pytest.mark.parametrize("text, expected", [
    ("```input\n1\n```", [("input", "1")]), ("  ```input\n  1\n  ```", [("input", "1")]), ("```input 1```", [("input", "1")]), ("```INPUT\n1```", [("input", "1")]),
    ("```input\n1", [("input", "1")]), ("```input\n1\n```output\n2\n```", [("input", "1"), ("output", "2")]), ("````\n```\n````", [("", "```")]), ("x ```input", []), ("", []),
    ("```python\r\nx\r\n```", [("python", "x")]), ("````python\nx = '```input'\n```input\n````", [("python", "x = '```input'\n```input")]),
])
def test_blocks(text, expected): assert blocks(text) == expected

def test_an_input_block_is_never_code_wherever_it_stands():
    for inside in (f"{fence('input', '1')}\n{fence('python', CODE)}", f"{fence('python', CODE)}\n{fence('input', '1')}"):
        assert parse_proposal(R1.format(inside), "abduction") == {"program": CODE, "input": "1"}
    assert why(parse_proposal(R1.format(fence("input", CODE)), "deduction")).startswith("no program")

def test_inputs_may_hold_code_and_span_lines():
    text = '"""\ndef g(): pass\n""",\n[1,\n 2]'
    assert parse_proposal(R1.format(f"{fence('python', CODE)}\n{fence('input', text)}"), "deduction")["input"] == text
    assert parse_answer(R1.format(fence("input", text)), "abduction") == text

def test_induction_takes_the_last_inputs_and_wants_a_message():
    inputs = "\n".join(fence("input", str(n)) for n in range(5))
    assert parse_proposal(R1.format(f"{inputs}\n{fence('message', 'hm')}"), "induction", inputs=3) == {"inputs": ["2", "3", "4"], "message": "hm"}
    assert why(parse_proposal(R1.format(inputs), "induction", inputs=3)) == "no ```message block"
    assert why(parse_proposal(R1.format(f"{inputs}\n{fence('message', 'hm')}"), "induction", inputs=6)) == "5 ```input blocks, 6 were asked for"
    assert why(parse_proposal(R1.format(f"{inputs}\n```input\n```\n{fence('message', 'hm')}"), "induction", inputs=3)) == "an empty ```input block"

@pytest.mark.parametrize("inside, kind, expected", [
    ("KeyError", "error", "KeyError"), ("`KeyError: 'x'`", "error", "KeyError"), ("json.JSONDecodeError('x')", "error", "JSONDecodeError"), ("```output\nNoError\n```", "error", "NoError"),
    ("def g(x):\n    return x", "induction", "def f(x):\n    return x"), ("```\ndef f(x):\n    return x\n```", "induction", "def f(x):\n    return x"),
    ("**Input:** 1, 2", "abduction", "1, 2"), ("```python\n[1]\n```", "deduction", "[1]"),
])
def test_answers_people_write(inside, kind, expected): assert parse_answer(R1.format(inside), kind) == expected

@pytest.mark.parametrize("inside, kind", [("x + 1", "induction"), ("it raises an error", "error"), ("```input\n1\n```", "deduction"), ("```python\ndef f(x): return 1\n```", "abduction"), ("", "deduction"), ("5 > 3", "error")])
def test_answers_nobody_can_read(inside, kind): why(parse_answer(R1.format(inside), kind))

def test_field_says_what_is_missing():
    assert why(field("x", "input")) == "no ```input block" and "```python" in why(field("x", "python")) and why(field("```input\n \n```", "input")) == "the input is empty"

@pytest.mark.parametrize("text, detail", [("a<in>b<in>c", "more than one <in>"), ("a", "no <in> after the program"), ("a<in>", "an empty field"), ("<in>b", "an empty field"), ("a<in>b<end>", "a stray <end>")])
def test_terse_proposals(text, detail): assert why(parse_proposal(text, "deduction", "terse")) == detail

# ---- renaming

@pytest.mark.parametrize("before, after", [
    ("def g(x):\n    return g(x - 1)", "def f(x):\n    return f(x - 1)"),
    ("def a(x):\n    return x\n\ndef b(x):\n    return a(x)", "def a(x):\n    return x\n\ndef f(x):\n    return a(x)"),
    ("def count(s):  # count(s)\n    return s.count('count(')", "def f(s):  # count(s)\n    return s.count('count(')"),
    ("def  g (x):\n    return [g(y) for y in x]", "def  f (x):\n    return [f(y) for y in x]"),
    ("def é(x):\n    return 'ü', é(é(x))", "def f(x):\n    return 'ü', f(f(x))"),
    ("def g(x):\n    return f'''\n{g(x)}\n{x}'''", None),
    ("def g(x):\n    def inner(y):\n        return g(y)\n    return inner(x)", "def f(x):\n    def inner(y):\n        return f(y)\n    return inner(x)"),
    ("def g(files):\n    for f in files:\n        return f", "def f(files):\n    for f in files:\n        return f"),
    ("@lru_cache(None)\ndef g(x): return g(x)", "@lru_cache(None)\ndef f(x): return f(x)"),
])
def test_renames(before, after):
    renamed = entry_to_f(before)
    assert renamed == after if after else [n.name for n in ast.parse(renamed).body] == ["f"] and "g(" not in renamed

@pytest.mark.parametrize("program", [
    "def f(x): return g(x)\ndef g(x): return x",                     # there is an f
    "f = lambda x: x\ndef g(x): return x", "from m import f\ndef g(x): return x", "class f: pass\ndef g(x): return x",
    "def g(x, f):\n    return g(f(x), f)",                           # a scope that uses g has an f of its own
    "class A:\n    def g(self): return 1\ndef g(x): return A().g()",  # the name means two things
    "def g(g): return g", "def g(x):\n    return g(g=x)", "def g(x):\n    return x\ng = 3", "def g(x):\n    global g\n    g = 3",
    "x = 1", "", "def g(x:", "async def g(x): return x", "class A:\n    def g(self): pass", "for f in []: pass\ndef g(x): return x",
])
def test_leaves_alone(program): assert entry_to_f(program) == program

@pytest.mark.parametrize("before", ["def g(n):\n    return 0 if n == 0 else n + g(n - 1)", "def h(n):\n    return n * 2\ndef g(n):\n    return f'{h(n)}{\"\" if n == 0 else g(n - 1)}'"])
def test_a_renamed_program_computes_the_same(before):
    one, two = {}, {}
    exec(before, one), exec(entry_to_f(before), two)
    assert one["g"](5) == two["f"](5)
