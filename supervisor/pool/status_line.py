"""The one line that `systemctl status` shows: what the pool is doing, in words. Pure: the time is an argument."""

from collections import deque

from ..exit_codes import ExitCode
from ..printable_text import printable
from .state import Pool

EVERY_S = 1.0
RATE_OVER_S = 10.0
LONGEST_ERROR = 120

ENDS = {
    ExitCode.OK: "stopped",
    ExitCode.BOOT: "the workers fail to start",
    ExitCode.SETTINGS: "the settings can not be used",
    ExitCode.INTENSITY: "too many crashes",
    ExitCode.INTERRUPTED: "stopped, jobs were interrupted",
    ExitCode.UNAVAILABLE: "Redis stayed away",
}


class StatusLine:
    """Remembers what was said last, and how many jobs had ended at which time."""

    def __init__(self) -> None:
        self._ended: deque[tuple[float, int]] = deque()
        self._said = ""
        self._said_s = float("-inf")
        self._act: tuple[bool, bool, bool] = (False, False, False)

    def news(self, pool: Pool, now: float) -> str:
        """The line, when there is a new one to be said; "" otherwise.

        A change of act (ready, stopping, over) is news at once, other changes once a second.
        """
        self._note(pool, now)
        act = (pool.said_ready, pool.stopping is not None, pool.exit_code is not None)
        if act == self._act and now - self._said_s < EVERY_S:
            return ""
        self._act = act
        text = describe(pool, self.jobs_per_s())
        if text == self._said:
            return ""
        self._said, self._said_s = text, now
        return text

    def jobs_per_s(self) -> float:
        """Jobs that ended in the last ten seconds, by second."""
        if len(self._ended) < 2:
            return 0.0
        (first_s, first), (last_s, last) = self._ended[0], self._ended[-1]
        return max(0, last - first) / (last_s - first_s)

    def _note(self, pool: Pool, now: float) -> None:
        if self._ended and now - self._ended[-1][0] < EVERY_S:
            return
        self._ended.append((now, ended_jobs(pool)))
        while now - self._ended[0][0] > RATE_OVER_S:
            self._ended.popleft()


def ended_jobs(pool: Pool) -> int:
    """Tries that ended, in workers of now and of before."""
    return pool.past.ended + sum(child.counts.ended for child in pool.workers())


def describe(pool: Pool, jobs_per_s: float) -> str:
    """The pool in one line."""
    if pool.exit_code is not None:
        return f"ended with exit code {int(pool.exit_code)}: {ENDS.get(pool.exit_code, pool.exit_code.name)}"
    running = sum(child.counts.ongoing for child in pool.workers())
    if pool.stopping is not None:
        left = sum(1 for _ in pool.workers())
        return f"stopping ({pool.stopping.cause}): {_count(left, 'worker')} left, {_count(running, 'job')} running"
    ready = f"{pool.ready_count()}/{pool.target} workers ready"
    if not pool.said_ready:
        return f"waiting for Redis: {ready}" if pool.tempfail_since_s is not None else f"starting: {ready}"
    return ", ".join(
        [_prefix(pool) + ready, f"{_rate(jobs_per_s)} jobs/s", f"{running} running", *_asides(pool)]
    )


def _prefix(pool: Pool) -> str:
    is_reload = pool.rollout is not None and pool.rollout.reason == "reload"
    return "reloading: " if is_reload else "quiet: " if pool.is_quiet else ""


def _asides(pool: Pool) -> list[str]:
    found = []
    if pool.report is not None:
        state = None if pool.redis_error else pool.queue_state
        depth = f": {_count(state.depth, 'job')}" if state is not None else ""
        found.append(f"queue {_short(pool.report.queue)}{depth}")
    if pool.redis_error:
        found.append(f"Redis is away: {_short(pool.redis_error)}")
    if pool.last_reload is not None and not pool.last_reload.is_ok:
        found.append(f"last reload failed: {_short(pool.last_reload.error)}")
    return found


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _rate(jobs_per_s: float) -> str:
    return f"{jobs_per_s:.1f}" if jobs_per_s < 10 else f"{jobs_per_s:.0f}"


def _short(text: str) -> str:
    line = printable(" ".join(text.split()))  # a line break would begin another assignment of the protocol
    return line if len(line) <= LONGEST_ERROR else f"{line[: LONGEST_ERROR - 3]}..."
