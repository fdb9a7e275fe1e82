"Any command in the jail: no way out, every limit, hostile bytes. Tests that need bubblewrap skip where there is none."
import os, sys, threading, time
from pathlib import Path

import pytest

from azr.executor import Ended, _jail_trouble, jail
import azr.executor as executor
from conftest import always

NO_JAIL = pytest.mark.skipif(bool(_jail_trouble()), reason=_jail_trouble() or "the jail works")
BOTH = [pytest.param("jail", marks=NO_JAIL), "process"]

def shell(script: str, *paths, **settings) -> Ended:
    return jail(["sh", "-c", script], *paths, **{"isolation": "jail", "seconds": 20, **settings})

@pytest.fixture
def place(tmp_path) -> Path:
    "A folder with a secret, and in it one that is given."
    (tmp_path / "secret").write_text("7419")
    given = tmp_path / "given"
    given.mkdir()
    (given / "task").write_text("6 * 7\n")
    return given

def alive(word: str) -> list[int]:
    "Processes with this word on their command line."
    import psutil
    return [p.pid for p in psutil.process_iter(["cmdline"]) if word in (p.info["cmdline"] or ())]

def gone(word: str) -> bool:
    for _ in range(100):
        if not alive(word): return True
        time.sleep(.05)
    return False

# ---- no way out

@NO_JAIL
@pytest.mark.parametrize("where", ["/etc/passwd", "/proc/self/status", "/sys", "/home", "/run", "/var", "/dev/shm",
                                   __file__, os.path.expanduser("~")])
def test_what_is_not_named_is_not_there(where):
    assert os.path.exists(where), "the test would say nothing"
    ended = shell(f"ls {where} && cat {where}")
    assert ended.reason == "exit" and not ended.ok and ended.output == ""

@NO_JAIL
def test_the_neighbours_of_a_named_path_are_not_there(place):
    ended = shell(f"ls {place.parent}; cat {place}/task; cat {place.parent}/secret; cat {place}/../secret", [place])
    assert ended.output == "given\n6 * 7\n" and "7419" not in ended.errors and not ended.ok

@NO_JAIL
def test_a_link_leads_nowhere(place):
    (place / "link").symlink_to(place.parent / "secret")
    (place / "host").symlink_to("/etc/passwd")
    ended = shell(f"cat {place}/link {place}/host", [place])
    assert not ended.ok and ended.output == "" and ended.errors.count("No such file") == 2

@NO_JAIL
def test_a_path_that_is_read_only_stays_as_it_was(place):
    script = "echo 43 > task; echo 1 > new; rm task; chmod 777 task; mv task other; mkdir folder; touch task"
    ended = shell(script, [place], cwd=place)
    assert not ended.ok and [p.name for p in place.iterdir()] == ["task"] and (place / "task").read_text() == "6 * 7\n"

@NO_JAIL
def test_a_path_that_is_writable_is_written_and_nothing_beside_it(place):
    script = "echo 42 > answer; echo 1 > ../out; for p in / /tmp /usr /dev /bin; do touch $p/azr-out; done; pwd"
    ended = shell(script, (), [place], cwd=place)
    assert ended.output == f"{place}\n" and (place / "answer").read_text() == "42\n"
    assert not (place.parent / "out").exists()
    assert not any(Path(folder, "azr-out").exists() for folder in ("/", "/tmp", "/usr", "/dev", "/bin"))

@NO_JAIL
@pytest.mark.parametrize("inner_writable", [True, False])
def test_the_rule_of_the_inner_path_holds(place, inner_writable):
    outer, inner = place.parent, place
    paths = ([outer], [inner]) if inner_writable else ([inner], [outer])
    shell(f"echo x > {outer}/mark; echo x > {inner}/mark", *paths)
    assert (inner / "mark").exists() == inner_writable and (outer / "mark").exists() != inner_writable

@NO_JAIL
def test_a_folder_for_temporary_files_may_be_given():
    "Also that of the system: the jail's own empty one is then not in its way."
    name = f"/tmp/azr-jail-{os.getpid()}"
    try:
        assert shell(f"echo x > {name}", (), ["/tmp"]).ok and Path(name).read_text() == "x\n"
    finally: Path(name).unlink(missing_ok=True)

