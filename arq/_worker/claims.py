"""Jobs that a worker is given: they are started, given back when it stops, or claimed for a caller who runs one."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from .._endings import Unbegun
from .._keys import in_progress_key
from .._loop_exits import as_failure
from .._printable import printable
from .._redis.scripts import ClaimAnswer, ClaimedJob
from ..utils import timestamp_ms
from .attempt import Attempt, Outcome, Verdict
from .context import Context
from .crash_suspects import Suspects
from .ending_writer import EndingWriter
from .quarantine import Quarantine

logger = logging.getLogger("arq.worker")

RunJob = Callable[[str, int], Coroutine[Any, Any, None]]
Run = Callable[[ClaimedJob], Coroutine[Any, Any, None]]
#: A job that was started, its id and its task.
_Begun = tuple[str, ClaimedJob, asyncio.Task[Any]]


class Claims:
    """What becomes of claimed jobs outside of their runs.

    Args:
        context: the worker's.
        suspects, quarantine: jobs that were in a process that died.
        writer: writes what is given back while no main loop runs.
        take: what the worker does with the answer of a claim.
        record: records the outcome of a job whose task has recorded none.
    """

    def __init__(
        self,
        context: Context,
        suspects: Suspects,
        quarantine: Quarantine,
        writer: EndingWriter,
        take: Callable[[ClaimAnswer], None],
        record: Callable[[Outcome, asyncio.Task[Any]], Any],
    ) -> None:
        self._context = context
        self._suspects = suspects
        self._quarantine = quarantine
        self._writer = writer
        self._take = take
        self._record = record

    async def start_these(self, job_ids: list[bytes], free_slots: Callable[[], int]) -> None:
        """Claim exactly these jobs, as far as they are due, free, and there is room, and start them."""
        wanted = [job_id.decode(errors="replace") for job_id in job_ids]
        while wanted and (free := free_slots()) > 0:
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

    async def _claim_exactly(self, job_ids: list[str]) -> ClaimAnswer:
        while True:
            answer = await self._context.exchange().commit_and_claim(len(job_ids), job_ids=job_ids)
            assert answer is not None
            if not answer.recovered:
                return answer
            self._take(answer)  # an earlier answer was lost: what it brought is to be run, too

    def begin(self, jobs: list[ClaimedJob], run_job: RunJob, run: Run | None = None) -> None:
        """Start the jobs that a claim has brought: one task each.

        Args:
            jobs: what was claimed.
            run_job: what each task calls.
            run: does the same without the detour, where nobody has put something else in the place of `run_job`.
        """
        if self._context.draining or self._context.stopping:
            self._give_back(jobs)
            return
        loop, table, begun = asyncio.get_running_loop(), self._context.jobs, list[_Begun]()
        claimed, tasks, slots, create_task = table.claimed, table.tasks, table.slots, loop.create_task
        for job in jobs:
            job_id = job[0]
            if job_id in claimed:  # after a lost answer we are told of all that is ours
                continue
            table.started += 1
            claimed[job_id] = job
            if job.crashes is not None:
                self._quarantine.begin(job_id, job.crashes)
            task = tasks[job_id] = create_task(run_job(job_id, job.score) if run is None else run(job))
            slots.add(task)
            begun.append((job_id, job, task))
        loop.call_soon(self._after_first_turn, begun)

    def _after_first_turn(self, begun: list[_Begun]) -> None:
        """Each of these tasks has had its first turn. Jobs that have ended in it are tidied up together: one look is
        cheaper than a callback for each.
        """
        table = self._context.jobs
        claimed, tasks, discard, is_careful = (
            table.claimed,
            table.tasks,
            table.slots.discard,
            self._suspects.is_careful,
        )
        for job_id, job, task in begun:
            if not task.done():
                task.add_done_callback(functools.partial(self._task_ended, job))
            elif is_careful or job_id in claimed or tasks.get(job_id) is not task:
                self._task_ended(job, task)
            else:
                del tasks[job_id]
                discard(task)
        self._context.activity.set()

    def _give_back(self, jobs: list[ClaimedJob]) -> None:
        """The worker stops: what it was given meanwhile never begins, for anybody who counts."""
        exchange = self._context.exchange()
        for job in jobs:
            if job.job_id not in self._context.jobs.claimed:
                exchange.record(Unbegun(job.job_id, job.stamp))
        self._writer.wake_up()

    async def claim_for_caller(self, job_id: str) -> ClaimedJob | None:
        """Claim a job whose `run_job` was called by somebody else: alone, or by a `start_jobs` of their own."""
        table, task = self._context.jobs, asyncio.current_task()
        assert task is not None
        is_listed = table.tasks.get(job_id) is task
        job = self._noted(await self._claim_exactly([job_id]), job_id)
        if job is None and is_listed:
            exchange = self._context.exchange()
            job = self._noted(await exchange.take_over(job_id, in_progress_key(job_id)), job_id)
        if job is not None:
            table.started += 1
            if is_listed:
                if job.crashes is not None:
                    self._quarantine.begin(job_id, job.crashes)
                task.add_done_callback(functools.partial(self._task_ended, job))
        elif is_listed:
            del table.tasks[job_id]
        return job

    def _noted(self, answer: ClaimAnswer | None, job_id: str) -> ClaimedJob | None:
        claimed = self._context.jobs.claimed
        for job in () if answer is None else answer.jobs:
            claimed[job.job_id] = job
        return claimed.get(job_id)

    def _task_ended(self, job: ClaimedJob, task: asyncio.Task[Any]) -> None:
        """Tidy up after a job's task, also after one that was cancelled before it began."""
        table = self._context.jobs
        table.slots.discard(task)
        if table.tasks.get(job.job_id) is task:
            del table.tasks[job.job_id]
        if self._suspects.is_careful:
            self._suspects.end(job.job_id, self._context.clock())
        if job.job_id in table.unbegun:
            table.unbegun.discard(job.job_id)
            del table.claimed[job.job_id]
            self._give_back([job])
        elif table.claimed.get(job.job_id) is job:
            self._record(self._outcome_of(job, task), task)
        self._context.activity.set()

    def _outcome_of(self, job: ClaimedJob, task: asyncio.Task[Any]) -> Outcome:
        """The outcome of a job whose task has ended without one."""
        attempt = Attempt(job, job_try=job.job_try, start_ms=timestamp_ms())
        if not task.cancelled() and (exc := task.exception()) is not None:
            logger.error("running job %s failed", printable(job.job_id), exc_info=exc)
            return Outcome(attempt, Verdict.FAILED, as_failure(exc), finish_ms=attempt.start_ms)
        interrupted = self._context.stopping
        return Outcome(attempt, Verdict.CANCELLED, interrupted=interrupted, finish_ms=attempt.start_ms)
