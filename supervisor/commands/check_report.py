"""From what was found out about a pool to a verdict on its health. No I/O."""

from dataclasses import dataclass, field
from typing import Any

from ..pool.job_counts import JobCounts

NO_SUPERVISOR: dict[str, Any] = {
    "reachable": False, "pid": None, "state": None, "generation": None, "uptime_s": None, "procs": None,
    "ready": None, "restarts_total": None, "restarts_window": None, "last_reload": None, "quiet": None,
}  # fmt: skip


@dataclass(slots=True)
class SlotFacts:
    """One slot: what the supervisor says about it, and what its key says."""

    slot: int
    local: dict[str, Any] | None = None
    key: str | None = None
    counts: JobCounts | None = None
    has_key: bool = False

    def take_key(self, key: str, counts: JobCounts | None) -> None:
        """The key of this slot; no counts = it is not there."""
        self.key, self.counts, self.has_key = key, counts, counts is not None

    @property
    def is_fresh(self) -> bool:
        """The supervisor knows best; without it, a key that has not expired is a sign of life."""
        return bool(self.local["fresh"]) if self.local is not None else self.has_key


@dataclass(slots=True)
class Facts:
    """Everything that was found out."""

    pool: str
    host: str
    supervisor: dict[str, Any] | None = None
    slots: dict[int, SlotFacts] = field(default_factory=dict)
    queue: str | None = None
    health_key: str | None = None
    redis_checked: bool = False
    redis_reachable: bool = False
    latency_ms: float | None = None
    queued: int | None = None
    problems: list[str] = field(default_factory=list)

    def take_status(self, status: dict[str, Any]) -> None:
        """The supervisor's answer."""
        if not status:
            return
        self.pool, self.host, self.queue = status["pool"], status["host"], status["queue"]
        self.health_key = status["health_key"]
        if status["supervisor"]["redis_error"]:
            self.problems.append(f"the steward can not reach redis: {status['supervisor']['redis_error']}")
        self.supervisor = {name: status["supervisor"][name] for name in NO_SUPERVISOR}
        self.slots = {worker["slot"]: SlotFacts(worker["slot"], worker) for worker in status["workers"]}


def judge_check(facts: Facts, min_healthy: int, strict: bool) -> dict[str, Any]:
    """The report of `--check`, its verdict and exit code included."""
    workers = [_worker(slot) for _, slot in sorted(facts.slots.items())]
    totals = _totals(facts, workers)
    problems = list(facts.problems)
    problems += [text for worker in workers if (text := _problem(worker))]
    if (facts.supervisor or {}).get("quiet"):
        problems.append("the pool is quiet: it takes no new jobs until --ctl resume or a reload")
    code, status = _verdict(facts, totals, min_healthy, strict, bool(problems))
    return {
        "v": 1,
        "status": status,
        "exit_code": code,
        "pool": facts.pool,
        "host": facts.host,
        "supervisor": facts.supervisor or dict(NO_SUPERVISOR),
        "redis": {
            "checked": facts.redis_checked,
            "reachable": facts.redis_reachable if facts.redis_checked else None,
            "latency_ms": facts.latency_ms,
            "queue": facts.queue,
            "queued": facts.queued,
        },
        "workers": workers,
        "totals": totals,
        "problems": problems,
    }


def _problem(worker: dict[str, Any]) -> str:
    """What is wrong with a worker, "" if nothing is."""
    if worker["blocked_s"] is not None:
        return f"slot {worker['slot']}: its event loop has been blocked for {worker['blocked_s']:.1f} s"
    return "" if worker["fresh"] else f"slot {worker['slot']}: no fresh heartbeat"


def _verdict(
    facts: Facts, totals: dict[str, int], min_healthy: int, strict: bool, has_problems: bool
) -> tuple[int, str]:
    if facts.supervisor is None and not facts.redis_reachable:
        return 3, "unknown"
    is_redis_bad = facts.redis_checked and not facts.redis_reachable
    needed = max(totals["expected"], 1) if strict else min_healthy
    if totals["fresh"] < needed or is_redis_bad:
        return 1, "fail"
    return 0, "degraded" if has_problems or totals["fresh"] < totals["expected"] else "ok"


def _worker(slot: SlotFacts) -> dict[str, Any]:
    local = slot.local or {}
    jobs = local.get("jobs")
    # a key outlives its process for a moment: where the supervisor answers, it knows better
    if slot.local is None and slot.counts is not None:
        jobs = slot.counts.as_json()
    about = {
        name: local.get(name)
        for name in ("pid", "state", "blocked_s", "age_s", "generation", "uptime_s", "rss_mb")
    }
    if about["state"] is None:
        about["state"] = "alive" if slot.has_key else "missing"
    return {
        "slot": slot.slot,
        **about,
        "fresh": slot.is_fresh,
        "jobs": jobs,
        "key": slot.key,
        "last_exit": local.get("last_exit"),
        "retry_in_s": local.get("retry_in_s"),
        "restarts": local.get("restarts"),
    }


def _totals(facts: Facts, workers: list[dict[str, Any]]) -> dict[str, int]:
    names = ("complete", "failed", "retried", "ongoing")
    sums = {name: sum((worker["jobs"] or {}).get(name, 0) for worker in workers) for name in names}
    expected = (facts.supervisor or {}).get("procs") or len(workers)
    ready = (facts.supervisor or {}).get("ready")
    fresh = sum(worker["fresh"] for worker in workers)
    return {"expected": expected, "ready": fresh if ready is None else ready, "fresh": fresh, **sums}
