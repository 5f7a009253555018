"""`Worker.close`: one way out for all, however often and from wherever it is called."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from .context import Context
from .main_task import MainTask


class Closing:
    """Ends `main`, then lets go of everything.

    Args:
        context: the worker's.
        main: the task that `main` runs in.
        shut_down: begins a stop, if it is not for a signal to do that.
        claim_no_more: lets no claim count that is on its way.
        let_go: closes what is open.
        ready_again: lets the worker run again.
    """

    def __init__(
        self,
        context: Context,
        main: MainTask,
        shut_down: Callable[[], None],
        claim_no_more: Callable[[], None],
        let_go: Callable[[], Awaitable[None]],
        ready_again: Callable[[], None],
    ) -> None:
        self._context = context
        self._main = main
        self._shut_down = shut_down
        self._claim_no_more = claim_no_more
        self._let_go = let_go
        self._ready_again = ready_again
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
        self._claim_no_more()
        self._context.stopping = True
        try:
            await self._main.end()
            if self._context.pool is not None:
                await self._let_go()
        finally:
            at_last()
            self._ready_again()
