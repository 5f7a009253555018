"""A time limit for answers. One timer serves many calls: one for each would cost 8 us of a call's 200."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any


class Patience:
    """Limits how long the block of a `with` statement may take; blocks may follow one another, but not overlap.

    Args:
        limit_s: seconds; None: no limit.

    Raises:
        TimeoutError: instead of the CancelledError with which the block was ended, when it took too long.
    """

    def __init__(self, limit_s: float | None) -> None:
        self.limit_s = limit_s
        self._since_s = 0.0
        self._task: asyncio.Task[Any] | None = None
        self._cancels_before = 0
        self._ran_out = False
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def __enter__(self) -> None:
        if self.limit_s is None:
            return
        task = asyncio.current_task()
        assert task is not None
        loop = task.get_loop()
        self._task, self._cancels_before, self._ran_out = task, task.cancelling(), False
        self._since_s = loop.time()
        if self._timer is None or self._loop is not loop:
            self._loop = loop
            self._timer = loop.call_later(self.limit_s, self._look)

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if task is None or not self._ran_out:
            return
        was_our_cancellation = task.uncancel() <= self._cancels_before
        if was_our_cancellation and kind is asyncio.CancelledError:
            raise TimeoutError(f"no answer within {self.limit_s} s") from exc

    def _look(self) -> None:
        """The timer has run off; whoever began later than the timer has time left."""
        self._timer = None
        if self._task is None or self._loop is None or self.limit_s is None:
            return
        left_s = self._since_s + self.limit_s - self._loop.time()
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._look)
        else:
            self._ran_out = True
            self._task.cancel()

    def stop(self) -> None:
        """Forget the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
