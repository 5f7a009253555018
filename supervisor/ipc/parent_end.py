"""The parent's ends of one child's pipes. Reading and writing never wait."""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..host import descriptors
from ..pool.events import (
    Beat,
    Bye,
    Changed,
    Dumped,
    Event,
    Fatal,
    Held,
    MetricsState,
    Outgoing,
    Pick,
    QueueState,
    Ready,
    RedisState,
    Released,
    ReleaseFailed,
    Report,
    Role,
)
from ..pool.job_counts import JobCounts
from ..process.fork import Pipes
from .messages import Decoder, Message, encode

READ_BYTES = 65536
MOST_READS = 16
# what holds for a worker that leaves it out
SILENT = Report()


class Link:
    """One child's pipes, opened before the fork."""

    def __init__(self, key: int, role: Role, life_fd: int) -> None:
        self.key = key
        self.role = role
        self.redis_texts: dict[str, str] = {}
        self.job_rows: list[Any] = []
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
            for message in self._decoder.feed(data):
                event = self._understand(message)
                if event is not None:
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
            self.add(encode("pick", allowed=order.is_allowed))
        else:
            self.add(encode("outgoing", cohort=order.cohort, outgoing=order.outgoing))

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

    def _understand(self, message: Message) -> Event | None:
        """A message as an event; None for what only the link itself needs, and for nonsense."""
        try:
            return _EVENT_OF[message.kind](self, message) if message.kind in _EVENT_OF else None
        except (TypeError, ValueError, KeyError, ArithmeticError):
            return None

    def jobs(self, message: Message) -> None:
        """Counts for the metrics: not the machine's business."""
        self.job_rows.extend(message.body["rows"])

    def lost_lines(self, message: Message) -> None:
        """Lines of its log that the child could not write before its end."""
        self.unlogged += max(0, int(message.number("n")))

    def ready(self, message: Message) -> Event:
        """READY; the Redis settings in it stay here, they are a secret."""
        name = message.text("redis")
        if name:
            self.redis_texts[name] = message.text("redis_text")
        report = Report(
            queue=message.text("queue"),
            health_key=message.text("health_key"),
            completion_wait_s=max(0.0, message.number("completion_wait_s")),
            longest_job_s=max(0.0, message.number("longest_job_s", SILENT.longest_job_s)),
            lock_s=max(0.0, message.number("lock_s", SILENT.lock_s)),
            max_jobs=int(message.number("max_jobs")),
            functions=int(message.number("functions")),
            redis=name,
        )
        return Ready(self.key, report)


def _jobs(message: Message) -> tuple[tuple[str, str], ...]:
    return tuple((str(job_id), str(name)) for job_id, name in message.body.get("jobs", ()))


def _counts(message: Message) -> JobCounts:
    return JobCounts(*(int(message.number(name)) for name in ("c", "f", "r", "o", "q")))


def _beat(link: Link, message: Message) -> Event:
    return Beat(link.key, _counts(message), _jobs(message), message.number("lag_ms"))


def _held(link: Link, message: Message) -> Event:
    return Held(link.key, _counts(message), _jobs(message))


def _released(_: Link, message: Message) -> Event:
    job_ids = tuple(str(job_id) for job_id in message.body["ids"])
    count = int(message.number("n", len(job_ids)))
    is_trial = message.body.get("trial") is True
    return Released(message.text("worker"), job_ids, count, message.text("blamed"), is_trial)


_EVENT_OF: dict[str, Callable[[Link, Message], Event | None]] = {
    "ready": Link.ready,
    "jobs": Link.jobs,
    "unlogged": Link.lost_lines,
    "beat": _beat,
    "held": _held,
    "fatal": lambda link, message: Fatal(
        link.key, message.text("kind"), message.text("exc"), message.text("trace")
    ),
    "bye": lambda link, message: Bye(link.key, message.text("reason")),
    "changed": lambda _, message: Changed(tuple(str(path) for path in message.body["paths"])),
    "dump": lambda link, message: Dumped(link.key, _jobs(message)),
    "released": _released,
    "metrics": lambda _, message: MetricsState(message.text("address"), message.text("error")),
    "queue": lambda _, message: QueueState(int(message.number("depth")), message.number("oldest_due_s")),
    "redis_state": lambda _, message: RedisState(message.text("error")),
    "release_failed": lambda _, message: ReleaseFailed(message.text("worker"), message.text("error")),
}