PYTHON = [executor.PYTHON, "-S", "-c"]
PREFIX = [] if os.path.realpath(sys.base_prefix) == "/usr" else [os.path.realpath(sys.base_prefix)]

@NO_JAIL
def test_there_is_no_network():
    import socket
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        port = server.getsockname()[1]
        script = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5); print('out')"
        assert jail([*PYTHON, script], PREFIX, seconds=20, isolation="process", memory_mb=4096).output == "out\n"
        ended = jail([*PYTHON, script], PREFIX, seconds=20)
    assert not ended.ok and ended.output == "" and "Error" in ended.errors
    ended = jail([*PYTHON, "import socket; print([name for _, name in socket.if_nameindex()])"], PREFIX, seconds=20)
    assert ended.output == "['lo']\n"

@NO_JAIL
def test_an_abstract_socket_of_the_host_is_not_reached():
    import socket
    name = f"\0azr-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        script = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({name!r}.encode()); print('out')"
        ended = jail([*PYTHON, script.replace("\0", "\\0")], PREFIX, seconds=20)
    assert not ended.ok and "refused" in ended.errors

@NO_JAIL
def test_no_other_process_is_seen_or_reached():
    script = "import os; os.kill({}, 0)"
    assert jail([*PYTHON, script.format(os.getpid())], PREFIX, isolation="process", memory_mb=4096).ok
    assert "ProcessLookupError" in jail([*PYTHON, script.format(os.getpid())], PREFIX).errors
    ended = jail([*PYTHON, "import os; print(os.getpid() < 20)"], PREFIX)
    assert ended.output == "True\n"   # numbers of its own

@NO_JAIL
@pytest.mark.parametrize("script", ["mount -t tmpfs x /usr", "unshare -Ur mount -o remount,rw /usr", "chroot / true"])
def test_no_right_is_left(script):
    ended = shell(f"{script} && touch /usr/azr-out && echo out")
    assert not ended.ok and "out" not in ended.output and not os.path.exists("/usr/azr-out")

@NO_JAIL
def test_our_descriptors_are_not_handed_on(place):
    with open(place.parent / "secret", encoding="utf-8") as held:
        os.set_inheritable(held.fileno(), True)
        ended = shell(f"cat <&{held.fileno()}")
    assert not ended.ok and "7419" not in ended.output

# ---- what it is told

@pytest.mark.parametrize("isolation", BOTH)
def test_variables_are_those_that_are_given(isolation, monkeypatch):
    monkeypatch.setenv("A_SECRET_TOKEN", "7419")
    script = "import os; print(sorted(set(os.environ) - {'PWD', 'SHLVL', '_', 'LC_CTYPE', '__CF_USER_TEXT_ENCODING'}))"
    for env, names in (({"WORD": "said"}, ["WORD"]), ({}, []), (None, ["LC_ALL", "PATH"])):
        ended = jail([*PYTHON, script], PREFIX, env=env, isolation=isolation, memory_mb=4096)
        assert ended.output == f"{names}\n", ended

@NO_JAIL
def test_a_library_to_load_first_is_not_loaded_outside(place):
    "The shell of the limits and bubblewrap start without the command's variables."
    ended = shell("echo in", [place], env={"LD_PRELOAD": f"{place}/none.so", "PATH": "/usr/bin:/bin"})
    assert ended.ok and ended.output == "in\n" and "bwrap" not in ended.errors

@pytest.mark.parametrize("isolation", BOTH)
@pytest.mark.parametrize("data", [b"", b"x", "ä\n", b"\0\xff\n", bytes(range(256)) * 4_000])
def test_standard_input_arrives_whole(isolation, data, tmp_path):
    ended = shell("cat > got", (), [tmp_path], cwd=tmp_path, stdin=data, isolation=isolation)
    assert ended.ok and (tmp_path / "got").read_bytes() == (data.encode() if isinstance(data, str) else data)

@pytest.mark.parametrize("isolation", BOTH)
def test_input_that_nobody_reads_holds_up_nothing(isolation):
    for script in ("exit 3", "exec 0<&-; sleep .2; exit 3"):
        ended = shell(script, stdin=b"x" * 1_000_000, isolation=isolation)
        assert (ended.reason, ended.status) == ("exit", 3)

