"""SystemExit and KeyboardInterrupt, which leave the event loop: whose they are, and how to go on after them."""

from __future__ import annotations

import asyncio
import dis
import functools
import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import CodeType, FrameType, TracebackType
from typing import Any, NoReturn, TypeVar

from ._errors import JobExecutionFailed
from .utils import safe_repr

logger = logging.getLogger("arq.worker")

Value = TypeVar("Value")

#: The instructions of `raise`.
_RAISE = {dis.opmap[name] for name in ("RAISE_VARARGS", "RERAISE") if name in dis.opmap}


#: How many forks lie between this process and the one that has imported this module: a copy has one more.
forks = 0


def _count_fork() -> None:
    global forks  # noqa: PLW0603
    forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)


def as_failure(exc: BaseException) -> Exception:
    """What a job raised, as something that a program which waits for the result may raise, too.

    Nobody is prepared for a result that ends the program: what is no `Exception` becomes one.
    """
    if isinstance(exc, Exception):
        return exc
    if isinstance(exc, SystemExit):
        failure = JobExecutionFailed(f"the job called sys.exit({safe_repr(exc.code)})")
    else:
        failure = JobExecutionFailed(f"the job raised {safe_repr(exc)}")
    failure.__cause__ = exc
    return failure


def asks_to_stop(exc: BaseException) -> bool:
    """Whether an exception comes from a signal, a Ctrl-C for instance, and not from the code that was running.

    A signal handler raises out of whatever runs at that moment. It is told by its frame; Python's own handler for
    Ctrl-C has none, but what it raises does not come from a `raise`.
    """
    if not isinstance(exc, KeyboardInterrupt | SystemExit):
        return False
    frames = list(_frames(exc.__traceback__))
    handlers = set(_handlers())
    if any(frame.f_code in handlers for frame, _ in frames):
        return True
    if not isinstance(exc, KeyboardInterrupt) or not frames:
        return False
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return False
    frame, instruction = frames[-1]
    return frame.f_code.co_code[instruction] not in _RAISE


def _frames(trace: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while trace is not None:
        yield trace.tb_frame, trace.tb_lasti
        trace = trace.tb_next


def _handlers() -> Iterator[CodeType]:
    """The code of the signal handlers that are installed."""
    for signum in signal.valid_signals():
        handler: Any = signal.getsignal(signum)
        while isinstance(handler, functools.partial):
            handler = handler.func
        handler = getattr(handler, "__func__", handler)
        code = getattr(handler, "__code__", None)
        if isinstance(code, CodeType):
            yield code


def run_to_end(
    loop: asyncio.AbstractEventLoop,
    task: asyncio.Future[Value],
    is_ending: Callable[[], bool] = lambda: False,
) -> Value:
    """`loop.run_until_complete` that goes on when a task or callback of a job calls `sys.exit`.

    asyncio gives such an exception to whoever awaits the task, and also out of the loop. The first is how its job
    learns of it; the second must not end all the others.

    Args:
        loop: the loop, not running.
        task: what to run.
        is_ending: whether the exception is the end of the task itself, on its way through others that it awaits.

    Raises:
        BaseException: what the task raised, and what a signal raised.
    """
    while True:
        try:
            return loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as exc:
            if task.done() or asks_to_stop(exc):
                raise
            if is_ending():
                continue
            logger.warning(
                "%s in a task or callback of a job: the worker goes on", safe_repr(exc), exc_info=exc
            )


def end_copy(raised: BaseException | None = None) -> NoReturn:
    """End a process that a job has forked and that came back into the worker's loop.

    It must not speak as the worker that it was copied from, and what it closes of the loop is closed for both.

    Args:
        raised: what the job's code raised in this process: `sys.exit(n)` is how it wants to end.
    """
    cause = raised.__cause__ if isinstance(raised, JobExecutionFailed) else raised
    if isinstance(cause, SystemExit) and isinstance(cause.code, int | None):
        os._exit((cause.code or 0) & 0xFF)
    with suppress(OSError):
        os.write(2, b"arq: a process that a job has forked ends here: it came back into the worker's loop\n")
    os._exit(1)
