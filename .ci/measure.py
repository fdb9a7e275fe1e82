"Prints what can be counted of the house style, beside its goals: `make measure`."
import argparse, ast, functools, io, math, os, re, statistics, subprocess, sys, time, tokenize
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import notebooks, public_names, sentences

COLUMNS, SENTENCE = 120, 30       # the widest line in columns, the longest sentence in words
TASK_TYPES = re.compile(r"(?:de|in|ab)duction", re.I)      # no page of decade 0, 2 or 3 knows them

@dataclass(frozen=True)
class Source:
    "A cell of a notebook, or a whole Python file."
    place: str                    # nbs/05_selfplay.ipynb#c004, or tests/toy.py
    text: str
    exported: bool = False

@dataclass(frozen=True)
class Page:
    "A notebook, or a Python file, which has no prose."
    name: str                     # path from the checkout's root
    module: str                   # the module that it exports or is; empty: none
    code: list[Source]
    prose: list[Source]

    @property
    def number(self) -> str:
        found = re.match(r"nbs/([0-9a-z]{2})_", self.name)
        return found[1] if found else ""

def is_exported(cell) -> bool: return any(re.match(r"exports?i?\b", line) for line in notebooks.directives(cell))

def page_of(name: str, notebook) -> Page:
    "A notebook; cells of shell code are left out."
    cells = [(cell.cell_type, Source(f"{name}#{cell.id}", cell.source, is_exported(cell))) for cell in notebook.cells]
    code = [source for kind, source in cells if kind == "code" and not source.text.startswith("%%")]
    module = re.search(r"^#\s*\|\s*default_exp\s+(\w+)", "\n".join(source.text for source in code), re.M)
    return Page(name, module[1] if module else "", code, [source for kind, source in cells if kind == "markdown"])

def files(folder: str) -> list[Page]: # _modidx.py is nbdev's
    paths = sorted(path for path in (notebooks.ROOT / folder).glob("*.py") if path.name != "_modidx.py")
    sources = [Source(f"{folder}/{path.name}", path.read_text(encoding="utf-8")) for path in paths]
    return [Page(source.place, Path(source.place).stem if folder == "azr" else "", [source], []) for source in sources]

def sources(pages) -> list[Source]: return [source for page in pages for source in page.code]

@functools.cache
def nodes(source: Source) -> list[ast.AST]:
    "Of its syntax tree; lines of IPython's magic count as `pass`. Raises SyntaxError with the place."
    try:
        tree = ast.parse(source.text)
    except SyntaxError:
        tree = ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", source.text, flags=re.M), source.place)
    return list(ast.walk(tree))

def lines(found: list[Source]) -> list[tuple[str, str]]: # (place, line): neither blank nor a directive of nbdev
    numbered = [(f"{source.place}:{i}", line) for source in found for i, line in enumerate(source.text.splitlines(), 1)]
    return [(place, line) for place, line in numbered if line.strip() and not re.match(r"#\s*\|", line)]

# ---- lines, lambdas, lengths

def wide(found: list[Source]) -> list[str]: # place and width
    return [f"{place} {len(line)}" for place, line in lines(found) if len(line) > COLUMNS]

def percentile(values: list[int], share: float) -> int: # the smallest value that `share` of all do not exceed
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else 0

def lambdas(found: list[Source]) -> tuple[int, list[str]]: # all, places of those that are not arguments of a call
    every = [(source.place, node) for source in found for node in nodes(source)]
    calls = [node for _, node in every if isinstance(node, ast.Call)]
    given = {id(value) for call in calls for value in [*call.args, *(keyword.value for keyword in call.keywords)]}
    places = [(f"{place}:{node.lineno}", id(node)) for place, node in every if isinstance(node, ast.Lambda)]
    return len(places), [place for place, key in places if key not in given]

def functions(found: list[Source]) -> list[tuple[int, str]]: # lines, place and name
    return [(node.end_lineno - node.lineno + 1, f"{source.place}:{node.lineno} {node.name}")
            for source in found for node in nodes(source) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]

