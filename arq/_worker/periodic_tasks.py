"""What a worker does by the clock beside its jobs, and when."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable

from .._lock_time import look_again_s
from .._redis.reply_timeout import Patience
from .._redis.worker_connection import REPLY_TIMEOUT_S
from .context import Context
from .duty_times import DutyTimes
from .poll_schedule import PollSchedule
from .repeated_errors import Complaints

#: Seconds between two looks for workers that died elsewhere, at most.
_SWEEP_S = 15.0
#: Seconds until a worker that steps over jobs which plain arq workers hold looks at the head of the queue again.
_START_OVER_BUSY_S, _START_OVER_IDLE_S = 0.5, 8.0
#: Seconds between two extensions of locks at most: what belongs to a running job must not expire meanwhile.
_KEEP_S = 600.0
#: Seconds for which a worker counts among those that look at its queue.
PRESENCE_S = 60.0
#: Seconds between two writes of statistics at least.
_STATISTICS_S = 10.0


Action = Callable[[], Awaitable[None]]


class Duties:
    """Does what is due.

    Args:
        context: the worker's.
        poll: knows whether the worker is busy.
        complaints: hears what Redis refuses of one duty: that is said once, and the others go on.
        heart_beat, obey_aborts, extend_locks, show_presence, sweep, write_statistics: what is done when it is due;
            `sweep` returns in how many seconds a worker may be overdue.
    """

    def __init__(
        self,
        context: Context,
        poll: PollSchedule,
        complaints: Complaints,
        *,
        heart_beat: Action,
        obey_aborts: Action,
        extend_locks: Action,
        show_presence: Action,
        sweep: Callable[[], Awaitable[float]],
        write_statistics: Action,
    ) -> None:
        self._context = context
        self._poll = poll
        self._complaints = complaints
        self._heart_beat = heart_beat
        self._obey_aborts = obey_aborts
        self._extend_locks = extend_locks
        self._show_presence = show_presence
        self._sweep = sweep
        self._write_statistics = write_statistics
        self.times = DutyTimes()
        # a beat goes by way of the pool, where redis-py before 8 waits for ever
        self._beat_patience = Patience(REPLY_TIMEOUT_S)

    def begin(self) -> None:
        """The worker begins, perhaps not for the first time: all is due."""
        self.times = DutyTimes()

    def stop(self) -> None:
        """The main loop has ended."""
        self._beat_patience.stop()

    def next_s(self) -> float:
        """When the main loop must go on at the latest, whatever happens."""
        return self.times.next_s(sweeps=not self._context.options.supervised)

    async def do(self) -> None:
        """Do what is due."""
        now_s, times = self._context.clock(), self.times
        options, complaints = self._context.options, self._complaints
        if now_s >= times.beat_at_s:
            times.beat_at_s = now_s + options.poll_delay_s
            if options.allow_abort_jobs:
                await complaints.try_to("requests to abort", self._obey_aborts())
            with self._beat_patience:
                await self._heart_beat()
        if now_s >= times.start_over_at_s:
            times.start_over_at_s = now_s + (_START_OVER_BUSY_S if self._poll.more else _START_OVER_IDLE_S)
            self._context.exchange().start_over()
        if now_s >= times.keep_at_s:
            times.keep_at_s = now_s + min(options.in_progress_timeout_s / 3, _KEEP_S)
            await complaints.try_to("locks and lease", self._extend_locks())
        if now_s >= times.present_at_s and self._context.in_main:
            times.present_at_s = now_s + PRESENCE_S / 3
            await complaints.try_to("presence", self._show_presence())
        if now_s >= times.sweep_at_s and not options.supervised:
            times.sweep_at_s = now_s + _SWEEP_S * random.uniform(0.8, 1.2)
            await complaints.try_to("sweep", self._sweep_now(now_s))
        await self._write_statistics_if_due(now_s)

    async def _sweep_now(self, now_s: float) -> None:
        again_s = look_again_s(await self._sweep(), random.random())
        self.times.sweep_at_s = min(self.times.sweep_at_s, now_s + again_s)

    async def _write_statistics_if_due(self, now_s: float) -> None:
        times = self.times
        if now_s < times.statistics_at_s:
            return
        is_first, times.statistics_at_s = not times.statistics_at_s, now_s + _STATISTICS_S
        if not is_first:
            await self._complaints.try_to("statistics", self._write_statistics())
