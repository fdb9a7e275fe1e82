"""Makes azr/repositories/bugs.json, the scripted bugs that runs begin with and are examined on: minutes on one core.
`python tests/exam_bugs.py` writes it; the test beside it makes a few again."""
import json
from pathlib import Path
from random import Random

from azr.bugs import Checker, bugs_of, mutations
from azr.core import Verdict
from azr.notations import NOTATIONS, function_text, functions
from azr.workspace import HELD_OUT, Repository, Suites, shipped

FILE = Path(__file__).resolve().parents[1] / "azr" / "repositories" / "bugs.json"
# set -> bugs of each repository: small enough for the notation `terse`, and others
TRAINING = {"first": (6, 3), "seen": (6, 2)}
EXAM = {"validation": (14, 4), "heldout": (28, 8)}

def candidates(repository: Repository) -> list[tuple]: # (small, mutation, its function), in a seeded order
    "Every mutation within a function."
    found = []
    for path in repository.modules:
        text = repository.files[path]
        for one in mutations(path, text):
            around = [place for place in functions(path, text) if place.first <= one.line <= place.last]
            if not one.function or not around: continue
            place = min(around, key=lambda place: place.last - place.first)
            small = one.kind != "removal" and NOTATIONS["terse"].takes(function_text(text, place))
            found.append((small, one, place))
    Random(f"exam {repository.name}").shuffle(found)
    return found

def bugs(checker: Checker, repository: Repository, sets: dict) -> tuple[list[str], list[list]]: # its tests; its bugs
    "So many valid bugs of each set and size, or all that there are."
    (before, _), = checker.originals([(repository, repository.command)])
    tests, rows, seen = sorted(before.passed), [], set()
    wanted = {small: [name for name, sizes in sets.items() for _ in range(sizes[not small])] for small in (True, False)}
    every = candidates(repository)
    while every and any(wanted.values()):
        some, every = every[:12], every[12:]
        some = [one for one in some if wanted[one[0]]]
        results = bugs_of(checker, [(repository, {**repository.files, one.path: one.source}) for _, one, _ in some])
        for (small, one, place), result in zip(some, results):
            if isinstance(result, Verdict) or not wanted[small]: continue
            case, found = result
            if case.artifact.bug_inject in seen: continue
            seen.add(case.artifact.bug_inject)
            failing = [tests.index(name) for name in found.fail_to_pass]
            rows.append([wanted[small].pop(0), repository.name, one.path, place.name, one.kind,
                         case.artifact.bug_inject, failing])
    return tests, rows

def make(names: list[str]) -> dict: # JSON
    found = {"tests": {}, "bugs": []}
    with Suites(seconds=2) as suites:
        for name in names:
            tests, rows = bugs(Checker(suites), shipped()[name], EXAM if name in HELD_OUT else TRAINING)
            found["tests"][name] = tests
            found["bugs"] += rows
            print(name, len(rows), flush=True)
    return found

if __name__ == "__main__":
    made = make([*shipped()])
    rows = ",\n".join(json.dumps(row) for row in made["bugs"])
    tests = ",\n".join(f"{json.dumps(name)}: {json.dumps(own)}" for name, own in made["tests"].items())
    FILE.write_text(f'{{"tests": {{\n{tests}}},\n"bugs": [\n{rows}\n]}}\n', encoding="utf-8")
