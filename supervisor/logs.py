"""The supervisor's own records. One `write()` for each."""

import datetime
import json
import os
import select
import socket
import stat
import sys
from collections.abc import Callable
from typing import Any

from . import descriptors
from .shown import printable, printable_lines

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
STDERR_FD = 2


class Outlet:
    """Writes to a descriptor and never waits: what a reader that has stopped can not take is dropped and counted."""

    def __init__(self, fd: int = STDERR_FD) -> None:
        self.dropped = 0
        self._own_fd = -1
        self._socket: socket.socket | None = None
        self._fd = fd
        self._open_own(fd)

    def _open_own(self, fd: int) -> None:
        """A description of our own: O_NONBLOCK on the shared one would reach the children."""
        try:
            mode = os.fstat(fd).st_mode
            if stat.S_ISSOCK(mode):
                self._socket = descriptors.own_object(socket.socket(fileno=os.dup(fd)))
            elif stat.S_ISFIFO(mode):
                flags = os.O_WRONLY | os.O_NONBLOCK
                self._own_fd = self._fd = descriptors.own(os.open(f"/proc/self/fd/{fd}", flags))
        except OSError:
            return

    def write(self, data: bytes) -> None:
        """One record."""
        if self.dropped and self._send(f"log.dropped n={self.dropped}\n".encode()):
            self.dropped = 0
        if not self._send(data):
            self.dropped += 1

    def _send(self, data: bytes) -> bool:
        try:
            if self._socket is not None:
                self._socket.send(data, socket.MSG_DONTWAIT)
            elif self._own_fd >= 0 or select.select([], [self._fd], [], 0)[1]:
                os.write(self._fd, data)
            else:
                return False
        except (OSError, ValueError):
            return False
        return True

    def close(self) -> None:
        """Give the descriptor of our own back."""
        if self._socket is not None:
            self._socket.close()
        if self._own_fd >= 0:
            descriptors.close(self._own_fd)
            self._own_fd = -1


class Journal:
    """The parent's log."""

    def __init__(self, outlet: Outlet, pool: str, log_format: str, level: str) -> None:
        self._outlet = outlet
        self._pool = pool
        self._format = json_record if log_format == "json" else text_record
        self._least = LEVELS[level]

    def say(self, level: str, event: str, fields: dict[str, Any]) -> None:
        """One record of a stable event."""
        if LEVELS[level] >= self._least:
            self._outlet.write(self._format(level, self._pool, event, fields).encode(errors="replace"))

    def raw(self, text: str) -> None:
        """A text for the reader, as it is but for what is no text."""
        self._outlet.write((printable_lines(text).rstrip("\n") + "\n").encode(errors="replace"))


def now_iso() -> str:
    """The time of day for a record."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def json_record(level: str, pool: str, event: str, fields: dict[str, Any]) -> str:
    """One JSON object; `pid` is the supervisor's unless the event is about another process."""
    head = {"ts": now_iso(), "level": level, "event": event, "pool": pool, "pid": os.getpid()}
    return json.dumps({**head, **fields}, default=str) + "\n"


def text_record(level: str, pool: str, event: str, fields: dict[str, Any]) -> str:
    """`12:03:04: [pool] event key=value ...`; fields that say nothing are left out."""
    clock = datetime.datetime.now().astimezone().strftime("%H:%M:%S")
    shown = [f"{name}={_shown(value)}" for name, value in fields.items() if value not in (None, "", [], ())]
    mark = "" if LEVELS[level] < LEVELS["warning"] else f"{level.upper()} "
    return " ".join([f"{clock}: [{pool}] {mark}{event}", *shown]) + "\n"


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return "[" + ",".join(_quoted(str(item), ' ",]') for item in value) + "]"
    return _quoted(str(value), ' "')


def _quoted(text: str, marks: str) -> str:
    """A text that can't be taken for more than one value of the line."""
    if text.isprintable() and not any(mark in text for mark in marks):
        return text
    return printable(json.dumps(text, ensure_ascii=False))


def plain_line(text: str, write: Callable[[str], object] | None = None) -> None:
    """One line for a person, on stderr."""
    (write or sys.stderr.write)(text.rstrip("\n") + "\n")
