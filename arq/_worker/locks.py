"""What keeps a worker's jobs its own: their locks, its lease, and the search for workers that have died."""

from __future__ import annotations

import logging

from .._lock_time import lease_ms, lock_ms
from .._printable import printable
from .._redis import scripts
from .._redis.scripts import Presence
from . import job_log
from .context import Context

logger = logging.getLogger("arq.worker")


class Locks:
    """Extends them, and gives back the jobs of dead workers.

    Args:
        context: the worker's.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    async def extend(self) -> None:
        """Extend the locks of running jobs and, unless a supervisor does, the lease of this worker."""
        options, exchange = self._context.options, self._context.exchange()
        claimed, calls = self._context.jobs.claimed, []
        worker_id, timeout_s = options.worker_id, options.in_progress_timeout_s
        job_ids = list(claimed)
        if job_ids:
            lock = lock_ms(timeout_s, options.supervised)
            calls.append(scripts.extend(options.queue_name, worker_id, lock, job_ids))
        if not options.supervised:
            calls.append(scripts.lease([worker_id], lease_ms(timeout_s, options.supervised)))
            exchange.announced = True
        answers = await exchange.link.call(calls) if calls else []
        for job_id in scripts.decode_ids(answers[0]) if job_ids else ():
            if job_id in claimed:
                logger.warning("job %s is not this worker's any more, it may be run twice", printable(job_id))

    async def show_presence(self, for_ms: int) -> Presence:
        """Count among the workers that look at this queue for the next `for_ms`, and learn what operators want."""
        options = self._context.options
        call = scripts.present(options.queue_name, options.worker_id, for_ms)
        return scripts.read_present(await self._context.exchange().run(call))

    async def sweep(self) -> float:
        """Give back the jobs of workers that are overdue; returns in how many seconds the next one may be."""
        swept = scripts.read_sweep(await self._context.exchange().run(scripts.sweep()))
        for worker_id, released in swept.items():
            if worker_id != self._context.options.worker_id:
                job_log.gone(worker_id, released)
        return swept.next_s
