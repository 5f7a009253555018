"""The log configuration of the command line."""

from __future__ import annotations

import logging
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
        self._clock = ""
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
        second = int(created_s)
        if second != self._second:
            self._clock = time.strftime(self.datefmt or "", self.converter(second))
            self._second = second
        if not message.isprintable():
            message = printable_lines(message)
        return f"{self._clock}{self._between}{message}"


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
            message: the text.
        """
        assert isinstance(self.formatter, LineFormatter)
        assert self.lock is not None
        with self.lock:
            self.put(self.formatter.line(created_s, message))

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

    def handle(self, record: logging.LogRecord) -> bool:
        """Filter and write a record."""
        if self.filters or self.lock is None:
            return bool(super().handle(record))
        with self.lock:  # the usual case without the detour of four calls
            self.emit(record)
        return True

    def put(self, line: str) -> None:
        """Write one line; also when a program of a job has made stderr non-blocking."""
        text = line + self.terminator
        try:
            self.stream.write(text)
        except BlockingIOError as full:
            _write_rest(self.stream, text, full.characters_written)


def _write_rest(stream: Any, text: str, written: int) -> None:
    """Wait for room, as a stream that blocks would do.

    Args:
        stream: on a buffer that has kept what it could not write.
        text: what was to be written.
        written: bytes of it that the buffer has taken; 0 = all of it.
    """
    rest = text.encode(stream.encoding, "replace")[written:] if written else b""
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
