"Rules against the tools they are taken from; what is said when something is missing."
import base64
import contextlib
import functools
import json
import os
import pickle
import shutil
import sys
import zlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

os.environ["HF_HUB_OFFLINE"] = "1"   # a name that is not a folder is looked up in the cache only

import pytest
import torch
import yaml
from pages import defined, papermill
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

import azr.evals
import azr.run
import azr.models
from azr.benchmarks import BENCHMARKS, EXAMS, Benchmark, Unavailable, _evalplus_right, fetch, _read_program, _same_print
from azr.core import Prompt, Role, Status, Task, Verdict, alone_in
from azr.evals import (
    Exam, _compare, comparisons, evaluate_models, examine, _judge_version, open_model, _remarks, result_table,
    _say_bases)
from azr.executor import Executor, _jail_trouble
from azr.records import check_alike, compact, read_compacts, _recorded
from azr.run import train
from azr.prompts import answer_text, solve_prompt
from azr.settings import config
from azr.sweep import sweep
from azr.sampling import Script
from azr.statistics import bootstrap
from azr.tiny import TINY, load_tiny
from azr.azr import Config, azr_recipe, environment
from azr.models import BASE_RECORD, load_policy, merge_adapter, _weights_hash
from conftest import ROOT, always

JAIL = pytest.mark.skipif(bool(_jail_trouble()), reason=f"answers run in a jail only: {_jail_trouble()}")
TERSE = Exam(style="terse", limit=3)
ABOUT = {"model": "script"}


def test_an_interval_without_spread_is_no_certainty():
    assert (
        bootstrap([0.5] * 5) == pytest.approx((0.5 * 0.025**0.2, 1 - 0.5 * 0.025**0.2))
        and bootstrap([1, 0, 1, 0], clusters=list("aabb"))[1] > 0.9
    )
    def result(model, right):
        return {
            "benchmark": "b",
            "data": {},
            "model": model,
            "exam": {"samples": 1, "seed": 0, "style": "r1"},
            "tasks": dict(zip("123", right)),
            "clusters": dict(zip("123", "ppq")),
        }
    found = _compare(result("a", [1, 0, 0]), result("b", [0, 1, 0]))
    assert found["low"] == -found["high"] < -.8 and found["test"] == "sign flips" and found["p"] == 1
    old = {key: value for key, value in result("a", [1, 0, 0]).items() if key != "clusters"}
    assert (
        _compare(old, result("b", [0, 1, 0]))
        == found
        == _compare(result("a", [1, 0, 0]), old | {"model": "b", "tasks": dict(zip("123", [0, 1, 0]))})
    )


def test_a_model_that_is_always_worse_has_an_interval():
    def result(model, right):
        return {
            "benchmark": "b",
            "data": {},
            "model": model,
            "exam": {"samples": 1, "seed": 0, "style": "r1"},
            "tasks": {str(n): right for n in range(20)},
        }
    worse, better = _compare(result("a", 1), result("b", 0)), _compare(result("b", 0), result("a", 1))
    assert (
        worse["difference"] == worse["low"] == -1
        and -0.9 < worse["high"] < -0.8
        and (better["low"], better["high"]) == (-worse["high"], 1)
    )


def test_a_row_without_a_field_is_named(tmp_path):
    (tmp_path / "cruxeval.jsonl").write_text(
        '{"code": "a", "input": "1", "output": "2"}\n{"code": "a", "input": "1"}\n'
    )
    with pytest.raises(
        ValueError, match="cruxeval.jsonl, row 2 has no field 'output': cruxeval-o needs code, input, output"
    ):
        fetch(BENCHMARKS["cruxeval-o"], tmp_path)
    (tmp_path / "cruxeval.jsonl").write_text('{"code": "a", "input": "1", "output": "2"}\n{"code"')
    with pytest.raises(ValueError, match="line 2 is no JSON"): fetch(BENCHMARKS["cruxeval-o"], tmp_path)
    (tmp_path / "MbppPlus.jsonl.gz").write_bytes(b"cut")
    with pytest.raises(ValueError, match="is the file whole"): fetch(BENCHMARKS["mbpp+"], tmp_path)


def test_an_unreachable_hub_says_where_to_put_the_file(monkeypatch):
    import datasets
    def gone(*_, **__): raise ConnectionError("no route")
    monkeypatch.setattr(datasets, "load_dataset", gone)
    with pytest.raises(Unavailable, match="no route.*put it as math500.jsonl into the data folder"):
        fetch(BENCHMARKS["math500"], hub=True)


def test_empty_completions_are_counted_and_said(tmp_path):
    result = examine(Script(always("")), "heldout", TERSE, tmp_path, ABOUT, progress=False)
    assert (
        result["remarks"] == ["9 of 9 completions are empty"]
        and result["scores"]["pass@1"]["value"] == 0
        and result["scores"]["pass@1"]["high"] > 0.2
    )
    assert (
        {"benchmark", "model", "exam", "data", "first_prompt", "versions"} <= result.keys()
        and result["exam"]["style"] == "terse"
        and result["data"]["sha256"]
    )


def test_answers_refused_unrun_are_counted_and_shown(tmp_path):
    "Three tasks of each type; what is no literal is refused, what is one is judged."
    result = examine(
        Script(lambda prompt: "import os" if "<out>" in prompt.text else "[]"),
        "heldout",
        TERSE,
        tmp_path,
        ABOUT,
        progress=False,
    )
    unrun = {name: n for name, n in result["statuses"].items() if name not in ("ok", "wrong", "raised")}
    assert result["refused"] == sum(unrun.values()) > 0 and f"{result['refused']} refused unrun" in result_table(
        [result]
    )
    assert "refused unrun" not in result_table([result | {"refused": 0}])


