"Presets, settings as text, and what the command line says when something is wrong."
import errno
import os
import subprocess
import sys
from dataclasses import fields, replace
from functools import partial

import nbformat
import pytest
import yaml
from pages import papermill

from azr.cli import _execute, main, _parser, _setting, _settings
from azr.core import Prompt, Role, default_of, tell
from azr.records import check_folder, open_folder
from azr.run import folder_for
from azr.settings import SYSTEMS, config, presets, read_preset, system_named
from azr.azr import Config
from azr.sampler import PolicySampler, encode
from azr.settings import Settings, Training, Watching, _stated, field_help
from azr.sums import SumsSettings
from conftest import ROOT
from toy import SMALL, toy_tokenizer

PAPER = ("paper", "base-7b", "coder-3b", "coder-7b", "coder-14b", "llama-3.1-8b", "qwen3-4b")


@pytest.mark.parametrize("name", sorted(presets()))
def test_every_preset_is_a_configuration(name):
    settings = config(name)
    assert isinstance(settings, Config if settings.system == "azr" else Settings) and all(
        getattr(settings, k) == (tuple(v) if isinstance(v, list) else v) for k, v in read_preset(name).items()
    )


@pytest.mark.parametrize("name", PAPER)
def test_the_papers_presets_have_table_3(name):
    c = config(name)
    assert (
        c.batch,
        len(c.task_types) * 2,
        c.learning_rate,
        c.temperature,
        c.references,
        c.attempts,
        c.max_prompt_tokens,
        c.max_completion_tokens,
        c.steps,
    ) == (64, 6, 1e-6, 1.0, 6, 8, 6144, 8096, 500)


def test_the_checkout_shows_the_packages_presets():
    assert {p.name: p.read_bytes() for p in (ROOT / "nbs" / "runs" / "configs").glob("*.yaml")} == {
        p.name: p.read_bytes() for p in presets().values()
    }


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"learning_rat": 1e-5}, "unknown setting learning_rat of system azr: did you mean learning_rate"),
        ({"zzz": 1}, "unknown setting zzz of system azr: `azr train --system azr --help` lists"),
        ({"batch": "ten"}, "batch is 'ten': give a whole number"),
        ({"batch": True}, "batch is True: give a whole number"),
        ({"batch": 2.5}, "batch is 2.5"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast': give a number"),
        ({"gradient_checkpointing": 1}, "true or false"),
        ({"task_types": "deduction"}, "give a list"),
    ],
)
def test_wrong_settings_are_refused_by_name(changes, said):
    with pytest.raises(ValueError, match=said): config("paper", **changes)


NUMBERS = sorted(f.name for f in fields(Config) if f.type in (int, float, float | None))

@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_has_a_range_that_refuses_what_is_none(name):
    wrong = [
        value
        for value in (float("nan"), float("inf"), -float("inf"))
        if Config.__dataclass_fields__[name].type is not int
    ]
    if name not in ("duplicate_reward", "trivial_reward"): wrong.append(-1)   # such tasks may be fined
    for value in wrong:
        with pytest.raises(ValueError, match=f"^{name} is {value}: .*give "): Config(**{name: value})
    default = getattr(Config(), name)
    assert getattr(Config(**{name: default}), name) == default and name in _stated(Config, "RANGES")


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"betas": [0.9]}, r"betas is \(0.9,\): give 2 numbers, for instance \(0.9, 0.999\)"),
        ({"betas": [0.9, 1.0]}, r"betas is \(0.9, 1.0\): give 0 or more and less than 1"),
        ({"betas": [0.9, "x"]}, "betas, element 2 is 'x': give a number"),
        ({"betas": [0.9, float("nan")]}, "betas is .*nan"),
        ({"betas": []}, "give 2 numbers"),
        ({"betas": [True, 0.9]}, "betas, element 1 is True"),
        ({"task_types": ["deduction", "abduction", "deduction"]}, "task_types names 'deduction' twice: name each once"),
        ({"task_types": [["deduction"]]}, "task_types has the element .'deduction'.: give a text"),
        ({"report_to": ["wandb", "wandb"]}, "report_to names 'wandb' twice"),
        ({"report_to": [1]}, "report_to has the element 1: give a text"),
        ({"model": " "}, "model is ' ': give a hub name"),
        ({"clip_low": 1.5}, "clip_low is 1.5: give 0 or more and at most 1"),
        ({"seed": 2**32}, "seed is 4294967296: give 0 or more and less than"),
        ({"temperature": 10**400}, "temperature is "),
        ({"template_arguments": "no"}, "template_arguments is 'no': give a mapping"),
        ({"template_arguments": {"tokenize": False}}, "has 'tokenize', which is ours to say"),
        ({"template_arguments": {1: 2}}, "template_arguments is {1: 2}: give names"),
        ({"template_arguments": {"x": float("nan")}}, "template_arguments is {'x': nan}"),
    ],
)
def test_settings_out_of_range_are_refused_by_name_value_and_remedy(changes, said):
    with pytest.raises(ValueError, match=said): config("paper", **changes)

