"""What a test must not leave behind: processes, open files, Redis keys that never expire."""

import gc
import os
from collections.abc import Iterable
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path

import psutil
import redis

from tests.support.eventually import PATIENCE_S, NeverHappenedError, wait_until

# Queues of any name are sorted sets without expiry by design. So are the set of abort requests and the
# register of workers. Everything else arq writes carries a TTL.
QUEUE_TYPE = b"zset"
WITHOUT_EXPIRY = ("arq:abort", "arq:leases", "arq:members", "arq:lapses", "arq:queue", "arq:queue:*")
CLOSING_S = 5.0
# helpers that the interpreter keeps for as long as it lives
INTERPRETER_HELPERS = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")


def immortal_keys(client: "redis.Redis", intended: Iterable[str] = ()) -> list[str]:
    """Names of keys that will stay for ever and are not meant to."""
    allowed = (*WITHOUT_EXPIRY, *intended)
    found = []
    for key in client.scan_iter(count=1000):
        name = key.decode(errors="replace")
        if any(fnmatch(name, pattern) for pattern in allowed) or client.pttl(key) != -1:
            continue
        if client.type(key) == QUEUE_TYPE and not name.startswith("arq:"):
            continue
        found.append(name)
    return sorted(found)


def child_pids() -> set[int]:
    """Descendants of this process, but for the interpreter's helpers; zombies count."""
    return {pid for pid in _descendants() if not _is_helper(pid)}


def _descendants() -> set[int]:
    threads = Path("/proc/self/task")
    if not (threads / str(os.getpid()) / "children").exists():
        return {child.pid for child in psutil.Process().children(recursive=True)}
    found: set[int] = set()
    unread = [threads]
    while (
        unread
    ):  # Linux tells whose children they are: several times as quick as to ask every process for its parent
        new = _children_of(unread.pop()) - found
        found |= new
        unread += [Path(f"/proc/{pid}/task") for pid in new]
    return found


def _children_of(threads: Path) -> set[int]:
    """Children of a process's threads; those of one that has just gone are nobody's here."""
    found: set[int] = set()
    try:
        for thread in os.listdir(threads):
            found.update(map(int, (threads / thread / "children").read_text().split()))
    except OSError:
        pass
    return found


def leftover_children(before: set[int], patience_s: float = PATIENCE_S) -> list[str]:
    """Children that are still there a moment after the test; zombies count."""
    try:
        wait_until(lambda: child_pids() <= before, patience_s, "children gone")
    except NeverHappenedError:
        return [_describe(pid) for pid in sorted(child_pids() - before)]
    return []


def open_files() -> dict[int, str]:
    """File descriptor -> what it refers to; empty where the system does not tell."""
    found = {}
    for entry in _descriptor_directory():
        try:
            found[int(entry)] = os.readlink(f"/proc/self/fd/{entry}")
        except OSError:  # the descriptor of the listing itself
            continue
    return found


def files_left_open(before: dict[int, str]) -> list[str]:
    """As `leaked_files`, but what a thread of a library closes a moment later, as watchfiles' does, is none."""
    with suppress(NeverHappenedError):
        wait_until(lambda: not leaked_files(before), CLOSING_S)
    return leaked_files(before)


def leaked_files(before: dict[int, str]) -> list[str]:
    """Descriptors opened since `before`, if there are more of them now than then."""
    if len(open_files()) > len(before):
        gc.collect()  # an object that only waits for the collector is reported by the interpreter itself
    after = open_files()
    if len(after) <= len(before):
        return []
    return [f"{fd} -> {target}" for fd, target in after.items() if before.get(fd) != target]


def _descriptor_directory() -> list[str]:
    directory = Path("/proc/self/fd")
    return os.listdir(directory) if directory.exists() else []


def _is_helper(pid: int) -> bool:
    try:
        command = " ".join(psutil.Process(pid).cmdline())
    except psutil.Error:
        return False
    return any(name in command for name in INTERPRETER_HELPERS)


def _describe(pid: int) -> str:
    try:
        process = psutil.Process(pid)
        return f"{pid} {process.status()} {' '.join(process.cmdline())}"
    except psutil.Error:
        return f"{pid} (gone by now)"
