"""What workers have started and not ended: found by the kernel's family tree, ended with the worker it belongs to.

A worker is the leader of a session of its own, so most of it is in its process group. What has left that group for one
of its own (a daemon, a browser) becomes the parent's child when whatever started it ends, because the parent asks the
kernel for that (PR_SET_CHILD_SUBREAPER). So on Linux nothing gets out of sight.
"""

import asyncio
import ctypes
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
TAG = "ARQ_WORKER_ID"
STEP_S = 0.02
MOST_LOOKED_AT = 200


def adopt_orphans() -> None:
    """Become the parent of what descendants of this process leave behind; where the system knows of that."""
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children_of(pid: int) -> set[int]:
    """Its children, zombies too; empty when it is gone."""
    threads = Path(f"/proc/{pid}/task")
    try:
        names = [path / "children" for path in threads.iterdir()]
        return {int(child) for name in names for child in name.read_text("utf-8").split()}
    except FileNotFoundError:
        return _children_by_psutil(pid)
    except OSError:
        return set()


def _children_by_psutil(pid: int) -> set[int]:
    """Where the kernel keeps no list, or there is no /proc."""
    import psutil

    try:
        return {child.pid for child in psutil.Process(pid).children()}
    except psutil.Error:
        return set()


def descendants_of(pid: int) -> set[int]:
    """Its children, theirs, and so on."""
    found: set[int] = set()
    unread = {pid}
    while unread:
        unread = {child for one in unread for child in children_of(one)} - found
        found |= unread
    return found


def session_of(pid: int) -> int | None:
    """The leader of its session; None when it is gone."""
    try:
        return os.getsid(pid)
    except OSError:
        return None


def tag_of(pid: int) -> str:
    """The id of the worker in whose environment a program was started; "" when it was in nobody's."""
    with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
        for entry in file.read().split(b"\0"):
            if entry.startswith(f"{TAG}=".encode()):
                return entry.partition(b"=")[2].decode(errors="replace")
    return ""


def is_tagged(pid: int, worker_id: str) -> bool:
    """Whether a program was started with the environment of this worker."""
    return tag_of(pid) == worker_id


def name_of(pid: int) -> str:
    """What to call a process in a record: its number and its program."""
    with suppress(OSError), open(f"/proc/{pid}/comm", "rb") as file:
        return f"{pid} {file.read().decode(errors='replace').strip()}"
    return str(pid)


def send(pids: Iterable[int], number: int) -> None:
    """Send a signal to those that are still there."""
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def families(pids: Iterable[int]) -> set[int]:
    """Processes and all their descendants."""
    return {one for pid in pids for one in (pid, *descendants_of(pid))}


def running(pids: Iterable[int]) -> Iterator[int]:
    """Those that have not ended; a zombie has."""
    for pid in pids:
        with suppress(OSError, IndexError), open(f"/proc/{pid}/stat", "rb") as file:
            if file.read().rpartition(b")")[2].split()[0] not in (b"Z", b"X"):
                yield pid


def belongings_of(worker_id: str, supervisor_pid: int) -> set[int]:
    """What this process, a worker, has started: its descendants, and what has left the family.

    A daemon is the supervisor's child now; where that has gone, somebody else's, and only a program shows whose it was.
    To look at each costs 0.1 ms: among very many workers that is left to the supervisor, which does it when they end.
    """
    adopted = children_of(supervisor_pid) if is_child_of(supervisor_pid) else _everybody()
    if len(adopted) > MOST_LOOKED_AT and is_child_of(supervisor_pid):
        adopted = set()
    strays = [pid for pid in adopted - {os.getpid()} if is_tagged(pid, worker_id)]
    return descendants_of(os.getpid()) | families(strays)


def is_child_of(pid: int) -> bool:
    """Whether this process's parent is this one, still."""
    return os.getppid() == pid


def _everybody() -> set[int]:
    with suppress(OSError):
        return {int(name) for name in os.listdir("/proc") if name.isdecimal()}
    return set()


def is_python_helper(pid: int) -> bool:
    """Whether it is multiprocessing's resource tracker: it ends by itself when its owner has, and cleans up then."""
    with suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return b"multiprocessing.resource_tracker" in file.read()
    return False


def end_now(pids: Iterable[int], grace_s: float) -> None:
    """As `end_all`, without a loop; does not wait for those that it has killed."""
    left = set(running(pid for pid in pids if not is_python_helper(pid)))
    send(left, signal.SIGTERM)
    until_s = time.monotonic() + grace_s
    while left and time.monotonic() < until_s:
        time.sleep(STEP_S)
        left = set(running(left))
    send(left, signal.SIGKILL)


async def end_all(pids: Iterable[int], grace_s: float) -> None:
    """TERM, up to `grace_s` seconds, KILL."""
    left = set(running(pid for pid in pids if not is_python_helper(pid)))
    send(left, signal.SIGTERM)
    loop = asyncio.get_running_loop()
    until_s = loop.time() + grace_s
    while left and loop.time() < until_s:
        await asyncio.sleep(STEP_S)
        left = set(running(left))
    send(left, signal.SIGKILL)
    while left := set(running(left)):  # noqa: ASYNC110  (the kernel tells nobody)
        await asyncio.sleep(STEP_S)
