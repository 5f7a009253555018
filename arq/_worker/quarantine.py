"""A worker and the jobs that were in a process that died: it tries them with few or no others beside them."""

from __future__ import annotations

from .._crashes import Crashes
from . import report
from .state import WorkerState


class Quarantine(WorkerState):
    """The part of a worker that makes room for suspects."""

    def _note_suspect(self, job_id: str, crashes: Crashes) -> None:
        """One of them starts."""
        report.suspect(job_id, crashes)
        self._suspects.begin(job_id, crashes, self._clock())

    def _make_room(self, job_id: str) -> None:
        """Take nothing but this job from now on; '': there is none. Nobody would ask for it where no loop runs."""
        if not self._in_main:
            return
        if job_id and job_id != self._suspects.awaited:
            report.makes_room(job_id)
        self._suspects.await_(job_id, self._clock())

    def _be_careful(self) -> tuple[str, ...]:
        """Say what claims say about suspects, and return the one for which there is room now, if it is awaited."""
        pump, suspects, now_s = self._get_pump(), self._suspects, self._clock()
        pump.caution = suspects.settle(self.max_jobs, now_s)
        if not suspects.awaited:
            return ()
        if self._room_in_burst() <= 0 or not self.allow_pick_jobs or self._stopping:
            suspects.await_("", now_s)
            return ()
        caution = suspects.asks(self.max_jobs, len(self._slots), now_s)
        if caution is None:
            return ()
        pump.caution = caution
        return (suspects.awaited,)

    def _room_in_burst(self) -> int:
        """How many more jobs may be started; as many as there are places unless a burst is limited."""
        is_limited = self.burst and self.max_burst_jobs >= 0
        return self.max_burst_jobs - self._started if is_limited else self.max_jobs
