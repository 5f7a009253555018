"""Whatever reads the log, and whatever jobs do to it: workers go on, and no line is lost without being counted."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.supervisor.harness import Pool, Queue
from tests.support.eventually import wait_until

pytestmark = pytest.mark.processes

JOBS = """
import logging


async def non_blocking(ctx):
    os.set_blocking(2, False)


async def talk(ctx, n, size):
    for i in range(n):
        logging.getLogger("arq.shop").warning("line %05d %s", i, "y" * size)


async def talk_in_a_copy(ctx, n):
    pid = os.fork()
    if pid == 0:
        for i in range(n):
            logging.getLogger("arq.shop").warning("copied %05d", i)
        os._exit(0)
    while os.waitpid(pid, os.WNOHANG)[0] == 0:
        await asyncio.sleep(0.01)


Settings.functions += [non_blocking, talk, talk_in_a_copy]
"""


class Reader:
    """Reads the log of a pool, a pipe, and writes it into the file that the pool's own methods look at."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._read_fd, self.write_fd = os.pipe()
        self.may_read = threading.Event()
        self.may_read.set()
        #: bytes at a time, with a pause in between
        self.slowly = False
        self._pause = threading.Event()
        self._thread = threading.Thread(target=self._read)

    def start(self, *options: str) -> Pool:
        with open(self._pool.directory / "app.py", "a") as file:
            file.write(JOBS)
        self._pool.start("--procs", "1", *options, stderr=self.write_fd)
        os.close(self.write_fd)
        self._thread.start()
        return self._pool.ready()

    def _read(self) -> None:
        with open(self._pool.log, "ab", buffering=0) as log:
            while self.may_read.wait() and (data := os.read(self._read_fd, 65536)):
                log.write(data)
                if self.slowly:
                    self._pause.wait(0.02)

    def close(self) -> None:
        self.may_read.set()
        self._thread.join()
        os.close(self._read_fd)


@contextmanager
def reader_of(pool: Pool) -> Iterator[Reader]:
    reader = Reader(pool)
    try:
        yield reader
    finally:
        pool.close()
        reader.close()


def lines(pool: Pool, word: str) -> list[dict[str, Any]]:
    return [one for one in pool.events("log") if word in str(one["message"])]


def told(pool: Pool) -> int:
    return sum(record["n"] for record in pool.events("log.dropped"))


def test_a_job_makes_stderr_non_blocking(pool: Pool, queue: Queue) -> None:
    with reader_of(pool) as reader:
        reader.start()
        reader.slowly = True
        queue.result(queue.put("non_blocking"))
        queue.result(queue.put("talk", 3000, 200))
        queue.result(queue.put("talk_in_a_copy", 1000))
        assert pool.stop() == 0
    assert len(lines(pool, "line ")) == 3000
    assert len(lines(pool, "copied")) == 1000
    assert told(pool) == 0


def test_a_reader_that_stops_stops_nobody(pool: Pool, queue: Queue) -> None:
    """The jobs go on; what was lost is told when somebody reads again."""
    with reader_of(pool) as reader:
        reader.start("--hang-timeout", "2")
        reader.may_read.clear()
        for _ in range(3):
            queue.result(queue.put("talk", 3000, 300))
        queue.results(queue.put_many("echo", 100))
        reader.may_read.set()
        wait_until(lambda: told(pool) > 0, what="told")
        assert not pool.events("child.exit")
        assert pool.stop() == 0
    assert len(lines(pool, "line ")) + told(pool) >= 9000


def test_what_a_worker_can_not_write_before_its_end_is_counted(pool: Pool, queue: Queue) -> None:
    """By its parent, which says so when somebody reads again."""
    with reader_of(pool) as reader:
        reader.start()
        reader.may_read.clear()
        queue.result(queue.put("talk", 3000, 200))
        worker = pool.workers()[0]
        os.kill(worker, 15)
        wait_until(lambda: not os.path.exists(f"/proc/{worker}"), what="the worker has ended")
        reader.may_read.set()
        wait_until(lambda: told(pool) > 0, what="told")
        assert pool.stop() == 0
    assert len(lines(pool, "line ")) < 3000
    assert len(lines(pool, "line ")) + told(pool) >= 3000
