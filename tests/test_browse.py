"A run folder in any state opens, and nothing that a model wrote gets out of its box."
import gzip
import json
import random
import shutil
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import papermill

from azr.browse import (View, browser, _entries, _entry_view, _main, open_run, _recorded_slots, _rollouts_of, run_view,
                        _slot_view, views, _visible)
from conftest import ROOT

SAMPLE = ROOT / "data" / "browse" / "demo-s0"
HOSTILE = ["<script>alert(1)</script>", "</pre></code></div><img src=x onerror=alert(1)>", "\x1b[31mred\x1b[2J",
           "\u202edesrever\u2066x\u2069\u200f", "a\x00b\x07\x7f\x9b", "x" * 200_000, "\n" * 50_000, "\ud800 \udfff",
           "$\\href{javascript:alert(1)}{x}$ \\(x\\) $$y$$", "'\"><svg/onload=alert(1)>", "&lt;b&gt; &#60;script&#62;",
           "]]><!-- -->", "\u2028\u2029\x85\r\r\n", "\U000e0041\ufeff\u200b", "<style>*{display:none}</style>"]
ALLOWED = {"style", "div", "h4", "p", "table", "tr", "th", "td", "pre", "code", "details", "summary"}


class Reader(HTMLParser):
    "Which tags and attributes there are, and what stands outside of pre and code."
    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.outside, self.inside = [], set(), set(), [], []
        self.feed(text)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attributes}

    def handle_endtag(self, tag): assert self.open.pop() == tag
    def handle_data(self, data):
        if "style" not in self.open: (self.inside if {"pre", "code"} & set(self.open) else self.outside).append(data)


def check(view, *texts):
    "That a view is safe as HTML and as text, and no longer than a person can scroll."
    page, plain = Reader(view._repr_html_()), repr(view)
    assert page.tags <= ALLOWED and page.attributes <= {"class"}
    outside = "".join(page.outside)
    assert not [text for text in texts if len(text.strip()) > 1 and text.strip()[:20] in outside]
    for text in (plain, "".join(page.inside), outside):
        assert not [c for c in text if c != "\n" and c != "\t" and not c.isprintable()]
    assert len(plain) < 60_000 and len(view._repr_html_()) < 300_000
    plain.encode()
    return page


def rollout(role, text, task_id="t1", kind="deduction", **changes):
    "One line of a rollouts file."
    made = {
        "prompt": {"task_type": kind, "role": role, "text": text, "messages": [], "references": [text[:50]],
                   "task_id": None, "context": {}},
        "completion": {"text": text, "finished": True},
        "verdict": {"status": "ok", "score": 1.0, "truth": None, "detail": text, "seconds": 0.0},
        "reward": 0.5,
        "reward_parts": {"solve_rate": 0.5},
        "advantage": [0.1, -0.2],
        "weight": 1.0,
        "clip_high": None,
        "action_mask": None,
        "task_id": task_id,
        "policy": "default",
    }
    return {"step": 1, "use": "trained", "rollout": made | changes}


def write_run(folder, *members, style="terse"):
    "A run folder with these rollouts, a gzip member for each list."
    folder.mkdir(exist_ok=True)
    (folder / "params.yaml").write_text(f"config: {{style: {style}, model: tiny}}\n")
    (folder / "metrics.jsonl").write_text('{"step": 0}\n{"step": 1, "propose/deduction/valid_rate": 0.5}\n')
    (folder / "rollouts.jsonl.gz").write_bytes(
        b"".join(gzip.compress("".join(json.dumps(line) + "\n" for line in lines).encode()) for lines in members))
    return open_run(folder)


def every_view(run):
    "All that can be shown of a run."
    shown = [run_view(run)]
    for step in run.members:
        rollouts = _rollouts_of(run, step)
        for slot in _recorded_slots(rollouts):
            shown.append(_slot_view(run, step, *slot))
            shown += [_entry_view(run, step, *slot, number) for number in range(1, len(_entries(rollouts, *slot)) + 1)]
    return shown


# ---- what a model wrote

