"""What a pool looks like from outside: one value for `--ctl status`, `top`, `--check` and the metrics."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .state import Child, Phase, Pool, Slot

MOST_LOST = 100
STATES = {
    Phase.BOOTING: "booting",
    Phase.READY: "ready",
    Phase.DRAINING: "draining",
    Phase.CANCELLING: "cancelling",
    Phase.HUNG: "hung",
    Phase.ABORTING: "aborting",
    Phase.KILLED: "killed",
}


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process uses: resident memory and processor time since it started."""

    rss_mb: float = 0.0
    cpu_s: float = 0.0


def take_status(pool: Pool, now: float, pid: int, host: str, usage: Mapping[int, Usage]) -> dict[str, Any]:
    """The whole state; `usage` is by pid."""
    reports = [child.report for child in pool.workers() if child.report is not None]
    return {
        "v": 1,
        "pool": pool.options.name,
        "host": host,
        "queue": reports[0].queue if reports else None,
        "queue_state": {
            "depth": pool.queue_state.depth if pool.queue_state else None,
            "oldest_due_s": round(pool.queue_state.oldest_due_s, 3) if pool.queue_state else None,
        },
        "health_key": reports[0].health_key if reports else None,
        "supervisor": _supervisor(pool, now, pid, usage),
        "workers": [_slot(slot, pool, now, usage) for slot in pool.slots],
        "leaving": [_child(child, pool, now, usage) for child in _leaving(pool)],
        "helpers": [_helper(slot, now, usage) for slot in pool.helpers.values()],
        "past": asdict(pool.past),
    }


def take_headcount(pool: Pool, now: float) -> dict[str, Any]:
    """What the probes need to know, and no more."""
    working = pool.working_count(now)
    return {
        "state": state_of(pool),
        "ready": working,
        "blocked": pool.ready_count() - working,
        "procs": pool.target,
        "quiet": pool.is_quiet,
    }


def _supervisor(pool: Pool, now: float, pid: int, usage: Mapping[int, Usage]) -> dict[str, Any]:
    reload = pool.last_reload
    return {
        "reachable": True,
        "pid": pid,
        "state": state_of(pool),
        "generation": pool.generation,
        "uptime_s": round(now - pool.started_s, 1),
        "procs": pool.target,
        "ready": pool.working_count(now),
        "restarts_total": pool.restarts_total,
        "restarts_window": pool.limit.within(now),
        "exits": dict(pool.exits),
        "reloads_ok": pool.reloads_ok,
        "last_reload": None
        if reload is None
        else {"ok": reload[0], "age_s": round(now - reload[1], 1), "error": reload[2] or None},
        "quiet": pool.is_quiet,
        "redis_error": pool.redis_error or None,
        "lost": list(pool.lost)[:MOST_LOST],
        "rss_mb": usage.get(pid, Usage()).rss_mb,
        "cpu_s": usage.get(pid, Usage()).cpu_s,
    }


def state_of(pool: Pool) -> str:
    """booting, running, reloading, waiting (for a change or for Redis) or stopping."""
    if pool.stopping is not None:
        return "stopping"
    if pool.waits_for_change or (pool.tempfail_since_s is not None and not pool.ready_count()):
        return "waiting"
    if not pool.was_ready:
        return "booting"
    return "reloading" if pool.rollout is not None else "running"


def _slot(slot: Slot, pool: Pool, now: float, usage: Mapping[int, Usage]) -> dict[str, Any]:
    ended_s = slot.last_exit_s
    about = {
        "slot": slot.index,
        "last_exit": slot.last_exit or None,
        "last_exit_age_s": None if ended_s is None else round(now - ended_s, 1),
        "restarts": slot.backoff.failures,
    }
    if slot.child is None:
        state = "done" if slot.is_done else "backoff"
        wait_s = None if slot.is_done else round(max(0.0, slot.not_before_s - now), 1)
        return {**about, "pid": None, "state": state, "fresh": False, "retry_in_s": wait_s}
    return {**about, **_child(slot.child, pool, now, usage)}


def _child(child: Child, pool: Pool, now: float, usage: Mapping[int, Usage]) -> dict[str, Any]:
    age_s = child.beat_age_s(now)
    used = usage.get(child.pid, Usage())
    overdue_s, is_blocked = child.overdue_s(pool.options, now), child.is_blocked(pool.options, now)
    return {
        "slot": child.slot,
        "pid": child.pid,
        "worker_id": child.worker_id,
        "state": "stalled" if child.is_stalled else "blocked" if is_blocked else STATES[child.phase],
        "blocked_s": round(overdue_s, 1) if is_blocked else None,
        "fresh": child.phase is Phase.READY
        and is_fresh(age_s, pool.options.health_interval_s)
        and not is_blocked,
        "age_s": None if age_s is None else round(age_s, 1),
        "generation": child.generation,
        "uptime_s": round(now - child.born_s, 1),
        "rss_mb": used.rss_mb,
        "cpu_s": used.cpu_s,
        "lag_ms": round(max(child.lag_ms, overdue_s * 1000), 1),
        "lag_max_ms": round(max(child.lags_ms.at(now), overdue_s * 1000), 1),
        "jobs": child.counts.as_json(),
        "queued": child.counts.queued,
        "running": [f"{job_id}:{name}" for job_id, name in child.running],
    }


def is_fresh(age_s: float | None, health_interval_s: float) -> bool:
    """Was there a sign of life within three periods?"""
    return age_s is not None and age_s <= 3 * health_interval_s


def _leaving(pool: Pool) -> list[Child]:
    return [child for child in pool.workers() if pool.slot_of(child) is None]


def _helper(slot: Slot, now: float, usage: Mapping[int, Usage]) -> dict[str, Any]:
    child = slot.child
    if child is None:
        return {"role": slot.role.value, "pid": None, "state": "backoff"}
    used = usage.get(child.pid, Usage())
    return {
        "role": slot.role.value,
        "pid": child.pid,
        "state": STATES[child.phase],
        "uptime_s": round(now - child.born_s, 1),
        "rss_mb": used.rss_mb,
        "cpu_s": used.cpu_s,
    }
