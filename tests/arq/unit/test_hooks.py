"""The hooks around a job, without a worker: what they find in their context, and what it means when they raise."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from arq._worker.attempt import Outcome, Verdict
from arq._worker.hooks import Hooks
from tests.arq.unit.attempts import attempt
from tests.arq.unit.contexts import context

Ctx = dict[Any, Any]


def task() -> asyncio.Task[Any]:
    found = asyncio.current_task()
    assert found is not None
    return found


async def test_a_start_hook_sees_the_job_and_its_time_is_not_the_jobs() -> None:
    seen: list[Any] = []

    async def on_job_start(ctx: Ctx) -> None:
        seen.append(ctx["job_def"].function)

    one = attempt("work")
    assert await Hooks(context(on_job_start=on_job_start)).start(one, {}, task()) is None
    assert seen == ["work"]
    assert one.start_ms > 0


async def test_a_start_hook_that_raises_is_the_end_of_the_job() -> None:
    async def on_job_start(ctx: Ctx) -> None:
        raise ValueError("no")

    ended = await Hooks(context(on_job_start=on_job_start)).start(attempt("work"), {}, task())
    assert ended is not None
    assert str(ended.raised) == "no"


async def test_an_end_hook_sees_the_outcome_and_may_fail_it() -> None:
    seen: list[Any] = []

    async def on_job_end(ctx: Ctx) -> None:
        seen.append((ctx["job_outcome"], ctx["job_result"].result))
        if ctx.get("fail"):
            raise ValueError("not good enough")

    hooks, outcome = (
        Hooks(context(on_job_end=on_job_end)),
        Outcome(attempt("work"), Verdict.COMPLETE, "value"),
    )
    assert await hooks.end({}, outcome, task()) is outcome
    failed = await hooks.end({"fail": True}, outcome, task())
    assert (failed.verdict, str(failed.value)) == (Verdict.FAILED, "not good enough")
    assert seen == [("complete", "value")] * 2


async def test_what_a_hook_raises_after_the_end_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "arq.worker")

    async def after_job_end(ctx: Ctx) -> None:
        raise ctx["raises"]

    hooks, outcome = Hooks(context(after_job_end=after_job_end)), Outcome(attempt("work"), Verdict.COMPLETE)
    for raises in (ValueError("broken"), asyncio.CancelledError()):
        await hooks.after_end({"raises": raises}, outcome, is_written=True)
    job_id = outcome.attempt.job.job_id
    assert [one.getMessage() for one in caplog.records] == [
        f"after_job_end of job {job_id} failed",
        f"after_job_end of job {job_id} cancelled",
    ]
