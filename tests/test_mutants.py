"Our verdicts on mutants beside those of a mutation-testing library: a record, and a few of them made again."
import json

import pytest

from azr.workspace import HELD_OUT, shipped
from mutants import RECORD, compared

def test_the_record_is_of_every_repository_and_all_are_alike():
    rows = json.loads(RECORD.read_text())["rows"]
    assert {row["repository"] for row in rows} == set(shipped()) and len(rows) >= 200
    assert all(row["same"] for row in rows)
    assert sum(bool(row["ours"]) for row in rows) > 100 and any(row["ours"] == 0 for row in rows)

@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(shipped()))
def test_the_same_tests_find_a_mutant(name):
    pytest.importorskip("cosmic_ray", reason="pip install cosmic-ray")
    assert all(row["same"] for row in compared(shipped()[name], 5))