def test_numbers_that_yaml_reads_as_text_are_numbers():
    assert config("paper", betas=[0.9, "1e-3"]).betas == (0.9, 0.001)


def test_a_preset_of_ones_own(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text("model: tiny\nlearning_rate: 1e-5\n")
    assert config(mine) == Config(model="tiny", learning_rate=1e-5) and folder_for(str(mine), 2) == "runs/mine-s2"
    mine.write_text("just words")
    with pytest.raises(ValueError, match="mine.yaml holds no"): config(mine)
    with pytest.raises(ValueError, match="absent.yaml cannot be read"): config(tmp_path / "absent.yaml")
    with pytest.raises(ValueError, match="choose one of .*coder-7b"): config("coder7b")


def test_help_tells_every_field(capsys):
    with pytest.raises(SystemExit): main(["train", "--help"])
    shown = capsys.readouterr().out
    told = {name: words for owner in (Watching, Training, Config) for name, _, words in field_help(owner)}
    for name, words in told.items(): assert f"  {name} " in shown and words in shown
    for f in fields(Config): assert repr(default_of(f)) in shown
    assert set(told) == {f.name for f in fields(Config)}


def test_a_failing_notebook_ends_in_one_sentence(tmp_path):
    page, folder = (
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("raise OSError('disk full')")]),
        tmp_path / "nbs" / "runs",
    )
    folder.mkdir(parents=True)
    nbformat.write(page, folder / "bad.ipynb")
    with pytest.raises(ValueError, match="stopped with OSError: disk full; the whole traceback lies in .*out.ipynb"):
        _execute(folder / "bad.ipynb", tmp_path / "out.ipynb", {})


def test_a_killed_kernel_ends_in_one_sentence(tmp_path):
    page, folder = (
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import os\nos.kill(os.getpid(), 9)")]),
        tmp_path / "nbs" / "runs",
    )
    folder.mkdir(parents=True)
    nbformat.write(page, folder / "bad.ipynb")
    with pytest.raises(ValueError, match="kernel died"): _execute(folder / "bad.ipynb", tmp_path / "out.ipynb", {})


@pytest.mark.slow
def test_papermill_takes_a_preset_file_and_repeats_azr_trains_bytes(tmp_path):
    small = dict(SMALL, steps=1, save_every=2)
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump(read_preset("demo") | small))
    assert main(["train", "--config", str(mine), "--run", str(tmp_path / "line")]) == 0
    papermill(ROOT / "nbs/runs/train.ipynb", tmp_path / "out.ipynb", "-f", mine, "-p", "run", tmp_path / "page")
    assert (tmp_path / "line" / "metrics.jsonl").read_bytes() == (tmp_path / "page" / "metrics.jsonl").read_bytes()


# ---- what surrounds the command ----

TINY = (
    "--set",
    "batch=4",
    "--set",
    "attempts=2",
    "--set",
    "steps=1",
    "--set",
    "seed_factor=1",
    "--set",
    "evaluate_tasks=4",
    "--set",
    "test_tasks=4",
    "--set",
    "workers=1",
)


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii:strict"}


