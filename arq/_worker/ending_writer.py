"""How endings of jobs get to Redis where no main loop takes them along: before `main`, after it and without it."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from redis.exceptions import RedisError

from .._endings import Ending
from . import job_log
from .commit_and_claim import Exchange
from .context import Context

logger = logging.getLogger("arq.worker")


class EndingWriter:
    """Writes endings in the task of a job, or in a task of its own.

    Args:
        context: the worker's.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._task: asyncio.Task[None] | None = None
        #: endings of jobs that were cut off, while what they have started is ended
        self._held: list[Ending] = []

    async def write_now(self) -> bool:
        """Write endings in the task of a job that was run step by step: it is over when that is written."""
        try:
            await self._context.exchange().commit()
            await self.let_go_outside_main()
        except (RedisError, OSError) as exc:
            job_log.unwritten(exc)
            return False
        return True

    def wake_up(self) -> None:
        """Something is to be written: by the main loop, or by a task of its own where that does not run."""
        self._context.activity.set()
        self.write_beside()

    def write_beside(self) -> None:
        """Write endings in a task of its own while the main loop does not run."""
        exchange = self._context.current
        if not self._context.in_main and self._task is None and exchange is not None and exchange.has_endings:
            self._task = asyncio.create_task(self._write(exchange))

    async def _write(self, exchange: Exchange) -> None:
        try:
            while exchange.has_endings and not self._context.in_main:
                await exchange.commit()
            if not self._context.in_main:
                await exchange.close()
        except (RedisError, OSError) as exc:
            job_log.unwritten(exc)
        finally:
            self._task = None

    async def finished(self) -> None:
        """Wait for that task, if there is one."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def let_go_outside_main(self) -> None:
        """Keep no connection open for a caller who uses single steps of the worker and may never close it."""
        if not self._context.in_main:
            await self._context.exchange().close()

    def forget_dead_loops(self) -> None:
        """A task whose event loop was closed never ends; what it was about to write is kept."""
        task = self._task
        if task is not None and task.get_loop().is_closed():
            self._task = None
            if (body := task.get_coro()) is not None:
                with suppress(RuntimeError):  # it may want to close something by way of that loop
                    body.close()  # so it puts back what it was about to write

    def hold_back(self, ending: Ending) -> None:
        """A job that was cut off is given back when what it has started is ended, if somebody sees to that."""
        if self._context.options.before_giving_back is None:
            self._context.exchange().record(ending)
        else:
            self._held.append(ending)

    async def give_back_held(self) -> None:
        """Let others have the jobs that were cut off; what these have started must not go on then."""
        before_giving_back = self._context.options.before_giving_back
        if not self._held or before_giving_back is None:
            return
        try:
            await before_giving_back()
        except Exception:
            logger.exception("what cut off jobs have started could not be ended")
        held, self._held = self._held, []
        for ending in held:
            self._context.exchange().record(ending)
