# mypy: disable-error-code="import-not-found, untyped-decorator, misc, no-untyped-call"
"""Jobs and producer for dramatiq. It keeps no results unless told to, so none are asked for."""

import time
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from producer import DSN, Producer, answer, hit, main

broker = RedisBroker(url=DSN)
dramatiq.set_broker(broker)


@dramatiq.actor
def noop() -> None:
    """The cheapest job there is."""
    hit()


@dramatiq.actor
def sleep10() -> None:
    """A job that waits for 10 ms of something."""
    time.sleep(0.01)
    hit()


@dramatiq.actor
def started(due_ns: int) -> None:
    """Tell the producer how late this began."""
    answer(due_ns)


JOBS: dict[str, Any] = {"noop": noop, "sleep10": sleep10, "started": started}


class Dramatiq(Producer):
    """`send` blocks: dramatiq has no asynchronous client."""

    async def send(self, function: str, *args: Any) -> Any:
        """Enqueue one job."""
        return JOBS[function].send(*args)


if __name__ == "__main__":
    main(Dramatiq())
