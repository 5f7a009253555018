"""Processes as the kernel shows them, and the right to inherit those whose parents die."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
GONE, ZOMBIE = "", "Z"


def become_subreaper() -> None:
    """From now on orphans below us become our children: they can be counted, ended and waited for."""
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_with_parent() -> None:
    """From now on the death of our parent is a SIGTERM for us."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option})")


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def state(pid: int) -> str:
    """The kernel's letter: R, S, T (stopped), Z (zombie); "" when there is no such process."""
    fields = _stat(pid)
    return fields[0] if fields and fields[0] != "X" else GONE


def is_alive(pid: int) -> bool:
    """Neither gone nor a zombie."""
    return state(pid) not in (GONE, ZOMBIE)


def cpu_s(pid: int) -> float:
    """Processor time that this process and its dead children used."""
    fields = _stat(pid)
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def parents() -> dict[int, int]:
    """Every process and its parent."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := _stat(int(name))):
            found[int(name)] = int(fields[1])
    return found


def descendants(root: int) -> list[int]:
    """All below `root`, zombies too."""
    below: dict[int, list[int]] = {}
    for pid, parent in parents().items():
        below.setdefault(parent, []).append(pid)
    found, todo = [], [root]
    while todo:
        children = below.get(todo.pop(), [])
        found += children
        todo += children
    return found


def reap_adopted(own: set[int]) -> None:
    """Wait for dead children of ours that came to us as orphans; `own` are those that others wait for."""
    for pid, parent in parents().items():
        if parent == os.getpid() and pid not in own and state(pid) == ZOMBIE:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def threads(pid: int) -> int:
    """How many."""
    return _entries(pid, "task")


def descriptors(pid: int) -> int:
    """How many are open."""
    return _entries(pid, "fd")


def _entries(pid: int, kind: str) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/{kind}"))
    except OSError:
        return 0


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> int:
    """Send it, if the process is there; returns when, in ns of CLOCK_MONOTONIC."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
    return time.monotonic_ns()
