"""What an application has run around each job: `on_job_start`, `on_job_end`, `after_job_end`."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from .._interrupt_origin import asks_to_stop
from .._printable import printable
from .._types import StartupShutdown
from ..utils import timestamp_ms
from . import job_log, run_coroutine
from .attempt import Attempt, Cause, Ended, Outcome, Verdict
from .context import Context

logger = logging.getLogger("arq.worker")


class Hooks:
    """Runs them, where there are some.

    Args:
        context: the worker's.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    async def start(self, attempt: Attempt, ctx: dict[Any, Any], task: asyncio.Task[Any]) -> Ended | None:
        """Run `on_job_start`; if it raises, that is how the job has ended."""
        on_job_start = self._context.options.on_job_start
        assert on_job_start is not None
        ctx["job_def"] = attempt.definition()
        who_cancelled, job_id = self._context.who_cancelled, attempt.job.job_id
        ended = await run_coroutine.watch(on_job_start(ctx), task, None, who_cancelled, job_id)
        if ended.raised is not None:
            return ended
        attempt.start_ms = timestamp_ms()  # the hook's time is not the job's
        return None

    async def end(self, ctx: dict[Any, Any], outcome: Outcome, task: asyncio.Task[Any]) -> Outcome:
        """Run `on_job_end`; if it raises, the job has failed."""
        options = self._context.options
        assert options.on_job_end is not None
        ctx.update(outcome.told(options.queue_name))
        ended = await run_coroutine.watch(options.on_job_end(ctx), task, None, lambda: Cause.NOBODY)
        if ended.raised is None or isinstance(ended.raised, asyncio.CancelledError):
            return outcome  # a shutdown must not undo what the job has done
        failed = Outcome(outcome.attempt, Verdict.FAILED, ended.raised, finish_ms=timestamp_ms())
        job_log.ended(failed, options.log_results)
        return failed

    async def after_end(self, ctx: dict[Any, Any], outcome: Outcome, *, is_written: bool) -> None:
        """Run `after_job_end` when the outcome is written."""
        options = self._context.options
        assert options.after_job_end is not None
        ctx.update(outcome.told(options.queue_name))
        await self._when_written("after_job_end", options.after_job_end, ctx, outcome, is_written)

    async def dead(self, ctx: dict[Any, Any], outcome: Outcome, *, is_written: bool) -> None:
        """Run `on_dead` when the job is in the dead set."""
        on_dead = self._context.options.on_dead
        assert on_dead is not None
        ctx.update(function=outcome.attempt.function_name, error=outcome.value)
        await self._when_written("on_dead", on_dead, ctx, outcome, is_written)

    async def _when_written(
        self, name: str, hook: StartupShutdown, ctx: dict[Any, Any], outcome: Outcome, is_written: bool
    ) -> None:
        job_id = outcome.attempt.job.job_id
        try:
            if not is_written:
                await asyncio.shield(self._context.exchange().written())
            await hook(ctx)
        except asyncio.CancelledError:
            logger.info("%s of job %s cancelled", name, printable(job_id))
        except BaseException as exc:
            if isinstance(exc, GeneratorExit) or asks_to_stop(exc):
                raise
            logger.exception("%s of job %s failed", name, printable(job_id))
