"""When a worker writes its health line, and what stands in it."""

from __future__ import annotations

import logging
import math
from datetime import datetime
from time import time

from .._health_line import Tally, format_line
from .._redis import scripts
from .._redis.raw_commands import ask
from ..utils import to_ms
from .context import Context

logger = logging.getLogger("arq.worker")


class HealthLine:
    """Writes it each `health_check_interval`.

    Args:
        context: the worker's.

    Attributes:
        written_s, written_at_s: when it was written last, by the loop's clock and by the host's.
        last_counts: what it said last; a line of the log tells what has changed, also from one `main()` to the next.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self.written_s = self.written_at_s = -math.inf
        self.last_counts: str | None = None

    def begin(self) -> None:
        """The worker begins, perhaps not for the first time: what it said of itself is gone."""
        self.written_s = self.written_at_s = -math.inf

    async def record(self) -> None:
        """Write the line, if it is time. Under a supervisor that is the supervisor's business."""
        context, options = self._context, self._context.options
        now_s, host_s = context.clock(), time()
        # The host's clock may be set back, the loop's does not go on while a machine is suspended.
        passed_s = max(now_s - self.written_s, host_s - self.written_at_s)
        is_due = passed_s >= options.health_check_interval
        if options.supervised or not (is_due or context.amend_health):
            return
        context.amend_health = False
        context.queued = await ask(context.redis, "ZCARD", options.queue_name)
        jobs = context.jobs
        tally = Tally(jobs.complete, jobs.failed, jobs.retried, jobs.ongoing(), context.queued)
        line = format_line(tally, datetime.now())  # noqa: DTZ005  (the line has local time)
        life_ms = to_ms(options.health_check_interval + 1)
        await scripts.run(context.redis, scripts.health({options.health_check_key: line}, life_ms))
        if not is_due:
            return
        last_counts, counts = self.last_counts, str(tally)
        self.written_s, self.written_at_s, self.last_counts = now_s, host_s, counts
        if last_counts is not None and last_counts != counts:
            logger.info("recording health: %s", line)
