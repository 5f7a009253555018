"""Processes that a job forks are no workers: they behave as a plain Python, and speak for nobody."""

import faulthandler
import os
import signal
from collections.abc import Callable
from contextlib import suppress

from ..host.process_title import set_name, set_title
from ..ipc.pipes import Pipes
from ..process.signals import PARENT_SIGNALS

_be_plain: list[Callable[[], None]] = []


def _be_plain_now() -> None:
    for step in _be_plain:
        step()


def be_plain_in_copies(pipes: Pipes, title: str, silence: Callable[[], None]) -> None:
    """From now on what this process forks has the signals of a plain Python, no pipe of ours, and a title of its own.

    Said again in a copy that is a worker itself, it holds for the copies of that one.

    Args:
        pipes: what the copies must not keep: the parent would take them for the worker.
        title: what `ps` shows for them.
        silence: called in the copy, so that nothing is said through the pipes.
    """

    def be_plain() -> None:
        silence()
        faulthandler.unregister(signal.SIGUSR1)
        faulthandler.cancel_dump_traceback_later()
        with suppress(ValueError):  # a fork in a thread whose interpreter does not take it for the main one
            signal.set_wakeup_fd(-1)
            for number in PARENT_SIGNALS:
                plain = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
                signal.signal(number, plain)
        for fd in pipes.numbers:
            if fd >= 0:
                with suppress(OSError):
                    os.close(fd)
        set_name("arq: of a job")
        set_title(title)

    if not _be_plain and hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_be_plain_now)
    _be_plain[:] = [be_plain]