@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_stays_in_its_box(tmp_path, text):
    run = write_run(
        tmp_path / text[:0],
        [rollout("propose", text), rollout("solve", text), rollout("propose", text, None, "induction"),
         rollout("propose", text, "t2", text[:60])],
    )
    for view in every_view(run): check(view, text)
    check(View(text, {text: text}, {text: text}, (text,), ((text,),), {text: text}, (text,)))


@given(st.text(st.characters(), max_size=300))
@settings(max_examples=100)
def test_any_text_is_visible_and_stays_in_its_box(text):
    check(View("t", {"fact": text}, {"text": text}, ("c",), ((text,),), {"f": text}, (text,)))


def test_what_is_harmless_stays_as_it_is():
    assert _visible("def f(x):\n\treturn 'é 漢字 🙂'") == "def f(x):\n\treturn 'é 漢字 🙂'"
    assert _visible("\u202ea\x00") == "\\u202ea\\x00"
    assert _visible("x" * 5000, 10) == "x" * 10 + " ... [4,990 more characters]"
    assert "1 &lt; 2" in View("t", texts={"p": "1 < 2"})._repr_html_() and "1 < 2" in repr(
        View("t", texts={"p": "1 < 2"}))


# ---- what belongs together

def test_the_sample_reads_as_it_was_played():
    run = open_run(SAMPLE)
    assert run.notes == () and sorted(run.members) == [1, 60, 120]
    for view in every_view(run): check(view)
    for step in run.members:
        for entry in _entries(_rollouts_of(run, step), "propose", "deduction"):
            if not entry.attempts: continue
            assert len(entry.attempts) == 8 and {r["task_id"] for r in entry.attempts} == {entry.proposal["task_id"]}
            rate = sum(r["verdict"]["status"] == "ok" for r in entry.attempts) / 8
            assert rate == entry.proposal["reward_parts"]["solve_rate"]
    view = _entry_view(run, 60, "propose", "deduction", 1)
    assert view.texts["program (given)"].startswith("def f(x):")
    assert "output (hidden from the solver)" in view.texts and len(view.rows) == 8
    assert any(title.startswith("reference") for title in view.folded)


def test_both_roles_show_the_same_group():
    run = open_run(SAMPLE)
    rollouts = _rollouts_of(run, 120)
    for entry in _entries(rollouts, "solve", "abduction"):
        assert entry.proposal["task_id"] == entry.task_id and entry.attempts in [
            e.attempts for e in _entries(rollouts, "propose", "abduction")]


def test_attempts_that_only_measured_are_told_apart(tmp_path):
    run = write_run(
        tmp_path,
        [rollout("propose", "def f(x):\n    return x<in>1"), rollout("solve", "1"),
         {**rollout("solve", "2"), "use": "estimate"}],
    )
    view = _entry_view(run, 1, "propose", "deduction")
    assert [row[-1] for row in view.rows] == ["yes", "no"] and view.texts == {
        "program (proposed)": "def f(x):\n    return x",
        "input (proposed)": "1",
    }
    assert view.facts["advantage"] == "-0.200 to 0.100 (2 tokens)"


def test_a_slot_says_which_kinds_of_triviality_its_record_holds(tmp_path):
    run = write_run(tmp_path, [rollout("propose", "def f(x):\n    return x<in>1"), rollout("solve", "1")])
    def facts(role="propose", **measured):
        record = {"step": 1} | {f"propose/deduction/{name}": value for name, value in measured.items()}
        view = _slot_view(replace(run, metrics=({"step": 0}, record)), 1, role, "deduction")
        check(view)
        return {name: text for name, text in view.facts.items() if name not in ("completions", "verdicts")}
    assert facts(valid_rate=.5, cut_rate=.1) == {} == facts("solve", constant_rate=.5)   # an older run did not ask
    assert facts(copied_rate=1.0, constant_rate=.25, renamed_rate=0.0) == {"trivial": "constant 25%, copied 100%"}
    assert facts(constant_rate=0.0, unread_rate=0.0) == {"trivial": "in no way that is asked"}
    assert facts(unread_rate=.5, distinct_trees=3, tree_depth=6.25, unknown_rate=.125) == {
        "trivial": "unread 50%, constant: unknown 12%", "syntax trees": "3 distinct, 6.2 levels"}
    assert facts(constant_rate="<b>", one_statement_rate=None, tree_depth=[1]) == {}


