"""What a service manager is told: the line for people, more time, and where it goes."""

import socket
from pathlib import Path

import pytest

from supervisor.options import Options
from supervisor.parent.systemd_notify import NOT_FOR_CHILDREN, Notifier
from supervisor.pool.events import Beat, Exited, QueueState, Quiet, RedisState, Reload, ReloadDone, Stop
from supervisor.pool.job_counts import JobCounts
from supervisor.pool.status_line import StatusLine
from tests.supervisor.unit.pool.play import REPORT, Play, booted


def line_of(play: Play, headline: StatusLine | None = None) -> str:
    return (headline or StatusLine()).news(play.machine.pool, play.now)


# --- the line for people --------------------------------------------------------------------------------------


def test_the_line_says_how_many_workers_are_ready() -> None:
    play = Play(Options("app.Settings", procs=2))
    assert line_of(play) == "starting: 0/2 workers ready"
    play.all_up()
    assert line_of(play) == "2/2 workers ready, 0.0 jobs/s, 0 running, queue q"


def test_the_line_knows_the_queue_and_what_runs() -> None:
    play = booted(2)
    play.beat(play.of_slot(0), ongoing=3).feed(QueueState(depth=17, oldest_due_s=0.0))
    assert line_of(play) == "2/2 workers ready, 0.0 jobs/s, 3 running, queue q: 17 jobs"


def test_the_rate_is_that_of_the_last_ten_seconds_and_outlives_a_worker() -> None:
    play, headline = booted(1), StatusLine()
    for second in range(21):
        play.feed(Beat(play.of_slot(0), JobCounts(complete=4 * second, failed=second)))
        headline.news(play.machine.pool, play.now)
        play.now += 1.0
    assert headline.jobs_per_s() == pytest.approx(5.0)
    play.ends(play.of_slot(0), signal="SIGKILL")
    headline.news(play.machine.pool, play.now)
    # its jobs stay in the sum; nothing ended in this second
    assert headline.jobs_per_s() == pytest.approx(4.5)
    for _ in range(12):
        play.now += 1.0
        headline.news(play.machine.pool, play.now)
    assert headline.jobs_per_s() == 0.0


def test_the_line_is_said_when_it_changes_and_at_most_once_a_second() -> None:
    play, headline = booted(1), StatusLine()
    assert line_of(play, headline)
    play.now += 5.0
    assert line_of(play, headline) == "", "nothing has changed"
    play.beat(play.of_slot(0), ongoing=1)
    assert line_of(play, headline)
    play.beat(play.of_slot(0), ongoing=2)
    play.now += 0.5
    assert line_of(play, headline) == "", "too soon"
    play.feed(Stop("SIGTERM"))
    assert line_of(play, headline) == "stopping (SIGTERM): 1 worker left, 2 jobs running"


def test_the_line_names_what_is_out_of_the_ordinary() -> None:
    play = Play(Options("app.Settings", procs=1))
    play.fails(play.of_slot(0), "temp", 75, "ConnectionError: refused")
    assert line_of(play) == "waiting for Redis: 0/1 workers ready"
    play = booted(1)
    play.feed(RedisState("ConnectionError: refused"))
    assert line_of(play).endswith(", Redis is away: ConnectionError: refused")
    play.feed(RedisState(""), Quiet())
    assert line_of(play) == "quiet: 1/1 workers ready, 0.0 jobs/s, 0 running, queue q"
    play.feed(Reload("SIGHUP"))
    assert line_of(play).startswith("reloading: ")


def test_the_line_remembers_a_reload_that_failed() -> None:
    play = booted(1).feed(Reload("SIGHUP"))
    (successor,) = (key for key in play.workers() if key not in play.ready_keys())
    play.fails(successor, "import", 4, "SyntaxError: " + "long\n" * 100)
    line = line_of(play)
    assert ", last reload failed: SyntaxError: long long " in line
    assert "\n" not in line
    assert len(line) < 300


def test_the_last_line_says_why_it_ended() -> None:
    play = Play(Options("app.Settings", procs=1))
    play.fails(play.of_slot(0), "import", 4)
    assert line_of(play) == "ended with exit code 4: the settings can not be used"


# --- more time ------------------------------------------------------------------------------------------------


