"""Memory and processor time of processes, read from /proc; psutil where there is none."""

import os
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PAGE_MB = os.sysconf("SC_PAGE_SIZE") / (1024 * 1024)
TICK_S = 1 / os.sysconf("SC_CLK_TCK")
HAS_PROC = Path("/proc/self/statm").exists()


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process uses: resident memory and processor time since it started."""

    rss_mb: float = 0.0
    cpu_s: float = 0.0


def usage_of(pids: Iterable[int]) -> dict[int, Usage]:
    """By pid; processes that have ended meanwhile are left out."""
    read = _from_proc if HAS_PROC else _from_psutil
    found = {}
    for pid in pids:
        with suppress(OSError, ValueError, IndexError):
            found[pid] = read(pid)
    return found


def _from_proc(pid: int) -> Usage:
    with open(f"/proc/{pid}/statm", "rb") as file:
        rss_mb = int(file.read().split()[1]) * PAGE_MB
    with open(f"/proc/{pid}/stat", "rb") as file:
        fields = file.read().rsplit(b")", 1)[1].split()
    return Usage(round(rss_mb, 1), round((int(fields[11]) + int(fields[12])) * TICK_S, 2))


def _from_psutil(pid: int) -> Usage:
    import psutil

    try:
        process = psutil.Process(pid)
        times = process.cpu_times()
        return Usage(round(process.memory_info().rss / 2**20, 1), round(times.user + times.system, 2))
    except psutil.Error as error:
        raise OSError(str(error)) from error
