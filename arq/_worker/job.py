"""One run of a job: from its payload to its outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from .. import _loop_exits
from .._endings import Unbegun
from .._job_statistics import DONE, FAILED, MOST_NOTED, RETRIED, UNKNOWN
from .._loop_exits import end_copy
from .._redis.scripts import ClaimedJob
from ..utils import LONGEST_S, timestamp_ms
from . import job_log, outcomes, run_coroutine
from .attempt import COMPLETE, Attempt, Cause, Ended, Outcome, returned
from .blocked_loop import Standstills
from .context import Context
from .dead_set_policy import dies
from .ending_writer import EndingWriter
from .finish_override import FinishOverride
from .hooks import Hooks
from .job_timeout import TimeLimit
from .options import WAITED

#: Members of an Enum take long to look up, see `COMPLETE`.
_TIMEOUT = Cause.TIMEOUT


class JobRunner:
    """Runs jobs, each in the task that calls `run`.

    Args:
        context: the worker's.
        hooks: what is run around a job.
        standstills: knows when the event loop stood still.
        writer: writes endings where no main loop does.
        override: writes them where an application has put its own methods in the place of ours.
        hold_cron_s: for how many seconds the id of a cron job that has run stays taken.
    """

    def __init__(
        self,
        context: Context,
        hooks: Hooks,
        standstills: Standstills,
        writer: EndingWriter,
        override: FinishOverride,
        hold_cron_s: Callable[[], float],
    ) -> None:
        self._context = context
        self._hooks = hooks
        self._standstills = standstills
        self._writer = writer
        self._override = override
        self._hold_cron_s = hold_cron_s
        #: by their seconds; as many as there are different time limits
        self._time_limits: dict[float | None, TimeLimit] = {}

    async def run(self, job: ClaimedJob) -> None:
        """Run a claimed job in the current task, and have its outcome written."""
        task = asyncio.current_task()
        assert task is not None
        options = self._context.options
        attempt = outcomes.read(
            job, options.functions, options.job_deserializer, options.payload_format, options.queue_name
        )
        attempt.start_ms = timestamp_ms()
        outcome = outcomes.refuse(attempt, options, attempt.start_ms)
        if outcome is not None:
            await self._end_refused(outcome, task)
            return
        ctx = attempt.context(options.ctx)
        ended = None if options.on_job_start is None else await self._hooks.start(attempt, ctx, task)
        if ended is None:
            ended = await self._run_body(attempt, ctx, task)
        outcome = outcomes.decide(
            attempt, ended, options, retry_jobs=options.retry_jobs, now_ms=timestamp_ms()
        )
        if ended.cause is _TIMEOUT:
            job_log.ignored_timeout(outcome)
        job_log.ended(outcome, options.log_results)
        if options.on_job_end is not None:
            outcome = await self._hooks.end(ctx, outcome, task)
        writing = self.record(outcome, task)
        is_written = writing is not None and await writing
        if options.after_job_end is not None:
            await self._hooks.after_end(ctx, outcome, is_written=is_written)
        if options.on_dead is not None and dies(outcome, options):
            await self._hooks.dead(ctx, outcome, is_written=is_written)

    async def _end_refused(self, outcome: Outcome, task: asyncio.Task[Any]) -> None:
        context = self._context
        if outcome.attempt.unread and context.options.unreadable == "retry":
            outcome = await context.unread.leave_to_others(context.redis, outcome)
        if outcome.leave is not None:
            context.exchange().cohorts = context.cohorts()
            if context.options.burst:
                context.unread.jobs.add(outcome.attempt.job.job_id)
            job_log.left_to_others(outcome)
        else:
            job_log.refused(outcome)
        writing = self.record(outcome, task)
        is_written = writing is not None and await writing
        options = self._context.options
        if options.on_dead is not None and dies(outcome, options):
            await self._hooks.dead(outcome.attempt.context(options.ctx), outcome, is_written=is_written)

    async def _run_body(self, attempt: Attempt, ctx: dict[Any, Any], task: asyncio.Task[Any]) -> Ended:
        """Run the job's own code. As `run_coroutine.watch` does it, without one more coroutine in between."""
        function, job_id, jobs, context = attempt.function, attempt.job_id, self._context.jobs, self._context
        assert function is not None
        limit_s = context.options.job_timeout_s if function.timeout_s is None else function.timeout_s
        limit = self._time_limits.get(limit_s) or self._new_time_limit(limit_s)
        if not self._standstills.is_watching:
            self._standstills.watch(task.get_loop())
        job_log.started(attempt)
        jobs.job_tasks[job_id], jobs.names[job_id] = task, attempt.function_name
        if limit is not None:
            limit.begin(task)
        ended, ran_out = None, False
        try:
            ended = returned(await function.coroutine(ctx, *attempt.args, **attempt.kwargs))
        except BaseException as exc:  # noqa: BLE001  (also of arguments that do not fit)
            ended = run_coroutine.raised(exc, context.who_cancelled, job_id)
        finally:
            ran_out = limit is not None and limit.end(task)
            if task.cancelling():
                run_coroutine.forget_cancellations(task)
            if _loop_exits.forks != context.options.forks_when_named:
                end_copy(None if ended is None else ended.raised)
            del jobs.job_tasks[job_id], jobs.names[job_id]
            is_aborted = bool(jobs.aborting) and jobs.forget_abort(job_id)
        if ran_out:
            ended = run_coroutine.out_of_time(ended)
        if is_aborted and ended.raised is not None:
            ended.cause = Cause.ABORT  # also if it has made an error of its own of it
        return ended

    def _new_time_limit(self, limit_s: float | None) -> TimeLimit | None:
        if limit_s is None or limit_s > LONGEST_S:
            return None
        limit = self._time_limits[limit_s] = TimeLimit(limit_s, self._standstills)
        return limit

    def record(self, outcome: Outcome, task: asyncio.Task[Any]) -> Coroutine[Any, Any, bool] | None:
        """Count an outcome and have it written; a group of them goes out together.

        Returns:
            what the job's task must await, if no main loop is to write it; true if it is written then.
        """
        context, options = self._context, self._context.options
        self._count(outcome)
        ending = outcomes.ending(
            outcome,
            options,
            options.queue_name,
            self._hold_cron_s,
            options.job_serializer,
            options.job_deserializer,
            options.payload_format,
        )
        override = self._override
        if override.is_wanted() and not isinstance(ending, Unbegun) and task is asyncio.current_task():
            return override.hand_over(outcome, ending)
        if outcome.interrupted:
            self._writer.hold_back(ending)
        else:
            (context.current or context.exchange()).record(ending)
        context.jobs.claimed.pop(outcome.attempt.job_id, None)
        if options.after_job_end is None:  # else the place is taken until that hook is through
            context.jobs.slots.discard(task)
        context.activity.set()
        if context.in_main:
            return None
        if task is asyncio.current_task() and not context.stopping:
            return self._writer.write_now()
        self._writer.write_beside()
        return None

    def _count(self, outcome: Outcome) -> None:
        context, attempt, verdict = self._context, outcome.attempt, outcome.verdict
        jobs, on_outcome = context.jobs, context.options.on_outcome
        if verdict is COMPLETE:
            jobs.complete += 1
            what = DONE
        elif verdict.is_final:
            jobs.failed += 1
            what = FAILED
        else:
            jobs.retried += 1
            what = RETRIED
        took_ms = outcome.finish_ms - attempt.start_ms
        if took_ms < 0:  # noqa: PLR1730  (five times as fast as `max`)
            took_ms = 0
        if outcome.leave is None:
            name = UNKNOWN if attempt.function is None else attempt.function_name
            has_run, job = outcome.started, attempt.job
            waited_ms = attempt.start_ms - job.score if has_run and job.job_try == 1 else None
            noted = jobs.statistics.noted
            noted.append((name, what, took_ms if has_run else None, waited_ms))
            if len(noted) >= MOST_NOTED:
                jobs.statistics.add_up()
            if on_outcome is not None and waited_ms is not None:
                on_outcome(attempt.function_name, WAITED, max(0, waited_ms) / 1000)
        if on_outcome is not None:
            on_outcome(attempt.function_name, outcome.verdict.name.lower(), took_ms / 1000)
