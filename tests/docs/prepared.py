"""What there must be in Redis before somebody does what a page says."""

import pickle
import time
from collections.abc import Callable
from typing import Any

import redis

from arq._job_statistics import DONE, FAILED, RETRIED, JobStatistics
from arq._keys import dead_key, dead_set_key, job_key, stats_key

QUEUE = "arq:queue"


def shop(client: redis.Redis) -> None:
    """A queue in which there is something of all that operators look at."""
    now_ms = int(time.time() * 1000)
    for number, (prefix, function, in_ms, age_ms) in enumerate(
        [
            ("mail", "send_mail", -1000, 3 * 3_600_000),
            ("mail", "send_mail", 60_000, 0),
            *(("invoice", "bill", 3_600_000, 0) for _ in range(12)),
        ]
    ):
        job_id = f"{prefix}-{number}"
        client.set(job_key(job_id), payload(function, now_ms - age_ms, "anna@example.com"), ex=86_400)
        client.zadd(QUEUE, {job_id: now_ms + in_ms})
    for job_id in ("order-1", "order-2"):
        client.hset(dead_key(job_id), mapping={"payload": payload("send_mail", now_ms), "entry": b"{}"})
        client.expire(dead_key(job_id), 600)
        client.zadd(dead_set_key(QUEUE), {job_id: now_ms})


def payload(function: str, enqueued_ms: int, *arguments: str) -> bytes:
    """A job as producers write it."""
    job: dict[str, Any] = {"t": None, "f": function, "a": arguments, "k": {}, "et": enqueued_ms}
    return pickle.dumps(job)


def two_hours(client: redis.Redis) -> None:
    """Statistics of many jobs."""
    counted = JobStatistics()
    counted.noted += [("resize", DONE, 60 + run % 150, 4 + run % 5) for run in range(5000)]
    counted.noted += [("resize", DONE, 500, 1900)] * 120
    counted.noted += [("resize", FAILED, 480, None)] * 3 + [("resize", RETRIED, 90, None)] * 12
    counted.noted += [("send_mail", DONE, 5, 4)] * 840
    key = stats_key(QUEUE, int(time.time()) // 60)
    for field, number in counted.take().items():
        client.hset(key, field, str(number))
    client.expire(key, 600)


PREPARED: dict[str, Callable[[redis.Redis], None]] = {
    "docs/how-to/find-and-mend-jobs.md": shop,
    "docs/how-to/pause-and-drain.md": shop,
    "docs/how-to/statistics.md": two_hours,
}