def test_a_folder_whose_name_the_locale_cannot_read_is_refused_before_any_work(tmp_path):
    folder = tmp_path / "Läufe"
    done = subprocess.run(
        [sys.executable, "-m", "azr.cli", "train", "--run", str(folder), *TINY],
        env=os.environ | ASCII,
        capture_output=True,
    )
    assert (
        done.returncode == 2
        and done.stderr.startswith(b"azr: run folder ")
        and b"has a name that this locale cannot read: set PYTHONUTF8=1" in done.stderr
    )
    assert not folder.exists()


def test_lines_that_an_ascii_terminal_cannot_show_end_nothing():
    script = (
        "import azr.cli as c, sys; c._plan_command = lambda *_: c.tell('72.5 \\xb1 0.4 %'); sys.exit(c.main(['plan', "
        "'--gpu', '24GB']))"
    )
    done = subprocess.run([sys.executable, "-c", script], env=os.environ | ASCII, capture_output=True)
    assert done.returncode == 0 and done.stdout == b"72.5 \\xb1 0.4 %\n" and done.stderr == b""


def test_a_reader_that_goes_away_ends_the_command_quietly():
    for words, lines in ((("plan", "--gpu", "24GB"), 0), (("plan", "--gpu", "24GB"), 1)):
        process = subprocess.Popen(
            [sys.executable, "-m", "azr.cli", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(lines): process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b"" and process.wait(60) in ({141} if not lines else {141, 0})
        process.stderr.close()


def test_a_full_disk_and_another_refusal_have_their_own_remedies(monkeypatch, capsys):
    for number, said in (
        (errno.ENOSPC, "free some space, or name another place"),
        (errno.EACCES, "mend that, or name another place"),
    ):
        def fail(*_): raise OSError(number, os.strerror(number))
        monkeypatch.setattr("azr.cli._plan_command", fail)
        monkeypatch.setattr("azr.cli._evaluate_command", fail)
        for words, goes_on in ((["plan", "--gpu", "24GB"], False), (["evaluate", "tiny"], True)):
            assert main(words) == 2
            told = capsys.readouterr().err
            assert said in told and ("the same command goes on from what was saved" in told) == goes_on


def test_an_exam_that_cannot_be_written_is_refused_before_a_model_is_loaded(tmp_path, monkeypatch, capsys):
    (tmp_path / "afile").write_text("")
    monkeypatch.setattr("azr.evals.open_model", None)   # whoever calls it fails
    assert main(["evaluate", "tiny", "--output", str(tmp_path / "afile")]) == 2
    told = capsys.readouterr().err.strip()
    assert told.endswith("a file stands where a folder is wanted, name another place") and "\n" not in told


def test_a_closed_terminal_is_told_nothing():
    class Gone:
        encoding = "utf-8"
        def write(self, text): raise OSError(self.number, os.strerror(self.number))
        def flush(self): pass
    Gone.number = errno.EIO
    tell("a line", Gone())
    Gone.number = errno.ENOSPC
    with pytest.raises(OSError): tell("a line", Gone())


# ---- the chat template ----

def chat_tokenizer(template):
    tokenizer = toy_tokenizer()
    tokenizer.chat_template = template
    return tokenizer

ASKED = Prompt("sums", Role.SOLVE, messages=({"role": "user", "content": "1+1"},))


def test_the_chat_template_gets_its_arguments_in_training_and_evaluation():
    tokenizer = chat_tokenizer(
        "{{ messages[0]['content'] }}{% if enable_thinking is defined and not enable_thinking %}0{% endif %}"
    )
    assert (
        tokenizer.decode(encode(ASKED, tokenizer)) == "1+1"
        and tokenizer.decode(encode(ASKED, tokenizer, {"enable_thinking": False})) == "1+10"
    )
    seen = []
    def generate(ids, sampling, policy):
        seen.extend(ids)
        return [[tokenizer.eos_token_id]] * len(ids), None
    sampler = PolicySampler(generate, tokenizer, 4, 4, template_arguments={"enable_thinking": False})
    assert sampler([ASKED])[0].prompt_ids == tuple(seen[0]) == tuple(
        encode(ASKED, tokenizer, {"enable_thinking": False})
    ) and sampler.fits(ASKED)
    assert not replace(sampler, max_prompt_tokens=3).fits(ASKED) and replace(
        sampler, max_prompt_tokens=3, template_arguments={}
    ).fits(ASKED)


def test_template_arguments_are_a_setting_that_params_yaml_keeps(tmp_path):
    assert _setting("template_arguments={enable_thinking: false}") == ("template_arguments", {"enable_thinking": False})
    settings = config("demo", template_arguments={"enable_thinking": False})
    open_folder(tmp_path, settings)
    kept = yaml.safe_load((tmp_path / "params.yaml").read_text(encoding="utf-8"))["config"]
    assert kept["template_arguments"] == {"enable_thinking": False} and config("demo", **kept) == settings
    with pytest.raises(ValueError, match="template_arguments: {'enable_thinking': False} there, {} now"):
        check_folder(tmp_path, config("demo"))


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('System role not supported') }}",
        "{{ messages[0].name.first }}",
        "{{ 1 / 0 }}",
        "{% for %}",
        None,
    ],
)
def test_a_chat_template_that_raises_is_one_sentence(template):
    with pytest.raises(
        ValueError,
        match=(
            "^the chat template of .* cannot write a solve/sums prompt .*: give it what it wants in "
            "template_arguments, or take style r1$"
        ),
    ):
        encode(ASKED, chat_tokenizer(template))


