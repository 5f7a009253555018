"""The system refuses: F30, F31, F48, and storms of signals (R01, R03)."""

import errno
import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import pytest

from supervisor.control.client import ask
from supervisor.control.protocol import Request
from supervisor.control.server import ControlServer
from supervisor.ipc.pipes import Pipes
from supervisor.process.fork import UnsafeForkError, fork
from tests.supervisor.harness import Pool, Queue
from tests.support.eventually import PATIENCE_S, wait_until

pytestmark = pytest.mark.processes


@pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason="the limits of another process can not be changed here"
)
def test_f31_no_descriptors_left(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "2", "--control", "control/c.sock").ready()
    in_use = len(os.listdir(f"/proc/{pool.pid}/fd"))
    resource.prlimit(pool.pid, resource.RLIMIT_NOFILE, (in_use, 4096))
    pool.kill(pool.workers()[1])
    pool.signal(signal.SIGTTIN)
    pool.wait_event("fork.failed")
    assert queue.result(queue.put("echo", 1)) == 1
    resource.prlimit(pool.pid, resource.RLIMIT_NOFILE, (4096, 4096))
    wait_until(lambda: sorted(pool.workers()) == [0, 1, 2], what="everybody is back")
    assert pool.stop() == 0


@pytest.mark.skipif(
    not hasattr(resource, "prlimit"), reason="the limits of another process can not be changed here"
)
def test_f31_without_any_descriptor_it_still_answers_and_pings(pool: Pool, queue: Queue) -> None:
    path = pool.directory / "control" / "c.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(pool.directory / "notify"))
        manager.settimeout(PATIENCE_S)
        pool.start("--procs", "2", "--control", "control/c.sock", "--log-level", "debug",
                   NOTIFY_SOCKET=str(pool.directory / "notify"), WATCHDOG_USEC="1000000").ready()  # fmt: skip
        pool.wait_event("child.ready", role="steward")
        used = {int(fd) for fd in os.listdir(f"/proc/{pool.pid}/fd")}
        resource.prlimit(pool.pid, resource.RLIMIT_NOFILE, (min(set(range(200)) - used), 4096))
        with socket.socket(socket.AF_UNIX) as silent:
            silent.connect(str(path))  # takes the spare one
            for _ in range(3):
                assert ask(path, Request("status")).ok
        drain(manager)
        while b"WATCHDOG=1" not in manager.recv(4096):
            pass
        resource.prlimit(pool.pid, resource.RLIMIT_NOFILE, (4096, 4096))
    assert queue.result(queue.put("echo", 1)) == 1
    assert pool.stop() == 0


def drain(manager: socket.socket) -> None:
    """Forget what was said so far."""
    manager.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            manager.recv(4096)
    manager.settimeout(PATIENCE_S)


def test_f31_nobody_waits_for_a_descriptor_that_does_not_come(tmp_path: Path) -> None:
    """A listener that is always ready, and can not be served, would keep the parent busy."""

    class Refusing(socket.socket):
        def accept(self) -> NoReturn:
            raise OSError(errno.EMFILE, "Too many open files")

    with selectors.DefaultSelector() as selector:
        server = ControlServer(tmp_path / "c.sock", selector)
        refusing = Refusing(fileno=os.dup(server._listener.fileno()))
        server._listener, listener = refusing, server._listener
        selector.unregister(listener)
        selector.register(refusing, selectors.EVENT_READ, server)
        listener.close()
        waiting = socket.socket(socket.AF_UNIX)
        waiting.connect(str(tmp_path / "c.sock"))
        server._find_descriptor()  # the spare one is lent already
        server.accept(now=100.0)
        assert not selector.get_map()
        server.drop_idle(now=100.1)
        assert not selector.get_map()
        server.drop_idle(now=101.0)
        assert selector.get_map()
        server.close()
        waiting.close()


