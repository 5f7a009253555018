"""How long to wait: for a result, and for a Redis that is away."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from arq._redis.redis_errors import PASSING
from arq._worker.reconnect_backoff import ReconnectBackoff
from arq.jobs import next_pause_s

seconds = st.floats(0, 1e6)


@given(seconds, st.floats(0.001, 60), st.none() | seconds)
def test_a_pause_is_bounded(waited_s: float, poll_delay_s: float, left_s: float | None) -> None:
    pause_s = next_pause_s(waited_s, poll_delay_s, left_s)
    assert 0 <= pause_s <= poll_delay_s
    assert left_s is None or pause_s <= left_s


def test_a_quick_job_is_seen_in_milliseconds_and_a_long_one_costs_a_look_each_poll_delay() -> None:
    waited_s, looks = 0.0, 0
    while waited_s < 60:
        pause_s = next_pause_s(waited_s, 0.5, None)
        assert pause_s <= max(0.001, 0.25 * waited_s)
        waited_s, looks = waited_s + pause_s, looks + 1
    assert looks < 60 / 0.5 + 50
    assert next_pause_s(1e9, 0.5, None) == 0.5


def test_the_backoff_doubles_up_to_a_limit_and_starts_again() -> None:
    backoff = ReconnectBackoff()
    pauses = [backoff.next_s() for _ in range(12)]
    assert 0.05 < pauses[0] < 0.2
    assert all(later > 1.1 * earlier for earlier, later in itertools.pairwise(pauses[:5]))
    assert max(pauses) < 4
    backoff.tries = 0
    assert backoff.next_s() < 0.2


def test_the_backoff_has_no_end() -> None:
    """An hour without Redis is no reason to die."""
    assert 0 < ReconnectBackoff(tries=100_000).next_s() < 4


def test_what_passes_by_waiting() -> None:
    import redis.exceptions as errors

    for kind in (
        errors.ConnectionError,
        errors.TimeoutError,
        errors.BusyLoadingError,
        errors.ReadOnlyError,
        errors.OutOfMemoryError,
        errors.MasterDownError,
        TimeoutError,
        ConnectionResetError,
    ):
        assert issubclass(kind, PASSING)
    for other in (errors.ResponseError, errors.DataError, ValueError):
        assert not issubclass(other, PASSING)
