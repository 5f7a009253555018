# mypy: disable-error-code="import-not-found, untyped-decorator, misc, no-untyped-call"
"""Jobs and producer for huey, worker threads."""

import time
from typing import Any

from huey import RedisHuey
from producer import DSN, Producer, answer, hit, main

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


JOBS: dict[str, Any] = {"noop": noop, "sleep10": sleep10, "started": started}


class Huey(Producer):
    """Calling a task enqueues it; this blocks."""

    async def send(self, function: str, *args: Any) -> Any:
        """Enqueue one job."""
        return JOBS[function](*args)


if __name__ == "__main__":
    main(Huey())
