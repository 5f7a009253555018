"""How the jobs of a worker end: at once, or after the time that they get."""

from __future__ import annotations

import asyncio
import logging
from signal import Signals
from typing import Any

import pytest

from arq._worker.closing import Closing
from arq._worker.context import Context
from arq._worker.ending_writer import EndingWriter
from arq._worker.main_task import MainTask
from arq._worker.shutdown import Shutdown
from tests.arq.unit.contexts import context, run_beside
from tests.support.eventually import wait_until_async


@pytest.fixture(autouse=True)
def all_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "arq.worker")


def shutdown(shared: Context, main_task: asyncio.Task[Any] | None = None) -> Shutdown:
    def pick_jobs(allow: bool) -> None:
        shared.may_pick_jobs = allow

    return Shutdown(shared, EndingWriter(shared), lambda: main_task, pick_jobs)


async def test_at_once_all_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    shared = context()
    told: list[Signals] = []
    shared.options.on_stop = told.append
    job, main = (run_beside(shared, name, asyncio.Event().wait()) for name in ("a", "b"))
    await asyncio.sleep(0)
    shutdown(shared, main).now(Signals.SIGTERM)
    await asyncio.wait([job, main])
    assert job.cancelled()
    assert main.cancelled()
    assert (shared.stopping, told) == (True, [Signals.SIGTERM])
    assert caplog.messages == [
        "shutdown on SIGTERM ◆ 0 jobs complete ◆ 0 failed ◆ 0 retries ◆ 2 ongoing to cancel"
    ]


async def test_what_has_not_begun_is_noted() -> None:
    shared = context()
    job = run_beside(shared, "a", asyncio.Event().wait())
    shutdown(shared).now(Signals.SIGTERM)
    assert shared.jobs.unbegun == {"a"}
    await asyncio.wait([job])


async def test_a_drain_lets_jobs_end_and_takes_no_others(caplog: pytest.LogCaptureFixture) -> None:
    shared = context(job_completion_wait=60)
    ends = asyncio.Event()
    job = run_beside(shared, "a", ends.wait())
    one = shutdown(shared)
    one.drain(Signals.SIGTERM)
    assert (one.has_begun, shared.may_pick_jobs, shared.stopping) == (True, False, False)
    ends.set()
    await wait_until_async(lambda: shared.stopping)
    assert not job.cancelled()
    assert "Setting allow_pick_jobs to `False`" in caplog.messages
    one.ready_for_another_run()
    assert (one.has_begun, shared.may_pick_jobs) == (False, True)


async def test_a_drain_ends_what_takes_too_long() -> None:
    shared = context(job_completion_wait=0.01)
    job = run_beside(shared, "a", asyncio.Event().wait())
    await asyncio.sleep(0)
    shutdown(shared).drain(Signals.SIGTERM)
    await wait_until_async(job.cancelled)


async def test_a_job_that_has_lost_its_cancellation_is_told_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arq._worker.shutdown.CANCEL_AGAIN_S", 0.01)
    shared, heard = context(), []

    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            heard.append("once")
        await asyncio.Event().wait()

    job = run_beside(shared, "a", stubborn())
    await asyncio.sleep(0)
    one = shutdown(shared)
    one.cancel_all(Signals.SIGTERM)
    await one.jobs_end()
    assert job.cancelled()
    assert heard == ["once"]


async def test_closing_is_done_once_for_all_who_ask_and_may_be_asked_for_by_what_it_calls() -> None:
    shared, calls = context(), []

    async def let_go() -> None:
        calls.append("let go")
        await closing.close(lambda: calls.append("inner"))  # as an `on_shutdown` does
        shared.pool = None

    closing = Closing(
        shared,
        MainTask(),
        lambda: calls.append("shut down"),
        lambda: calls.append("claim no more"),
        let_go,
        lambda: calls.append("ready"),
    )
    shared.pool = object()  # type: ignore[assignment]
    await asyncio.gather(
        closing.close(lambda: calls.append("one")), closing.close(lambda: calls.append("two"))
    )
    first = ["shut down", "claim no more", "let go", "one", "ready"]
    assert calls == [*first, "claim no more", "two", "ready"]
