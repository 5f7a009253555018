"""More workers than the machine can start at once, and more descriptors than select() can take."""

import fcntl
import io
import os
import resource
from collections.abc import Iterator

import pytest

from supervisor.host.cpus import is_crowd, starts_at_once
from supervisor.ipc.child_end import ChildEnd
from supervisor.ipc.frames import Decoder
from supervisor.ipc.messages import ByeMessage
from supervisor.options import Options
from supervisor.pool.events import Beat, Fork, Forked, Ready, Report, Role, Tick
from supervisor.pool.machine import Machine
from supervisor.pool.status_from_state import take_status
from tests.supervisor.unit.pool.play import booted


def forks(orders: list[object]) -> list[Fork]:
    return [order for order in orders if isinstance(order, Fork) and order.role is Role.WORKER]


def test_no_more_than_so_many_workers_are_starting() -> None:
    machine = Machine(Options("app.S", procs=20), lambda: 0.5, "x", 3)
    starting = [order.key for order in forks(list(machine.start(0.0)))]
    most = begun = len(starting)
    for second in range(1, 50):
        orders = [*machine.handle(Tick(), second)]
        if starting:
            key = starting.pop(0)
            orders += machine.handle(Forked(key, 100 + key, f"w{key}"), second)
            orders += machine.handle(Ready(key, Report()), second)
        new = [order.key for order in forks(list(orders))]
        starting += new
        begun, most = begun + len(new), max(most, len(starting))
    assert (begun, most) == (20, 3)


def test_a_beat_need_not_make_the_machine_look_at_everybody() -> None:
    machine = Machine(Options("app.S", procs=2, max_jobs_per_child=1), lambda: 0.5, "x")
    (first,) = forks(list(machine.start(0.0)))
    machine.handle(Forked(first.key, 1, "w"), 0.0)
    machine.handle(Ready(first.key, Report()), 0.0)
    child = machine.pool.children[first.key]
    done = Beat(first.key, type(child.counts)(1, 0, 0, 0, 0))
    assert machine.handle(done, 1.0, is_last=False) == []
    assert any(getattr(order, "event", "") == "child.recycle" for order in machine.handle(Tick(), 1.0))


@pytest.mark.parametrize(("cpus", "at_once"), [(1, 8), (2, 8), (16, 64)])
def test_starts_at_once(cpus: int, at_once: int) -> None:
    assert starts_at_once(cpus) == at_once


def test_what_is_a_crowd() -> None:
    assert not is_crowd(32, 1)
    assert is_crowd(33, 1)
    assert not is_crowd(128, 16)
    assert is_crowd(1000, 16)


@pytest.fixture
def high_pipe() -> Iterator[tuple[int, int]]:
    """A pipe whose writing end has a number that select() refuses."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] <= 1100:
        pytest.skip("no such descriptor is allowed here")
    read_fd, write_fd = os.pipe()
    high_fd = fcntl.fcntl(write_fd, fcntl.F_DUPFD_CLOEXEC, 1100)
    os.close(write_fd)
    yield read_fd, high_fd
    os.close(read_fd)
    os.close(high_fd)


def test_a_line_with_a_high_number(high_pipe: tuple[int, int]) -> None:
    ChildEnd(high_pipe[1]).send_surely(ByeMessage("stop"))
    (frame,) = Decoder().feed(os.read(high_pipe[0], 1000))
    assert frame.text("reason") == "stop"


@pytest.mark.parametrize("width", [80, 100, 160])
def test_top_cuts_off_no_number_however_narrow_the_terminal(width: int) -> None:
    rich = pytest.importorskip("rich.console")
    from supervisor.commands.top import History, render

    play = booted(2)
    for key in play.workers():
        child = play.machine.pool.children[key]
        child.pid = 1234567
        play.feed(
            Beat(key, type(child.counts)(123456, 12, 3, 8, 0), (("j", "function_with_a_long_name"),) * 4)
        )
    status = take_status(play.machine.pool, play.now + 9, 1, "host", {})
    console = rich.Console(width=width, record=True, file=io.StringIO())
    console.print(render(status, History(), width))
    text = console.export_text()
    assert text.count("1234567") >= 2
    assert text.count("123456 ") == text.count("blocked ") - 2 == 2
