"""One timer for the time limit of many tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arq._worker.blocked_loop import Standstills
from arq._worker.job_timeout import TimeLimit
from tests.support.eventually import PATIENCE_S, wait_until_async


class Clock:
    """A loop whose time is set by hand: it has what TimeLimit uses of loops and tasks."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now_s

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> object:
        self.timers.append((self.now_s + delay_s, callback))
        return callback

    def advance(self, until_s: float) -> None:
        while due := [timer for timer in self.timers if timer[0] <= until_s]:
            timer = min(due, key=lambda timer: timer[0])
            self.timers.remove(timer)
            self.now_s = max(self.now_s, timer[0])
            timer[1]()
        self.now_s = until_s


class Stood:
    """Standstills that a test makes up."""

    def __init__(self) -> None:
        self.counted_s = 0.0
        self.caused: dict[object, float] = {}

    def total_s(self) -> float:
        return self.counted_s

    def caused_s(self, task: object) -> float:
        return self.caused.get(task, 0.0)


class Told:
    """A task that notes when it is cancelled."""

    def __init__(self, loop: Clock) -> None:
        self.loop = loop
        self.cancelled_s: float | None = None

    def get_loop(self) -> Clock:
        return self.loop

    def cancel(self) -> None:
        self.cancelled_s = self.loop.now_s


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 8)), max_size=12))
def test_each_is_told_at_its_own_time(runs: list[tuple[float, float]]) -> None:
    """Pauses between the starts, and how long each would run: whoever needs more than 5 s is told after 5 s."""
    clock = Clock()
    limit = TimeLimit(5)
    tasks: list[Any] = []
    moments: list[tuple[float, int, bool]] = []
    start_s = 0.0
    for number, (pause_s, takes_s) in enumerate(runs):
        start_s += pause_s
        tasks.append(Told(clock))
        moments += [(start_s, number, True), (start_s + takes_s, number, False)]
    ran_out = {}
    for at_s, number, begins in sorted(moments, key=lambda moment: (moment[0], not moment[2])):
        clock.advance(at_s)
        if begins:
            limit.begin(tasks[number])
        else:
            ran_out[number] = limit.end(tasks[number])
    for number, (_, takes_s) in enumerate(runs):
        if takes_s < 4.999:
            assert not ran_out[number]
        if takes_s > 5.001:
            assert ran_out[number]
        assert (tasks[number].cancelled_s is not None) == ran_out[number]
    starts = {number: at_s for at_s, number, begins in moments if begins}
    told = {number: task.cancelled_s for number, task in enumerate(tasks) if task.cancelled_s is not None}
    assert all(at_s == pytest.approx(starts[number] + 5) for number, at_s in told.items())
    clock.advance(clock.now_s + 6)
    assert clock.timers == []  # nothing goes on for nobody


def stand_still(clock: Clock, stood: Stood, seconds: float) -> None:
    """Time passes, and no timer runs off."""
    clock.now_s += seconds
    stood.counted_s += seconds


def begun(clock: Clock, stood: Stood) -> tuple[TimeLimit, Any]:
    limit, task = TimeLimit(5, cast(Standstills, stood)), Told(clock)
    limit.begin(cast("asyncio.Task[Any]", task))
    return limit, task


@pytest.mark.parametrize(("stood_s", "until_s"), [(1, 6), (3.5, 8.5), (60, 65)])
def test_the_time_of_a_standstill_is_given_back_once(stood_s: float, until_s: float) -> None:
    """A task has its limit in time in which the loop runs."""
    clock, stood = Clock(), Stood()
    _, task = begun(clock, stood)
    clock.advance(3)
    stand_still(clock, stood, stood_s)
    clock.advance(clock.now_s)
    assert task.cancelled_s is None
    clock.advance(1000)
    assert task.cancelled_s == pytest.approx(until_s)


def test_whoever_held_up_the_loop_gets_nothing_back() -> None:
    clock, stood = Clock(), Stood()
    limit, guilty = begun(clock, stood)
    innocent = Told(clock)
    limit.begin(cast("asyncio.Task[Any]", innocent))
    clock.advance(3)
    stand_still(clock, stood, 20)
    stood.caused[guilty] = 20
    clock.advance(clock.now_s + 0.1)
    assert guilty.cancelled_s is not None
    assert innocent.cancelled_s is None
    clock.advance(1000)
    assert innocent.cancelled_s == pytest.approx(3 + 20 + 2)


def test_a_timer_that_is_late_leaves_some_turns_of_the_loop() -> None:
    """What a task waits for may be in the socket already, however short the delay was."""
    clock, stood = Clock(), Stood()
    _, task = begun(clock, stood)
    clock.now_s = 5.05
    clock.advance(5.05)
    assert task.cancelled_s is None
    clock.advance(1000)
    assert 5.05 < vars(task)["cancelled_s"] < 5.1


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 2), st.floats(0, 12)), min_size=1, max_size=12))
def test_everybody_is_told_in_the_end_and_nobody_before_the_limit(steps: list[tuple[float, float]]) -> None:
    """However starts and standstills follow one another: after 5 s and before 10 s that the loop runs."""
    clock, stood = Clock(), Stood()
    limit = TimeLimit(5, cast(Standstills, stood))
    tasks: list[tuple[Told, float, float]] = []
    for pause_s, stood_s in steps:
        clock.advance(clock.now_s + pause_s)
        tasks.append((Told(clock), clock.now_s, stood.counted_s))
        limit.begin(cast("asyncio.Task[Any]", tasks[-1][0]))
        stand_still(clock, stood, stood_s)
    while clock.timers:
        clock.advance(clock.now_s + 0.5)
    for task, begun_s, stood_before_s in tasks:
        assert task.cancelled_s is not None
        stood_s = stood.counted_s - stood_before_s
        assert task.cancelled_s - begun_s >= 5 - 1e-6
        assert task.cancelled_s - begun_s <= 10 + stood_s + 0.5 + 1e-6


def test_tasks_of_a_real_loop() -> None:
    """Also when the loop is another one than the last time, whose timer will never ring."""
    limit = TimeLimit(0.05)

    async def for_ever() -> bool:
        task = asyncio.current_task()
        assert task is not None
        limit.begin(task)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return limit.end(task)
        return False

    async def several() -> None:
        tasks = [asyncio.create_task(for_ever()) for _ in range(3)]
        await wait_until_async(lambda: all(task.done() for task in tasks), what="all are told")
        assert all(task.result() for task in tasks)

    for _ in range(2):
        asyncio.run(several())


def test_what_a_closed_loop_left_behind_holds_nobody_up() -> None:
    limit = TimeLimit(0.05)

    async def for_ever() -> None:
        task = asyncio.current_task()
        assert task is not None
        limit.begin(task)
        await asyncio.Event().wait()

    async def is_told() -> None:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(asyncio.create_task(for_ever()), PATIENCE_S)

    closed = asyncio.new_event_loop()
    abandoned = closed.create_task(for_ever())
    closed.run_until_complete(asyncio.sleep(0))
    closed.close()
    asyncio.run(is_told())
    assert not abandoned.done()
    coroutine: Any = abandoned.get_coro()
    coroutine.close()