# configs/demo.yaml as it was when there was one system
BEFORE_SYSTEMS = """
# The embedded model with the recipe that suits it: minutes on a CPU.
model: tiny
dtype: float32
style: terse
references: 1
inputs: 6
batch: 32
attempts: 8
solver_samples: attempts
duplicate_reward: 0.0
proposer_weight: 0.15
workers: 2
timeout: 1.0
steps: 120
learning_rate: 0.0005
warmup_steps: 10
betas: [0.9, 0.99]
weight_decay: 0.0
entropy_coefficient: 0.0
micro_batches: 1
gradient_checkpointing: false
max_prompt_tokens: 192
max_completion_tokens: 64
chunk_tokens: 32768
score_tokens: 4096
evaluate_every: 20
save_every: 10
"""


def test_a_file_of_before_systems_is_read_as_azrs(tmp_path):
    mine = tmp_path / "mine.yaml"
    mine.write_text(BEFORE_SYSTEMS)
    assert config(mine) == config("demo") and config(mine).system == "azr"


def refused(capsys, folder, *words):
    "What `azr train` says of what it refuses, in one line, before there is a folder."
    assert main(["train", "--run", str(folder), *words]) == 2 and not folder.exists()
    said, = capsys.readouterr().err.splitlines()
    return said


def test_settings_of_another_system_are_refused_before_a_folder_is_made(tmp_path, capsys):
    mine = tmp_path / "mine.yaml"
    mine.write_text("system: azr\nflips: 3\n")
    said = refused(capsys, tmp_path / "run", "--config", str(mine))
    assert said.startswith("azr: unknown setting flips of system azr: `azr train --system azr --help`")
    mine.write_text("system: azr.sums:SUMS\nsolver_samples: refill\n")
    said = refused(capsys, tmp_path / "run", "--config", str(mine))
    assert said.startswith("azr: unknown setting solver_samples of system azr.sums:SUMS: it is a setting of azr; `azr")
    mine.write_text("system: azr\nflips: 3\n")
    said = refused(capsys, tmp_path / "run", "--config", str(mine), "--system", "coins:COINS")
    assert f"preset {mine} is of system 'azr', and 'coins:COINS' is asked for: leave one of them out" in said


def test_an_unknown_system_is_refused_before_a_folder_is_made(tmp_path, capsys):
    said = refused(capsys, tmp_path / "run", "--system", "chess")
    assert said == f"azr: no system is called 'chess': take one of {', '.join(SYSTEMS)}, or name one as module:NAME, " \
        "such as azr.sums:SUMS"
    said = refused(capsys, tmp_path / "run", "--system", "no_such_module:CHESS")
    assert "'no_such_module:CHESS' cannot be imported" in said and "name a module that Python finds from here" in said


