"""Descriptors: a child has none of its supervisor's, and keeps whatever else was open; with fork and with exec."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.host import descriptors
from tests.supervisor.harness import Pool, Queue
from tests.support.eventually import wait_until

pytestmark = pytest.mark.processes

METHODS = ("fork", "exec")
# as an agent or a tracer does it
AGENT = """import logging
AGENT = logging.getLogger("agent")
AGENT.propagate = False
AGENT.setLevel("INFO")
for n in range({count}):
    AGENT.addHandler(logging.FileHandler("{directory}/agent%d.log" % n))
"""
JOBS = """
import logging
import subprocess


async def logged(ctx, n):
    logging.getLogger("agent").info("transaction %d", n)
    return os.getpid()


async def descriptors_of_a_program(ctx):
    code = "import os; print(os.listdir('/proc/self/fd'))"
    return subprocess.check_output([sys.executable, "-S", "-c", code]).decode()


async def descriptors_of_a_shell(ctx):
    os.system("ls /proc/self/fd > listing")
    return Path("listing").read_text().split()


Settings.functions += [logged, descriptors_of_a_program, descriptors_of_a_shell]
"""


def start(pool: Pool, *arguments: str, agents: int = 0, notify: str = "") -> Pool:
    """A pool with jobs that look at descriptors, in an environment whose Python opens log files when it starts."""
    with open(pool.directory / "app.py", "a") as file:
        file.write(JOBS)
    site = pool.directory / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(AGENT.format(count=agents, directory=pool.directory))
    path = f"{site}{os.pathsep}{pool.environ['PYTHONPATH']}"
    return pool.start(*arguments, PYTHONPATH=path, NOTIFY_SOCKET=notify).ready()


def links(pid: int) -> dict[int, str]:
    """What the descriptors of a process lead to, but for the standard ones."""
    found = {}
    for fd in map(int, os.listdir(f"/proc/{pid}/fd")):
        try:
            found[fd] = os.readlink(f"/proc/{pid}/fd/{fd}")
        except FileNotFoundError:  # closed meanwhile
            continue
    return {fd: link for fd, link in found.items() if fd > 2}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("agents", [1, 30])
def test_what_python_opened_at_its_start_stays_open(
    pool: Pool, queue: Queue, method: str, agents: int
) -> None:
    start(pool, "--procs", "1", "--start-method", method, agents=agents)
    pids = {queue.result(queue.put("logged", n)) for n in range(3)}
    assert pids == {pool.workers()[0]}, "the worker has not crashed"
    texts = [(pool.directory / f"agent{n}.log").read_text() for n in range(agents)]
    assert texts == ["transaction 0\ntransaction 1\ntransaction 2\n"] * agents
    assert pool.stop() == 0


@pytest.mark.parametrize("method", METHODS)
def test_nothing_of_the_supervisor_is_open_in_a_child(pool: Pool, queue: Queue, method: str) -> None:
    """Not even of a client that waits for an answer while its worker is started."""
    notify = str(pool.directory / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(notify)
        files = ("--control", "c.sock", "--pidfile", "pid", "--no-uvloop")  # libuv opens /dev/null
        start(pool, "--procs", "2", "--start-method", method, *files, notify=notify)
        words = [sys.executable, "-m", "supervisor", "--ctl", "reload", "--wait", "--control", "c.sock"]
        environ = {**os.environ, "PYTHONPATH": pool.environ["PYTHONPATH"]}
        subprocess.run(words, check=True, cwd=pool.directory, env=environ, timeout=60)
        parents = links(pool.pid)
        assert {str(pool.directory / name) for name in ("pid", "c.lock")} <= set(parents.values())
        for pid in (*pool.workers().values(), pool.steward()):
            assert_is_cut_off(pid, parents)
        assert pool.stop() == 0


def assert_is_cut_off(pid: int, parents: dict[int, str]) -> None:
    """A child shares the life line and its own two pipes, and has at most one epoll, its own."""
    own = list(links(pid).values())
    shared = set(parents.values()) & {link for link in own if not link.startswith("anon_inode")}
    assert len(shared) <= 3
    assert all(link.startswith("pipe:") for link in shared), shared
    assert own.count("anon_inode:[eventpoll]") <= 1


@pytest.mark.parametrize("method", METHODS)
def test_programs_of_jobs_get_the_standard_three(pool: Pool, queue: Queue, method: str) -> None:
    """Also those that are started without closing anything, and the agent's files are not among them."""
    start(pool, "--procs", "1", "--start-method", method, agents=3)
    assert queue.result(queue.put("descriptors_of_a_program")).strip() == "['0', '1', '2', '3']", (
        "3: the list"
    )
    assert queue.result(queue.put("descriptors_of_a_shell")) == ["0", "1", "2", "3"]
    assert os.readlink(f"/proc/{pool.workers()[0]}/fd/0") == os.devnull
    assert pool.stop() == 0


