"""Writes the short history of each shipped repository: `python tests/repository_histories.py`, a minute on one core.
A commit is one trait of a function with its tests. Taken back, newest first, each leaves a library whose tests pass."""
import re
from pathlib import Path

from azr.bugs import _without_tests
from azr.workspace import Files, Repository, Run, Suites, difference, shipped

FOLDER = Path(__file__).resolve().parents[1] / "azr" / "repositories"
# repository -> commits, the newest first: what was done, where, and what stands there now -> what stood there before
COMMITS = {
    "caches": [
        ("A value may have a lifetime of its own", "caches/ttl.py", [
            ("def put(self, key, value, lifetime=None):", "def put(self, key, value):"),
            ("self.clock() + (self.lifetime if lifetime is None else lifetime)", "self.clock() + self.lifetime")]),
        ("A cache that was never asked has a hit rate of 0", "caches/lru.py", [
            ("return self.hits / asked if asked else 0.0", "return self.hits / asked")]),
    ],
    "calendars": [
        ("The 31st becomes the last day of a shorter month", "calendars/dates.py", [
            ("min(self.day, month_length(year, month + 1))", "self.day")]),
        ("Holidays are no working days", "calendars/work.py", [
            ("date.weekday < 5 and date not in holidays", "date.weekday < 5")]),
    ],
    "graphs": [
        ("Of two edges between the same nodes the shorter one counts", "graphs/graph.py", [
            ("        known = self._edges[start].get(end)\n", ""),
            ("length if known is None else min(known, length)", "length")]),
        ("Where there is no path the answer is None", "graphs/paths.py", [
            ("    if end not in known:\n        return None\n", "")]),
    ],
    "intervals": [
        ("Negative indexes count from the end", "intervals/sets.py", [
            ("        if index < 0:\n            index += len(self)\n", "")]),
        ("Without something else an interval stays whole", "intervals/interval.py", [
            ("        if self.overlap(other) is None:\n            return [self]\n", "")]),
    ],
    "ledger": [
        ("Entries stand by their day", "ledger/book.py", [
            ("        at = sum(other.day <= day for other in self.entries)\n        self.entries.insert(at, entry)\n",
             "        self.entries.append(entry)\n")]),
        ("No cent is lost in a split", "ledger/money.py", [
            ("    left = abs(cents) - sum(parts)\n    for i, share in enumerate(shares):\n"
             "        if left > 0 and share > 0:\n            parts[i] += 1\n            left -= 1\n", "")]),
    ],
    "matrices": [
        ("A swap of rows turns the sign of the determinant", "matrices/solve.py", [
            ("            factor = -factor\n", "")]),
        ("Many solutions are an error", "matrices/solve.py", [
            ('    if len(pivots) < width:\n        raise SingularError("there are many solutions")\n', "")]),
    ],
    "paragraphs": [
        ("The first gaps get the spaces that are left over", "paragraphs/justify.py", [
            ("(each + (i < more))", "each")]),
        ("A table of contents ends at a level", "paragraphs/outline.py", [
            ("def contents(text, width, most=3):", "def contents(text, width):"),
            ("if not found or found[0] > most:", "if not found:")]),
    ],
    "romans": [
        ("Numerals may be written in small letters", "romans/numeral.py", [
            ("    text = text.upper()\n", ""), ("return _value(text.upper())", "return _value(text)")]),
        ("Titles are in the order of their numerals", "romans/reckon.py", [
            ('    name, _, last = title.rpartition(" ")\n    if name and is_roman(last):\n'
             "        return name.lower(), from_roman(last)\n", "")]),
    ],
    "rpn": [
        ("Whole values are whole numbers", "rpn/evaluate.py", [
            ("    value = stack[0]\n    return int(value) if value == int(value) else value", "    return stack[0]")]),
        ("A minus may stand before a number", "rpn/tokens.py", [
            ('        elif letter == "-" and _is_prefix(found):\n'
             '            found.append(Token("operator", "~", at))\n            at += 1\n', "")]),
    ],
    "tables": [
        ("A minus before a column turns its order round", "tables/query.py", [
            ('        name = column.removeprefix("-")\n', ""),
            ('row[name], reverse=column.startswith("-")', "row[column]")]),
        ("A row with too few or too many fields is an error", "tables/text.py", [
            ("        if len(fields) != len(names):\n"
             '            raise ValueError(f"row {number} has {len(fields)} fields, not {len(names)}")\n', "")]),
    ],
}

def before(suites: Suites, repository: Repository, files: Files, path: str, pairs: list[tuple[str, str]]) -> Files:
    "The files without a trait, and without the tests that ask for it."
    text = files[path]
    for new, old in pairs:
        assert text.count(new) == 1, (path, new)
        text = text.replace(new, old)
    earlier = {**files, path: text}
    now, then = suites.run([Run(repository, files), Run(repository, earlier)])
    failing = sorted(now.passed - then.passed)
    assert failing and not then.trouble, (path, pairs)
    return _without_tests(earlier, failing)

def history(suites: Suites, repository: Repository) -> list[str]: # the newest first
    commits, files = [], repository.files
    for what, path, pairs in COMMITS[repository.name]:
        earlier = before(suites, repository, files, path, pairs)
        commits.append(f"{what}\n{difference(earlier, files)}")
        files = earlier
    return commits

if __name__ == "__main__":
    with Suites(seconds=3) as suites:
        for name, repository in shipped().items():
            place = FOLDER / f"{name}.txt"
            text = re.split(r"^=== commit ", place.read_text(encoding="utf-8"), flags=re.M)[0]
            commits = history(suites, repository)
            place.write_text(text + "".join(f"=== commit {one}" for one in commits), encoding="utf-8")
            print(name, [one.partition("\n")[0] for one in commits], flush=True)
