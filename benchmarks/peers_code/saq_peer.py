# mypy: disable-error-code="import-not-found, untyped-decorator, misc, no-untyped-call"
"""Jobs and producer for saq."""

import asyncio
import time
from typing import Any

import uvloop
from counter import burn, counter
from producer import DSN, MAX_JOBS, VICTIM_S, Producer, answer, main, tell_start
from saq import Queue

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

queue = Queue.from_url(DSN)


async def noop(ctx: Any) -> None:
    """The cheapest job there is."""
    counter.hit()


async def sleep10(ctx: Any) -> None:
    """A job that waits for 10 ms of something."""
    await asyncio.sleep(0.01)
    counter.hit()


async def cpu1ms(ctx: Any) -> None:
    """A job that needs a core for 1 ms."""
    burn()
    counter.hit()


async def started(ctx: Any, *, due_ns: int) -> None:
    """Tell the producer how late this began."""
    answer(due_ns)


async def victim(ctx: Any) -> None:
    """Say which process runs this; the driver kills it."""
    tell_start()
    await asyncio.sleep(VICTIM_S)


settings: dict[str, Any] = {
    "queue": queue,
    "functions": [noop, sleep10, cpu1ms, started, victim],
    "concurrency": MAX_JOBS,
}


class Saq(Producer):
    """One client; saq limits its connections by itself."""

    async def open(self) -> None:
        """Connect."""
        await queue.connect()

    async def close(self) -> None:
        """Disconnect."""
        await queue.disconnect()

    async def send(self, function: str, *args: Any) -> Any:
        """Enqueue one job."""
        return await queue.enqueue(function, **dict(zip(("due_ns",), args, strict=False)))

    async def send_later(self, function: str, delay_s: float, *args: Any) -> None:
        """Enqueue one job that is due later."""
        arguments = dict(zip(("due_ns",), args, strict=False))
        await queue.enqueue(function, scheduled=time.time() + delay_s, **arguments)

    async def result(self, handle: Any) -> None:
        """Wait with saq's default interval."""
        await handle.refresh(until_complete=20)


if __name__ == "__main__":
    main(Saq())
