"""Every way in which the coroutine of a job can end, as a value."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from arq._worker.attempt import Cause, Ended
from arq._worker.job_timeout import TimeLimit
from arq._worker.run_coroutine import watch
from arq.worker import JobExecutionFailed, Retry
from tests.support.eventually import PATIENCE_S

Body = Callable[[], Coroutine[Any, Any, Any]]


def nobody() -> Cause:
    return Cause.NOBODY


def this_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def for_ever() -> None:
    await asyncio.Event().wait()


async def watched(body: Body, *, timeout_s: float | None = None, cause: Cause = Cause.NOBODY) -> Ended:
    """Run in a task of its own, which must not be left cancelled."""

    async def run() -> Ended:
        limit = None if timeout_s is None else TimeLimit(timeout_s)
        ended = await watch(body(), this_task(), limit, lambda: cause)
        await asyncio.sleep(0)  # what comes after a job is not cancelled with it
        return ended

    return await asyncio.wait_for(asyncio.create_task(run()), PATIENCE_S)


async def test_a_value() -> None:
    async def body() -> str:
        return "value"

    assert await watched(body) == Ended("value")


@pytest.mark.parametrize(
    "error", [ValueError("boom"), Retry(3), TimeoutError("its own"), ExceptionGroup("g", [ValueError()])]
)
async def test_an_exception(error: Exception) -> None:
    async def body() -> None:
        raise error

    assert await watched(body) == Ended(raised=error)


async def test_a_job_can_not_end_the_worker() -> None:
    async def body() -> None:
        raise SystemExit(3)

    assert (await watched(body)).raised == JobExecutionFailed("the job called sys.exit(3)")


async def test_a_timeout() -> None:
    ended = await watched(for_ever, timeout_s=0.01)
    assert type(ended.raised) is TimeoutError
    assert ended.cause is Cause.TIMEOUT


async def test_a_timeout_of_nothing() -> None:
    assert (await watched(for_ever, timeout_s=0)).cause is Cause.TIMEOUT


async def test_a_job_in_time_is_not_disturbed() -> None:
    async def body() -> str:
        await asyncio.sleep(0)
        return "in time"

    assert (await watched(body, timeout_s=30)).value == "in time"


@pytest.mark.parametrize("cause", [Cause.ABORT, Cause.SHUTDOWN, Cause.NOBODY])
async def test_a_cancellation_from_outside(cause: Cause) -> None:
    started = asyncio.Event()

    async def body() -> None:
        started.set()
        await for_ever()

    async def run() -> Ended:
        return await watch(body(), this_task(), TimeLimit(30), lambda: cause)

    task = asyncio.create_task(run())
    await started.wait()
    task.cancel()
    ended = await task
    assert isinstance(ended.raised, asyncio.CancelledError)
    assert ended.cause is cause
    assert not task.cancelled()


async def test_a_shutdown_is_not_taken_for_a_timeout() -> None:
    """Both at once: the job that took too long while the worker was stopping is to be run again."""
    assert (await watched(for_ever, timeout_s=0, cause=Cause.SHUTDOWN)).cause is Cause.SHUTDOWN


async def test_a_job_that_ignores_its_timeout_has_its_value() -> None:
    async def body() -> str:
        try:
            await for_ever()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return "after all"

    assert (await watched(body, timeout_s=0.01)).value == "after all"


async def test_a_job_that_cleans_up_is_waited_for() -> None:
    cleaned = []

    async def body() -> None:
        try:
            await for_ever()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    assert (await watched(body, timeout_s=0.01)).cause is Cause.TIMEOUT
    assert cleaned


async def test_timeouts_inside_a_job_are_its_own() -> None:
    async def body() -> str:
        try:
            async with asyncio.timeout(0):
                await for_ever()
        except TimeoutError:
            return "handled"
        return "?"

    assert (await watched(body, timeout_s=30)).value == "handled"


async def test_an_inner_task_that_was_cancelled_is_nobodys_cancellation() -> None:
    async def body() -> None:
        inner = asyncio.create_task(for_ever())
        await asyncio.sleep(0)
        inner.cancel()
        await inner

    ended = await watched(body, timeout_s=30)
    assert isinstance(ended.raised, asyncio.CancelledError)
    assert ended.cause is Cause.NOBODY


async def test_a_task_group_that_fails_is_a_failure() -> None:
    async def body() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(for_ever())
            group.create_task(fail())

    async def fail() -> None:
        raise ValueError("boom")

    ended = await watched(body, timeout_s=30)
    assert isinstance(ended.raised, ExceptionGroup)
