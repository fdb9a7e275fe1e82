"""Re-runs pages in place and stores their outputs: `make refresh`, or `make refresh PAGES='nbs/03_rewards.ipynb'`.

A page that fails keeps its file."""

import sys, time
from pathlib import Path

import notebooks

failed = []
for page in [Path(name).resolve() for name in sys.argv[1:]] or notebooks.pages():
    began, notebook = time.monotonic(), notebooks.read(page)
    try: notebooks.execute(notebook, page.parent)
    except Exception as error:
        # a failing cell, a dead kernel, a time-out: named, and the next page has its turn
        failed.append(page.name)
        print(f"{page.name}: failed\n{error}", flush=True)
        continue
    word = "stored" if notebooks.write(notebook, page) else "unchanged"
    print(f"{page.name}: {word} ({time.monotonic() - began:.1f} s)", flush=True)
sys.exit(f"failed, and kept as they were: {', '.join(failed)}" if failed else 0)
