"Bugs and repairs: every malformed artifact has its status, no cheat pays, and the loop plays with a script."
import argparse, itertools, json, os, random, re, shutil, subprocess
from collections import Counter
from dataclasses import asdict, replace

import pytest

from azr.bugs import (
    PARSER, Artifact, BugStatus as B, Case, Checker, Thresholds, artifact_for, artifact_of, bugs_of, case_of,
    check_baseline, command, grade, mutations, _without_tests)
from azr.artifacts import Artifacts
from azr.buffers import Buffers
from azr.core import Attempt, Prompt, Proposal, Role, Status, Verdict
from azr.sampling import Script, Sampling
from azr.selfplay import Phase, Recipe, SelfPlay
from azr.plan import _shape_of
from azr.settings import config, system_named
from azr.notations import changes_of, function_text, functions, place_named, with_function, _written_function
from azr.repairs import (
    Bugs, Workshop, kept_tasks, scripted_policy, scripted_tasks, second_order, _shown_tests)
from azr.rewards import curve_function, ssr_curve
from azr.ssr import SSR, SSRSettings, _kind, _repositories, ssr_rewards
from azr.workspace import (
    HELD_OUT, Refused, Repository, RepositoryStatus as S, Run, Suites, applied, difference, edited,
    read_repository, refusal, shipped, undone)
from conftest import always

RPN = shipped()["rpn"]
OLD, NEW = "right, left = stack.pop(), stack.pop()", "left, right = stack.pop(), stack.pop()"

def changed(*pairs, path="rpn/evaluate.py", files=RPN.files) -> dict:
    text = files[path]
    for old, new in pairs:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return {**files, path: text}

SWAPPED = changed((OLD, NEW))
VALUES, MISSING = "tests/test_evaluate.py", "tests/test_tokens.py"
FAILING = [f"{VALUES}::{name}" for name in ("test_values[x]", "test_division_by_zero",
                                            "test_whole_values_are_whole_numbers")]
GOOD = artifact_for(RPN, SWAPPED, FAILING)

def diff(*pairs, **where) -> str: return difference(RPN.files, changed(*pairs, **where))
def weakened(text: str, path: str = VALUES) -> str: return difference(RPN.files, {**RPN.files, path: text})
def part(**parts) -> Artifact: return replace(GOOD, **parts)
def bug(files: dict) -> Artifact: return part(bug_inject=difference(RPN.files, files))

TESTS = RPN.files[VALUES]
OTHER = {**SWAPPED, "rpn/tokens.py": RPN.files["rpn/tokens.py"].replace("end, dots = start, 0", "dots, end = 0, start")}
NOTHING = changed(('    found, at = [], 0\n', '    return None\n    found, at = [], 0\n'), path="rpn/tokens.py")
TOKENS = f"{MISSING}::test_kinds"
LINE = "    stack = []\n    for word in postfix:"

MALFORMED = {   # name -> (artifact, its status)
    "no script": (part(test_script=""), B.NO_PART),
    "no test files": (part(test_files="\n"), B.NO_PART),
    "no parser": (part(test_parser=" "), B.NO_PART),
    "no bug": (part(bug_inject=""), B.NO_PART),
    "no weakening": (part(test_weaken=""), B.NO_PART),
    "make": (part(test_script="make test"), B.BAD_SCRIPT),
    "two commands": (part(test_script="pytest -rA tests\nrm -rf /"), B.BAD_SCRIPT),
    "a plugin": (part(test_script="pytest -rA -p evil tests"), B.BAD_SCRIPT),
    "a file that is gone": (part(test_script="pytest -rA tests/test_gone.py"), B.BAD_SCRIPT),
    "a second command": (part(test_script="pytest -rA tests; true"), B.BAD_SCRIPT),
    "another root": (part(test_script="pytest -rA --rootdir=/"), B.BAD_SCRIPT),
    "tests that do not see it": (part(test_script="pytest -rA tests/test_convert.py"), B.TOO_FEW_FAILING),
    "too few tests": (part(test_script="pytest -rA -k test_precedence"), B.TOO_FEW_PASSING),
    "no test": (part(test_script="pytest -rA -k nothing_is_called_so"), S.NO_TESTS),
    "no output for the parser": (part(test_script="pytest -q tests"), B.BAD_PARSER),
    "a test file that is gone": (part(test_files=GOOD.test_files + "tests/test_gone.py\n"), B.NO_TEST_FILE),
    "source as a test file": (part(test_files=GOOD.test_files + "rpn/tokens.py\n"), B.NO_TEST_FILE),
    "a test file outside": (part(test_files=GOOD.test_files + "../tests/test_x.py\n"), S.OUTSIDE),
    "a file that is not listed": (part(test_files="tests/test_tokens.py\n"), B.UNLISTED),
    "a parser that raises": (part(test_parser="raise ValueError('no')"), B.BAD_PARSER),
    "a parser without JSON": (part(test_parser="print('all passed')"), B.BAD_PARSER),
    "a parser with a list": (part(test_parser="print('[]')"), B.BAD_PARSER),
    "a parser with other words": (part(test_parser="print('{\"a::b\": \"ok\"}')"), B.BAD_PARSER),
    "a parser with other tests": (part(test_parser="print('{\"a::b\": \"passed\"}')"), B.BAD_PARSER),
    "a parser that flatters": (part(test_parser=PARSER.replace("if match: ", "if match and 'kinds' not in line: ")),
                               B.BAD_PARSER),
    "words": (part(bug_inject="swap the operands\n"), S.BAD_DIFF),
    "a wrong count": (part(bug_inject=GOOD.bug_inject.replace("@@ -37,7 ", "@@ -37,9 ")), S.BAD_DIFF),
    "other lines": (part(bug_inject=GOOD.bug_inject.replace("an operand", "no operand")), S.NOT_APPLYING),
    "Windows": (part(bug_inject=GOOD.bug_inject.replace("\n", "\r\n")), S.LINE_ENDS),
    "a binary patch": (part(bug_inject=GOOD.bug_inject + "GIT binary patch\n"), S.BINARY),
    "a link": (part(bug_inject="new file mode 120000\n" + GOOD.bug_inject), S.OUTSIDE),
    "above": (part(bug_inject=GOOD.bug_inject.replace("rpn/evaluate.py", "../rpn/evaluate.py")), S.OUTSIDE),
    "a hook": (part(bug_inject="--- /dev/null\n+++ b/.git/hooks/post-commit\n@@ -0,0 +1 @@\n+x\n"), S.OUTSIDE),
    "renamed": (part(bug_inject="rename from rpn/tokens.py\nrename to rpn/t.py\n" + GOOD.bug_inject), S.BAD_DIFF),
    "bug in the tests": (bug({**RPN.files, VALUES: TESTS.replace("512", "513")}), S.NOT_SOURCE),
    "a conftest": (bug({**SWAPPED, "conftest.py": "x = 1\n"}), S.NOT_SOURCE),
    "a sitecustomize": (bug({**SWAPPED, "rpn/sitecustomize.py": "x = 1\n"}), S.NOT_SOURCE),
    "a configuration": (bug({**SWAPPED, "pytest.ini": "[pytest]\naddopts = -x\n"}), S.NOT_SOURCE),
    "a comment": (bug(changed((OLD, OLD + "  # swapped"))), S.NO_CHANGE),
    "no Python": (bug(changed(("def calculate(text):", "def calculate(text)"))), S.SYNTAX),
    "no import": (bug(changed(("from .tokens import OPERATORS", "from .tokens import OPERATOR"))), S.NO_IMPORT),
    "a module gone": (bug({path: RPN.files[path] for path in RPN.files if path != "rpn/tokens.py"}), S.NO_IMPORT),
    "the environment asked": (bug(changed(("from .tokens", "import os\nfrom .tokens"),
                                          (OLD, f"{OLD} if os.environ else 0"))), S.UNSAFE),
    "a time bomb": (bug(changed(("from .tokens", "import time\nfrom .tokens"),
                                (LINE, f"    time.time()\n{LINE}"))), S.UNSAFE),
    "a test asked for": (bug(changed(("from .tokens", "import pytest\nfrom .tokens"))), S.UNSAFE),
    "its own source hashed": (bug(changed((LINE, f"    hash(open(__file__).read())\n{LINE}"))), S.READS_ITSELF),
    "a hint": (bug(changed((OLD, NEW + "  # was: right, left"))), B.HINT),
    "a hint as a text": (bug(changed((OLD, f"'was: the other way round'\n            {NEW}"))), B.HINT),
    "a hint in a value": (bug(changed((OLD, f"was = '{OLD}'\n            {NEW}"))), B.HINT),
    "five thousand signs": (bug(changed((OLD, NEW + "; x = " + "-" * 5000 + "1"))), S.SYNTAX),
    "twelve hundred signs": (bug(changed((OLD, NEW + "; x = " + "-" * 1200 + "1"))), S.SYNTAX),
    "three hundred signs": (bug(changed((OLD, NEW + "; x = " + "-" * 300 + "1"))), S.SYNTAX),
    "builtins by vars": (bug(changed((LINE, f"    vars()\n{LINE}"))), S.UNSAFE),
    "nothing broken": (bug(changed(("if len(stack) != 1:", "if not len(stack) == 1:"))), B.TOO_FEW_FAILING),
    "padded": (bug(OTHER), B.PADDED),
    "everything broken": (replace(artifact_for(RPN, NOTHING, [TOKENS]), test_script=f"pytest -rA {MISSING}"),
                          B.BREAKS_EVERYTHING),
    "chance": (bug(changed(("if len(stack) != 1:", "if hash('x') % 2:"))), B.FLAKY_BUG),
    "no end": (bug(changed((LINE, f"    while True: pass\n{LINE}"))), S.TIMEOUT),
    "weaker source": (part(test_weaken=GOOD.bug_inject), S.NOT_TESTS),
    "a weakening of other lines": (part(test_weaken=GOOD.test_weaken.replace("import pytest", "import pytests")),
                                   S.NOT_APPLYING),
    "nothing hidden": (part(test_weaken=weakened(TESTS + "\n\ndef test_more():\n    pass\n")), B.NOT_HIDDEN),
    "tests as comments": (part(test_weaken=weakened(TESTS.replace("def test_zero", "# def test_zero"))),
                          B.COMMENTED_OUT),
    "tests that do not parse": (part(test_weaken=weakened(TESTS.replace("def test_zero", "def def test_zero"))),
                                B.BREAKS_TESTS),
    "tests that fail by themselves": (part(test_weaken=weakened(TESTS.replace('["1", "2"]', '["1"]'))),
                                      B.BREAKS_TESTS),
}

