"""Attempts at jobs as a worker reads them from a claim, for tests of what follows from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from arq._function import Function, func
from arq._redis.scripts import ClaimedJob
from arq._retry_options import RetryOptions
from arq._worker import outcomes
from arq._worker.attempt import Attempt
from arq.cron import CronJob, cron
from arq.jobs import serialize_job

NOW_MS = 1_800_000_000_000


@dataclass
class Defaults:
    """What `decide` looks at of a worker."""

    max_tries: int
    keep_result_s: float
    keep_result_forever: bool
    expires_extra_ms: float | None = 86_400_000
    retry_options: RetryOptions | None = None
    dead_letter: bool = True
    dead_max: int = 10_000
    dead_ttl_s: float = 604_800
    worker_id: str = "w"


DEFAULTS = Defaults(max_tries=5, keep_result_s=3600, keep_result_forever=False)


async def work(ctx: dict[Any, Any], *args: Any) -> None: ...


Registry = dict[str, Function | CronJob]
FUNCTIONS: Registry = {
    "work": func(work),
    "stubborn": func(work, name="stubborn", max_tries=1),
    "no_result": func(work, name="no_result", keep_result=0),
    "for_ever": func(work, name="for_ever", keep_result_forever=True),
    "tick": cron(work, name="tick"),
    "own_id": cron(work, name="own_id", job_id="own"),
}


def payload(function: Any = "work", *, job_try: Any = None) -> bytes:
    return serialize_job(function, (1, 2), {"k": 3}, job_try, NOW_MS - 500)


def claimed(
    data: bytes | None = None,
    *,
    job_id: str = "id",
    job_try: int = 1,
    interrupted: int = 0,
    aborted: bool = False,
) -> ClaimedJob:
    return ClaimedJob(job_id, NOW_MS - 100, data, job_try, interrupted, aborted, b"stamp")


def attempt(function: str = "work", **kwargs: Any) -> Attempt:
    asked_try = kwargs.pop("asked_try", None)
    return outcomes.read(claimed(payload(function, job_try=asked_try), **kwargs), FUNCTIONS, None)
