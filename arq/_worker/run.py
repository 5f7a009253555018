"""Run a job's coroutine under its timeout and turn every way of ending into a value."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from .._errors import JobExecutionFailed
from .attempt import Cause, Ended


async def watch(job: Awaitable[Any], timeout_s: float | None, who_cancelled: Callable[[], Cause]) -> Ended:
    """Await a job in the current task.

    A timer that cancels the task costs a third of `asyncio.wait_for` with a task of its own.

    Args:
        job: what to await.
        timeout_s: seconds it may take; None: no limit.
        who_cancelled: asked when the job was cancelled: by an abort, a shutdown, or nobody we know.
    """
    task = asyncio.current_task()
    assert task is not None
    timed_out = False

    def time_out() -> None:
        nonlocal timed_out
        timed_out = True
        task.cancel()

    timer = None if timeout_s is None else task.get_loop().call_later(timeout_s, time_out)
    try:
        return Ended(await job)
    except asyncio.CancelledError as exc:
        cause = who_cancelled()
        if cause is Cause.NOBODY and timed_out:
            return Ended(raised=TimeoutError(), cause=Cause.TIMEOUT)
        return Ended(raised=exc, cause=cause)
    except Exception as exc:  # noqa: BLE001  (whatever a job raises is how it ended)
        return Ended(raised=exc)
    except SystemExit as exc:  # a job must not end the worker
        return Ended(raised=JobExecutionFailed(f"the job called sys.exit({exc.code!r})"))
    finally:
        if timer is not None:
            timer.cancel()
        while task.cancelling():  # the request was meant for the job, not for what comes after it
            task.uncancel()
