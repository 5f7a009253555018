"""The jobs of a worker: what it was given, what runs, and how many there were. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._job_statistics import JobStatistics

if TYPE_CHECKING:
    import asyncio

    from .._redis.scripts import ClaimedJob


class JobTable:
    """Written by the parts that a job goes through, read by all.

    Attributes:
        claimed: what was given to this worker and has no outcome yet, by job id.
        unbegun: ids of claimed jobs whose task was cancelled before its first step.
        tasks: the task of each job, from its start until it is written how it ended.
        job_tasks: those of them that run the job's own code.
        names: the function names of these.
        aborting: ids of jobs that were cancelled because `Job.abort` asked for it.
        abort_again_at_s: when one that still runs is cancelled once more, in the loop's time.
        slots: the tasks that take up one of the `max_jobs` places.
        started: how many jobs were started.
        complete, failed, retried: how many jobs have ended so.
        statistics: the same by function, as far as it is not written.
    """

    def __init__(self) -> None:
        self.claimed: dict[str, ClaimedJob] = {}
        self.unbegun: set[str] = set()
        self.tasks: dict[str, asyncio.Task[Any]] = {}
        self.job_tasks: dict[str, asyncio.Task[Any]] = {}
        self.names: dict[str, str] = {}
        self.aborting: set[str] = set()
        self.abort_again_at_s: dict[str, float] = {}
        self.slots: set[asyncio.Task[Any]] = set()
        self.started = self.complete = self.failed = self.retried = 0
        self.statistics = JobStatistics()

    def running(self) -> list[tuple[str, str]]:
        """Id and function name of the jobs whose code is being run."""
        return [(job_id, self.names.get(job_id, "?")) for job_id in self.job_tasks]

    def forget_abort(self, job_id: str) -> bool:
        """The run of a job is over: whether it was to be aborted."""
        self.abort_again_at_s.pop(job_id, None)
        was_asked = job_id in self.aborting
        self.aborting.discard(job_id)
        return was_asked

    def ongoing(self) -> int:
        """How many jobs have begun and not ended."""
        return sum(not task.done() for task in self.tasks.values())

    def ended(self) -> int:
        """How many jobs have ended, however they did."""
        return self.complete + self.failed + self.retried

    def counts_text(self) -> str:
        """How many jobs have ended and how, for log lines."""
        return f"{self.complete} jobs complete ◆ {self.failed} failed ◆ {self.retried} retries"

    def forget_dead_loops(self) -> None:
        """Let go of the tasks of an event loop that was closed under the worker: they never end."""
        for job_id, task in list(self.tasks.items()):
            if task.get_loop().is_closed():
                del self.tasks[job_id]

    def __str__(self) -> str:
        counts = f"j_complete={self.complete} j_failed={self.failed} j_retried={self.retried}"
        return f"{counts} j_ongoing={self.ongoing()}"
