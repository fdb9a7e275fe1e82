"""The site of `make docs`: every page with its stored outputs, an API reference, the log; built into _docs/.

Nothing is run and nothing is downloaded. The pages are copied into _proc/docs, their links turned to where things lie
in the site, and Sphinx reads them there with myst-nb."""

import ast, os, re, shutil, sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat

import colab, notebooks

ROOT, STAGED, SITE = notebooks.ROOT, notebooks.ROOT / "_proc" / "docs", notebooks.ROOT / "_docs" / "html"
TEXTS = ("LOG.md", "CHANGELOG.md", "CONTRIBUTING.md")
PARTS = {   # beginning of a page's name -> what the sidebar calls it
    "0": "The loop", "1": "AZR: programs", "2": "Training", "3": "A run of any system", "4": "Agent0",
    "5": "Repositories: SSR", "9": "Other domains", "tutorials/": "Tutorials", "runs/": "Runs",
}
HIDDEN = {"hide", "include: false"}
NOT_RUN = "It is shown as it stands in the repository: its reader runs it, or it takes hours, so no outputs are stored."

# ---- where things lie in the site

def staged(path: Path) -> Path | None: # None: it is not part of the site
    "The place of a file of the checkout among the staged ones."
    inside = path.relative_to(ROOT)
    if inside.parts[0] == "nbs" and path.suffix == ".ipynb": return STAGED.joinpath(*inside.parts[1:])
    return STAGED / inside if inside.parts[0] == "figures" or inside.name in TEXTS else None

def moved(text: str, page: Path) -> str:
    "The links of a text, as they are seen from the staged page."
    def there(path):
        place = staged(path)
        if place is None: return notebooks.repository() + path.relative_to(ROOT).as_posix()
        return Path(os.path.relpath(place, staged(page).parent)).as_posix()
    return notebooks.relinked(text, page, there)

# ---- pages

def drawing(code: str) -> dict[str, str]: # name of a function that draws -> what it draws
    "The first lines of docstrings of what is marked as a figure."
    functions = [node for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)]
    marked = [node for node in functions if "figure" in map(ast.unparse, node.decorator_list)]
    return {node.name: ast.get_docstring(node).splitlines()[0] for node in marked}

@cache
def figures() -> dict[str, str]:
    "Those of azr.plots."
    return drawing((ROOT / "azr" / "plots.py").read_text(encoding="utf-8"))

def alternative(source: str, before: str, own: dict[str, str]) -> str: # own: figures that the page defines
    "What a picture shows, for who cannot see it: its function's own words, else the last sentence above it."
    known = figures() | own
    called = [name for name in re.findall(r"(?<![.\w])(\w+)\(", source) if name in known]
    if called: return known[called[-1]]
    plain = re.sub(r"\[([^]]*)\]\([^)]*\)|[*`$#>|]", r"\1", before)
    sentences = [one.strip() for one in re.split(r"(?<=[.:?!])\s+|\n\n+", plain) if len(one.split()) > 2]
    return sentences[-1] if sentences else ""

def page(path: Path):
    "A page as the site shows it: no hidden cells, no directives but `export`, a text for each picture."
    book, before = notebooks.read(path), ""
    kept = [cell for cell in book.cells if not notebooks.directives(cell) & HIDDEN]
    book.cells = [cell for cell in kept if not any(one.startswith("default_exp") for one in notebooks.directives(cell))]
    own = drawing("\n".join(cell.source for cell in book.cells if "@figure" in cell.source))
    for cell in book.cells:
        if cell.cell_type != "code":
            before = cell.source
            cell.source = moved(cell.source, path)
            continue
        lines = cell.source.splitlines()
        cell.source = "\n".join(line for line in lines if not re.match(r"#\s*\|(?!\s*export)", line))
        if any(kind.startswith("image/") for output in cell.outputs for kind in output.get("data", {})):
            cell.metadata["mystnb"] = {"image": {"alt": alternative(cell.source, before, own)}}
    title, _, rest = book.cells[0].source.partition("\n")
    book.cells[0].source = f"{title}\n\n[Open in Colab]({colab.address(path)})\n\n{rest}"
    code = [cell for cell in book.cells if cell.cell_type == "code"]
    if not any(cell.outputs for cell in code):
        book.cells.insert(1, nbformat.v4.new_markdown_cell(f":::{{note}}\n{NOT_RUN}\n:::"))
    return book