def test_an_exam_goes_on_where_it_stopped(tmp_path):
    exam, calls = Exam(style="terse", limit=4, batch=4, seed=3), []
    def stops(prompt):
        calls.append(prompt)
        if len(calls) > 6: raise KeyboardInterrupt
        return "1"
    with pytest.raises(KeyboardInterrupt): examine(Script(stops), "heldout", exam, tmp_path, ABOUT, progress=False)
    sheet = tmp_path / "heldout.jsonl"
    assert len(sheet.read_bytes().splitlines()) == 4
    sheet.write_bytes(sheet.read_bytes()[:-9])                       # the machine went off in the middle of a line
    resumed = examine(Script(always("1")), "heldout", exam, tmp_path, ABOUT, progress=False)
    assert resumed == examine(Script(always("1")), "heldout", exam, tmp_path / "unbroken", ABOUT, progress=False)


def test_what_is_missing_does_not_stop_the_rest(tmp_path):
    said = []
    (tmp_path / "none").mkdir()
    results = evaluate_models(
        [str(tmp_path / "none"), "tiny"],
        ["mbpp+", "nosuch", "cruxeval-o", "heldout"],
        TERSE,
        tmp_path / "out",
        say=said.append,
        progress=False,
    )
    assert [r["benchmark"] for r in results] == ["heldout"] and [line for line in said if "SKIPPED" in line] == said[:4]
    assert (
        "no prompts in style 'terse'" in said[0]
        and "no benchmark 'nosuch'" in said[1]
        and said[2].startswith("cruxeval-o: SKIPPED, no cruxeval.jsonl in ")
        and said[2].endswith("or ask functions-o and functions-i, which are of this project's own writing and need "
                             "no file")
        and "cannot be loaded" in said[3]
    )


def test_without_any_benchmark_no_model_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr("azr.evals.open_model", None)   # whoever calls it fails
    said = []
    with pytest.raises(ValueError, match="nothing was evaluated: each line above says what is missing"):
        evaluate_models(["tiny", "tiny_clean"], ["nosuch", "cruxeval-i"], Exam(), tmp_path, say=said.append)
    assert [line.partition(":")[0] for line in said] == ["nosuch", "cruxeval-i"]   # once, and not once a model


def test_a_file_is_read_once_for_all_models(tmp_path, monkeypatch):
    read = []
    def fetch_once(benchmark, *given):
        read.append(benchmark.name)
        return fetch(benchmark, *given)
    monkeypatch.setattr("azr.evals.fetch", fetch_once)
    exam = replace(TERSE, limit=1)
    found = evaluate_models(["tiny", "tiny_clean"], ["functions-o"], exam, tmp_path, say=str, progress=False)
    assert read == ["functions-o"] and len(found) == 2


def test_two_models_are_compared_task_by_task(tmp_path):
    base, other = (
        examine(
            Script(lambda prompt, text=text: text), "heldout", TERSE, tmp_path / text, {"model": text}, progress=False
        )
        for text in ("0", "[]")
    )
    same = _compare(base, base)
    assert same["difference"] == 0 and same["p"] == 1 and same["low"] == -same["high"] < 0
    assert len(comparisons([base, other])) == 1 and "[] minus 0" in result_table([base, other])
    with pytest.raises(ValueError, match="different data"): _compare(base, other | {"data": {}})


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"samples": 0}, "samples is 0: give 1 or more"),
        ({"samples": 2}, "temperature above 0"),
        ({"tries": (2,)}, "draw more"),
        ({"tries": (0,)}, "k=0 is undefined"),
        ({"temperature": -1.0}, "0 or more"),
        ({"top_p": 0.0}, "more than 0"),
        ({"max_tokens": -1}, "max_tokens is -1: give 0 or more"),
    ],
)
def test_settings_that_contradict_each_other(settings, said):
    with pytest.raises(ValueError, match=said): Exam(**settings)


@pytest.mark.parametrize(
    "line, said", [(0, "line 1 is no JSON.*delete the line"), (2, "line 3 is no JSON.*delete the line")]
)
def test_a_damaged_sheet_is_named(tmp_path, line, said):
    examine(Script(always("1")), "heldout", TERSE, tmp_path, ABOUT, progress=False)
    sheet = tmp_path / "heldout.jsonl"
    sheet.write_text(
        "\n".join("torn" if number == line else text for number, text in enumerate(sheet.read_text().split("\n")))
    )
    with pytest.raises(ValueError, match=said):
        examine(Script(always("1")), "heldout", TERSE, tmp_path, ABOUT, progress=False)
    sheet.write_text(sheet.read_text().replace("torn", "{}"))
    with pytest.raises(ValueError, match="has no field"):
        examine(Script(always("1")), "heldout", TERSE, tmp_path, ABOUT, progress=False)


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"max_tokens": 256}, "leaves no room for a prompt in tiny's context of 256"),
        ({"style": "chat"}, "needs a chat template"),
    ],
)
def test_a_model_that_cannot_be_asked_like_that(settings, said):
    with pytest.raises(ValueError, match=said): open_model("tiny", Exam(**settings))


@pytest.mark.parametrize(
    "config, said",
    [
        ("{torn", "names no base model"),
        ("{}", "names no base model"),
        (json.dumps({"base_model_name_or_path": str(TINY)}), "does not load onto its base"),
    ],
)
def test_a_damaged_adapter_is_named(tmp_path, config, said):
    (tmp_path / "adapter_config.json").write_text(config)
    with pytest.raises(ValueError, match=said): open_model(str(tmp_path), Exam())


