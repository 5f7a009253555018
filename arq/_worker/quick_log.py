"""Log lines for a busy worker, the short way: as plain lines where nobody would see more, else as quick records.

Two lines a job were a third of a worker's time. With `logger.info` a line takes 16 us, as a quick record 7 us, as a
plain line 4 us (Python 3.11): most of it goes into finding out, for each record anew, the thread, the process and the
names of files, and into handing the record from function to function.
"""

from __future__ import annotations

import asyncio
import logging
import os
from time import time
from typing import Any, Protocol

from .._memo import Memo
from ..logs import LineWriter

#: Records have the name of the task since Python 3.12.
_NAMES_TASKS = hasattr(logging, "logAsyncioTasks")
#: What functions of `logging` itself have as their globals, and those that others put in their place have not.
_LOGGING = vars(logging)
#: How lines begin.
_SECONDS = "%6.2f"
#: Many jobs take, or have waited, the same number of ms.
_seconds_texts: Memo[float, str] = Memo(_SECONDS.__mod__, 2000)


class LogSubject(Protocol):
    """What a line is about."""

    def log_fields(self) -> dict[str, Any]:
        """What is known about it, by name, for logs that are read by programs."""


#: Stands for loggers that there are not.
_NOBODY = logging.Logger("nobody")  # noqa: LOG001  (nobody else may find it)


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
        #: from when until when in the same second nothing has to be found out, in unix s
        self._from_s = self._until_s = 0.0
        #: the loggers that hand records on, and whom each of them had to serve when it was looked at. Three is usual:
        #: these are looked at for each line without a call; where there are more all is looked up each time
        self._three = (logger, _NOBODY, _NOBODY)
        self._served: tuple[list[Any], list[Any], list[Any], list[Any]] = ([], [], [], [])
        #: the only handler that would get a record, if it wants no more of it than the text
        self._only_reader: LineWriter | None = None

    def info(self, about: LogSubject, seconds: float, text: str, *args: Any) -> None:
        """Log seconds and `text % args`; a record has what is known `about` it as `job`.

        The caller has asked `isEnabledFor`, and seen to it that nothing unprintable is in it.
        """
        now_s = time()
        # the lists themselves: from Python 3.14 on, one that changes is replaced by another
        one, two, three = self._three
        filters, first, second, third = self._served
        if (
            not self._from_s <= now_s < self._until_s
            or first != one.handlers
            or second != two.handlers
            or third != three.handlers
            or filters != one.filters
        ):
            self._look(now_s)
        writer = self._only_reader
        if writer is None:
            self._logger.handle(self._record(about, _SECONDS + text, (seconds, *args)))
            return
        try:
            took = _seconds_texts.known.get(seconds) or _seconds_texts.make(seconds)
            writer.write_line(now_s, took + text % args)
        except Exception:  # noqa: BLE001  (a full disk; the handler of the record knows what to do)
            self._logger.handle(self._record(about, _SECONDS + text, (seconds, *args)))

    def _look(self, now_s: float) -> None:
        """Find out who would get a record. Once a second, and when a handler or filter has come or gone."""
        self._from_s = float(int(now_s))
        self._until_s = self._from_s + 1
        loggers: list[logging.Logger] = []
        logger: logging.Logger | None = self._logger
        while logger is not None:
            loggers.append(logger)
            logger = logger.parent if logger.propagate else None
        one, two, three, *_ = (*loggers, _NOBODY, _NOBODY)
        self._three = (one, two, three)
        self._served = (one.filters[:], one.handlers[:], two.handlers[:], three.handlers[:])
        if len(loggers) > len(self._three):
            self._until_s = 0.0
        handlers = [handler for logger in loggers for handler in logger.handlers]
        self._only_reader = None
        if len(handlers) == 1 and not self._logger.filters and not is_logging_changed():
            only = handlers[0]
            if isinstance(only, LineWriter) and only.takes_lines():
                self._only_reader = only

    def _record(self, about: LogSubject, text: str, args: tuple[Any, ...]) -> logging.LogRecord:
        if logging.getLogRecordFactory() is not logging.LogRecord:
            return self._full_record(about, text, args)  # somebody adds fields of their own to each record
        now_s = time()
        second = int(now_s)
        if self._made_for != (second, os.getpid()):
            self._common = self._full_record(about, text, args).__dict__
            self._made_for = (second, os.getpid())
        record = logging.LogRecord.__new__(logging.LogRecord)
        fields = record.__dict__
        fields.update(self._common)
        fields["msg"], fields["args"], fields["job"] = text, args, about.log_fields()
        fields["relativeCreated"] += (now_s - fields["created"]) * 1000
        fields["created"], fields["msecs"] = now_s, int((now_s - second) * 1000) + 0.0
        if _NAMES_TASKS and logging.logAsyncioTasks:  # type: ignore[attr-defined,unused-ignore]
            fields["taskName"] = _task_name()
        return record

    def _full_record(self, about: LogSubject, text: str, args: tuple[Any, ...]) -> logging.LogRecord:
        pathname, function = self._origin
        extra = {"job": about.log_fields()}
        return self._logger.makeRecord(
            self._logger.name, logging.INFO, pathname, 0, text, args, None, function, extra
        )


def is_logging_changed() -> bool:
    """Whether somebody looks at records on their way: adds fields, or has put functions of their own into `logging`."""
    kind = logging.Logger
    return logging.getLogRecordFactory() is not logging.LogRecord or not (
        getattr(kind.handle, "__globals__", None) is _LOGGING
        and getattr(kind.callHandlers, "__globals__", None) is _LOGGING
        and getattr(kind.makeRecord, "__globals__", None) is _LOGGING
    )


def _task_name() -> str | None:
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no loop is running
        return None
    return None if task is None else task.get_name()
