"""Methods and attributes of arq's `Worker` that applications override, patch and call. A plain worker does without."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable
from signal import Signals
from typing import NamedTuple

from .._scripts import Again, ClaimedJob, Done, Ending
from ..utils import timestamp_ms, to_ms
from .attempt import Outcome
from .places import Places
from .state import WorkerState

logger = logging.getLogger("arq.worker")


class _Finish(NamedTuple):
    """The arguments of `finish_job` after the job's id, as arq passes them."""

    finish: bool
    result_data: bytes | None
    result_timeout_s: float | None
    keep_result_forever: bool
    incr_score: int | None
    keep_in_progress: float | None


def finish_arguments(ending: Done | Again, score: int, keep_result_s: float, now_ms: int) -> _Finish:
    """What arq would have passed to `finish_job` for an ending of ours.

    Args:
        score: unix ms at which the job was due: arq moves it, we say when from now.
        keep_result_s: what the worker's options say, for endings that keep no result.
        now_ms: unix ms.
    """
    if isinstance(ending, Again):
        incr_score = None if ending.defer_ms is None else ending.defer_ms + now_ms - score
        return _Finish(False, None, keep_result_s, False, incr_score, None)
    forever = bool(ending.result) and ending.keep_ms is None
    kept_s = keep_result_s if ending.keep_ms is None else ending.keep_ms / 1000
    hold_s = None if ending.hold_ms is None else ending.hold_ms / 1000
    return _Finish(True, ending.result or None, kept_s, forever, None, hold_s)


def changed(ending: Done | Again, asked: _Finish, job: ClaimedJob, now_ms: int) -> Ending:
    """An ending as `finish_job` was asked to write it, by code that may have changed arguments on the way."""
    if not asked.finish:
        defer_ms = max(0, asked.incr_score + job.score - now_ms) if asked.incr_score else None
        if isinstance(ending, Again):
            return ending._replace(defer_ms=defer_ms)
        return Again(job.job_id, job.stamp, defer_ms)
    keep_ms = to_ms(asked.result_timeout_s or 0)
    kept = bool(asked.result_data) and (asked.keep_result_forever or keep_ms > 0)
    return Done(
        job.job_id,
        job.stamp,
        (asked.result_data or b"") if kept else b"",
        keep_ms if kept and not asked.keep_result_forever else None,
        None if asked.keep_in_progress is None else to_ms(asked.keep_in_progress),
        smaller=ending.smaller if isinstance(ending, Done) else None,
    )


class Overridable(WorkerState):
    """The part of a worker that exists for those who change it."""

    #: arq's `_poll_iteration` reads the queue from here on
    _queue_read_offset = 0

    def _start_state(self) -> None:
        super()._start_state()
        #: what an overridden `finish_job` is to write, by job id
        self._handed_over: dict[str, Done | Again] = {}
        #: whether the loop's own `_poll_iteration` was called, and not only somebody else's
        self._polled = True

    @property
    def sem(self) -> Places:
        """A semaphore with one place more than `max_jobs`. Places that are taken here are missing to the jobs."""
        if self._places is None:
            self._places = Places(self.max_jobs + 1)
        return self._places

    @property
    def _job_completion_wait(self) -> float:
        return self.job_completion_wait

    @_job_completion_wait.setter
    def _job_completion_wait(self, seconds: float) -> None:
        self.job_completion_wait = seconds

    def _jobs_started(self) -> int:
        return self._started

    def _release_sem_dec_counter_on_complete(self) -> None:
        self.job_counter -= 1
        self.sem.release()

    async def _sleep_until_tasks_complete(self) -> None:
        while self.tasks:
            await asyncio.wait(list(self.tasks.values()))

    def _add_signal_handler(self, signum: Signals, handler: Callable[[Signals], None]) -> None:
        self.loop.add_signal_handler(signum, functools.partial(handler, signum))

    async def finish_job(
        self,
        job_id: str,
        finish: bool,
        result_data: bytes | None,
        result_timeout_s: float | None,
        keep_result_forever: bool,
        incr_score: int | None,
        keep_in_progress: float | None,
    ) -> None:
        """Write how a run of a job has ended; returns when that is written.

        Called by a worker only where it is overridden: otherwise the endings of many jobs are written together.

        Args:
            job_id: id of a job that this worker runs.
            finish: whether the job leaves the queue.
            result_data: the serialized result; None: none is kept.
            result_timeout_s: how long to keep it.
            keep_result_forever: keep it without a limit.
            incr_score: ms that are added to the job's score if it is run again; None: none.
            keep_in_progress: seconds for which the id stays taken; None: it is free at once.
        """
        asked = _Finish(
            finish, result_data, result_timeout_s, keep_result_forever, incr_score, keep_in_progress
        )
        await self._finish_as(job_id, asked)

    async def finish_failed_job(self, job_id: str, result_data: bytes | None) -> None:
        """`finish_job` for a job that could not even be started: expired, unreadable, unknown, too many tries.

        Args:
            job_id: its id.
            result_data: the serialized failure; None: none is kept.
        """
        asked = _Finish(True, result_data, self.keep_result_s, self.keep_result_forever, None, None)
        await self._finish_as(job_id, asked)

    async def _finish_as(self, job_id: str, asked: _Finish) -> None:
        job, ending = self._claimed.get(job_id), self._handed_over.pop(job_id, None)
        if job is None:
            logger.warning("job %s is not run by this worker (any more), its ending is not written", job_id)
            return
        if ending is None:  # a `run_job` of somebody's own
            ending = Again(job_id, job.stamp, None, job.job_try, self._stopping)
        pump = self._get_pump()
        pump.record(changed(ending, asked, job, timestamp_ms()))
        del self._claimed[job_id]
        written = pump.written()
        self._wake_up()
        await asyncio.shield(written)

    async def _hand_over(self, outcome: Outcome, ending: Done | Again) -> bool:
        """Let an overridden method write an ending. What it raises is logged; the ending is written all the same."""
        job = outcome.attempt.job
        self._handed_over[job.job_id] = ending
        arguments = finish_arguments(ending, job.score, self.keep_result_s, timestamp_ms())
        if outcome.started:
            writing = self.finish_job(job.job_id, *arguments)
        else:
            writing = self.finish_failed_job(job.job_id, arguments.result_data)
        try:
            await asyncio.shield(asyncio.ensure_future(writing))
        except BaseException as exc:
            if self._handed_over.pop(job.job_id, None) is not None:
                self._get_pump().record(ending)
            if not isinstance(exc, Exception):
                raise
            logger.exception("finish_job of job %s failed", job.job_id)
        finally:
            self._handed_over.pop(job.job_id, None)
            self._claimed.pop(job.job_id, None)  # one that was not written comes back when its lock lapses
            self._wake_up()
        return True


#: The methods as they are here: a worker that has others hands its endings over to them.
FINISH_JOB, FINISH_FAILED_JOB = Overridable.finish_job, Overridable.finish_failed_job
