"""How many CPUs this process may use: the affinity mask, and the quota of its control group."""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def usable_cpus(root: Path = CGROUP) -> int:
    """At least 1. `root` is where control groups are mounted."""
    try:
        allowed = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        allowed = os.cpu_count() or 1
    quota = cpu_quota(root)
    return max(1, allowed if quota is None else min(allowed, math.ceil(quota)))


def cpu_quota(root: Path) -> float | None:
    """CPUs' worth of time that the control group gets; None without a limit."""
    try:
        words = (root / "cpu.max").read_text().split()
    except OSError:
        return _old_quota(root)
    if len(words) != 2 or words[0] == "max":
        return None
    return int(words[0]) / int(words[1])


def _old_quota(root: Path) -> float | None:
    try:
        quota = int((root / "cpu/cpu.cfs_quota_us").read_text())
        period = int((root / "cpu/cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 and period > 0 else None
