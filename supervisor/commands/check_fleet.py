"""`--check --fleet`: all pools of a queue, on all hosts, from what Redis knows. Asks no supervisor."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..pool.job_counts import JobCounts
from ..printable_text import all_printable
from ..worker_id import parse_worker_id

OVERDUE = "overdue"


@dataclass(frozen=True, slots=True)
class Member:
    """One worker of some pool. `lease_s` is the time until it is presumed dead; below 0: it should be released."""

    pool: str
    host: str
    slot: int
    worker_id: str
    lease_s: float
    counts: JobCounts | None = None


def read_member(worker_id: str, lease_s: float) -> Member | None:
    """The worker of this id; None for one without a supervisor."""
    found = parse_worker_id(worker_id)
    return Member(found.pool, found.host, found.slot, worker_id, lease_s) if found is not None else None


def judge_fleet(queue: str, queued: int, members: Iterable[Member], min_healthy: int) -> dict[str, Any]:
    """The report: healthy workers by pool and host. A worker is healthy while its lease and its health key live."""
    groups: dict[tuple[str, str], list[Member]] = defaultdict(list)
    for member in members:
        groups[member.pool, member.host].append(member)
    pools = [_pool(pool, host, found) for (pool, host), found in sorted(groups.items())]
    healthy = sum(pool["healthy"] for pool in pools)
    problems = [
        f"{pool['pool']}@{pool['host']}: slot {worker['slot']} is {worker['state']}"
        for pool in pools
        for worker in pool["workers"]
        if worker["state"] != "healthy"
    ]
    is_enough = healthy >= min_healthy
    status = "fail" if not is_enough else "degraded" if problems else "ok"
    return {
        "v": 1,
        "status": status,
        "exit_code": 0 if is_enough else 1,
        "queue": queue,
        "queued": queued,
        "healthy": healthy,
        "pools": pools,
        "problems": problems,
    }


def _pool(pool: str, host: str, members: list[Member]) -> dict[str, Any]:
    workers = [
        _worker(member) for member in sorted(members, key=lambda member: (member.slot, -member.lease_s))
    ]
    healthy = sum(worker["state"] == "healthy" for worker in workers)
    return {"pool": pool, "host": host, "healthy": healthy, "workers": workers}


def _worker(member: Member) -> dict[str, Any]:
    state = OVERDUE if member.lease_s <= 0 else "healthy" if member.counts is not None else "silent"
    return {
        "slot": member.slot,
        "worker_id": member.worker_id,
        "state": state,
        "lease_s": round(member.lease_s, 1),
        "jobs": None if member.counts is None else member.counts.as_json(),
    }


def fleet_text(report: dict[str, Any]) -> str:
    """For people."""
    report = all_printable(report)  # whoever can write to Redis has chosen some of it
    pools = report["pools"]
    head = f"{report['status'].upper()}  queue {report['queue']}: {report['queued']} queued"
    lines = [f"{head}, {report['healthy']} healthy workers in {len(pools)} pools"]
    for pool in pools:
        sums = {name: sum((worker["jobs"] or {}).get(name, 0) for worker in pool["workers"])
                for name in ("complete", "failed", "ongoing")}  # fmt: skip
        lines.append(
            f" {pool['pool']}@{pool['host']}  {pool['healthy']}/{len(pool['workers'])} healthy"
            f"  done {sums['complete']} failed {sums['failed']} ongoing {sums['ongoing']}"
        )
    return "\n".join([*lines, *(f"problem: {problem}" for problem in report["problems"])]) + "\n"