def contents() -> str: # markdown
    "The sidebar: what the landing page leads to."
    names = [path.relative_to(ROOT / "nbs").with_suffix("").as_posix() for path in notebooks.notebooks()]
    groups = {title: [name for name in names if name.startswith(start)] for start, title in PARTS.items()}
    groups |= {"Reference": [f"api/{path.stem}" for path in modules()]}
    groups |= {"The project": [Path(name).stem for name in TEXTS]}
    def tree(title, own): return "\n".join([f"```{{toctree}}\n:hidden:\n:caption: {title}\n", *own, "```"])
    return "\n\n".join(tree(title, own) for title, own in groups.items() if own)

# ---- the reference

def modules() -> list[Path]:
    return sorted(path for path in (ROOT / "azr").glob("*.py") if path.stem[0] != "_")

def head(node: ast.AST, lines: list[str]) -> str:
    "A definition without its body, comments and all: its docments stand there. Of a class the fields, too."
    first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
    inner = node.body
    if isinstance(node, ast.ClassDef): inner = [one for one in node.body if isinstance(one, ast.FunctionDef)]
    starts = [min([one.lineno, *(mark.lineno for mark in getattr(one, "decorator_list", []))]) for one in inner]
    end = min(starts, default=node.end_lineno + 1)
    text = "\n".join(lines[first - 1:max(end - 1, node.lineno)]).rstrip()
    return re.sub(r"^( *)#\s*$", "", text, flags=re.M)

def entry(node: ast.AST, lines: list[str], owner: str = "") -> list[str]: # blocks of markdown
    "One public name: signature, words, and a class's public methods."
    level, told = "###" if owner else "##", ast.get_docstring(node) or ""
    blocks = [f"{level} {owner}{node.name}", f"```python\n{head(node, lines)}\n```"]
    if told and not isinstance(node, ast.ClassDef): blocks.append(told)
    if isinstance(node, ast.ClassDef):
        methods = [one for one in node.body if isinstance(one, ast.FunctionDef) and one.name[0] != "_"]
        for one in methods: blocks += entry(one, lines, f"{node.name}.")
    return blocks

def reference(path: Path) -> str: # markdown
    "A module's public names, in its own order."
    text = path.read_text(encoding="utf-8")
    tree, lines = ast.parse(text), text.splitlines()
    offered = [ast.literal_eval(node.value) for node in tree.body if isinstance(node, ast.Assign)
               and ast.unparse(node.targets[0]) == "__all__"]
    made_from = re.search(r"File to edit: \.\./nbs/(\w+\.ipynb)", text)
    blocks = [f"# azr.{path.stem}", ast.get_docstring(tree) or ""]
    if made_from: blocks.append(f"Made from [{made_from[1]}](../{made_from[1]}), where each is shown at work.")
    for node in tree.body:
        names = [node.name] if isinstance(node, (ast.FunctionDef, ast.ClassDef)) else \
            [one.id for one in getattr(node, "targets", []) if isinstance(one, ast.Name)]
        if not set(names) & set(offered[0] if offered else []): continue
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)): blocks += entry(node, lines)
        else: blocks += [f"## {names[0]}", f"```python\n{ast.get_source_segment(text, node)}\n```"]
    return "\n\n".join(blocks) + "\n"

# ---- what no site may have

class _Read(HTMLParser):
    "A built page: the anchors it has, where it leads, its pictures, how many cells have outputs."
    def __init__(self, path: Path):
        super().__init__()
        self.anchors, self.links, self.pictures, self.outputs = set(), [], [], 0
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        own = dict(attributes)
        self.anchors |= {own[name] for name in ("id", "name") if own.get(name)}
        if tag == "a" and own.get("href"): self.links.append(own["href"])
        if tag == "img": self.pictures.append((own.get("src", ""), own.get("alt")))
        self.outputs += "cell_output" in (own.get("class") or "").split()

