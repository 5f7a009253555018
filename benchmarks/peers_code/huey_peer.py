# mypy: disable-error-code="import-not-found, untyped-decorator, misc, no-untyped-call"
"""Jobs and producer for huey, worker threads. It keeps no result of a job that returns None: nothing to wait for."""

import time
from typing import Any

from huey import RedisHuey
from producer import DSN, VICTIM_S, Producer, answer, hit, main, tell_start

huey = RedisHuey("bench", url=DSN)


@huey.task(name="noop")
def noop() -> None:
    """The cheapest job there is."""
    hit()


@huey.task(name="sleep10")
def sleep10() -> None:
    """A job that waits for 10 ms of something."""
    time.sleep(0.01)
    hit()


@huey.task(name="started")
def started(due_ns: int) -> None:
    """Tell the producer how late this began."""
    answer(due_ns)


@huey.task(name="victim")
def victim() -> None:
    """Say which process runs this; the driver kills it."""
    tell_start()
    time.sleep(VICTIM_S)


JOBS: dict[str, Any] = {"noop": noop, "sleep10": sleep10, "started": started, "victim": victim}


class Huey(Producer):
    """Calling a task enqueues it; this blocks."""

    async def send(self, function: str, *args: Any) -> Any:
        """Enqueue one job."""
        return JOBS[function](*args)

    async def send_later(self, function: str, delay_s: float, *args: Any) -> None:
        """Enqueue one job that is due later."""
        JOBS[function].schedule(args=args, delay=delay_s)


if __name__ == "__main__":
    import huey_peer  # its tasks are named after the module, and the worker knows that name

    main(huey_peer.Huey())
