"""Every metric that `--metrics` serves: what it is, of which kind, with which labels. No I/O.

What is served and the page of reference are made of this table.
"""

from typing import NamedTuple


class Metric(NamedTuple):
    """A metric.

    Attributes:
        kind: counter, gauge or histogram.
        text: what it counts or measures, for HELP.
        labels: names of its labels, see `LABELS`.
    """

    kind: str
    text: str
    labels: tuple[str, ...] = ()


#: Name of a label -> what it says. All of them have few values.
LABELS = {
    "pool": "name of the pool",
    "function": "name of the job's function",
    "outcome": "complete, failed, retry, cancelled or aborted; of `arq_worker_jobs_total` complete, failed or retried",
    "queue": "name of the queue",
    "server": "name of the server, of `arq_redis_up` and `arq_queue_...` where there are several",
    "slot": "number of the worker, from 0 on",
    "cause": "clean, done, tempfail, boot, import, crash, hung or interrupted",
}

#: Metrics that have the label `server` where workers work for several.
BY_SERVER = ("arq_redis_up", "arq_queue_depth", "arq_queue_oldest_due_seconds")

_JOB, _WORKER, _POOL = ("pool", "function"), ("pool", "slot"), ("pool",)

METRICS: dict[str, Metric] = {
    "arq_jobs_total": Metric("counter", "Starts of jobs that ended.", (*_JOB, "outcome")),
    "arq_job_duration_seconds": Metric("histogram", "Run time.", _JOB),
    "arq_job_waiting_seconds": Metric("histogram", "From when a job was due to its first start.", _JOB),
    "arq_redis_up": Metric("gauge", "1 when the steward reaches Redis."),
    "arq_queue_depth": Metric("gauge", "Jobs in the queue, running and deferred included.", ("queue",)),
    "arq_queue_oldest_due_seconds": Metric("gauge", "Age of the oldest job that waits.", ("queue",)),
    "arq_worker_ready": Metric("gauge", "1 when the worker takes jobs.", _WORKER),
    "arq_worker_jobs_ongoing": Metric("gauge", "Jobs running now.", _WORKER),
    "arq_worker_resident_memory_bytes": Metric("gauge", "Resident memory.", _WORKER),
    "arq_worker_loop_lag_seconds": Metric(
        "gauge", "Longest lateness of the event loop in the last minute, one that lasts included.", _WORKER
    ),
    "arq_worker_uptime_seconds": Metric("gauge", "Age of the process.", _WORKER),
    "arq_worker_cpu_seconds_total": Metric("counter", "Processor time of the process.", _WORKER),
    "arq_worker_jobs_total": Metric("counter", "Jobs of the process.", (*_WORKER, "outcome")),
    "arq_pool_workers_expected": Metric("gauge", "Workers there should be.", _POOL),
    "arq_pool_workers_ready": Metric("gauge", "Workers that take jobs.", _POOL),
    "arq_pool_quiet": Metric("gauge", "1 when the pool takes no new jobs.", _POOL),
    "arq_pool_generation": Metric("gauge", "Reloads so far, plus one.", _POOL),
    "arq_pool_uptime_seconds": Metric("gauge", "Age of the supervisor.", _POOL),
    "arq_pool_exits_total": Metric("counter", "Processes that ended, by cause.", (*_POOL, "cause")),
}
