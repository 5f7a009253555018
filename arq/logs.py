"""The log configuration of the command line."""

from __future__ import annotations

import io
import logging
import os
import select
import time
from typing import Any

from ._printable import printable_lines, redacted

_CLOCK, _MESSAGE = "%(asctime)s", "%(message)s"


class LineFormatter(logging.Formatter):
    """For lines of clock, fixed text, and message: the usual line takes a short way, the clock is read once a second.

    With two lines a job the general formatter would take a tenth of a worker's time.
    """

    def __init__(self, fmt: str | None = None, datefmt: str | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(fmt, datefmt, *args, **kwargs)
        self._second = -1
        #: clock and fixed text
        self._head = ""
        fixed = (fmt or "").removeprefix(_CLOCK).removesuffix(_MESSAGE)
        self._between = fixed
        #: whether a line is no more than clock, fixed text and message
        self.is_plain = bool(datefmt) and fmt == f"{_CLOCK}{fixed}{_MESSAGE}" and "%" not in fixed

    def format(self, record: logging.LogRecord) -> str:
        """A record as text."""
        if not self.is_plain or record.exc_info or record.exc_text or record.stack_info:
            return printable_lines(redacted(super().format(record)))
        return self.line(record.created, record.getMessage())

    def line(self, created_s: float, message: str) -> str:
        """Clock, fixed text and message. Only if `is_plain`.

        Args:
            created_s: unix s.
            message: text of the line.
        """
        return self._head_at(created_s) + (message if message.isprintable() else printable_lines(message))

    def _head_at(self, created_s: float) -> str:
        """Clock and fixed text. Only if `is_plain`."""
        if int(created_s) != self._second:
            self._second = int(created_s)
            self._head = f"{time.strftime(self.datefmt or '', self.converter(self._second))}{self._between}"
        return self._head


class LineWriter(logging.Handler):
    """A handler that can do without records: whoever has nothing but a text may give it that."""

    def takes_lines(self) -> bool:
        """Whether a text at INFO level comes out as its record would."""
        formatter = self.formatter
        return (
            not self.filters
            and self.level <= logging.INFO
            and isinstance(formatter, LineFormatter)
            and formatter.is_plain
        )

    def write_line(self, created_s: float, message: str) -> None:
        """Write a text as if it had come in a record.

        Args:
            created_s: unix s.
            message: the text, printable.
        """
        lock: Any = self.lock
        formatter: Any = self.formatter
        with lock:
            self.put(formatter._head_at(created_s) + message)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            self.put(self.format(record))
        except Exception:  # noqa: BLE001  (a full disk must not end a worker)
            self.handleError(record)

    def put(self, line: str) -> None:
        """Write one line."""
        raise NotImplementedError


class LineHandler(LineWriter, logging.StreamHandler[Any]):
    """Writes each record in one `write()` and does not flush: stderr does that by itself."""

    #: the stream that was looked at last, and where its lines can be written to without the detour through its buffers
    _looked_at: Any = None
    _raw: io.FileIO | None = None
    #: for which formatter and from when until when a plain line begins with `_head`, and how it is encoded
    _head_by: logging.Formatter | None = None
    _from_s = _until_s = 0.0
    _head, _encoding, _errors = "", "utf-8", "strict"

    def handle(self, record: logging.LogRecord) -> bool:
        """Filter and write a record."""
        if self.filters or self.lock is None:
            return bool(super().handle(record))
        with self.lock:  # the usual case without the detour of four calls
            self.emit(record)
        return True

    def write_line(self, created_s: float, message: str) -> None:
        """As `LineWriter` says. What is the same for all lines of a second is looked up once."""
        lock: Any = self.lock
        with lock:
            stream = self.stream
            if (
                not self._from_s <= created_s < self._until_s
                or stream is not self._looked_at
                or self.formatter is not self._head_by
            ):
                self._look_up(stream, created_s)
            line, raw = self._head + message, self._raw
            if raw is None:
                self.put(line)
            else:
                _write_past(stream, raw, (line + self.terminator).encode(self._encoding, self._errors))

    def _look_up(self, stream: Any, created_s: float) -> None:
        formatter: Any = self.formatter
        self._head, self._head_by = formatter._head_at(created_s), formatter
        self._from_s = float(int(created_s))
        self._until_s = self._from_s + 1
        self._looked_at, self._raw = stream, _raw_of(stream)
        if self._raw is not None:
            self._encoding, self._errors = stream.encoding, stream.errors

    def put(self, line: str) -> None:
        """Write one line; also when a program of a job has made stderr non-blocking."""
        stream, text = self.stream, line + self.terminator
        if stream is not self._looked_at:
            self._looked_at, self._raw, self._until_s = stream, _raw_of(stream), 0.0
        if self._raw is not None:
            _write_past(stream, self._raw, text.encode(stream.encoding, stream.errors))
            return
        try:
            stream.write(text)
        except BlockingIOError as full:
            written = full.characters_written  # 0: the buffer has taken it all
            _write_rest(stream, text.encode(stream.encoding, "replace")[written:] if written else b"")


def _raw_of(stream: Any) -> io.FileIO | None:
    """The file behind a stream that writes each line at once, if what it does with it beside that is nothing."""
    if type(stream) is not io.TextIOWrapper or os.linesep != "\n":
        return None
    buffer: Any = stream.buffer
    if stream.write_through and type(buffer) is io.FileIO:  # PYTHONUNBUFFERED
        return buffer
    is_plain = stream.line_buffering and type(buffer) is io.BufferedWriter and type(buffer.raw) is io.FileIO
    return buffer.raw if is_plain else None


def _write_past(stream: Any, raw: io.FileIO, data: bytes) -> None:
    """Write past the buffers of a stream, after what is in them: half the price of a line."""
    try:
        if not stream.write_through:
            stream.flush()
        data = data[raw.write(data) or 0 :]
    except BlockingIOError:  # what was in the buffers is there still
        pass
    if data:
        _write_rest(stream, data)


def _write_rest(stream: Any, rest: bytes) -> None:
    """Wait for room, as a stream that blocks would do.

    Args:
        stream: on a buffer that may have kept what it could not write.
        rest: what is to be written after that.
    """
    poll = select.poll()
    poll.register(stream.fileno(), select.POLLOUT)
    while True:
        poll.poll()
        try:
            stream.flush()
            if not rest:
                return
            rest = rest[stream.buffer.write(rest) :]
        except BlockingIOError as full:
            rest = rest[full.characters_written :]


def default_log_config(verbose: bool) -> dict[str, Any]:
    """A configuration for `logging.config.dictConfig`: the logger `arq` writes to stderr.

    Args:
        verbose: log at DEBUG instead of INFO.
    """
    log_level = "DEBUG" if verbose else "INFO"
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {
            "arq.standard": {
                "level": log_level,
                "class": "arq.logs.LineHandler",
                "formatter": "arq.standard",
            }
        },
        "formatters": {
            "arq.standard": {
                "class": "arq.logs.LineFormatter",
                "format": f"{_CLOCK}: {_MESSAGE}",
                "datefmt": "%H:%M:%S",
            }
        },
        "loggers": {"arq": {"handlers": ["arq.standard"], "level": log_level}},
    }