# ---- names, demonstrations, prose

def public(modules: list[Page]) -> list[tuple[str, str]]: # (module, name)
    return [(page.module, name) for page in modules for name in public_names.offered(nodes(page.code[0]))]

def used(pages: list[Page]) -> set[tuple[str, str]]: # (module, name)
    "Names of modules that other pages use."
    found = [(page, [node for source in page.code for node in nodes(source)]) for page in pages]
    return {pair for page, every in found for pair in public_names.used(every) if pair[0] != page.module}

def demonstration(pages: list[Page]) -> float: # lines that show, for each exported line; nan: nothing is exported
    shown, exported = (len(lines([s for s in sources(pages) if s.exported is kind])) for kind in (False, True))
    return shown / exported if exported else math.nan

def words_until(pages: list[Page], last) -> int | None: # None: `last` holds for no page
    "Words of prose on the numbered pages, up to and including the first page for which `last(page)` holds."
    total = 0
    for page in sorted((page for page in pages if page.number), key=attrgetter("name")):
        total += sum(len(source.text.split()) for source in page.prose)
        if last(page):
            return total

def tells_the_loop(page: Page) -> bool: return page.module == "selfplay"

def takes_a_step(page: Page) -> bool: return page.name.endswith("_gradient.ipynb") or page.module == "trainer"

def decade(page: Page) -> str:
    return page.number[:1]

def is_later(page: Page) -> bool:
    "Whether a page is Agent0's or SSR's; the goal for public names is older than both."
    return page.number == "18" or decade(page) in ("4", "5")

def task_type_words(pages: list[Page]) -> list[str]: # place and word; comments are not read
    "AZR's task types in identifiers and texts of exported code that serves any system."
    found = []
    for source in sources(page for page in pages if page.number and decade(page) in ("0", "2", "3")):
        for token in tokenize.generate_tokens(io.StringIO(source.text * source.exported).readline):
            for match in TASK_TYPES.finditer(token.string) if token.type != tokenize.COMMENT else []:
                line = token.start[0] + token.string.count("\n", 0, match.start())
                found.append(f"{source.place}:{line} {match[0]}")
    return found

def long_sentences(texts: list[tuple[str, str]]) -> list[str]: # [(place, text)] -> place, words, beginning
    found = [(place, sentence) for place, text in texts for sentence in sentences.sentences(text)]
    return [f"{place} {words} {sentence[:60]}" for place, sentence in found
            if (words := sentences.words(sentence)) > SENTENCE]

# ---- the table

def seconds(*arguments: str) -> float: # median of three
    "What a command line of this Python takes."
    took = []
    for _ in range(3):
        began, environment = time.perf_counter(), {**os.environ, "PYTHONPATH": str(notebooks.ROOT)}
        subprocess.run([sys.executable, *arguments], env=environment, stdout=subprocess.DEVNULL, check=True)
        took.append(time.perf_counter() - began)
    return statistics.median(took)

def line_rows(name: str, pages: list[Page]) -> list[tuple]:
    "Width and lambdas."
    found = sources(pages)
    over, widths, (count, loose) = wide(found), [len(line) for _, line in lines(found)], lambdas(found)
    share, rate = len(over) / max(1, len(widths)), 1000 * count / max(1, len(widths))
    values = f"{len(over)} of {len(widths)}, {share:.1%}", f"{percentile(widths, .99)} / {max(widths, default=0)}"
    return [(f"{name}: lines over {COLUMNS} columns", values[0], "0", over),
            (f"{name}: width, p99 / widest", values[1], f"{COLUMNS} / {COLUMNS}", []),
            (f"{name}: lambdas per 1,000 lines", f"{rate:.1f}", "< 5", []),
            (f"{name}: lambdas that are no argument", f"{len(loose)} of {count}", "0", loose)]

def longest(name: str, goal: int, found: list[tuple[int, str]]) -> tuple: # lists the five longest
    five = sorted(found, reverse=True)[:5]
    return name, str(five[0][0] if five else 0), str(goal), [f"{place} {length}" for length, place in five]

