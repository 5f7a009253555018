"""SystemExit and KeyboardInterrupt, which leave the event loop: whose they are, and how to go on after them."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn, TypeVar

from ._errors import JobExecutionFailed
from ._interrupt_origin import asks_to_stop
from .utils import safe_repr

logger = logging.getLogger("arq.worker")

Value = TypeVar("Value")

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
