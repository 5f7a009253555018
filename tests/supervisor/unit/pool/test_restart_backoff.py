"""Pauses between starts, and the limit of restarts."""

from hypothesis import given
from hypothesis import strategies as st

from supervisor.pool.restart_backoff import RestartBackoff
from supervisor.pool.restart_limit import RestartLimit


@given(jitter=st.floats(0, 0.999), deaths=st.integers(1, 40))
def test_pauses_grow_and_stay_in_bounds(jitter: float, deaths: int) -> None:
    backoff = RestartBackoff(0.5, 30, lambda: jitter)
    pauses = [backoff.next_pause_s() for _ in range(deaths)]
    assert pauses[0] <= 0.5
    assert all(0.4 <= pause <= 30 for pause in pauses)
    assert pauses == sorted(pauses)
    backoff.forgive()
    assert backoff.next_pause_s() <= 0.5


def test_the_limit_forgets_what_is_old() -> None:
    limit = RestartLimit(2, 10)
    assert [limit.note(now) for now in (0.0, 1.0, 11.5, 12.0, 13.0)] == [False, False, False, False, True]
