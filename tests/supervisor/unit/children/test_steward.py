"""What the steward says of Redis, when several of its duties ask at the same time."""

import os
from collections.abc import Callable, Iterator

import pytest

from supervisor.children.steward import Steward
from supervisor.ipc.brief import make_brief
from supervisor.ipc.child_end import ChildEnd
from supervisor.ipc.frames import Decoder
from supervisor.ipc.pipes import Pipes
from supervisor.options import Options
from supervisor.pool.events import Role
from tests.supervisor.unit.pool.play import order_for

REFUSED = ConnectionError("refused")


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Both ends, closed afterwards."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@pytest.fixture
def steward(pipe: tuple[int, int]) -> Steward:
    brief = make_brief(Options("app.Settings"), order_for(Role.STEWARD), "host", ("", ""))
    return Steward(brief, Pipes(pipe[1], -1), ChildEnd(pipe[1]))


@pytest.fixture
def said(pipe: tuple[int, int]) -> Callable[[], list[str]]:
    """What it has said since the last call: an error, or "" for Redis being back."""
    os.set_blocking(pipe[0], False)

    def read() -> list[str]:
        try:
            data = os.read(pipe[0], 65536)
        except BlockingIOError:
            return []
        return [frame.text("error") for frame in Decoder().feed(data)]

    return read


def test_a_loss_is_said_once_and_so_is_the_return(steward: Steward, said: Callable[[], list[str]]) -> None:
    steward._note_reached(1.0)
    assert said() == []
    steward._note_lost(REFUSED, 2.0)
    steward._note_lost(REFUSED, 3.0)
    assert [bool(error) for error in said()] == [True]
    steward._note_reached(4.0)
    steward._note_reached(5.0)
    assert said() == [""]


def test_an_answer_to_an_older_question_is_no_return(steward: Steward, said: Callable[[], list[str]]) -> None:
    """One duty was answered just before the server went away, and ends after another has been refused."""
    steward._note_lost(REFUSED, 10.0)
    said()
    steward._note_reached(9.9)
    assert said() == []
    steward._note_reached(10.1)
    assert said() == [""]
