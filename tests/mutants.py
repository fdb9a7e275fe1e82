"""Mutants of the shipped repositories by Cosmic Ray's operators: which tests find each, by its runner and by ours.

`python tests/mutants.py [NUMBER]` writes the record that test_mutants.py reads; it needs `pip install cosmic-ray`.
`python tests/mutants.py cost` writes what checking a bug and grading repairs cost in CPU seconds."""
import json, os, random, resource, statistics, sys, tempfile
from importlib import metadata
from pathlib import Path

from azr.bugs import Checker, bugs_of, grade, mutations
from azr.workspace import Repository, Run, Suites, shipped

RECORD = Path(__file__).resolve().parents[1] / "data" / "ssr" / "mutants.json"
COMMAND = f"{sys.executable} -m pytest -q -rfE --color=no --continue-on-collection-errors -p no:cacheprovider"

def mutants(repository: Repository, count: int) -> list[tuple[str, str, int, str]]: # path, operator, occurrence, source
    "So many mutants, drawn from all that the operators make."
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator, operator_names
    found = []
    for path in repository.modules:
        text = repository.files[path]
        for name in sorted(operator_names()):
            for occurrence in range(100):
                try: source = mutate_code(text, get_operator(name)(), occurrence)
                except TypeError: break   # an operator that wants arguments
                if source is None: break
                found.append((path, name, occurrence, source))
    return random.Random(repository.name).sample(found, min(count, len(found)))

def by_cosmic_ray(repository: Repository, files: dict, known: set[str]) -> set[str] | None: # None: no end
    "The tests of `known` that Cosmic Ray's runner sees fail, in a checkout of their own."
    from cosmic_ray.testing import run_tests
    with tempfile.TemporaryDirectory() as folder:
        for path, text in files.items():
            (Path(folder) / path).parent.mkdir(parents=True, exist_ok=True)
            (Path(folder) / path).write_text(text)
        here = os.getcwd()
        os.environ |= {"PYTHONPATH": folder, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONHASHSEED": "0"}
        os.chdir(folder)
        try: _, output = run_tests(COMMAND, timeout=40)
        finally: os.chdir(here)
    if output == "timeout": return None
    lines = [line.split(" ", 1)[1] for line in output.splitlines() if line.startswith(("FAILED ", "ERROR "))]
    def hit(test): return any(line == test or line.startswith(f"{test} - ") for line in lines)
    files = {line.split(" - ")[0] for line in lines if "::" not in line.split(" - ")[0]}   # not to be collected
    return {test for test in known if hit(test) or test.split("::")[0] in files}

def compared(repository: Repository, count: int) -> list[dict]: # a row for each mutant
    with Suites(seconds=2) as suites:
        every = mutants(repository, count)
        trees = [{**repository.files, path: source} for path, _, _, source in every]
        original, *reports = suites.run([Run(repository, files) for files in (repository.files, *trees)])
    rows = []
    for (path, operator, occurrence, _), files, report in zip(every, trees, reports):
        ours = None if report.reason == "time" else original.passed - report.passed
        theirs = by_cosmic_ray(repository, files, original.passed)
        rows.append({"repository": repository.name, "path": path, "operator": operator, "occurrence": occurrence,
                     "ours": None if ours is None else len(ours), "theirs": None if theirs is None else len(theirs),
                     "same": ours == theirs})
    return rows

def main(count: int):
    rows = []
    for repository in shipped().values():
        rows += compared(repository, count)
        said = {"library": f"cosmic-ray {metadata.version('cosmic-ray')}", "rows": rows}
        RECORD.parent.mkdir(parents=True, exist_ok=True)
        RECORD.write_text("\n".join(["{", f'"library": {json.dumps(said["library"])}, "rows": [',
                                     ",\n".join(json.dumps(row, separators=(",", ":")) for row in rows), "]}"]) + "\n")
        print(repository.name, len(rows), "mutants,", sum(row["same"] for row in rows), "alike", flush=True)

def cpu(work) -> tuple[float, object]: # seconds of ours and of all that was started; what it gave
    "Processes are counted when they are waited for, so this wants isolation 'process'."
    def used():
        both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(one.ru_utime + one.ru_stime for one in both)
    began = used()
    value = work()
    return round(used() - began, 3), value

def cost():
    "One valid bug of each repository: its suite, its whole validation, one repair graded alone, and eight together."
    rows = []
    with Suites(seconds=2, isolation="process") as suites:
        for repository in shipped().values():
            every = [one for path in repository.modules for one in mutations(path, repository.files[path])]
            random.Random(0).shuffle(every)
            for one in every:
                changed = {**repository.files, one.path: one.source}
                found, = bugs_of(checker := Checker(suites), [(repository, changed)])
                if isinstance(found, tuple): break
            case, lists = found
            right = {**case.weakened, one.path: repository.files[one.path]}
            row = {"repository": repository.name}
            row["one_suite_with_its_start"], (report,) = cpu(lambda: suites.run([Run(repository, repository.files)]))
            row["suite"] = round(report.seconds, 3)
            row["validation"], _ = cpu(lambda: Checker(suites).check([(repository, case.artifact)]))
            row["validation_of_a_known_repository"], _ = cpu(lambda: checker.check([(repository, case.artifact)]))
            row["repair"], _ = cpu(lambda: grade(suites, [(case, lists, right)]))
            row["eight_repairs"], verdicts = cpu(lambda: grade(suites, [(case, lists, right)] * 8))
            assert all(verdict.ok for verdict in verdicts)
            rows.append(row)
            print(row, flush=True)
    means = {key: round(statistics.fmean(row[key] for row in rows), 3) for key in rows[0] if key != "repository"}
    text = ",\n".join(map(json.dumps, rows))
    about = {"unit": "CPU seconds", "isolation": "process", "mean": means}
    head = json.dumps(about)[:-1] + ', "rows": ['
    RECORD.with_name("cost.json").write_text(f"{head}\n{text}\n]}}\n")

if __name__ == "__main__":
    if sys.argv[1:] == ["cost"]: cost()
    else: main(int(sys.argv[1]) // 10 if len(sys.argv) > 1 else 20)