# ---- folders in any state


REMOVED, APPENDED = object(), "ab"
SPOILT = [  # file, what becomes of it, what is said
    ("metrics.jsonl", REMOVED, "there is no metrics.jsonl"),
    ("params.yaml", REMOVED, "there is no params.yaml"),
    ("params.yaml", b"- 1", "params.yaml holds no settings"),
    ("params.yaml", b"{", "params.yaml cannot be read"),
    ("rollouts.jsonl.gz", REMOVED, "there is no rollouts.jsonl.gz"),
    ("summary.json", REMOVED, "the run is not finished"),
    ("checkpoints", REMOVED, "there is no checkpoint"),
    ("checkpoints/*/*.gz", b"x", "cannot read the task buffers"),
    ("metrics.jsonl", (APPENDED, b'{"step": 9, "lo'), "the last line of metrics.jsonl is not whole"),
    ("metrics.jsonl", b"nonsense\n{}\n", "lines that cannot be read: 1"),
    ("rollouts.jsonl.gz", b"no gzip", "damaged after the beginning"),
    ("rollouts.jsonl.gz", (APPENDED, b"\x1f\x8b\x08"), "ends torn after step 120"),
]


def spoil(path, how):
    if how is REMOVED: return shutil.rmtree(path) if path.is_dir() else path.unlink()
    mode, content = how if isinstance(how, tuple) else ("wb", how)
    with path.open(mode) as file: file.write(content)


@pytest.mark.parametrize("name, how, said", SPOILT)
def test_what_is_missing_is_said_and_the_rest_is_shown(tmp_path, name, how, said):
    folder = tmp_path / "run"
    shutil.copytree(SAMPLE, folder)
    spoil(next(folder.glob(name)), how)
    run = open_run(folder)
    assert [note for note in run.notes if said in note] and len(run.notes) == 1
    for view in every_view(run): check(view)
    assert said.split(":")[0] in repr(run_view(run))
    if (folder / "rollouts.jsonl.gz").exists() and "beginning" not in said: assert sorted(run.members) == [1, 60, 120]


def test_a_file_torn_anywhere_shows_its_whole_steps(tmp_path):
    shutil.copytree(SAMPLE, tmp_path, dirs_exist_ok=True)
    data = (SAMPLE / "rollouts.jsonl.gz").read_bytes()
    whole = {step: len(parts[0]) for step, parts in open_run(SAMPLE).members.items()}
    for end in range(0, len(data), 211):
        (tmp_path / "rollouts.jsonl.gz").write_bytes(data[:end])
        run = open_run(tmp_path)
        assert all(step in run.members for step in whole if sum(size for s, size in whole.items() if s <= step) <= end)
        for step in run.members: assert _rollouts_of(run, step) or step == max(run.members)
        assert end in (0, whole[1], whole[1] + whole[60]) or [note for note in run.notes if "torn" in note]


def test_flipped_bytes_are_noted_or_harmless(tmp_path):
    shutil.copytree(SAMPLE, tmp_path, dirs_exist_ok=True)
    data, rng = (SAMPLE / "rollouts.jsonl.gz").read_bytes(), random.Random(0)
    for _ in range(40):
        spoiled = bytearray(data[:rng.choice([len(data), rng.randrange(len(data))])])
        for _ in range(3): spoiled[rng.randrange(len(spoiled))] ^= rng.randrange(1, 256)
        (tmp_path / "rollouts.jsonl.gz").write_bytes(bytes(spoiled))
        run = open_run(tmp_path)
        for step in run.members: _rollouts_of(run, step)


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no run folder .*nowhere"): open_run(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="holds no file of a run"): open_run(tmp_path)
    (tmp_path / "metrics.jsonl").write_text("")
    assert views(open_run(tmp_path))[0].notes == ("no step of this run has recorded rollouts",)


def test_a_wrong_choice_names_the_right_ones():
    run = open_run(SAMPLE)
    for choice, said in (({"step": 7}, "step 7 is not recorded: choose one of 1, 60, 120"),
                         ({"task_type": "bug"}, "no propose/bug: it has propose/abduction"),
                         ({"number": 9}, "no number 9: it has 1 to 4")):
        with pytest.raises(ValueError, match=said): views(run, **choice)


