"""When a worker has served its time: its age, its jobs, its memory."""

from .state import ONE_BY_ONE, Child, Phase, Pool

RSS_STRIKES = 3


def plan_retirement(pool: Pool, child: Child, now: float) -> None:
    """Decide at its birth when a worker has lived long enough, a little different for each."""
    options = pool.options
    factor = 1 + options.recycle_jitter * (2 * pool.jitter() - 1)
    child.retire_s = now + options.max_lifetime_s * factor if options.max_lifetime_s else None
    child.most_jobs = max(1, round(options.max_jobs_per_child * factor)) if options.max_jobs_per_child else 0


def note_rss(pool: Pool, child: Child, rss_mb: float) -> None:
    """Three samples in a row above the limit, and it has grown too large."""
    child.rss_mb = rss_mb
    too_large = pool.options.max_rss_mb and rss_mb > pool.options.max_rss_mb
    child.rss_strikes = child.rss_strikes + 1 if too_large else 0


def look_for_old(pool: Pool, now: float) -> None:
    """Queue the workers that have served their time."""
    if pool.options.burst or pool.options.watch:
        return
    taken = {*pool.recycle, *(pool.rollout.waiting if pool.rollout else ())}
    for slot in pool.slots:
        child = slot.child
        if child is None or child.phase is not Phase.READY or slot.successor or slot.index in taken:
            continue
        if reason := _why_old(child, now):
            pool.say(
                "child.recycle", slot=slot.index, pid=child.pid, why=reason, rss_mb=round(child.rss_mb, 1)
            )
            child.retire_s, child.most_jobs, child.rss_strikes = None, 0, 0
            pool.recycle.append(slot.index)
            pool.tell_outgoing(child, pool.cohort(ONE_BY_ONE))


def _why_old(child: Child, now: float) -> str:
    if child.most_jobs and child.counts.ended >= child.most_jobs:
        return "jobs"
    if child.rss_strikes >= RSS_STRIKES:
        return "rss"
    return "lifetime" if child.retire_s is not None and now >= child.retire_s else ""
