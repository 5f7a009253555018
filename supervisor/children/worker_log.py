"""The log of a child: arq's loggers on the inherited stderr, one write for each record."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import traceback

from arq.logs import LineFormatter, LineWriter

from ..host.nonblocking_writer import NonblockingWriter
from ..ipc.child_end import ChildEnd
from ..ipc.messages import UnloggedMessage
from ..log_records import json_record, lost_lines
from ..printable_text import redacted

FIRST_PAUSE_S = 0.01
LONGEST_PAUSE_S = 0.5
UNLOGGED_S = 0.1


class OneWriteHandler(LineWriter):
    """Writes each record to stderr at once and whole, and never waits for whoever reads it.

    Args:
        level: as for any handler.
        outlet: where to.
        loop: what there is no room for is written from it, later.
    """

    def __init__(self, level: str, outlet: NonblockingWriter, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(level)
        self._outlet = outlet
        self.loop = loop
        self._pause_s = FIRST_PAUSE_S
        outlet.on_wait = self._write_soon
        os.register_at_fork(after_in_child=outlet.wait_for_room)

    def put(self, line: str) -> None:
        """Write one line, or keep it for a while."""
        self._outlet.write(f"{line}\n".encode(errors="replace"))

    def _write_soon(self) -> None:
        """From any thread, also before the loop runs."""
        with contextlib.suppress(RuntimeError):  # it is closed: the rest is written at the end
            self.loop.call_soon_threadsafe(self._write_rest)

    def _write_rest(self) -> None:
        assert self.lock is not None
        with self.lock:
            before = self._outlet.waiting_bytes
            is_done = self._outlet.flush()
            is_moving = self._outlet.waiting_bytes < before
        self._pause_s = FIRST_PAUSE_S if is_done or is_moving else min(2 * self._pause_s, LONGEST_PAUSE_S)
        if not is_done:
            self.loop.call_later(self._pause_s, self._write_rest)

    def write_whole(self, text: str) -> None:
        """Write a text of several lines."""
        assert self.lock is not None
        with self.lock:
            self._outlet.write(text.encode(errors="replace"))

    def finish(self, limit_s: float) -> int:
        """Write the rest, for up to `limit_s` seconds; returns how many lines are lost."""
        assert self.lock is not None
        with self.lock:
            return self._outlet.finish(limit_s)


class JsonFormatter(logging.Formatter):
    """Records of a child, with the same head as the parent's."""

    def __init__(self, pool: str, slot: str) -> None:
        super().__init__()
        self._pool = pool
        self.slot: int | str = int(slot) if slot.isdigit() else slot

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object on one line."""
        fields: dict[str, object] = {"slot": self.slot, "logger": record.name, "message": record.getMessage()}
        if isinstance(job := getattr(record, "job", None), dict):
            fields |= job
        if record.exc_info:
            fields["exc"] = redacted("".join(traceback.format_exception(*record.exc_info)))
        return json_record(record.levelname.lower(), self._pool, "log", fields).rstrip("\n")


def configure_child_log(
    pool: str, slot: str, log_format: str, level: str, loop: asyncio.AbstractEventLoop
) -> None:
    """Let arq's loggers write to stderr, each line with its slot.

    By hand: `logging.config.dictConfig` takes 1.5 MB of pages that children would share.
    """
    if log_format == "json":
        formatter: logging.Formatter = (json_formatter := JsonFormatter(pool, slot))
        lost = lost_lines(pool, log_format, slot=json_formatter.slot)
    else:
        prefix = f"{pool}/{slot}".replace("%", "%%")
        formatter = LineFormatter(f"%(asctime)s: [{prefix}] %(message)s", "%H:%M:%S")
        lost = lost_lines(f"{pool}/{slot}", log_format)
    handler = OneWriteHandler(level.upper(), NonblockingWriter(lost), loop)
    handler.setFormatter(formatter)
    logger = logging.getLogger("arq")
    logger.handlers = [handler]
    logger.setLevel(level.upper())


def _own_handlers() -> list[OneWriteHandler]:
    return [one for one in logging.getLogger("arq").handlers if isinstance(one, OneWriteHandler)]


def use_loop(loop: asyncio.AbstractEventLoop) -> None:
    """In a copy of a process: the loop of its origin is not its own."""
    for handler in _own_handlers():
        handler.loop = loop


def write_whole(text: str) -> None:
    """Write a text of several lines to stderr, in its turn."""
    if handlers := _own_handlers():
        handlers[0].write_whole(text)
        return
    outlet = NonblockingWriter(lambda _: "")  # the user's own logging
    outlet.write(text.encode(errors="replace"))
    outlet.finish(UNLOGGED_S)
    outlet.close()


def last_lines(limit_s: float, beat_fd: int) -> None:
    """At the end of a worker: write the rest, and have the parent count what is lost."""
    lost = sum(one.finish(limit_s) for one in _own_handlers())
    if lost:
        ChildEnd(beat_fd).send_surely(UnloggedMessage(lost))
