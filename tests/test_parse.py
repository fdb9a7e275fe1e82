"The parser reads what people write, and says why it cannot. That it never raises, whatever the text: test_fuzz.py."
import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr.core import Status, Task, Verdict
from azr.parse import _blocks, _field, answer_block, entry_to_f, parse_answer, parse_proposal
from azr.prompts import (
    SPECIAL_TOKENS, STYLES, WRAPS, _TAGS, answer_text, fence, proposal_text, propose_prompt, solve_prompt)
from azr.sampling import before_stop

KINDS = ("deduction", "abduction", "induction", "error")
CODE = "def f(x):\n    return x + 1"
R1 = "so </think> <answer>\n{}\n</answer>"

def why(got):
    assert isinstance(got, Verdict) and got.status is Status.MALFORMED and got.score == 0 and got.detail
    return got.detail

# ---- there and back

value_texts = st.one_of(
    st.recursive(st.one_of(st.integers(), st.booleans(), st.none(), st.text(max_size=20)),
                 lambda inner: st.lists(inner, max_size=3), max_leaves=5).map(ascii),
    st.sampled_from(["1, 'a'", "[1,\n 2]", "x=3", "'```'", '"""a\n```\nb"""', "'# Input: 5'"]),
)
clean = value_texts.filter(lambda text: not any(mark in text for mark in SPECIAL_TOKENS + _TAGS))
programs = st.sampled_from(
    [
        CODE,
        """\
import math

def g(x):
    return math.floor(x)

def f(x):
    def h(y):
        return g(y)
    return h(x)""",
        "class A:\n    def g(self):\n        return 1\n\ndef f(x):\n    return A().g() + x",
        'def f(x):\n    """\n    ```python\n    f(1)\n    ```\n    """\n    return x',
        "def f(x):\n    s = '''\n   \n'''\n    return s + x",
        "\u0064ef f(é):\n    return é  # é",
        "@staticmethod\ndef f(x):\n    return x",
    ]
)

@given(programs, clean, st.sampled_from(["deduction", "abduction", "error"]), st.sampled_from(STYLES))
def test_proposals_there_and_back(program, text, kind, style):
    claim = {"program": program, "input": text}
    assert parse_proposal(proposal_text(kind, claim, style), kind, style) == claim

@given(st.lists(clean, min_size=1, max_size=5), st.sampled_from(STYLES))
def test_inductions_there_and_back(inputs, style):
    claim = {"inputs": inputs, "message": "Find it!\nIt is `hard`." if style in WRAPS else ""}
    assert parse_proposal(proposal_text("induction", claim, style), "induction", style, len(inputs)) == claim

@given(clean, programs, st.sampled_from(STYLES))
def test_answers_there_and_back(text, program, style):
    for kind, answer in (("deduction", text), ("abduction", text), ("induction", program), ("error", "NoError")):
        assert parse_answer(answer_text(kind, answer, style), kind, style) == answer

# ---- the ladder, rung by rung

ANSWERS = [ # style, completion, what counts
    ("r1", "</think><answer>a</answer>", "a"), ("r1", "</think><answer>a</answer><answer>b</answer>", "a"),
    ("r1", "</think><answer>a</answer><answer>b", "a"), ("r1", "</think><answer>a", "a"),
    ("r1", "<answer>d</answer></think><answer>a</answer>", "a"), ("r1", "<answer>d</think><answer>a", "a"),
    ("r1", "x <think> y </think> z <answer>a</answer> </think>", "a"),
    ("r1", "</think><answer>a</answer> I put it between <answer> and </answer>.", "a"),
    ("r1", "</think> In <answer> and </answer>: <answer>a</answer>", "a"),
    ("r1", "</think> In <answer></answer>: <answer>a", "a"),
    ("r1", "</think> more <think> <answer>d</answer> </think> <answer>a</answer>", "a"),
    ("r1", "</think></answer><answer>a</answer>", "a"), ("r1", "</think><answer>b<answer>a</answer></answer>", "a"),
    ("r1", "</think><answer>a</answer>\n\nUser: q\n\nAssistant: <think> t </think> <answer>b</answer>", "a"),
    ("r1", "</think><answer>a</answer>\nAssistant: </think><answer>b</answer>", "a"),
    ("r1", "User: says so. </think><answer>a</answer>", "a"),
    ("r1", "The\nUser: wants a. </think><answer>a</answer>", "a"),
    ("r1", "</think><answer>' and '</answer>", "' and '"), ("r1", "</think><answer>''</answer>", "''"),
    ("r1", "</think><answer>'answer'</answer>", "'answer'"), ("r1", "</think>`<answer>a</answer>`", "a"),
    ("r1", "</think>'<answer>' and '</answer>' hold <answer>a</answer>", "a"),
    ("r1", "</think> <Answer>b</Answer> <answer>a</answer>", "a"),
    ("chat", "<answer>a</answer>", "a"), ("chat", "<think><answer>d</answer></think><answer>a</answer>", "a"),
    ("chat", "<answer>d</answer></think><answer>a</answer>", "a"), ("chat", "<think></think><answer>a</answer>", "a"),
    ("chat", "<answer>a</answer> thought in <think> and </think>, answered in <answer> and </answer>", "a"),
    ("chat", "<answer>a</answer><answer>b</answer>", "a"),
    ("chat", "I write <answer> later. <think><answer>d</answer></think><answer>a</answer>", "a"),
    ("chat", "<think>x</think><think><answer>d</answer></think><answer>a</answer>", "a"),
    ("chat", "`<answer>` and `</answer>`: <answer>a</answer>", "a"),
    ("chat", "User: a\nAssistant: b <answer>a</answer>", "a"),
]

