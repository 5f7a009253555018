# mypy: disable-error-code="import-not-found, untyped-decorator, misc, no-untyped-call"
"""Tasks for celery, with the settings its manual gives to those who must not lose tasks."""

import os
from typing import Any

import jobs
from arrival import redelivery_s, worker_is_up
from celery import Celery
from celery.signals import worker_process_init

app = Celery("celery_app", broker=os.environ["FAULTS_DSN"], backend=os.environ["FAULTS_DSN"])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    task_time_limit=10,
    broker_transport_options={"visibility_timeout": redelivery_s(3600)},
)


@worker_process_init.connect
def _up(**_: Any) -> None:
    worker_is_up()


@app.task(name="job")
def job(kind: str, *arguments: Any) -> None:
    """Any of the jobs."""
    jobs.call(kind, *arguments)


def send(kind: str, *arguments: Any) -> None:
    """Enqueue one."""
    job.delay(kind, *arguments)
