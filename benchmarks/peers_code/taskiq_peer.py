# mypy: disable-error-code="import-not-found, untyped-decorator, misc, no-untyped-call"
"""Jobs and producer for taskiq with taskiq-redis, on the broker that its manual recommends (a stream)."""

import asyncio
from typing import Any

from counter import burn, counter
from producer import DSN, VICTIM_S, Producer, answer, main, tell_start
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

broker = RedisStreamBroker(url=DSN).with_result_backend(
    RedisAsyncResultBackend(redis_url=DSN, result_ex_time=3600)
)


@broker.task(task_name="noop")
async def noop() -> None:
    """The cheapest job there is."""
    counter.hit()


@broker.task(task_name="sleep10")
async def sleep10() -> None:
    """A job that waits for 10 ms of something."""
    await asyncio.sleep(0.01)
    counter.hit()


@broker.task(task_name="cpu1ms")
async def cpu1ms() -> None:
    """A job that needs a core for 1 ms."""
    burn()
    counter.hit()


@broker.task(task_name="started")
async def started(due_ns: int) -> None:
    """Tell the producer how late this began."""
    answer(due_ns)


@broker.task(task_name="victim")
async def victim() -> None:
    """Say which process runs this; the driver kills it."""
    tell_start()
    await asyncio.sleep(VICTIM_S)


JOBS: dict[str, Any] = {
    "noop": noop,
    "sleep10": sleep10,
    "cpu1ms": cpu1ms,
    "started": started,
    "victim": victim,
}


class Taskiq(Producer):
    """One client."""

    async def open(self) -> None:
        """Connect."""
        await broker.startup()

    async def close(self) -> None:
        """Disconnect."""
        await broker.shutdown()

    async def send(self, function: str, *args: Any) -> Any:
        """Enqueue one job."""
        return await JOBS[function].kiq(*args)

    async def result(self, handle: Any) -> None:
        """Wait with taskiq's default interval."""
        await handle.wait_result(timeout=20)


if __name__ == "__main__":
    main(Taskiq())