@pytest.mark.parametrize("style, text, expected", ANSWERS)
def test_the_first_complete_answer_outside_of_the_thought_counts(style, text, expected):
    assert answer_block(text, style) == expected

NO_ANSWERS = [
    ("r1", "a", "no <answer> block"), ("r1", "<answer>a</answer>", "no </think> before"),
    ("r1", "<answer>a", "no </think> before"), ("r1", "<answer>a</answer></think>", "outside of the thought"),
    ("r1", "</think>a</answer>", "never opened"),
    ("r1", "</think><think><answer>a</answer>", "no </think> before"),
    ("r1", "</think> hm\n\nUser: q\n\nAssistant: <think></think><answer>a</answer>", "no <answer> block"),
    ("r1", "hm\nUser: q\nAssistant: </think><answer>a</answer>", "no <answer> block"),
    ("r1", "</think><answer>b\nUser: q\nAssistant: <think></think><answer>a</answer>", "not closed"),
    ("r1", "</think> hm\nAssistant: </think><answer>a</answer>", "no <answer> block"),
    ("r1", "</think> between <answer> and </answer>", "outside of the thought"),
    ("chat", "<think><answer>a</answer>", "no </think> before"),
    ("chat", "<think><answer>a</answer></think>", "outside of the thought"), ("chat", "<answer>a", "not closed"),
    ("chat", "<answer>a</answer></think>", "outside of the thought"),
    ("chat", "<answer></answer>", "no answer between"), ("chat", "a</answer>", "never opened"),
    ("chat", "", "no <answer> block"),
]

@pytest.mark.parametrize("style, text, reason", NO_ANSWERS)
def test_drafts_mentions_and_invented_turns_are_no_answers(style, text, reason):
    assert reason in why(answer_block(text, style))

@given(st.text(max_size=40), st.sampled_from(["deduction", "abduction", "error", "induction"]))
def test_what_follows_an_answer_changes_nothing(rest, kind):
    for style in ("r1", "chat"):
        first = answer_text(kind, CODE if kind == "induction" else "1" if kind != "error" else "KeyError", style)
        for more in (rest, answer_text(kind, "2", style),
            f"\n\nUser: {rest}\n\nAssistant: <think>{answer_text(kind, '3', style)}"):
            assert parse_answer(f"{first} {more}", kind, style) == parse_answer(first, kind, style)

def test_a_completion_that_the_stop_text_ended_is_read_as_the_whole_one():
    for kind, answer in (("deduction", "[1]"), ("abduction", "1, 2"), ("induction", CODE), ("error", "KeyError")):
        prompt, text = solve_prompt(Task(kind, {"program": CODE, "input": "1", "output": "2", "pairs": [],
            "message": ""}, {}, "t"), "r1"), answer_text(kind, answer)
        cut = text[:min(text.index(stop) for stop in prompt.stop)]
        assert "</answer>" not in cut and parse_answer(cut, kind) == parse_answer(text, kind) == answer
    claim = {"program": CODE, "input": "1"}
    assert parse_proposal(proposal_text("deduction", claim).split("</answer>")[0], "deduction") == claim


