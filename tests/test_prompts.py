"Prompts show what is given and nothing else, in every style, and say what they promise."
import ast
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azr.core import Role, Task
from azr.parse import parse_answer
from azr.prompts import (
    _ANSWERS, _CODE_STOPS, _EXAMPLES, _RESERVED, SOLVE_EXAMPLES, SPECIAL_TOKENS, STYLES, Sizes, _finished,
    _program_rules, answer_text, check_examples, facts, fence, propose_prompt, reserved, solve_prompt)
from azr.values import parse_arguments, parse_literal

PROGRAM = "def f(x):\n    return x * 3"
TASKS = {
    "deduction": Task("deduction", {"program": PROGRAM, "input": "14"}, {"output": "42"}, "d"),
    "abduction": Task("abduction", {"program": PROGRAM, "output": "42"}, {"input": "14"}, "a"),
    "induction": Task("induction", {"pairs": [["1", "3"], ["2", "6"]], "message": "Thrice."},
                      {"program": PROGRAM, "pairs": [["14", "42"]]}, "i"),
    "error": Task("error", {"program": PROGRAM, "input": "None"}, {"error": "TypeError"}, "e"),
}

def whole(prompt):
    assert bool(prompt.text) != bool(prompt.messages)
    return prompt.text or prompt.messages[0]["content"]

@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", TASKS)
def test_solve_prompts_show_the_given_and_hang_on_nothing_hidden(kind, style):
    task = TASKS[kind]
    prompt = solve_prompt(task, style)
    assert prompt == solve_prompt(replace(task, hidden={}), style)
    assert (prompt.role, prompt.task_id, prompt.task_type) == (Role.SOLVE, task.id, kind)
    for name, value in task.given.items():
        if name == "pairs": assert all(i in whole(prompt) and o in whole(prompt) for i, o in value)
        elif name != "message" or style != "terse": assert value in whole(prompt)

@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", ["deduction", "abduction", "error"])
@pytest.mark.parametrize("k", [0, 1, 6])
def test_propose_prompts_show_all_references_in_order(kind, style, k):
    references = [replace(TASKS[kind], given={**TASKS[kind].given, "program": f"def f(x{n}):\n    return 1"}, id=str(n))
                  for n in range(k)]
    prompt = propose_prompt(kind, references, style)
    spots = [whole(prompt).find(task.given["program"]) for task in references]
    assert prompt.references == tuple(map(str, range(k))) and prompt.context == {} and prompt.role is Role.PROPOSE
    assert -1 not in spots and spots == sorted(spots)

@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", ["deduction", "abduction"])
def test_induction_proposals_carry_their_program(kind, style):
    prompt = propose_prompt("induction", [TASKS[kind]], style, inputs=7)
    assert prompt.context == {"program": PROGRAM, "inputs": 7} and prompt.references == (TASKS[kind].id,)
    assert PROGRAM in whole(prompt) and (style == "terse" or "7 inputs" in whole(prompt))

def test_terse_prompts_are_exactly_their_contract():
    assert solve_prompt(TASKS["deduction"], "terse").text == f"<ded>{PROGRAM}<in>14<out>"
    assert solve_prompt(TASKS["abduction"], "terse").text == f"<abd>{PROGRAM}<out>42<in>"
    assert solve_prompt(TASKS["induction"], "terse").text == "<ind><in>1<out>3<in>2<out>6<prog>"
    assert solve_prompt(TASKS["error"], "terse").text == f"<err>{PROGRAM}<in>None<out>"
    assert propose_prompt("deduction", [TASKS["abduction"]], "terse").text == f"<pded>{PROGRAM}<in>14<prog>"
    assert propose_prompt("abduction", [], "terse").text == "<pabd><prog>"
    assert propose_prompt("error", [], "terse").text == "<perr><prog>"
    assert propose_prompt("induction", [TASKS["deduction"]], "terse").text == f"<pind>{PROGRAM}<in>"

def test_code_prompts_are_exactly_their_contract():
    assert solve_prompt(TASKS["deduction"], "code").text == f"{PROGRAM}\n\nassert f(14) =="
    assert solve_prompt(TASKS["abduction"], "code").text == f"{PROGRAM}\n\n# f(?) is 42\nassert f("
    assert solve_prompt(TASKS["error"], "code").text == f"{PROGRAM}\n\n# f(None) raises"
    assert solve_prompt(TASKS["induction"], "code").text == (
        "# Thrice.\nassert f(1) == 3\nassert f(2) == 6\n\n\ndef f(")
    shown = f"{PROGRAM}\n\nassert f(14) == 42\n\n\n"
    assert propose_prompt("deduction", [TASKS["abduction"]] * 2, "code").text == f"{shown}{shown}def f("
    assert propose_prompt("error", [TASKS["error"]], "code").text == (
        f"{PROGRAM}\n\n# f(None) raises TypeError\n\n\ndef f(")
    assert propose_prompt("induction", [TASKS["deduction"]], "code", 3).text == (
        f"{PROGRAM}\n\n# 3 inputs that differ\nassert f(")

def test_a_message_of_several_lines_stays_a_comment():
    task = replace(TASKS["induction"], given=TASKS["induction"].given | {"message": "one\nimport os\r\x0cx = 1"})
    head = solve_prompt(task, "code").text.split("assert")[0]
    assert all(line.startswith("#") for line in head.splitlines() if line)

