"""The log of a child: arq's loggers on the inherited stderr, one write for each record."""

from __future__ import annotations

import contextlib
import logging
import os
import traceback
from typing import Any

from arq.logs import LineFormatter, LineWriter

from .logs import STDERR_FD, json_record
from .shown import redacted


class OneWriteHandler(LineWriter):
    """Writes each record to stderr at once and whole."""

    def put(self, line: str) -> None:
        """Write one line; a full device is no reason to fail a job."""
        with contextlib.suppress(OSError):
            os.write(STDERR_FD, f"{line}\n".encode(errors="replace"))


class JsonFormatter(logging.Formatter):
    """Records of a child, with the same head as the parent's."""

    def __init__(self, pool: str, slot: str) -> None:
        super().__init__()
        self._pool = pool
        self._slot: int | str = int(slot) if slot.isdigit() else slot

    def format(self, record: logging.LogRecord) -> str:
        """One JSON object on one line."""
        fields: dict[str, Any] = {"slot": self._slot, "logger": record.name, "message": record.getMessage()}
        if isinstance(job := getattr(record, "job", None), dict):
            fields |= job
        if record.exc_info:
            fields["exc"] = redacted("".join(traceback.format_exception(*record.exc_info)))
        return json_record(record.levelname.lower(), self._pool, "log", fields).rstrip("\n")


def configure_child_log(pool: str, slot: str, log_format: str, level: str) -> None:
    """Let arq's loggers write to stderr, each line with its slot.

    By hand: `logging.config.dictConfig` takes 1.5 MB of pages that children would share.
    """
    handler = OneWriteHandler(level.upper())
    if log_format == "json":
        handler.setFormatter(JsonFormatter(pool, slot))
    else:
        prefix = f"{pool}/{slot}".replace("%", "%%")
        handler.setFormatter(LineFormatter(f"%(asctime)s: [{prefix}] %(message)s", "%H:%M:%S"))
    logger = logging.getLogger("arq")
    logger.handlers = [handler]
    logger.setLevel(level.upper())
