"""When a worker looks at the queue again, by what the answers to its claims have said."""

from __future__ import annotations

from time import time

import pytest

from arq._redis.scripts import ClaimAnswer
from arq._worker.poll_schedule import PollSchedule

NOW_MS = 1_800_000_000_000
CLOCK_S = 100.0


def answer(now_ms: int = NOW_MS, wait_ms: int = -1, *, shared: bool = False) -> ClaimAnswer:
    return ClaimAnswer(now_ms, wait_ms, "", shared, [])


@pytest.fixture
def poll() -> PollSchedule:
    return PollSchedule(lambda: CLOCK_S, lambda: 0.5)


def test_it_begins_by_looking(poll: PollSchedule) -> None:
    assert poll.more
    assert poll.look_at_s <= CLOCK_S


@pytest.mark.parametrize(
    ("said", "more", "look_at_s"),
    [
        (answer(wait_ms=0), True, CLOCK_S + 0.5),  # more are due
        (answer(wait_ms=200), False, CLOCK_S + 0.2),  # the next one is due then
        (answer(wait_ms=60_000), False, CLOCK_S + 0.5),  # but no pause is longer than this
        (answer(wait_ms=-1), False, CLOCK_S + 0.5),  # there is none
        (answer(wait_ms=0, shared=True), False, CLOCK_S + 0.01),  # left to others, who may not take it
    ],
)
def test_the_next_look(poll: PollSchedule, said: ClaimAnswer, more: bool, look_at_s: float) -> None:
    poll.answered(said)
    assert poll.more is more
    assert poll.look_at_s == pytest.approx(look_at_s)


def test_an_answer_that_was_overtaken_hides_nothing(poll: PollSchedule) -> None:
    poll.answered(answer(NOW_MS, wait_ms=100))
    poll.answered(answer(NOW_MS - 1))
    assert poll.look_at_s == pytest.approx(CLOCK_S + 0.1)
    poll.answered(answer(NOW_MS + 1))
    assert poll.look_at_s == pytest.approx(CLOCK_S + 0.5)
    assert poll.answered_ms == NOW_MS + 1


def test_a_clock_of_redis_that_was_set_back_is_believed(poll: PollSchedule) -> None:
    poll.answered(answer(NOW_MS, wait_ms=100))
    poll.answered(answer(NOW_MS - 3_600_000))
    assert poll.look_at_s == pytest.approx(CLOCK_S + 0.5)
    assert poll.answered_ms == NOW_MS - 3_600_000


def test_redis_clock_goes_on_from_its_last_answer(poll: PollSchedule) -> None:
    ahead_ms = 3_600_000
    poll.answered(answer(round(time() * 1000) + ahead_ms))
    assert poll.redis_ahead_ms == pytest.approx(ahead_ms, abs=60_000)
    assert poll.redis_now_ms() >= poll.answered_ms
