"""Quick records are what `logger.info` would have made, but for where they come from."""

from __future__ import annotations

import asyncio
import functools
import io
import logging
import math
import os
import re
from collections.abc import Iterator
from typing import Any

import pytest

from arq._worker.quick_log import QuickLog
from arq.logs import LineFormatter, LineHandler

#: the caller's place is not looked up
ORIGIN = {"pathname", "filename", "module", "lineno", "funcName"}
#: no two records have the same
CLOCK = {"created", "msecs", "relativeCreated"}


class About:
    """What a line is about."""

    def log_fields(self) -> dict[str, Any]:
        return {"job_id": "j1"}


ABOUT = About()


class Kept(logging.Handler):
    """Keeps records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, Kept, QuickLog]]:
    logger = logging.getLogger("arq.test_quick_log")
    handler = Kept()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    yield logger, handler, QuickLog(logger, __file__, "origin")
    logger.removeHandler(handler)


def in_a_task(logger: logging.Logger, quick: QuickLog) -> None:
    async def main() -> None:
        logger.info("%6.2fs %s and %d", 1.5, "text", 1, extra={"job": ABOUT.log_fields()})
        quick.info(ABOUT, 1.5, "s %s and %d", "text", 1)
        quick.info(ABOUT, 1.5, "s %s and %d", "text", 1)

    async def named() -> None:
        await asyncio.create_task(main(), name="a task")

    asyncio.run(named())


def test_the_same_fields(log: tuple[logging.Logger, Kept, QuickLog]) -> None:
    logger, handler, quick = log
    in_a_task(logger, quick)
    usual, first, second = (record.__dict__ for record in handler.records)
    for record in (first, second):
        assert record.keys() == usual.keys()
        different = {name for name in usual if record[name] != usual[name]}
        assert different <= ORIGIN | CLOCK
        assert (record["pathname"], record["funcName"]) == (__file__, "origin")


def test_clock_fields_fit_together(log: tuple[logging.Logger, Kept, QuickLog]) -> None:
    logger, handler, quick = log
    logger.info("")
    for _ in range(3):
        quick.info(ABOUT, 0.0, "")
    records = handler.records
    start_s = records[0].created - records[0].relativeCreated / 1000
    assert [r.created for r in records] == sorted(r.created for r in records)
    for record in records:
        assert record.created - record.relativeCreated / 1000 == pytest.approx(start_s, abs=0.005)
        assert record.msecs == pytest.approx(record.created % 1 * 1000, abs=1)


def test_fields_of_a_factory_are_there(
    log: tuple[logging.Logger, Kept, QuickLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, handler, quick = log
    quick.info(ABOUT, 0.0, "before")

    def with_tenant(*args: object, **kwargs: object) -> logging.LogRecord:
        record = logging.LogRecord(*args, **kwargs)  # type: ignore[arg-type]
        record.tenant = "blue"
        return record

    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(with_tenant)
    try:
        quick.info(ABOUT, 0.0, "after")
    finally:
        logging.setLogRecordFactory(before)
    assert handler.records[1].tenant == "blue"  # type: ignore[attr-defined]


def test_each_task_has_its_name(log: tuple[logging.Logger, Kept, QuickLog]) -> None:
    _, handler, quick = log

    async def say() -> None:
        quick.info(ABOUT, 0.0, "")

    async def main() -> None:
        for name in ("one", "two"):
            await asyncio.create_task(say(), name=name)

    asyncio.run(main())
    names = [getattr(record, "taskName", None) for record in handler.records]
    assert names in (["one", "two"], [None, None])  # Python 3.11 does not know of them


def test_a_forked_child_says_its_own_pid(log: tuple[logging.Logger, Kept, QuickLog]) -> None:
    _, handler, quick = log
    quick.info(ABOUT, 0.0, "parent")
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        quick.info(ABOUT, 0.0, "child")
        os.write(write_fd, str(handler.records[-1].process).encode())
        os._exit(0)
    os.close(write_fd)
    with os.fdopen(read_fd) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    assert said == str(pid)


# --- plain lines ------------------------------------------------------------------------------------------------------


Lines = tuple[logging.Logger, LineHandler, io.StringIO]


@pytest.fixture
def lines() -> Lines:
    """A logger whose only reader is the handler of the command line. Not a registered one: pytest would listen, too."""
    logger = logging.Logger("arq.test_plain_lines", logging.INFO)  # noqa: LOG001
    stream = io.StringIO()
    handler = LineHandler(stream)
    handler.setFormatter(LineFormatter("%(asctime)s: [p] %(message)s", "%H:%M:%S"))
    logger.addHandler(handler)
    return logger, handler, stream


@pytest.fixture
def makes_no_records(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The texts of records that were made all the same."""
    made: list[str] = []
    make = QuickLog._record

    def noting(quick: QuickLog, about: Any, text: str, args: tuple[object, ...]) -> logging.LogRecord:
        made.append(text)
        return make(quick, about, text, args)

    monkeypatch.setattr(QuickLog, "_record", noting)
    return made


