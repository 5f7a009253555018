"""Names of arq's `Worker` that only code uses which was written for it: subclasses that have its steps copied."""

from __future__ import annotations

import asyncio
from typing import Any

from .job_table import JobTable
from .semaphore import Semaphore


class ArqNames:
    """Adds them to a worker."""

    #: arq's `_poll_iteration` reads the queue from here on
    _queue_read_offset = 0

    tasks: dict[str, asyncio.Task[Any]]
    job_completion_wait: float
    job_counter: int
    sem: Semaphore
    _jobs: JobTable

    @property
    def _job_completion_wait(self) -> float:
        return self.job_completion_wait

    @_job_completion_wait.setter
    def _job_completion_wait(self, seconds: float) -> None:
        self.job_completion_wait = seconds

    def _jobs_started(self) -> int:
        return self._jobs.started

    def _release_sem_dec_counter_on_complete(self) -> None:
        self.job_counter -= 1
        self.sem.release()

    async def _sleep_until_tasks_complete(self) -> None:
        while self.tasks:
            await asyncio.wait(list(self.tasks.values()))
