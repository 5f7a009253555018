"""Output that never waits: pipes that are full, sockets, terminals, files; whole lines, their order, and the count."""

import array
import fcntl
import os
import pty
import re
import socket
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from supervisor.host import nonblocking_writer as module
from supervisor.host.nonblocking_writer import NonblockingWriter, has_room, write_now
from tests.support.eventually import wait_until

LINES = [b"%05d %s\n" % (n, b"y" * (n % 300)) for n in range(3000)]
TOLD = re.compile(rb"lost (\d+)\n")


def tell(count: int) -> str:
    return f"lost {count}\n"


class Reader:
    """The other end: it is read when the test says so."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        os.set_blocking(fd, False)
        self.data = b""

    def read(self, most: int = 1 << 20) -> bytes:
        """What is there now."""
        try:
            data = os.read(self._fd, most)
        except BlockingIOError:
            return b""
        self.data += data
        return data

    def read_all(self, outlet: NonblockingWriter) -> bytes:
        while not outlet.flush() or self.read():
            self.read()
        return self.data


@contextmanager
def ends(kind: str) -> Iterator[tuple[int, int]]:
    """The end to read from and the end to write to."""
    if kind == "pipe":
        read_fd, write_fd = os.pipe()
    elif kind == "socket":
        one, other = socket.socketpair()
        read_fd, write_fd = one.detach(), other.detach()
    else:
        read_fd, write_fd = pty.openpty()
        tty.setraw(write_fd)
    try:
        yield read_fd, write_fd
    finally:
        os.close(read_fd)
        os.close(write_fd)


@contextmanager
def outlet_to(kind: str, most_bytes: int = 1 << 20) -> Iterator[tuple[NonblockingWriter, Reader, int]]:
    with ends(kind) as (read_fd, write_fd):
        outlet = NonblockingWriter(tell, write_fd, most_bytes)
        yield outlet, Reader(read_fd), write_fd
        outlet.close()


KINDS = ("pipe", "socket", "terminal")


@pytest.mark.parametrize("kind", KINDS)
def test_what_there_is_no_room_for_is_written_later(kind: str) -> None:
    with outlet_to(kind) as (outlet, reader, _):
        for line in LINES:
            outlet.write(line)
        assert outlet.is_behind
        assert reader.read_all(outlet) == b"".join(LINES)
        assert outlet.finish(0.0) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_too_much_is_counted_and_told_where_it_is_missing(kind: str) -> None:
    with outlet_to(kind, most_bytes=50_000) as (outlet, reader, _):
        for line in LINES:
            outlet.write(line)
        outlet.write(b"last\n")
        data = reader.read_all(outlet)
        arrived = [line for line in data.splitlines(keepends=True) if not line.startswith(b"lost")]
        assert set(arrived) < {*LINES, b"last\n"}, "no line is cut"
        assert arrived == LINES[: len(arrived)]
        assert len(arrived) + sum(map(int, TOLD.findall(data))) == len(LINES) + 1


def test_others_may_make_the_pipe_non_blocking() -> None:
    with outlet_to("pipe") as (outlet, reader, write_fd):
        assert os.get_blocking(write_fd), "and it did not do so itself"
        os.set_blocking(write_fd, False)
        for line in LINES:
            outlet.write(line)
        assert reader.read_all(outlet) == b"".join(LINES)


def test_a_shared_description_is_written_to_when_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where none of one's own can be had: after `su`, the pipe is another user's."""
    real = os.open

    def refused(path: str, *args: int) -> int:
        if path.startswith("/proc/self/fd"):
            raise PermissionError(path)
        return real(path, *args)

    for has_nowait in (True, False):
        with monkeypatch.context() as patch:
            patch.setattr(os, "open", refused)
            if not has_nowait:
                patch.delattr(os, "RWF_NOWAIT", raising=False)
            with outlet_to("pipe") as (outlet, reader, write_fd):
                assert os.get_blocking(write_fd)
                for line in LINES:
                    outlet.write(line)
                assert reader.read_all(outlet) == b"".join(LINES)


def test_a_file_is_written_to_as_it_is(tmp_path: Path) -> None:
    """With its place in the file, which is everybody's."""
    with open(tmp_path / "log", "wb", buffering=0) as file:
        outlet = NonblockingWriter(tell, file.fileno())
        outlet.write(b"one\n")
        file.write(b"two\n")
        outlet.write(b"three\n")
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\nthree\n"


def test_a_full_disk_is_no_end() -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        outlet = NonblockingWriter(tell, full.fileno(), most_bytes=10)
        for _ in range(3):
            outlet.write(b"12345678\n")
        assert outlet.finish(0.0) == 3


def test_a_reader_that_has_gone_holds_nobody_up() -> None:
    read_fd, write_fd = os.pipe()
    outlet = NonblockingWriter(tell, write_fd)
    os.close(read_fd)
    outlet.write(b"one\n")
    assert outlet.finish(3600.0) == 1
    os.close(write_fd)
    outlet.close()


