# mypy: disable-error-code="import-not-found, untyped-decorator, misc, no-untyped-call"
"""Jobs and producer for dramatiq. It keeps no results unless told to, so none are asked for."""

import time
from typing import Any

import dramatiq
from counter import burn
from dramatiq.brokers.redis import RedisBroker
from producer import DSN, VICTIM_S, Producer, answer, hit, main, tell_start

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
def cpu1ms() -> None:
    """A job that needs a core for 1 ms."""
    burn()
    hit()


@dramatiq.actor
def started(due_ns: int) -> None:
    """Tell the producer how late this began."""
    answer(due_ns)


@dramatiq.actor
def victim() -> None:
    """Say which process runs this; the driver kills it."""
    tell_start()
    time.sleep(VICTIM_S)


JOBS: dict[str, Any] = {
    "noop": noop,
    "sleep10": sleep10,
    "cpu1ms": cpu1ms,
    "started": started,
    "victim": victim,
}


class Dramatiq(Producer):
    """`send` blocks: dramatiq has no asynchronous client."""

    async def send(self, function: str, *args: Any) -> Any:
        """Enqueue one job."""
        return JOBS[function].send(*args)

    async def send_later(self, function: str, delay_s: float, *args: Any) -> None:
        """Enqueue one job that is due later."""
        JOBS[function].send_with_options(args=args, delay=int(delay_s * 1000))


if __name__ == "__main__":
    main(Dramatiq())
