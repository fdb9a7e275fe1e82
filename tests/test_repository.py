"The repository's promises about itself: direction of imports, generated files, facts written once, sizes."
import ast, os, re, shutil, subprocess, sys, tomllib
from collections import Counter
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from conftest import ROOT
import check, measure, notebooks, public_names, readme

# A file over 1 MB needs its reason here.
LARGE = {}
# What an import name is called in settings.ini, where that differs.
DISTRIBUTIONS = {"yaml": "pyyaml", "IPython": "ipykernel"}
# Backends that azr uses where a user has installed them.
OPTIONAL = {"gguf", "vllm", "bitsandbytes", "math_verify", "lm_eval", "wandb", "tensorboard", "trackio", "google"}
TORCH_AND_FRIENDS = {"torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers", "safetensors"}
FIRST_TORCH_PAGE = "20"
TORCH_BEFORE = {"1a"}      # the embedded model is made with torch
FIRST_LAZY_PAGE = "18"     # from here on a function may import torch's friends where it needs them

def requirements(*keys: str) -> list[Requirement]:
    return [Requirement(word) for key in keys for word in notebooks.facts()[key].split()]

def git_files() -> list[Path]:
    if not shutil.which("git"): pytest.skip("no git on PATH")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode: pytest.skip("no git checkout")
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]

def code(notebook) -> str:
    "A notebook's Python: magics and shell lines dropped."
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code" and not cell.source.startswith("%%")]
    return "\n".join(re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.M) for source in sources)

def imported(source: str) -> set[str]:
    "The dotted names that a source imports, at any depth."
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import): found |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            found |= {node.module} | ({f"azr.{alias.name}" for alias in node.names} if node.module == "azr" else set())
        if isinstance(node, ast.ImportFrom) and node.level:
            found |= {f"azr.{node.module}"} if node.module else {f"azr.{alias.name}" for alias in node.names}
    return found

def page_modules() -> dict[str, tuple[str, Path]]:
    # module name -> page number (of base 36: its order is that of texts), page
    "What each numbered page exports to."
    found = {}
    for page in notebooks.pages():
        exported = re.search(r"^#\|\s*default_exp\s+(\w+)", code(notebooks.read(page)), re.M)
        if exported: found[exported[1]] = page.name.split("_")[0], page
    return found

PAGES, ALL = notebooks.pages(), notebooks.notebooks()

def name(path: Path) -> str:
    return path.relative_to(ROOT / "nbs").as_posix()

def without_torch(before: str = FIRST_TORCH_PAGE) -> dict[str, Path]: # module -> its page
    "The modules that load where torch is not installed. A page that exports nothing may show torch."
    numbered = page_modules().items()
    return {module: page for module, (number, page) in numbered if number < before and number not in TORCH_BEFORE}

# ---- pages and modules

def test_a_public_name_stands_for_one_thing():
    "`command` aside: each page with one hands it to the command line."
    modules = [ast.parse((ROOT / "azr" / f"{module}.py").read_text(encoding="utf-8")) for module in page_modules()]
    named = Counter(word for module in modules for word in public_names.offered(module.body))
    assert [word for word, count in named.items() if count > 1] == ["command"]

def test_numbered_pages_are_named_after_their_module():
    for module, (number, page) in page_modules().items(): assert page.name == f"{number}_{module}.ipynb"

@pytest.mark.parametrize("page", [p for p in PAGES if p.name[0].isdigit()], ids=name)
def test_imports_point_to_lower_numbers(page):
    numbers, own = {module: number for module, (number, _) in page_modules().items()}, page.name.split("_")[0]
    for dotted in imported(code(notebooks.read(page))):
        parts = dotted.split(".")
        if parts[0] != "azr" or len(parts) == 1 or parts[1] not in numbers: continue
        assert (
            numbers[parts[1]] < own
        ), f"{page.name} imports {dotted}, which is on a later page or its own: the number is the import order"

@pytest.mark.parametrize("page", without_torch(FIRST_LAZY_PAGE).values(), ids=name)
def test_early_pages_name_no_torch(page):
    used = {dotted.split(".")[0] for dotted in imported(code(notebooks.read(page)))} & TORCH_AND_FRIENDS
    assert not used, f"{page.name} imports {used}: modules below {FIRST_LAZY_PAGE} work without"

