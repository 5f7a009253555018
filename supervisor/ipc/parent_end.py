"""The parent's ends of one child's pipes. Reading and writing never wait."""

import os
from contextlib import suppress

from ..host import descriptors
from ..pool.events import Event, Outgoing, Pick, Role
from .codec import read_message
from .frames import Decoder, Frame
from .job_stats import JobRow
from .messages import (
    FROM_CHILD,
    FromChild,
    JobsMessage,
    OutgoingMessage,
    PickMessage,
    ReadyMessage,
    UnloggedMessage,
)
from .pipes import Pipes

READ_BYTES = 65536
MOST_READS = 16
# what holds for a worker that leaves it out


class Link:
    """One child's pipes, opened before the fork."""

    def __init__(self, key: int, role: Role, life_fd: int) -> None:
        self.key = key
        self.role = role
        self.redis_texts: dict[str, str] = {}
        self.job_rows: list[JobRow] = []
        self.told_dropped = 0
        self.unlogged = 0
        self._decoder = Decoder()
        self._unsent = b""
        self.read_fd, self._beat_fd = descriptors.pipe()
        self._orders_read_fd = self._write_fd = -1
        if role in (Role.STEWARD, Role.WORKER):
            try:
                self._orders_read_fd, self._write_fd = descriptors.pipe()
                os.set_blocking(self._write_fd, False)
            except OSError:
                self.close()
                raise
        os.set_blocking(self.read_fd, False)
        self._life_fd = life_fd

    @property
    def child_pipes(self) -> Pipes:
        """What the child keeps."""
        return Pipes(self._beat_fd, self._life_fd, self._orders_read_fd)

    def after_fork(self) -> None:
        """Close the child's ends here."""
        for fd in (self._beat_fd, self._orders_read_fd):
            if fd >= 0:
                descriptors.close(fd)
        self._beat_fd = self._orders_read_fd = -1

    def close(self) -> None:
        """Close everything."""
        for fd in (self.read_fd, self._beat_fd, self._orders_read_fd, self._write_fd):
            if fd >= 0:
                with suppress(OSError):
                    descriptors.close(fd)
        self.read_fd = self._beat_fd = self._orders_read_fd = self._write_fd = -1

    def read(self) -> tuple[list[Event], bool]:
        """What the child has said, and whether its end of the pipe is still open."""
        events: list[Event] = []
        for _ in range(MOST_READS):  # a child that floods its pipe must not keep us here
            try:
                data = os.read(self.read_fd, READ_BYTES)
            except BlockingIOError:
                return events, True
            except OSError:
                return events, False
            if not data:
                return events, False
            for frame in self._decoder.feed(data):
                message = _understand(frame)
                if message is not None and (event := self._take(message)) is not None:
                    events.append(event)
        return events, True

    @property
    def dropped(self) -> int:
        """Lines of the child that could not be read."""
        return self._decoder.dropped

    def send(self, data: bytes) -> bool:
        """Write lines to the child; false when it has not yet taken the last ones (they are not lost)."""
        if self._write_fd < 0 or not self._flush():
            return False
        self._unsent = data
        self._flush()
        return True

    def tell(self, order: Outgoing | Pick) -> None:
        """What a worker is told in words."""
        if isinstance(order, Pick):
            self.add(PickMessage(order.is_allowed).encode())
        else:
            self.add(OutgoingMessage(order.cohort, order.outgoing).encode())

    def add(self, data: bytes) -> None:
        """Write a line to the child behind those that it has not taken yet."""
        if self._write_fd >= 0:
            self._unsent += data
            self._flush()

    def _flush(self) -> bool:
        while self._unsent:
            try:
                self._unsent = self._unsent[os.write(self._write_fd, self._unsent) :]
            except BlockingIOError:
                return False
            except OSError:  # it is gone, and its end is about to be noticed
                self._unsent = b""
        return True

    def _take(self, message: FromChild) -> Event | None:
        """The event that it is, when the link has kept what is not the machine's business: counts, and secrets."""
        match message:
            case ReadyMessage(report=report, redis_text=redis_text) if report.redis:
                self.redis_texts[report.redis] = redis_text
            case JobsMessage(rows=rows):
                self.job_rows += rows
            case UnloggedMessage(lines=lines):
                self.unlogged += lines
        return message.event(self.key)


def _understand(frame: Frame) -> FromChild | None:
    """The message of this frame; None for what nobody knows, and for nonsense."""
    try:
        return read_message(frame, FROM_CHILD)
    except (TypeError, ValueError, KeyError, ArithmeticError):
        return None
