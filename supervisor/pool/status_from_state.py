"""From the state of a pool to what others see of it: for `--ctl status`, `top`, `--check` and the metrics."""

from collections.abc import Mapping
from itertools import islice

from ..host.usage import Usage
from .events import Role
from .state import Child, Phase, Pool, Slot
from .status import (
    Headcount,
    HelperStatus,
    PoolStatus,
    QueueStatus,
    ReloadStatus,
    SlotStatus,
    SupervisorStatus,
    WorkerStatus,
)

MOST_LOST = 100
STATES = {
    Phase.BOOTING: "booting",
    Phase.LOADED: "loaded",
    Phase.READY: "ready",
    Phase.DRAINING: "draining",
    Phase.CANCELLING: "cancelling",
    Phase.HUNG: "hung",
    Phase.ABORTING: "aborting",
    Phase.KILLED: "killed",
}


def take_status(pool: Pool, now: float, pid: int, host: str, usage: Mapping[int, Usage]) -> PoolStatus:
    """The whole state; `usage` is by pid."""
    report = next((child.report for child in pool.workers() if child.report is not None), None)
    return PoolStatus(
        pool=pool.options.name,
        host=host,
        queue=report.queue if report else None,
        queue_state=_queue(pool),
        health_key=report.health_key if report else None,
        supervisor=_supervisor(pool, now, pid, usage.get(pid, Usage())),
        workers=tuple(_slot(slot, pool, now, usage) for slot in pool.slots),
        leaving=tuple(_worker(child, pool, now, usage) for child in _leaving(pool)),
        helpers=tuple(_helpers(pool, now, usage)),
        past=pool.past,
    )


def take_headcount(pool: Pool, now: float) -> Headcount:
    """How many workers there are, and how many of them work."""
    working = pool.working_count(now)
    blocked = pool.ready_count() - working
    return Headcount(state_of(pool), ready=working, blocked=blocked, procs=pool.target, quiet=pool.is_quiet)


def _queue(pool: Pool) -> QueueStatus:
    seen = pool.queue_state
    return QueueStatus() if seen is None else QueueStatus(seen.depth, round(seen.oldest_due_s, 3))


def _supervisor(pool: Pool, now: float, pid: int, used: Usage) -> SupervisorStatus:
    return SupervisorStatus(
        pid=pid,
        state=state_of(pool),
        generation=pool.generation,
        uptime_s=round(now - pool.started_s, 1),
        procs=pool.target,
        ready=pool.working_count(now),
        restarts_total=pool.restarts_total,
        restarts_window=pool.limit.within(now),
        exits=dict(pool.exits),
        reloads_ok=pool.reloads_ok,
        last_reload=_last_reload(pool, now),
        quiet=pool.is_quiet,
        redis_error=pool.redis_error or None,
        lost=tuple(islice(pool.lost, MOST_LOST)),
        rss_mb=used.rss_mb,
        cpu_s=used.cpu_s,
    )


def _last_reload(pool: Pool, now: float) -> ReloadStatus | None:
    last = pool.last_reload
    return (
        None if last is None else ReloadStatus(last.is_ok, round(now - last.ended_s, 1), last.error or None)
    )


def state_of(pool: Pool) -> str:
    """booting, running, reloading, waiting (for a change or for Redis) or stopping."""
    if pool.stopping is not None:
        return "stopping"
    if pool.waits_for_change or (pool.tempfail_since_s is not None and not pool.ready_count()):
        return "waiting"
    if not pool.was_ready:
        return "booting"
    return "reloading" if pool.rollout is not None else "running"


def _slot(slot: Slot, pool: Pool, now: float, usage: Mapping[int, Usage]) -> SlotStatus:
    ended_s = slot.last_exit_s
    child = slot.child or slot.successor  # stop-first: the one that is to come, when the old one has left
    worker = None if child is None else _worker(child, pool, now, usage)
    waits = worker is None and not slot.is_done
    return SlotStatus(
        slot=slot.index,
        last_exit=slot.last_exit or None,
        last_exit_age_s=None if ended_s is None else round(now - ended_s, 1),
        restarts=slot.backoff.failures,
        worker=worker,
        state=worker.state if worker is not None else "backoff" if waits else "done",
        retry_in_s=round(max(0.0, slot.not_before_s - now), 1) if waits else None,
    )


def _worker(child: Child, pool: Pool, now: float, usage: Mapping[int, Usage]) -> WorkerStatus:
    age_s = child.beat_age_s(now)
    used = usage.get(child.pid, Usage())
    overdue_s, is_blocked = child.overdue_s(pool.options, now), child.is_blocked(pool.options, now)
    is_live = child.phase is Phase.READY and is_fresh(age_s, pool.options.health_interval_s)
    return WorkerStatus(
        slot=child.slot,
        pid=child.pid,
        worker_id=child.worker_id,
        state="stalled" if child.is_stalled else "blocked" if is_blocked else STATES[child.phase],
        blocked_s=round(overdue_s, 1) if is_blocked else None,
        fresh=is_live and not is_blocked,
        age_s=None if age_s is None else round(age_s, 1),
        generation=child.generation,
        uptime_s=round(now - child.born_s, 1),
        rss_mb=used.rss_mb,
        cpu_s=used.cpu_s,
        lag_ms=round(max(child.lag_ms, overdue_s * 1000), 1),
        lag_max_ms=round(max(child.lags_ms.at(now), overdue_s * 1000), 1),
        jobs=child.counts,
        running=tuple(f"{job_id}:{name}" for job_id, name in child.running),
    )


def is_fresh(age_s: float | None, health_interval_s: float) -> bool:
    """Was there a sign of life within three periods?"""
    return age_s is not None and age_s <= 3 * health_interval_s


def _leaving(pool: Pool) -> list[Child]:
    return [child for child in pool.workers() if pool.slot_of(child) is None]


def _helpers(pool: Pool, now: float, usage: Mapping[int, Usage]) -> list[HelperStatus]:
    spares = [child for child in pool.children.values() if child.role is Role.SPARE]
    own = [_helper(slot.role, slot.child, now, usage) for slot in pool.helpers.values()]
    own = [one._replace(address=pool.web_address) if one.role == Role.WEB else one for one in own]
    return [*own, *(_helper(Role.SPARE, child, now, usage) for child in spares)]


def _helper(role: Role, child: Child | None, now: float, usage: Mapping[int, Usage]) -> HelperStatus:
    if child is None:
        return HelperStatus(role.value, state="backoff")
    used = usage.get(child.pid, Usage())
    uptime_s = round(now - child.born_s, 1)
    return HelperStatus(role.value, child.pid, STATES[child.phase], uptime_s, used.rss_mb, used.cpu_s)