def test_f30_a_fork_that_fails_is_tried_again(pool: Pool, queue: Queue) -> None:
    (pool.directory / "scarce.py").write_text(
        "import errno, os, sys\n"
        "real, left = os.fork, [0, 0, 0]\n"
        "def fork():\n"
        "    if left and os.getpid() == parent:\n"
        "        left.pop()\n"
        "        raise OSError(errno.EAGAIN, 'Resource temporarily unavailable')\n"
        "    return real()\n"
        "parent, os.fork = os.getpid(), fork\n"
        "from _arq_supervise import main\n"
        "main()\n"
    )
    pool.start("--procs", "2", script="scarce.py").ready()
    assert [record["errno"] for record in pool.events("fork.failed")] == ["EAGAIN"] * 3
    assert queue.result(queue.put("echo", 1)) == 1
    assert pool.stop() == 0


AS_NOBODY = ("setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=+dac_override",
             "--ambient-caps=+dac_override")  # fmt: skip


def can_be_nobody() -> bool:
    """Limits on processes do not hold for root."""
    try:
        done = subprocess.run([*AS_NOBODY, sys.executable, "-c", ""], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0 and os.getuid() == 0


def limit_processes(pid: int, most: int) -> None:
    """Only the same user may do so. The hard limit stays."""
    subprocess.run([*AS_NOBODY, "prlimit", f"--pid={pid}", f"--nproc={most}:"], check=True)


@pytest.mark.skipif(not can_be_nobody(), reason="this user may not become another")
def test_f30_no_processes_left(pool: Pool, queue: Queue) -> None:
    pool.directory.chmod(0o777)
    pool.start("--procs", "2", command=AS_NOBODY).ready()
    pool.wait_event("child.ready", role="steward")
    limit_processes(pool.pid, 1)
    pool.signal(signal.SIGTTIN)
    pool.kill(pool.workers()[0])
    pool.wait_event("fork.failed", n=2, errno="EAGAIN")
    assert queue.result(queue.put("echo", 1)) == 1
    limit_processes(pool.pid, 4096)
    wait_until(lambda: sorted(pool.workers()) == [0, 1, 2], what="everybody is back")
    assert pool.stop() == 0


def test_r13_a_parent_with_a_thread_does_not_fork() -> None:
    import threading

    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        # one more where a thread of an earlier test, or of the test runner, has not quite ended
        with pytest.raises(UnsafeForkError, match=r"the parent has \d+ threads: refusing to fork"):
            fork(lambda: 0, Pipes(1, 2))
    finally:
        stop.set()
        thread.join()


# a profiler or a tracer has started a thread before the command began
TRACED = """import threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
from _arq_supervise import main
main()
"""


def test_r13_a_fork_that_was_asked_for_is_made(pool: Pool, queue: Queue) -> None:
    (pool.directory / "traced.py").write_text(TRACED)
    (pool.directory / "words.py").write_text(
        "import sys\nfrom app import Settings as Base\n"
        "async def words(ctx): return sys.orig_argv\n"
        "class Settings(Base): functions = [words]\n"
    )
    given = ("--procs", "2", "--start-method", "fork")
    pool.start(*given, settings="words.Settings", script="traced.py", interpreter=("-W", "error")).ready()
    (told,) = pool.events("fork.unsafe")
    assert (told["threads"], told["level"]) == (2, "warning")
    assert "traced.py" in queue.result(queue.put("words"))
    pool.kill(pool.workers()[0])
    pool.wait_event("child.ready", n=3, role="worker")
    pool.signal(signal.SIGTERM)
    assert pool.wait() == 0
    assert len(pool.events("fork.unsafe")) == 1


def test_r13_where_a_fork_is_not_safe_a_new_interpreter_is_started(pool: Pool, queue: Queue) -> None:
    (pool.directory / "traced.py").write_text(TRACED)
    pool.start("--procs", "2", script="traced.py").ready()
    assert [record["threads"] for record in pool.events("fork.unsafe")] == [2]
    assert queue.result(queue.put("echo", 1)) == 1
    pool.kill(pool.workers()[0])
    pool.wait_event("child.ready", n=3, role="worker")
    pool.signal(signal.SIGTERM)
    assert pool.wait() == 0


def test_f48_a_worker_that_has_lost_its_descriptors(pool: Pool, queue: Queue) -> None:
    (pool.directory / "closer.py").write_text(
        "import os\n"
        "from arq.worker import func\n"
        "from app import Settings as Base\n"
        "async def close_all(ctx): os.closerange(3, 256)\n"
        "class Settings(Base): functions = [func(close_all, max_tries=1)]\n"  # one worker is enough
    )
    pool.start("--procs", "1", "--hang-timeout", "1", "--kill-timeout", "0.5", "--max-restarts", "100",
               settings="closer.Settings").ready()  # fmt: skip
    pid = pool.workers()[0]
    queue.put("close_all")
    pool.wait_event("child.exit", pid=pid)
    pool.wait_event("child.ready", n=2, role="worker")
    pool.signal(signal.SIGQUIT)
    assert pool.wait() in (0, 6)


def test_r01_a_storm_of_signals(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "2").ready()
    for _ in range(400):
        for number in (signal.SIGTTIN, signal.SIGTTOU, signal.SIGCHLD, signal.SIGUSR1, signal.SIGHUP):
            pool.signal(number)
    assert queue.result(queue.put("echo", 1)) == 1
    assert len(os.listdir(f"/proc/{pool.pid}/task")) == 1
    assert pool.stop() == 0
    assert "Traceback" not in pool.text()


def test_r03_no_zombies(pool: Pool) -> None:
    pool.start("--procs", "4", "--max-restarts", "1000").ready()
    os.kill(pool.pid, signal.SIGSTOP)
    for pid in pool.workers().values():
        pool.kill(pid)
    os.kill(pool.pid, signal.SIGCONT)
    pool.wait_event("child.exit", n=4)
    assert not [pid for pid in children_of(pool.pid) if is_zombie(pid)]
    assert pool.stop() == 0


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return False


def test_f49_settings_that_start_a_thread(pool: Pool, queue: Queue) -> None:
    """The child's threads are the child's business."""
    (pool.directory / "threaded.py").write_text(
        "import threading, time\n"
        "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
        "from app import Settings\n"
    )
    pool.start("--procs", "2", settings="threaded.Settings").ready()
    pool.signal(signal.SIGHUP)
    pool.wait_event("reload.done")
    assert queue.result(queue.put("echo", 1)) == 1
    assert len(os.listdir(f"/proc/{pool.pid}/task")) == 1
    assert not pool.events("fork.unsafe")
    assert pool.stop() == 0


def test_f50_the_clock_jumps_by_a_day_and_back(pool: Pool, queue: Queue) -> None:
    (pool.directory / "jumpy.py").write_text(
        "import time\n"
        "real = time.time\n"
        "def now():\n"
        "    try:\n"
        "        return real() + float(open('jump').read())\n"
        "    except (OSError, ValueError):\n"
        "        return real()\n"
        "time.time = now\n"
        "from _arq_supervise import main\n"
        "main()\n"
    )
    pool.start("--procs", "2", "--hang-timeout", "2.5", script="jumpy.py").ready()
    for jump_s in ("86400", "-86400", "0"):
        (pool.directory / "jump").write_text(jump_s)
        assert queue.result(queue.put("slow", 0.7))  # some beats
    assert not pool.events("child.exit")
    assert pool.stop() == 0


def test_an_embedded_server_that_dies_comes_back(pool: Pool) -> None:
    (pool.directory / "plain.py").write_text(
        "async def job(ctx): open('ran', 'a').write('x')\n"
        "async def on_startup(ctx): await ctx['redis'].enqueue_job('job')\n"
        "class Settings: functions = [job]; on_startup = on_startup\n"
    )
    pool.start("--procs", "1", "--embedded-redis", settings="plain.Settings").ready()
    ran = pool.directory / "ran"
    wait_until(ran.exists, what="the job ran")
    worker = pool.workers()[0]
    pool.kill(pool.events("child.ready", role="redis")[0]["pid"])
    pool.wait_event("child.ready", n=2, role="redis")
    pool.kill(worker)
    wait_until(lambda: ran.read_text() == "xx", what="the job ran on the new server")
    assert pool.stop() == 0
