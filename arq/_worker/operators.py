"""What operators want: a queue that is paused, a worker that shall take no more jobs or end."""

from __future__ import annotations

import logging
from collections.abc import Callable

from .. import _queue_pause
from .._printable import printable
from .._redis.scripts import Presence
from .context import Context

logger = logging.getLogger("arq.worker")


class OperatorWishes:
    """Hears what is wanted, and says so in the log once.

    Args:
        context: the worker's.
        pick_jobs: says whether the worker may take jobs.
        stop: stops the worker.
    """

    def __init__(self, context: Context, pick_jobs: Callable[[bool], None], stop: Callable[[], None]) -> None:
        self._context = context
        self._pick_jobs = pick_jobs
        self._stop = stop
        #: whether the queue was paused when it was last heard of
        self.is_paused = False

    async def heard(self, presence: Presence) -> None:
        """Do what is wanted."""
        queue_name = self._context.options.queue_name
        if presence.word:
            self._obey(presence.word)
        was_paused, self.is_paused = self.is_paused, presence.pause is not None
        if presence.pause is not None:
            if not was_paused:
                _say_paused(queue_name, presence.pause)
            await _queue_pause.keep(self._context.exchange().run, queue_name, is_one_of_many=True)
        elif was_paused:
            logger.info("queue %s is resumed", printable(queue_name))

    def _obey(self, word: str) -> None:
        if word == "quiet":
            logger.info("an operator wants this worker to take no more jobs")
            self._pick_jobs(False)
        elif word == "resume":
            logger.info("an operator wants this worker to take jobs again")
            self._pick_jobs(True)
        elif word == "stop":
            logger.info("an operator wants this worker to stop")
            self._stop()
        else:
            logger.warning(
                "an operator wants something of this worker that it does not know: %s", printable(word)
            )


def _say_paused(queue_name: str, pause: bytes) -> None:
    _, by, note = _queue_pause.read_pause(pause)
    who, why = f" by {by}" if by else "", f": {note}" if note else ""
    logger.info("queue %s is paused%s%s", *map(printable, (queue_name, who, why)))
