"""One sum for the stop: the pool that stops, its unit and the manual agree on it, whatever the limits are."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.commands.unit_text import EXAMPLE, render
from supervisor.options import Options
from supervisor.pool.events import Ready, Report
from supervisor.pool.hang import HANG_MARGIN_S
from supervisor.pool.shutdown import budget_s
from supervisor.pool.stop_budget import MANAGER_MARGIN_S, MARGIN_S
from tests.supervisor.unit.pool.play import Play

SECONDS = st.integers(0, 10_000).map(lambda tenths: tenths / 10)


@given(
    wait_s=SECONDS, graceful_timeout_s=st.none() | SECONDS, kill_timeout_s=st.sampled_from([0.1, 2.5, 5.0])
)
def test_the_unit_waits_for_what_the_pool_takes(
    wait_s: float, graceful_timeout_s: float | None, kill_timeout_s: float
) -> None:
    options = Options("app.Settings", graceful_timeout_s=graceful_timeout_s, kill_timeout_s=kill_timeout_s)
    play = Play(options)
    (worker,) = play.workers()
    play.feed(Ready(worker, Report(completion_wait_s=wait_s)))
    written = replace(EXAMPLE, wait_s=wait_s, options=options)
    assert budget_s(play.machine.pool) == pytest.approx(written.budget_s)
    stop_s = math.ceil(written.budget_s + MANAGER_MARGIN_S)
    assert f"\nTimeoutStopSec={stop_s}\n" in render(written, is_template=False)


@pytest.mark.parametrize("graceful_timeout_s", [None, 0.0, 42.0])
def test_a_pool_without_workers_has_a_budget_as_well(graceful_timeout_s: float | None) -> None:
    play = Play(Options("app.Settings", graceful_timeout_s=graceful_timeout_s))
    play.machine.pool.children.clear()
    grace_s = MARGIN_S if graceful_timeout_s is None else graceful_timeout_s
    assert budget_s(play.machine.pool) == grace_s + 10.0


def test_the_manual_says_these_margins() -> None:
    """They are told in words where the options are."""
    from supervisor.options import ROWS

    assert ROWS["graceful_timeout_s"].applies == f"job_completion_wait + {MARGIN_S:g}"
    assert ROWS["hang_timeout_s"].applies == f"job timeout + {HANG_MARGIN_S:g}"
