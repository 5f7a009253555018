# mypy: disable-error-code="import-not-found, untyped-decorator, misc, no-untyped-call"
"""Jobs and producer for rq, with the worker that does not fork for each job.

Its scheduler counts whole seconds and begins deferred jobs up to one too early: their lateness is not compared.
"""

import time
from typing import Any

import redis
from producer import DSN, VICTIM_S, Producer, answer, hit, main, tell_start
from rq import Queue

queue = Queue(connection=redis.Redis.from_url(DSN))


def noop() -> None:
    """The cheapest job there is."""
    hit()


def sleep10() -> None:
    """A job that waits for 10 ms of something."""
    time.sleep(0.01)
    hit()


def started(due_ns: int) -> None:
    """Tell the producer how late this began."""
    answer(due_ns)


def victim() -> None:
    """Say which process runs this; the driver kills it."""
    tell_start()
    time.sleep(VICTIM_S)


class Rq(Producer):
    """`send` blocks: rq has no asynchronous client."""

    async def send(self, function: str, *args: Any) -> Any:
        """Enqueue one job."""
        return queue.enqueue(f"rq_peer.{function}", *args)

    async def result(self, handle: Any) -> None:
        """Wait for the entry in the stream of its results."""
        handle.latest_result(timeout=20)

    async def send_many(self, function: str, count: int) -> None:
        """Enqueue `count` jobs in one call."""
        queue.enqueue_many([Queue.prepare_data(f"rq_peer.{function}") for _ in range(count)])

    async def fill(self, function: str, count: int) -> float:
        """Put `count` jobs in."""
        for _ in range(0, count, 100):
            await self.send_many(function, 100)
        return float(count)


if __name__ == "__main__":
    main(Rq())
