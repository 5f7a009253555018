"""Running jobs that `Job.abort` wants ended."""

from __future__ import annotations

import math
from collections.abc import Callable

from .._redis import scripts
from .context import CANCEL_AGAIN_S, Context


class AbortRequests:
    """Cancels those jobs.

    Args:
        context: the worker's.
        stood_still_s: for how many seconds the event loop has stood still so far: no job can obey meanwhile.
    """

    def __init__(self, context: Context, stood_still_s: Callable[[], float]) -> None:
        self._context = context
        self._stood_still_s = stood_still_s

    async def obey(self) -> None:
        """Ask which running jobs are to be aborted, and cancel them. One that goes on is cancelled again."""
        context, jobs = self._context, self._context.jobs
        call = scripts.aborted(context.options.queue_name, list(jobs.job_tasks))
        answer = await context.exchange().run(call)
        for job_id in scripts.decode_ids(answer):
            task = jobs.job_tasks.get(job_id)
            now_s = context.clock() - self._stood_still_s()
            if task is not None and now_s >= jobs.abort_again_at_s.get(job_id, -math.inf):
                jobs.aborting.add(job_id)
                jobs.abort_again_at_s[job_id] = now_s + CANCEL_AGAIN_S
                task.cancel()
