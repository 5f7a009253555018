"""What a worker does regularly: health line, cron jobs, aborts, locks and leases, looking for dead workers."""

from __future__ import annotations

import asyncio
import logging
import math
import random
from datetime import datetime, timedelta
from time import time

from .._health import Tally, format_line
from .._link import REPLY_TIMEOUT_S
from .._patience import Patience
from ..utils import to_ms
from . import schedule
from .options import local_timezone
from .state import CANCEL_AGAIN_S, WorkerState

logger = logging.getLogger("arq.worker")

#: Seconds between two looks for workers that died elsewhere.
_SWEEP_S = 15.0
#: Seconds until a worker that steps over jobs which plain arq workers hold looks at the head of the queue again.
_START_OVER_BUSY_S, _START_OVER_IDLE_S = 0.5, 8.0
#: Seconds for which a worker counts among those that look at its queue.
_PRESENCE_S = 60.0


class Duties(WorkerState):
    """The part of a worker that goes by the clock."""

    def _start_state(self) -> None:
        super()._start_state()
        self._all_is_due()
        # a beat goes by way of the pool, where redis-py before 8 waits for ever
        self._beat_patience = Patience(REPLY_TIMEOUT_S)

    def _all_is_due(self) -> None:
        """A worker begins, perhaps not for the first time: what it said of itself is gone."""
        #: when each duty is due, in the loop's time
        self._beat_at_s = self._keep_at_s = self._sweep_at_s = self._present_at_s = 0.0
        self._start_over_at_s = 0.0
        self._last_health: tuple[float, str | None] = (0.0, None)

    def _next_duty_s(self, free: bool) -> float:
        """When the loop must go on at the latest, whatever happens; `free`: it has room for jobs."""
        duties = [self._beat_at_s, self._keep_at_s, self._present_at_s]
        if not self.supervised:
            duties.append(self._sweep_at_s)
        if free:
            duties.append(self._look_at_s)
        return min(duties)

    async def _do_what_is_regular(self) -> None:
        now_s = self._clock()
        if now_s >= self._beat_at_s:
            self._beat_at_s = now_s + self.poll_delay_s
            if self.allow_abort_jobs:
                await self._cancel_aborted_jobs()
            with self._beat_patience:
                await self.heart_beat()
        if now_s >= self._start_over_at_s:
            self._start_over_at_s = now_s + (_START_OVER_BUSY_S if self._more else _START_OVER_IDLE_S)
            self._get_pump().start_over()
        if now_s >= self._keep_at_s:
            self._keep_at_s = now_s + self.in_progress_timeout_s / 3
            await self._keep_what_is_ours()
        if now_s >= self._present_at_s and self._in_main:
            self._present_at_s = now_s + _PRESENCE_S / 3
            has_old = await self._get_pump().show_presence(to_ms(_PRESENCE_S))
            if self._listener is not None:
                self._listener.with_old = has_old
        if now_s >= self._sweep_at_s and not self.supervised:
            self._sweep_at_s = now_s + _SWEEP_S * random.uniform(0.8, 1.2)
            await self._sweep()

    async def _cancel_aborted_jobs(self) -> None:
        """Cancel those running jobs that somebody asked to abort."""
        for job_id in await self._get_pump().aborted(list(self.job_tasks)):
            task = self.job_tasks.get(job_id)
            now_s = self._clock() - self._standstills.total_s()  # while the loop stands still no job can obey
            if task is not None and now_s >= self._abort_again_at_s.get(job_id, -math.inf):
                self.aborting_tasks.add(job_id)
                self._abort_again_at_s[job_id] = now_s + CANCEL_AGAIN_S
                task.cancel()

    async def heart_beat(self) -> None:
        """Write the health line and enqueue the cron jobs that fall due. Called every `poll_delay`."""
        await self.record_health()
        await self.run_cron(datetime.now(tz=self.timezone), max(self.poll_delay_s, 0.5))

    async def run_cron(self, n: datetime, delay: float, num_windows: int = 2) -> None:
        """Enqueue the cron jobs that fall due within the next `delay * num_windows` seconds.

        Args:
            n: now, aware.
            delay: seconds until the next call at most.
            num_windows: how many calls to look ahead.
        """
        if not self.cron_jobs:
            return
        self._follow_clock_change()
        ticks = schedule.due(self.cron_jobs, n, timedelta(seconds=delay * num_windows))
        await asyncio.gather(*(self._enqueue_tick(tick) for tick in ticks))

    def _follow_clock_change(self) -> None:
        """The system's timezone as an offset changes when summer time begins or ends: plan anew then."""
        current = self._own_timezone or local_timezone()
        if current != self.timezone:
            self.timezone = current
            for cron_job in self.cron_jobs or ():
                if cron_job.next_run is not None:
                    cron_job.calculate_next(datetime.now(tz=current))

    async def _enqueue_tick(self, tick: schedule.Tick) -> None:
        name = tick.cron_job.name
        if tick.once and tick.job_id is not None:
            await self.pool._enqueue_tick(
                name, tick.job_id, self.queue_name, tick.cron_job.schedule_id(), tick.due_ms
            )
        else:
            due = datetime.fromtimestamp(tick.due_ms / 1000, tz=self.timezone) if tick.ahead else None
            await self.pool.enqueue_job(
                name, _job_id=tick.job_id, _queue_name=self.queue_name, _defer_until=due
            )

    async def record_health(self) -> None:
        """Write the health line, if it is time. Under a supervisor that is the supervisor's business."""
        now_s = time()
        written_s, last_counts = self._last_health
        is_due = now_s - written_s >= self.health_check_interval
        if self.supervised or not (is_due or self._amend_health):
            return
        self._amend_health = False
        self.queued = await self.pool.zcard(self.queue_name)
        ongoing = sum(not task.done() for task in self.tasks.values())
        tally = Tally(self.jobs_complete, self.jobs_failed, self.jobs_retried, ongoing, self.queued)
        line = format_line(tally, datetime.now())  # noqa: DTZ005  (the line has local time)
        await self.pool.set(self.health_check_key, line.encode(), px=to_ms(self.health_check_interval + 1))
        if not is_due:
            return
        counts = str(tally)
        self._last_health = (now_s, counts)
        if last_counts is not None and last_counts != counts:
            logger.info("recording health: %s", line)

    async def _keep_what_is_ours(self) -> None:
        """Extend the locks of running jobs, and the lease of this worker."""
        lease_ms = None if self.supervised else self._lease_ms()
        for job_id in await self._get_pump().keep(list(self._claimed), lease_ms):
            if job_id in self._claimed:
                logger.warning("job %s is not this worker's any more, it may be run twice", job_id)

    async def _sweep(self) -> None:
        for worker_id, job_ids in (await self._get_pump().sweep()).items():
            if worker_id != self.worker_id:
                logger.warning(
                    "worker %s is gone, %d jobs given back: %s", worker_id, len(job_ids), job_ids[:10]
                )
