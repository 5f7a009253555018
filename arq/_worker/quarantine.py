"""A worker and the jobs that were in a process that died: it tries them with few or no others beside them."""

from __future__ import annotations

from .._crash_records import Crashes
from . import job_log
from .context import Context
from .crash_suspects import Suspects
from .job_slots import JobSlots


class Quarantine:
    """Makes room for suspects.

    Args:
        context: the worker's.
        suspects: those that run, and the one for which room is made.
        slots: the places for jobs.
    """

    def __init__(self, context: Context, suspects: Suspects, slots: JobSlots) -> None:
        self._context = context
        self._suspects = suspects
        self._slots = slots

    def begin(self, job_id: str, crashes: Crashes) -> None:
        """One of them starts."""
        job_log.suspect(job_id, crashes)
        self._suspects.begin(job_id, crashes, self._context.clock())

    def make_room(self, job_id: str) -> None:
        """Take nothing but this job from now on; '': there is none. Nobody would ask for it where no loop runs."""
        if not self._context.in_main:
            return
        if job_id and job_id != self._suspects.awaited:
            job_log.makes_room(job_id)
        self._suspects.await_(job_id, self._context.clock())

    def asked_for(self) -> tuple[str, ...]:
        """Say what claims say about suspects, and return the one for which there is room now, if it is awaited."""
        context, suspects = self._context, self._suspects
        max_jobs, now_s, exchange = context.options.max_jobs, context.clock(), context.exchange()
        exchange.caution = suspects.settle(max_jobs, now_s)
        if not suspects.awaited:
            return ()
        if self._slots.left_in_burst() <= 0 or not context.may_pick_jobs or context.stopping:
            suspects.await_("", now_s)
            return ()
        caution = suspects.asks(max_jobs, len(context.jobs.slots), now_s)
        if caution is None:
            return ()
        exchange.caution = caution
        return (suspects.awaited,)
