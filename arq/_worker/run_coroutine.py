"""Run a job's coroutine under its timeout and turn every way of ending into a value."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from .._interrupt_origin import asks_to_stop
from .._loop_exits import as_failure
from .attempt import Cause, Ended, returned
from .job_timeout import TimeLimit


async def watch(
    job: Awaitable[Any],
    task: asyncio.Task[Any],
    limit: TimeLimit | None,
    who_cancelled: Callable[..., Cause],
    *about: str,
) -> Ended:
    """Await a job in the current task.

    A limit that cancels the task costs a third of `asyncio.wait_for` with a task of its own.

    Args:
        job: what to await.
        task: the current task.
        limit: how long it may take; None: as long as it likes.
        who_cancelled: asked when the job was cancelled: by an abort, a shutdown, or nobody we know.
        about: what it is asked with.
    """
    if limit is not None:
        limit.begin(task)
    try:
        ended = returned(await job)
    except BaseException as exc:  # noqa: BLE001  (whatever a job raises is how it ended)
        ended = raised(exc, who_cancelled, *about)
    finally:
        ran_out = limit is not None and limit.end(task)
        forget_cancellations(task)
    return out_of_time(ended) if ran_out else ended


def forget_cancellations(task: asyncio.Task[Any]) -> None:
    """The request was meant for the job, not for what comes after it."""
    while task.cancelling():
        task.uncancel()


def raised(exc: BaseException, who_cancelled: Callable[..., Cause], *about: str) -> Ended:
    """How a job has ended that raised; what is no business of the job goes on its way."""
    if isinstance(exc, asyncio.CancelledError):
        return Ended(raised=exc, cause=who_cancelled(*about))
    if isinstance(exc, GeneratorExit) or asks_to_stop(exc):  # nobody runs this coroutine any more; a Ctrl-C
        raise exc
    return Ended(raised=as_failure(exc))


def out_of_time(ended: Ended) -> Ended:
    """A job was cancelled by its limit. One that returned all the same has its value, and the cause says so."""
    if ended.raised is None:
        return Ended(ended.value, cause=Cause.TIMEOUT)
    if isinstance(ended.raised, asyncio.CancelledError) and ended.cause is Cause.NOBODY:
        return Ended(raised=TimeoutError(), cause=Cause.TIMEOUT)
    return ended
