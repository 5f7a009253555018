"""What signals mean to a stand-alone worker."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, auto
from signal import Signals
from typing import Any, ClassVar

#: Signals within this many seconds of the one before are the same request: wrappers and terminals send them twice.
_SAME_REQUEST_S = 0.5
#: Exit status of a worker that was told to leave at once, as a shell reports it for SIGINT.
_LEFT_AT_ONCE = 130


class Stage(Enum):
    """How far a stop has come."""

    RUNNING = auto()
    STOPPING = auto()
    CANCELLING = auto()
    LEAVING = auto()


def next_stage(stage: Stage, signum: int, since_last_s: float | None) -> Stage:
    """What a signal asks for. SIGTERM only starts a stop, SIGQUIT cancels, each further SIGINT goes one step on."""
    if stage is Stage.RUNNING:
        return Stage.CANCELLING if signum == signal.SIGQUIT else Stage.STOPPING
    if signum == signal.SIGQUIT and stage is Stage.STOPPING:
        return Stage.CANCELLING
    if signum != signal.SIGINT or (since_last_s is not None and since_last_s < _SAME_REQUEST_S):
        return stage
    return Stage.CANCELLING if stage is Stage.STOPPING else Stage.LEAVING


class SignalHandlers:
    """Handles SIGINT, SIGTERM and SIGQUIT on an event loop, from `install` on; several on one loop all get them.

    Args:
        stop: starts the stop that the worker's settings ask for.
        cancel: cancels the running jobs.
    """

    # by name: there is no SIGQUIT on Windows, where a loop can't handle signals anyway
    _SIGNALS = tuple(sig for sig in Signals if sig.name in {"SIGINT", "SIGTERM", "SIGQUIT"})
    #: all that are installed: a loop has one handler for a signal, and may have several workers
    _listening: ClassVar[list[SignalHandlers]] = []

    def __init__(self, stop: Callable[[Signals], None], cancel: Callable[[Signals], None]) -> None:
        self._stop = stop
        self._cancel = cancel
        self._stage = Stage.RUNNING
        self._last_s: float | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        #: what handled the signals before
        self.before: dict[Signals, Any] = {}

    @property
    def installed(self) -> bool:
        """Whether the signals come here."""
        return self._loop is not None

    def install(self) -> None:
        """Take over the signals, if this is the main thread: only there can they be handled."""
        if self._loop is not None or threading.current_thread() is not threading.main_thread():
            return
        if not hasattr(signal, "pthread_sigmask"):
            return
        self._loop = asyncio.get_running_loop()
        self._stage, self._last_s = Stage.RUNNING, None
        neighbours = self._neighbours()
        self._listening.append(self)
        for sig in self._SIGNALS:
            self.before[sig] = neighbours[0].before[sig] if neighbours else signal.getsignal(sig)
            self._loop.add_signal_handler(sig, _tell_all, self._loop, sig)

    def _neighbours(self) -> list[SignalHandlers]:
        return [one for one in self._listening if one._loop is self._loop and one is not self]

    def remove(self) -> None:
        """Give the signals back, once nobody else on this loop wants them."""
        if self._loop is None:
            return
        self._listening.remove(self)
        if not self._loop.is_closed() and not self._neighbours():
            for sig in self._SIGNALS:
                self._loop.remove_signal_handler(sig)
                if not _is_of_a_loop(self.before[sig]):
                    signal.signal(sig, self.before[sig])
        self._loop = None

    def end_with(self, loop: asyncio.AbstractEventLoop, *, ends_process: bool) -> None:
        """Close the loop and give the signals back without a gap: a late one must not kill what has stopped well.

        Args:
            loop: the loop, not running any more.
            ends_process: ignore the signals from now on instead of giving them back.
        """
        if self._loop is None:
            loop.close()
            return
        signal.pthread_sigmask(signal.SIG_BLOCK, self._SIGNALS)
        self.remove()
        for sig in self._SIGNALS:
            signal.signal(sig, signal.SIG_IGN)  # also forgets those that are pending
        signal.pthread_sigmask(signal.SIG_UNBLOCK, self._SIGNALS)
        loop.close()
        if not ends_process:
            for sig in self._SIGNALS:
                signal.signal(sig, self.before[sig])

    def handle(self, sig: Signals) -> None:
        """A signal has come."""
        assert self._loop is not None
        now_s = self._loop.time()
        since_last_s = None if self._last_s is None else now_s - self._last_s
        before, self._stage, self._last_s = self._stage, next_stage(self._stage, sig, since_last_s), now_s
        if self._stage is before:
            return
        if self._stage is Stage.STOPPING:
            self._stop(sig)
        elif self._stage is Stage.CANCELLING:
            self._cancel(sig)
        else:
            os._exit(_LEFT_AT_ONCE)


def _is_of_a_loop(handler: Any) -> bool:
    """Whether this is no handler of somebody's, but says that a loop had one, which it has forgotten."""
    return handler is None or "sighandler" in getattr(handler, "__name__", "")


def _be_plain_in_copies() -> None:
    """In a process that a job has forked signals do what they did before the worker: it is no worker."""
    listening = list(SignalHandlers._listening)
    SignalHandlers._listening.clear()
    if not listening:
        return
    with suppress(ValueError):  # not in the main thread
        signal.set_wakeup_fd(-1)
        for one in listening:
            one._loop = None
            for sig, handler in one.before.items():
                signal.signal(sig, signal.SIG_DFL if handler is None else handler)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_be_plain_in_copies)


def _tell_all(loop: asyncio.AbstractEventLoop, sig: Signals) -> None:
    for one in list(SignalHandlers._listening):
        if one._loop is loop:
            one.handle(sig)