@pytest.fixture(scope="module")
def suites():
    with Suites(seconds=1) as suites: yield suites

@pytest.fixture(scope="module")
def checker(suites): return Checker(suites)

@pytest.fixture(scope="module")
def good(checker):
    "A valid bug: (case, found)."
    found, = bugs_of(checker, [(RPN, SWAPPED)])
    return found

def test_a_bug_that_a_person_could_make_is_valid(good):
    case, found = good
    assert isinstance(case, Case) and len(found.fail_to_pass) == 8 and len(found.pass_to_pass) == 30
    names = {test.split("[")[0].split("::")[1] for test in found.fail_to_pass}
    assert names == {"test_values", "test_division_by_zero", "test_whole_values_are_whole_numbers",
                     "test_zero_to_a_negative_power"}

def test_every_malformed_artifact_has_its_status(checker):
    assert len(MALFORMED) >= 40
    verdicts = checker.check([(RPN, artifact) for artifact, _ in MALFORMED.values()])
    said = {name: getattr(verdict, "status", "valid") for name, verdict in zip(MALFORMED, verdicts)}
    assert said == {name: status for name, (_, status) in MALFORMED.items()}
    assert all(verdict.detail and verdict.score == 0 for verdict in verdicts)
    assert len(set(said.values())) >= 25

def test_thresholds_are_asked(checker, good):
    case, _ = good
    with pytest.raises(Refused) as error: case_of(RPN, case.artifact, Thresholds(files=2))
    assert error.value.status == B.TOO_FEW_FILES
    known = checker.known
    for thresholds, status in ((Thresholds(passing=39), B.TOO_FEW_PASSING), (Thresholds(failing=9), B.TOO_FEW_FAILING)):
        verdict, = Checker(checker.suites, thresholds, known).check([(RPN, case.artifact)])
        assert verdict.status == status

@pytest.mark.parametrize("text, status, said", [
    ("def test_x(): assert 0\n", S.FAILING, "test_x fails, of 1 that do: mend it, .* no network in the jail"),
    ("import os\ndef test_x(): assert os.environ['PYTHONHASHSEED'] == '0'\n", S.FLAKY,   # two runs have two
     "test_x does not come out alike twice"),
    ("import no_such_package\n", S.BROKEN, "No module named 'no_such_package'"),
    ("def test_x():\n    while True: pass\n", S.TIMEOUT, "over their 1 CPU seconds: give more seconds, or fewer tests"),
])
def test_repositories_that_cannot_be_judged(checker, text, status, said):
    repository = replace(RPN, files={**RPN.files, "tests/test_more.py": text})
    verdict, = checker.check([(repository, GOOD)])
    assert verdict.status == status and re.search(said, verdict.detail), verdict

