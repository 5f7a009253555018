"""The command that puts one job into a queue, as most are: due now, and with no time limit of its own.

All of it but the job's id and payload is the same each time, and is kept.
"""

from __future__ import annotations

import functools

from hiredis import pack_command

from .key_prefix import under
from .scripts import NewJob, enqueue


def has_usual_terms(job: NewJob, prefix: str) -> bool:
    """Whether `packed` can be used for a job. On a cluster the command names keys of the job."""
    return job[2:] == ("", None, "") and type(prefix) is str


def packed(queue_name: str, prefix: str, expires_extra_ms: float | None, job: NewJob) -> bytes:
    """The command, ready to be sent.

    Args:
        prefix: what all keys begin with at the server.
        expires_extra_ms: see `enqueue`.
    """
    job_id, payload = job.job_id.encode(), job.payload
    head = _head(queue_name, prefix, expires_extra_ms)
    return b"%b$%d\r\n%b\r\n$%d\r\n%b\r\n" % (head, len(job_id), job_id, len(payload), payload)


@functools.lru_cache(maxsize=256)
def _head(queue_name: str, prefix: str, expires_extra_ms: float | None) -> bytes:
    """What the command begins with."""
    call = enqueue(queue_name, [NewJob("", b"", "", None, "")], expires_extra_ms)
    command = call.by_sha()
    words: bytes = pack_command(under(prefix, command) if prefix else command)
    return words.removesuffix(b"$0\r\n\r\n$0\r\n\r\n")
