"""The name of every Redis key, in one place. The scripts build theirs from `PREFIX` (lua/include/keys.lua)."""

from __future__ import annotations

from .constants import (
    health_check_key_suffix,
    in_progress_key_prefix,
    job_key_prefix,
    result_key_prefix,
    retry_key_prefix,
)

#: What all keys but those of a queue begin with; the scripts get it as their first argument.
PREFIX = "arq:"
#: Sorted set: worker id -> unix ms at which it is presumed dead.
WORKERS_KEY = PREFIX + "workers"


def job_key(job_id: str) -> str:
    """The serialized job."""
    return job_key_prefix + job_id


def in_progress_key(job_id: str) -> str:
    """The lock of a running job; its value is the id of the worker (`1` when that is a plain arq worker)."""
    return in_progress_key_prefix + job_id


def retry_key(job_id: str) -> str:
    """How often the job was started."""
    return retry_key_prefix + job_id


def interrupted_key(job_id: str) -> str:
    """How many of those starts were ended by the shutdown of a worker."""
    return f"{PREFIX}interrupted:{job_id}"


def result_key(job_id: str) -> str:
    """The serialized result."""
    return result_key_prefix + job_id


def claims_key(worker_id: str) -> str:
    """Hash of one worker: job id -> what must be put back when the worker dies."""
    return f"{PREFIX}claims:{worker_id}"


def wake_key(queue_name: str) -> str:
    """List of wake-up tokens; idle workers of the queue wait for it."""
    return f"{queue_name}:wake"


def lookers_key(queue_name: str) -> str:
    """Sorted set: id of a worker that looks at the queue -> unix ms until which that is believed."""
    return f"{queue_name}:workers"


def health_key(queue_name: str) -> str:
    """The health line of a queue's workers."""
    return queue_name + health_check_key_suffix


def worker_health_key(base: str, pool: str, host: str, slot: int) -> str:
    """The health line of one supervised worker; `base` is the plain health key."""
    return f"{base}:{pool}:{host}:{slot}"
