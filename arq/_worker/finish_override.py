"""`finish_job` and `finish_failed_job` as arq has them, for applications that override, patch and call them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from .._endings import Again, Done, Ending
from .._redis.scripts import ClaimedJob
from ..utils import timestamp_ms, to_ms
from .attempt import Outcome
from .context import Context
from .ending_writer import EndingWriter

logger = logging.getLogger("arq.worker")


if TYPE_CHECKING:

    class Finishes(Protocol):
        """Who has arq's two methods."""

        def finish_job(
            self,
            job_id: str,
            finish: bool,
            result_data: bytes | None,
            result_timeout_s: float | None,
            keep_result_forever: bool,
            incr_score: int | None,
            keep_in_progress: float | None,
            /,
        ) -> Coroutine[Any, Any, None]: ...

        def finish_failed_job(
            self, job_id: str, result_data: bytes | None, /
        ) -> Coroutine[Any, Any, None]: ...


class FinishArguments(NamedTuple):
    """The arguments of `finish_job` after the job's id, as arq passes them; see there."""

    finish: bool
    result_data: bytes | None
    result_timeout_s: float | None
    keep_result_forever: bool
    incr_score: int | None
    keep_in_progress: float | None


def finish_arguments(ending: Done | Again, score: int, keep_result_s: float, now_ms: int) -> FinishArguments:
    """What arq would have passed to `finish_job` for an ending of ours.

    Args:
        score: unix ms at which the job was due: arq moves it, we say when from now.
        keep_result_s: what the worker's options say, for endings that keep no result.
        now_ms: unix ms.
    """
    if isinstance(ending, Again):
        incr_score = None if ending.defer_ms is None else ending.defer_ms + now_ms - score
        return FinishArguments(False, None, keep_result_s, False, incr_score, None)
    forever = bool(ending.result) and ending.keep_ms is None
    kept_s = keep_result_s if ending.keep_ms is None else ending.keep_ms / 1000
    hold_s = None if ending.hold_ms is None else ending.hold_ms / 1000
    return FinishArguments(True, ending.result or None, kept_s, forever, None, hold_s)


def changed(ending: Done | Again, asked: FinishArguments, job: ClaimedJob, now_ms: int) -> Ending:
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
        burial=ending.burial if isinstance(ending, Done) else None,
    )


class FinishOverride:
    """Lets methods that an application has put in the place of ours write how a job has ended.

    Args:
        context: the worker's.
        writer: wakes up whoever writes endings.
        owner: has the two methods.
        ours: the two methods as they are here, functions of a class.
    """

    def __init__(
        self, context: Context, writer: EndingWriter, owner: Finishes, ours: tuple[Any, Any]
    ) -> None:
        self._context = context
        self._writer = writer
        self.owner = owner
        self._ours = ours
        #: what an overridden `finish_job` is to write, by job id
        self._handed_over: dict[str, Done | Again] = {}

    def is_wanted(self) -> bool:
        """Whether there are others in their place: of a subclass, or put into the class or the worker at any time."""
        kind, own = type(self.owner), self.owner.__dict__
        return (
            kind.finish_job is not self._ours[0]
            or kind.finish_failed_job is not self._ours[1]
            or "finish_job" in own
            or "finish_failed_job" in own
        )

    async def finish(self, job_id: str, asked: FinishArguments) -> None:
        """What our own `finish_job` does: write an ending as it was asked for; returns when that is written."""
        context = self._context
        job, ending = context.jobs.claimed.get(job_id), self._handed_over.pop(job_id, None)
        if job is None:
            logger.warning("job %s is not run by this worker (any more), its ending is not written", job_id)
            return
        if ending is None:  # a `run_job` of somebody's own
            ending = Again(job_id, job.stamp, None, job.job_try, context.stopping)
        exchange = context.exchange()
        exchange.record(changed(ending, asked, job, timestamp_ms()))
        del context.jobs.claimed[job_id]
        written = exchange.written()
        self._writer.wake_up()
        await asyncio.shield(written)

    async def hand_over(self, outcome: Outcome, ending: Done | Again) -> bool:
        """Let the owner's method write an ending. What it raises is logged; the ending is written all the same."""
        job, keep_result_s = outcome.attempt.job, self._context.options.keep_result_s
        self._handed_over[job.job_id] = ending
        arguments = finish_arguments(ending, job.score, keep_result_s, timestamp_ms())
        if outcome.started:
            writing = self.owner.finish_job(job.job_id, *arguments)
        else:
            writing = self.owner.finish_failed_job(job.job_id, arguments.result_data)
        try:
            await asyncio.shield(asyncio.ensure_future(writing))
        except BaseException as exc:
            if self._handed_over.pop(job.job_id, None) is not None:
                self._context.exchange().record(ending)
            if not isinstance(exc, Exception):
                raise
            logger.exception("finish_job of job %s failed", job.job_id)
        finally:
            self._handed_over.pop(job.job_id, None)
            self._context.jobs.claimed.pop(
                job.job_id, None
            )  # one that was not written comes back when its lock lapses
            self._writer.wake_up()
        return True
