"""From what was found out about a pool to a verdict on its health. No I/O."""

import datetime
from dataclasses import dataclass, field
from typing import NamedTuple

from ..exit_codes import ProbeCode
from ..pool.job_counts import JobCounts
from ..pool.status import PoolStatus, SlotStatus, SupervisorStatus

VERSION = 1
# what a report shows of the supervisor
SHOWN = ("reachable", "pid", "state", "generation", "uptime_s", "procs", "ready", "restarts_total", "restarts_window",
         "last_reload", "quiet")  # fmt: skip
NO_SUPERVISOR: dict[str, object] = {**dict.fromkeys(SHOWN), "reachable": False}


class CheckRequest(NamedTuple):
    """What is to be checked. `settings` is "" when Redis is not to be asked, or is reached by `redis_url`."""

    pool: str
    host: str
    control: str = ""
    settings: str = ""
    redis_url: str = ""
    procs: int | None = None
    local: bool = False
    strict: bool = False
    min_healthy: int = 1
    as_json: bool = False


@dataclass(slots=True)
class SlotFacts:
    """One slot: what the supervisor says about it, and what its key says."""

    slot: int
    local: SlotStatus | None = None
    key: str | None = None
    counts: JobCounts | None = None
    has_key: bool = False

    def take_key(self, key: str, counts: JobCounts | None) -> None:
        """The key of this slot; no counts = it is not there."""
        self.key, self.counts, self.has_key = key, counts, counts is not None

    @property
    def is_fresh(self) -> bool:
        """The supervisor knows best; without it, a key that has not expired is a sign of life."""
        return self.local.is_fresh if self.local is not None else self.has_key


@dataclass(slots=True)
class Facts:
    """Everything that was found out."""

    pool: str
    host: str
    supervisor: SupervisorStatus | None = None
    slots: dict[int, SlotFacts] = field(default_factory=dict)
    queue: str | None = None
    health_key: str | None = None
    redis_checked: bool = False
    redis_reachable: bool = False
    latency_ms: float | None = None
    queued: int | None = None
    problems: list[str] = field(default_factory=list)

    def take_status(self, status: PoolStatus) -> None:
        """The supervisor's answer."""
        self.pool, self.host, self.queue = status.pool, status.host, status.queue
        self.health_key = status.health_key
        if status.supervisor.redis_error:
            self.problems.append(f"the steward can not reach redis: {status.supervisor.redis_error}")
        self.supervisor = status.supervisor
        self.slots = {slot.slot: SlotFacts(slot.slot, slot) for slot in status.workers}


class CheckedWorker(NamedTuple):
    """One slot in the report; None is what nobody knows."""

    slot: int
    pid: int | None
    state: str
    blocked_s: float | None
    age_s: float | None
    generation: int | None
    uptime_s: float | None
    rss_mb: float | None
    fresh: bool
    jobs: JobCounts | None
    key: str | None
    last_exit: str | None
    retry_in_s: float | None
    restarts: int | None

    @property
    def problem(self) -> str:
        """What is wrong with it, "" if nothing is."""
        if self.blocked_s is not None:
            return f"slot {self.slot}: its event loop has been blocked for {self.blocked_s:.1f} s"
        return "" if self.fresh else f"slot {self.slot}: no fresh heartbeat"

    def as_json(self) -> dict[str, object]:
        """By name."""
        return {**self._asdict(), "jobs": self.jobs and self.jobs.as_json()}


class Totals(NamedTuple):
    """Sums over all slots."""

    expected: int
    ready: int
    fresh: int
    jobs: JobCounts

    def as_json(self) -> dict[str, int]:
        """By name."""
        return {"expected": self.expected, "ready": self.ready, "fresh": self.fresh, **self.jobs.as_json()}


