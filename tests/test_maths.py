"Questions without answers: notation, tool, votes, refusals, memory; all by scripts."

from dataclasses import replace
from random import Random

import pytest

from azr.buffers import Buffers
from azr.core import Attempt, Completion, Prompt, Proposal, Role, Rollout, Status, Task, Verdict
from azr.executor import Executor
from azr.maths import (
    MATHS_NOTATIONS, Curate, Maths, MathsEnvironment, Posed, ReleasedFences, _boxed, _distance, _grams, _run_tool,
    by_number, clusters)
from azr.metrics import step_metrics
from azr.problems import (
    _problem_tokenizer, boxed_text, output_text, program_text, question_text, school_problems, split_of, truth)
from azr.sampler import PolicySampler
from azr.sampling import Script, converse
from azr.selfplay import Phase, Recipe, SelfPlay
from conftest import always

QUESTION = "Ann has 3 coins. Ann finds 4. How many coins has Ann now?"
TASK = Task("maths", {"question": QUESTION}, {}, "q")


@pytest.fixture(scope="module")
def executor():
    with Executor(workers=1, timeout=.5) as one: yield one


# ---- answers

@pytest.mark.parametrize("text, answer", [
    (r"\boxed{7}", "7"), (r"so \boxed{1} or \boxed{ 2 }", "2"), (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"), ("7", None),
    (r"\boxed{7} and \boxed{", "7"), (r"\boxed{7} \boxed{}", None), (r"\boxed{", None), (r"\boxed{}", None),
    (r"\boxed{" * 9, None), (r"\boxed{" + "x" * 10_000, None), ("", None)])
def test_an_answer_is_what_the_last_whole_box_holds(text, answer): assert _boxed(text) == answer


@pytest.mark.parametrize("group, kinds", [
    (["7", "7.0", " 7 ", "$7$", "7."], [0] * 5), (["1,200", "1200", "12,00"], [0, 0, 1]), ([], []),
    (["1/2", "0.5", r"\frac{2}{4}"], [0] * 3), (["1/0", "0", "1e3", "1000"], [0, 1, 2, 3]),
    ([r"3\frac{1}{2}", "7/2", "31/2", "3 1/2"], [0, 1, 2, 3]), (["2 3", "23", "1 2", "12"], [0, 1, 2, 3]),
    (["3 000", "3,000", "3000", "- 3", "-3", "1 / 2", ".5"], [0, 0, 0, 1, 1, 2, 3]),
    ([r"\frac{12}", r"\frac12", r"-\dfrac{1}{2}", "-0.5"], [0, 1, 2, 2]),
    (["Ann", "ann", "Ben"], [0, 0, 1]), (["9" * 500, "9" * 500], [0, 0]),
    (["__import__('os')", "9**9**9"], [0, 1]), (["\u0663", "3"], [0, 0])])
def test_equal_numbers_are_equal_answers(group, kinds): assert by_number([group]) == [kinds]


# ---- the tool

@pytest.mark.parametrize("program, told", [
    ("print(3 + 4)", "7"), ("print(1, 2, sep='-', end='!')\nprint(3)", "1-2!3"), ("x = 3", "(nothing was printed)"),
    ("print(1)\n1 / 0", "ZeroDivisionError: division by zero"), ("while True: pass", "timeout: over its CPU time"),
    ("print('x' * 10**9)", "memory: over its memory"), ("def f(): return 3\nprint(f())", "3"),
    ("open('/etc/passwd')", "unsafe: line 1 uses open: open('/etc/passwd')"),
    ("x = 1\nimport socket", "unsafe: line 2 imports socket: import socket"),
    ("if __name__ == '__main__': print(5)", "5"), ("", "(nothing was printed)"), ("print(print)", ""),
    ("print(1, 2, sep=None, end=None)", "1 2"), ("print(chr(0xd800))", "?"),
    ("raise ValueError(chr(0xd800))", "ValueE")])
def test_a_program_says_what_it_prints_or_why_not(executor, program, told):
    assert _run_tool([program], executor)[0].startswith(told)


@pytest.mark.parametrize("program, ids", [("print(chr(0xd800))", None), ("print('<end>')", 1)])
def test_no_output_ends_a_turn_or_the_run(executor, program, ids):
    "Half a surrogate pair is none to a tokenizer, and a special token's name is words."
    tokenizer = _problem_tokenizer()
    sampler = PolicySampler(None, tokenizer, 200, 40)
    told = output_text(_run_tool([program], executor)[0])
    assert ids not in sampler.observation_ids(told) and tokenizer.decode(sampler.observation_ids(told)) == told


def test_equal_programs_run_once():
    ran = []
    class Counting:
        def run(self, calls): ran.extend(calls); return Executor(workers=1).run(calls)
    assert _run_tool(["print(1)", "print(2)", "print(1)"], Counting()) == ["1", "2", "1"] and len(ran) == 2


def test_an_answer_without_a_program_may_begin_with_its_comment():
    answer = MATHS_NOTATIONS["code"].answer
    assert [answer(text) for text in ("# Answer: 48\n\n\n", " 48\n#", "# Answer:")] == ["48", "48", None]


def test_a_long_output_is_shown_in_part(executor):
    assert _run_tool(["print('ab' * 300)"], executor, 10) == ["ababababab ... (600 characters)"]


def test_a_broken_fence_hides_nothing_from_the_next_program(executor):
    assert _run_tool(["print('''", "print(1)"], executor)[1] == "1"


# ---- turns

def play(said, executor, kind=Maths(), task=TASK): # completion, what is submitted
    "A conversation with a solver that says these turns."
    turns = iter(said)
    env = MathsEnvironment(executor, truth=truth)
    return converse(Script(lambda prompt: next(turns)), [kind.solve_prompt(task)], [kind], env)[0]


def test_a_closed_fence_ends_a_turn_and_its_output_comes_back(executor):
    said, submitted = play([program_text("print(3 + 4)") + "never read", boxed_text("7")], executor)
    assert said.text == program_text("print(3 + 4)") + output_text("7") + boxed_text("7")
    assert said.turns == 2 and submitted == boxed_text("7")


def test_an_answer_of_only_tool_calls_ends_after_the_last_turn(executor):
    said, submitted = play([program_text("print(1)")] * 9, executor)
    task = replace(TASK, hidden={"label": "1"})
    verdict, = Maths().verify([(task, [Attempt("q", submitted)])], MathsEnvironment())[0]
    assert said.turns == 4 and verdict.status == Status.MALFORMED and said.text.count("```output") == 3


def test_a_program_whose_output_nobody_could_read_is_not_run():
    "There is no executor: a run would raise."
    said, _ = play([program_text("print(1)")], None, Maths(turns=1))
    assert said.turns == 1 and "output" not in said.text


def test_an_open_fence_runs_nothing(executor):
    said, _ = play(["```python\nprint(3)"], executor)
    assert said.turns == 1 and "output" not in said.text


def test_a_typed_output_is_not_a_tool_call(executor):
    said, _ = play([output_text("7") + boxed_text("7"), boxed_text("8")], executor)
    told = output_text("(only a block that begins with ```python runs)")
    assert said.text == output_text("7") + told + boxed_text("8")


def test_without_the_tool_nothing_runs(executor):
    said, _ = play([program_text("print(3)") + boxed_text("3")], executor, Maths(tool=False))
    assert said.turns == 1 and said.text == program_text("print(3)") + boxed_text("3")   # the fence cuts nothing off
    bare = Maths(bare=lambda task: "label" not in task.hidden)
    assert play([program_text("print(3)")], executor, bare)[0].turns == 1
    labelled = replace(TASK, hidden={"label": "3"})
    assert play([program_text("print(3)"), boxed_text("3")], executor, bare, labelled)[0].turns == 2


def test_the_released_code_halts_where_the_mark_is_typed(executor):
    kind = Maths(ReleasedFences("plain"))
    said, _ = play(["```python\nprint(3 + 4)\n```\n```output\n99", boxed_text("7")], executor, kind)
    assert said.text == "```python\nprint(3 + 4)\n```\n```output\n7\n```\n" + boxed_text("7")
    forced, _ = play(["```python\nx = 3\n```\nand\n```python\nprint(x)\n```", boxed_text("3")], executor, kind)
    assert forced.text == "```python\nx = 3\n```\nand\n```python\nprint(x)\n```\n" + output_text("3") + boxed_text("3")


def test_in_a_file_a_comment_ends_the_program(executor):
    kind = Maths(MATHS_NOTATIONS["code"], turns=2)
    said, submitted = play(["print(3 + 4)\n# Output: 99", " 7\n\n\n# Question"], executor, kind)
    assert said.text == "print(3 + 4)\n# Output: 7\n# Answer: 7\n\n\n" and kind.notation.answer(submitted) == "7"
    assert kind.notation.question(" How many pens?\nprint(3)\n#") == "How many pens?"


class Tokens:
    "A sampler of one token a letter, the first turn's last token reaching over the stop text."
    def __init__(self, turns): self.turns, self.asked = iter(turns), []
    def observation_ids(self, text): return tuple(map(ord, text))
    def __call__(self, prompts, sampling=None, policy="default"):
        self.asked += prompts
        found = []
        for prompt in prompts:
            ids = prompt.ids or tuple(map(ord, prompt.text))
            text = next(self.turns)
            found.append(Completion(text, ids, tuple(map(ord, text)), None, True))
        return found


@pytest.mark.parametrize("retokenises", [False, True])
def test_ids_go_on_as_sampled_and_observations_are_masked(executor, retokenises):
    kind = Maths(retokenises=retokenises)
    sampler = Tokens([program_text("print(3 + 4)"), boxed_text("7")])
    (said, _), = converse(sampler, [kind.solve_prompt(TASK)], [kind], MathsEnvironment(executor))
    assert "".join(map(chr, said.completion_ids)) == said.text
    masked = "".join(chr(token) for token, own in zip(said.completion_ids, said.mask) if not own)
    so_far = said.prompt_ids + said.completion_ids[:-len(boxed_text("7"))]
    assert masked == output_text("7") and sampler.asked[1].ids == so_far


def test_a_conversation_without_room_for_the_output_is_cut_off(executor):
    sampler = Script(always(program_text("print('ab' * 100)")))
    object.__setattr__(sampler, "fits", lambda prompt: len(prompt.text) < 150)
    (said, _), = converse(sampler, [Maths().solve_prompt(TASK)], [Maths()], MathsEnvironment(executor))
    assert not said.finished and said.turns == 1


# ---- what is refused

@pytest.mark.parametrize("text, status", [
    (question_text(QUESTION), "ok"), (QUESTION, "malformed"), ("<question>How many coins?", "malformed"),
    (question_text(""), "malformed"), (question_text("How?"), "malformed"),
    (question_text("What is 3? " * 99), "too_large"), (question_text("Prove that 3 + 4 is 7."), "unanswerable"),
    (question_text("You draw 2 balls of 5. How likely are 2 red ones?"), "ok"),
    (question_text("Draw the graph of x."), "unanswerable"),
    (question_text("Give the remainder of 7^100 modulo 5."), "ok"), (question_text("How old is Ann now"), "ok"),
    (question_text("Ann has 3 coins now."), "unanswerable"), (question_text("证明 3 + 4 = 7?   ."), "unanswerable"),
    (question_text("Explain how many coins Ann has."), "unanswerable"),
    (question_text(r"What is 3 + 4? It is \boxed{7}."), "leaked"), (question_text("Improve 3 + 4: what is it?"), "ok"),
    ("<question>" * 5 + "What is 3 + 4?" + "</question>", "leaked"), ("\ud800" + question_text(QUESTION), "ok")])
def test_a_question_can_be_asked_or_says_why_not(text, status):
    prompt = Maths().propose_prompt(Buffers(("maths",)), Random(0))
    found, = Maths().validate([Proposal(prompt, text)], MathsEnvironment())
    assert isinstance(found, Task) if status == "ok" else (found.status == status and found.detail)


def test_a_question_of_the_exam_is_refused_and_a_claim_is_kept():
    env = MathsEnvironment(held_out=lambda question: "Ann" in question)
    assert Maths().proved(question_text(QUESTION), env).status == Status.HELD_OUT
    assert Maths().proved(question_text(QUESTION) + boxed_text("7"), MathsEnvironment()).info == {"claimed": "7"}


# ---- alike

def test_bleu_is_that_of_one_sentence():
    "By hand: 4 of 5 words, 2 of 4 pairs, 1 of 3 triples, no four (a tenth of 1 in 2), equal lengths."
    one, other = _grams("a b c d e"), _grams("a b c x e")
    assert 1 - _distance(one, other) == pytest.approx((4 / 5 * 2 / 4 * 1 / 3 * .1 / 2) ** .25)
    assert _distance(one, one) == 0 and _distance(one, _grams("q r s")) == 1 and _distance(_grams(""), one) == 1


def test_clusters_of_questions():
    texts = [QUESTION, QUESTION.replace("3", "5"), "What is 3 + 4 * 5?", QUESTION]
    kinds = clusters(texts, .5)
    assert kinds[0] == kinds[1] == kinds[3] != kinds[2]
    assert clusters([], .5) == [] and clusters(["a"], .5) == [1] and len(set(clusters(texts, 0.0))) >= 2


def test_the_memory_goes_over_iterations_and_through_a_checkpoint():
    posed = Posed(.3, cap=2)
    posed.add(QUESTION)
    again = Posed(.3, cap=2)
    again.restore(posed.state())
    near = QUESTION.replace("3", "5")
    assert again.twin(near) == QUESTION and again.twin("What is 3 + 4 * 5?") is None
    found = Maths(posed=again).proved(question_text(near), MathsEnvironment())
    assert found.status == Status.DUPLICATE and QUESTION in found.detail
    for text in ("What is 1 + 2 + 3?", "What is 4 * 5 * 6?"): again.add(text)
    assert again.twin(near) is None and again.state() == ["What is 1 + 2 + 3?", "What is 4 * 5 * 6?"]


# ---- votes

def judged(texts, hidden=(), kind=Maths(), env=MathsEnvironment(truth=truth)):
    task = replace(TASK, hidden=dict(hidden))
    return kind.verify([(task, [Attempt("q", text) for text in texts])], env)[0]


def boxes(*answers): return [boxed_text(answer) for answer in answers]


@pytest.mark.parametrize("answers, scores, statuses", [
    (["7", "7.0", "8"], [1, 1, 0], ["ok", "ok", "wrong"]),
    (["8", "7", "7", "8"], [1, 0, 0, 1], ["ok", "wrong", "wrong", "ok"]),
    (["7", "8", "9"], [0, 0, 0], ["undecided"] * 3), (["7"], [0], ["unscored"])])
def test_a_vote(answers, scores, statuses):
    found = judged(boxes(*answers))
    assert [one.score for one in found] == scores and [str(one.status) for one in found] == statuses


def test_no_answer_counts_against_the_share_and_truth_is_told_apart():
    found = judged([*boxes("8", "8", "7"), "no idea"])
    assert [one.score for one in found] == [1, 1, 0, 0] and [one.truth for one in found] == [False, False, True, False]
    assert {one.truth for one in judged(boxes("7", "7"), env=MathsEnvironment())} == {None}


def test_a_label_judges_and_a_group_may_vote_again():
    assert [one.score for one in judged(boxes("7", "7", "8"), {"label": "8"})] == [0, 0, 1]
    assert [one.score for one in judged(boxes("7", "7", "8"), {"label": "8"}, Maths(vote_again=True))] == [1, 1, 0]
    assert [one.score for one in judged(boxes("7"), {"answer": "7"}, Maths(vote_again=True))] == [1]


def test_all_groups_are_compared_at_once():
    calls = []
    def classes(groups): calls.append(len(groups)); return by_number(groups)
    groups = [(replace(TASK, id=str(n)), [Attempt(str(n), text) for text in boxes("1", "1")]) for n in range(5)]
    assert len(Maths().verify(groups, MathsEnvironment(classes=classes))) == 5 and calls == [5]


# ---- a step

def a_step(questions, answers, executor, low=.3, high=.8, kind=None):
    kind = kind or Maths()
    asked, said = iter(questions), iter(answers)
    phase = Phase("pool", proposals=len(questions), attempts=4, train=())
    env = MathsEnvironment(executor, truth=truth)
    game = SelfPlay(Recipe((kind,), always(phase), remember=Curate(kind, always(True), low, high),
                           memories={"posed": kind.posed}), env)
    step = game.step(Script(lambda prompt: next(asked) if prompt.role is Role.PROPOSE else next(said)), 1)
    return game, step, step_metrics((*step.rollouts, *step.estimates), step.tasks, (kind,))


def test_the_pool_holds_label_share_and_whether_it_is_right(executor):
    game, step, metrics = a_step([question_text(QUESTION)], boxes("7", "7", "8", "9"), executor)
    task, = game.buffers
    assert task.hidden == {"label": "7"} and (task.info["share"], task.info["right"]) == (.5, True)
    assert metrics["solve/maths/agreement"] == .5 and metrics["solve/maths/accuracy"] == .5
    assert metrics["propose/maths/label_accuracy"] == 1 and metrics["propose/maths/effective_rate"] == 1
    assert "solve/maths/truth" not in metrics and game.state()["memories"] == {"posed": [QUESTION]}


def test_agreement_and_accuracy_part(executor):
    _, _, metrics = a_step([question_text(QUESTION)], boxes("8", "8", "8", "7"), executor)
    assert metrics["solve/maths/agreement"] == .75 and metrics["solve/maths/accuracy"] == .25
    assert metrics["propose/maths/label_accuracy"] == 0
    other = "Ann sold 3 of 9 hats. How many hats are left to her?"   # of no grammar: nobody knows
    _, _, metrics = a_step([question_text(other)], boxes("6", "6", "5", "5"), executor)
    assert "solve/maths/accuracy" not in metrics and metrics["solve/maths/agreement"] == .5


@pytest.mark.parametrize("answers, kept", [("7777", 0), ("7789", 1), ("6789", 0), ("7778", 1)])
def test_outside_of_the_band_nothing_is_kept(executor, answers, kept):
    game, step, metrics = a_step([question_text(QUESTION)], boxes(*answers), executor)
    assert len(game.buffers) == kept == metrics["propose/maths/pool"]


def test_of_near_questions_in_one_step_the_first_enters_the_pool(executor):
    "Each of them is answered by 7, 7, 8, 9."
    near = [QUESTION, QUESTION.replace("3", "5")]
    kind = Maths(posed=Posed(.5))
    game, step, metrics = a_step([question_text(one) for one in near], boxes(*"7789" * 2), executor, kind=kind)
    assert [task.given["question"] for task in game.buffers] == [QUESTION]
    assert (metrics["propose/maths/pool"], metrics["propose/maths/twins"], kind.posed.twins) == (1, 1, 0)


def test_a_step_of_duplicates_and_nothing_else_goes_on(executor):
    kind = Maths()
    kind.posed.add(QUESTION)
    game, step, metrics = a_step([question_text(QUESTION)] * 3, [], executor, kind=kind)
    assert not step.tasks and metrics["propose/maths/status/duplicate"] == 3


def test_an_empty_pool_gives_an_empty_step(executor):
    phase = Phase("executor", proposals=0, solves=3, tries=2, train=(Role.SOLVE,))
    game = SelfPlay(Recipe((Maths(),), always(phase)), MathsEnvironment(executor))
    step = game.step(Script(always("?")), 1)
    assert not step.rollouts and not step.tasks


# ---- the domain

def test_our_own_exam_is_large_enough_and_its_answers_are_whole():
    rows = school_problems(240)
    assert len({question for question, _ in rows}) == 240 and all(right.isdecimal() for _, right in rows)
    assert school_problems(50) == rows[:50]


@pytest.mark.parametrize("text, right", [
    ("What is 2 + 3 * 4 - 1?", "13"), ("What is 2 - 9?", "-7"), ("What is 2 ** 9?", None),
    ("What is __import__('os')?", None),
    (QUESTION, "7"), (QUESTION.replace("finds", "loses"), None), (QUESTION.replace("now", "then"), None),
    ("Ann has 3 coins. Ben finds 4. How many coins has Ann now?", None), ("What is " + "1 + " * 5000 + "1?", None),
    ("Ann has 3 coins. Ben has 9 too. How many coins has Ann now?", "3"),
    ("Ann has 3 coins. Ben has 9 too." * 200, None)])
def test_the_truth_of_a_question(text, right): assert truth(text) == right


def test_a_tenth_of_the_questions_is_held_out():
    found = [split_of(f"What is {n} + 1?") for n in range(2000)]
    assert .07 < 1 - found.count("train") / 2000 < .13