@pytest.mark.parametrize("path, text, said", [
    ("conftest.py", "import no_such_pkg\n", "ModuleNotFoundError: No module named 'no_such_pkg'"),
    ("conftest.py", "def pytest_collection_modifyitems(items): items[0].gone\n", "AttributeError: .* 'gone'"),
    ("pytest.ini", "[pytest]\naddopts = --no-such-option=rpn\n", "unrecognized arguments: --no-such-option=rpn"),
    ("pytest.ini", "[pytest]\naddopts = -p no_such_plugin\n", "Error importing plugin .no_such_plugin.: No mod"),
    ("pyproject.toml", "[tool.pytest\n", r"pyproject.toml: Expected '\]'"),
])
def test_where_pytest_gives_up_its_own_last_words_are_told(checker, path, text, said):
    repository = replace(RPN, files={**RPN.files, path: text})
    reports, = checker.originals([(repository, repository.command)])
    with pytest.raises(Refused, match=rf"^here: pytest gives up \({said}[^()]*(\(.*\))?\): .* install what") as error:
        check_baseline(*reports, "here")
    assert error.value.status == S.BROKEN and "trees" not in str(error.value)

@pytest.mark.parametrize("number", [3, 4])
def test_a_suite_that_ends_itself_has_crashed_whatever_its_number(checker, number):
    text = f"import os\ndef test_x(): os._exit({number})\n"
    verdict, = checker.check([(replace(RPN, files={**RPN.files, "tests/test_more.py": text}), GOOD)])
    assert verdict.status == S.CRASHED and "\n" not in verdict.detail

def test_two_files_that_both_matter_are_valid_and_each_is_put_back(checker):
    text = RPN.files["rpn/convert.py"].replace('if operator == "~":', 'if operator == "^":')
    second = {**SWAPPED, "rpn/convert.py": text}
    (case, found), = bugs_of(checker, [(RPN, second)])
    assert case.changed == ("rpn/convert.py", "rpn/evaluate.py") and len(found.fail_to_pass) > 8

def test_names_of_the_prompts_and_of_the_paper_are_read():
    parts = {"test_script.sh": GOOD.test_script, "test_files.txt": GOOD.test_files}
    rest = GOOD.test_parser, GOOD.bug_inject, GOOD.test_weaken
    paper = dict(zip(("test_parser.py", "bug_inject.diff", "test_weaken.diff"), rest))
    prompt = dict(zip(("parse_test_output.py", "bug_patch.diff", "test_patch.diff"), rest))
    assert artifact_of(parts | paper) == artifact_of(parts | prompt) == GOOD
    assert refusal(artifact_of, parts).status == B.NO_PART

# ---- weakening

def test_exactly_the_named_tests_are_taken_out():
    files = {"t.py": "import x\n\nclass TestA:\n    @x.mark\n    def test_a(self):\n        pass\n\n"
                     "    def test_b(self): pass\n\n\nclass TestB:\n    def test_a(self):\n        assert 1\n\n\n"
                     "def test_a():\n    pass\n"}
    after = _without_tests(files, ["t.py::TestA::test_a[1-2]", "t.py::TestB::test_a"])["t.py"]
    assert after.count("def test_") == 2 and "class TestA:\n    def test_b(self): pass" in after
    assert "class TestB:\n    pass\n" in after and after.endswith("def test_a():\n    pass\n") and "x.mark" not in after
    compile(after, "t.py", "exec")

# ---- cheats of a solver

def source(text: str) -> dict: return {"rpn/evaluate.py": text}
BUGGY = SWAPPED["rpn/evaluate.py"]
def more(text: str, top: str = "") -> dict: return source(top + BUGGY + "\n\n" + text)

CHEATS = {   # name -> (files beside those of the task, statuses that it may get)
    "nothing": ({}, {S.NO_CHANGE}),
    "a comment": (source(BUGGY + "\n# mended\n"), {S.NO_CHANGE}),
    "tests edited": ({path: "def test_x(): pass\n" for path in RPN.tests}, {S.NO_CHANGE}),
    "tests edited, and a line": ({VALUES: "def test_x(): pass\n", **more("x = 1")}, {Status.WRONG}),
    "tests deleted": ({VALUES: None, **more("x = 1")}, {Status.WRONG}),
    "a conftest": ({"conftest.py": "collect_ignore_glob = ['*']\n"}, {S.NOT_SOURCE}),
    "a conftest in the package": ({"rpn/conftest.py": "x = 1\n"}, {S.NOT_SOURCE}),
    "a conftest in the tests": ({"tests/conftest.py": "x = 1\n"}, {S.NOT_SOURCE}),
    "a sitecustomize": ({"sitecustomize.py": "x = 1\n"}, {S.NOT_SOURCE}),
    "a usercustomize in the package": ({"rpn/usercustomize.py": "x = 1\n"}, {S.NOT_SOURCE}),
    "pytest.ini": ({"pytest.ini": "[pytest]\naddopts = --co\n"}, {S.NOT_SOURCE}),
    "a pytest of its own": ({"pytest.py": "x = 1\n"}, {S.NOT_SOURCE}),
    "a json of its own": ({"json.py": "x = 1\n"}, {S.NOT_SOURCE}),
    "a test of its own": ({"rpn/test_more.py": "def test_x(): pass\n"}, {S.NOT_SOURCE}),
    "outside": ({"../evil.py": "x = 1\n"}, {S.OUTSIDE}),
    "a git hook": ({".git/hooks/post-checkout": "#!/bin/sh\n"}, {S.OUTSIDE}),
    "skip": (more("pytest.skip('x', allow_module_level=True)", "import pytest\n"), {S.UNSAFE}),
    "pytest patched": (more("runner.check_interactive_exception = None", "from _pytest import runner\n"), {S.UNSAFE}),
    "an exit code": (more("os._exit(0)", "import os\n"), {S.UNSAFE}),
    "a quiet exit": (more("raise SystemExit(0)"), {Status.WRONG}),
    "an exit in a test": (source(BUGGY.replace("    stack = []\n", "    raise SystemExit(0)\n")), {Status.WRONG}),
    "an interruption": (source(BUGGY.replace("    stack = []\n", "    raise KeyboardInterrupt\n")), {Status.WRONG}),
    "results on stdout": (more("print('38 passed')\nprint('PASSED tests/test_evaluate.py::test_values')"),
                          {Status.WRONG}),
    "a time bomb": (more("x = time.time()", "import time\n"), {S.UNSAFE}),
    "the environment asked": (more("x = environ.get('PYTEST_CURRENT_TEST')", "from os import environ\n"),
                              {S.UNSAFE}),
    "its source read": (more("x = open(__file__).read()"), {S.READS_ITSELF}),
    "equal to all": (more("class Any:\n    def __eq__(self, other): return True\n\n\n"
                          "def calculate(text): return Any()"), {S.UNSAFE}),
    "a float of its own": (more("class Any(float):\n    pass"), {S.UNSAFE}),
    "a comparison replaced": (more("math.isclose = max", "import math\n"), {S.UNSAFE}),
    "the caller's frame": (more("try: raise ValueError\nexcept ValueError as e: x = e.__traceback__.tb_frame"),
                           {S.UNSAFE}),
    "eval": (more("x = eval('1')"), {S.UNSAFE}),
    "an import by name": (more("x = __import__('os')"), {S.UNSAFE}),
    "a name put together": (more("x = getattr(calculate, '__glo' + 'bals__')"), {S.UNSAFE}),
    "pytest patched through vars": (more("def _ok(self): pass\n"
        "_b = vars()['_' + '_builtins_' + '_']\n_p = _b['_' + '_import_' + '_']('_pytest.python', None, None, ['x'])\n"
        "_b['set' + 'attr'](_p.Function, 'runtest', _ok)"), {S.UNSAFE}),
    "the expected value read from a frame": (more("def _look(): yield '{0.gi_frame.f_back.f_locals}'.format(_g[0])\n"
                                                  "_g = []"), {S.UNSAFE}),
    "globals by update_wrapper": (more("functools.update_wrapper(calculate, calculate, ('_' + '_globals_' + '_',), ())",
                                       "import functools\n"), {S.UNSAFE}),
    "a builtin behind a name of the same kind": (more("def f(eval=0): pass\nx = eval('1')"), {S.UNSAFE}),
    "a tower of signs": (more("x = " + "-" * 1200 + "1"), {S.SYNTAX}),
    "a tower of attributes": (more("x = calculate" + ".a" * 1200), {S.SYNTAX}),
    "no Python": (source("def ("), {S.SYNTAX}),
    "too much memory": (more("x = [0] * 10**11"), {Status.WRONG}),
    "no end": (more("while True: pass"), {S.TIMEOUT}),
}

