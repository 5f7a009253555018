"""How a worker ends: the drain, the end of its jobs, and the last words to Redis."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
from collections.abc import Callable
from signal import Signals
from typing import Any

from redis.exceptions import RedisError

from .._redis.raw_commands import ask
from .._redis.redis_errors import passes
from .._redis.server_errors import is_refusal
from .._redis.worker_connection import REPLY_TIMEOUT_S
from .context import CANCEL_AGAIN_S, Context
from .ending_writer import EndingWriter
from .reconnect_backoff import ReconnectBackoff
from .statistics_writer import write_last

logger = logging.getLogger("arq.worker")

#: Seconds to go on trying to write the last endings when Redis is away while the worker stops.
_LAST_WRITES_S = 5.0
#: The same when nothing is left to write but that the worker is gone.
_LAST_WORDS_S = 0.7
#: Jobs get their time in steps of so many seconds: while the process stands still they do not run, either.
_DRAIN_STEP_S = 0.25
#: Seconds that jobs get more at most, for a job that blocks the loop looks the same. Service managers grant as much.
_MOST_GIVEN_BACK_S = 5.0
#: Tries at least, though that time is over: it may be this process that stood still, not Redis that is away.
_LEAST_TRIES = 3


def _gives_up(tries: int, spent_s: float, lost: list[str | bytes]) -> bool:
    """Whether a worker that leaves has tried long enough to tell Redis; `lost`: jobs whose endings are not written."""
    if spent_s >= REPLY_TIMEOUT_S:
        return True
    return tries >= _LEAST_TRIES and spent_s >= (_LAST_WRITES_S if lost else _LAST_WORDS_S)


def _has_not_begun(task: asyncio.Task[Any]) -> bool:
    coroutine = task.get_coro()
    return inspect.iscoroutine(coroutine) and inspect.getcoroutinestate(coroutine) == inspect.CORO_CREATED


class Shutdown:
    """Ends the jobs of a worker, at once or after a while.

    Args:
        context: the worker's.
        writer: has endings that are written when the jobs have ended.
        main_task: gives the task of `main`, which ends too; None: it does not run in one of its own.
        pick_jobs: says whether the worker may take jobs.
    """

    def __init__(
        self,
        context: Context,
        writer: EndingWriter,
        main_task: Callable[[], asyncio.Task[Any] | None],
        pick_jobs: Callable[[bool], None],
    ) -> None:
        self._context = context
        self._writer = writer
        self._main_task = main_task
        self._pick_jobs = pick_jobs
        self._drain_task: asyncio.Task[None] | None = None

    @property
    def has_begun(self) -> bool:
        """Whether the worker stops."""
        return self._context.draining or self._context.stopping

    def now(self, sig: Signals) -> None:
        """Cancel the running jobs, and say so."""
        counts, ongoing = self._context.jobs.counts_text(), len(self._context.jobs.tasks)
        logger.info("shutdown on %s ◆ %s ◆ %d ongoing to cancel", sig.name, counts, ongoing)
        self.cancel_all(sig)

    def drain(self, sig: Signals) -> None:
        """Take no more jobs, give the running ones `job_completion_wait` seconds, then cancel them."""
        context = self._context
        self.claim_no_more()
        context.draining = True
        self._pick_jobs(False)
        logger.info("Setting allow_pick_jobs to `False`")
        counts, ongoing = context.jobs.counts_text(), len(context.jobs.tasks)
        logger.info("shutdown on %s ◆ %s ◆ %d to be completed", sig.name, counts, ongoing)
        self._drain_task = context.loop.create_task(self._drain(sig))

    async def _drain(self, sig: Signals) -> None:
        wait_s = float(self._context.options.job_completion_wait)
        await self._give_jobs(wait_s, min(wait_s, _MOST_GIVEN_BACK_S))
        if self._context.stopping:
            return
        counts, ongoing = self._context.jobs.counts_text(), len(self._context.jobs.tasks)
        logger.info("shutdown on %s, wait complete ◆ %s ◆ %d ongoing to cancel", sig.name, counts, ongoing)
        self.cancel_all(sig)

    async def _give_jobs(self, left_s: float, most_given_back_s: float) -> None:
        """Wait for the running jobs, `left_s` at most; time in which the process stood still comes on top."""
        clock, jobs = self._context.clock, self._context.jobs
        until_s = clock() + left_s + most_given_back_s
        while jobs.tasks and left_s > 0 and clock() < until_s:
            begun_s, step_s = clock(), min(left_s, _DRAIN_STEP_S)
            await asyncio.wait(list(jobs.tasks.values()), timeout=step_s)
            left_s -= min(step_s, clock() - begun_s)

    def cancel_all(self, sig: Signals) -> None:
        """Cancel the running jobs and the main loop."""
        self.claim_no_more()
        self._context.stopping = True
        jobs, options = self._context.jobs, self._context.options
        for job_id, task in list(jobs.tasks.items()):
            if not task.done():
                if _has_not_begun(task):
                    jobs.unbegun.add(job_id)
                task.cancel()
        if main_task := self._main_task():
            main_task.cancel()
        if options.on_stop:
            options.on_stop(sig)

    def claim_no_more(self) -> None:
        """No claim that is on its way counts any more."""
        if self._context.current is not None and not self.has_begun:
            self._context.current.claim_no_more(self._context.outgoing)

    def ready_for_another_run(self) -> None:
        """All has ended: the worker may run again."""
        if self._drain_task is not None:
            self._drain_task.cancel()
        if self._context.draining:
            self._context.may_pick_jobs = True
        self._context.stopping = self._context.draining = False

    async def jobs_end(self) -> None:
        """Wait for the cancelled jobs; what still runs after a while is told again, it may have lost the first word."""
        jobs = self._context.jobs
        while jobs.tasks:
            await self._give_jobs(CANCEL_AGAIN_S, math.inf)
            await self._writer.give_back_held()
            for task in list(jobs.tasks.values()):
                task.cancel()
        await self._writer.give_back_held()

    async def leave(self) -> None:
        """Write what is left to write and give back what was not begun; Redis may be away for a while."""
        context, options = self._context, self._context.options
        exchange, context.current = context.exchange(), None
        backoff, begun_s = ReconnectBackoff(), context.clock()
        while True:
            try:
                await exchange.leave()
                if not options.supervised:
                    await ask(context.redis, "DEL", options.health_check_key)
                await write_last(context, exchange)
                break
            except (RedisError, OSError) as exc:
                lost = exchange.unwritten()
                if is_refusal(exc) and not lost:
                    break  # it has been told already, and nothing could be told to Redis
                if not passes(exc) or _gives_up(backoff.tries + 1, context.clock() - begun_s, lost):
                    logger.warning(
                        "leaving without redis (%r); outcomes not written: %s", exc, lost or "none"
                    )
                    break
                await asyncio.sleep(backoff.next_s())
        await exchange.close()