@JAIL
def test_livecodebench_packed_tests_and_their_verdicts():
    packed = base64.b64encode(
        zlib.compress(pickle.dumps(json.dumps([{"input": "3 4\n", "output": "7.0\n", "testtype": "stdin"}])))
    ).decode()
    row = {
        "id": "0",
        "question_content": "Add.",
        "starter_code": "",
        "public_test_cases": '[{"input": "1 2\\n", "output": "3\\n", "testtype": "stdin"}]',
        "private_test_cases": packed,
    }
    texts = [
        f"<answer>\n```python\n{program}\n```\n</answer>"
        for program in ("a, b = map(int, input().split())\nprint(a + b)", "print(3)", "while True: pass")
    ]
    with Executor(**BENCHMARKS["livecodebench"].executor | {"timeout": .3}) as executor:
        verdicts = BENCHMARKS["livecodebench"].judge([(row, text) for text in texts], "chat", executor)
    assert [str(v.status) for v in verdicts] == ["ok", "wrong", "timeout"] and not _same_print("a b", "a  b")


@pytest.mark.parametrize(
    "changes",
    [
        {"private_test_cases": "abc"},
        {"private_test_cases": "aGVsbG8="},
        {"public_test_cases": '[{"input": "1"}]'},
        {"public_test_cases": '[{"input": "1", "output": "2", "testtype": "functional"}]'},
        {"private_test_cases": base64.b64encode(zlib.compress(b"cos\nsystem\n(S'exit'\ntR.")).decode()},
    ],
)
def test_livecodebench_tests_that_cannot_be_read(changes):
    row = {"id": "7", "question_content": "Add.", "public_test_cases": "[]", "private_test_cases": "[]"} | changes
    with pytest.raises(ValueError, match="livecodebench, row 7: its tests cannot be read"):
        BENCHMARKS["livecodebench"].judge([(row, "print(3)")], "chat", None)


def test_the_prompts_of_an_exam_are_those_of_training():
    "Both name the modules that the executor lets through."
    task = Task(
        "induction",
        {"pairs": [["1", "3"], ["2", "6"]], "message": "Thrice."},
        {"program": "def f(x):\n    return 3 * x", "pairs": [["14", "42"]]},
        "i",
    )
    with Executor(workers=1) as executor:
        (kind,) = azr_recipe(
            config := Config(task_types=("induction",), style="r1"), environment(config, executor)
        ).task_types
    asked = EXAMS["heldout"].ask({"task": task}, "r1")
    assert asked == kind.solve_prompt(task) and "itertools" in asked.text


def test_a_bare_continuation_is_cut_where_it_stops_parsing():
    assert _read_program("    return x\n\nThat is the answer.", "plain", "def g(x):\n") == "def g(x):\n    return x\n"


def test_evalplus_own_comparison():
    pytest.importorskip("evalplus")
    row = {"task_id": "Mbpp/1", "entry_point": "g", "atol": 0}
    assert (
        _evalplus_right(row, [1], 0.5)(0.5 + 1e-8)
        and not _evalplus_right(row, [1], 0.5)(0.51)
        and not _evalplus_right(row, [1], [1, 2])([1, 2, 3])
    )
    assert _evalplus_right(row, [1], True)(1) and _evalplus_right(
        row | {"entry_point": "find_zero", "task_id": "HumanEval/32"} | {"atol": 1e-4}, [[-6, 2]], 0
    )(3.0)


def test_maths_without_its_package_says_what_to_type(monkeypatch):
    monkeypatch.setitem(sys.modules, "math_verify", None)
    with pytest.raises(Unavailable, match="math_verify is not installed: type `pip install"):
        BENCHMARKS["aime24"].judge([({"answer": "1"}, "1")], "plain", None)


def test_maths_by_math_verify():
    pytest.importorskip("math_verify")
    rows = [
        ({"answer": gold}, text)
        for gold, text in (
            ("\\frac{1}{2}", "so \\boxed{0.5}"),
            ("3", "\\boxed{4}"),
            (["1", "2"], "\\boxed{2}"),
            ("5", "no idea"),
        )
    ]
    assert [str(v.status) for v in BENCHMARKS["aime24"].judge(rows, "plain", None)] == [
        "ok",
        "wrong",
        "ok",
        "malformed",
    ]


def test_the_evaluation_page_runs_as_it_stands(tmp_path):
    papermill(ROOT / "nbs/runs/evaluate.ipynb", tmp_path / "out.ipynb", "-p", "results", tmp_path, "-p", "models",
              "[tiny, tiny_clean]", "-p", "limit", "2", "-p", "record", tmp_path / "record.json")
    record = json.loads((tmp_path / "record.json").read_text())
    assert (
        [r["model"] for r in record["results"]] == ["tiny", "tiny_clean"]
        and record["comparisons"][0]["n"] == 6
        and "tasks" not in record["results"][0]
    )


def test_committed_reference_answers_are_right():
    record = json.loads((ROOT / "data" / "evals" / "reference_answers.json").read_text())
    for name in ("cruxeval-o", "cruxeval-i"): assert record[name] == {"right": 800, "rows": 800, "not right": {}}
    assert (
        record["mbpp+, canonical"]["rows"] == 378
        and record["mbpp+, canonical"]["right"] == 377
        and list(record["mbpp+, canonical"]["not right"]) == ["Mbpp/596"]
    )
    assert record["mbpp+"]["completions"] - record["mbpp+"]["agree"] == 3 and set(record["mbpp+"]["disagree"]) == {
        "Mbpp/596 canonical",
        "Mbpp/255 canonical",
        "Mbpp/630 canonical",
    }  # unscored; twice evalplus' clock under load
    assert record["heldout deduction, lm-eval"]["agree"] == record["heldout deduction, lm-eval"]["tasks"] == 500
    assert record["maths"]["agree"] == record["maths"]["answers"] and set(
        record["cruxeval-o, lm-eval"]["disagree"].values()
    ) == {"a text"}