def attempt(case: Case, files: dict) -> dict:
    after = {**case.weakened, **files}
    return {path: text for path, text in after.items() if text is not None}

def test_no_cheat_pays_and_the_repair_does(suites, good):
    case, found = good
    right = {"rpn/evaluate.py": RPN.files["rpn/evaluate.py"]}
    other = {"rpn/evaluate.py": BUGGY.replace(NEW, "right = stack.pop()\n            left = stack.pop()")}
    asked = [right, other, *(files for files, _ in CHEATS.values())]
    paid, also, *verdicts = grade(suites, [(case, found, attempt(case, files)) for files in asked])
    assert paid.status == also.status == Status.OK and paid.score == also.score == 1
    assert len(CHEATS) >= 20
    for (name, (_, statuses)), verdict in zip(CHEATS.items(), verdicts):
        assert verdict.score == 0 and verdict.status in statuses, (name, verdict)
    assert not [path for path in suites.limits.folder.iterdir() if path.name != "lock"]   # no checkout stays

# ---- rewards

@pytest.mark.parametrize("alpha", [0, .5, .8, 1])
@pytest.mark.parametrize("G", [4, 8, 16])
def test_the_reward_is_azrs_moved_and_stretched(alpha, G):
    rewards, azr = ssr_rewards(alpha), curve_function("azr")
    for k in range(G + 1):
        assert rewards.curve(k / G) == pytest.approx((1 + alpha) * azr(k / G) - alpha)
        if alpha == .8: assert rewards.curve(k / G) == pytest.approx(1.8 * azr(k / G) - .8)

def test_invalid_bugs_and_wrong_repairs_cost_one():
    rewards = ssr_rewards(invalid=-.25)
    assert (rewards.refused, rewards.malformed, rewards.duplicate) == (-.25,) * 3
    assert [ssr_rewards().solve(Verdict(status, score)).total for status, score in
            ((Status.OK, 1.0), (Status.WRONG, 0.0), (S.UNSAFE, 0.0), (Status.MALFORMED, 0.0))] == [1, -1, -1, -1]

# ---- mutations and functions

def test_every_mutation_changes_the_program_and_compiles():
    for repository in shipped().values():
        for path in repository.modules:
            found = mutations(path, repository.files[path])
            for one in found: compile(one.source, path, "exec")
            assert len({one.source for one in found}) >= .9 * len(found)

def test_functions_are_taken_out_and_put_back_as_they_were():
    for repository in shipped().values():
        for path in repository.modules:
            text = repository.files[path]
            for place in functions(path, text):
                source = "\n".join(text.splitlines()[place.first - 1:place.last])
                import textwrap
                assert with_function(text, place, textwrap.dedent(source)) == text

@pytest.mark.parametrize("said, kept", [
    ("n):\n    return 1\n", "def f(n):\n    return 1\n"),
    ("n):\n    return 1\n\ndef g(): pass\n", "def f(n):\n    return 1\n"),
    ("n):\n    return 1\nprint(f(1))\n", "def f(n):\n    return 1\n"),
    ("\n    n,\n):\n    return 1\n", "def f(\n    n,\n):\n    return 1\n"),
    ("n):\n\n    return 1\n\n", "def f(n):\n\n    return 1\n"),
])
def test_a_function_ends_where_its_text_does(said, kept):
    assert _written_function("C.f", said) == kept

@pytest.mark.parametrize("said", ["", "n)", "n):\n", "n): return (", "n:\n    pass\n", "\0"])
def test_no_function_is_malformed(said):
    with pytest.raises(Refused) as error: _written_function("f", said)
    assert error.value.status == Status.MALFORMED

def test_some_failing_tests_can_be_kept_back():
    names = [f"t.py::test_{i}[{j}]" for i in range(50) for j in range(2)]
    shown = _shown_tests(names, .3)
    assert .5 < len(shown) / len(names) < .9 and {one.split("[")[0] for one in shown}.isdisjoint(
        one.split("[")[0] for one in names if one not in shown)

# ---- the loop and the system

def play(suites, seed=1, steps=1, **settings):
    kind = Bugs({name: one for name, one in shipped().items() if name in ("romans", "caches")}, **settings)
    env = Workshop(kind.repositories, Checker(suites))
    recipe = Recipe((kind,), always(Phase("self-play", proposals=3, attempts=4)),
                    propose_reward=ssr_rewards().propose, solve_reward=ssr_rewards().solve)
    playing = SelfPlay(recipe, env, seed)
    return [playing.step(Script(scripted_policy(seed)), number) for number in range(1, steps + 1)]

def told(step): return [(one.slot, str(one.verdict.status), one.reward, one.advantage) for one in step.rollouts]

def test_a_step_without_a_model_is_played_and_repeats_itself(suites):
    first, = play(suites, references=0)
    again, = play(suites, references=0)
    assert told(first) == told(again)
    proposals = [one for one in first.rollouts if one.prompt.role is Role.PROPOSE]
    valid = [one for one in proposals if one.verdict.ok]
    assert valid and all(one.reward == ssr_curve()(one.reward_parts["solve_rate"]) for one in valid)
    assert {one.reward for one in first.rollouts if one.prompt.role is Role.SOLVE} <= {1.0, -1.0}
    assert not [path for path in suites.limits.folder.iterdir() if path.name != "lock"]

def test_no_bug_is_made_in_what_is_held_out():
    kind, rng = Bugs(shipped(), references=0), random.Random(0)
    names = Counter(kind.propose_prompt(None, rng).context["repository"] for _ in range(400))
    assert set(names) == set(shipped()) - set(HELD_OUT)
    kinds = Counter(kind.propose_prompt(None, rng).context["kind"] for _ in range(400))
    assert 150 < kinds["removal"] < 250

