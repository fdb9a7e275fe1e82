"The counts of the house style, on notebooks and sources small enough to count by hand."
import ast, math

import nbformat.v4 as v4
import pytest

import measure, public_names, sentences
from measure import Page, Source

def book(name: str, *cells: str) -> Page:
    "A page in memory: a text that begins with `md ` is prose, every other text is code."
    made = [v4.new_markdown_cell(text[3:]) if text.startswith("md ") else v4.new_code_cell(text) for text in cells]
    for i, cell in enumerate(made):
        cell["id"] = f"c{i:03d}"
    return measure.page_of(f"nbs/{name}.ipynb", v4.new_notebook(cells=made))

def parsed(text: str) -> list[ast.AST]: return list(ast.walk(ast.parse(text)))

def module(name: str, text: str) -> Page: return Page(f"azr/{name}.py", name, [Source(f"azr/{name}.py", text)], [])

def test_a_notebook_is_read_by_cell():
    cells = ["#| default_exp plan", "md # Plan", "#| export\nx = 1", "# | exporti\ny = 1", "%%bash\nls -l", "x"]
    page = book("3a_plan", *cells)
    assert (page.name, page.module, page.number) == ("nbs/3a_plan.ipynb", "plan", "3a")
    assert [(source.place, source.exported) for source in page.code] == [
        ("nbs/3a_plan.ipynb#c000", False), ("nbs/3a_plan.ipynb#c002", True),
        ("nbs/3a_plan.ipynb#c003", True), ("nbs/3a_plan.ipynb#c005", False)]
    assert [source.text for source in page.prose] == ["# Plan"]
    assert book("index", "1").number == book("runs/climb", "1").number == ""

def test_lines_leave_out_blank_ones_and_directives():
    assert measure.lines([Source("a", "#| export\n\nx = 1\n  \n# why\n")]) == [("a:3", "x = 1"), ("a:5", "# why")]

def test_120_columns_are_not_too_wide_and_121_are():
    text = "\n".join(["x" * 120, "", "y" * 121, "z" * 682])
    assert measure.wide([Source("tests/a.py", text)]) == ["tests/a.py:3 121", "tests/a.py:4 682"]

def test_percentile_is_the_smallest_value_that_so_many_do_not_exceed():
    assert measure.percentile(list(range(1, 201)), .99) == 198
    assert measure.percentile([7], .99) == 7
    assert measure.percentile([], .99) == 0

def test_lambdas_that_are_no_argument():
    text = "\n".join([
        "f = lambda x: x", "sorted(y, key=lambda x: -x)", "map(lambda x: x, y)", "table = {'a': lambda x: x}",
        "def g(h=lambda: 0): pass", "(lambda: 1)()", "call([lambda: 2])"])
    count, places = measure.lambdas([Source("a", text)])
    assert count == 7 and sorted(places) == ["a:1", "a:4", "a:5", "a:6", "a:7"]

def test_magics_do_not_hide_the_code_around_them():
    text = "%matplotlib inline\n!ls\nfor i in x:\n    %time f(i)\ng = lambda: 1"
    assert measure.lambdas([Source("a", text)]) == (1, ["a:5"])
    with pytest.raises(SyntaxError, match="a.py"):
        measure.nodes(Source("a.py", "def :"))

def test_functions_and_the_five_longest():
    text = "class A:\n    def m(self):\n        x = 1\n\n        return x\nasync def f(): pass"
    found = measure.functions([Source("a", text)])
    assert sorted(found) == [(1, "a:6 f"), (4, "a:2 m")]
    assert measure.longest("longest function", 40, found) == ("longest function", "4", "40", ["a:2 m 4", "a:6 f 1"])
    assert len(measure.longest("", 1, found * 4)[3]) == 5

def test_names_are_offered_by_their_list():
    page = module("core", "__all__ = ['Role', 'Task']\n\nclass Role: pass\nclass Other: pass")
    assert measure.public([page]) == [("core", "Role"), ("core", "Task")]

@pytest.mark.parametrize("text, name", [
    ("from azr.run import train", "train"), ("def f():\n    from azr.run import (train as t,\n    sweep)", "sweep"),
    ("from azr import run\nrun.train()", "train"), ("from azr import run as r\nr.train", "train"),
    ("import azr.run\nazr.run.train()", "train"), ("import azr.run as r\nprint(r.train)", "train"),
    ("from azr.run import *\ntrain(1)", "train"),
    ("from azr import run\nmonkeypatch.setattr(run, 'train', f)", "train"),
    ("NAMES = {'azr': 'azr.run:train'}", "train"), ("monkeypatch.setattr('azr.run.train', f)", "train"),
    ("script = f'import sys; from azr.run import train; train({x})'", "train")])
def test_a_use_is_seen(text, name):
    assert ("run", name) in public_names.used(parsed(text))

@pytest.mark.parametrize("text", [
    "train = 1", "from other.run import train", "import run\nrun.train", "from azr import run\nself.run.train",
    "script = 'from azr.run import sweep\\ntrain = 1'", "# azr.run.train"])
def test_a_like_name_is_no_use(text):
    assert ("run", "train") not in public_names.used(parsed(text))

def test_a_page_that_uses_its_own_name_does_not_count():
    own = book("16_run", "#| default_exp run", "#| export\ndef train(): pass", "from azr.run import train")
    assert measure.used([own]) == set()
    assert measure.used([own, book("runs/a", "from azr.run import train")]) == {("run", "train")}

def test_demonstration_is_shown_lines_by_exported_lines():
    page = book("00_core", "#| default_exp core", "#| export\n\nx = 1\ny = 2", "x", "md x\nx\nx", "y\n\nx + y")
    assert measure.demonstration([page]) == 1.5
    assert math.isnan(measure.demonstration([book("index", "x")]))

