"""Notices when the event loop stands still, for how long, and which task does not let it go on."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

#: Seconds between two ticks of the loop while jobs run, and between two looks of the sampler.
TICK_S = 0.25
#: The watch goes on for so many ticks after the last job: to wake its thread would hold up the next one.
_REST_AFTER = 20
#: A tick that comes later than this, in s, was held up: by code that blocks the loop, or by the machine.
_HELD_UP_S = 0.1


@dataclass(frozen=True, slots=True)
class Standstill:
    """The event loop stood still.

    Attributes:
        seconds: how long.
        task: what was running meanwhile; None if that is not known: the whole process may have been stopped.
        name: what the owner calls that task.
        where: file, line and function that it was seen at.
    """

    seconds: float
    task: asyncio.Task[Any] | None = None
    name: str = ""
    where: str = ""


class Standstills:
    """Measures standstills by a tick of the loop, and has a thread look at what is running when no tick comes.

    Both rest when nothing has run for some seconds. The thread is ended before the process forks: a program that forks
    is told to have one thread only.

    Args:
        is_running: whether anything runs that a standstill would hold up.
        count_started: how many of those have been started so far.
        name: what to call a task that blocks the loop; called from the thread, while it does so.
        tell: called with each standstill.
        is_held_up: called from the thread, when it has found out which task blocks the loop; once for each standstill.
    """

    def __init__(
        self,
        is_running: Callable[[], bool],
        count_started: Callable[[], int],
        name: Callable[[asyncio.Task[Any]], str],
        tell: Callable[[Standstill], None],
        is_held_up: Callable[[], None] = lambda: None,
    ) -> None:
        self._is_running = is_running
        self._count_started = count_started
        self._is_held_up = is_held_up
        self._name = name
        self._tell = tell
        #: whether ticks are counted
        self.is_watching = False
        #: seconds of standstill so far; one that ends just now is not counted yet
        self.counted_s = 0.0
        #: what a task did to the others is not given back to it
        self._caused_s: weakref.WeakKeyDictionary[asyncio.Task[Any], float] = weakref.WeakKeyDictionary()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = 0.0
        #: what was the case at the last tick, and how many ticks nothing has run
        self._was_running, self._started, self._idle_ticks = False, 0, 0
        self._sampler: _Sampler | None = None

    def watch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to watch a loop, from one of its callbacks or tasks."""
        self._loop, self.is_watching, self._was_running, self._idle_ticks = loop, True, True, 0
        self._expect(loop.time())
        self._start_sampler(loop)

    def stop(self) -> None:
        """Do not watch any more; nothing of it stays."""
        self.is_watching = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._sampler is not None:
            self._sampler.end()
            self._sampler = None

    def total_s(self) -> float:
        """Seconds of standstill so far, with one that has just ended."""
        if self.is_watching and self._loop is not None:
            self._notice(self._loop.time())
        return self.counted_s

    def caused_s(self, task: asyncio.Task[Any]) -> float:
        """Seconds for which a task is known to have held up the loop."""
        return self._caused_s.get(task, 0.0)

    def _expect(self, now_s: float) -> None:
        assert self._loop is not None
        self._due_s = now_s + TICK_S
        self._timer = self._loop.call_at(self._due_s, self._tick)

    def _tick(self) -> None:
        assert self._loop is not None
        now_s = self._loop.time()
        self._notice(now_s)
        self._idle_ticks = 0 if self._had_anything() else self._idle_ticks + 1
        self._was_running, self._started = self._is_running(), self._count_started()
        if self._idle_ticks >= _REST_AFTER:
            self.is_watching, self._timer = False, None
            if self._sampler is not None:
                self._sampler.rest()
            return
        self._expect(now_s)
        self._start_sampler(self._loop)

    def _had_anything(self) -> bool:
        """Whether anything has run since the last tick."""
        return self._was_running or self._is_running() or self._count_started() != self._started

    def _start_sampler(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._sampler is None or not self._sampler.serves(loop):
            if self._sampler is not None:
                self._sampler.end()
            self._sampler = _Sampler(loop, self._name, self._is_held_up)
        self._sampler.tick()

    def _notice(self, now_s: float) -> None:
        late_s = now_s - self._due_s
        if late_s <= _HELD_UP_S:
            return
        self._due_s = now_s  # counted; the timer itself will come in a moment
        if not self._had_anything():
            return
        self.counted_s += late_s
        seen = None if self._sampler is None else self._sampler.culprit()
        if seen is None:
            self._tell(Standstill(late_s))
            return
        self._caused_s[seen.task] = self.caused_s(seen.task) + late_s
        self._tell(Standstill(late_s, seen.task, seen.name, seen.where))


class _Seen(NamedTuple):
    task: asyncio.Task[Any]
    name: str
    where: str


class _Sampler:
    """A thread that looks at what the loop is running when no tick has come for a while.

    A task that is seen twice in a row, with no tick between, blocks the loop. Seen once is not enough: a process that
    was stopped goes on with whatever it was doing.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        name: Callable[[asyncio.Task[Any]], str],
        is_held_up: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._name = name
        self._is_held_up = is_held_up
        self._loop_thread = threading.get_ident()
        self._change = threading.Condition()
        self._ticks = 0
        self._is_resting = self._has_ended = False
        self._culprit: _Seen | None = None
        self._thread = threading.Thread(target=self._look_on, name="arq-standstill", daemon=True)
        self._thread.start()
        _samplers.add(self)

    def serves(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether it is alive and looks at this loop."""
        return self._loop is loop and not self._has_ended

    def tick(self) -> None:
        """The loop goes on."""
        self._ticks += 1
        if self._is_resting:
            with self._change:
                self._is_resting = False
                self._change.notify()

    def rest(self) -> None:
        """Look at nothing until the next tick."""
        self._is_resting = True

    def culprit(self) -> _Seen | None:
        """The task that was seen to block the loop since this was last asked."""
        seen, self._culprit = self._culprit, None
        return seen

    def end(self) -> None:
        """End the thread."""
        with self._change:
            self._has_ended = True
            self._change.notify()
        self._thread.join()
        _samplers.discard(self)

    def _look_on(self) -> None:
        ticks, suspect = -1, None
        with self._change:
            while not self._has_ended:
                self._change.wait(None if self._is_resting else TICK_S)
                if self._ticks != ticks or self._is_resting:
                    ticks, suspect = self._ticks, None
                    continue
                seen = asyncio.current_task(self._loop)
                if seen is not None and seen is suspect:
                    is_new = self._culprit is None
                    self._culprit = _Seen(seen, self._name(seen), self._where())
                    if is_new:
                        self._is_held_up()
                suspect = seen

    def _where(self) -> str:
        frame = sys._current_frames().get(self._loop_thread)
        if frame is None:
            return ""
        return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"


_samplers: weakref.WeakSet[_Sampler] = weakref.WeakSet()


def _end_samplers() -> None:
    for sampler in list(_samplers):
        sampler.end()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_end_samplers)
