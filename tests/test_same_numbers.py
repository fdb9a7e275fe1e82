"What a change of shape must not change: the demo's metrics, beside those of the commit before (or of AZR_BEFORE)."
import json
import os
import subprocess
import sys

import pytest

from conftest import ROOT

BEFORE = os.environ.get("AZR_BEFORE", "HEAD^")


def demo(checkout, folder):
    "Twenty steps of the demo by the package in a checkout; the records of its metrics."
    command = [sys.executable, "-m", "azr.cli", "train", "--preset", "demo", "--set", "steps=20", "--run", str(folder)]
    own = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=checkout, env=own, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.slow
def test_the_demo_gives_the_numbers_of_the_commit_before(tmp_path):
    found = subprocess.run(["git", "rev-parse", BEFORE], cwd=ROOT, capture_output=True, text=True)
    if found.returncode: pytest.skip(f"no commit {BEFORE} here: the history is shallow, or this is no checkout")
    before = tmp_path / "before"
    command = ["git", "worktree", "add", "-q", "--detach", str(before), found.stdout.strip()]
    subprocess.run(command, cwd=ROOT, check=True)
    try: then = demo(before, tmp_path / "then")
    finally: subprocess.run(["git", "worktree", "remove", "--force", str(before)], cwd=ROOT, check=True)
    now = demo(ROOT, tmp_path / "now")
    assert [record["step"] for record in then] == [record["step"] for record in now]
    for old, new in zip(then, now):
        both = old.keys() & new.keys()
        assert both and {key: old[key] for key in both} == {key: new[key] for key in both}, f"step {old['step']}"
