"""Jobs that were in a process that died, in one worker: how many others may run beside them, and how long. No I/O."""

from __future__ import annotations

import math

from .._crash_records import Crashes
from .._redis.scripts import Caution

#: Seconds after which a suspect that has done no harm gets neighbours again: then it is a long job as any other.
TRIAL_S = 30.0
#: For each further suspicion it takes so many times as long, up to `LONGEST_TRIAL_S`.
_TRIAL_FACTOR = 4
LONGEST_TRIAL_S = 3600.0
#: Seconds that a worker takes no jobs to make room for a suspect. What still runs then is a long job, and gets it as a
#: neighbour.
MAKE_ROOM_S = 30.0
#: Seconds after a whole trial for which a worker takes jobs as ever and makes room for no other suspect.
REST_S = 30.0
#: Seconds between two looks whether a suspect for which room is made is still there; less than `ROOM_MS` in
#: quarantine.lua.
_ASK_EVERY_S = 1.0
#: The same when the worker is empty, and it seems that nothing is in the way.
_LEAST_PAUSE_S = 0.05


def few(max_jobs: int) -> int:
    """How many jobs may run together with one that was suspected once, itself included."""
    return max(1, math.isqrt(max_jobs))


def trial_s(level: int) -> float:
    """Seconds for which a suspect keeps others out; `level`: how often it was suspected, at least 1."""
    return min(LONGEST_TRIAL_S, TRIAL_S * float(_TRIAL_FACTOR ** max(0, level - 2)))


class Suspects:
    """The suspects that a worker runs, and the one for which it makes room. Times are in s, by the loop's clock."""

    def __init__(self) -> None:
        #: how often it was suspected, and since when it runs
        self._running: dict[str, tuple[int, float]] = {}
        self._rest_until_s = -math.inf
        #: whether there is anything to be careful about
        self.is_careful = False
        #: id of the job for which room is made, '': none
        self.awaited = ""
        self._awaited_since_s = self._asked_at_s = 0.0

    def begin(self, job_id: str, crashes: Crashes, now_s: float) -> None:
        """A suspect starts."""
        self._running[job_id] = (crashes.level, now_s)
        self.is_careful = True

    def end(self, job_id: str, now_s: float) -> None:
        """A job has ended, which may be a suspect."""
        level, since_s = self._running.pop(job_id, (0, now_s))
        if level > 1 and now_s - since_s >= trial_s(level):
            self._rest_until_s = max(self._rest_until_s, since_s + trial_s(level) + REST_S)

    def await_(self, job_id: str, now_s: float) -> None:
        """Take no more jobs until there is room for this one; '': go on as ever."""
        if job_id != self.awaited:
            self._awaited_since_s = now_s
        self.awaited, self._asked_at_s = job_id, now_s
        self.is_careful = self.is_careful or bool(job_id)

    def places(self, max_jobs: int, now_s: float) -> int:
        """How many jobs the worker may run now, of `max_jobs`."""
        if self.awaited:
            return 0
        levels = [level for level, ends_s in self._trials() if ends_s > now_s]
        if not levels:
            return max_jobs
        return 1 if max(levels) > 1 else min(max_jobs, few(max_jobs) + self._passed(now_s))

    def settle(self, max_jobs: int, now_s: float) -> Caution:
        """What the next claim says about suspects; from now on nothing needs care if that is the case."""
        rests = now_s < self._rests_until_s(now_s)
        self.is_careful = bool(self._running or self.awaited or rests)
        return Caution(few(max_jobs), 0 if rests else self._passed(now_s), "leave" if rests else "room")

    def asks(self, max_jobs: int, busy: int, now_s: float) -> Caution | None:
        """What to say to get the job for which room is made, if it is time to ask; `busy`: jobs that run."""
        passed, silent_s = self._passed(now_s), now_s - self._asked_at_s
        if now_s - self._awaited_since_s >= MAKE_ROOM_S:
            return Caution(few(max_jobs), passed, "beside")
        if silent_s >= (_LEAST_PAUSE_S if busy <= passed else _ASK_EVERY_S):
            return Caution(few(max_jobs), passed, "room")
        return None

    def next_s(self, now_s: float) -> float:
        """When something changes without a job's end: the next question, or the end of a trial."""
        if self.awaited:
            return self._asked_at_s + _ASK_EVERY_S
        return min((ends_s for _, ends_s in self._trials() if ends_s > now_s), default=math.inf)

    def _trials(self) -> list[tuple[int, float]]:
        return [(level, since_s + trial_s(level)) for level, since_s in self._running.values()]

    def _passed(self, now_s: float) -> int:
        return sum(ends_s <= now_s for _, ends_s in self._trials())

    def _rests_until_s(self, now_s: float) -> float:
        """Until when other jobs have their turn, because suspects had the process to themselves for a whole trial."""
        over = [ends_s + REST_S for level, ends_s in self._trials() if level > 1 and ends_s <= now_s]
        return max([self._rest_until_s, *over])
