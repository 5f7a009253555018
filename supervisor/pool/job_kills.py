"""Workers that a job has killed: that says nothing of the pool, and is no reason to give it up or to wait longer."""

from collections.abc import Iterator

from .events import Released
from .state import Loss, Pool

# so many times the restart limit in a row, without one job that is completed, and it is the pool after all
MOST_TRIALS = 10
# how long the steward may take to tell whose fault a death was, before the pool is given up for it
PATIENCE_S = 3.0


def is_known(pool: Pool, now: float) -> bool:
    """Is it known of all workers that have died lately whether a job is to blame? Where none may die, nobody asks."""
    return not pool.limit.most or all(now - loss.lost_s >= PATIENCE_S for loss in pool.lost.values())


def deadlines(pool: Pool) -> Iterator[float]:
    """When that is so, whatever the steward says."""
    if pool.has_too_many_failures:
        yield from (loss.lost_s + PATIENCE_S for loss in pool.lost.values())


def hear(pool: Pool, event: Released, loss: Loss) -> None:
    """The steward tells what a dead worker ran. A job that is found guilty, or a suspect on trial, excuses the pool."""
    if not event.blamed and not event.is_trial:
        return
    complete = pool.past.complete + sum(child.counts.complete for child in pool.workers())
    pool.trials = pool.trials + 1 if complete == pool.complete_at_trial else 1
    pool.complete_at_trial = complete
    if pool.trials > MOST_TRIALS * pool.limit.most:
        return
    pool.limit.forget(loss.lost_s)
    for slot in pool.slots:
        if slot.last_worker_id == event.worker_id:
            slot.backoff.forgive()
