"""`--check --fleet`: all pools of a queue, on all hosts, from what Redis knows. Asks no supervisor."""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from ..exit_codes import ProbeCode
from ..pool.job_counts import JobCounts
from ..printable_text import all_printable
from ..worker_id import parse_worker_id

VERSION = 1
HEALTHY, SILENT, OVERDUE = "healthy", "silent", "overdue"


class Member(NamedTuple):
    """One worker of some pool. `lease_s` is the time until it is presumed dead; below 0: it should be released."""

    pool: str
    host: str
    slot: int
    worker_id: str
    lease_s: float
    counts: JobCounts | None = None

    @property
    def state(self) -> str:
        """Healthy while its lease and its health key live; `silent` without the key, `overdue` without the lease."""
        return OVERDUE if self.lease_s <= 0 else HEALTHY if self.counts is not None else SILENT

    def as_json(self) -> dict[str, object]:
        """By name."""
        return {
            "slot": self.slot,
            "worker_id": self.worker_id,
            "state": self.state,
            "lease_s": round(self.lease_s, 1),
            "jobs": self.counts and self.counts.as_json(),
        }


def read_member(worker_id: str, lease_s: float) -> Member | None:
    """The worker of this id; None for one without a supervisor."""
    found = parse_worker_id(worker_id)
    return Member(found.pool, found.host, found.slot, worker_id, lease_s) if found is not None else None


class FleetPool(NamedTuple):
    """The workers of one pool on one host, by slot."""

    pool: str
    host: str
    workers: tuple[Member, ...]

    @property
    def healthy(self) -> int:
        """How many of them are."""
        return sum(worker.state == HEALTHY for worker in self.workers)

    def as_json(self) -> dict[str, object]:
        """By name."""
        workers = [worker.as_json() for worker in self.workers]
        return {"pool": self.pool, "host": self.host, "healthy": self.healthy, "workers": workers}


class FleetReport(NamedTuple):
    """The verdict on all pools of a queue. `queued` is the length of the queue."""

    status: str
    exit_code: int
    queue: str
    queued: int
    pools: tuple[FleetPool, ...]
    problems: tuple[str, ...]

    @property
    def healthy(self) -> int:
        """Workers that are healthy, in all pools."""
        return sum(pool.healthy for pool in self.pools)

    def as_json(self) -> dict[str, object]:
        """By name."""
        return {
            "v": VERSION,
            "status": self.status,
            "exit_code": self.exit_code,
            "queue": self.queue,
            "queued": self.queued,
            "healthy": self.healthy,
            "pools": [pool.as_json() for pool in self.pools],
            "problems": self.problems,
        }


def judge_fleet(
    queue: str, queued: int, members: Iterable[Member], min_healthy: int, away: Iterable[str] = ()
) -> FleetReport:
    """The report: healthy workers by pool and host.

    Args:
        away: what there is to say of servers that could not be asked: it is not well then.
    """
    groups: dict[tuple[str, str], list[Member]] = defaultdict(list)
    for member in sorted(members, key=lambda member: (member.slot, -member.lease_s)):
        groups[member.pool, member.host].append(member)
    pools = tuple(FleetPool(pool, host, tuple(found)) for (pool, host), found in sorted(groups.items()))
    away = list(away)
    problems = [
        f"{pool.pool}@{pool.host}: slot {worker.slot} is {worker.state}"
        for pool in pools
        for worker in pool.workers
        if worker.state != HEALTHY
    ]
    problems += away
    is_enough = not away and sum(pool.healthy for pool in pools) >= min_healthy
    code = ProbeCode.OK if is_enough else ProbeCode.FAILED
    status = "fail" if not is_enough else "degraded" if problems else "ok"
    return FleetReport(status, code, queue, queued, pools, tuple(problems))


def fleet_text(report: FleetReport) -> str:
    """For people."""
    report = all_printable(report)  # whoever can write to Redis has chosen some of it
    head = f"{report.status.upper()}  queue {report.queue}: {report.queued} queued"
    lines = [f"{head}, {report.healthy} healthy workers in {len(report.pools)} pools"]
    for pool in report.pools:
        jobs = sum((worker.counts for worker in pool.workers if worker.counts is not None), JobCounts())
        lines.append(
            f" {pool.pool}@{pool.host}  {pool.healthy}/{len(pool.workers)} healthy"
            f"  done {jobs.complete} failed {jobs.failed} ongoing {jobs.ongoing}"
        )
    return "\n".join([*lines, *(f"problem: {problem}" for problem in report.problems)]) + "\n"
