"Export, clean, README, tests; afterwards nothing may have changed. Ends with pytest's closing line."
import hashlib, os, subprocess, sys, textwrap

import notebooks, readme

def snapshot() -> dict[str, str]: # path -> hash of its content
    "Every file that git tracks or would ask about."
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try: listed = subprocess.run(words, cwd=notebooks.ROOT, capture_output=True, text=True)
    except FileNotFoundError:
        sys.exit("make check compares with git, and there is no git on PATH: use `make test`, or install git")
    if listed.returncode:
        sys.exit("make check compares with git, and this folder is no checkout: use `make test`, or clone")
    files = [name for name in listed.stdout.split("\0") if name]
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest()
        for name in files
        if (path := notebooks.ROOT / name).is_file()
    }

def changed(before: dict[str, str], after: dict[str, str]) -> list[str]:
    "What was added, altered or removed in between."
    return sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))

def nothing_changed(before: dict[str, str], by: str, remedy: str):
    "Ends the check with the names of what changed."
    if names := changed(before, snapshot()): sys.exit("\n  ".join([f"{by} changed:", *names]) + f"\n{remedy}")

def narrow(width: int, **named) -> textwrap.TextWrapper:
    "nbdev's lines of names, which it lets be 120 columns wide behind `__all__ = `."
    return textwrap.TextWrapper(width=width - len("__all__ = "), **named)

def export():
    "Modules from the notebooks of this folder. nbdev's own command makes the lists of names 10 columns wider."
    import nbdev.maker
    from nbdev.doclinks import nbdev_export
    nbdev.maker.TextWrapper = narrow
    nbdev_export.__wrapped__()

def generate():
    "Notebooks cleaned, then exported, then the README."
    from nbdev.clean import nbdev_clean
    nbdev_clean.__wrapped__()
    for path in notebooks.notebooks(): notebooks.write(notebooks.read(path), path)
    export()
    readme.main()

def tests() -> int: # pytest's status
    "Every unmarked test. Almost half of a test's time is waiting, so each core has one at work; four are enough."
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    words = ["-q", "-m", "not slow and not cuda", "-n", str(min(4, cores)), "--dist", "worksteal"]
    return subprocess.run([sys.executable, "-m", "pytest", *words], cwd=notebooks.ROOT).returncode

def main():
    os.chdir(notebooks.ROOT)
    if sys.argv[1:] == ["tests"]: sys.exit(tests())
    before = snapshot()
    generate()
    nothing_changed(
        before,
        "Cleaning, exporting and the README",
        "Look at them (git diff), commit them, and type the same command again.",
    )
    if status := tests(): sys.exit(status)
    nothing_changed(
        before, "The tests", "A test or a page writes into the checkout: let it write into a temporary folder."
    )

if __name__ == "__main__": main()
