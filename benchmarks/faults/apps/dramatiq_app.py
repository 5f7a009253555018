# mypy: disable-error-code="import-not-found, untyped-decorator, misc, no-untyped-call"
"""Actors for dramatiq."""

import os
from typing import Any

import dramatiq
import jobs
from arrival import redelivery_s, worker_is_up
from dramatiq.brokers.redis import RedisBroker


class Up(dramatiq.Middleware):  # type: ignore[name-defined,unused-ignore]
    """Says when a worker process begins."""

    def after_worker_boot(self, broker: Any, worker: Any) -> None:
        """Called in the worker."""
        worker_is_up()


broker = RedisBroker(url=os.environ["FAULTS_DSN"], heartbeat_timeout=round(1000 * redelivery_s(60)))
broker.add_middleware(Up())
dramatiq.set_broker(broker)


@dramatiq.actor(time_limit=10_000)
def job(kind: str, *arguments: Any) -> None:
    """Any of the jobs."""
    jobs.call(kind, *arguments)


def send(kind: str, *arguments: Any) -> None:
    """Enqueue one."""
    job.send(kind, *arguments)
