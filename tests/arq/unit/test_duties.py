"""What a worker does by the clock: what is due, what is not, and what becomes of a duty that Redis refuses."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from redis.exceptions import ConnectionError, ResponseError

from arq._worker.duty_times import DutyTimes
from arq._worker.periodic_tasks import Duties
from arq._worker.poll_schedule import PollSchedule
from arq._worker.repeated_errors import Complaints
from tests.arq.unit.contexts import context

ACTIONS = ("heart_beat", "obey_aborts", "extend_locks", "show_presence", "sweep", "write_statistics")


class Done(Counter[str]):
    """Counts what was done; `raises`: what a duty raises instead; `overdue_s`: when the next worker may be overdue."""

    def __init__(self) -> None:
        super().__init__()
        self.raises: dict[str, Exception] = {}
        self.overdue_s = math.inf

    def action(self, name: str) -> Callable[[], Awaitable[float]]:
        async def act() -> float:
            self[name] += 1
            if name in self.raises:
                raise self.raises[name]
            return self.overdue_s

        return act


@pytest.fixture
def done() -> Done:
    return Done()


def duties(done: Done, **options: Any) -> Duties:
    shared = context(**options)
    actions: dict[str, Any] = {name: done.action(name) for name in ACTIONS}
    made = Duties(shared, PollSchedule(shared.clock, lambda: 0.5), Complaints(), **actions)
    made.times.start_over_at_s = float("inf")  # the only one that needs an exchange with Redis
    return made


async def test_all_is_due_at_the_start_and_nothing_right_after(done: Done) -> None:
    one = duties(done, poll_delay=60)
    await one.do()
    await one.do()
    assert done == {"heart_beat": 1, "extend_locks": 1, "sweep": 1}
    one.stop()


@pytest.mark.parametrize(("timeout_s", "pause_s"), [(20, 10), (290, 100), (10 * 86_400, 600)])
async def test_locks_are_extended_long_before_they_lapse_and_every_ten_minutes_at_least(
    done: Done, timeout_s: float, pause_s: float
) -> None:
    one = duties(done, poll_delay=60, job_timeout=timeout_s)
    before_s = one._context.clock()
    await one.do()
    assert pause_s <= one.times.keep_at_s - before_s < pause_s + 5
    one.stop()


@pytest.mark.parametrize(
    ("overdue_s", "soonest_s", "latest_s"), [(math.inf, 12, 18), (4, 4, 4.5), (0, 0, 0.5)]
)
async def test_a_worker_that_may_be_overdue_is_looked_for_before_its_locks_lapse(
    done: Done, overdue_s: float, soonest_s: float, latest_s: float
) -> None:
    one = duties(done, poll_delay=60)
    done.overdue_s = overdue_s
    before_s = one._context.clock()
    await one.do()
    after_s = one._context.clock()
    assert before_s + soonest_s < one.times.sweep_at_s < after_s + latest_s
    one.stop()


async def test_only_a_main_loop_shows_its_presence_and_a_supervisor_sweeps_itself(done: Done) -> None:
    one = duties(done, allow_abort_jobs=True)
    one._context.in_main = True
    one._context.options.supervised = True
    await one.do()
    assert done == {"heart_beat": 1, "obey_aborts": 1, "extend_locks": 1, "show_presence": 1}
    one.stop()


async def test_a_refusal_of_one_duty_is_said_once_and_the_others_go_on(
    done: Done, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "arq.worker")
    one = duties(done)
    done.raises["extend_locks"] = ResponseError("WRONGTYPE of a key")
    for _ in range(2):
        one.times.keep_at_s = one.times.sweep_at_s = 0.0
        await one.do()
    assert (done["extend_locks"], done["sweep"]) == (2, 2)
    assert caplog.text.count("locks and lease: redis refuses") == 1
    del done.raises["extend_locks"]
    one.times.keep_at_s = 0.0
    await one.do()
    assert "locks and lease: redis refuses no more" in caplog.messages
    one.stop()


async def test_a_redis_that_is_away_is_for_the_main_loop(done: Done) -> None:
    one = duties(done)
    done.raises["extend_locks"] = ConnectionError("away")
    with pytest.raises(ConnectionError):
        await one.do()
    assert "sweep" not in done
    one.stop()


def test_the_next_duty() -> None:
    times = DutyTimes()
    times.beat_at_s, times.keep_at_s, times.sweep_at_s, times.present_at_s = 5, 4, 1, 3
    assert times.next_s(sweeps=True) == 1
    assert times.next_s(sweeps=False) == 3
