"""What executes a page or `azr`, as a user does or in a process that is quick to start; and the browser of tests that
look."""
import ast, atexit, json, multiprocessing, os, shutil, subprocess, sys, tempfile, threading
from pathlib import Path
from signal import SIGKILL, SIGTERM

from jupyter_client import AsyncKernelManager
from papermill.cli import papermill as command
from papermill.engines import NBClientEngine, papermill_engines

from conftest import ROOT

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((path for name in NAMES if (path := shutil.which(name))), None)


class _Started:
    "A process of `multiprocessing`, with the words of `subprocess` that a kernel's manager uses."
    stdin = stdout = stderr = None

    def __init__(self, process): self._process, self.pid = process, process.pid
    def poll(self): return self._process.exitcode
    def wait(self): return self._process.join()
    def kill(self): self.send_signal(SIGKILL)
    def terminate(self): self.send_signal(SIGTERM)
    def send_signal(self, number):
        if self.poll() is None: os.kill(self.pid, number)


def _end_with_tests():
    "Nothing outlives tests that were killed."
    multiprocessing.parent_process().join()
    os._exit(1)


def _become(environment: dict[str, str], folder: Path):
    "A process of its own: session, variables, folder and random numbers."
    import numpy
    numpy.random.seed()
    os.setsid()
    threading.Thread(target=_end_with_tests, daemon=True).start()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[:] = [place for place in sys.path if Path(place).name not in ("tests", ".ci")]   # nobody has such names


def _kernel(words: list[str], environment: dict[str, str], folder: Path):
    "A kernel, in a process that has the modules loaded already."
    import matplotlib, pandas
    from ipykernel.kernelapp import IPKernelApp
    _become(environment, folder)
    matplotlib.rcParams["backend"] = "module://matplotlib_inline.backend_inline"   # as both have it that load here
    pandas.set_option("display.max_columns", 20)
    try: IPKernelApp.launch_instance(argv=words)
    finally: atexit._run_exitfuncs()   # `multiprocessing` does not


def _command_line(words: list[str], environment: dict[str, str], folder: Path, said: Path):
    "`azr`, in a process that has the modules loaded already; what it says goes into a file."
    from azr.cli import main
    _become(environment, folder)
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1), os.dup2(file, 2)
    try: sys.exit(main(words))
    finally: atexit._run_exitfuncs()


_FORKS = multiprocessing.get_context("forkserver")


def _fork(target, *given) -> multiprocessing.process.BaseProcess: # it is running
    _FORKS.set_forkserver_preload(["ipykernel.kernelapp", "azr.run"])
    process = _FORKS.Process(target=target, args=given)
    process.start()
    return process


class Azr(_Started):
    """`azr` with these words, as a person starts it in a folder. It has loaded what training needs already: importing
    that takes most of a small run's time. Tests of the start itself start Python."""

    def __init__(self, *words, folder: Path = ROOT, **environment):
        self._place = tempfile.TemporaryDirectory()   # goes with this object
        self._said = Path(self._place.name) / "said"
        words = [str(word) for word in words]
        super().__init__(_fork(_command_line, words, os.environ | environment, folder, self._said))

    @property
    def returncode(self) -> int | None: return self.poll()

    def communicate(self, timeout: float | None = None) -> tuple[str, None]: # what it said, errors too
        "Waits for its end."
        self._process.join(timeout)
        if self.poll() is None: raise subprocess.TimeoutExpired("azr", timeout)
        return self._said.read_text(encoding="utf-8"), None


class LoadedKernel(AsyncKernelManager):
    """Its kernels are forks of one process that has loaded azr, torch and what training needs: importing those takes
    most of a page's time. Names, folder and random numbers are each kernel's own, the order of sets is the worker's.
    Slow tests, and `make refresh`, run each page in a process that has loaded nothing."""

    async def _async_launch_kernel(self, kernel_cmd, *, env, cwd="", **_):
        words = kernel_cmd[kernel_cmd.index("ipykernel_launcher") + 1:]
        process = _fork(_kernel, words, dict(env), os.path.abspath(cwd))
        self.provisioner.process, self.provisioner.pid = _Started(process), process.pid
        self.provisioner.pgid = process.pid   # `_kernel` sees to that


KEPT = (ast.Import, ast.ImportFrom, ast.FunctionDef)


def defined(page: Path) -> dict[str, object]: # name -> what it stands for
    "The functions of a run page, with what it imports and its names in capitals; nothing else of it is run."
    cells = [cell for cell in json.loads(page.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    nodes = [node for cell in cells for node in ast.parse("".join(cell["source"])).body]
    capitals = [node for node in nodes if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]).isupper()]
    space = {"__name__": page.stem}
    kept = [node for node in nodes if isinstance(node, KEPT) or node in capitals]
    exec(compile(ast.Module(kept, []), str(page), "exec"), space)
    return space


class _Loaded(NBClientEngine):
    "papermill's own engine, with kernels that are quick to start."
    @classmethod
    def execute_managed_notebook(cls, *given, **more):
        return super().execute_managed_notebook(*given, kernel_manager_class=LoadedKernel, **more)


papermill_engines.register("loaded", _Loaded)


def papermill(page: Path, out: Path, *words):
    """papermill's command line on a page, from the checkout, the executed one into `out`; then papermill's own options.
    Raises what ended the page."""
    options = ["-k", "python3", "--engine", "loaded", "--cwd", ROOT, "--no-progress-bar"]
    command([str(word) for word in (*options, page, out, *words)], standalone_mode=False)
