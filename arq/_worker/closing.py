"""`Worker.close`: one way out for all, however often and from wherever it is called."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from .context import Context
from .main_task import MainTask
from .shutdown import Shutdown


class Closing:
    """Ends `main`, then lets go of everything.

    Args:
        context: the worker's.
        shutdown: ends the jobs.
        main: the task that `main` runs in.
        shut_down: begins a stop, if it is not for a signal to do that.
        let_go: closes what is open.
    """

    def __init__(
        self,
        context: Context,
        shutdown: Shutdown,
        main: MainTask,
        shut_down: Callable[[], None],
        let_go: Callable[[], Awaitable[None]],
    ) -> None:
        self._context = context
        self._shutdown = shutdown
        self._main = main
        self._shut_down = shut_down
        self._let_go = let_go
        self._turn = asyncio.Lock()
        self._closer: asyncio.Task[Any] | None = None

    async def close(self, at_last: Callable[[], None]) -> None:
        """Close the worker; `at_last` is called at the end, whatever happens."""
        if self._closer is asyncio.current_task():  # `on_shutdown` closes what is being closed
            return
        async with self._turn:
            self._closer = asyncio.current_task()
            try:
                await self._close_once(at_last)
            finally:
                self._closer = None

    async def _close_once(self, at_last: Callable[[], None]) -> None:
        await asyncio.sleep(0)  # a task of `main` that was made just before begins, and can be told to end
        if not self._context.stopping:
            self._shut_down()
        self._shutdown.claim_no_more()
        self._context.stopping = True
        try:
            await self._main.end()
            if self._context.pool is not None:
                await self._let_go()
        finally:
            at_last()
            self._shutdown.ready_for_another_run()
