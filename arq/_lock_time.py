"""How long the lock of a job and the lease of its worker hold; nobody else adds to it or takes from it. No I/O."""

from __future__ import annotations

from collections.abc import Iterable

from .utils import is_no_limit, to_ms

#: Seconds that stand for the length of jobs without a time limit; the worker extends their locks while they run.
WITHOUT_LIMIT_S = 300.0
#: Seconds for which a lock holds beyond the longest job: time in which its outcome is written.
MARGIN_S = 10.0
#: Seconds for which a supervised worker is taken for alive; its supervisor renews that.
SUPERVISED_LEASE_S = 30.0
#: A lease ends so many seconds before the locks that were extended last: a client that takes a job whose lock has
#: lapsed shall see that its worker is overdue.
EARLIER_S = 1.0
#: In between somebody looks for it: workers of other versions take a job without counting the start that was lost.
LOOK_WITHIN_S = 0.4


def longest_job_s(limits_s: Iterable[float | None]) -> float:
    """The longest of some time limits, in seconds; None is none."""
    return max(WITHOUT_LIMIT_S if is_no_limit(limit_s) else limit_s or 0.0 for limit_s in limits_s)


def lock_s(longest_s: float) -> float:
    """For how many seconds a worker locks a job, when its longest one takes `longest_s`."""
    return longest_s + MARGIN_S


def lock_ms(in_progress_timeout_s: float, supervised: bool) -> int:
    """The same in ms, of this worker: at least as long as its lease."""
    least_s = SUPERVISED_LEASE_S + EARLIER_S if supervised else 0.0
    return to_ms(max(in_progress_timeout_s, least_s))


def lease_ms(in_progress_timeout_s: float, supervised: bool) -> int:
    """For how many ms a worker announces itself."""
    if supervised:
        return to_ms(SUPERVISED_LEASE_S)
    return lock_ms(in_progress_timeout_s, supervised) - to_ms(min(EARLIER_S, in_progress_timeout_s / 10))


def look_again_s(overdue_s: float, chance: float) -> float:
    """In how many seconds to look for dead workers, where one may be overdue in `overdue_s`.

    Args:
        chance: 0 to 1: not all shall look at the same moment.
    """
    return max(overdue_s, 0) + LOOK_WITHIN_S * (0.5 + chance / 2)