def test_more_time_is_asked_for_while_a_reload_takes_its_time() -> None:
    play = booted(2).feed(Reload("SIGHUP"))
    reloading = [state for state in play.notified() if state.startswith("RELOADING")]
    assert reloading == ["RELOADING=1\nMONOTONIC_USEC=" + str(int(play.now * 1_000_000))]
    play.pass_time(11)
    assert play.notified().count("EXTEND_TIMEOUT_USEC=15000000") == 3
    (successor,) = (key for key in play.workers() if key not in play.ready_keys())
    play.fails(successor, "import", 4)
    assert any(isinstance(order, ReloadDone) for order in play.orders)
    assert play.notified()[-1] == "READY=1"
    play.pass_time(30)
    assert play.notified()[-1] == "READY=1", "no more time is needed once it is over"


def test_a_running_pool_needs_no_more_time() -> None:
    play = booted(1)
    before = len(play.notified())
    play.pass_time(60)
    play.feed(RedisState("ConnectionError: refused")).pass_time(60)
    assert len(play.notified()) == before


def test_ready_is_said_once_and_only_when_enough_workers_are() -> None:
    play = Play(Options("app.Settings", procs=3, min_ready=2)).ready(1).pass_time(3)
    assert "READY=1" not in play.notified()
    play.ready(play.of_slot(1))
    assert play.notified().count("READY=1") == 1
    play.feed(Exited(play.of_slot(1), None, "SIGSEGV"))
    play.alive.pop(play.of_slot(1), None)
    play.ready(play.of_slot(2)).pass_time(3)
    assert play.notified().count("READY=1") == 1
    assert REPORT.completion_wait_s == 3.0


# --- the wire -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["file", "abstract"])
def test_states_reach_the_address(kind: str, tmp_path: Path) -> None:
    address = f"@arq-test-{tmp_path.name}-{id(tmp_path)}" if kind == "abstract" else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + address[1:] if kind == "abstract" else address)
        notifier = Notifier({"NOTIFY_SOCKET": address}, 1)
        assert notifier.is_heard
        notifier.send("STATUS=Grüße")
        assert manager.recv(100).decode() == "STATUS=Grüße"


def test_nothing_is_left_for_children() -> None:
    environ = dict.fromkeys(NOT_FOR_CHILDREN, "1") | {"PATH": "/bin"}
    Notifier(environ, 1)
    assert environ == {"PATH": "/bin"}
    assert {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES",
            "FDSTORE"} <= set(NOT_FOR_CHILDREN)  # fmt: skip


@pytest.mark.parametrize(
    ("environ", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "42"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_for_whom_it_names(environ: dict[str, str], watchdog_s: float | None) -> None:
    assert Notifier({"NOTIFY_SOCKET": "/run/n"} | environ, 42).watchdog_s == watchdog_s
    assert Notifier(dict(environ), 42).watchdog_s is None, "nobody listens"


@pytest.mark.parametrize("address", ["", "/nowhere/socket", "@nobody", "vsock:2:1234", "/" + "x" * 300])
def test_a_manager_that_can_not_be_reached_does_not_matter(address: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": address}, 1)
    notifier.send("READY=1")
    assert notifier.is_heard is bool(address)


def test_a_manager_that_does_not_read_holds_nobody_up(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        notifier = Notifier({"NOTIFY_SOCKET": address}, 1)
        for _ in range(2000):
            notifier.send("STATUS=" + "x" * 1000)
        assert manager.recv(2000).startswith(b"STATUS=")


def test_what_a_slow_manager_has_no_room_for_is_told_later(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.setblocking(False)
        notifier = Notifier({"NOTIFY_SOCKET": address}, 1)
        for _ in range(2000):
            notifier.send("WATCHDOG=1")
        for state in ("READY=1", "WATCHDOG=1", "RELOADING=1", "READY=1", "STOPPING=1"):
            notifier.send(state)
        told: list[str] = []
        while (state := _read(manager)) or told[-1] != "STOPPING=1":
            told.append(state)
            notifier.send_kept()
    assert [state for state in told if state != "WATCHDOG=1"] == [
        "READY=1",
        "RELOADING=1",
        "READY=1",
        "STOPPING=1",
    ]


def _read(manager: socket.socket) -> str:
    try:
        return manager.recv(100).decode()
    except BlockingIOError:
        return ""
