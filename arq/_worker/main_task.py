"""The task that a worker's `main` runs in, and how `close` ends it from another one."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from types import TracebackType
from typing import Any

#: Seconds after which `main` is told again: code of the user may have swallowed the first word.
_AGAIN_S = 5.0


class MainTask:
    """Entered by `main`; `end` leaves it, whatever `main` waits for.

    As `asyncio.timeout` does, by a cancellation that is taken back: the task that awaits `main` may be anybody's, and
    goes on after it.
    """

    def __init__(self) -> None:
        self._task: asyncio.Task[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        #: done when `main` has ended; also for those who ask from another thread
        self._ended: Future[None] = Future()
        self._cancels_before = self._asked = 0

    def __enter__(self) -> None:
        if self._is_running():
            raise RuntimeError("the worker runs already: main() was called a second time")
        task = asyncio.current_task()
        assert task is not None
        self._loop = task.get_loop()
        self._ended = Future()
        self._task, self._cancels_before, self._asked = task, task.cancelling(), 0

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> bool:
        task, self._task = self._task, None
        assert task is not None
        self._ended.set_result(None)
        for _ in range(self._asked):
            task.uncancel()
        was_ours = self._asked > 0 and task.cancelling() <= self._cancels_before
        return was_ours and kind is asyncio.CancelledError

    def _is_running(self) -> bool:
        """Whether `main` runs. One whose loop was closed under it never ends, and counts for nothing."""
        return self._task is not None and self._loop is not None and not self._loop.is_closed()

    @property
    def is_elsewhere(self) -> bool:
        """Whether `main` runs in the event loop of another thread."""
        return self._is_running() and self._loop is not asyncio.get_running_loop()

    async def end(self) -> None:
        """Have `main` end, and wait for it. Nothing if it does not run, or if it is itself who asks."""
        while self._is_running() and self._task is not asyncio.current_task():
            self.ask()
            await asyncio.wait([asyncio.wrap_future(self._ended)], timeout=_AGAIN_S)

    def ask(self) -> None:
        """Have `main` end soon."""
        if self._task is not None:
            self._asked += 1
            self._task.cancel()

    async def gone(self) -> None:
        """Wait until a `main` in another thread has ended."""
        if self.is_elsewhere:
            await asyncio.wait([asyncio.wrap_future(self._ended)])


def refuse_in_a_loop() -> None:
    """Say what to do instead of `worker.run()` where an event loop runs already.

    Raises:
        RuntimeError: one does.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(
        "an event loop is running here: use `await worker.async_run()` instead of worker.run()"
    )
