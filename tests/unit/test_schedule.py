"""Which runs of cron jobs fall due, under which ids."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from arq._worker.schedule import Tick, due
from arq.cron import cron

NOW = datetime(2030, 1, 1, 11, 59, 58, tzinfo=UTC)
NOON_MS = 1_893_499_200_123
SOON = timedelta(seconds=3)


async def job(ctx: dict[Any, Any]) -> None: ...


def ids(ticks: list[Tick]) -> list[str | None]:
    return [tick.job_id for tick in ticks]


def test_a_run_ahead_is_planned_once() -> None:
    daily = cron(job, hour=12, minute=0)
    (tick,) = due([daily], NOW, SOON)
    assert (tick.job_id, tick.due_ms, tick.ahead) == (f"cron:job:{NOON_MS}", NOON_MS, True)
    assert due([daily], NOW, SOON) == []
    assert daily.next_run == datetime(2030, 1, 2, 12, 0, 0, 123_456, tzinfo=UTC)


def test_nothing_is_planned_before_its_window() -> None:
    assert due([cron(job, hour=12, minute=0)], NOW - timedelta(seconds=5), SOON) == []


def test_missed_runs_are_made_up_one_at_a_time() -> None:
    each_minute = cron(job)
    due([each_minute], NOW, timedelta(0))
    late = NOW + timedelta(minutes=2, seconds=30)
    made_up = [due([each_minute], late, SOON) for _ in range(4)]
    assert [len(ticks) for ticks in made_up] == [1, 1, 1, 0]
    assert [tick.ahead for ticks in made_up for tick in ticks] == [False] * 3


def test_run_at_startup_is_due_now_and_the_schedule_follows() -> None:
    eager = cron(job, hour=12, minute=0, run_at_startup=True)
    (tick,) = due([eager], NOW, SOON)
    assert tick.due_ms == round(NOW.timestamp() * 1000)
    assert not tick.ahead
    (noon,) = due([eager], NOW, SOON)
    assert noon.due_ms == NOON_MS


def test_ids() -> None:
    jobs = [
        cron(job, hour=12, minute=0),
        cron(job, hour=12, minute=0, name="named"),
        cron(job, hour=12, minute=0, job_id="own"),
        cron(job, hour=12, minute=0, unique=False),
        cron(job, hour=12, minute=0, unique=False, job_id="own, not unique"),
    ]
    assert ids(due(jobs, NOW, SOON)) == [
        f"cron:job:{NOON_MS}",
        f"named:{NOON_MS}",
        "own",
        None,
        "own, not unique",
    ]


def test_ticks_come_in_the_order_of_their_times() -> None:
    """The later of two schedules of one function must not be sent first: the earlier would count as old."""
    jobs = [cron(job, second=2), cron(job, second=1)]
    ticks = due(jobs, NOW + timedelta(seconds=1), timedelta(seconds=5))
    assert [tick.due_ms for tick in ticks] == [NOON_MS + 1000, NOON_MS + 2000]
