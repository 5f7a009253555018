"""A child's line to its parent. Nothing here ever waits: a parent that is stopped must not stop the jobs."""

import asyncio
import os
import select
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from .messages import BeatMessage, FromChild

WRITE_S = 5.0
MOST_FROM_HANDLERS = 16


class ChildEnd:
    """Writes messages into the pipe. `on_broken` is called once when nobody reads it any more."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._rest = b""
        # threads write in turn; a signal's handler can not wait for the thread that it has interrupted
        self._lock = threading.RLock()
        self._is_writing = False
        self._from_handlers: deque[bytes] = deque(maxlen=MOST_FROM_HANDLERS)
        self.on_broken: Callable[[], None] = lambda: None
        os.set_blocking(fd, False)

    def silence(self) -> None:
        """Say nothing any more; the descriptor is somebody else's."""
        self._fd = -1
        self.on_broken = lambda: None

    def send(self, message: FromChild) -> bool:
        """A message that is dropped when the pipe is full; it is never cut. From any thread.

        Returns false when there was no room, and nothing of it was written.
        """
        return self._in_turn(message.encode(), self._offer)

    def send_surely(self, message: FromChild) -> None:
        """A message that matters: waits a little for room. Not for the running loop."""
        self._in_turn(message.encode(), self._insist)

    def _in_turn(self, data: bytes, put: Callable[[bytes], bool]) -> bool:
        """Write now, or behind what a handler has interrupted, for it may be half written."""
        with self._lock:
            if self._is_writing:
                self._from_handlers.append(data)
                return True
            self._is_writing = True
            try:
                is_written = put(data)
                while self._from_handlers:  # few, so that they may wait for room
                    self._rest += self._from_handlers.popleft()
                    self._write_rest()
            finally:
                self._is_writing = False
            return is_written

    def _write_rest(self) -> None:
        if self._rest:
            self._rest = self._rest[max(0, self._write(self._rest)) :]

    def _offer(self, data: bytes) -> bool:
        self._write_rest()
        if self._rest:
            return False
        written = self._write(data)
        if written <= 0:
            return False
        self._rest = data[written:]
        return True

    def _insist(self, data: bytes) -> bool:
        data, self._rest = self._rest + data, b""
        while data and self._fd >= 0:
            if not _has_room(self._fd):
                return False
            written = self._write(data)
            if written < 0:
                return False
            data = data[written:]
        return True

    def _write(self, data: bytes) -> int:
        """Bytes written; 0 when the pipe is full, -1 when it is broken."""
        try:
            return os.write(self._fd, data)
        except BlockingIOError:
            return 0
        except OSError:
            self.on_broken()
            return -1


def _has_room(fd: int) -> bool:
    """Wait for it, a little. Not with select(): in a large pool there are descriptors that it can't take."""
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    return bool(poll.poll(WRITE_S * 1000))


async def beat(line: ChildEnd, period_s: float, content: Callable[[float], BeatMessage]) -> None:
    """Every `period_s`, from the loop that must be alive. `content` is told how many ms the loop was late."""
    loop = asyncio.get_running_loop()
    while True:
        due_s = loop.time() + period_s
        await asyncio.sleep(period_s)
        lag_ms = max(0.0, (loop.time() - due_s) * 1000)
        with suppress(RuntimeError):  # a collection of the worker changed while it was read
            line.send(content(lag_ms))


def new_loop(wants_uvloop: bool) -> asyncio.AbstractEventLoop:
    """The child's own event loop, made current."""
    loop: asyncio.AbstractEventLoop
    try:
        if not wants_uvloop:
            raise ImportError
        import uvloop

        loop = uvloop.new_event_loop()
    except ImportError:
        loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop
