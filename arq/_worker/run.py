"""Run a job's coroutine under its timeout and turn every way of ending into a value."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from .._errors import JobExecutionFailed
from .attempt import Cause, Ended
from .timelimit import TimeLimit


async def watch(
    job: Awaitable[Any], task: asyncio.Task[Any], limit: TimeLimit | None, who_cancelled: Callable[[], Cause]
) -> Ended:
    """Await a job in the current task.

    A limit that cancels the task costs a third of `asyncio.wait_for` with a task of its own.

    Args:
        job: what to await.
        task: the current task.
        limit: how long it may take; None: as long as it likes.
        who_cancelled: asked when the job was cancelled: by an abort, a shutdown, or nobody we know.
    """
    if limit is not None:
        limit.begin(task)
    try:
        return Ended(await job)
    except asyncio.CancelledError as exc:
        cause = who_cancelled()
        if cause is Cause.NOBODY and limit is not None and limit.end(task):
            return Ended(raised=TimeoutError(), cause=Cause.TIMEOUT)
        return Ended(raised=exc, cause=cause)
    except Exception as exc:  # noqa: BLE001  (whatever a job raises is how it ended)
        return Ended(raised=exc)
    except SystemExit as exc:  # a job must not end the worker
        return Ended(raised=JobExecutionFailed(f"the job called sys.exit({exc.code!r})"))
    finally:
        if limit is not None:
            limit.end(task)
        while task.cancelling():  # the request was meant for the job, not for what comes after it
            task.uncancel()