@pytest.mark.parametrize(
    "text, expected",
    [("```input\n1\n```", [("input", "1")]), ("  ```input\n  1\n  ```", [("input", "1")]),
     ("```input 1```", [("input", "1")]), ("```INPUT\n1```", [("input", "1")]), ("```input\n1", [("input", "1")]),
     ("```input\n1\n```output\n2\n```", [("input", "1"), ("output", "2")]), ("````\n```\n````", [("", "```")]),
     ("x ```input", []), ("", []), ("```python\r\nx\r\n```", [("python", "x")]),
     ("````python\nx = '```input'\n```input\n````", [("python", "x = '```input'\n```input")])],
)
def test_blocks(text, expected):
    assert _blocks(text) == expected


def test_an_input_block_is_never_code_wherever_it_stands():
    for inside in (f"{fence('input', '1')}\n{fence('python', CODE)}",
                   f"{fence('python', CODE)}\n{fence('input', '1')}"):
        assert parse_proposal(R1.format(inside), "abduction") == {"program": CODE, "input": "1"}
    assert why(parse_proposal(R1.format(fence("input", CODE)), "deduction")).startswith("no program")

def test_inputs_may_hold_code_and_span_lines():
    text = '"""\ndef g(): pass\n""",\n[1,\n 2]'
    assert parse_proposal(R1.format(f"{fence('python', CODE)}\n{fence('input', text)}"), "deduction")["input"] == text
    assert parse_answer(R1.format(fence("input", text)), "abduction") == text

def test_induction_takes_the_last_inputs_and_wants_a_message():
    inputs = "\n".join(fence("input", str(n)) for n in range(5))
    assert parse_proposal(R1.format(f"{inputs}\n{fence('message', 'hm')}"), "induction", inputs=3) == {
        "inputs": ["2", "3", "4"], "message": "hm"}
    assert why(parse_proposal(R1.format(inputs), "induction", inputs=3)) == "no ```message block"
    assert (
        why(parse_proposal(R1.format(f"{inputs}\n{fence('message', 'hm')}"), "induction", inputs=6))
        == "5 ```input blocks, 6 were asked for"
    )
    assert (
        why(parse_proposal(R1.format(f"{inputs}\n```input\n```\n{fence('message', 'hm')}"), "induction", inputs=3))
        == "an empty ```input block"
    )


@pytest.mark.parametrize(
    "inside, kind, expected",
    [
        ("KeyError", "error", "KeyError"),
        ("`KeyError: 'x'`", "error", "KeyError"),
        ("json.JSONDecodeError('x')", "error", "JSONDecodeError"),
        ("```output\nNoError\n```", "error", "NoError"),
        ("def g(x):\n    return x", "induction", "def f(x):\n    return x"),
        ("```\ndef f(x):\n    return x\n```", "induction", "def f(x):\n    return x"),
        ("**Input:** 1, 2", "abduction", "1, 2"),
        ("```python\n[1]\n```", "deduction", "[1]"),
    ],
)
def test_answers_people_write(inside, kind, expected):
    assert parse_answer(R1.format(inside), kind) == expected


# ---- several programs: (blocks, a call, what it gives)

HELPER, USER = "def half(x):\n    return x // 2", "def f(x):\n    return half(x) + 1"
SEVERAL = {
    "a test after it": ([CODE, "def test_f():\n    assert f(1) == 2"], 2),
    "a test with a parameter": ([CODE, "def test(n=1):\n    return f(n) == 2"], 2),
    "a checker": ([CODE, "def check(candidate):\n    assert candidate(1) == 2\n\ncheck(f)"], 2),
    "a helper before": ([HELPER, USER], 1), "a helper after": ([USER, HELPER], 1),
    "a helper, and a test": ([HELPER, USER, "def test_half():\n    assert half(2) == 1"], 1),
    "other names": ([HELPER, "def solve(x):\n    return half(x) + 1"], 1),
    "other names, helper after": (["def solve(x):\n    return half(x) + 1", HELPER], 1),
    "other names, and a test": (["def solve(x):\n    return x + 1", "def test_solve():\n    assert solve(1) == 2"], 2),
    "other names, and a main": (["def solve(x):\n    return x + 1", "def main():\n    print(solve(1))\n\nmain()"], 2),
    "two drafts": (["def f(x):\n    return 0", CODE], 2),
    "two drafts of another name": (["def g(x):\n    return 0", "def g(x):\n    return x + 1"], 2),
    "a draft whose helper stays": ([HELPER + "\n\ndef f(x):\n    return half(x)", USER], 1),
    "an import": (["import math", "def f(x):\n    return math.floor(x + .5) + 1"], 2),
    "an import with another name": (["from math import floor as down", "def f(x):\n    return down(x) + 1"], 2),
    "a constant": (["STEP = 1\nprint(STEP)", "def f(x):\n    return x + STEP"], 2),
    "a class": (["class Box:\n    def __init__(self, x):\n        self.x = x", "def f(x):\n    return Box(x).x + 1"],
    2), "a chain": (["A = 1", "def g(x):\n    return x + A", "def h(x):\n    return g(x)",
    "def f(x):\n    return h(x)"], 2),
    "a helper twice": (["def half(x):\n    return 0", HELPER, USER], 1),
    "its own helper": ([HELPER + "\n\n" + USER, "def half(x):\n    return 99"], 1),
    "a lambda": (["f = lambda x: x + 1", "print(f(1))"], 2), "a lambda and its helper": (["half = lambda x: x // 2",
    "f = lambda x: half(x) + 1"], 1),
    "a name of Python's own": (["sum = 3\nmax = 4", "def f(x):\n    return max(x, sum([1, 1]))"], 2),
    "a usage example": ([CODE, "result = f(1)\nx = 3"], 2), "a broken block beside it": (["def broken(:", CODE], 2),
}