@pytest.mark.parametrize("isolation", BOTH)
def test_both_outputs_and_input_at_once(isolation):
    "More than a pipe holds in each of the three: whoever waited for one of them would wait for ever."
    data = b"line\n" * 100_000
    script = "while read -r line; do echo $line; echo $line >&2; done"
    ended = shell(script, stdin=data, isolation=isolation, max_output=1_000_000)
    assert ended.ok and len(ended.output) == len(ended.errors) == len(data)

@pytest.mark.parametrize("isolation", BOTH)
@pytest.mark.parametrize("script, status", [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill -15 $$", 143),
                                            ("azr-none", 127)])
def test_the_exit_status_is_told(isolation, script, status):
    ended = shell(script, isolation=isolation)
    assert (ended.reason, ended.status, ended.ok) == ("exit", status, status == 0)

# ---- limits

@pytest.mark.parametrize("isolation", BOTH)
@pytest.mark.parametrize("script", ["while true; do :; done", "sleep 1000", "trap '' TERM INT HUP; sleep 1000",
                                    "exec 1>&- 2>&-; sleep 1000", "sleep 1000 & wait"])
def test_time(isolation, script):
    began = time.monotonic()
    ended = shell(f"echo begun; {script}", seconds=.4, isolation=isolation)
    assert (ended.reason, ended.status, ended.output) == ("time", None, "begun\n")
    assert .4 <= ended.seconds <= time.monotonic() - began < 5

@pytest.mark.parametrize("isolation", BOTH)
def test_memory_of_one_process(isolation):
    ended = jail([*PYTHON, "x = bytearray(400 << 20); print('had it')"], PREFIX, memory_mb=256, isolation=isolation)
    assert not ended.ok and ended.output == "" and "MemoryError" in ended.errors

@pytest.mark.parametrize("isolation", BOTH)
def test_memory_of_all_processes_together(isolation):
    script = """
import os, time
for _ in range(8):
    if not os.fork():
        x = bytearray(b'x' * (80 << 20))
        time.sleep(100)
time.sleep(100)"""
    ended = jail([*PYTHON, script], PREFIX, memory_mb=300, seconds=60, isolation=isolation)
    assert (ended.reason, ended.status) == ("memory", None)

@pytest.mark.parametrize("isolation", BOTH)
def test_a_file_is_no_larger_than_memory(isolation, tmp_path):
    ended = shell("cat /dev/zero > zeros", (), [tmp_path], cwd=tmp_path, memory_mb=64, isolation=isolation)
    assert not ended.ok and (tmp_path / "zeros").stat().st_size == 64 << 20

@pytest.mark.parametrize("isolation", BOTH)
def test_the_number_of_processes(isolation):
    word = f"10{os.getpid()}"
    ended = shell(f"for i in $(seq 400); do sleep {word} & done; wait", isolation=isolation, seconds=60)
    assert (ended.reason, ended.status) == ("processes", None) and gone(word)

@pytest.mark.parametrize("isolation", BOTH)
@pytest.mark.parametrize("stream", ["", " >&2"])
@pytest.mark.parametrize("most", [0, 10, 5_000])
def test_output(isolation, stream, most):
    ended = shell(f"while true; do echo words{stream}; done", max_output=most, isolation=isolation)
    said = ended.errors if stream else ended.output
    assert (ended.reason, ended.status) == ("output", None) and said == ("words\n" * 1_000)[:most]

@pytest.mark.parametrize("isolation", BOTH)
def test_output_at_the_limit_is_whole(isolation):
    assert shell("printf 1234567890", max_output=10, isolation=isolation).output == "1234567890"
    ended = shell("printf 12345678901", max_output=10, isolation=isolation)
    assert ended.reason == "output" and ended.output == "1234567890"

@pytest.mark.parametrize("isolation", BOTH)
@pytest.mark.parametrize("octal, text", [(r"\377\000a", "�\0a"), (r"\303", "�"), (r"\355\240\200", "���"),
                                         (r"\033[2J", "\x1b[2J"), (r"\303\244", "ä")])
