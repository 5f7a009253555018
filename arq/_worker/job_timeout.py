"""A time limit that many tasks share, with one timer for all of them: one for each would cost 2.3 us of a job's 65."""

from __future__ import annotations

import asyncio
from typing import Any

from .blocked_loop import Standstills

#: A timer that runs off later than this, in s, may have been overtaken by what a task waits for.
_LATE_S = 0.005
#: Seconds that such a task gets to see it: some turns of the loop.
_TURNS_S = 0.02


class TimeLimit:
    """Cancels tasks that take too long.

    Time in which the event loop stood still is given back, at most the limit once more: what a task waits for may have
    come meanwhile, and nobody could see it. Not to the task that is known to have held up the loop.

    Args:
        limit_s: seconds a task may take.
        standstills: knows when the loop stood still; None: nobody does.
    """

    def __init__(self, limit_s: float, standstills: Standstills | None = None) -> None:
        self._limit_s = limit_s
        self._standstills = standstills
        #: when each task runs out, the next one first, and how long the loop had stood still when it began
        self._until_s: dict[asyncio.Task[Any], tuple[float, float]] = {}
        #: what was given back
        self._granted_s: dict[asyncio.Task[Any], float] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def begin(self, task: asyncio.Task[Any]) -> None:
        """From now on the time of a task runs."""
        loop = task.get_loop()
        if self._loop is not loop:  # tasks of a loop that has ended can't be cancelled any more
            self._loop, self._timer = loop, None
            self._until_s.clear()
            self._granted_s.clear()
        stood_s = 0.0 if self._standstills is None else self._standstills.counted_s
        self._until_s[task] = (loop.time() + self._limit_s, stood_s)
        if self._timer is None:
            self._timer = loop.call_later(self._limit_s, self._look)

    def end(self, task: asyncio.Task[Any]) -> bool:
        """Leave a task alone from now on; returns whether it had run out of time."""
        if self._granted_s:
            self._granted_s.pop(task, None)
        return self._until_s.pop(task, None) is None

    def _look(self) -> None:
        """The timer was set for a task that began earlier: cancel who has run out, and wait for the next one."""
        assert self._loop is not None
        self._timer = None
        now_s, longer = self._loop.time(), {}
        while self._until_s:
            task, (until_s, stood_s) = next(iter(self._until_s.items()))
            if until_s > now_s:
                break
            del self._until_s[task]
            granted_s = self._grant(task, until_s, stood_s, now_s)
            if granted_s > 0:
                longer[task] = (now_s + granted_s, self._standing_s())
            else:
                self._granted_s.pop(task, None)
                task.cancel()
        if longer:
            self._until_s = dict(sorted((self._until_s | longer).items(), key=lambda item: item[1][0]))
        if self._until_s:
            until_s, _ = next(iter(self._until_s.values()))
            self._timer = self._loop.call_later(until_s - now_s, self._look)

    def _standing_s(self) -> float:
        return 0.0 if self._standstills is None else self._standstills.total_s()

    def _grant(self, task: asyncio.Task[Any], until_s: float, stood_s: float, now_s: float) -> float:
        """Seconds that a task gets beyond its limit: what it has not had while the loop stood still."""
        before_s = self._granted_s.get(task)
        lost_s = self._standing_s() - stood_s
        if self._standstills is not None and lost_s > 0:
            lost_s -= self._standstills.caused_s(task)
        granted_s = min(until_s + lost_s - now_s, self._limit_s - (before_s or 0.0))
        if before_s is None and now_s - until_s > _LATE_S:
            granted_s = max(granted_s, _TURNS_S)
        if granted_s > 0:
            self._granted_s[task] = (before_s or 0.0) + granted_s
        return granted_s