@pytest.mark.parametrize("name", SEVERAL)
def test_of_several_programs_the_one_that_is_meant_is_whole(name):
    "In answers and in proposals; in plain blocks as in tagged ones."
    programs, expected = SEVERAL[name]
    for tag in ("python", ""):
        inside, space = "\n".join(fence(tag, program) for program in programs), {}
        program = parse_answer(R1.format(inside), "induction")
        exec(program, space)
        assert space["f"](1) == expected and "test" not in program and "print" not in program
        assert parse_proposal(R1.format(f"{inside}\n{fence('input', '1')}"), "deduction") == {"program": program,
            "input": "1"}

def test_a_program_that_needs_nothing_keeps_its_text():
    more = f"\n{fence('python', HELPER)}\n{fence('python', 'def test(): pass')}"
    commented, spaced = "def f(x):  # one more\n    return (x + 1)", "import math\n\n\ndef f(x):\n    return math.pi"
    for program in (CODE, commented, spaced):
        assert parse_answer(R1.format(fence("python", program) + more), "induction") == program

@pytest.mark.parametrize("text, program", [("f = lambda x: x * 2", None), ("f=lambda x, y=1: (x,\n  y)", None),
    ("double = lambda x: x * 2", "f = lambda x: x * 2"), ("import math\nf = lambda r: math.pi * r", None),
    ("g = lambda x: 0 if x < 1 else g(x - 1)", "f = lambda x: 0 if x < 1 else f(x - 1)")])
def test_a_lambda_with_a_name_is_a_program(text, program):
    for inside in (fence("python", text), fence("", text), text):
        assert parse_answer(R1.format(inside), "induction") == (program or text)
    assert parse_proposal(R1.format(f"{fence('python', text)}\n{fence('input', '1')}"),
        "error") == {"program": program or text, "input": "1"}
    why(parse_answer(R1.format("x = 3"), "induction")), why(parse_answer(R1.format("I sort by key=lambda x: x"),
        "induction"))
    assert parse_answer(R1.format(fence("input", "key=lambda x: x")), "abduction") == "key=lambda x: x"


@pytest.mark.parametrize(
    "inside, kind",
    [("x + 1", "induction"), ("it raises an error", "error"), ("```input\n1\n```", "deduction"),
     ("```python\ndef f(x): return 1\n```", "abduction"), ("", "deduction"), ("5 > 3", "error")],
)
def test_answers_nobody_can_read(inside, kind):
    why(parse_answer(R1.format(inside), kind))


def test_field_says_what_is_missing():
    assert why(_field("x", "input")) == "no ```input block"
    assert "```python" in why(_field("x", "python"))
    assert why(_field("```input\n \n```", "input")) == "the input is empty"


@pytest.mark.parametrize(
    "text, detail",
    [("a<in>b<in>c", "more than one <in>"), ("a", "no <in> after the program"), ("a<in>", "an empty field"),
     ("<in>b", "an empty field"), ("a<in>b<end>", "a stray <end>")],
)
def test_terse_proposals(text, detail):
    assert why(parse_proposal(text, "deduction", "terse")) == detail


# ---- a Python file

