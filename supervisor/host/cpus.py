"""How many CPUs this process may use: the affinity mask, and the quotas of its control groups."""

import math
import os
from pathlib import Path

from .cgroups import CGROUP, MEMBERSHIP, groups

LEAST_AT_ONCE, STARTS_A_CPU = 8, 4
LEAST_CROWD, CROWD_A_CPU = 32, 8


def usable_cpus(root: Path = CGROUP, membership: Path = MEMBERSHIP) -> int:
    """At least 1. `root` is where control groups are mounted."""
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        allowed = os.cpu_count() or 1
    quota = cpu_quota(root, membership)
    return max(1, allowed if quota is None else min(allowed, math.ceil(quota)))


def starts_at_once(cpus: int | None = None) -> int:
    """How many workers may be starting at the same time: their start is work for a CPU, with some waiting in it."""
    return max(LEAST_AT_ONCE, STARTS_A_CPU * (cpus or usable_cpus()))


def is_crowd(procs: int, cpus: int) -> bool:
    """Are these so many processes that the machine is not likely to be meant?"""
    return procs > max(LEAST_CROWD, CROWD_A_CPU * cpus)


def cpu_quota(root: Path, membership: Path = MEMBERSHIP) -> float | None:
    """CPUs' worth of time that this process gets, by the narrowest of its groups; None without a limit."""
    quotas = [_quota(group) for group in groups("cpu", root, membership)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _quota(group: Path) -> float | None:
    try:
        words = (group / "cpu.max").read_text("utf-8").split()
    except OSError:
        words = _old_words(group)
    if len(words) != 2 or words[0] in ("max", "-1") or int(words[1]) <= 0:
        return None
    return int(words[0]) / int(words[1])


def _old_words(group: Path) -> list[str]:
    try:
        return [(group / f"cpu.cfs_{name}_us").read_text("utf-8").strip() for name in ("quota", "period")]
    except OSError:
        return []