def name_rows(books: list[Page], modules: list[Page], tests: list[Page], scripts: list[Page]) -> list[tuple]:
    "How many names are public, whose they are, and which of them nobody uses."
    settings = (notebooks.ROOT / "settings.ini").read_text(encoding="utf-8")
    names, elsewhere = public(modules), used([*books, *scripts]) | public_names.named(settings)
    later, tested = {page.module for page in books if is_later(page)}, used(tests)
    alone = [pair for pair in names if pair not in elsewhere]
    nowhere, only_tested = ([".".join(p) for p in alone if (p in tested) is kind] for kind in (False, True))
    count = sum(module in later for module, _ in names)
    return [
        ("public names", str(len(names)), "", []),
        ("public names of the house, AZR and examples", str(len(names) - count), "< 350", []),
        ("public names of Agent0 and SSR", str(count), "", []),
        ("public names used nowhere else", str(len(nowhere)), "< 40", nowhere),
        ("public names used in tests only", str(len(only_tested)), "", only_tested)]

def rows(books: list[Page], modules: list[Page], tests: list[Page], scripts: list[Page]) -> list[tuple]:
    "Name, value, goal and places of each figure that files tell."
    written = sources([*books, *tests, *scripts])      # azr/ is what the notebooks export
    exported = [source for source in written if source.exported]
    named_types, paged = task_type_words(books), [page for page in books if page.module]
    shown = [demonstration([p for p in paged if module in ("", p.module)]) for module in ("selfplay", "trainer", "")]
    understood, stepped = words_until(books, tells_the_loop), words_until(books, takes_a_step)
    prose = long_sentences([(source.place, source.text) for page in books for source in page.prose])
    said = long_sentences([(f"{source.place}:{line}", text) for source in written
                           for line, text in sentences.spoken(nodes(source))])
    climb = sum(len(source.text.splitlines()) for page in modules if page.module == "climb" for source in page.code)
    groups = {"notebooks": books, "azr": modules, "tests": tests, ".ci": scripts}
    return [
        *(row for name, pages in groups.items() for row in line_rows(name, pages)),
        longest("longest export cell", 45, [(len(lines([source])), source.place) for source in exported]),
        longest("longest function", 40, functions(written)),
        *name_rows(books, modules, tests, scripts),
        ("shown lines per exported line, loop", f"{shown[0]:.2f}", ">= .6", []),
        ("shown lines per exported line, trainer", f"{shown[1]:.2f}", ">= .6", []),
        ("shown lines per exported line, all pages", f"{shown[2]:.2f}", "", []),
        ("words before the loop is understood", str(understood), "4000", []),
        ("words before a gradient step is seen", str(stepped), "6000", []),
        ("task types of AZR in 0x, 2x, 3x", str(len(named_types)), "0", named_types),
        ("lines of azr/climb.py", str(climb), "< 250", []),
        (f"sentences over {SENTENCE} words, prose", str(len(prose)), "0", prose),
        (f"sentences over {SENTENCE} words, docstrings, errors", str(len(said)), "0", said)]

def start_up() -> tuple:
    took = seconds("-m", "azr.cli", "--help"), seconds("-c", "pass")
    return "seconds of azr --help / of bare Python", f"{took[0]:.2f} / {took[1]:.2f}", "< .5", []

def main(arguments: list[str] | None = None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--list", nargs="?", const="", metavar="TEXT", help="places; of rows whose name holds TEXT")
    chosen = parser.parse_args(arguments).list
    books = [page_of(p.relative_to(notebooks.ROOT).as_posix(), notebooks.read(p)) for p in notebooks.notebooks()]
    table = rows(books, files("azr"), files("tests"), files(".ci"))
    for name, value, goal, places in [*table, start_up()] if chosen is None else table:
        if (chosen or "") in name:
            print(f"{name:<44}{value:>22}{goal:>12}".rstrip())
            print(*(f"    {place}\n" for place in places if chosen is not None), sep="", end="")

if __name__ == "__main__": main()