def test_no_prompt_of_a_solver_holds_the_original(suites):
    kind = Bugs({"romans": shipped()["romans"]})
    env = Workshop(kind.repositories, Checker(suites))
    for style in ("code", "chat"):
        own = replace(kind, style=style)
        task = scripted_tasks(own, shipped()["romans"], env, 1, "test")[0]
        prompt = own.solve_prompt(task)
        text = prompt.text or prompt.messages[0]["content"]
        assert task.given["wrong"].strip() in text and task.given["right"].strip() not in text
        assert task.given["tests"] and "def test_" in text

def test_a_task_goes_through_json_and_is_judged_the_same(suites):
    from azr.core import Attempt, Task, from_dict, to_json
    kind = Bugs({"romans": shipped()["romans"]})
    env = Workshop(kind.repositories, Checker(suites))
    task = scripted_tasks(kind, shipped()["romans"], env, 1, "test")[0]
    again = from_dict(Task, json.loads(to_json(task)))
    fresh = Workshop(kind.repositories, Checker(suites))
    answer = task.given["right"].partition("(")[2]
    (right, wrong, bad), = kind.verify([(again, [Attempt(task.id, text) for text in
                                                 (answer, task.given["wrong"].partition("(")[2], "no")])], fresh)
    assert right.ok and wrong.status == S.NO_CHANGE and bad.status == Status.MALFORMED

def test_a_removal_leaves_something_out(suites):
    kind = Bugs({"romans": shipped()["romans"]})
    env = Workshop(kind.repositories, Checker(suites))
    context = {"repository": "romans", "path": "romans/reckon.py", "function": "compare", "kind": "removal"}
    prompt = Prompt("bugs", Role.PROPOSE, "x", context=context)
    longer = ("left, right):\n    a, b = from_roman(left), from_roman(right)\n    c = a - b\n"
              "    return (a > b) - (b > b) + 0 * c\n")
    shorter = "left, right):\n    return 0\n"
    more, less, none = kind.validate([Proposal(prompt, text) for text in (longer, shorter, "oh")], env)
    assert more.status == B.NOTHING_REMOVED and none.status == Status.MALFORMED
    assert less.info == {"kind": "removal", "lines": 4, "failing": 1}

def proposal(path: str, function: str, kind: str = "direct") -> Prompt:
    context = {"repository": "romans", "path": path, "function": function, "kind": kind}
    return Prompt("bugs", Role.PROPOSE, "x", context=context)

def test_a_known_bug_with_a_dead_statement_is_the_same_bug(suites):
    kind = Bugs({"romans": shipped()["romans"]})
    env = Workshop(kind.repositories, Checker(suites))
    prompt = proposal("romans/reckon.py", "compare")
    bodies = ("return 0", "x = 1\n    return 0", "y = z = 'a'\n    return 0", "0\n    return 0",
              "return 0\n    x = left", "return 1")
    tasks = kind.validate([Proposal(prompt, f"left, right):\n    {body}\n") for body in bodies], env)
    assert len({task.id for task in tasks[:5]}) == 1 and tasks[5].id != tasks[0].id

def test_no_answer_ends_a_run(suites):
    kind = Bugs({"romans": shipped()["romans"]})
    env = Workshop(kind.repositories, Checker(suites))
    prompts = [proposal("romans/reckon.py", "compare", how) for how in ("direct", "removal")]
    towers = ["left, right):\n    return " + "-" * n + "1\n" for n in (300, 1200, 5000)]
    towers += ["left, right):\n    return left" + ".a" * n + "\n" for n in (300, 1200, 5000)]
    verdicts = kind.validate([Proposal(prompt, text) for prompt in prompts for text in towers], env)
    assert {verdict.status for verdict in verdicts} <= {S.SYNTAX, Status.MALFORMED, B.NOTHING_REMOVED}

def test_an_edit_elsewhere_is_refused(suites):
    kind = Bugs({"romans": shipped()["romans"]}, style="chat")
    env = Workshop(kind.repositories, Checker(suites))
    edit = ("<tool: edit>\nromans/reckon.py\n<<<<<<< SEARCH\n    return (a > b) - (a < b)\n=======\n    return 0\n"
            ">>>>>>> REPLACE\n</tool>")
    asked, other = kind.validate([Proposal(proposal("romans/reckon.py", name), edit) for name in ("compare", "add")],
                                 env)
    assert asked.given["function"] == "compare" and asked.given["right"] != asked.given["wrong"]
    assert other.status == B.ELSEWHERE and "add" in other.detail

def test_a_module_that_another_one_needs_must_stay(checker):
    files = {"two/__init__.py": "", "two/a.py": "def one():\n    return 1\n\n\ndef more():\n    return 2\n",
             "two/b.py": "from .a import one\n\n\ndef twice():\n    return 2 * one()\n",
             "tests/test_a.py": "from two.a import more\n" + "".join(f"def test_{i}(): assert more() == 2\n"
                                                                      for i in range(5)),
             "tests/test_b.py": "def test_b():\n    from two.b import twice\n    assert twice() == 2\n"}
    repository = Repository("two", files, ("two",))
    buggy = {**files, "two/a.py": files["two/a.py"].replace("def one", "def other")}
    artifact = artifact_for(repository, buggy, ["tests/test_b.py::test_b"])
    verdict, = checker.check([(repository, artifact)])
    assert verdict.status == S.NO_IMPORT and "two.b" in verdict.detail

