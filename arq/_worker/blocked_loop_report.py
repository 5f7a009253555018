"""Says which job holds up the others."""

from __future__ import annotations

import asyncio
from typing import Any

from . import job_log
from .blocked_loop import Standstill, Standstills
from .context import Context

#: A job that holds up the event loop for so many seconds is told of, and its function again after so many more.
_WORTH_TELLING_S, _TELL_AGAIN_S = 0.5, 60.0


class StandstillReport:
    """What is said of standstills of the event loop.

    Args:
        context: the worker's.

    Attributes:
        standstills: measures them while jobs run.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self.standstills = Standstills(
            lambda: bool(context.jobs.job_tasks),
            lambda: context.jobs.started,
            self._name_of,
            self._tell,
            self._is_held_up,
        )
        #: until when nothing is said of a function that holds up the others
        self._told_until_s: dict[str, float] = {}

    def _name_of(self, task: asyncio.Task[Any]) -> str:
        """What log lines call a task that blocks the loop: mostly it is a job's."""
        jobs = self._context.jobs
        for job_id, job_task in list(jobs.job_tasks.items()):
            if job_task is task:
                return f"job {job_id}:{jobs.names.get(job_id, '?')}"
        return f"task {getattr(task.get_coro(), '__qualname__', task.get_name())}"

    def _tell(self, standstill: Standstill) -> None:
        """Say what holds up the jobs; not each time."""
        now_s = self._context.clock()
        function = standstill.name.rpartition(":")[2]
        is_alone = self._context.options.max_jobs == 1 and standstill.task is not None
        if standstill.seconds < _WORTH_TELLING_S or is_alone or now_s < self._told_until_s.get(function, 0.0):
            return
        self._told_until_s[function] = now_s + _TELL_AGAIN_S
        job_log.stood_still(standstill)

    def _is_held_up(self) -> None:
        on_held_up = self._context.options.on_held_up
        if on_held_up is not None:
            on_held_up()
