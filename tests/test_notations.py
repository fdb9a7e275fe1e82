"What a notation shows and takes: marks come off again, a swap has an inverse, nothing else gets into a source."
import ast, random, re

import pytest

from azr.core import Status
from azr.mender import _Corpus, _lesson, _mender_tokenizer, _sources
from azr.notations import (
    MARKS, NOTATIONS, SWAPS, function_text, functions, marked, place_named, reaches, _replaced, tokens,
)
from azr.workspace import HELD_OUT, Refused, refusal, shipped

EVERY = [(one, path, place) for one in shipped().values() for path in one.modules
         for place in functions(path, one.files[path])]
SOURCES = [function_text(one.files[path], place) for one, path, place in EVERY]

def test_marks_come_off_again():
    for source in SOURCES:
        text = marked(source)
        assert re.sub(r"<\d{1,2}>", "", text) == source
        assert text.count("<") - source.count("<") == min(len(tokens(source)), len(MARKS))

def undone(after: str, answer: str) -> str | None:
    try: return _replaced(after, answer)
    except Refused: return None   # two tokens became one: "a*-1" and "a**1"

def test_nearly_every_swap_has_an_inverse_and_most_still_compile():
    compiled = inverse = 0
    changes = [(source, mark, token, word) for source in SOURCES[:40] for mark, token in zip(MARKS, tokens(source))
               for word in token.others()]
    for source, mark, token, word in changes:
        after = _replaced(source, mark + word)
        assert after != source
        inverse += undone(after, mark + token.word) == source
        try: compiled += bool(ast.parse(after))
        except SyntaxError: pass
    assert len(changes) > 500 and inverse > .97 * len(changes) and compiled > .95 * len(changes)

def test_a_line_ends_at_a_newline_alone():
    source = "def f(n):\n    s = 'a\x0cb\u2028c'\n    return n + 1\n"
    assert [source[one.start:one.end] for one in tokens(source)] == ["+", "1"]


def test_texts_and_comments_hold_no_mark():
    source = ('def f(n):\n    "if 1 + 2 and 3"\n    # not 4 - 5\n    n += 2\n'
              '    return n + 1, "a < b", n2, x.y1, 1.5, 1234\n')
    assert [token.word for token in tokens(source)] == ["2", "+", "1"]

@pytest.mark.parametrize("answer", ["", "<0>", "0+", "<0> +", "<99>+", "<0>+\n<1>-", "<0>__import__('os')", "<0>+ 1",
                                    "<0>1234", "<0>None", "x" * 10_000, "<-1>+", "<0>\0", "<00>+ ", "<0>not"])
def test_what_is_no_swap_is_malformed(answer):
    source = "def f(n):\n    return n + 1\n"
    refused = refusal(_replaced, source, answer)
    if answer != "<00>+ ": assert refused.status == Status.MALFORMED and refused.detail
    else: assert refused is None   # spaces around an answer do not count

def test_noise_is_refused_or_a_swap():
    rng, source = random.Random(0), SOURCES[5]
    words = [word for swap in SWAPS for word in swap]
    for _ in range(2000):
        answer = "".join(rng.choice([*MARKS[:8], *words, "\n", " ", "(", "os"]) for _ in range(rng.randrange(4)))
        try: after = _replaced(source, answer)
        except Refused: continue
        assert abs(len(after) - len(source)) < 12

@pytest.mark.parametrize("name", ["code", "terse"])
def test_the_original_mends_a_bug_in_its_notation(name):
    repository, notation = shipped()["romans"], NOTATIONS[name]
    path, function = "romans/reckon.py", "compare"
    place = place_named(repository.files, path, function)
    right = function_text(repository.files[path], place)
    wrong = _replaced(right, "<0><=")
    buggy = {**repository.files, path: repository.files[path].replace(right, wrong)}
    answer = {"code": right.partition("(")[2], "terse": "<0>>"}[name]
    assert buggy != repository.files
    assert notation.answered(buggy, path, function, answer) == repository.files

def test_what_a_notation_reaches():
    terse = NOTATIONS["terse"]
    source = "def f(n):\n    return n + 1\n"
    assert reaches(terse, "operator", source) and not reaches(terse, "removal", source)
    assert not terse.takes(source + " " * terse.longest) and not terse.takes("def f(n):\n    return n + m\n")
    assert reaches(NOTATIONS["code"], "removal", "x" * 1000)

def test_the_base_learns_from_no_repository_that_is_an_exam():
    held_out = {source for (one, *_), source in zip(EVERY, SOURCES) if one.name in HELD_OUT}
    assert held_out and not held_out & set(_sources())
    rng, tokenizer, changed = random.Random(0), _mender_tokenizer(), 0
    for _ in range(200):
        one = _lesson(rng, _Corpus())
        assert one.prompt.startswith(("# break\n<", "# break\ndef ", "# mend\ndef "))
        source = re.sub(r"<\d{1,2}>", "", one.prompt.partition("\n")[2].removesuffix("# "))
        changed += undone(source, one.response) not in (None, source)
        assert tokenizer.decode(tokenizer(one.prompt)["input_ids"]) == one.prompt
    assert changed > 195