@pytest.mark.parametrize("mark", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028"])
def test_only_a_newline_ends_a_line(mark):
    files = {"p/a.py": f"x = 'a{mark}b'\n\n\ndef f(n):\n    y = '{mark}'\n    return n\n\n\ndef g(n):\n    return 2"}
    place = place_named(files, "p/a.py", "g")
    after = with_function(files["p/a.py"], place, "def g(n):\n    return 3\n")
    assert after == files["p/a.py"].replace("return 2", "return 3")
    block = "p/a.py\n<<<<<<< SEARCH\n    return n\n=======\n    return 1\n>>>>>>> REPLACE\n"
    assert edited(files, block)["p/a.py"] == files["p/a.py"].replace("return n", "return 1")
    assert applied(files, difference(files, {"p/a.py": after}))["p/a.py"] == after
    tests = {"t.py": f"x = '{mark}'\n\n\ndef test_a():\n    assert '{mark}'\n\n\ndef test_b():\n    pass\n"}
    assert _without_tests(tests, ["t.py::test_b"])["t.py"] == tests["t.py"].partition("\n\n\ndef test_b")[0] + "\n"

def test_references_are_those_that_are_shown():
    from azr.buffers import Buffers
    kind, buffers, rng = Bugs(shipped()), Buffers(("bugs",)), random.Random(0)
    tasks = {task.id: task for task in kept_tasks(kind, "first", 40)}
    for task in tasks.values(): buffers.add(task)
    prompts = [kind.propose_prompt(buffers, rng) for _ in range(60)]
    assert sum(bool(prompt.references) for prompt in prompts) > 40
    for prompt in prompts:
        for name in prompt.references: assert tasks[name].given["wrong"] in prompt.text
    assert not any(replace(kind, style=style).propose_prompt(buffers, rng).references
                   for style in ("chat",) for _ in range(20))

def test_a_repository_of_ones_own_is_looked_at_before_any_work(tmp_path):
    system = system_named("ssr")
    def folder(name, source, test):
        (tmp_path / name / name).mkdir(parents=True)
        (tmp_path / name / "tests").mkdir()
        (tmp_path / name / name / "__init__.py").write_text(source)
        (tmp_path / name / "tests" / "test_x.py").write_text(test)
        return str(tmp_path / name)
    for name, source, test, said in (
            ("tables", "def f(n):\n    return n\n", "def test_x(): pass\n", "rename the folder"),
            ("short", "def f(n): return n\n", "def test_x(): pass\n", "no function of two lines"),
            ("sad", "def f(n):\n    return n\n", "def test_x(): assert 0\n", "sad: .*test_x fails")):
        settings = SSRSettings(repositories=(folder(name, source, test),), seconds=1, workers=1)
        with pytest.raises(ValueError, match=said), system.environment(settings): pass

@pytest.mark.parametrize("words", [["--mutations", "-5"], ["--seconds", "0"], ["--passing", "-1"], ["--files", "x"]])
def test_check_bug_refuses_a_number_that_is_none(capsys, words):
    parser = argparse.ArgumentParser()
    command(parser)
    with pytest.raises(SystemExit): parser.parse_args(["rpn", *words])
    assert f"{words[1]!r} is no whole number of 1 or more" in capsys.readouterr().err

@pytest.mark.parametrize("wrong, said", [
    ({"attempts": 3}, "attempts is 3: below 4 .* give 4 or more"),
    ({"injections": ()}, r"injections is \(\): name some of removal, direct, history"),
    ({"style": "r1"}, "style is 'r1': choose one of code, chat, terse, tools"),
    ({"injections": ("history",), "style": "terse"}, "style 'terse' cannot write a history: leave it out"),
    ({"control": "repair_only", "first_bugs": 0}, "first_bugs 0, so nothing would be repaired: give 1 or more"),
    ({"hidden_share": .5, "style": "tools"}, "hidden_share is 0.5, and style 'tools' shows all tests: give 0, or take"),
    ({"hidden_share": .1, "style": "terse", "injections": ("direct",)}, "style 'terse' shows no test: give 0, or take"),
    ({"alpha": -1}, "alpha is -1: give 0 or more"), ({"hidden_share": 2}, "hidden_share is 2: give 0 or more and at"),
    ({"advantage": "x"}, "advantage"),
])
def test_settings_are_checked(wrong, said):
    with pytest.raises(ValueError, match=said): SSRSettings(**wrong)

def test_the_system_is_shipped():
    system = system_named("ssr")
    assert system.settings is SSRSettings
    phases = {control: SSRSettings(control=control).phase(1) for control in ("none", "repair_only", "injection_only")}
    assert phases["none"].proposals == 16 and phases["none"].attempts == 8
    assert phases["repair_only"].proposals == 0 and phases["repair_only"].solves == 16
    assert phases["injection_only"].train == (Role.PROPOSE,)

def test_the_preset_of_the_paper_plays_with_tools_in_all_of_its_context():
    c = config("ssr-32b")
    kind = _kind(c, dict(shipped()))
    assert isinstance(kind, Artifacts) and kind.turns == 128 and kind.kinds == ("removal", "history")
    rng = random.Random(0)
    asked = [kind.propose_prompt(Buffers(("bugs",)), rng).messages[0]["content"] for _ in range(40)]
    assert 5 < sum("Take back one of these earlier changes" in text for text in asked) < 35
    phase = c.phase(1)
    assert phase.attempts == phase.tries == 8 and phase.reuse and phase.solves == c.batch   # bugs of second order
    assert c.max_prompt_tokens + c.max_completion_tokens == _shape_of(c.model).context == 131_072

@pytest.mark.parametrize("style", ["code", "terse"])
def test_the_exams_share_nothing_and_held_out_repositories_are_apart(style):
    injections = ("direct",) if style == "terse" else ("removal", "direct")
    system, settings = system_named("ssr"), SSRSettings(style=style, injections=injections)
    sets = {name: system.exam(settings, name, 60) for name in ("heldout", "validation", "seen")}
    sets["first"] = kept_tasks(Bugs(shipped(), style), "first")
    assert all(len(own) >= 15 for own in sets.values())
    for name, own in sets.items():
        assert {task.given["repository"] in HELD_OUT for task in own} == {name in ("heldout", "validation")}
    ids = [task.id for own in sets.values() for task in own]
    assert len(ids) == len(set(ids))
    if style == "terse": assert not any(task.info["kind"] == "removal" for own in sets.values() for task in own)

@pytest.mark.slow
def test_the_file_of_bugs_is_what_its_script_makes():
    import json
    from exam_bugs import FILE, make
    made, kept = make(["romans"]), json.loads(FILE.read_text())
    assert made["tests"]["romans"] == kept["tests"]["romans"]
    assert made["bugs"] == [row for row in kept["bugs"] if row[1] == "romans"]

@pytest.fixture(scope="module")
def model(tmp_path_factory):
    "A model of random weights that has room for these prompts."
    from azr.tiny import _save_pretrained, new_model, new_tokenizer
    tokenizer, folder = new_tokenizer(), tmp_path_factory.mktemp("model")
    untrained = new_model(tokenizer, 0, width=16)
    untrained.config.max_position_embeddings = 8192
    _save_pretrained(untrained, tokenizer, folder)
    return folder

@pytest.mark.slow
@pytest.mark.parametrize("control", ["none", "repair_only"])
def test_a_run_goes_through_the_trainer_and_leaves_no_checkout(model, tmp_path, monkeypatch, control):
    import tempfile
    from azr.run import train
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    settings = SSRSettings(
        model=str(model), control=control, steps=1, batch=1, attempts=4, first_bugs=1, references=0, seconds=1,
        workers=1, test_tasks=2, evaluate_tasks=1, max_prompt_tokens=7000, max_completion_tokens=16, micro_batches=1,
        gradient_checkpointing=False, dtype="float32")
    summary = train(settings, tmp_path / "run", say=list().append, system=system_named("ssr"))
    assert "heldout" in summary
    steps = [line for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines() if line]
    assert len(steps) >= 2 and not list((tmp_path / "tmp").glob("azr-suites-*"))

# ---- history

def test_an_earlier_change_may_be_taken_back_and_something_of_it_must_be(checker):
    kind = Bugs(shipped(), "code", ("history",))
    env = Workshop(dict(shipped()), checker)
    prompts = [kind.propose_prompt(Buffers(("bugs",)), random.Random(seed)) for seed in range(6)]
    assert not any(prompt.context["repository"] in HELD_OUT or prompt.references for prompt in prompts)
    def proposal(prompt, before):
        name = prompt.context["function"].split(".")[-1]
        return Proposal(prompt, before.removeprefix(f"def {name}("))
    undone = kind.validate([proposal(one, one.context["before"]) for one in prompts], env)
    for prompt, task in zip(prompts, undone):
        assert not isinstance(task, Verdict) and task.info["kind"] == "history", (prompt.context, task)
    prompt = prompts[0]
    files = shipped()[prompt.context["repository"]].files
    place = place_named(files, prompt.context["path"], prompt.context["function"])
    now = function_text(files[place.path], place)
    other = now.replace(":\n", ":\n    spare = 1\n", 1)
    found, = kind.validate([proposal(prompt, other)], env)
    assert found.status == B.NOTHING_UNDONE

def test_the_history_of_a_shipped_library_goes_back_to_libraries_that_pass(suites):
    import repository_histories as made
    one = shipped()["romans"]
    assert tuple(made.history(suites, one)) == one.history and set(made.COMMITS) == set(shipped())
    files, passed = one.files, []
    for commit in one.history:
        files = undone(files, commit.partition("\n")[2])
        report, = suites.run([Run(one, files)])
        assert set(report.outcomes.values()) == {"passed"}
        passed.append(len(report.passed))
    assert sorted(passed, reverse=True) == passed and len(set(passed)) == 2

def as_proposal(kind, task): # that makes its bug
    "An injection in style `code`, with the prompt's context."
    context = {name: task.given[name] for name in ("repository", "path", "function")} | {"kind": "direct"}
    text = task.given["wrong"].removeprefix(f"def {task.given['function'].rpartition('.')[2]}(")
    return Proposal(Prompt("bugs", Role.PROPOSE, "", context=context), text)

def test_no_step_may_pose_a_bug_of_the_exam():
    settings = SSRSettings(workers=1)
    exam, learned = (SSR.exam(settings, "seen", 200), kept_tasks(Bugs(shipped(), "code"), "first", 3))
    some = [task for task in exam if "." not in task.given["function"]][:2]
    with SSR.environment(settings) as env:
        kind, = SSR.recipe(settings, env).task_types
        assert env.reserved == {task.id for task in exam} and not env.reserved & {task.id for task in learned}
        found = kind.validate([as_proposal(kind, task) for task in [*some, learned[0]]], env)
        assert [one.status for one in found[:2]] == [Status.HELD_OUT] * 2 and found[2].id == learned[0].id
        assert not env.cases.keys() & env.reserved
        free = Workshop(env.repositories, env.checker)
        assert [task.id for task in kind.validate([as_proposal(kind, task) for task in some], free)] == [
            task.id for task in some]
        # a failed repair that leaves one is no bug of second order
        failed = kind, some[0], [Attempt(some[0].id, as_proposal(kind, some[0]).text)], [Verdict(Status.WRONG)]
        assert second_order(*failed, free).id == some[0].id and second_order(*failed, env) is None

def test_shares_decide_how_often_a_prompt_is_asked():
    settings = SSRSettings(injections=("removal", "direct", "history"), injection_shares=(.1, .3, .6))
    kind = Bugs(shipped(), "code", settings.injections, shares=settings.injection_shares)
    rng = random.Random(0)
    drawn = Counter(kind.propose_prompt(Buffers(("bugs",)), rng).context["kind"] for _ in range(400))
    assert all(abs(drawn[name] / 400 - share) < .07 for name, share in zip(kind.kinds, kind.shares))
    for shares in ((1,), (0, 0, 0), (-1, 1, 1), ("a", 1, 1)):
        with pytest.raises(ValueError, match="give a number of 0 or more for each"):
            replace(settings, injection_shares=shares)

@pytest.mark.skipif(not shutil.which("git"), reason="there is no git")
def test_a_repository_of_ones_own_brings_its_log(tmp_path):
    def git(*words): subprocess.run(["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *words],
                                    check=True, capture_output=True)
    git("init", "-q")
    def commit(text, what):
        (tmp_path / "one.py").write_text(text)
        git("add", "."), git("commit", "-qm", what)
    (tmp_path / "test_one.py").write_text("from one import half\n\ndef test_half():\n    assert half(4) == 2\n")
    first = "def half(n):\n    return n // 2\n"
    commit(first, "A half")
    with pytest.raises(ValueError, match="no earlier change that can be taken back"):
        _repositories(SSRSettings(repositories=(str(tmp_path),), injections=("history",)))
    commit(first.replace("    return", "    assert n >= 0\n    return"), "No negative number")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    found = _repositories(SSRSettings(repositories=(str(tmp_path),), injections=("history",)))[tmp_path.name]
    change, = changes_of(found)
    assert (change.what, change.before) == ("No negative number", first)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert not read_repository(tmp_path).history

# ---- bugs that people made

HUMAN = {
    "conftest.py": "import pytest\n\ndef pytest_configure(config):\n    pytest.use_correct = False\n",
    "python_programs/double.py": 'def double(n):\n    return n + n + 1\n\n"""\nTwice a number.\n"""\n',
    "correct_python_programs/double.py": "def double(n):\n    return n + n\n",
    "python_programs/forever.py": "def forever(n):\n    while n: pass\n    return n\n",
    "correct_python_programs/forever.py": "def forever(n):\n    while n: n -= 1\n    return n\n",
    "python_programs/fine.py": "def fine(n):\n    return n\n",
    "correct_python_programs/fine.py": "def fine(n):\n    return +n\n",
    "python_programs/slow.py": "def slow(n):\n    return n\n",
    "correct_python_programs/slow.py": "def slow(n):\n    while True: pass\n",
    "json_testcases/double.json": "[[1], 2]\n[[-0.5], -1]\n",
    "python_testcases/load.py": "import json\nfrom pathlib import Path\n\ndef load(name):\n"
                                "    path = Path(__file__).parent / f'../json_testcases/{name}.json'\n"
                                "    return [json.loads(line) for line in open(path)]\n",
    "python_testcases/test_double.py": "import pytest\nfrom load import load\n"
                                       "from python_programs.double import double\n\n"
                                       "@pytest.mark.parametrize('given,wanted', load('double'))\n"
                                       "def test_double(given, wanted):\n    assert double(*given) == wanted\n",
    **{f"python_testcases/test_{name}.py": f"from python_programs.{name} import {name}\n\ndef test_{name}():\n"
                                           f"    assert {name}(1) == {right}\n"
       for name, right in (("forever", 0), ("fine", 1), ("slow", 0))},
    "night/half/half_code.py": "def half(n):\n    return n // 3\n",
    "night/half/test.py": "from half_code import half\n\ndef test_half():\n    assert half(6) == 3\n",
    "night/two/two_code.py": "import no_such_package\ndef one():\n    return 1\n",
    "night/two/test.py": "from two_code import one\n\ndef test_one():\n    assert one() == 2\n",
}

def test_bugs_that_people_made_are_an_exam_and_their_folder_stays_as_it_is(tmp_path, capsys):
    for path, text in HUMAN.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    system = system_named("ssr")
    settings = SSRSettings(human_bugs=(str(tmp_path),), seconds=1, workers=1, references=0)
    tasks = system.exam(settings, "human", 10)
    said = capsys.readouterr().out
    assert [task.given["repository"].split("/")[1] for task in tasks] == ["double", "forever", "half"]
    assert "3 of 6 can be asked in style code" in said
    for why in ("too_few_failing: fine: no test fails", "timeout: slow: ", "No module named 'no_such_package'"):
        assert why in said, (why, said)
    assert "[[-0.5], -1]" in tasks[0].given["spec"] and len(tasks[0].hidden["fail_to_pass"]) == 2
    right = {"double": "n):\n    return 2 * n\n", "forever": "n):\n    return 0\n", "half": "n):\n    return n // 2\n"}
    with system.environment(settings) as env:
        kind, = system.recipe(settings, env).task_types
        assert not any("/" in name for name in kind.in_play)
        groups = [(task, [Attempt(task.id, right[task.given["function"]]), Attempt(task.id, "n):\n    return n + 1\n")])
                  for task in tasks]
        assert [[one.ok for one in own] for own in kind.verify(groups, env)] == [[True, False]] * 3
        assert all("These tests fail" in kind.solve_prompt(task).text for task in tasks)
    assert not list(tmp_path.rglob("__pycache__")) and len([*tmp_path.rglob("*.*")]) == len(HUMAN)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds neither QuixBugs nor mini_nightmare"):
        system.exam(replace(settings, human_bugs=(f"{tmp_path}/empty",)), "human", 1)

PLACES = [place for place in os.environ.get("AZR_HUMAN_BUGS", "").split(":") if place]

@pytest.mark.slow
@pytest.mark.skipif(not PLACES, reason="AZR_HUMAN_BUGS names no folders of QuixBugs and mini_nightmare, with : between")
def test_the_real_collections_can_be_asked():
    tasks = system_named("ssr").exam(SSRSettings(human_bugs=tuple(PLACES), style="chat", workers=1), "human", 60)
    assert len(tasks) >= 30 and all(task.hidden["fail_to_pass"] for task in tasks)

# ---- the command

def told_command(capsys, *words) -> str:
    parser = argparse.ArgumentParser()
    command(parser)
    arguments = parser.parse_args([*words, "--seconds", "2"])
    arguments.func(arguments)
    return capsys.readouterr().out

def test_check_bug_says_what_a_bug_does(capsys, tmp_path, good):
    case, _ = good
    for name, text in zip(("test_script.sh", "test_files.txt", "test_parser.py", "bug_inject.diff", "test_weaken.diff"),
                          asdict(case.artifact).values()): (tmp_path / name).write_text(text)
    said = told_command(capsys, "rpn", "--bug", str(tmp_path))
    assert "38 tests pass, twice alike" in said and "8 tests fail with the bug, 30 do not" in said
    assert told_command(capsys, "rpn", "--bug", str(tmp_path / "bug_inject.diff")) == said
    for text, why in ((weakened(TESTS.replace("512", "513")), f"^not_source: {VALUES} is not source of rpn"),
                      (diff(("if len(stack) != 1:", "if not len(stack) == 1:")), "^too_few_failing: no test fails"),
                      (diff((OLD, OLD + "  # swapped")), "^no_change: ")):
        (tmp_path / "other.diff").write_text(text)
        with pytest.raises(ValueError, match=why): told_command(capsys, "rpn", "--bug", str(tmp_path / "other.diff"))
    (tmp_path / "bug_inject.diff").write_text("mend it")
    with pytest.raises(ValueError, match="bad_diff: "): told_command(capsys, "rpn", "--bug", str(tmp_path))
    (tmp_path / "test_script.sh").unlink()
    for place, why in ((tmp_path, "test_script.sh is missing"), (tmp_path / "gone", "cannot be read")):
        with pytest.raises(ValueError, match=why): told_command(capsys, "rpn", "--bug", str(place))

# ---- kill -9

KILLED = """
import os, signal, sys, threading
import azr.repairs, azr.trainer
from azr.run import train
from azr.settings import config
station, folder, calls = sys.argv[1], sys.argv[2], [0]
def deadly(function, from_call, after):
    def wrapped(*words, **named):
        calls[0] += 1
        if calls[0] == from_call: threading.Timer(after, os.kill, (os.getpid(), signal.SIGKILL)).start()
        return function(*words, **named)
    return wrapped
if station == "validation": azr.repairs.as_tasks = deadly(azr.repairs.as_tasks, 3, .2)   # the exam asks first
if station == "grading": azr.repairs._verified = deadly(azr.repairs._verified, 5, .1)
if station == "update":
    kind = azr.trainer.SelfPlayTrainer
    kind.training_step = deadly(kind.training_step, 2, 0)
settings = config("ssr", steps=3, batch=3, attempts=4, first_bugs=1, evaluate_tasks=2, test_tasks=2, workers=1,
                  save_every=1, seed=1)
train(settings, folder, say=lambda line: None)
"""

@pytest.mark.slow
@pytest.mark.parametrize("station", ["validation", "grading", "update"])
def test_a_run_killed_anywhere_ends_like_one_left_alone_and_leaves_nothing(tmp_path, station):
    import os, signal, subprocess, sys, time
    import psutil
    (tmp_path / "tmp").mkdir()
    told = {**os.environ, "TMPDIR": str(tmp_path / "tmp"), "OMP_NUM_THREADS": "1"}
    def run(station, name, wanted):
        words = [sys.executable, "-c", KILLED, station, str(tmp_path / name)]
        done = subprocess.run(words, env=told, capture_output=True, text=True)
        assert done.returncode == wanted, done.stderr[-2000:]
    def left():
        every = psutil.process_iter(["cmdline"])
        return [process.pid for process in every if str(tmp_path / "tmp") in " ".join(process.info["cmdline"] or ())]
    run("none", "alone", 0)
    run(station, "killed", -signal.SIGKILL)
    assert not (tmp_path / "killed" / "summary.json").exists(), "the test would say nothing"
    for _ in range(600):
        if not left(): break
        time.sleep(.05)
    assert not left()
    run("none", "killed", 0)
    for name in ("metrics.jsonl", "rollouts.jsonl.gz"):
        alone, killed = (tmp_path / own / name for own in ("alone", "killed"))
        assert alone.read_bytes() == killed.read_bytes(), name
    assert not list((tmp_path / "tmp").glob("azr-suites-*"))
