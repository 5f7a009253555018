"""Which runs of cron jobs fall due, under which ids."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from arq._worker.cron_planner import CronTick, Planner
from arq.cron import CronJob, cron

NOW = datetime(2030, 1, 1, 11, 59, 58, tzinfo=UTC)
NOON_MS = 1_893_499_200_123
SOON = timedelta(seconds=3)
BERLIN = ZoneInfo("Europe/Berlin")


async def job(ctx: dict[Any, Any]) -> None: ...


def due(
    planner: Planner, cron_jobs: list[CronJob], now: datetime, window: timedelta = SOON, zone: tzinfo = UTC
) -> list[CronTick]:
    return planner.due(cron_jobs, now, window, zone)


def ids(ticks: list[CronTick]) -> list[str | None]:
    return [tick.job_id for tick in ticks]


def seconds_after_now(ticks: list[CronTick]) -> list[int]:
    return [round(tick.due_ms / 1000 - NOW.timestamp()) for tick in ticks]


def test_a_run_ahead_is_planned_once() -> None:
    planner, daily = Planner(), cron(job, hour=12, minute=0)
    (tick,) = due(planner, [daily], NOW)
    assert (tick.job_id, tick.due_ms, tick.ahead) == (f"cron:job:{NOON_MS}", NOON_MS, True)
    assert due(planner, [daily], NOW) == []
    assert daily.next_run == datetime(2030, 1, 2, 12, 0, 0, 123_456, tzinfo=UTC)


def test_nothing_is_planned_before_its_window() -> None:
    assert due(Planner(), [cron(job, hour=12, minute=0)], NOW - timedelta(seconds=5)) == []


def test_all_runs_of_a_wide_window_are_planned() -> None:
    """A worker that looks every minute must not lag behind a schedule of seconds."""
    planner, often = Planner(), cron(job, second=set(range(0, 60, 10)), microsecond=0)
    minute = timedelta(minutes=1)
    assert seconds_after_now(due(planner, [often], NOW, 2 * minute)) == list(range(2, 122, 10))
    assert seconds_after_now(due(planner, [often], NOW + minute, 2 * minute)) == list(range(122, 182, 10))


def test_no_run_is_left_out_by_a_worker_that_looks_once_an_hour() -> None:
    planner, each_second = Planner(), cron(job, second=None, microsecond=0)
    planned = [due(planner, [each_second], NOW + timedelta(hours=n), timedelta(hours=2)) for n in range(2)]
    assert seconds_after_now(planned[0] + planned[1]) == list(range(1, 3 * 3600))


def test_after_a_standstill_the_newest_missed_run_is_planned() -> None:
    planner, often = Planner(), cron(job, second=set(range(0, 60, 10)), microsecond=0)
    due(planner, [often], NOW, timedelta(0))
    hour_later = NOW + timedelta(hours=1)
    assert seconds_after_now(due(planner, [often], hour_later)) == [3592, 3602]
    assert due(planner, [often], hour_later) == []


@pytest.mark.parametrize("microsecond", [0, 500_000, 999_999])
def test_a_run_that_falls_on_the_present_is_not_lost(microsecond: int) -> None:
    for late_ms in (0, 400, 999, 1000, 1600):
        planner, each_minute = Planner(), cron(job, microsecond=microsecond)
        due(planner, [each_minute], NOW, timedelta(0))
        due_s = 2 + microsecond / 1e6
        (tick,) = due(planner, [each_minute], NOW + timedelta(seconds=2, milliseconds=late_ms))
        assert tick.due_ms == round((NOW.timestamp() + due_s) * 1000)


def test_all_missed_runs_are_planned_where_that_is_wanted() -> None:
    planner, each_minute = Planner(), cron(job, microsecond=0, coalesce=False)
    due(planner, [each_minute], NOW, timedelta(0))
    late = NOW + timedelta(minutes=2, seconds=30)
    ticks = due(planner, [each_minute], late)
    assert seconds_after_now(ticks) == [2, 62, 122]
    assert not any(tick.ahead for tick in ticks)


def test_millions_of_missed_runs_are_planned_a_thousand_at_a_time() -> None:
    planner, each_second = Planner(), cron(job, second=None, microsecond=0, coalesce=False)
    due(planner, [each_second], NOW, timedelta(0))
    month_later = NOW + timedelta(days=30)
    planned = [due(planner, [each_second], month_later) for _ in range(2)]
    assert seconds_after_now(planned[0] + planned[1]) == list(range(1, 2001))


def test_the_newest_of_millions_of_missed_runs() -> None:
    planner, each_second = Planner(), cron(job, second=None, microsecond=0)
    due(planner, [each_second], NOW, timedelta(0))
    month = timedelta(days=30)
    ticks = due(planner, [each_second], NOW + month + timedelta(seconds=0.5), timedelta(0))
    assert seconds_after_now(ticks) == [month.total_seconds()]


def test_a_worker_that_has_just_started_has_missed_nothing() -> None:
    shared = cron(job)
    due(Planner(), [shared], NOW)
    assert seconds_after_now(due(Planner(), [shared], NOW + timedelta(hours=1))) == [3602]


def test_two_workers_of_a_process_share_a_cron_job() -> None:
    """Each has a queue of its own: what one has planned must not be missing in the other."""
    planners, shared = (Planner(), Planner()), cron(job)
    assert [len(due(planner, [shared], NOW)) for planner in planners] == [1, 1]
    assert [len(due(planner, [shared], NOW + timedelta(minutes=1))) for planner in planners] == [1, 1]


def test_a_clock_that_was_ahead_for_a_while() -> None:
    planner, each_minute = Planner(), cron(job, microsecond=0)
    due(planner, [each_minute], NOW, timedelta(0))
    assert len(due(planner, [each_minute], NOW + timedelta(hours=2))) == 2
    again = [due(planner, [each_minute], NOW + timedelta(minutes=n)) for n in range(3)]
    assert [seconds_after_now(ticks) for ticks in again] == [[2], [62], [122]]


def test_a_clock_that_goes_back_a_little_repeats_nothing() -> None:
    planner, each_second = Planner(), cron(job, second=None, microsecond=0, unique=False)
    planned = [
        tick
        for seconds in (0, 1, 0.5, 2, 0)
        for tick in due(planner, [each_second], NOW + timedelta(seconds=seconds))
    ]
    assert seconds_after_now(planned) == [1, 2, 3, 4]


def test_run_at_startup_is_due_now_and_the_schedule_follows() -> None:
    planner, eager = Planner(), cron(job, hour=12, minute=0, run_at_startup=True)
    now, noon = due(planner, [eager], NOW)
    assert now.due_ms == round(NOW.timestamp() * 1000)
    assert not now.ahead
    assert noon.due_ms == NOON_MS
    assert due(planner, [eager], NOW) == []


def test_ids() -> None:
    jobs = [
        cron(job, hour=12, minute=0),
        cron(job, hour=12, minute=0, name="named"),
        cron(job, hour=12, minute=0, job_id="own"),
        cron(job, hour=12, minute=0, unique=False),
        cron(job, hour=12, minute=0, unique=False, job_id="own, not unique"),
    ]
    assert ids(due(Planner(), jobs, NOW)) == [
        f"cron:job:{NOON_MS}",
        f"named:{NOON_MS}",
        "own",
        None,
        "own, not unique",
    ]


def test_ticks_come_in_the_order_of_their_times() -> None:
    jobs = [cron(job, second=2), cron(job, second=1)]
    ticks = due(Planner(), jobs, NOW + timedelta(seconds=1), timedelta(seconds=5))
    assert [tick.due_ms for tick in ticks] == [NOON_MS + 1000, NOON_MS + 2000]


def test_the_zone_of_the_worker_counts_not_that_of_the_time_it_is_asked_at() -> None:
    for asked_in in (UTC, BERLIN, timezone(timedelta(hours=-7))):
        planner, morning = Planner(), cron(job, hour=9, minute=0)
        runs = []
        moment = datetime(2027, 3, 26, 6, tzinfo=UTC)
        while moment < datetime(2027, 3, 30, 12, tzinfo=UTC):  # summer time begins on the 28th
            runs += due(planner, [morning], moment.astimezone(asked_in), timedelta(hours=2), BERLIN)
            moment += timedelta(hours=1)
        hours = [datetime.fromtimestamp(tick.due_ms / 1000, UTC).hour for tick in runs]
        assert hours == [8, 8, 7, 7, 7]


def test_another_zone_is_obeyed_at_once() -> None:
    planner, noon = Planner(), cron(job, hour=12, minute=0)
    due(planner, [noon], NOW - timedelta(hours=5))
    (tick,) = due(planner, [noon], NOW - timedelta(hours=1), zone=BERLIN)
    assert tick.due_ms == NOON_MS - 3_600_000