def test_a_plain_line_is_what_the_record_would_have_been(lines: Lines, makes_no_records: list[str]) -> None:
    logger, _, stream = lines
    quick = QuickLog(logger, __file__, "origin")
    quick.info(ABOUT, 1.5, "s → %s", "job")
    logger.info("%6.2fs → %s", 1.5, "job")
    first, second = stream.getvalue().splitlines()
    assert makes_no_records == []
    assert first[8:] == second[8:] == ": [p]   1.50s → job"
    assert re.fullmatch(r"\d\d:\d\d:\d\d", first[:8])


def test_whoever_comes_later_gets_records(lines: Lines, makes_no_records: list[str]) -> None:
    logger, _, stream = lines
    quick = QuickLog(logger, __file__, "origin")
    quick.info(ABOUT, 0.0, "%s", "first")
    late = Kept()
    logger.addHandler(late)
    quick.info(ABOUT, 0.0, "%s", "second")
    logger.removeHandler(late)
    quick.info(ABOUT, 0.0, "%s", "third")
    assert [record.getMessage() for record in late.records] == ["  0.00second"]
    assert [line[13:] for line in stream.getvalue().splitlines()] == [
        "   0.00first",
        "   0.00second",
        "   0.00third",
    ]
    assert makes_no_records == ["%6.2f%s"]


@pytest.mark.parametrize("from_python", ["3.13", "3.14"])
def test_one_handler_goes_and_another_comes(lines: Lines, from_python: str) -> None:
    """Within one second, so that only the lists of handlers tell. From 3.14 on, they are replaced by others."""
    logger, first, stream = lines
    quick = QuickLog(logger, __file__, "origin")
    quick.info(ABOUT, 0.0, "%s", "first")
    later = LineHandler(io.StringIO())
    later.setFormatter(first.formatter)
    if from_python == "3.13":
        logger.handlers[:] = [later]
    else:
        logger.handlers = [later]
    quick._from_s, quick._until_s = 0.0, math.inf  # the clock may have gone on
    quick.info(ABOUT, 0.0, "%s", "second")
    assert [line[14:] for line in stream.getvalue().splitlines()] == ["  0.00first"]
    assert [line[14:] for line in later.stream.getvalue().splitlines()] == ["  0.00second"]


def test_a_filter_that_comes_later_is_asked(lines: Lines) -> None:
    logger, _, stream = lines
    quick = QuickLog(logger, __file__, "origin")
    quick.info(ABOUT, 0.0, "%s", "first")
    logger.addFilter(lambda record: "second" not in record.getMessage())
    quick.info(ABOUT, 0.0, "%s", "second")
    quick.info(ABOUT, 0.0, "%s", "third")
    assert [line[14:] for line in stream.getvalue().splitlines()] == ["  0.00first", "  0.00third"]


@pytest.mark.parametrize("kind", ["filter", "formatter", "level", "second handler", "other handler"])
def test_handlers_that_want_more_than_the_text(lines: Lines, makes_no_records: list[str], kind: str) -> None:
    logger, handler, stream = lines
    if kind == "filter":
        handler.addFilter(lambda _: True)
    elif kind == "formatter":
        handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    elif kind == "level":
        handler.setLevel(logging.WARNING)
    elif kind == "second handler":
        logger.addHandler(Kept())
    else:
        logger.handlers[:] = [logging.StreamHandler(stream)]
    QuickLog(logger, __file__, "origin").info(ABOUT, 0.0, "%s", "text")
    assert makes_no_records == ["%6.2f%s"]
    assert stream.getvalue().endswith("" if kind == "level" else "text\n")


@pytest.mark.parametrize("name", ["handle", "callHandlers", "makeRecord"])
def test_tools_that_watch_logging_see_each_record(
    lines: Lines, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    logger, _, stream = lines
    own = getattr(logging.Logger, name)
    seen: list[object] = []

    @functools.wraps(own)
    def watching(self: logging.Logger, *args: object, **kwargs: object) -> object:
        seen.append(args)
        return own(self, *args, **kwargs)

    monkeypatch.setattr(logging.Logger, name, watching)
    QuickLog(logger, __file__, "origin").info(ABOUT, 0.0, "%s", "text")
    assert len(seen) == 1
    assert stream.getvalue().endswith(": [p]   0.00text\n")


def test_a_stream_that_fails_is_no_error_of_the_job(lines: Lines, capsys: pytest.CaptureFixture[str]) -> None:
    logger, _, stream = lines
    stream.close()
    QuickLog(logger, __file__, "origin").info(ABOUT, 0.0, "%s", "text")
    assert "I/O operation on closed file" in capsys.readouterr().err
