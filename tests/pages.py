"The command that executes a page, for tests that run it as a user does; and the browser of tests that look."
import shutil, sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((path for name in NAMES if (path := shutil.which(name))), None)


def papermill(page: Path, out: Path, *words: str) -> list[str]:
    "papermill on a page, the executed one into `out`; then papermill's own options."
    options = ["-k", "python3", "--no-progress-bar"]
    return [sys.executable, "-m", "papermill", *options, str(page), str(out), *words]