def test_another_version_and_another_recipe(tmp_path):
    old = rollout("propose", "def f(x):\n    return x<in>1")
    for name in ("reward_parts", "weight", "policy"): del old["rollout"][name]
    old["rollout"]["mood"] = "good"
    run = write_run(tmp_path / "old", [old])
    notes = _slot_view(run, 1, "propose", "deduction").notes
    assert notes == ("the rollouts have no policy, reward_parts, weight: they were written by another version",
                     "the rollouts have fields that are not shown: mood: they were written by another version")
    check(_entry_view(run, 1, "propose", "deduction"))
    members = [rollout("propose", "--- a.py", "b", "bug"), rollout("solve", "+++ a.py", "b", "bug")]
    other = write_run(tmp_path / "other", members, style="mine")
    assert _entry_view(other, 1, "propose", "bug").texts == {"completion": "--- a.py"}
    assert _entry_view(other, 1, "solve", "bug").rows[0][0] == "+++ a.py"


JUNK = [None, 0, -1.5, "", "text", [], {}, [1, [2]], {"a": {"b": None}}, True, float("inf")]


def mutated(value, rng):
    "The same record with one place replaced."
    if isinstance(value, dict) and value and rng.random() < .8:
        key = rng.choice(sorted(value))
        return value | {key: mutated(value[key], rng)}
    return rng.choice(JUNK)


def test_records_of_any_shape_are_survived(tmp_path):
    rng = random.Random(1)
    for _ in range(25):
        lines = [rollout("propose", "def f(x):\n    return x<in>1"), rollout("solve", "1"),
                 rollout("propose", "'a'<in>'b'", "t2", "induction")]
        lines = [
            {"step": 1, "use": "trained",
             "rollout": mutated(line["rollout"], rng) if rng.random() < 0.7 else line["rollout"]}
            for line in lines * 4
        ]
        for view in every_view(write_run(tmp_path, lines)): check(view)


# ---- menus, terminal, notebook

def test_menus_walk_through_a_run():
    pytest.importorskip("ipywidgets")
    top, number, shown = browser(open_run(SAMPLE)).children
    step, slot = top.children
    seen = set()
    for step.value in (1, 60, 120):
        for slot.value in [value for _, value in slot.options]:
            for number.value in [value for _, value in number.options]:
                assert f"step {step.value}, {', '.join(slot.value)}, {number.value} of" in shown.value
                seen.add(shown.value)
    assert len(seen) > 60
    slot.value = ("solve", "induction")
    step.value = 60
    assert slot.value == ("solve", "induction")   # a choice that is still there stays


def test_no_menus_without_rollouts_or_widgets(tmp_path, monkeypatch):
    (tmp_path / "metrics.jsonl").write_text('{"step": 0}\n')
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    assert "make lab" in browser(open_run(SAMPLE)).notes[0]
    monkeypatch.undo()
    pytest.importorskip("ipywidgets")
    assert browser(open_run(tmp_path)).title == "nothing to read"


def test_the_terminal_says_the_same(capsys, tmp_path):
    assert _main([str(SAMPLE), "--step", "1", "--role", "solve", "--type", "induction"]) == 0
    assert repr(_entry_view(open_run(SAMPLE), 1, "solve", "induction")) in capsys.readouterr().out
    assert _main([str(tmp_path)]) == 2 and capsys.readouterr().err.startswith("azr.browse: ")


def test_the_notebook_opens_a_run(tmp_path):
    papermill(ROOT / "nbs/runs/browse.ipynb", tmp_path / "out.ipynb", "-p", "step", "7", "-p", "role", "solve")
    text = (tmp_path / "out.ipynb").read_text()
    assert "step 7 is not recorded; recorded are: 1, 60, 120" in text and "step 120, solve, deduction, 1 of" in text


def test_no_value_of_a_damaged_record_becomes_markup():
    evil = "<img src=x onerror=alert(1)>"
    view = View("t", {"a": [evil], "b": {evil: 1}, "c": 1.5}, columns=("d",), rows=(([evil],), (3,)))
    assert "<img" not in view._repr_html_() and "&lt;img" in view._repr_html_()
    assert "<td class='number'>1.500</td>" in view._repr_html_()
