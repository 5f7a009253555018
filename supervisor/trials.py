"""Jobs that were in a process that died are tried again, and may kill the next one: that says nothing of the pool."""

from .model import Loss, Pool

# so many times the restart limit in a row, without one job that is completed, and it may be the pool after all
MOST_TRIALS = 10


def excuse(pool: Pool, worker_id: str, loss: Loss) -> None:
    """A worker has died while it tried a suspect: that is neither a failure of the pool nor a reason to wait longer."""
    complete = pool.past.complete + sum(child.tally.complete for child in pool.workers())
    pool.trials = pool.trials + 1 if complete == pool.complete_at_trial else 1
    pool.complete_at_trial = complete
    if pool.trials > MOST_TRIALS * pool.limit.most:
        return
    pool.limit.forget(loss.lost_s)
    for slot in pool.slots:
        if slot.last_worker_id == worker_id:
            slot.backoff.forgive()
