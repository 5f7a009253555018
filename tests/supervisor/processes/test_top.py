"""`--ctl top` in a real terminal: whatever ends it, the terminal is as it was."""

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec

import pytest

from supervisor.pool.job_counts import JobCounts
from supervisor.pool.status import PoolStatus
from tests.supervisor.harness import Pool
from tests.support.eventually import PATIENCE_S, wait_until

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(find_spec("rich") is None, reason="--ctl top needs the package rich"),
]

ON = ("--control", "c.sock")
FRAME = b"jobs/s"
ENTER, LEAVE = b"\x1b[?1049h", b"\x1b[?1049l"
SHOW_CURSOR = b"\x1b[?25h"


class Terminal:
    """A terminal of `rows` x `columns` with `top` in its foreground; `seen` is what was written there."""

    def __init__(self, pool: Pool, rows: int, columns: int) -> None:
        self.master, self.slave = pty.openpty()
        self.seen = b""
        self.resize(rows, columns)
        self.before = termios.tcgetattr(self.slave)
        words = [sys.executable, "-m", "supervisor", *ON, "--ctl", "top"]
        take = f"""import os, fcntl, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv({words[0]!r}, {words!r})"""
        environ = {**pool.environ, "TERM": "xterm"}
        for name in ("COLUMNS", "LINES"):
            environ.pop(name, None)
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            [sys.executable, "-c", take], stdin=self.slave, stdout=self.slave, stderr=self.slave,
            cwd=pool.directory, env=environ,
        )  # fmt: skip

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def read(self) -> bytes:
        """Everything that was written so far."""
        while select.select([self.master], [], [], 0)[0]:
            self.seen += os.read(self.master, 65536)
        return self.seen

    def wait_for(self, text: bytes) -> None:
        wait_until(lambda: text in self.read(), what=f"{text!r} on the screen")

    def ends(self) -> int:
        """Its exit code; the terminal must be as it was."""
        wait_until(lambda: self.read() is not None and self.process.poll() is not None, what="top ends")
        self.read()
        assert self.seen.count(ENTER) == self.seen.count(LEAVE) == 1
        assert self.seen.rfind(LEAVE) > self.seen.rfind(ENTER)
        assert SHOW_CURSOR in self.seen
        assert termios.tcgetattr(self.slave) == self.before
        assert b"Traceback" not in self.seen
        code = self.process.returncode
        assert code is not None
        return code

    def hang_up(self) -> None:
        """The window is closed."""
        os.close(self.slave)
        os.close(self.master)
        self.master = self.slave = -1

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for fd in (self.master, self.slave):
            if fd >= 0:
                os.close(fd)


@pytest.fixture
def terminal(pool: Pool) -> Iterator[Callable[..., Terminal]]:
    """Opens terminals on a pool that is ready."""
    opened: list[Terminal] = []
    pool.start("--procs", "2", *ON).ready()

    def open_one(rows: int = 24, columns: int = 80) -> Terminal:
        opened.append(Terminal(pool, rows, columns))
        opened[-1].wait_for(ENTER)
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.mark.parametrize(("rows", "columns"), [(24, 80), (60, 200)])
def test_q_ends_it(terminal: Callable[..., Terminal], rows: int, columns: int) -> None:
    shown = terminal(rows, columns)
    shown.wait_for(FRAME)
    shown.wait_for(b"steward")
    shown.type(b"xq")
    assert shown.ends() == 0


def test_a_very_small_window(terminal: Callable[..., Terminal]) -> None:
    shown = terminal(5, 20)
    shown.wait_for(b"app.Settings@")
    shown.type(b"q")
    assert shown.ends() == 0
    lines = shown.seen.split(ENTER)[1].split(b"\r\n")
    assert len(lines) >= 2


def test_ctrl_c_ends_it(terminal: Callable[..., Terminal]) -> None:
    shown = terminal()
    shown.wait_for(FRAME)
    shown.type(b"\x03")
    assert shown.ends() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it(terminal: Callable[..., Terminal], number: signal.Signals) -> None:
    shown = terminal()
    shown.wait_for(FRAME)
    shown.process.send_signal(number)
    assert shown.ends() == 128 + number


def test_a_terminal_that_goes_away_ends_it(terminal: Callable[..., Terminal]) -> None:
    shown = terminal()
    shown.wait_for(FRAME)
    shown.hang_up()
    assert shown.process.wait(PATIENCE_S) == 129


def test_another_size_shows_at_once(terminal: Callable[..., Terminal]) -> None:
    shown = terminal(24, 200)
    shown.wait_for(b"RUNNING / LAST EXIT")
    before = len(shown.read())
    shown.resize(24, 60)
    wait_until(lambda: FRAME in shown.read()[before:], what="a frame")
    shown.type(b"q")
    assert shown.ends() == 0


def test_a_pool_that_ends_meanwhile(pool: Pool, terminal: Callable[..., Terminal]) -> None:
    shown = terminal()
    shown.wait_for(FRAME)
    assert pool.stop() == 0
    assert shown.ends() == 3
    assert b"arq-supervise: no supervisor answers" in shown.seen.split(LEAVE)[1]


def test_the_history_is_that_of_the_last_minute() -> None:
    from supervisor.commands.top import HISTORY, History, sparkline

    history = History()
    start = time.monotonic()
    for second in range(100):
        history.take(PoolStatus("shop", past=JobCounts(complete=second * second)), start + second)
    assert len(history.rates) == HISTORY
    assert round(history.rates[-1]) == 99 * 99 - 98 * 98
    assert sparkline(history.rates)[-1] == "█"
    assert len(sparkline(history.rates, 10)) == 10
