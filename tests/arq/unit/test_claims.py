"""What becomes of jobs that a worker is given: they are started, or told of when nobody has said how they ended."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from arq._crash_records import Crashes
from arq._endings import Unbegun
from arq._worker.attempt import Outcome, Verdict
from arq._worker.claims import Claims
from arq._worker.context import Context
from arq._worker.crash_suspects import Suspects
from arq._worker.ending_writer import EndingWriter
from arq._worker.job_slots import JobSlots
from arq._worker.quarantine import Quarantine
from tests.arq.unit.contexts import claimed, context

Outcomes = list[Outcome]


class Outbox:
    """Takes endings, as an exchange does."""

    has_endings = False

    def __init__(self) -> None:
        self.endings: list[Any] = []
        self.record = self.endings.append


@pytest.fixture
def shared() -> Context:
    shared = context()
    shared.in_main = True
    shared.current = Outbox()  # type: ignore[assignment]
    return shared


@pytest.fixture
def outcomes() -> Outcomes:
    return []


@pytest.fixture
def suspects() -> Suspects:
    return Suspects()


@pytest.fixture
def claims(shared: Context, outcomes: Outcomes, suspects: Suspects) -> Claims:
    quarantine = Quarantine(shared, suspects, JobSlots(shared, suspects))
    writer = EndingWriter(shared)
    return Claims(
        shared, suspects, quarantine, writer, lambda _: None, lambda outcome, _: outcomes.append(outcome)
    )


async def ended(shared: Context) -> None:
    await asyncio.gather(*shared.jobs.tasks.values(), return_exceptions=True)
    await asyncio.sleep(0)


async def test_each_job_is_started_once(shared: Context, claims: Claims, outcomes: Outcomes) -> None:
    ran: list[tuple[str, int]] = []

    async def run_job(job_id: str, score: int) -> None:
        ran.append((job_id, score))
        del shared.jobs.claimed[job_id]  # its outcome is recorded

    claims.begin([claimed("a"), claimed("b")], run_job)
    claims.begin([claimed("a")], run_job)  # told of again, after a lost answer
    assert set(shared.jobs.tasks) == {"a", "b"}
    assert len(shared.jobs.slots) == shared.jobs.started == 2
    await ended(shared)
    assert ran == [("a", 1), ("b", 1)]
    assert (shared.jobs.tasks, shared.jobs.slots, outcomes) == ({}, set(), [])


async def test_what_raises_beside_its_job_has_failed(
    shared: Context, claims: Claims, outcomes: Outcomes, caplog: pytest.LogCaptureFixture
) -> None:
    async def run_job(job_id: str, score: int) -> None:
        raise ValueError("instrumentation")

    claims.begin([claimed()], run_job)
    await ended(shared)
    (outcome,) = outcomes
    assert (outcome.verdict, str(outcome.value)) == (Verdict.FAILED, "instrumentation")
    assert "running job id failed" in caplog.text


@pytest.mark.parametrize("stopping", [False, True])
async def test_what_is_cancelled_beside_its_job_is_run_again(
    shared: Context, claims: Claims, outcomes: Outcomes, stopping: bool
) -> None:
    async def run_job(job_id: str, score: int) -> None:
        await asyncio.Event().wait()

    claims.begin([claimed()], run_job)
    await asyncio.sleep(0)
    shared.stopping = stopping
    shared.jobs.tasks["id"].cancel()
    await ended(shared)
    assert [(one.verdict, one.interrupted) for one in outcomes] == [(Verdict.CANCELLED, stopping)]


@pytest.mark.parametrize("how", ["draining", "stopping"])
async def test_a_worker_that_stops_begins_nothing(shared: Context, claims: Claims, how: str) -> None:
    async def run_job(job_id: str, score: int) -> None:
        raise AssertionError

    setattr(shared, how, True)
    claims.begin([claimed("a")], run_job)
    assert shared.current.endings == [Unbegun("a", b"stamp")]  # type: ignore[union-attr]
    assert shared.activity.is_set()
    assert not shared.jobs.tasks


async def test_suspects_are_known_as_such_while_they_run(
    shared: Context, claims: Claims, suspects: Suspects
) -> None:
    goes_on = asyncio.Event()

    async def run_job(job_id: str, score: int) -> None:
        await goes_on.wait()

    claims.begin([claimed()._replace(crashes=Crashes(2, 0, "signal 9"))], run_job)
    assert suspects.places(10, shared.clock()) == 1
    goes_on.set()
    await ended(shared)
    assert suspects.places(10, shared.clock()) == 10
