"""One job in a worker: claimed, started, run, its outcome recorded and written."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Coroutine
from time import monotonic
from types import MethodType
from typing import Any

from .. import _exits
from .._ask import ask
from .._exits import as_failure, end_copy
from .._interrupts import asks_to_stop
from .._keys import in_progress_key
from .._scripts import ClaimAnswer, ClaimedJob, Unbegun
from .._text import printable
from ..utils import LONGEST_S, timestamp_ms
from . import decide, report, run
from .attempt import Attempt, Cause, Ended, Outcome, Verdict
from .overridable import FINISH_FAILED_JOB, FINISH_JOB
from .quarantine import Quarantine
from .timelimit import TimeLimit
from .unread import Unread
from .writing import Writing

logger = logging.getLogger("arq.worker")


class JobRunner(Writing, Quarantine):
    """The part of a worker that a job goes through, from the claim to the written outcome."""

    def _start_state(self) -> None:
        super()._start_state()
        self._unread = Unread()
        self._plain_ends = tuple(MethodType(method, self) for method in (FINISH_JOB, FINISH_FAILED_JOB))
        #: by their seconds; as many as there are different time limits
        self._time_limits: dict[float, TimeLimit] = {}

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Claim exactly these jobs, as far as they are due, free, and there is room, and start them.

        Args:
            job_ids: ids as they stand in the queue.
        """
        wanted = [job_id.decode(errors="replace") for job_id in job_ids]
        while wanted and (free := self._free_slots()) > 0:
            page, wanted = wanted[:free], wanted[free:]
            answer = await self._claim_exactly(page)
            if answer.wait_ms == 0 and answer.jobs:  # their payloads are many MB: the rest comes next
                last = page.index(answer.jobs[-1].job_id) + 1
                page, wanted = page[:last], page[last:] + wanted
            started = {job.job_id for job in answer.jobs}
            for job_id in page:
                if job_id not in started:
                    logger.debug("job %s already running elsewhere", printable(job_id))
            self._take(answer)
        await self._let_go_outside_main()

    def _starts_by_hand(self) -> bool:
        """Whether somebody has put something else in the place of `start_jobs`."""
        return type(self).start_jobs is not _START_JOBS or "start_jobs" in self.__dict__

    async def _start_by_hand(self) -> None:
        """Give what is due to a `start_jobs` that was overridden, as arq's loop does."""
        most = self.queue_read_limit
        if self.burst and self.max_burst_jobs >= 0:
            most = min(most, self.max_burst_jobs - self._started)
        limit = ("LIMIT", self._queue_read_offset, most)
        job_ids: list[bytes] = await ask(
            self.pool, "ZRANGEBYSCORE", self.queue_name, "-inf", self._redis_now_ms(), *limit
        )
        self._more = False
        self._look_again(-1)
        before = self._started
        if job_ids:
            await self.start_jobs(job_ids)
        self._more = before < self._started < before + len(job_ids)

    async def _claim_exactly(self, job_ids: list[str]) -> ClaimAnswer:
        while True:
            answer = await self._get_pump().exchange(len(job_ids), job_ids=job_ids)
            assert answer is not None
            if not answer.recovered:
                return answer
            self._take(answer)  # an earlier answer was lost: what it brought is to be run, too

    async def _claim_one(self, job_id: str) -> ClaimedJob | None:
        return self._note_claim(await self._claim_exactly([job_id]), job_id)

    def _note_claim(self, answer: ClaimAnswer | None, job_id: str) -> ClaimedJob | None:
        for job in () if answer is None else answer.jobs:
            self._claimed[job.job_id] = job
        return self._claimed.get(job_id)

    async def _claim_for(self, task: asyncio.Task[Any], job_id: str) -> ClaimedJob | None:
        """Claim a job whose `run_job` was called by somebody else: alone, or by a `start_jobs` of their own."""
        is_listed = self.tasks.get(job_id) is task
        job = await self._claim_one(job_id)
        if job is None and is_listed:
            job = self._note_claim(await self._get_pump().take_over(job_id, in_progress_key(job_id)), job_id)
        if job is not None:
            self._started += 1
            if is_listed:
                if job.crashes is not None:
                    self._note_suspect(job_id, job.crashes)
                task.add_done_callback(functools.partial(self._task_ended, job))
        elif is_listed:
            del self.tasks[job_id]
        return job

    def _take(self, answer: ClaimAnswer) -> None:
        """Start what a claim brought, and note when to look again."""
        if answer.now_ms:
            self._redis_ahead_ms = answer.now_ms - timestamp_ms()
            self._redis_said_ms, self._redis_said_at_s = answer.now_ms, monotonic()
        self._more = answer.wait_ms == 0 and not answer.shared
        self._look_again(10 if answer.shared else answer.wait_ms)
        if answer.awaited or self._suspects.awaited:
            self._make_room(answer.awaited)
        for worker_id, released in answer.swept.items():
            report.gone(worker_id, released)
        self._say_ready()
        if answer.jobs and not self._started:
            self._amend_health = True
        if self._draining or self._stopping:
            self._give_back(answer.jobs)
            return
        loop = asyncio.get_running_loop()
        for job in answer.jobs:
            if job.job_id not in self._claimed:  # after a lost answer we are told of all that is ours
                self._start(job, loop)

    def _give_back(self, jobs: list[ClaimedJob]) -> None:
        """The worker stops: what it was given meanwhile never begins, for anybody who counts."""
        pump = self._get_pump()
        for job in jobs:
            if job.job_id not in self._claimed:
                pump.record(Unbegun(job.job_id, job.stamp))
        self._activity.set()
        self._flush_beside()

    def _start(self, job: ClaimedJob, loop: asyncio.AbstractEventLoop) -> None:
        self._started += 1
        self._claimed[job.job_id] = job
        if job.crashes is not None:
            self._note_suspect(job.job_id, job.crashes)
        task = loop.create_task(self.run_job(job.job_id, job.score))
        self._slots.add(task)
        self.tasks[job.job_id] = task
        task.add_done_callback(functools.partial(self._task_ended, job))

    def _task_ended(self, job: ClaimedJob, task: asyncio.Task[Any]) -> None:
        """Tidy up after a job's task, also after one that was cancelled before it began."""
        self._slots.discard(task)
        if self.tasks.get(job.job_id) is task:
            del self.tasks[job.job_id]
        if self._suspects.is_careful:
            self._suspects.end(job.job_id, self._clock())
        if job.job_id in self._unbegun:
            self._unbegun.discard(job.job_id)
            del self._claimed[job.job_id]
            self._give_back([job])
        elif self._claimed.get(job.job_id) is job:  # no outcome was recorded
            attempt = Attempt(job, job_try=job.job_try, start_ms=timestamp_ms())
            outcome = Outcome(
                attempt, Verdict.CANCELLED, interrupted=self._stopping, finish_ms=attempt.start_ms
            )
            if not task.cancelled() and (exc := task.exception()) is not None:
                logger.error("running job %s failed", printable(job.job_id), exc_info=exc)
                outcome = Outcome(attempt, Verdict.FAILED, as_failure(exc), finish_ms=attempt.start_ms)
            self._record(outcome, task)
        self._activity.set()

    async def run_job(self, job_id: str, score: int) -> None:
        """Run one job, from its payload to its outcome. One asyncio task each; instrumentation replaces this method.

        Args:
            job_id: its id. A job that was not claimed before is claimed now.
            score: unix ms at which it was due.
        """
        task = _this_task()
        job = self._claimed.get(job_id) or await self._claim_for(task, job_id)
        if job is None:
            return
        attempt = decide.read(job, self.functions, self.job_deserializer)
        attempt.start_ms = timestamp_ms()
        outcome = decide.refuse(attempt, self, attempt.start_ms)
        if outcome is not None:
            await self._end_refused(outcome, task)
            return
        ctx = attempt.context(self.ctx)
        ended = None if self.on_job_start is None else await self._start_hook(attempt, ctx, task)
        if ended is None:
            if not self._standstills.is_watching:
                self._standstills.watch(task.get_loop())
            report.started(attempt)
            ended = await self._run_body(attempt, ctx, task)
        outcome = decide.decide(attempt, ended, self, retry_jobs=self.retry_jobs, now_ms=timestamp_ms())
        if ended.cause is Cause.TIMEOUT:
            report.ignored_timeout(outcome)
        report.ended(outcome, self.log_results)
        if self.on_job_end is not None:
            outcome = await self._end_hook(ctx, outcome, task)
        writing = self._record(outcome, task)
        is_written = writing is not None and await writing
        if self.after_job_end is not None:
            await self._after_job_end(ctx, outcome, is_written=is_written)

    async def _end_refused(self, outcome: Outcome, task: asyncio.Task[Any]) -> None:
        if outcome.attempt.unread and self.unreadable == "retry":
            outcome = await self._unread.leave_to_others(self.pool, outcome)
        if outcome.leave is not None:
            self._get_pump().cohorts = self._cohorts()
            if self.burst:
                self._unread.jobs.add(outcome.attempt.job.job_id)
            report.left_to_others(outcome)
        else:
            report.refused(outcome)
        writing = self._record(outcome, task)
        if writing is not None:
            await writing

    async def _start_hook(
        self, attempt: Attempt, ctx: dict[Any, Any], task: asyncio.Task[Any]
    ) -> Ended | None:
        """Run on_job_start; if it raises, that is how the job has ended."""
        assert self.on_job_start is not None
        ctx["job_def"] = attempt.definition()
        who_cancelled = functools.partial(self._who_cancelled, attempt.job.job_id)
        ended = await run.watch(self.on_job_start(ctx), task, None, who_cancelled)
        if ended.raised is not None:
            return ended
        attempt.start_ms = timestamp_ms()  # the hook's time is not the job's
        return None

    async def _run_body(self, attempt: Attempt, ctx: dict[Any, Any], task: asyncio.Task[Any]) -> Ended:
        function, job_id = attempt.function, attempt.job.job_id
        assert function is not None
        limit = self._time_limit(self.job_timeout_s if function.timeout_s is None else function.timeout_s)
        self.job_tasks[job_id] = task
        self._names[job_id] = attempt.function_name
        ended = None
        try:
            body = function.coroutine(ctx, *attempt.args, **attempt.kwargs)
        except BaseException as exc:  # the arguments do not fit, or it is no plain coroutine function
            if asks_to_stop(exc):
                raise
            return Ended(raised=as_failure(exc))
        else:
            ended = await run.watch(body, task, limit, functools.partial(self._who_cancelled, job_id))
            return ended
        finally:
            if _exits.forks != self._forks:
                end_copy(None if ended is None else ended.raised)
            del self.job_tasks[job_id], self._names[job_id]
            self.aborting_tasks.discard(job_id)
            self._abort_again_at_s.pop(job_id, None)

    def _time_limit(self, limit_s: float | None) -> TimeLimit | None:
        if limit_s is None or limit_s > LONGEST_S:
            return None
        limit = self._time_limits.get(limit_s)
        if limit is None:
            limit = self._time_limits[limit_s] = TimeLimit(limit_s, self._standstills)
        return limit

    def _who_cancelled(self, job_id: str) -> Cause:
        if job_id in self.aborting_tasks:
            return Cause.ABORT
        return Cause.SHUTDOWN if self._stopping else Cause.NOBODY

    async def _end_hook(self, ctx: dict[Any, Any], outcome: Outcome, task: asyncio.Task[Any]) -> Outcome:
        """Run on_job_end; if it raises, the job has failed."""
        assert self.on_job_end is not None
        ctx.update(outcome.told(self.queue_name))
        ended = await run.watch(self.on_job_end(ctx), task, None, lambda: Cause.NOBODY)
        if ended.raised is None or isinstance(ended.raised, asyncio.CancelledError):
            return outcome  # a shutdown must not undo what the job has done
        failed = Outcome(outcome.attempt, Verdict.FAILED, ended.raised, finish_ms=timestamp_ms())
        report.ended(failed, self.log_results)
        return failed

    def _record(self, outcome: Outcome, task: asyncio.Task[Any]) -> Coroutine[Any, Any, bool] | None:
        """Count an outcome and have it written; a group of them goes out together.

        Returns:
            what the job's task must await, if no main loop is to write it; true if it is written then.
        """
        if outcome.verdict is Verdict.COMPLETE:
            self.jobs_complete += 1
        elif outcome.verdict.is_final:
            self.jobs_failed += 1
        else:
            self.jobs_retried += 1
        if self.on_outcome is not None:
            attempt = outcome.attempt
            took_s = max(0, outcome.finish_ms - attempt.start_ms) / 1000  # the clock may have been set back
            self.on_outcome(attempt.function_name, outcome.verdict.name.lower(), took_s)
        job_id = outcome.attempt.job.job_id
        ending = decide.ending(
            outcome,
            self,
            self.queue_name,
            self._hold_cron_s,
            self.job_serializer,
            self.job_deserializer,
        )
        # put in their place by a subclass, in the class or in this object, at any time
        is_plain = (self.finish_job, self.finish_failed_job) == self._plain_ends
        if not is_plain and not isinstance(ending, Unbegun) and task is asyncio.current_task():
            return self._hand_over(outcome, ending)
        record = self._hold_back if outcome.interrupted else self._get_pump().record
        record(ending)
        self._claimed.pop(job_id, None)
        if self.after_job_end is None:  # else the place is taken until that hook is through
            self._slots.discard(task)
        self._activity.set()
        if self._in_main:
            return None
        if task is asyncio.current_task() and not self._stopping:
            return self._write_now()
        self._flush_beside()
        return None

    async def _after_job_end(self, ctx: dict[Any, Any], outcome: Outcome, *, is_written: bool) -> None:
        assert self.after_job_end is not None
        ctx.update(outcome.told(self.queue_name))
        job_id = outcome.attempt.job.job_id
        try:
            if not is_written:
                await asyncio.shield(self._get_pump().written())
            await self.after_job_end(ctx)
        except asyncio.CancelledError:
            logger.info("after_job_end of job %s cancelled", printable(job_id))
        except BaseException as exc:
            if isinstance(exc, GeneratorExit) or asks_to_stop(exc):
                raise
            logger.exception("after_job_end of job %s failed", printable(job_id))


_START_JOBS = JobRunner.start_jobs


def _this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task
