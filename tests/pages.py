"What executes a page, as a user does or in a kernel that is quick to start; and the browser of tests that look."
import ast, atexit, json, multiprocessing, os, shutil, sys, threading
from pathlib import Path
from signal import SIGKILL, SIGTERM

from jupyter_client import AsyncKernelManager

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
    "A kernel outlives no tests that were killed."
    multiprocessing.parent_process().join()
    os._exit(1)


def _kernel(words: list[str], environment: dict[str, str], folder: str):
    "A kernel, in a process that has the modules loaded already."
    import matplotlib, numpy, pandas
    from ipykernel.kernelapp import IPKernelApp
    numpy.random.seed()
    matplotlib.rcParams["backend"] = "module://matplotlib_inline.backend_inline"   # as both have it that load here
    pandas.set_option("display.max_columns", 20)
    os.setsid()
    threading.Thread(target=_end_with_tests, daemon=True).start()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[:] = [place for place in sys.path if Path(place).name not in ("tests", ".ci")]   # a page has no such names
    try: IPKernelApp.launch_instance(argv=words)
    finally: atexit._run_exitfuncs()   # `multiprocessing` does not


class LoadedKernel(AsyncKernelManager):
    """Its kernels are forks of one process that has loaded azr, torch and what training needs: importing those takes
    most of a page's time. Names, folder and random numbers are each kernel's own, the order of sets is the worker's.
    Slow tests, and `make refresh`, run each page in a process that has loaded nothing."""
    forks = multiprocessing.get_context("forkserver")

    async def _async_launch_kernel(self, kernel_cmd, *, env, cwd, **_):
        self.forks.set_forkserver_preload(["ipykernel.kernelapp", "azr.run"])
        words = kernel_cmd[kernel_cmd.index("ipykernel_launcher") + 1:]
        process = self.forks.Process(target=_kernel, args=(words, dict(env), str(cwd)))
        process.start()
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


def papermill(page: Path, out: Path, *words: str) -> list[str]:
    "papermill on a page, the executed one into `out`; then papermill's own options."
    options = ["-k", "python3", "--no-progress-bar"]
    return [sys.executable, "-m", "papermill", *options, str(page), str(out), *words]