@pytest.mark.parametrize("kind", TASKS)
def test_finished_examples_stand_before_the_task_and_are_whole(kind):
    alone = solve_prompt(TASKS[kind], "code").text
    for number in range(len(SOLVE_EXAMPLES[kind]) + 1):
        text = solve_prompt(TASKS[kind], "code", examples=number).text
        shown = [_finished(example) for example in SOLVE_EXAMPLES[kind][:number]]
        assert text == "\n\n\n".join([*shown, alone])
    for example in SOLVE_EXAMPLES[kind]:
        opened = solve_prompt(example, "code")
        rest = _finished(example).removeprefix(opened.text)
        gold = facts(example)["program" if kind == "induction" else _ANSWERS[kind][0]]
        assert rest.startswith(answer_text(kind, gold, "code")) and parse_answer(rest, kind, "code") == gold
        ast.parse(_finished(example))

@pytest.mark.parametrize("style, number", [("r1", 1), ("chat", 2), ("terse", 3), ("code", -1), ("code", 4)])
def test_a_number_of_examples_that_cannot_be_is_one_sentence(style, number):
    with pytest.raises(ValueError, match=f"^solve_examples is {number}[^\n]+[.]$"): check_examples(style, number)
    with pytest.raises(ValueError, match="solve_examples"): solve_prompt(TASKS["error"], style, examples=number)

def test_r1_ends_in_an_open_thought_and_chat_is_one_user_message():
    assert solve_prompt(TASKS["deduction"], "r1").text.endswith("Assistant: <think>")
    (message,) = solve_prompt(TASKS["deduction"], "chat").messages
    assert message["role"] == "user" and "<answer>" in message["content"]

def test_r1_and_code_prompts_name_the_texts_that_end_a_completion():
    for kind, task in TASKS.items():
        asked = [solve_prompt(task, style) for style in STYLES] + [propose_prompt(kind, [TASKS["deduction"]],
            style) for style in STYLES]
        stops = [prompt.stop for prompt in asked]
        code = stops.pop(3), stops.pop(-1)
        assert code[0] == _CODE_STOPS[kind] and all(code) and stops == [("</answer>",), (), ()] * 2

@pytest.mark.parametrize("style", ["r1", "chat"])
def test_prompts_state_the_limits_in_force(style):
    sizes = Sizes(program=12_345, value=678)
    for kind, numbers in {"deduction": ("12,345", "678"), "abduction": ("12,345", "678"), "error": ("12,345", "678"),
        "induction": ("678",)}.items():
        text = whole(propose_prompt(kind, [TASKS["deduction"]], style, sizes=sizes))
        assert all(f"at most {number} " in text for number in numbers) and "5,000" not in text and "10,000" not in text
    for kind, numbers in {"abduction": ("678",), "induction": ("12,345", "678")}.items():
        assert all(f"at most {number} " in whole(solve_prompt(TASKS[kind], style, sizes=sizes)) for number in numbers)
    assert propose_prompt("deduction", [], "terse", sizes=sizes) == propose_prompt("deduction", [], "terse")

@pytest.mark.parametrize("style", ["r1", "chat"])
@pytest.mark.parametrize("kind", TASKS)
def test_solve_prompts_show_a_filled_example_that_reads_as_an_answer(kind, style):
    example = fence(_ANSWERS[kind][0], _EXAMPLES[kind])
    assert example in whole(solve_prompt(TASKS[kind], style)) and "..." not in whole(solve_prompt(TASKS[kind], style))
    assert parse_answer(f"</think> <answer>\n{example}\n</answer>", kind) == _EXAMPLES[kind]
    {"deduction": parse_literal, "abduction": parse_arguments}.get(kind, str)(_EXAMPLES[kind])

def test_a_deduction_answer_is_wanted_as_a_literal():
    for style in ("r1", "chat"):
        assert "Python literal" in whole(solve_prompt(TASKS["deduction"],
            style)) and "prints" not in whole(solve_prompt(TASKS["deduction"], style))

@pytest.mark.parametrize("style", ["r1", "chat"])
@pytest.mark.parametrize("kind", ["deduction", "abduction", "error"])
def test_every_programmer_reads_the_same_rules(kind, style):
    rules = _program_rules(["random", "os"], ["math"])
    assert rules in whole(propose_prompt(kind, [], style, banned=["random", "os"], allowed=["math"]))
    assert rules in whole(solve_prompt(TASKS["induction"], style, banned=["random", "os"], allowed=["math"]))


@pytest.mark.parametrize(
    "ask, given",
    [
        (propose_prompt, ["riddle"]),
        (solve_prompt, [TASKS["deduction"], "haiku"]),
        (propose_prompt, ["induction", []]),
        (propose_prompt, ["induction", [TASKS["deduction"]] * 2]),
    ],
)
def test_unknown_names_are_one_sentence(ask, given):
    with pytest.raises(ValueError, match="^[^\n]+[.]$"): ask(*given)

@given(st.text(alphabet="`~ab\n", max_size=30))
def test_a_fence_is_longer_than_any_run_inside_it(text):
    ticks = fence("", text).split("\n")[0]
    assert set(ticks) == {"`"} and ticks not in text

def test_reserved_finds_every_marker_of_its_style():
    for style, marks in _RESERVED.items():
        assert all(reserved(style, "a", f"b{mark}c") == mark for mark in marks)
    assert reserved("terse", "x < 3 > 1", "</answer>") is None and len(set(SPECIAL_TOKENS)) == 13

def test_facts_put_a_task_together():
    assert facts(TASKS["abduction"]) == facts(TASKS["deduction"]) == {"program": PROGRAM, "input": "14", "output": "42"}
