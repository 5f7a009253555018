"""Log lines for a busy worker: records that any handler and filter can work with, made the short way.

Two lines a job were a third of a worker's time, and more than half of that went into finding out, for each record anew,
the thread, the process, and the names of files (16 us a line with `logger.info`, 7 us with this; Python 3.11).
"""

from __future__ import annotations

import asyncio
import logging
import os
from time import time
from typing import Any

#: Records have the name of the task since Python 3.12.
_NAMES_TASKS = hasattr(logging, "logAsyncioTasks")


class QuickLog:
    """INFO lines of one logger. What does not change from line to line is found out once a second.

    Args:
        logger: whose lines they are.
        pathname, function: what the records say about their origin.
    """

    def __init__(self, logger: logging.Logger, pathname: str, function: str) -> None:
        self._logger = logger
        self._origin = pathname, function
        self._made_for = (0, 0)
        self._second_s = 0.0
        self._common: dict[str, Any] = {}

    def info(self, text: str, *args: Any) -> None:
        """Log `text % args`. The caller has asked `isEnabledFor`."""
        self._logger.handle(self._record(text, args))

    def _record(self, text: str, args: tuple[Any, ...]) -> logging.LogRecord:
        if logging.getLogRecordFactory() is not logging.LogRecord:
            return self._full_record(text, args)  # somebody adds fields of their own to each record
        now_s = time()
        second = int(now_s)
        if self._made_for != (second, os.getpid()):
            self._common = self._full_record(text, args).__dict__
            self._made_for = (second, os.getpid())
        record = logging.LogRecord.__new__(logging.LogRecord)
        fields = record.__dict__
        fields.update(self._common)
        fields["msg"], fields["args"] = text, args
        fields["relativeCreated"] += (now_s - fields["created"]) * 1000
        fields["created"], fields["msecs"] = now_s, int((now_s - second) * 1000) + 0.0
        if _NAMES_TASKS and logging.logAsyncioTasks:  # type: ignore[attr-defined,unused-ignore]
            fields["taskName"] = _task_name()
        return record

    def _full_record(self, text: str, args: tuple[Any, ...]) -> logging.LogRecord:
        pathname, function = self._origin
        return self._logger.makeRecord(
            self._logger.name, logging.INFO, pathname, 0, text, args, None, function
        )


def _task_name() -> str | None:
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop is running
        return None
    return None if task is None else task.get_name()