class CheckReport(NamedTuple):
    """The verdict and what it rests on. `supervisor` is None when it did not answer."""

    status: str
    exit_code: int
    pool: str
    host: str
    supervisor: SupervisorStatus | None
    redis_checked: bool
    redis_reachable: bool
    latency_ms: float | None
    queue: str | None
    queued: int | None
    workers: tuple[CheckedWorker, ...]
    totals: Totals
    problems: tuple[str, ...]

    def as_json(self, now: datetime.datetime) -> dict[str, object]:
        """By name. The supervisor counts in seconds since; a report is read later, and gets times of the day."""
        return {
            "v": VERSION,
            "status": self.status,
            "exit_code": self.exit_code,
            "pool": self.pool,
            "host": self.host,
            "supervisor": dict(NO_SUPERVISOR) if self.supervisor is None else _boss(self.supervisor, now),
            "redis": {
                "checked": self.redis_checked,
                "reachable": self.redis_reachable if self.redis_checked else None,
                "latency_ms": self.latency_ms,
                "queue": self.queue,
                "queued": self.queued,
            },
            "workers": [worker.as_json() for worker in self.workers],
            "totals": self.totals.as_json(),
            "problems": self.problems,
            "time": _iso(now),
        }


def _boss(supervisor: SupervisorStatus, now: datetime.datetime) -> dict[str, object]:
    shown = {name: getattr(supervisor, name) for name in SHOWN}
    if (reload := supervisor.last_reload) is not None:
        ended = now - datetime.timedelta(seconds=reload.age_s)
        shown["last_reload"] = {"ok": reload.ok, "at": _iso(ended), "error": reload.error}
    return shown


def _iso(moment: datetime.datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def judge_check(facts: Facts, min_healthy: int, strict: bool) -> CheckReport:
    """The report of `--check`, its verdict and exit code included."""
    workers = tuple(_worker(slot) for _, slot in sorted(facts.slots.items()))
    totals = _totals(facts, workers)
    problems = [*facts.problems, *filter(None, (worker.problem for worker in workers))]
    if facts.supervisor is not None and facts.supervisor.quiet:
        problems.append("the pool is quiet: it takes no new jobs until --ctl resume or a reload")
    code, status = _verdict(facts, totals, min_healthy, strict, bool(problems))
    return CheckReport(
        status=status,
        exit_code=code,
        pool=facts.pool,
        host=facts.host,
        supervisor=facts.supervisor,
        redis_checked=facts.redis_checked,
        redis_reachable=facts.redis_reachable,
        latency_ms=facts.latency_ms,
        queue=facts.queue,
        queued=facts.queued,
        workers=workers,
        totals=totals,
        problems=tuple(problems),
    )


def _verdict(
    facts: Facts, totals: Totals, min_healthy: int, strict: bool, has_problems: bool
) -> tuple[int, str]:
    if facts.supervisor is None and not facts.redis_reachable:
        return ProbeCode.UNKNOWN, "unknown"
    is_redis_bad = facts.redis_checked and not facts.redis_reachable
    needed = max(totals.expected, 1) if strict else min_healthy
    if totals.fresh < needed or is_redis_bad:
        return ProbeCode.FAILED, "fail"
    return ProbeCode.OK, "degraded" if has_problems or totals.fresh < totals.expected else "ok"


def _worker(facts: SlotFacts) -> CheckedWorker:
    slot = facts.local
    process = slot.worker if slot is not None else None
    # a key outlives its process for a moment: where the supervisor answers, it knows better
    jobs = facts.counts if slot is None else process.jobs if process is not None else None
    return CheckedWorker(
        slot=facts.slot,
        pid=process.pid if process else None,
        state=slot.state if slot else "alive" if facts.has_key else "missing",
        blocked_s=process.blocked_s if process else None,
        age_s=process.age_s if process else None,
        generation=process.generation if process else None,
        uptime_s=process.uptime_s if process else None,
        rss_mb=process.rss_mb if process else None,
        fresh=facts.is_fresh,
        jobs=jobs,
        key=facts.key,
        last_exit=slot.last_exit if slot else None,
        retry_in_s=slot.retry_in_s if slot else None,
        restarts=slot.restarts if slot else None,
    )


def _totals(facts: Facts, workers: tuple[CheckedWorker, ...]) -> Totals:
    jobs = sum((worker.jobs for worker in workers if worker.jobs is not None), JobCounts())
    fresh = sum(worker.fresh for worker in workers)
    boss = facts.supervisor
    return Totals(
        expected=(boss.procs if boss else 0) or len(workers),
        ready=boss.ready if boss else fresh,
        fresh=fresh,
        jobs=jobs,
    )