@given(programs, clean, clean, st.sampled_from(["deduction", "abduction", "error"]))
def test_a_claim_is_handed_on_and_changes_nothing_else(program, text, output, kind):
    claim = {"program": program, "input": text}
    claimed = parse_proposal(proposal_text(kind, claim | {"claim": output}, "code"), kind, "code")
    assert {name: claimed[name] for name in claim} == claim == parse_proposal(proposal_text(kind, claim, "code"), kind,
                                                                              "code")
    if "," not in output: assert claimed["claim"] == output   # a bare tuple is an assertion with a message

ONE_LINE = clean.filter(lambda text: "\n" not in text and ") ==" not in text)
AFTER = st.sampled_from(["", "\n", "\n\n\ndef f(y):\n    return y\n\nassert f(1) == 1\n", "\nassert f(0) == 0\n",
                         "\n```\n\nThe function `f` (above) is right.", "  # as f(1) == 2 says"])

@given(programs, ONE_LINE, AFTER)
def test_an_answer_reads_alike_with_and_without_its_stop_text(program, text, after):
    for kind, answer in (("deduction", text), ("abduction", text), ("error", "KeyError"), ("induction", program)):
        given = {"pairs": [], "message": ""} if kind == "induction" else {"program": CODE, "input": "1", "output": "2"}
        stop = solve_prompt(Task(kind, given, {}, "t"), "code").stop
        whole = answer_text(kind, answer, "code") + (") == 2" if kind == "abduction" else "") + after
        if kind == "induction" and "#" in after: continue   # a comment after a function is a line of its own
        assert parse_answer(whole, kind, "code") == answer
        if kind != "induction" or program.startswith("def f("):
            assert parse_answer(before_stop(whole, stop), kind, "code") == answer

@given(ONE_LINE, ONE_LINE, AFTER)
def test_a_proposal_reads_alike_with_and_without_its_stop_text(text, output, after):
    whole = proposal_text("deduction", {"program": CODE, "input": text, "claim": output}, "code") + after
    cut = before_stop(whole, propose_prompt("deduction", [], "code").stop)
    assert parse_proposal(whole, "deduction", "code") == parse_proposal(cut, "deduction", "code")

BODY = "x):\n    return x + 1"
@pytest.mark.parametrize("text, detail", [
    (BODY, "no line `assert f(...)` below the program"), ("", "no line `assert f(...)` below the program"),
    (f"{BODY}\n\nassert g(1) == 2", "no line `assert f(...)` below the program"),
    (f"{BODY}\n\n\ndef f({BODY}\n\nassert f(1) == 2", "no line `assert f(...)` below the program"),
    ("\nimport math\nassert f(1) == 2", "no function f"), (f"{BODY}\n\nassert f(1, [2", "the call of f is not closed"),
    (f"{BODY}\n\nassert f() == 2", "the input is empty"), (f"{BODY}\n\nassert f( ) == 2", "the input is empty"),
])
def test_code_proposals_nobody_can_read(text, detail):
    assert why(parse_proposal(text, "deduction", "code")) == detail

@pytest.mark.parametrize("text, detail", [
    ("1) == 2", "1 assertions, 2 were asked for"), ("1) == 2\n\nassert f(2) == 3", "1 assertions, 2 were asked for"),
    ("1) == 2\nassert f() == 3", "an empty input"),
    ("1) == 2\nassert f([3", "the call of f in assertion 2 is not closed"),
    ("", "the call of f in assertion 1 is not closed"),
])
def test_code_inputs_nobody_can_read(text, detail):
    assert why(parse_proposal(text, "induction", "code", 2)) == detail

@pytest.mark.parametrize("text, inputs, claims", [
    ("1) == 2\nassert f(2) == 3", ["1", "2"], ["2", "3"]), ("1)\nassert f(')', x=[2])", ["1", "')', x=[2]"], None),
    ("1) == 2\nx = 3\nassert f(2), 'no'\nassert f(3) == 4", ["1", "2"], ["2", None]),
])
def test_code_inputs(text, inputs, claims):
    found = parse_proposal(text, "induction", "code", 2)
    assert found["inputs"] == inputs and found.get("claim") == claims