@pytest.mark.slow
def test_reference_answers_again(azr_data, tmp_path):
    if not (azr_data / "cruxeval.jsonl").exists(): pytest.skip(f"no cruxeval.jsonl in {azr_data}")
    papermill(ROOT / "nbs/runs/reference_answers.ipynb", tmp_path / "out.ipynb", "-p", "data", azr_data, "-p", "limit",
              "20", "-p", "programs", "20", "-p", "record", tmp_path / "record.json")
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["cruxeval-o"]["right"] == record["cruxeval-i"]["right"] == 20
    if "mbpp+" in record: assert record["mbpp+"]["canonical right"] == 20 and record["mbpp+"]["agree"] == 40


@JAIL
def test_a_task_without_an_expected_value_is_said_and_no_ones_fault():
    pytest.importorskip("evalplus")
    row = {
        "id": "Mbpp/596",
        "task_id": "Mbpp/596",
        "prompt": "",
        "entry_point": "size",
        "canonical_solution": "def size(x):\n    return iter(x)\n",
        "base_input": [[[1]]],
        "plus_input": [],
        "atol": 0,
    }
    with Executor(**BENCHMARKS["mbpp+"].executor) as executor:
        (verdict,) = BENCHMARKS["mbpp+"].judge(
            [(row, "<answer>\n```python\ndef size(x):\n    return 64\n```\n</answer>")], "chat", executor
        )
    assert str(verdict.status) == "unscored" and verdict.score == 0
    record = {"statuses": {"unscored": 1}, "empty": 0, "cut": 0}
    assert _remarks([record], Exam()) == [
        "1 of 1 cannot be judged, because no test of their task has an expected value here: counted as wrong"
    ]


# -- which model answered, and which judge

@pytest.fixture
def asked(monkeypatch):
    "Every prompt that a model is really asked."
    prompts, plain = [], azr.evals.generator
    def counting(model, tokenizer, **more):
        generate = plain(model, tokenizer, **more)
        @functools.wraps(generate)
        def counted(ids, sampling, policy):
            prompts.extend(ids)
            return generate(ids, sampling, policy)
        return counted
    monkeypatch.setattr(azr.evals, "generator", counting)
    return prompts


def saved_tiny(folder, shards="200KB"):
    model, tokenizer = load_tiny()
    model.save_pretrained(folder, max_shard_size=shards)
    tokenizer.save_pretrained(folder)
    return folder


def asked_tersely(model, folder, say=str, exam=TERSE, **how): # result
    return evaluate_models([str(model)], ["heldout"], exam, folder, say=say, progress=False, **how)[0]


def another_weight(folder):
    path = sorted(folder.glob("model-*.safetensors"))[-1]
    tensors = load_file(path)
    name = sorted(tensors)[0]
    tensors[name].view(-1)[0] += 0.01
    when = path.stat()
    save_file(tensors, path, {"format": "pt"})
    os.utime(path, ns=(when.st_atime_ns, when.st_mtime_ns))   # of the same size and time


def edited(place, name, **changes):
    path = place / name
    path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | changes))


def more_tokens(folder):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["of another tokenizer"])
    tokenizer.save_pretrained(folder)


def another_template(folder):
    (folder / "chat_template.jinja").write_text("{{ messages[0]['content'] }}")


CHANGES = {
    "one weight of a shard": another_weight,
    "what ends a completion": functools.partial(edited, name="generation_config.json", eos_token_id=[1, 5]),
    "the chat template": another_template,
    "the tokenizer": more_tokens,
    "a setting": functools.partial(edited, name="config.json", rms_norm_eps=1e-3),
}


@pytest.mark.parametrize("what", CHANGES)
def test_another_model_of_the_same_name_is_asked_again(tmp_path, asked, what):
    model, said = saved_tiny(tmp_path / "model"), []
    def evaluate(): return asked_tersely(model, tmp_path / "out", said.append)
    shutil.copytree(model, tmp_path / "before")
    first = evaluate()
    assert len(asked) == 9 and len(list(model.glob("model-*.safetensors"))) > 1
    assert evaluate() == first and len(asked) == 9                   # nothing changed: nothing is asked
    CHANGES[what](model)
    second = evaluate()
    assert len(asked) == 18 and [line for line in said if "was made otherwise" in line]
    assert {k for k in first["exam"] if first["exam"][k] != second["exam"][k]} == set() and first != second
    shutil.rmtree(model)
    (tmp_path / "before").rename(model)
    assert evaluate() == first and len(asked) == 18                  # as it was: what it said is still there


def test_the_same_numbers_in_other_files_are_the_same_model(tmp_path, asked):
    def evaluate(**how): return asked_tersely(tmp_path / "model", tmp_path / "out", **how)
    saved_tiny(tmp_path / "model")
    first = evaluate()
    shutil.rmtree(tmp_path / "model")
    saved_tiny(tmp_path / "model", "1GB")
    assert evaluate() == first and len(asked) == 9
    evaluate(dtype="bfloat16")
    assert len(asked) == 18                                          # rounded, they are others


def test_other_settings_do_not_share_completions(tmp_path, asked):
    warm = {"temperature": 1.0}
    for number, changes in enumerate([{}, {"max_tokens": 9}, warm, warm | {"seed": 1}, warm | {"top_p": 0.5}], 1):
        asked_tersely("tiny", tmp_path, exam=replace(TERSE, **changes))
        assert len(asked) == 9 * number
    asked_tersely("tiny", tmp_path)
    assert len(asked) == 45


