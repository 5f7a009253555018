# mypy: disable-error-code="import-not-found, untyped-decorator, misc, no-untyped-call"
"""Jobs and producer for docket."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from counter import counter
from docket import Docket
from producer import DSN, VICTIM_S, Producer, answer, main, tell_start

docket = Docket(name="bench", url=DSN)


async def noop() -> None:
    """The cheapest job there is."""
    counter.hit()


async def sleep10() -> None:
    """A job that waits for 10 ms of something."""
    await asyncio.sleep(0.01)
    counter.hit()


async def started(due_ns: int) -> None:
    """Tell the producer how late this began."""
    answer(due_ns)


async def victim() -> None:
    """Say which process runs this; the driver kills it."""
    tell_start()
    await asyncio.sleep(VICTIM_S)


tasks = [noop, sleep10, started, victim]
JOBS: dict[str, Any] = {task.__name__: task for task in tasks}


class Dockets(Producer):
    """One client."""

    async def open(self) -> None:
        """Connect."""
        await docket.__aenter__()
        for task in tasks:
            docket.register(task)

    async def close(self) -> None:
        """Disconnect."""
        await docket.__aexit__(None, None, None)

    async def send(self, function: str, *args: Any) -> Any:
        """Enqueue one job."""
        return await docket.add(JOBS[function])(*args)

    async def send_later(self, function: str, delay_s: float, *args: Any) -> None:
        """Enqueue one job that is due later."""
        await docket.add(JOBS[function], when=datetime.now(UTC) + timedelta(seconds=delay_s))(*args)

    async def send_many(self, function: str, count: int) -> None:
        """Enqueue `count` jobs in one call."""
        await docket.add_many([docket.call(JOBS[function])() for _ in range(count)])

    async def fill(self, function: str, count: int) -> float:
        """Put `count` jobs in."""
        for _ in range(0, count, 100):
            await self.send_many(function, 100)
        return float(count)

    async def result(self, handle: Any) -> None:
        """Wait for the message that says it is done."""
        await handle.get_result(timeout=timedelta(seconds=20))


if __name__ == "__main__":
    main(Dockets())
