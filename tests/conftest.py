"What every test may ask for."
import os, sys
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # two threads on a busy machine are slower than one, and give other last bits
os.environ.setdefault("MPLBACKEND", "agg")
sys.path.insert(0, str(ROOT / ".ci"))               # the maintainers' scripts are tested too

# no deadline: the machine may be busy; the same examples every time on a CI host, new ones elsewhere
hypothesis.settings.register_profile("azr", deadline=None, derandomize=bool(os.environ.get("CI")))
hypothesis.settings.load_profile("azr")

def data_folder() -> Path: # may not exist
    "Where other people's data lies: AZR_DATA, else shared/data beside the checkout."
    return Path(os.environ.get("AZR_DATA") or ROOT.parent / "shared" / "data")

def always(value):
    "A function that answers this, whatever it is asked."
    def answer(*_, **__): return value
    return answer

@pytest.fixture(scope="session")
def azr_data() -> Path:
    "The folder of other people's data; without it the test skips, and says so."
    folder = data_folder()
    if not folder.is_dir(): pytest.skip(f"no data in {folder}: set AZR_DATA to the folder that holds cruxeval.jsonl")
    return folder