def test_early_modules_load_no_torch():
    imports = "".join(f"import azr.{module}\n" for module in sorted(without_torch()))
    script = f"import sys\n{imports}print(sorted({TORCH_AND_FRIENDS!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

def test_export_is_in_sync(tmp_path):
    shutil.copytree(ROOT / "nbs", tmp_path / "nbs")
    for file in ("settings.ini", "pyproject.toml"): shutil.copy(ROOT / file, tmp_path / file)
    (tmp_path / "azr").mkdir()
    shutil.copy(ROOT / "azr" / "__init__.py", tmp_path / "azr")
    subprocess.run(
        [sys.executable, "-c", "from check import export; export()"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / ".ci")},
        check=True,
        capture_output=True,
    )
    ours, fresh = (
        {path.name: path.read_text(encoding="utf-8") for path in (folder / "azr").glob("*.py")}
        for folder in (ROOT, tmp_path)
    )
    assert sorted(ours) == sorted(fresh), "azr/ holds a module that no notebook exports, or lacks one: run `make check`"
    differing = [module for module in ours if ours[module] != fresh[module]]
    assert (
        not differing
    ), f"{differing} in azr/ are not what their notebooks export: edit the notebooks, and run `make check`"

def test_modules_import_what_settings_declare():
    declared = {canonicalize_name(r.name) for r in requirements("requirements", "lab_requirements")}
    development = {canonicalize_name(r.name) for r in requirements("dev_requirements")}
    for module in sorted((ROOT / "azr").glob("*.py")):
        for top in (
            {dotted.split(".")[0] for dotted in imported(module.read_text(encoding="utf-8"))}
            - set(sys.stdlib_module_names)
            - OPTIONAL
            - {"azr"}
        ):
            distribution = canonicalize_name(DISTRIBUTIONS.get(top, top))
            assert distribution not in development, f"azr/{module.name} imports {top}, a development dependency"
            assert (
                distribution in declared
            ), f"azr/{module.name} imports {top}, which settings.ini's requirements do not name"

# ---- notebooks as files

@pytest.mark.parametrize("path", ALL, ids=name)
def test_notebook_is_clean(path, tmp_path):
    copy = tmp_path / path.name
    shutil.copy(path, copy)
    assert not notebooks.write(
        notebooks.read(copy), copy
    ), f"{name(path)} has other ids, metadata or counts than a clean notebook: run `make check`"

@pytest.mark.parametrize("path", ALL, ids=name)
def test_stored_outputs_are_the_same_everywhere(path):
    for cell in notebooks.read(path).cells:
        for output in cell.get("outputs", []):
            texts = [
                output.get("text", ""),
                *(
                    value
                    for kind, value in output.get("data", {}).items()
                    if kind.startswith("text/") and isinstance(value, str)
                ),
            ]
            for text in texts:
                assert not re.search(r" at 0x[0-9a-f]{6,}", text), f"{name(path)} {cell.id} stores a memory address"
                assert not re.search(
                    r"(?<![\w.])/(home|root|Users|tmp|private|work|var)/", text
                ), f"{name(path)} {cell.id} stores a path of one machine"

@pytest.mark.parametrize("path", [p for p in ALL if p.parent.name == "runs"], ids=name)
def test_run_notebooks_have_their_parameters(path):
    notebook = notebooks.read(path)
    tagged = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", [])]
    assert (
        len(tagged) == 1
    ), f"{name(path)} needs exactly one cell with the tag `parameters`: papermill finds it by that"
    assert all(
        isinstance(node, (ast.Assign, ast.AnnAssign)) for node in ast.parse(tagged[0].source).body
    ), "the parameters cell holds assignments only"
    assert "default_exp" not in code(notebook) and "#| export" not in code(notebook), "run notebooks export nothing"

def test_readme_is_current():
    if not readme.INDEX.exists(): pytest.skip("no nbs/index.ipynb yet")
    assert readme.README.read_text(encoding="utf-8") == readme.build(
        notebooks.read(readme.INDEX)
    ), "README.md is not what nbs/index.ipynb says: run `make check`"

