"""Quick records are what `logger.info` would have made, but for where they come from."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator

import pytest

from arq._worker.quick_log import QuickLog

#: the caller's place is not looked up
ORIGIN = {"pathname", "filename", "module", "lineno", "funcName"}
#: no two records have the same
CLOCK = {"created", "msecs", "relativeCreated"}


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
        logger.info("%s and %d", "text", 1)
        quick.info("%s and %d", "text", 1)
        quick.info("%s and %d", "text", 1)

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
        quick.info("")
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
    quick.info("before")

    def with_tenant(*args: object, **kwargs: object) -> logging.LogRecord:
        record = logging.LogRecord(*args, **kwargs)  # type: ignore[arg-type]
        record.tenant = "blue"
        return record

    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(with_tenant)
    try:
        quick.info("after")
    finally:
        logging.setLogRecordFactory(before)
    assert handler.records[1].tenant == "blue"  # type: ignore[attr-defined]


def test_each_task_has_its_name(log: tuple[logging.Logger, Kept, QuickLog]) -> None:
    _, handler, quick = log

    async def say() -> None:
        quick.info("")

    async def main() -> None:
        for name in ("one", "two"):
            await asyncio.create_task(say(), name=name)

    asyncio.run(main())
    names = [getattr(record, "taskName", None) for record in handler.records]
    assert names in (["one", "two"], [None, None])  # Python 3.11 does not know of them


def test_a_forked_child_says_its_own_pid(log: tuple[logging.Logger, Kept, QuickLog]) -> None:
    _, handler, quick = log
    quick.info("parent")
    read_fd, write_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        quick.info("child")
        os.write(write_fd, str(handler.records[-1].process).encode())
        os._exit(0)
    os.close(write_fd)
    with os.fdopen(read_fd) as pipe:
        said = pipe.read()
    os.waitpid(pid, 0)
    assert said == str(pid)