def test_a_setting_written_as_an_option_is_told_how(tmp_path, capsys):
    for words, how in ((["--steps", "6"], "steps=6"), (["--learning-rate=1e-3"], "learning_rate=1e-3"),
                       (["--preset", "agent0", "--votes", "5"], "votes=5"),
                       (["--system", "ssr", "--workers"], "workers=VALUE")):
        said = refused(capsys, tmp_path / "run", *words)
        assert said == f"azr: {how.partition('=')[0]} is a setting: write --set {how}"
    with pytest.raises(SystemExit) as ended: main(["train", "--votes", "5"])
    assert ended.value.code == 2 and "unrecognized arguments: --votes 5" in capsys.readouterr().err


def test_a_wrong_name_is_refused_with_the_one_that_is_meant(tmp_path, capsys):
    assert "did you mean coder-7b?" in refused(capsys, tmp_path / "run", "--preset", "coder7b")
    for make in (SumsSettings, partial(replace, SumsSettings()), Config, partial(config, "demo")):
        with pytest.raises(ValueError, match="^unknown setting stepz of system .*: did you mean steps?"): make(stepz=3)


@pytest.mark.parametrize("source, line, why", [
    ("import azr\nimport no_such_package\n", 2, "ModuleNotFoundError: No module named 'no_such_package'"),
    ("import helper_of_mine\n", 1, "ZeroDivisionError: division by zero"),
    ("from azr.settings import System\n\nMINE = System('mine', dict)\n", 3, "ValueError: system 'mine' has no"),
    ("def f(:\n", 1, "SyntaxError: "),
])
def test_a_module_whose_own_import_fails_is_named_with_its_line(tmp_path, monkeypatch, capsys, source, line, why):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "page_of_mine.py").write_text(source)
    (tmp_path / "helper_of_mine.py").write_text("1 / 0\n")
    said = refused(capsys, tmp_path / "run", "--system", "page_of_mine:MINE")
    place = tmp_path / ("helper_of_mine.py" if "helper" in source else "page_of_mine.py")
    assert said.startswith(f"azr: system 'page_of_mine:MINE' cannot be made, for {place}, line {line} raises {why}")


def test_the_tutorials_domain_is_a_file_of_ones_own(tmp_path, monkeypatch):
    page = nbformat.read(ROOT / "nbs" / "tutorials" / "domain.ipynb", as_version=4)
    cells = [cell.source for cell in page.cells if cell.cell_type == "code"]
    last, = (i for i, text in enumerate(cells) if "PHYSICS = System(" in text)
    makes = ("import ", "def ", "class ")
    (tmp_path / "my_page.py").write_text("\n".join(text for text in cells[:last + 1] if any(w in text for w in makes)))
    monkeypatch.syspath_prepend(str(tmp_path))
    settings = config("", system="my_page:PHYSICS", batch=4)
    assert settings.batch == 4 and len(system_named("my_page:PHYSICS").exam(settings, "heldout", 5)) == 5


def test_a_system_may_be_named_beside_its_preset():
    def told(*words): return _settings(_parser(["train", *words]).parse_args(["train", *words]))
    assert told("--system", "azr", "--preset", "coder-7b") == told("--preset", "coder-7b")
    assert told("--system", "azr") == told()


def test_a_preset_and_a_file_together_are_a_usage_error(tmp_path, capsys):
    words = ["train", "--run", str(tmp_path / "run"), "--preset", "demo", "--config", "mine.yaml"]
    with pytest.raises(SystemExit) as ended: main(words)
    assert ended.value.code == 2 and not (tmp_path / "run").exists()
    assert "argument --config: not allowed with argument --preset" in capsys.readouterr().err


def test_help_waits_for_nothing_heavy():
    heavy = {"torch", "transformers", "pandas", "matplotlib"}
    script = f"import sys, azr.cli, azr.plan, azr.azr\nprint(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "words", [["--help"], ["plan", "--help"], ["train", "--help"], ["plan", "--gpu"], ["nonsense"]])
def test_help_and_usage_errors_load_nothing_heavy(words):
    heavy = {"torch", "transformers", "pandas", "matplotlib"}
    script = (f"import sys\nfrom azr.cli import main\ntry: main({words!r})\n"
              f"except SystemExit: print('heavy:', sorted({heavy!r} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: []"
