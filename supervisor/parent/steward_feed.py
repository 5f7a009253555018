"""What the steward is told, and when."""

import time
from collections.abc import Callable, Iterable

from ..ipc.job_stats import JobRow, JobStats
from ..ipc.messages import HeadcountMessage, RedisSettingsMessage, RosterMessage, StatusMessage
from ..ipc.parent_end import ParentEnd
from ..ipc.roster import Roster, take_roster
from ..pool.state import Pool
from ..pool.status import PoolStatus
from ..pool.status_from_state import take_headcount

EVERY_S = 1.0
#: Between two reports of the state of the pool, where nobody wants metrics.
REPORT_EVERY_S = 5.0


class StewardFeed:
    """Remembers what this steward has heard. `redis_texts` holds the Redis settings that workers handed up.

    `status` makes the state of the pool; `has_metrics`: somebody may ask for it at any time.
    """

    def __init__(self, status: Callable[[], PoolStatus], *, has_metrics: bool) -> None:
        self._status = status
        self._has_metrics = has_metrics
        self._reported_s = -REPORT_EVERY_S
        self._jobs = JobStats()
        self.redis_texts: dict[str, str] = {}
        self.is_stale = False
        self._last: Roster | None = None
        self._sent_s = 0.0
        self._named: set[str] = set()

    def start_over(self) -> None:
        """There is a new steward: it knows nothing."""
        self._last = None
        self._named = set()
        self._reported_s = -REPORT_EVERY_S

    def note_jobs(self, rows: Iterable[JobRow]) -> None:
        """Jobs that ended, as a worker reports them."""
        self._jobs.add_rows(rows)

    def push(self, steward: ParentEnd | None, pool: Pool) -> None:
        """Tell it at once when somebody came or went, and once a second in any case."""
        if steward is None:
            return
        now = time.monotonic()
        roster = take_roster(pool, now)
        if not self._is_news(roster, now):
            return
        new = {entry.redis for entry in (*roster.alive, *roster.lost)} - self._named - {""}
        lines = [RedisSettingsMessage(name, self.redis_texts[name]).encode() for name in sorted(new)]
        if self._has_metrics:
            lines.append(HeadcountMessage(take_headcount(pool, now)).encode())
        if self._has_metrics or now - self._reported_s >= REPORT_EVERY_S:
            lines.append(
                StatusMessage(self._status(), self._jobs.rows() if self._has_metrics else []).encode()
            )
            self._reported_s = now
        if steward.send(b"".join([*lines, RosterMessage(roster).encode()])):
            self._named |= new
            self._last, self._sent_s, self.is_stale = roster, now, False

    def _is_news(self, roster: Roster, now: float) -> bool:
        if self._last is None or self.is_stale or now - self._sent_s >= EVERY_S:
            return True
        return roster.membership() != self._last.membership()
