"""Which claims are open: Redis keeps one note of all jobs of a claim, which goes with the last of them. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from operator import itemgetter

from .._endings import Done, Ending
from .._redis.scripts import ClaimedJob

# by their places, which are the same in all kinds of endings: by their names it would take four times as long
_stamp_of_job, _id_of_job = (itemgetter(ClaimedJob._fields.index(name)) for name in ("stamp", "job_id"))
_stamp_of_ending = itemgetter(Done._fields.index("stamp"))
#: Mostly all jobs are of one or two claims.
_FEW = 3


def _by_stamp(stamps: list[bytes]) -> list[tuple[bytes, int]]:
    """How many there are of each claim."""
    claims = dict.fromkeys(stamps)
    if len(claims) <= _FEW:
        return [(stamp, stamps.count(stamp)) for stamp in claims]
    return list(Counter(stamps).items())


class Batches:
    """Counts the jobs of each claim that are not over, by the claim's stamp."""

    def __init__(self) -> None:
        self._open: dict[bytes, int] = {}

    def opened(self, jobs: Sequence[ClaimedJob], known: Mapping[str, object] | None = None) -> None:
        """Jobs were given to the worker.

        Args:
            jobs: those jobs.
            known: what runs already, by id: that is not run twice, and ends once.
        """
        if known and not known.keys().isdisjoint(map(_id_of_job, jobs)):
            jobs = [job for job in jobs if job.job_id not in known]
        self._open_more(list(map(_stamp_of_job, jobs)))

    def opened_nameless(self, endings: Sequence[Ending]) -> None:
        """The same for jobs that can't be run, by their endings."""
        self._open_more(list(map(_stamp_of_ending, endings)))

    def _open_more(self, stamps: list[bytes]) -> None:
        for stamp, count in _by_stamp(stamps):
            self._open[stamp] = self._open.get(stamp, 0) + count

    def over_with(self, endings: Sequence[Ending]) -> list[bytes]:
        """The claims of which nothing is open any more once these endings are written."""
        return [
            stamp
            for stamp, count in _by_stamp(list(map(_stamp_of_ending, endings)))
            if self._open.get(stamp) == count
        ]

    def closed(self, endings: Sequence[Ending]) -> None:
        """Endings were written."""
        for stamp, count in _by_stamp(list(map(_stamp_of_ending, endings))):
            left = self._open.get(stamp, count) - count
            if left > 0:
                self._open[stamp] = left
            else:
                self._open.pop(stamp, None)