@pytest.mark.parametrize("method", METHODS)
def test_closed_standard_streams_are_open_in_programs_of_jobs(pool: Pool, queue: Queue, method: str) -> None:
    """A gap there would be filled with the first file or connection that is opened."""
    closed = ("sh", "-c", 'exec "$@" <&- >&-', "sh")
    with open(pool.directory / "app.py", "a") as file:
        file.write(JOBS)
    pool.start("--procs", "1", "--start-method", method, command=closed).ready()
    assert queue.result(queue.put("descriptors_of_a_shell")) == ["0", "1", "2", "3"]
    worker = pool.workers()[0]
    assert [os.readlink(f"/proc/{worker}/fd/{fd}") for fd in (0, 1)] == [os.devnull] * 2
    assert pool.stop() == 0


@pytest.mark.parametrize("method", METHODS)
def test_what_a_supervisor_was_started_with_is_passed_on(pool: Pool, method: str) -> None:
    """It is not the supervisor's: whoever has opened it may mean the jobs."""
    read_fd, write_fd = os.pipe()
    try:
        with open(pool.directory / "app.py", "a") as file:
            file.write("os.write(9, b'imported')\n")
        command = ("sh", "-c", f'exec "$@" 9>/proc/{os.getpid()}/fd/{write_fd}', "sh")
        pool.start("--procs", "1", "--start-method", method, command=command).ready()
        assert os.read(read_fd, 100) == b"imported"
        pool.signal(signal.SIGTERM)
        assert pool.wait() == 0
    finally:
        os.close(read_fd)
        os.close(write_fd)


def test_a_killed_worker_is_replaced_by_one_without_its_siblings_pipes(pool: Pool) -> None:
    start(pool, "--procs", "2")
    before = pool.workers()
    pool.kill(before[0])
    wait_until(lambda: pool.workers().get(0, before[0]) != before[0], what="replaced")
    first, second = (set(links(pid).values()) for pid in pool.workers().values())
    assert len({link for link in first & second if link.startswith("pipe:")}) == 1, "the life line"
    assert pool.stop() == 0


def test_the_registry_forgets_what_is_closed(tmp_path: Path) -> None:
    def child(kept: int, other: int) -> str:
        """What a fork leaves open of these two."""
        out_read, out_write = os.pipe()
        pid = os.fork()
        if pid == 0:
            descriptors.leave_to_parent((kept,))
            os.write(out_write, "".join("x" if is_open(fd) else "-" for fd in (kept, other)).encode())
            os._exit(0)
        os.waitpid(pid, 0)
        os.close(out_write)
        with open(out_read) as file:
            return file.read()

    read_fd, write_fd = descriptors.pipe()
    assert child(read_fd, write_fd) == "x-"
    descriptors.close(write_fd)
    stranger = os.open(tmp_path, os.O_RDONLY)
    assert stranger == write_fd, "the number is somebody else's now"
    assert child(read_fd, stranger) == "xx"
    descriptors.close(read_fd)
    os.close(stranger)


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