def test_libraries_and_our_own_code_belong_to_the_key(tmp_path, asked, monkeypatch):
    def evaluate(): return asked_tersely("tiny", tmp_path)
    first, plain, sources = evaluate(), azr.evals._versions, azr.evals._sources
    newer = {"transformers": "9.9"}
    monkeypatch.setattr(
        azr.evals, "_versions", lambda *names: plain(*names) | {k: v for k, v in newer.items() if k in names}
    )
    assert evaluate()["engine"]["transformers"] == "9.9" and len(asked) == 18
    monkeypatch.setattr(azr.evals, "_sources", lambda *names: sources(*names) + [b"one line more"])
    assert evaluate()["code"] != first["code"] and len(asked) == 27


def test_what_an_older_version_left_is_asked_again_and_kept(tmp_path, asked):
    said, sheet = [], tmp_path / "tiny" / "heldout.jsonl"
    sheet.parent.mkdir()
    old = json.dumps({"benchmark": "heldout", "model": "tiny", "exam": {}}) + "\n"
    sheet.write_text(old)
    (tmp_path / "tiny" / "heldout.json").write_text('{"benchmark": "heldout", "model": "tiny"}')
    asked_tersely("tiny", tmp_path, said.append)
    assert len(asked) == 9 and said == [
        f"{sheet} is of an older version, which did not record all that a score depends on: "
        "every task is asked again, and what was there is kept as heldout-older.jsonl"
    ]
    assert sheet.with_name("heldout-older.jsonl").read_text() == old
    asked_tersely("tiny", tmp_path, said.append)
    assert len(asked) == 9 and len(said) == 1


def own_benchmark(monkeypatch, right, gold="1", told=None):
    rows = [{"id": "a", "gold": gold}, {"id": "b", "gold": "2"}]
    def judge(pairs, style, executor):
        if told is not None: told.extend(text for _, text in pairs)
        return [Verdict(Status.OK, 1.0) if right(row, text) else Verdict(Status.WRONG) for row, text in pairs]
    def ask(row, style): return Prompt("own", Role.SOLVE, text=f"say {row['id']}")
    monkeypatch.setitem(EXAMS, "own", Benchmark("own", ask, judge, ("plain",), rows=always(rows)))


def test_another_judge_judges_anew_without_asking(tmp_path, monkeypatch):
    prompts, told = [], []
    def write(prompt): prompts.append(prompt); return "1"
    def take(): return examine(Script(write), "own", Exam(style="plain"), tmp_path, ABOUT, progress=False, say=str)
    def equal(row, text): return text == row["gold"]
    own_benchmark(monkeypatch, equal, told=told)
    first = take()
    assert first["tasks"] == {"a": 1, "b": 0} and take() == first and told == ["1", "1"]
    own_benchmark(monkeypatch, equal, gold="3", told=told)                 # the row has another answer
    assert take()["tasks"] == {"a": 0, "b": 0} and told == ["1", "1", "1"]
    sources = azr.evals._sources
    monkeypatch.setattr(azr.evals, "_sources", lambda *names: sources(*names) + [b"one line more"])
    own_benchmark(monkeypatch, always(True), told=told)          # the code has another rule
    second = take()
    assert second["tasks"] == {"a": 1, "b": 1} and len(told) == 5 and len(prompts) == 2
    with pytest.raises(
        ValueError, match="judged by different versions of azr.*judges stored completions without asking"
    ):
        _compare(first, second)
    def lines(): return [json.loads(line)["right"] for line in (tmp_path / "own.jsonl").read_text().splitlines()]
    assert len(lines()) > 2
    take()
    assert lines() == [1, 1]                                               # the last verdict of each stays


@pytest.mark.parametrize("change", [{"timeout": 2.5}, {"max_output": 7}])
def test_the_judges_limits_belong_to_the_judge(change):
    with Executor() as one, Executor(**change) as other: assert _judge_version(one) != _judge_version(other)


def test_stop_texts_and_words_belong_to_the_key(tmp_path, monkeypatch):
    prompts = []
    def write(prompt): prompts.append(prompt); return "1"
    def take(**words):
        own_benchmark(monkeypatch, always(True))
        def ask(row, style): return Prompt("own", Role.SOLVE, **{"text": row["id"]} | words)
        monkeypatch.setitem(EXAMS, "own", replace(EXAMS["own"], ask=ask))
        return examine(Script(write), "own", Exam(style="plain"), tmp_path, ABOUT, progress=False, say=str)
    for number, words in enumerate([{}, {"stop": ("\n",)}, {"text": "other words"}], 1):
        take(**words), take(**words)
        assert len(prompts) == 2 * number


def test_one_process_at_a_time_writes_a_result(tmp_path):
    with alone_in(tmp_path, "heldout.lock"), pytest.raises(ValueError, match="is in use by process"):
        examine(Script(lambda prompt: pytest.fail("asked")), "heldout", TERSE, tmp_path, ABOUT, progress=False)


def test_two_names_of_one_folder_are_not_mixed(tmp_path):
    with pytest.raises(ValueError, match="would write into one folder"):
        evaluate_models(["some/model", "some-model"], ["heldout"], TERSE, tmp_path, say=str, progress=False)


