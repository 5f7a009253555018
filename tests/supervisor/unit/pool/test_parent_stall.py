"""The parent itself did not run for a while, and perhaps nobody did: that is nobody's fault."""

import selectors
import socket
from pathlib import Path

import pytest

from supervisor.control.server import IDLE_S, ControlServer
from supervisor.options import Options
from supervisor.parent.loop import TURN_S
from supervisor.pool.events import ParentStalled, Stop
from tests.supervisor.unit.pool.play import Play, booted


@pytest.mark.parametrize("seconds", [0.4, 2.0, 5.9, 100.0])
def test_r41_own_absence_excuses_everybody(seconds: float) -> None:
    play = booted(2, hang_timeout_s=4)
    for _ in range(5):
        play.stand_still(seconds).pass_time(1.5)
    assert not play.said("child.stall")
    assert not play.killed
    assert len(play.said("supervisor.gap")) == (5 if seconds > 5 else 0)
    key = play.of_slot(0)
    play.pass_time(4.1, beating=False)  # those who are silent while we are awake are not excused
    assert play.said("child.hung")[0]["pid"] == 1000 + key


def test_r41_who_boots_or_drains_loses_no_time_by_our_absence() -> None:
    play = Play(Options("app.Settings", procs=1, boot_timeout_s=5))
    play.pass_time(3.5).stand_still(60).pass_time(0.4)
    assert not play.killed
    play.all_up().feed(Stop("SIGTERM"))
    play.pass_time(11).stand_still(60)
    key = play.of_slot(0)
    assert play.signals_to(key) == ["TERM"]
    play.pass_time(2)
    assert play.signals_to(key) == ["TERM", "QUIT"]


@pytest.mark.parametrize("seconds", [0.55, 3.0, 60.0])
def test_r09_a_request_is_the_same_when_we_stood_still_in_between(seconds: float) -> None:
    play = booted(1)
    play.feed(Stop("SIGTERM"))
    play.now += seconds
    play.feed(ParentStalled(seconds - 0.25), Stop("SIGTERM"))  # it meant to wake after a quarter of a second
    assert not play.said("stop.stage")
    play.pass_time(0.6).feed(Stop("SIGTERM"))
    assert len(play.said("stop.stage")) == 1


def test_redis_that_stays_away_while_we_stand_still_is_given_the_same_time() -> None:
    play = Play(Options("app.Settings", procs=1, exit_on_tempfail_s=10))
    play.fails(play.of_slot(0), "temp", 75).pass_time(0.5)
    play.stand_still(60)
    assert play.machine.pool.stopping is None
    play.pass_time(11)
    assert play.machine.pool.stopping is not None


def test_a_client_that_was_about_to_speak_is_not_dropped(tmp_path: Path) -> None:
    with selectors.DefaultSelector() as selector, socket.socket(socket.AF_UNIX) as client:
        server = ControlServer(tmp_path / "c.sock", selector)
        client.connect(str(tmp_path / "c.sock"))
        server.accept(now=100.0)
        server.excuse(60.0)
        server.drop_idle(now=161.0)
        assert len(selector.get_map()) == 2  # the listener's place, and the client's
        server.drop_idle(now=160.1 + IDLE_S)
        assert len(selector.get_map()) == 1
        server.close()


def test_r10_a_parent_that_is_always_late_ends_a_pool_all_the_same() -> None:
    """As in a container whose share of the processor is used up: each look comes later than it was meant to."""
    play = booted(1)
    play.feed(Stop("SIGTERM"))
    key = play.of_slot(0)
    for _ in range(100):
        due = play.machine.deadline()
        play.stand_still(min(TURN_S, max(0.0, due - play.now) if due is not None else TURN_S) + 0.5)
    assert play.signals_to(key)[:4] == ["TERM", "QUIT", "ABRT", "KILL"]