def test_readme_honours_directives():
    cell = notebooks.nbformat.v4.new_code_cell
    def output(text): return notebooks.nbformat.v4.new_output("stream", text=text)
    page = notebooks.nbformat.v4.new_notebook(
        cells=[
            notebooks.nbformat.v4.new_markdown_cell(
                "# t\n[a](00_core.ipynb) ![b](../figures/b.png) [c](https://c.org) [d](#d)"
            ),
            cell("#| hide\nsecret = 1"),
            cell("#| echo: false\nprint(1)", outputs=[output("one\n")]),
            cell("#| output: false\nx", outputs=[output("never")]),
        ]
    )
    text = readme.build(page)
    assert "[a](nbs/00_core.ipynb) ![b](figures/b.png) [c](https://c.org) [d](#d)" in text
    assert (
        "secret" not in text
        and "print(1)" not in text
        and "```\none\n```" in text
        and "```python\nx\n```" in text
        and "never" not in text
    )

# ---- widths

@pytest.mark.parametrize("path", ALL, ids=name)
def test_no_line_of_a_notebooks_code_is_too_wide(path):
    page = measure.page_of(path.relative_to(ROOT).as_posix(), notebooks.read(path))
    assert not measure.wide(page.code)

def test_no_line_of_modules_tests_and_scripts_is_too_wide():
    assert not measure.wide(measure.sources([*measure.files("azr"), *measure.files("tests"), *measure.files(".ci")]))

def test_what_counts_as_too_wide():
    fits, wide = (measure.Source("a.py", f"x = 1\ny = {'1' * digits}") for digits in (116, 117))
    assert (measure.wide([fits]), measure.wide([wide])) == ([], ["a.py:2 121"])

# ---- facts

KEYS = ("requirements", "lab_requirements", "dev_requirements", "evals_requirements", "real_requirements", "real_files",
        "docs_requirements")

def test_every_dependency_has_its_reason():
    lines = (ROOT / "settings.ini").read_text(encoding="utf-8").splitlines()
    words = {
        word
        for key in KEYS
        for word in notebooks.facts()[key].split()
    }
    found = [(before.strip(), line.strip()) for before, line in zip(lines, lines[1:]) if line.strip() in words]
    assert {line for _, line in found} == words, "one requirement a line"
    for before, line in found: assert before.startswith("# ") and len(before) > 10, f"{line} has no reason above it"

def test_pyproject_agrees_with_settings():
    facts, project = notebooks.facts(), tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert (
        project["project"]["name"] == facts["lib_name"]
        and project["project"]["requires-python"] == f">={facts['min_python']}"
    )
    for key, value in project["tool"]["nbdev"].items():
        said = " ".join(value) if isinstance(value, list) else str(value)
        assert said == facts[key], f"[tool.nbdev] {key} = {value!r}, settings.ini: {facts[key]!r}"

def test_a_release_is_said_everywhere_alike():
    version = notebooks.facts()["version"]
    first = re.search(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)[1]
    assert first in ("Unreleased", version)
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")

def test_installed_metadata_is_what_settings_say():
    facts, installed = notebooks.facts(), metadata.metadata("azr")
    assert installed["Version"] == facts["version"] and f'"{facts["version"]}"' in (
        ROOT / "azr" / "__init__.py"
    ).read_text(encoding="utf-8")
    assert (
        installed["Summary"] == facts["description"]
        and installed["Author"] == facts["author"]
        and "Apache-2.0" in (installed.get("License-Expression") or installed.get("License"))
    )
    wanted = {str(r) for r in requirements("requirements")}
    assert {str(r) for text in installed.get_all("Requires-Dist") if (r := Requirement(text)).marker is None} == wanted
    assert set(installed.get_all("Provides-Extra")) == {"dev", "docs", "evals", "gpu", "lab", "real"}
    assert [(e.name, e.value) for e in metadata.distribution("azr").entry_points] == [
        tuple(facts["console_scripts"].split("="))
    ]

