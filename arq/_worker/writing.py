"""How endings get to Redis where no main loop takes them along."""

from __future__ import annotations

import asyncio

from redis.exceptions import RedisError

from . import report
from .overridable import Overridable
from .pump import Pump


class Writing(Overridable):
    """The part of a worker that writes endings before `main`, after it and without it."""

    async def _write_now(self) -> bool:
        """Write endings in the task of a job that was run step by step: it is over when that is written."""
        pump = self._get_pump()
        try:
            await pump.exchange()
            await self._let_go_outside_main()
        except (RedisError, OSError) as exc:
            report.unwritten(exc)
            return False
        return True

    def _wake_up(self) -> None:
        self._activity.set()
        self._flush_beside()

    def _flush_beside(self) -> None:
        """Write endings in a task of its own while the main loop does not run."""
        if (
            not self._in_main
            and self._flush_task is None
            and self._pump is not None
            and self._pump.has_endings
        ):
            self._flush_task = asyncio.create_task(self._flush(self._pump))

    async def _flush(self, pump: Pump) -> None:
        try:
            while pump.has_endings and not self._in_main:
                await pump.exchange()
            if not self._in_main:
                await pump.close()
        except (RedisError, OSError) as exc:
            report.unwritten(exc)
        finally:
            self._flush_task = None

    async def _let_go_outside_main(self) -> None:
        """Keep no connection open for a caller who uses single steps of the worker and may never close it."""
        if not self._in_main:
            await self._get_pump().close()
