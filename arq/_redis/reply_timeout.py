"""A time limit for answers. One timer serves many calls: one for each would cost 8 us of a call's 200."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any

#: A timer that runs off later than this, in s, was held up: by code that blocks the loop, or by the machine.
_HELD_UP_S = 0.02


class Patience:
    """Limits how long the block of a `with` statement may take; blocks may follow one another, but not overlap.

    When the event loop stood still until after the limit, the block gets as long as that again, at most the limit once
    more: what is waited for may have come meanwhile, and nobody could see it.

    While data moves, the limit begins anew: what is large takes its time on a slow line.

    Args:
        limit_s: seconds; None: no limit.
        motion: asked when the time is over: how far a transfer is, in whatever it is counted; None: there is none.

    Raises:
        TimeoutError: instead of the CancelledError with which the block was ended, when it took too long.
    """

    def __init__(self, limit_s: float | None, motion: Callable[[], object] | None = None) -> None:
        self.limit_s = limit_s
        self._motion = motion
        self._moved_to: object = None
        self._since_s = self._due_s = self._granted_s = 0.0
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
        self._since_s, self._granted_s, self._moved_to = loop.time(), 0.0, None
        if self._timer is None or self._loop is not loop:
            self._loop = loop
            self._look_at(self._since_s + self.limit_s)

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if task is None or not self._ran_out:
            return
        was_our_cancellation = task.uncancel() <= self._cancels_before
        if was_our_cancellation and kind is asyncio.CancelledError:
            raise TimeoutError(f"no answer within {self.limit_s} s") from exc

    def _look_at(self, due_s: float) -> None:
        assert self._loop is not None
        self._due_s = due_s
        self._timer = self._loop.call_at(due_s, self._look)

    def _look(self) -> None:
        """The timer has run off; whoever began later than the timer has time left."""
        self._timer = None
        if self._task is None or self._loop is None or self.limit_s is None:
            return
        now_s = self._loop.time()
        left_s = self._since_s + self.limit_s - now_s
        late_s = now_s - max(self._due_s, self._since_s)
        if left_s <= 0 and late_s > _HELD_UP_S:
            left_s = min(late_s, self.limit_s - self._granted_s)
            self._granted_s += left_s
        if left_s <= 0 and self._moves():
            left_s = self.limit_s
        if left_s > 0:
            self._look_at(now_s + left_s)
        else:
            self._ran_out = True
            self._task.cancel()

    def _moves(self) -> bool:
        """Whether a transfer has got on since the last look."""
        before, self._moved_to = self._moved_to, None if self._motion is None else self._motion()
        return self._moved_to is not None and self._moved_to != before

    def stop(self) -> None:
        """Forget the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