def test_a_comparison_names_what_else_differs(tmp_path):
    def asks(exam, **facts):
        about = {"model": "a", **facts}
        return examine(
            Script(always("1")), "heldout", exam, tmp_path / str(facts), about, progress=False, say=str
        )
    base = asks(TERSE, dtype="float32")
    assert _compare(base, base)["differs"] == {}
    assert "asked otherwise" not in result_table([base, base | {"model": "b"}])
    other = asks(replace(TERSE, temperature=1.0, samples=2), dtype="bfloat16")
    differs = {"dtype": ["float32", "bfloat16"], "exam.samples": [1, 2], "exam.temperature": [0.0, 1.0]}
    assert _compare(base, other)["differs"] == differs
    assert "asked otherwise besides: dtype float32 and bfloat16, exam.samples 1 and 2" in result_table([base, other])


@pytest.mark.parametrize("part", ["", "model", "checkpoints/checkpoint-2"])
def test_what_a_run_trained_is_asked_in_the_style_of_the_run(tmp_path, part):
    run = tmp_path / "run"
    saved_tiny(run / "model"), saved_tiny(run / "checkpoints" / "checkpoint-2")
    settings = Config(model="tiny", style="r1", max_completion_tokens=64)
    (run / "params.yaml").write_text(yaml.safe_dump({"config": _recorded(settings)}))
    sampler, exam, facts = open_model(str(run / part), Exam())
    assert exam.style == "r1" == facts["trained_style"]
    assert open_model(str(run / part), Exam(style="terse"))[1].style == "terse"
    result = asked_tersely(run / part, tmp_path / "out")
    assert "asked in style terse, and trained in r1" in result["remarks"]
    assert open_model("tiny", Exam())[1].style == "terse" and open_model("tiny", Exam())[2]["trained_style"] is None


def run_like(folder, **changes): # its name
    saved_tiny(folder / "model")
    settings = Config(model="tiny", **changes)
    (folder / "params.yaml").write_text(yaml.safe_dump({"config": _recorded(settings)}))
    return str(folder)

def test_a_base_is_asked_as_its_run(tmp_path):
    run, said = run_like(tmp_path / "run", style="code", solve_examples=1, max_completion_tokens=24), []
    def told(*models, **given):
        out = tmp_path / f"{len(models)}{given}"
        found = evaluate_models(models, ["heldout"], Exam(limit=1, **given), out, say=said.append, progress=False)
        assert "asked otherwise" not in result_table(found)
        one, = {(r["exam"]["style"], r["exam"]["solve_examples"], r["exam"]["max_tokens"]) for r in found}
        return one
    assert told("tiny", run) == told(run) == ("code", 1, 24) and told("tiny") == ("terse", 0, 64)
    assert [line for line in said if "asked as" in line] == [
        f"all are asked as {run} was trained: style code, solve_examples 1, max_tokens 24"]
    assert told("tiny", run, style="r1", max_tokens=9) == ("r1", 0, 9)
    said.clear()
    other = run_like(tmp_path / "other", style="terse", max_completion_tokens=24)
    assert told("tiny", run, other) == ("code", 1, 24)
    assert said[1] == f"{other} was trained otherwise: --style, --solve-examples and --max-tokens say how all are asked"
    said.clear()
    told("tiny", run, other, style="terse", max_tokens=9)
    assert not [line for line in said if "trained otherwise" in line]

def test_the_bar_is_there_before_the_first_batch(tmp_path, capsys):
    def write(prompt):
        seen = capsys.readouterr().err
        assert not first or "heldout, up to 24 tokens a task:   0%" in first.pop() + seen
        return "1"
    first = [""]
    examine(Script(write), "heldout", replace(TERSE, max_tokens=24), tmp_path, ABOUT)
    assert not first

@pytest.mark.parametrize("name", ["nosuchrun", "runs/nosuch", "./nosuch", "../nosuch", "a/b/c", "/nosuch"])
def test_a_folder_that_is_not_there_is_said_before_anything_is_asked(tmp_path, monkeypatch, asked, name):
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda *_, **__: pytest.fail("the hub was asked"))
    with pytest.raises(ValueError, match=f"model '{name}' cannot be loaded: there is no such folder.*owner/name"):
        evaluate_models(["tiny", name], ["heldout"], TERSE, tmp_path, say=str, progress=False)
    with pytest.raises(ValueError, match="there is no such folder"): load_policy(name)
    assert not asked and not [*tmp_path.iterdir()]

@pytest.mark.parametrize("shown", [0, 2])
@pytest.mark.parametrize("name, gold, wrong", [
    ("cruxeval-o", " [2, 1]\n", " [1, 2]"), ("cruxeval-i", "[1, 2]", "[2, 1]")])
def test_cruxeval_is_asked_as_a_python_file(tmp_path, name, gold, wrong, shown):
    program = "def f(xs):\n    return xs[::-1]"
    rows = [{"id": f"sample_{n}", "code": program, "input": "[1, 2]", "output": "[2, 1]"} for n in range(2)]
    (tmp_path / "cruxeval.jsonl").write_text("\n".join(map(json.dumps, rows)))
    asked, answers = [], iter([gold, wrong])
    def write(prompt):
        asked.append(prompt)
        return next(answers)
    exam = Exam(style="code", solve_examples=shown)
    result = examine(Script(write), name, exam, tmp_path / "out", ABOUT, data=tmp_path, progress=False)
    assert result["tasks"] == {"sample_0": 1, "sample_1": 0} and result["exam"]["solve_examples"] == shown
    given = {"program": program, "input": "[1, 2]", "output": "[2, 1]"}
    task = solve_prompt(Task({"o": "deduction", "i": "abduction"}[name[-1]], given, {}, "sample_0"), "code").text
    assert result["first_prompt"] == asked[0].text and asked[0].text.endswith(task)
    assert asked[0].text.count("def f(") == 1 + shown and asked[0].stop[-1] == "\n"
    read = json.loads((tmp_path / "out" / f"{name}.json").read_text())
    assert read["exam"]["style"] == "code" and read["exam"]["solve_examples"] == shown

