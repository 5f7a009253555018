# mypy: disable-error-code="import-not-found, no-untyped-call"
"""Enqueues for rq, which needs only the function's name."""

import os
from typing import Any

from redis import Redis
from rq import Queue, Retry

_queue = Queue(connection=Redis.from_url(os.environ["FAULTS_DSN"]))


def send(kind: str, *arguments: Any) -> None:
    """Enqueue one."""
    _queue.enqueue("rq_app.job", kind, *arguments, job_timeout=10, retry=Retry(max=3))
