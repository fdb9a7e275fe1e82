"""Installs azr into the interpreter that runs this: torch first and never over an installed one, then the rest.

Done once; a stamp says for which files."""

import hashlib, os, platform, re, subprocess, sys, tempfile, time
from configparser import ConfigParser
from importlib import metadata
from pathlib import Path

root = Path(__file__).resolve().parent.parent
ours = not os.environ.get(
    "AZR_PYTHON"
)  # our own .venv: pinned, with everything; else the user's interpreter: ranges, what is asked for
real = sys.argv[1:] == ["real"]   # 93 MB that nothing else needs: only where it is asked for
apart = [name for name in sys.argv[1:] if name in ("real", "docs")]   # so is the builder of the site
extras = ["lab", "dev", *apart] if ours else sys.argv[1:]
sources = ["settings.ini", "setup.py", "pyproject.toml", *(["constraints.txt"] if ours else [])]
log = Path(sys.prefix if ours else tempfile.gettempdir()) / "azr-install.log"

def stamp_file(): # one for each interpreter and set of extras
    "Where the stamp lies: in our .venv, or under build/ for an interpreter of the user's."
    if ours: return Path(sys.prefix) / f"azr-installed{''.join(f'-{name}' for name in apart)}"
    return root / "build" / ("installed-" + hashlib.sha256(f"{sys.prefix} {extras}".encode()).hexdigest()[:12])

def signature() -> str:
    "What was installed: the files that say so, from which checkout."
    parts = [str(root), *(f"{name} {hashlib.sha256((root / name).read_bytes()).hexdigest()}" for name in sources)]
    return "\n".join(parts)

def installed(name: str) -> str | None:
    "The version of an installed distribution."
    try: return metadata.version(name)
    except metadata.PackageNotFoundError: return None

def pinned(name: str) -> str:
    "A requirement as constraints.txt pins it."
    return re.search(rf"^{name}==\S+", (root / "constraints.txt").read_text(encoding="utf-8"), re.M)[0]

def number(version: str) -> tuple[int, ...]: # 2.6.0+cpu -> (2, 6, 0)
    return tuple(int(n) for n in re.findall(r"\d+", version.split("+")[0])[:3])

def listed(key: str) -> str: # one a line
    "What settings.ini lists under a key."
    facts = ConfigParser(delimiters=["="])
    facts.read(root / "settings.ini", encoding="utf-8")
    return facts["DEFAULT"][key]

def in_range(version: str) -> bool:
    "Whether settings.ini's range has this torch. Numbers are enough: the range has no other kind of bound."
    low, high = re.search(r"^torch>=([\d.]+),<([\d.]+)", listed("requirements"), re.M).groups()
    return number(low) <= number(version) < number(high)

def say(line: str): print(f"azr: {line}", flush=True)

DOWNLOAD = re.compile(
    r"\s*(?:Downloading (\S+?)(?:\.metadata)? |Processing \S*/(torch-\S+))(?:\(([\d.]+) (MB|GB)\))?"
)

def show_progress(line: str):
    "Says which large download a line of pip begins, and when it unpacks."
    if size := DOWNLOAD.match(line):
        name, local, amount, unit = size.groups()
        if local or (amount and (unit == "GB" or float(amount) >= 10)):
            package = (name or local).split("/")[-1].split("-cp")[0].split("-py")[0]
            say(f"  {package}{f', {amount} {unit}' if amount else ''}")
    if line.startswith("Installing collected packages"):
        say(f"  {line.count(',') + 1} packages to unpack")

def pip(*arguments: str, title: str):
    "One pip call: a line for each large download, the rest into the log, whose end is shown if it fails."
    say(title)
    began = time.monotonic()
    quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    command = [sys.executable, "-m", "pip", "install", *quiet, *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", **({"PIP_USER": "0"} if ours else {})}
    with open(log, "a", encoding="utf-8") as sink, subprocess.Popen(
        command,
        cwd=root,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        for line in process.stdout:
            sink.write(line)
            show_progress(line)
    if process.returncode == 0: return say(f"  done in {time.monotonic() - began:.0f} s")
    print(log.read_text(encoding="utf-8", errors="replace")[-3000:], file=sys.stderr)
    sys.exit(
        f"azr: the installation failed; pip's last words are above, all of them in {log}. The same command tries "
        f"again.{remedy()}"
    )

def remedy() -> str:
    "The one thing about this machine that pip cannot say."
    if os.environ.get("TORCH_INDEX"):
        return (
            f" TORCH_INDEX={os.environ['TORCH_INDEX']} must be a wheel index that has {pinned('torch')}; without it, "
            "torch comes from PyPI."
        )
    if sys.platform == "darwin" and platform.machine() == "x86_64":
        return " PyTorch has had no wheels for Intel Macs since 2.2: use an Apple silicon Mac, Linux, or Colab."
    if sys.version_info >= (3, 14):
        return " azr is tested on Python 3.11 to 3.13: with one of them on the PATH, remove .venv/ first."
    return ""

def install_torch() -> str: # its version
    index = os.environ.get("TORCH_INDEX")
    chosen = ["--index-url", index, "--no-deps"] if index else ["-c", "constraints.txt"]
    where = f" from {index}" if index else ", the largest part: minutes, the first time"
    pip(*chosen, pinned("torch"), title=f"installing {pinned('torch')}{where}")
    return subprocess.run(
        [sys.executable, "-c", "from importlib.metadata import version; print(version('torch'))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()

def main():
    stamp = stamp_file()
    if stamp.exists() and stamp.read_text(encoding="utf-8") == signature(): return
    log.write_text("", encoding="utf-8")
    torch = installed("torch")
    if torch and not in_range(torch) and not ours:
        sys.exit(
            f"azr: {sys.executable} has torch {torch}, outside the range in settings.ini. An installed torch is never "
            "replaced: type the command with AZR_PYTHON= (empty), and azr makes a .venv/ with a torch of its own."
        )
    if not torch or not in_range(torch):
        torch = install_torch()
    keep = re.sub(
        r"^torch==.*$", "", (root / "constraints.txt").read_text(encoding="utf-8") if ours else "", flags=re.M
    )
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text(f"{keep}\ntorch=={torch}\n", encoding="utf-8")   # the torch that is there, to the build
        pip(
            "-c",
            str(constraints),
            "-e",
            f".[{','.join(extras)}]" if extras else ".",
            title=f"installing azr and what it needs beside torch {torch}",
        )
    if real: pip("--no-deps", *listed("real_files").split(), title="installing a real model")
    stamp.parent.mkdir(exist_ok=True)
    stamp.write_text(signature(), encoding="utf-8")
    say(
        f"ready: Python {platform.python_version()}, torch {torch}, in "
        f"{os.path.relpath(sys.prefix, root) if ours else sys.prefix}"
    )

try:main()
except KeyboardInterrupt: sys.exit("\nazr: stopped; the same command goes on with the installation.")