def test_a_closed_descriptor_is_no_error() -> None:
    read_fd, write_fd = os.pipe()
    os.close(read_fd)
    os.close(write_fd)
    NonblockingWriter(tell, write_fd).write(b"one\n")


def test_the_end_waits_for_a_slow_reader() -> None:
    with outlet_to("pipe") as (outlet, reader, _):
        for line in LINES:
            outlet.write(line)
        pid = os.fork()
        if pid == 0:  # the reader
            while reader.data.count(b"\n") < len(LINES):
                reader.read(4096)
            os._exit(0)
        assert outlet.finish(30.0) == 0
        assert os.waitpid(pid, 0)[1] == 0


def test_who_waits_is_called() -> None:
    calls = []
    with outlet_to("pipe") as (outlet, reader, _):
        outlet.on_wait = lambda: calls.append(1)
        outlet.write(b"x\n")
        assert not calls
        for line in LINES:
            outlet.write(line)
        assert calls == [1]
        reader.read_all(outlet)


# --- long lines ------------------------------------------------------------------------------------------------------


def test_a_long_line_stays_whole_among_those_of_others() -> None:
    """It waits for so much room that it is written in one piece; a neighbour's lines come before or behind it."""
    long = b"z" * 20_000 + b"\n"
    with outlet_to("pipe") as (outlet, reader, write_fd):
        os.set_blocking(write_fd, False)
        filler = b"f" * 99 + b"\n"
        while fills(write_fd, filler):
            pass
        outlet.write(long)
        while outlet.is_behind:
            reader.read(3000)
            outlet.flush()
            fills(write_fd, filler)
        reader.read_all(outlet)
        assert long in reader.data
        assert set(reader.data.split(b"\n")) <= {filler[:-1], long[:-1], b""}


def fills(fd: int, data: bytes) -> bool:
    try:
        return os.write(fd, data) == len(data)
    except BlockingIOError:
        return False


def test_a_long_line_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a pipe that is kept nearly full by others."""
    monkeypatch.setattr(module, "HOLD_S", 0.0)
    with outlet_to("pipe") as (outlet, reader, write_fd):
        os.write(write_fd, b"x" * 60_000)
        outlet.write(b"y" * 20_000 + b"\n")
        assert outlet.waiting_bytes < 20_000, "it has begun"
        assert b"y" * 20_000 in reader.read_all(outlet)


def test_a_line_that_no_pipe_can_hold_is_written_in_pieces() -> None:
    with outlet_to("pipe") as (outlet, reader, _):
        line = b"y" * 300_000 + b"\n"
        outlet.write(line)
        assert reader.read_all(outlet) == line


@pytest.mark.parametrize("size", [1, 100, 2049, 3000, 4096])
@pytest.mark.parametrize("wanted", [5000, 20_000, 50_000])
def test_where_there_is_room_it_is_written_in_one_piece(size: int, wanted: int) -> None:
    """However the pages of the pipe were filled."""
    with ends("pipe") as (_, write_fd):
        os.set_blocking(write_fd, False)
        while has_room(write_fd, wanted):
            assert fills(write_fd, b"x" * size)
        with ends("pipe") as (_, other_fd):  # the same pipe, one step before
            os.set_blocking(other_fd, False)
            count = used(write_fd) // size - 1
            assert all(fills(other_fd, b"x" * size) for _ in range(count))
            assert fills(other_fd, b"y" * wanted)


def used(fd: int) -> int:
    found = array.array("i", [0])
    fcntl.ioctl(fd, termios.FIONREAD, found)
    return found[0]


# --- copies ----------------------------------------------------------------------------------------------------------


def test_a_copy_writes_nothing_twice_and_waits_for_room() -> None:
    with outlet_to("pipe") as (outlet, reader, _):
        for line in LINES:
            outlet.write(line)
        pid = os.fork()
        if pid == 0:
            outlet.wait_for_room()
            for n in range(2000):
                outlet.write(b"copy %d %s\n" % (n, b"z" * 100))
            os._exit(0)
        wait_until(
            lambda: reader.read() == b"" and os.waitpid(pid, os.WNOHANG)[0] == pid, what="the copy ends"
        )
        data = reader.read_all(outlet)
        assert [line for line in data.splitlines(keepends=True) if not line.startswith(b"copy")] == LINES
        assert data.count(b"copy") == 2000


def test_write_now_says_when_there_is_no_room() -> None:
    with ends("pipe") as (_, write_fd):
        assert write_now(write_fd, b"x" * 4096) == 4096
        os.set_blocking(write_fd, False)
        while fills(write_fd, b"x" * 4096):
            pass
        os.set_blocking(write_fd, True)
        with pytest.raises(BlockingIOError):
            write_now(write_fd, b"x" * 4096)
