# mypy: disable-error-code="import-not-found, untyped-decorator, misc, no-untyped-call"
"""Jobs and producer for celery, prefork workers and results in Redis."""

import time
from typing import Any

from celery import Celery
from producer import DSN, VICTIM_S, Producer, answer, hit, main, tell_start

app = Celery("celery_peer", broker=f"{DSN}/0", backend=f"{DSN}/0")
app.conf.worker_prefetch_multiplier = 64


@app.task(name="noop")
def noop() -> None:
    """The cheapest job there is."""
    hit()


@app.task(name="sleep10")
def sleep10() -> None:
    """A job that waits for 10 ms of something."""
    time.sleep(0.01)
    hit()


@app.task(name="started")
def started(due_ns: int) -> None:
    """Tell the producer how late this began."""
    answer(due_ns)


@app.task(name="victim")
def victim() -> None:
    """Say which process runs this; the driver kills it."""
    tell_start()
    time.sleep(VICTIM_S)


JOBS: dict[str, Any] = {"noop": noop, "sleep10": sleep10, "started": started, "victim": victim}


class Celeries(Producer):
    """`send` blocks: celery has no asynchronous client."""

    async def send(self, function: str, *args: Any) -> Any:
        """Enqueue one job."""
        return JOBS[function].delay(*args)

    async def send_later(self, function: str, delay_s: float, *args: Any) -> None:
        """Enqueue one job that is due later."""
        JOBS[function].apply_async(args=args, countdown=delay_s)

    async def result(self, handle: Any) -> None:
        """Wait for the message that says it is done."""
        handle.get(timeout=20)


if __name__ == "__main__":
    main(Celeries())