def test_held_out_tasks_of_every_type_are_right_with_their_own_gold_in_style_code(tmp_path):
    tasks = {row["id"]: row["task"] for row in EXAMS["heldout"].rows(3)}
    assert {task.task_type for task in tasks.values()} == {"deduction", "abduction", "induction"}
    def write(prompt):
        task = tasks[prompt.task_id]
        assert not any(str(text) in prompt.text for key, text in task.hidden.items() if key == "program")
        (gold,) = (task.hidden[key] for key in ("output", "input", "program") if key in task.hidden)
        rest = ") == 1" if task.task_type == "abduction" else "\n\nassert f(1)"
        return answer_text(task.task_type, gold, "code") + rest
    result = examine(Script(write), "heldout", Exam("code", limit=3), tmp_path, ABOUT, progress=False)
    assert set(result["tasks"].values()) == {1} and len(result["tasks"]) == len(tasks)

def test_finished_examples_are_those_of_the_run_and_refused_in_other_styles(tmp_path):
    run = tmp_path / "run"
    saved_tiny(run / "model")
    settings = Config(model="tiny", style="code", solve_examples=2, max_completion_tokens=64)
    (run / "params.yaml").write_text(yaml.safe_dump({"config": _recorded(settings)}))
    def number(**asked): return open_model(str(run), Exam(**asked))[1].solve_examples
    assert (number(), number(style="code"), number(style="code", solve_examples=0), number(style="r1")) == (2, 2, 0, 0)
    for given in ({"style": "terse", "solve_examples": 1}, {"style": "code", "solve_examples": 9}):
        with pytest.raises(ValueError, match="^solve_examples is [19].*: give"): Exam(**given)
    told = []
    with pytest.raises(ValueError, match="nothing was evaluated"):   # the embedded model is asked in style terse
        evaluate_models(["tiny"], ["heldout"], Exam(solve_examples=1), tmp_path / "out", say=told.append)
    assert "solve_examples is 1, and prompts of style 'terse' have no finished examples" in told[0]

# -- adapters

LORA = dict(batch=4, attempts=2, steps=2, seed_factor=1, evaluate_tasks=4, test_tasks=4, evaluate_every=2,
            save_every=1, workers=1, lora_rank=2, learning_rate=0.05, task_types=["deduction"])


@pytest.fixture(scope="module")
def adapters(tmp_path_factory):
    "Two LoRA runs that began elsewhere: one from `tiny`, one from `./base`."
    root = tmp_path_factory.mktemp("trained")
    with contextlib.chdir(root):
        saved_tiny(root / "base")
        for model in ("tiny", "./base"):
            train(config("demo", **LORA, model=model), Path("runs") / Path(model).name, say=always(None))
    return root


@pytest.fixture
def tree(adapters, tmp_path):
    "A copy of both, from another folder; the first ones are away meanwhile."
    away = adapters.with_name("away")
    shutil.copytree(adapters, tmp_path / "moved")
    adapters.rename(away)
    yield tmp_path / "moved"
    away.rename(adapters)


def logits(name): return load_policy(str(name))[0](torch.arange(40, 90)[None]).logits


def test_an_adapter_is_loaded_from_anywhere(adapters, tmp_path, monkeypatch):
    (tmp_path / "base").mkdir()
    monkeypatch.chdir(tmp_path)                                       # where ./base is something else
    one, two = (adapters / "runs" / name for name in ("tiny", "base"))
    torch.testing.assert_close(logits(one), logits(two / "model"))    # equal bases, equal runs
    assert (logits(one) - logits("tiny")).abs().max() > 1e-3          # the adapter says something
    assert {"name": "tiny"}.items() <= json.loads((one / "model" / BASE_RECORD).read_text()).items()
    names = [str(place) for place in (one, two, two / "checkpoints" / "checkpoint-2")]
    found = evaluate_models(names, ["heldout"], Exam(limit=2), tmp_path / "out", say=str, progress=False)
    assert [result["exam"]["style"] for result in found] == ["terse"] * 3
    assert found[0]["tasks"] == found[1]["tasks"] == found[2]["tasks"]
    assert found[0]["weights"] == found[1]["weights"] != open_model("tiny", Exam())[2]["weights"]
    base = str(adapters / "base")
    for first, run, own in (("tiny", one, ""), (base, two, ""), (str(two), one, ""), ("tiny_clean", one, "tiny"),
                            ("tiny", two / "model", base)):
        said = []
        _say_bases([first, str(run)], said.append)
        told = (f"the comparison is with {first}, and {run} started from {own}: name {own} first to pair it with its "
                "own base")
        assert said == [told] * bool(own)
    merge_adapter(two / "model", tmp_path / "merged")
    torch.testing.assert_close(logits(tmp_path / "merged"), logits(two), atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match="holds no adapter"): merge_adapter(tmp_path / "merged", tmp_path / "again")
    final_exam = defined(ROOT / "nbs" / "runs" / "ablations.ipynb")["final_exam"]
    assert final_exam(two, ["induction"]) == final_exam(one, ["induction"])   # ./base, and what was trained on it


def test_an_adapter_finds_its_base_where_the_tree_has_moved(tree, monkeypatch):
    monkeypatch.chdir("/")
    torch.testing.assert_close(logits(tree / "runs" / "base"), logits(tree / "runs" / "tiny"))
    monkeypatch.setattr(azr.models, "WEIGHTS", {"tiny": tree / "base"})   # of another installation
    torch.testing.assert_close(logits(tree / "runs" / "base"), logits(tree / "runs" / "tiny"))


