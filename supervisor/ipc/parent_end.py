"""The parent's ends of one child's pipes. Reading and writing never wait."""

import os
import socket
from contextlib import suppress

from ..host import descriptors
from ..pool.events import WITH_CODE, Event, LetIn, Outgoing, Pick, Role
from .codec import read_message
from .frames import Decoder, Frame
from .job_stats import JobRow
from .messages import (
    FROM_CHILD,
    OF_COPIES,
    CopiedMessage,
    CopyMessage,
    FromChild,
    JobsMessage,
    LetInMessage,
    OutgoingMessage,
    PickMessage,
    ReadyMessage,
    UnloggedMessage,
)
from .pipes import Pipes

READ_BYTES = 65536
MOST_READS = 16
# a process that waits has nothing else to do
COPY_S = 2.0


class ParentEnd:
    """One child's pipes, opened before the fork. `listener_fd` is the socket at which the dashboard listens."""

    def __init__(self, key: int, role: Role, life_fd: int, listener_fd: int = -1) -> None:
        self.key = key
        self.role = role
        self.redis_texts: dict[str, str] = {}
        self.servers_text: str | None = None
        self.job_rows: list[JobRow] = []
        self.told_dropped = 0
        self.unlogged = 0
        self._decoder = Decoder()
        self._unsent = b""
        self.read_fd, self._beat_fd = descriptors.pipe()
        self._orders_read_fd = self._write_fd = self._copy_fd = self._asked_fd = -1
        try:
            if role in (Role.STEWARD, Role.WEB, *WITH_CODE):
                self._orders_read_fd, self._write_fd = descriptors.pipe()
                os.set_blocking(self._write_fd, False)
            if role is Role.SPARE:
                self._copy_fd, self._asked_fd = descriptors.pair()
        except OSError:
            self.close()
            raise
        os.set_blocking(self.read_fd, False)
        self._life_fd = life_fd
        self._listener_fd = listener_fd

    @property
    def child_pipes(self) -> Pipes:
        """What the child keeps."""
        socket_fd = self._listener_fd if self.role is Role.WEB else self._asked_fd
        return Pipes(self._beat_fd, self._life_fd, self._orders_read_fd, socket_fd)

    def after_fork(self) -> None:
        """Close the child's ends here."""
        for fd in (self._beat_fd, self._orders_read_fd, self._asked_fd):
            if fd >= 0:
                descriptors.close(fd)
        self._beat_fd = self._orders_read_fd = self._asked_fd = -1

    def close(self) -> None:
        """Close everything."""
        self.after_fork()
        for fd in (self.read_fd, self._write_fd, self._copy_fd):
            if fd >= 0:
                with suppress(OSError):
                    descriptors.close(fd)
        self.read_fd = self._write_fd = self._copy_fd = -1

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

    def tell(self, order: Outgoing | Pick | LetIn) -> None:
        """What a worker is told in words."""
        match order:
            case Pick():
                self.add(PickMessage(order.is_allowed).encode())
            case Outgoing():
                self.add(OutgoingMessage(order.cohort, order.outgoing).encode())
            case LetIn():
                self.role = Role.WORKER
                self._end_copying()
                news = (order.count, order.is_first, order.is_quiet, order.previous_worker_id, order.cohort)
                self.add(LetInMessage(*news).encode())

    def copy(self, brief: bytes, pipes: Pipes) -> int:
        """Have a spare copy itself, with these orders and pipes; returns the pid of the copy.

        Raises:
            OSError: it can not, or does not do so in time.
        """
        with socket.socket(fileno=os.dup(self._copy_fd)) as line:
            line.settimeout(COPY_S)
            socket.send_fds(line, [CopyMessage(brief.decode()).encode()], list(pipes.numbers))
            frame = next(Decoder().feed(line.recv(READ_BYTES)), None)
        match None if frame is None else read_message(frame, OF_COPIES):
            case CopiedMessage(pid=pid, error="") if pid > 0:
                return pid
            case CopiedMessage(error=error):
                raise OSError(error)
        raise OSError("the spare has ended")

    def _end_copying(self) -> None:
        if self._copy_fd >= 0:
            descriptors.close(self._copy_fd)
            self._copy_fd = -1

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
            case ReadyMessage(report=report, redis_text=redis_text, servers_text=servers_text) if (
                report.redis
            ):
                self.redis_texts[report.redis] = redis_text
                self.servers_text = servers_text
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
