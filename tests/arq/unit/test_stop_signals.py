"""What signals ask of a stand-alone worker, as histories of (signal, seconds since the one before)."""

from __future__ import annotations

from signal import SIGINT, SIGQUIT, SIGTERM, Signals

import pytest

from arq._worker.stop_signals import Stage, next_stage

R, S, C, L = Stage.RUNNING, Stage.STOPPING, Stage.CANCELLING, Stage.LEAVING
History = list[tuple[Signals, float | None]]


@pytest.mark.parametrize(
    ("history", "stages"),
    [
        ([(SIGTERM, None)], [S]),
        ([(SIGINT, None)], [S]),
        ([(SIGQUIT, None)], [C]),
        ([(SIGTERM, None), (SIGTERM, 0.001), (SIGTERM, 60)], [S, S, S]),
        ([(SIGINT, None), (SIGINT, 2), (SIGINT, 2)], [S, C, L]),
        ([(SIGINT, None), (SIGINT, 0.001), (SIGINT, 0.001)], [S, S, S]),
        ([(SIGTERM, None), (SIGINT, 0.001), (SIGINT, 1)], [S, S, C]),
        ([(SIGTERM, None), (SIGQUIT, 0.001)], [S, C]),
        ([(SIGQUIT, None), (SIGQUIT, 5), (SIGTERM, 5), (SIGINT, 5)], [C, C, C, L]),
        ([(SIGINT, None), (SIGTERM, 9), (SIGINT, 0.1), (SIGINT, 9)], [S, S, S, C]),
    ],
)
def test_histories(history: History, stages: list[Stage]) -> None:
    stage, reached = R, []
    for signum, since_last_s in history:
        stage = next_stage(stage, signum, since_last_s)
        reached.append(stage)
    assert reached == stages


@pytest.mark.parametrize("signum", [SIGINT, SIGTERM, SIGQUIT])
@pytest.mark.parametrize("since_last_s", [None, 0.0, 0.49, 0.5, 1e9])
def test_no_signal_goes_back(signum: Signals, since_last_s: float | None) -> None:
    order = list(Stage)
    for stage in Stage:
        assert order.index(next_stage(stage, signum, since_last_s)) >= order.index(stage)