def test_constraints_pin_every_requirement_and_nothing_local():
    lines = [
        line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if line and line[0] != "#"
    ]
    pins = {canonicalize_name(r.name): r for r in map(Requirement, lines)}
    assert (
        all(r.url is None and str(r.specifier).startswith("==") and "+" not in str(r.specifier) for r in pins.values())
        and "jupytext" not in pins
    )
    for r in requirements(*KEYS):
        version = str(pins[canonicalize_name(r.name)].specifier)[2:]
        assert r.specifier.contains(
            version
        ), f"constraints.txt pins {r.name} {version}, outside settings.ini's {r.specifier}"

# ---- sizes

def test_no_large_file():
    for path in git_files():
        relative = path.relative_to(ROOT).as_posix()
        assert (
            path.stat().st_size <= 1_000_000 or relative in LARGE
        ), f"{relative} has {path.stat().st_size / 1e6:.1f} MB: shrink it, or give its reason in LARGE"

def test_checkout_is_small():
    packed = subprocess.run(
        ["git", "pack-objects", "--revs", "--stdout", "-q"], cwd=ROOT, input=b"HEAD\n", capture_output=True
    )
    files = sum(path.stat().st_size for path in git_files())
    assert files < 30_000_000, f"the files of a checkout take {files / 1e6:.1f} MB"
    assert len(packed.stdout) < 30_000_000, f"its history takes {len(packed.stdout) / 1e6:.1f} MB"

# ---- the scripts

def test_check_names_what_changed():
    assert check.changed({"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"}) == ["b", "c", "d"]

@pytest.mark.skipif(not shutil.which("make"), reason="no make")
def test_makefile_explains_itself():
    shown = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for target in ("help", "demo", "test", "test-slow", "lab", "check", "refresh", "figures", "bench", "tiny", "clean"):
        assert f"make {target} " in shown
    windows = subprocess.run(["make", "demo", "OS=Windows_NT"], cwd=ROOT, capture_output=True, text=True)
    assert windows.returncode and "WSL2" in windows.stderr and windows.stderr.count("\n") == 1

def test_records_of_runs_are_compact():
    sizes = {path: path.stat().st_size for path in (ROOT / "data").rglob("*") if path.is_file()}
    large = [path.name for path, size in sizes.items() if path.suffix == ".json" and size >= 45_000]
    assert not large, f"{large} hold 45 KB or more: keep fewer steps or measures"
    assert sum(sizes.values()) < 8_000_000   # some 260 runs of three systems, each with its seeds


def opens_by_locale(source: str) -> list[str]:
    "Calls that read or write a text file in whatever encoding the machine has."
    found = []
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        of, given = call.func, {keyword.arg: keyword.value for keyword in call.keywords}
        word = of.attr if isinstance(of, ast.Attribute) else getattr(of, "id", "")
        modules = {"os", "gzip", "webbrowser", "kind"}   # other functions of that name; `kind`: a task type
        if (
            word == "open"
            and isinstance(of, ast.Attribute)
            and isinstance(of.value, ast.Name)
            and of.value.id in modules
        ):
            continue
        if word not in ("open", "read_text", "write_text") or "encoding" in given: continue
        after = call.args[1 if isinstance(of, ast.Name) else 0:]
        mode = given.get("mode", after[0] if after else ast.Constant("r"))
        if word != "open" or "b" not in getattr(mode, "value", "r"): found.append(ast.unparse(call))
    return found


def test_text_files_have_an_encoding():
    wrong = [
        "open(p)",
        "open(p, 'w')",
        "p.open('a')",
        "p.read_text()",
        "p.write_text(t)",
        "p.read_text(errors='replace')",
    ]
    right = [
        "open(p, 'rb')",
        "open(p, mode='wb')",
        "p.open('ab')",
        "p.read_text(encoding='utf-8')",
        "os.open(p, os.O_RDONLY)",
        "open(p, encoding='utf-8')",
    ]
    assert [bool(opens_by_locale(line)) for line in wrong + right] == [True] * len(wrong) + [False] * len(right)
    sources = {
        path.name: path.read_text(encoding="utf-8")
        for folder in ("azr", ".ci")
        for path in (ROOT / folder).glob("*.py")
    }
    sources |= {name(page): code(notebooks.read(page)) for page in ALL}
    assert {place: calls for place, source in sources.items() if (calls := opens_by_locale(source))} == {}
