"""What the parent tells the steward: who is alive, whose jobs are to be given back. Plain values, no I/O."""

from collections import defaultdict
from dataclasses import dataclass, field, replace
from itertools import islice

from ..pool.job_counts import JobCounts
from ..pool.state import Phase, Pool

MOST_LOST = 500  # the others follow when these are released


@dataclass(frozen=True, slots=True)
class Entry:
    """One worker. `redis` names its Redis settings; `beat_age_s` is the time since its last beat.

    `why` and `detail` of one that is lost: see `arq._redis.membership.release`.
    """

    worker_id: str
    slot: int
    redis: str
    health_key: str
    counts: JobCounts = field(default_factory=JobCounts)
    beat_age_s: float = 0.0
    why: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Roster:
    """Everybody at one moment. `past` sums up the workers that are gone."""

    alive: tuple[Entry, ...] = ()
    lost: tuple[Entry, ...] = ()
    past: JobCounts = field(default_factory=JobCounts)
    queue: str = ""

    def by_redis(self) -> dict[str, list[Entry]]:
        """Living workers, grouped by the Redis they use; those that keep their own lease are left out."""
        groups: dict[str, list[Entry]] = defaultdict(list)
        for entry in self.alive:
            if entry.redis:
                groups[entry.redis].append(entry)
        return dict(groups)

    def membership(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What the steward must hear of at once when it changes."""
        return tuple(entry.worker_id for entry in self.alive), tuple(entry.worker_id for entry in self.lost)


def merge_by_key(entries: list[Entry], past: JobCounts) -> dict[str, JobCounts]:
    """The sum for each plain health key: counts add up, the length of the queue is the queue's."""
    sums: dict[str, JobCounts] = {}
    for entry in sorted(entries, key=lambda entry: -entry.beat_age_s):
        total = sums.get(entry.health_key, past) + entry.counts
        sums[entry.health_key] = replace(total, queued=entry.counts.queued)
    return sums


def take_roster(pool: Pool, now: float) -> Roster:
    """The roster of this pool."""
    alive = [
        Entry(
            worker_id=child.worker_id,
            slot=child.slot,
            redis=child.report.redis,
            health_key=child.report.health_key,
            counts=child.counts,
            beat_age_s=round(child.beat_age_s(now) or 0.0, 3),
        )
        for child in pool.workers()
        if child.report is not None and child.phase >= Phase.READY
    ]
    lost = [
        Entry(worker_id, 0, loss.report.redis, loss.report.health_key, why=loss.why, detail=loss.detail)
        for worker_id, loss in islice(pool.lost.items(), MOST_LOST)
    ]
    return Roster(tuple(alive), tuple(lost), pool.past, pool.report.queue if pool.report else "")
