"""What a job looks like to somebody who asks about it. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any


class JobStatus(str, Enum):
    """Where a job is."""

    __module__ = "arq.jobs"

    #: in the queue, its time has not come yet
    deferred = "deferred"
    #: in the queue, waiting for a worker
    queued = "queued"
    #: being run
    in_progress = "in_progress"
    #: finished, the result is there
    complete = "complete"
    #: nothing known under this id
    not_found = "not_found"


# Dataclasses without slots and not frozen on purpose: companions subclass them and assign to them.
@dataclass
class JobDef:
    """A job as it was enqueued.

    Attributes:
        function: name of the function.
        args: its positional arguments.
        kwargs: its keyword arguments.
        job_try: the number of the try given with `_job_try`, or None.
        enqueue_time: when it was enqueued (aware).
        score: unix time in ms at which it is due; None when it is not in the queue.
        job_id: its id, where known.
    """

    function: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    job_try: int | None
    enqueue_time: datetime
    score: int | None
    job_id: str | None

    def __post_init__(self) -> None:
        if self.score is not None:
            self.score = int(self.score)  # redis gives scores as floats


@dataclass
class JobResult(JobDef):
    """A finished job: what `JobDef` says, and how it ended.

    Attributes:
        success: whether it returned; False if it raised.
        result: what it returned or raised.
        start_time: start of the last try (aware).
        finish_time: end of the last try (aware).
        queue_name: the queue it was taken from.
    """

    success: bool
    result: Any
    start_time: datetime
    finish_time: datetime
    queue_name: str


JobDef.__module__ = JobResult.__module__ = "arq.jobs"  # where everybody imports them from
