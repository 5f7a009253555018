"""How many more jobs a worker may run: by its places, by what others have taken of them, and by its suspects."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from arq._crash_records import Crashes
from arq._worker.context import Context
from arq._worker.crash_suspects import Suspects
from arq._worker.job_slots import JobSlots
from arq._worker.job_table import JobTable
from tests.arq.unit.contexts import context, run_beside


def slots(shared: Context, suspects: Suspects | None = None) -> JobSlots:
    return JobSlots(shared, suspects or Suspects())


def occupied(shared: Context, number: int) -> None:
    places: set[Any] = {object() for _ in range(number)}
    shared.jobs.slots = places


def test_what_runs_takes_a_place() -> None:
    shared = context(max_jobs=3)
    places = slots(shared)
    assert places.room() == 3
    occupied(shared, 2)
    assert (places.room(), places.taken) == (1, 2)


def test_there_is_no_room_where_no_jobs_may_be_taken() -> None:
    shared = context(max_jobs=3)
    shared.may_pick_jobs = False
    assert slots(shared).room() == 0
    shared.may_pick_jobs, shared.stopping = True, True
    assert slots(shared).room() == 0


def test_places_that_somebody_else_counts_are_missing() -> None:
    shared = context(max_jobs=3)
    places = slots(shared)
    places.taken += 2
    assert places.room() == 1
    occupied(shared, 1)
    assert (places.taken, places.room()) == (3, 0)


async def test_places_that_were_acquired_are_missing_but_the_one_more() -> None:
    places = slots(context(max_jobs=2))
    for expected in (2, 1, 0):
        await places.semaphore.acquire()
        assert places.room() == expected


async def test_a_suspect_keeps_others_out() -> None:
    shared, suspects = context(max_jobs=9), Suspects()
    suspects.begin("s", Crashes(2, 0, "signal 9"), shared.clock())
    occupied(shared, 1)
    assert slots(shared, suspects).room() == 0


@pytest.mark.parametrize(
    ("options", "left"), [({}, 3), ({"burst": True}, 3), ({"burst": True, "max_burst_jobs": 5}, 1)]
)
def test_what_is_left_of_a_burst(options: dict[str, Any], left: int) -> None:
    shared = context(max_jobs=3, **options)
    shared.jobs.started = 4
    assert slots(shared).left_in_burst() == left


async def test_the_table_shows_what_runs_and_how_many_there_were() -> None:
    shared, ends = context(), asyncio.Event()
    table = shared.jobs
    task = run_beside(shared, "a", ends.wait())
    table.names["a"] = "send"
    table.complete, table.failed, table.retried = 3, 2, 1
    assert table.running() == [("a", "send")]
    assert str(table) == "j_complete=3 j_failed=2 j_retried=1 j_ongoing=1"
    assert table.counts_text() == "3 jobs complete ◆ 2 failed ◆ 1 retries"
    ends.set()
    await task
    assert table.running() == []
    assert str(JobTable()).endswith("j_ongoing=0")
