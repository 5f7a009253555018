"""Output that never waits for its reader: what there is no room for is kept, then counted, and the count is told."""

import array
import errno
import fcntl
import os
import select
import socket
import stat
import termios
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from . import descriptors

STDERR_FD = 2
MOST_BYTES = 1024 * 1024
PAUSE_S = 0.005
#: how long a long line waits for a pipe with so much room that nobody else's line can get into it
HOLD_S = 1.0
PIPE_BUF = select.PIPE_BUF
NOBODY_READS = (errno.EPIPE, errno.EIO, errno.EBADF)
NOT_SUPPORTED = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


class NonblockingWriter:
    """Writes lines to a descriptor, each whole, and in their order. For one thread at a time.

    Args:
        tell_lost: the line that says how many lines were lost.
        fd: where to; what others make of it (O_NONBLOCK) does not matter.
        most_bytes: what is kept at most.
        on_wait: called when a line has to wait; `flush` is to be called from time to time, then.
    """

    def __init__(
        self,
        tell_lost: Callable[[int], str],
        fd: int = STDERR_FD,
        most_bytes: int = MOST_BYTES,
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        self.dropped = 0
        self.on_wait = on_wait
        self._tell_lost = tell_lost
        self._most_bytes = most_bytes
        self._waiting: deque[bytes] = deque()
        #: what is kept now
        self.waiting_bytes = 0
        self._is_full = False
        self._is_cut = False  # the first that waits is the rest of a line
        self._is_busy = False
        self._held_s = 0.0
        self._is_unread = False
        self._own_fd = -1
        self._socket: socket.socket | None = None
        self._fd = fd
        self._is_pipe = False
        self._put: Callable[[bytes], int] = self._open(fd)

    def _open(self, fd: int) -> Callable[[bytes], int]:
        """A description of our own for what can be full: O_NONBLOCK on the shared one would reach everybody."""
        try:
            mode = os.fstat(fd).st_mode
            if stat.S_ISSOCK(mode):
                self._socket = descriptors.own_object(socket.socket(fileno=os.dup(fd)))
                return self._send_now
            self._is_pipe = stat.S_ISFIFO(mode)
            if self._is_pipe or os.isatty(fd):
                flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY
                self._own_fd = self._fd = descriptors.own(os.open(f"/proc/self/fd/{fd}", flags))
        except OSError:  # closed, or another user's: it was opened before `su`
            return partial(write_now, fd)
        return partial(os.write, self._fd)

    def _send_now(self, data: bytes) -> int:
        assert self._socket is not None
        return self._socket.send(data, socket.MSG_DONTWAIT)

    @property
    def is_behind(self) -> bool:
        """Whether something waits, or is still to be told."""
        return bool(self._waiting or self.dropped)

    def write(self, data: bytes) -> None:
        """Write one line (with its end), or keep it, or count it."""
        if not self._waiting and not self.dropped:
            sent = self._try(data)
            if sent == len(data):
                return
            self._is_cut = sent > 0
            self._keep(data[sent:])
            self.on_wait()
            return
        self._add(data)
        self.flush()

    def _add(self, data: bytes) -> None:
        """Behind what waits. When that is too much, there is room again when half of it has gone."""
        if self._is_full:
            self._is_full = self.waiting_bytes > self._most_bytes // 2
        if self._is_full or self.waiting_bytes + len(data) > self._most_bytes:
            self._is_full = True
            self.dropped += 1
            return
        if self.dropped:
            self._keep_count()
        self._keep(data)

    def _keep(self, data: bytes) -> None:
        self._waiting.append(data)
        self.waiting_bytes += len(data)

    def _keep_count(self) -> None:
        count, self.dropped = self.dropped, 0
        self._keep(self._tell_lost(count).encode(errors="replace"))

    def flush(self) -> bool:
        """Write what waits, as far as there is room; returns whether nothing waits any more."""
        if self._is_busy:  # a handler of a signal that has come meanwhile writes, too
            return False
        self._is_busy = True
        try:
            while self._waiting or self.dropped:
                if not self._waiting:
                    self._keep_count()
                if not self._write_first():
                    return False
        finally:
            self._is_busy = False
        return True

    def _write_first(self) -> bool:
        line = self._waiting[0]
        sent = self._try(line)
        self.waiting_bytes -= sent
        self._is_cut = sent < len(line) and (self._is_cut or sent > 0)
        if sent < len(line):
            self._waiting[0] = line[sent:]
            return False
        self._waiting.popleft()
        return True

    def _try(self, data: bytes) -> int:
        """How much was written."""
        if len(data) > PIPE_BUF and self._is_pipe and not self._is_cut and self._is_held_back(len(data)):
            return 0
        try:
            sent = self._put(data)
        except OSError as error:  # nobody reads, or the disk is full: that may change
            self._is_unread = error.errno in NOBODY_READS
            return 0
        self._held_s = 0.0
        return sent

    def _is_held_back(self, size: int) -> bool:
        """In a pipe that is nearly full, a line longer than PIPE_BUF is written in pieces: better a little later."""
        if has_room(self._fd, size):
            return False
        now_s = time.monotonic()
        self._held_s = self._held_s or now_s
        return now_s - self._held_s < HOLD_S

    def finish(self, limit_s: float) -> int:
        """Write the rest, for up to `limit_s` seconds; returns how many lines are lost nevertheless."""
        deadline_s = time.monotonic() + limit_s
        while not self.flush() and not self._is_unread and time.monotonic() < deadline_s:
            time.sleep(PAUSE_S)
        lost = len(self._waiting) + self.dropped
        self._forget()
        return lost

    def wait_for_room(self) -> None:
        """In a copy of this process: what waits is the original's to write, and from now on a write waits for room."""
        self._forget()
        self.on_wait = self._wait

    def _forget(self) -> None:
        self._waiting.clear()
        self.waiting_bytes = self.dropped = 0
        self._is_cut = self._is_busy = self._is_full = False

    def _wait(self) -> None:
        while not self.flush() and not self._is_unread:
            time.sleep(PAUSE_S)

    def close(self) -> None:
        """Give the descriptor of our own back."""
        if self._socket is not None:
            self._socket.close()
        if self._own_fd >= 0:
            descriptors.close(self._own_fd)
            self._own_fd = -1


def write_now(fd: int, data: bytes) -> int:
    """Write to a description that is shared, if there is room; returns how much.

    Raises:
        OSError: there is none (BlockingIOError), or it can not be written to.
    """
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return os.write(fd, data)
    with suppress(AttributeError):  # Linux's alone
        try:
            return os.pwritev(fd, [data], -1, os.RWF_NOWAIT)
        except OSError as error:
            if error.errno not in NOT_SUPPORTED:
                raise
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    if not poll.poll(0):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return os.write(fd, data[:PIPE_BUF])  # that much room there is


def has_room(fd: int, size: int) -> bool:
    """Whether a pipe takes `size` bytes in one piece for sure; true for what it could never take.

    A pipe has room for a number of pages, and two neighbours among them hold more than one page together.
    """
    try:
        capacity = fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)  # type: ignore[attr-defined,unused-ignore]
        used = array.array("i", [0])
        fcntl.ioctl(fd, termios.FIONREAD, used)
    except (OSError, AttributeError):
        return True
    page = PIPE_BUF
    free = capacity // page - (2 * used[0] // page + 2 if used[0] else 0)
    needed = -(-size // page)
    return needed <= free or needed > capacity // page
