"""How many jobs a claim asks for: by the places, and by how long the last jobs took."""

from __future__ import annotations

import asyncio
import math

import pytest

from arq._worker import claim_size
from arq._worker.claim_size import ClaimSize
from arq._worker.context import Context
from tests.arq.unit.contexts import context


@pytest.fixture(autouse=True)
def any_turn_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that stands still says nothing about jobs."""
    monkeypatch.setattr(claim_size, "_SHORT_TURN_S", math.inf)


def begin(shared: Context, size: ClaimSize, count: int, *, turns: int = 1) -> asyncio.Future[list[None]]:
    """Start jobs that end in their first turn of the loop, or later."""

    async def job() -> None:
        for _ in range(turns - 1):
            await asyncio.sleep(0)
        shared.jobs.complete += 1

    size.begun(count)
    return asyncio.gather(*(job() for _ in range(count)))


async def test_half_of_the_places_is_filled_until_it_is_known_that_jobs_are_short() -> None:
    shared = context(max_jobs=9)
    size = ClaimSize(shared)
    assert size.most() == 5
    jobs = begin(shared, size, 5)
    await size.let_short_jobs_end()
    assert (shared.jobs.complete, size.most()) == (5, 9)
    await jobs


async def test_jobs_that_go_on_are_not_waited_for_and_tried_again_later() -> None:
    shared = context(max_jobs=9)
    size = ClaimSize(shared)
    slow = begin(shared, size, 5, turns=100)
    await size.let_short_jobs_end()
    assert size.most() == 5
    waited = []
    for _ in range(claim_size._CLAIMS_BETWEEN_TRIALS + 1):
        before = shared.jobs.complete
        quick = begin(shared, size, 5)
        await size.let_short_jobs_end()
        waited.append(shared.jobs.complete > before)
        await quick
    assert waited == [False] * claim_size._CLAIMS_BETWEEN_TRIALS + [True]
    assert size.most() == 9
    await slow


async def test_jobs_that_hold_up_the_loop_are_not_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_size, "_SHORT_TURN_S", -1.0)
    shared = context(max_jobs=9)
    size = ClaimSize(shared)
    for most in (9, 5):  # once it may be the machine that stands still
        jobs = begin(shared, size, 5)
        await size.let_short_jobs_end()
        assert size.most() == most
        await jobs


async def test_where_there_are_many_places_half_of_them_is_enough() -> None:
    shared = context(max_jobs=100)
    size = ClaimSize(shared)
    jobs = begin(shared, size, 50)
    await size.let_short_jobs_end()
    assert (shared.jobs.complete, size.most()) == (0, 50)
    await jobs
