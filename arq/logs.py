"""The log configuration of the command line."""

from __future__ import annotations

import logging
from typing import Any


_LINE = "%(asctime)s: %(message)s"


class LineFormatter(logging.Formatter):
    """Formats the time once a second: with two lines a job that is a tenth of a worker's time."""

    _second = -1
    _text = ""

    def format(self, record: logging.LogRecord) -> str:
        """A record as text; for the usual line without the detour of a general formatter, which takes twice as long."""
        if self._fmt != _LINE or record.exc_info or record.exc_text or record.stack_info:
            return super().format(record)
        return f"{self.formatTime(record, self.datefmt)}: {record.getMessage()}"

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        """The time of a record as text."""
        second = int(record.created)
        if second != self._second:
            self._text = super().formatTime(record, datefmt)
            self._second = second
        return self._text


class LineHandler(logging.StreamHandler[Any]):
    """Writes each record in one `write()` and does not flush: stderr does that by itself."""

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
                "format": _LINE,
                "datefmt": "%H:%M:%S",
            }
        },
        "loggers": {"arq": {"handlers": ["arq.standard"], "level": log_level}},
    }