def test_another_base_is_refused_and_a_missing_one_is_named(tree, tmp_path):
    run = tree / "runs" / "base"
    known = json.loads((run / "model" / BASE_RECORD).read_text())
    another_weight(tree / "base")
    wanted, now = f"weights {known['weights']}", f"{tree / 'base'} has {_weights_hash(tree / 'base')}"
    with pytest.raises(
        ValueError, match=rf"'\./base' in .* \({wanted}\), and other weights lie there now \({now}\): put it back"
    ):
        load_policy(str(run))
    shutil.rmtree(tree / "base")
    with pytest.raises(
        ValueError, match="no weights lie there now: put it back .*base_model_name_or_path in .*adapter_config.json"
    ):
        load_policy(str(run))
    saved_tiny(tmp_path / "else" / "here")
    edited(run / "model", "adapter_config.json", base_model_name_or_path=str(tmp_path / "else" / "here"))
    assert load_policy(str(run))[0].peft_config


def test_a_lora_run_goes_on_from_another_folder_on_its_own_base(tree, tmp_path, monkeypatch):
    run = tree / "runs" / "base"
    whole = (run / "metrics.jsonl").read_bytes()
    for name in ("model", "checkpoints/checkpoint-2"): shutil.rmtree(run / name)
    (run / "summary.json").unlink()
    another_weight(saved_tiny(tmp_path / "base"))                     # what ./base is here
    monkeypatch.chdir(tmp_path)
    said = []
    train(config("demo", **LORA, model="./base"), run, say=said.append)
    assert (run / "metrics.jsonl").read_bytes() == whole
    assert json.loads((run / "model" / BASE_RECORD).read_text())["folder"] == str(tree / "base")
    assert f"./base is {tree / 'base'}, where this run began" in said
    shutil.rmtree(run / "model"), (run / "summary.json").unlink(), another_weight(tree / "base")
    with pytest.raises(ValueError, match="other weights lie there now"):
        train(config("demo", **LORA, model="./base"), run, say=said.append)


def test_an_adapter_is_no_model_to_train(adapters, tmp_path):
    with pytest.raises(ValueError, match="is an adapter: write it into one model by `azr.models.merge_adapter"):
        train(config("demo", **LORA, model=str(adapters / "runs" / "tiny" / "model")), tmp_path / "run", say=str)
    assert not (tmp_path / "run").exists()


def test_pushing_an_adapter_on_a_local_folder_is_said(adapters, monkeypatch):
    said = []
    def made(name, exist_ok): return SimpleNamespace(repo_id=name)
    monkeypatch.setattr(azr.run, "HfApi", lambda: SimpleNamespace(create_repo=made, upload_folder=always(None)))
    for name in ("tiny", "base"):
        arguments = SimpleNamespace(output_dir=str(adapters / "runs" / name / "checkpoints"))
        azr.run._push(SimpleNamespace(settings=Config(push_to_hub="me/azr"), args=arguments), said.append)
    assert said == ["pushed to me/azr", "pushed to me/azr", f"warning: me/azr is an adapter on {adapters / 'base'}, "
                    "which others have not: `azr.models.merge_adapter` writes both as one model"]


def test_a_hub_base_is_loaded_at_its_commit(tmp_path, monkeypatch):
    "Of an adapter that lies on the hub, the hub played by two functions."
    asked = []
    (tmp_path / "adapter").mkdir()
    edited(tmp_path / "adapter", "adapter_config.json", base_model_name_or_path="me/base", revision="1" * 40)
    monkeypatch.setattr(azr.models, "find_adapter_config_file", always("there"))
    monkeypatch.setattr(azr.models, "snapshot_download", always(tmp_path / "adapter"))
    def load(place, **how): asked.append((place, how.get("revision"))); raise OSError("enough")
    monkeypatch.setattr(azr.models.AutoTokenizer, "from_pretrained", load)
    with pytest.raises(ValueError, match="me/adapter"): load_policy("me/adapter")
    assert asked == [("me/base", "1" * 40)]


# -- what is not made twice must be what is asked for

def test_a_finished_run_of_a_base_that_changed_is_not_taken(tree, monkeypatch):
    monkeypatch.chdir(tree)
    run, settings = tree / "runs" / "base", LORA | {"model": "./base"}
    edited(run, BASE_RECORD, folder=str(tree / "base"))                       # as if it had been trained here
    said = []
    assert list(sweep({"base": settings}, tree / "runs", say=said.append)) == ["base"] and said == [
        "1 of 1 runs are done"
    ]
    another_weight(tree / "base")
    with pytest.raises(
        RuntimeError, match="holds a run of other weights .* than .* has now .*: choose another run folder"
    ):
        sweep({"base": settings}, tree / "runs", say=said.append)
    with pytest.raises(ValueError, match="holds a run of other weights"):
        train(config("demo", **settings), run, say=said.append)


def test_records_of_several_experiments_are_not_one_table(adapters):
    records = [compact(adapters / "runs" / name) for name in ("tiny", "base")]
    check_alike(records, {"model"})
    with pytest.raises(ValueError, match='not of one experiment .model "./base" and "tiny".: give a folder for each'):
        check_alike(records, ())
    older = json.loads(json.dumps(records[0]))
    del older["params"]["config"]["vllm_memory"]                       # a field that came later had its default
    check_alike([*records, older | {"seed": 1}], {"model"})


def test_committed_records_are_of_one_experiment_each():
    own = {
        "advantage",
        "attempts",
        "control",
        "proposer_weight",
        "reference_choice",
        "references",
        "rewards",
        "solver_samples",
    }
    check_alike(read_compacts(ROOT / "data" / "ablations"), own | {"task_types"})
    check_alike(read_compacts(ROOT / "data" / "scaling"), {"model"})
