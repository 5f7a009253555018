"""What operators want: a queue that is paused, a worker that shall take no more jobs or end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from .. import _queue_pause
from .._cron_table import SHOWN_MS, shown
from .._keys import crons_key, paused_crons_key, paused_key
from .._payloads.serialization import serialize_job
from .._printable import printable
from .._redis.producer_connection import Lane
from .._redis.scripts import Presence
from ..connections import ArqRedis
from ..utils import to_unix_ms
from .context import Context
from .options import WorkerOptions

logger = logging.getLogger("arq.worker")


class Operators:
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


class CronRules(NamedTuple):
    """What operators have decided about schedules.

    Attributes:
        paused: names of those that are paused.
        is_queue_paused: of the runs that wait in the queue only the newest is kept.
    """

    paused: frozenset[str]
    is_queue_paused: bool


async def cron_rules(lane: Lane, queue_name: str) -> CronRules:
    """Asked when a run falls due, not before."""
    commands = ("MGET", paused_key(queue_name)), ("SMEMBERS", paused_crons_key(queue_name))
    pause, names = await lane.commands(commands)
    if isinstance(pause, Exception):
        raise pause
    paused = () if isinstance(names, Exception) else names  # of another type: nobody has paused any
    return CronRules(frozenset(name.decode(errors="replace") for name in paused), pause[0] is not None)


async def show_crons(pool: ArqRedis, options: WorkerOptions, now: datetime) -> None:
    """Show the schedules of a worker to operators. What Redis refuses of it is no reason not to run them."""
    serializer = options.job_serializer
    key, words = crons_key(options.queue_name), list[str]()
    for cron_job in options.cron_jobs or ():
        payload = None
        if serializer is not None:
            payload = serialize_job(cron_job.name, (), {}, None, to_unix_ms(now), serializer=serializer)
        words += cron_job.schedule_hash(), shown(cron_job, options.schedule_zone, now, payload)
    answers = await pool._lane.commands([("HSET", key, *words), ("PEXPIRE", key, SHOWN_MS)])
    for answer in answers:
        if isinstance(answer, Exception):
            logger.debug("schedules are not shown to operators: %r", answer)
