"""How many more jobs a worker may run at the same time."""

from __future__ import annotations

from .context import Context
from .crash_suspects import Suspects
from .semaphore import Semaphore


class JobSlots:
    """Counts the free ones of a worker's `max_jobs` places.

    Args:
        context: the worker's.
        suspects: jobs that may not have many others beside them.
    """

    def __init__(self, context: Context, suspects: Suspects) -> None:
        self._context = context
        self._suspects = suspects
        #: places that were taken by code that overrides parts of a worker
        self._counted = 0
        self._semaphore: Semaphore | None = None

    @property
    def taken(self) -> int:
        """Places that are taken. What somebody adds to it counts, too."""
        return len(self._context.jobs.slots) + self._counted

    @taken.setter
    def taken(self, number: int) -> None:
        self._counted = number - len(self._context.jobs.slots)

    @property
    def semaphore(self) -> Semaphore:
        """One with a place more than `max_jobs`. Places that are taken there are missing to the jobs."""
        if self._semaphore is None:
            self._semaphore = Semaphore(self._context.options.max_jobs + 1)
        return self._semaphore

    def room(self) -> int:
        """Places for jobs, if any may be taken."""
        context, suspects = self._context, self._suspects
        if context.stopping or not context.may_pick_jobs:
            return 0
        max_jobs = context.options.max_jobs
        most = suspects.places(max_jobs, context.clock()) if suspects.is_careful else max_jobs
        free = most - len(context.jobs.slots) - self._counted
        return free if self._semaphore is None else min(free, free + 1 - self._semaphore.taken)

    def left_in_burst(self) -> int:
        """How many more jobs may be started; as many as there are places unless a burst is limited."""
        options = self._context.options
        is_limited = options.burst and options.max_burst_jobs >= 0
        return options.max_burst_jobs - self._context.jobs.started if is_limited else options.max_jobs