def faults(site: Path) -> list[str]: # empty: none
    "Internal links that lead nowhere, pictures without a text or a file, pages without an output."
    pages, found = {path: _Read(path) for path in sorted(site.rglob("*.html"))}, []
    for path, one in pages.items():
        name = path.relative_to(site).as_posix()
        for link in one.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc: continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not there.is_file(): found.append(f"{name}: {link} leads nowhere")
            elif parts.fragment and there in pages and unquote(parts.fragment) not in pages[there].anchors:
                found.append(f"{name}: {link} has no such anchor")
        for source, words in one.pictures:
            if not words or words == source: found.append(f"{name}: {source[:60]} has no text for who cannot see it")
            if not urlsplit(source).scheme and not (path.parent / unquote(source)).is_file():
                found.append(f"{name}: {source} is no file")
        book = STAGED / path.relative_to(site).with_suffix(".ipynb")
        if book.exists() and not one.outputs and NOT_RUN not in book.read_text(encoding="utf-8"):
            found.append(f"{name}: no cell has an output")
    return found

# ---- the whole

def stage():
    "Everything that Sphinx reads."
    shutil.rmtree(STAGED, ignore_errors=True)
    shutil.copytree(ROOT / "figures", STAGED / "figures")
    (STAGED / "_static").mkdir()
    (STAGED / "_static" / "looks.css").write_text(LOOKS, encoding="utf-8")
    for path in notebooks.notebooks():
        book, there = page(path), staged(path)
        if path.name == "index.ipynb": book.cells.append(nbformat.v4.new_markdown_cell(contents()))
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text(nbformat.writes(book), encoding="utf-8")
    for name in TEXTS:
        text = moved((ROOT / name).read_text(encoding="utf-8"), ROOT / name)
        (STAGED / name).write_text(text, encoding="utf-8")
    (STAGED / "api").mkdir()
    for path in modules(): (STAGED / "api" / f"{path.stem}.md").write_text(reference(path), encoding="utf-8")

# Lines of code have 120 columns and fit into a window of 1,400 pixels; what is printed is wrapped, as in JupyterLab.
LOOKS = """
body {--code-font-size: 75%}
@media (min-width: 82em) {
  .content {width: min(62em, calc(100vw - 31em)); padding: 0 1.5em}
  .toc-drawer {width: 13em; padding-right: 0}
}
div.cell div.cell_input {border-color: var(--color-background-border); border-left-color: green}
.cell_output table.dataframe {border: 0; border-collapse: collapse; font-size: 87.5%}
.cell_output table.dataframe :is(td, th) {
  border: 0; border-bottom: 1px solid var(--color-background-border); padding: .2em .6em; text-align: right
}
.cell_output pre, .highlight-default pre, .highlight-none pre {white-space: pre-wrap}
"""

CONFIGURATION = {
    "project": "azr", "html_title": "azr", "extensions": ["myst_nb"], "html_theme": "furo", "html_show_sphinx": False,
    "nb_execution_mode": "off", "nb_merge_streams": True, "myst_enable_extensions": ["dollarmath", "colon_fence"],
    "myst_heading_anchors": 4, "html_copy_source": False, "html_static_path": ["_static"],
    "html_css_files": ["looks.css"], "templates_path": [], "exclude_patterns": [],
    # a page may tell of a `%%` cell or of model text that no lexer reads
    "suppress_warnings": ["misc.highlighting_failure", "myst.header"],
}

def main() -> int: # 0: no warning, no fault
    stage()
    shutil.rmtree(SITE, ignore_errors=True)
    try: from sphinx.application import Sphinx
    except ImportError: sys.exit("the site needs Sphinx, myst-nb and furo: `make docs` installs them (the extra docs)")
    trees = STAGED.parent / "doctrees"
    site = Sphinx(STAGED, None, SITE, trees, "html", CONFIGURATION, status=None, warning=sys.stderr)
    site.build(force_all=True)
    wrong = faults(SITE)
    colab.write(SITE.parent / colab.BRANCH)
    print(*wrong, f"{len(list(SITE.rglob('*.html')))} pages, {len(wrong)} faults: {SITE / 'index.html'}", sep="\n")
    return int(bool(wrong or site._warncount))

if __name__ == "__main__": sys.exit(main())
