"""What operators have decided about the schedules of a queue, and what a worker shows them of its own."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import NamedTuple

from .._cron_table import SHOWN_MS, shown
from .._keys import crons_key, paused_crons_key, paused_key
from .._payloads.serialization import serialize_job
from .._payloads.signed_envelope import MARK
from .._redis.producer_connection import Lane
from ..connections import ArqRedis
from ..utils import to_unix_ms
from .options import WorkerOptions

logger = logging.getLogger("arq.worker")


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
        if options.payload_format is not None and options.payload_format.keyring is not None:
            # which codec a run is written by; it is signed when its id is known
            payload = MARK + serialize_job(cron_job.name, (), {}, None, 0, serializer=serializer)
        elif serializer is not None:
            payload = serialize_job(cron_job.name, (), {}, None, to_unix_ms(now), serializer=serializer)
        words += cron_job.schedule_hash(), shown(cron_job, options.schedule_zone, now, payload)
    answers = await pool._lane.commands([("HSET", key, *words), ("PEXPIRE", key, SHOWN_MS)])
    for answer in answers:
        if isinstance(answer, Exception):
            logger.debug("schedules are not shown to operators: %r", answer)
