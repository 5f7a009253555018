"""The log configuration of the command line."""

from __future__ import annotations

import logging
from typing import Any

_CLOCK, _MESSAGE = "%(asctime)s", "%(message)s"


class LineFormatter(logging.Formatter):
    """For lines of clock, fixed text, and message: the usual line takes a short way, the clock is read once a second.

    With two lines a job the general formatter would take a tenth of a worker's time.
    """

    def __init__(self, fmt: str | None = None, datefmt: str | None = None, *args: Any, **kwargs: Any) -> None:
        super().__init__(fmt, datefmt, *args, **kwargs)
        self._second = -1
        self._text = ""
        fixed = (fmt or "").removeprefix(_CLOCK).removesuffix(_MESSAGE)
        #: what stands between clock and message; None: the format is not of that kind
        self._between = fixed if fmt == f"{_CLOCK}{fixed}{_MESSAGE}" and "%" not in fixed else None

    def format(self, record: logging.LogRecord) -> str:
        """A record as text."""
        if self._between is None or record.exc_info or record.exc_text or record.stack_info:
            return super().format(record)
        return f"{self.formatTime(record, self.datefmt)}{self._between}{record.getMessage()}"

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """The time of a record as text."""
        second = int(record.created)
        if second != self._second:
            self._text = super().formatTime(record, datefmt)
            self._second = second
        return self._text


class LineHandler(logging.StreamHandler[Any]):
    """Writes each record in one `write()` and does not flush: stderr does that by itself."""

    def handle(self, record: logging.LogRecord) -> bool:
        """Filter and write a record."""
        if self.filters or self.lock is None:
            return bool(super().handle(record))
        with self.lock:  # the usual case without the detour of four calls
            self.emit(record)
        return True

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            self.stream.write(self.format(record) + self.terminator)
        except Exception:  # noqa: BLE001  (a full disk must not end a worker)
            self.handleError(record)


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
