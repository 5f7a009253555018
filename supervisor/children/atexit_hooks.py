"""What Python does at the end of a program, in a child that leaves without it: `atexit`, and with it logging's flush.

A child is cut off from the exit handlers of its parent, which would remove files and end threads that are not its own.
What its own code has registered is run before it leaves, within a limit: a handler may hang, or wait for a thread.
"""

import atexit
import logging
import os
import signal
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..host.nonblocking_writer import write_now


def forget_inherited() -> None:
    """Drop the handlers of the parent; those of Python's own modules are registered anew."""
    atexit._clear()
    finalize: Any = weakref.finalize
    finalize._registry.clear()
    finalize._registered_with_atexit = False
    atexit.register(logging.shutdown)
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util._finalizer_registry.clear()
        atexit.register(util._exit_function)


def run(limit_s: float, code: int, before_giving_up: Callable[[], None]) -> None:
    """Run what was registered since; when that takes longer than `limit_s` seconds, leave with `code`."""

    def give_up(*_: object) -> None:
        with suppress(OSError):
            write_now(
                2, b"arq-supervise: exit handlers (atexit) of a worker took too long, and were broken off\n"
            )
        before_giving_up()
        os._exit(code)

    signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        atexit._run_exitfuncs()
    except BaseException as error:  # noqa: BLE001  # each has printed its traceback; it is no reason for another end
        del error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
