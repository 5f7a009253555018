"""Says how many jobs had to leave a dead set that is full; once a minute, or a storm of failures would fill the log."""

from __future__ import annotations

import logging
import time

logger = logging.getLogger("arq.worker")

_SAY_EVERY_S = 60.0


class DeadEvictions:
    """Counts them for one worker."""

    def __init__(self) -> None:
        self._count = 0
        self._say_at_s = 0.0

    def note(self, queue_name: str, count: int) -> None:
        """So many more."""
        self._count += count
        now_s = time.monotonic()
        if now_s >= self._say_at_s:
            logger.warning(
                "the dead set of %s is full: %d of its oldest jobs had to leave it; requeue or remove some (arq dead),"
                " or raise dead_max",
                queue_name,
                self._count,
            )
            self._count, self._say_at_s = 0, now_s + _SAY_EVERY_S