@pytest.mark.parametrize("text, kind, answer", [
    (" 2", "deduction", "2"), ("2 # two", "deduction", "2"), (" '#'", "deduction", "'#'"), (" [1,", "deduction", "[1,"),
    (" [1,\n 2]\n", "deduction", "[1,\n 2]"), (" [1\n\nassert f(2) == 3", "deduction", "[1"),
    ("1, [2])", "abduction", "1, [2]"), ("') == 1') == 1", "abduction", "') == 1'"), (") == 1", "abduction", ""),
    ("1, [2", "abduction", "1, [2"), (" KeyError: 'a'\n# f(2) raises", "error", "KeyError"),
    ("x):\n    return 1\n\nassert f(1) == 1", "induction", "def f(x):\n    return 1"),
    ("def f(x):\n    return 1", "induction", "def f(x):\n    return 1"),
    ("\nimport math\n\ndef f(x):\n    return 1\n\nprint(f(1))", "induction",
     "import math\n\ndef f(x):\n    return 1"),
    ('x):\n    return """\nassert f(1)\n"""\n\nassert f(1)', "induction",
     'def f(x):\n    return """\nassert f(1)\n"""'),
])
def test_code_answers(text, kind, answer):
    assert parse_answer(text, kind, "code") == answer

@pytest.mark.parametrize("text, kind", [("", "deduction"), ("\n2", "deduction"), (" # 2", "deduction"),
                                        ("", "abduction"), ("\n1)", "abduction"), (" 5 > 3", "error"),
                                        ("\nx = 1", "induction")])
def test_code_answers_nobody_can_read(text, kind):
    why(parse_answer(text, kind, "code"))

# ---- renaming


@pytest.mark.parametrize(
    "before, after",
    [
        ("def g(x):\n    return g(x - 1)", "def f(x):\n    return f(x - 1)"),
        ("def a(x):\n    return x\n\ndef b(x):\n    return a(x)",
         "def a(x):\n    return x\n\ndef f(x):\n    return a(x)"),
        ("def count(s):  # count(s)\n    return s.count('count(')",
         "def f(s):  # count(s)\n    return s.count('count(')"),
        ("def  g (x):\n    return [g(y) for y in x]", "def  f (x):\n    return [f(y) for y in x]"),
        ("def é(x):\n    return 'ü', é(é(x))", "def f(x):\n    return 'ü', f(f(x))"),
        ("def g(x):\n    return f'''\n{g(x)}\n{x}'''", None),
        ("def g(x):\n    def inner(y):\n        return g(y)\n    return inner(x)",
         "def f(x):\n    def inner(y):\n        return f(y)\n    return inner(x)"),
        ("def a(x):\n    return b(x)\n\ndef b(x):\n    return x",
         "def f(x):\n    return b(x)\n\ndef b(x):\n    return x"),  # the caller is the entry
        ("def a(x):\n    return x\n\ndef test_a():\n    assert a(1)",
         "def f(x):\n    return x\n\ndef test_a():\n    assert f(1)"),  # a test is not
        ("a = lambda x: x\nb = lambda x: a(x)", "a = lambda x: x\nf = lambda x: a(x)"),
        ("def g(files):\n    for f in files:\n        return f",
         "def f(files):\n    for f in files:\n        return f"),
        ("@lru_cache(None)\ndef g(x): return g(x)", "@lru_cache(None)\ndef f(x): return f(x)"),
    ],
)
def test_renames(before, after):
    renamed = entry_to_f(before)
    assert renamed == after if after else [n.name for n in ast.parse(renamed).body] == ["f"] and "g(" not in renamed


@pytest.mark.parametrize(
    "program",
    [
        "def f(x): return g(x)\ndef g(x): return x",  # there is an f
        "f = lambda x: x\ndef g(x): return x",
        "from m import f\ndef g(x): return x",
        "class f: pass\ndef g(x): return x",
        "def g(x, f):\n    return g(f(x), f)",  # a scope that uses g has an f of its own
        "class A:\n    def g(self): return 1\ndef g(x): return A().g()",  # the name means two things
        "def g(g): return g",
        "def g(x):\n    return g(g=x)",
        "def g(x):\n    return x\ng = 3",
        "def g(x):\n    global g\n    g = 3",
        "x = 1",
        "",
        "def g(x:",
        "async def g(x): return x",
        "class A:\n    def g(self): pass",
        "for f in []: pass\ndef g(x): return x",
    ],
)
def test_leaves_alone(program):
    assert entry_to_f(program) == program


@pytest.mark.parametrize(
    "before",
    ["def g(n):\n    return 0 if n == 0 else n + g(n - 1)",
     "def h(n):\n    return n * 2\ndef g(n):\n    return f'{h(n)}{\"\" if n == 0 else g(n - 1)}'"],
)
def test_a_renamed_program_computes_the_same(before):
    one, two = {}, {}
    exec(before, one), exec(entry_to_f(before), two)
    assert one["g"](5) == two["f"](5)
