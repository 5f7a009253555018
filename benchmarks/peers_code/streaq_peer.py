# mypy: disable-error-code="import-not-found, untyped-decorator, misc, no-untyped-call"
"""Jobs and producer for streaq."""

import asyncio
from datetime import timedelta
from typing import Any

from counter import counter
from producer import DSN, MAX_JOBS, VICTIM_S, Producer, answer, main, tell_start
from streaq import Worker

worker = Worker(redis_url=DSN, concurrency=MAX_JOBS)


@worker.task()
async def noop() -> None:
    """The cheapest job there is."""
    counter.hit()


@worker.task()
async def sleep10() -> None:
    """A job that waits for 10 ms of something."""
    await asyncio.sleep(0.01)
    counter.hit()


@worker.task()
async def started(due_ns: int) -> None:
    """Tell the producer how late this began."""
    answer(due_ns)


@worker.task()
async def victim() -> None:
    """Say which process runs this; the driver kills it."""
    tell_start()
    await asyncio.sleep(VICTIM_S)


JOBS: dict[str, Any] = {"noop": noop, "sleep10": sleep10, "started": started, "victim": victim}


class Streaq(Producer):
    """One client, made by entering the worker."""

    async def open(self) -> None:
        """Connect."""
        await worker.__aenter__()

    async def close(self) -> None:
        """Disconnect."""
        await worker.__aexit__(None, None, None)

    async def send(self, function: str, *args: Any) -> Any:
        """Enqueue one job."""
        return await JOBS[function].enqueue(*args)

    async def send_later(self, function: str, delay_s: float, *args: Any) -> None:
        """Enqueue one job that is due later."""
        await JOBS[function].enqueue(*args).start(delay=timedelta(seconds=delay_s))

    async def send_many(self, function: str, count: int) -> None:
        """Enqueue `count` jobs in one call."""
        await worker.enqueue_many([JOBS[function].enqueue() for _ in range(count)])

    async def fill(self, function: str, count: int) -> float:
        """Put `count` jobs in."""
        for _ in range(0, count, 100):
            await self.send_many(function, 100)
        return float(count)

    async def result(self, handle: Any) -> None:
        """Wait with streaq's default interval."""
        await handle.result(timeout=20)


if __name__ == "__main__":
    main(Streaq())
