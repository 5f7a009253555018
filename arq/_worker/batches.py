"""Which claims are open: Redis keeps one note of all jobs of a claim, which goes with the last of them. No I/O."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .._endings import Ending
    from .._redis.scripts import ClaimedJob


class Batches:
    """Counts the jobs of each claim that are not over, by the claim's stamp."""

    def __init__(self) -> None:
        self._open: dict[bytes, int] = {}

    def opened(self, jobs: Sequence[ClaimedJob | Ending], known: Container[str | bytes] = ()) -> None:
        """Jobs were given to the worker.

        Args:
            jobs: those jobs, or the endings of jobs that can't be run.
            known: ids of jobs that run already: they are not run twice, and end once.
        """
        counts = self._open
        for job in jobs:
            if job.job_id not in known:
                counts[job.stamp] = counts.get(job.stamp, 0) + 1

    def over_with(self, endings: Sequence[Ending]) -> list[bytes]:
        """The claims of which nothing is open any more once these endings are written."""
        ended = Counter([ending.stamp for ending in endings])
        return [stamp for stamp, count in ended.items() if self._open.get(stamp) == count]

    def closed(self, endings: Sequence[Ending]) -> None:
        """Endings were written."""
        for stamp, count in Counter([ending.stamp for ending in endings]).items():
            left = self._open.get(stamp, count) - count
            if left > 0:
                self._open[stamp] = left
            else:
                self._open.pop(stamp, None)