def test_words_are_counted_in_reading_order_up_to_a_page():
    pages = [book("3a_b", "md eight"), book("05_selfplay", "#| default_exp selfplay", "md four *five* - six"),
             book("39_a", "md seven"), book("00_core", "md one two", "x = 'no prose'", "md three"),
             book("index", "md no")]
    assert measure.words_until(pages, lambda page: page.module == "selfplay") == 7
    assert measure.words_until(pages, lambda page: page.number == "3a") == 9
    assert measure.words_until(pages, lambda page: page.number == "90") is None

def test_the_first_digit_is_the_decade():
    pages = ("05_selfplay", "13_executor", "23_checkpoints", "3a_plan", "90_climb")
    assert [measure.decade(book(name)) for name in pages] == ["0", "1", "2", "3", "9"]

def test_the_later_systems_are_agent0_and_ssr():
    pages = ("18_formulas", "42_agent0", "57_ssr", "17_grammar", "3f_lab", "90_climb", "index")
    assert [measure.is_later(book(name)) for name in pages] == [True, True, True, False, False, False, False]

def test_public_names_are_counted_by_whose_they_are():
    books = [book("05_selfplay", "#| default_exp selfplay", "#| export\ndef step(): pass"),
             book("42_agent0", "#| default_exp agent0", "#| export\nfrom azr.selfplay import step")]
    modules = [module("selfplay", "__all__ = ['step', 'alone']"), module("agent0", "__all__ = ['AGENT0']")]
    found = measure.name_rows(books, modules, [module("test_a", "from azr.selfplay import alone")], [])
    assert [row[1] for row in found] == ["3", "2", "1", "1", "1"]
    assert [row[3] for row in found[3:]] == [["agent0.AGENT0"], ["selfplay.alone"]]

def test_task_types_are_found_in_names_and_texts_of_code_for_any_system():
    text = "\n".join(["#| export", "def Deduction(x):", "    'Of \\", "    INDUCTION.'",
                      "    return x.abduction_rate, f'a {x} introduction'  # deduction"])
    places = ["nbs/02_buffers.ipynb#c000:2 Deduction", "nbs/02_buffers.ipynb#c000:4 INDUCTION",
              "nbs/02_buffers.ipynb#c000:5 abduction"]
    assert measure.task_type_words([book("02_buffers", text, "deduction = 1", "md deduction")]) == places
    assert measure.task_type_words([book("16_tasks", text), book("runs/a", text), book("40_agent0", text)]) == []

@pytest.mark.parametrize("text, expected", [
    ("One. Two! Is it? (Yes.) **Bold.** Last", ["One.", "Two!", "Is it?", "(Yes.", "**Bold.", "Last"]),
    ("Use e.g. AZR, i.e. Zero, vs. R1 by Zhao et al. Stop.", ["Use e.g. AZR, i.e. Zero, vs. R1 by Zhao et al. Stop."]),
    ("See Eq. 3, p. 4 and Fig. (5). It is a no. Stop.", ["See Eq. 3, p. 4 and Fig. (5).", "It is a no.", "Stop."]),
    ("It is .71 of 1.5. Next ... goes on.", ["It is .71 of 1.5.", "Next ... goes on."]),
    ("A `x. Y` and ``a ` b. C`` here. `f` runs.", ["A Code and Code here.", "Code runs."]),
    ("A [link. Here](https://a.org/b. C) and <br> https://c.org/D. End", ["A link.", "Here and Address.", "End"]),
    ("A sum $a. B$ is.\n\n$$x. Y\nz$$\n\nEnd", ["A sum Formula is.", "End"]),
    ("# Title\nText goes\non.\n- one\n- two\n  goes on\n1. three",
     ["Title", "Text goes on.", "one", "two goes on", "three"]),
    ("| a b | c |\n|---|---|\n| d. E | `f|g` |\nEnd", ["a b", "c", "---", "---", "d.", "E", "Code", "End"]),
    ("> quoted\n> text.\n\nA\n\n```python\nx = 1. Y\n```\nB", ["quoted text.", "A", "B"])])
def test_sentences(text, expected):
    assert sentences.sentences(text) == expected

def test_30_words_are_not_too_long_and_31_are():
    thirty = "word " * 29 + "- end."
    assert measure.long_sentences([("a", thirty), ("b", "One " + thirty)]) == ["b 31 " + ("One " + thirty)[:60]]

def test_messages_are_docstrings_and_what_is_raised_said_or_asserted():
    text = "\n".join([
        "'Module.'", "def f(x):", "    'Docstring.'", "    assert x, f'no {x}'",
        "    raise ValueError(f'a {x!r} ' + 'b')",
        "class A:", "    'Class.'", "    y = 'no message'", "    def g(self): raise", "sys.exit('c')",
        "parser.error('d %s' % 1)", "raise error", "sys.exit(f(1))"])
    assert sorted(sentences.spoken(parsed(text))) == [
        (1, "Module."), (3, "Docstring."), (4, "no Value"), (5, "a Value b"), (7, "Class."), (10, "c"),
        (11, "d %s1"), (13, "Value")]

def test_the_table_of_this_checkout(monkeypatch, capsys):
    monkeypatch.setattr(measure, "seconds", lambda *arguments: float(len(arguments)))
    measure.main([])
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 33 and table[-1].split()[-5:] == ["3.00", "/", "2.00", "<", ".5"]
    measure.main(["--list=longest"])
    listed = capsys.readouterr().out.splitlines()
    assert len(listed) == 12 and [line for line in listed if line.startswith("longest")] == [
        line for line in table if line.startswith("longest")]
    assert listed[0].split()[3] == listed[1].split()[-1]     # the longest cell stands first