def test_hostile_bytes_become_text(isolation, octal, text):
    ended = shell(f"printf '{octal}'; printf '{octal}' >&2", isolation=isolation)
    assert ended.ok and ended.output == ended.errors == text and ended.output.encode()   # it can be written to a file

# ---- nothing outlives it

@pytest.mark.parametrize("isolation", BOTH)
@pytest.mark.parametrize("leave", ["exit 0", "kill -9 $$", "while true; do :; done"])
def test_what_it_started_ends_with_it(isolation, leave):
    word = f"20{os.getpid()}"
    began = time.monotonic()
    ended = shell(f"sleep {word} & (sleep {word} &) ; echo said; {leave}", isolation=isolation, seconds=2)
    assert ended.output == "said\n" and time.monotonic() - began < 10 and gone(word)

@NO_JAIL
def test_a_process_with_a_session_of_its_own_ends_too():
    word = f"30{os.getpid()}"
    ended = shell(f"setsid sleep {word} & sleep .3; echo said")
    assert ended.output == "said\n" and ended.reason == "exit" and gone(word)

@pytest.mark.parametrize("isolation", BOTH)
def test_an_interrupt_leaves_nothing(isolation, monkeypatch):
    word = f"40{os.getpid()}"
    def interrupt(*_): raise KeyboardInterrupt
    monkeypatch.setattr(executor, "_watched", interrupt)
    with pytest.raises(KeyboardInterrupt): shell(f"sleep {word}", isolation=isolation)
    assert gone(word)

@NO_JAIL
def test_threads_may_use_it_at_the_same_time(tmp_path):
    ended = {}
    def one(n): ended[n] = shell(f"sleep .2; echo {n}").output
    threads = [threading.Thread(target=one, args=(n,)) for n in range(6)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert ended == {n: f"{n}\n" for n in range(6)}

# ---- bad input, and no jail

@pytest.mark.parametrize("settings, said", [
    ({"command": "ls /"}, "is no list of texts"),
    ({"command": []}, "is no list of texts"),
    ({"command": ["ls", 1]}, "is no list of texts"),
    ({"command": ["ls", "a\0b"]}, "null byte"),
    ({"env": {"A=B": "1"}}, "a name is not empty and holds no '='"),
    ({"env": {"": "1"}}, "a name is not empty"),
    ({"read_only": ["usr"]}, "'usr' is relative"),
    ({"read_only": ["/no/such/path"]}, "'/no/such/path' does not exist"),
    ({"writable": ["/"]}, "'/' is everything"),
    ({"read_only": ["/usr/.."]}, "'/usr/..' is everything"),
    ({"cwd": "tmp"}, "'tmp' is relative"),
    ({"cwd": "/no/such/path"}, "does not exist"),
    ({"seconds": 0}, "seconds=0"),
    ({"memory_mb": 1}, "memory_mb=1"),
    ({"max_output": -1}, "max_output=-1"),
    ({"isolation": "cage"}, "isolation='cage' is unknown"),
    ({"stdin": "\ud800"}, "surrogates not allowed"),
    pytest.param({"cwd": "/etc"}, "'/etc' is not in the jail", marks=NO_JAIL),
])
def test_bad_input_is_refused_before_anything_runs(settings, said, monkeypatch):
    def never(*_, **__): raise AssertionError("it ran")
    if not _jail_trouble(): monkeypatch.setattr(executor.subprocess, "Popen", never)
    with pytest.raises(ValueError, match=said): jail(**{"command": ["true"], **settings})

def test_without_a_jail_it_refuses_or_falls_back_as_asked(monkeypatch):
    monkeypatch.setattr(executor, "_jail_trouble", always("there is no bubblewrap"))
    words = "isolation='jail' cannot be had: there is no bubblewrap. Mend that, or take isolation='process'"
    with pytest.raises(RuntimeError, match=words): jail(["true"])
    executor._warn_without_jail.cache_clear()
    with pytest.warns(UserWarning, match="without a jail: there is no bubblewrap"):
        assert shell("echo out", isolation="auto").output == "out\n"
    executor._warn_without_jail.cache_clear()
    ended = shell("while true; do :; done", isolation="process", seconds=.3)
    assert ended.reason == "time"
