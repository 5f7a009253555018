"""How a worker reaches Redis when it starts."""

from __future__ import annotations

import logging

from redis.exceptions import RedisError

from ..connections import ArqRedis, create_pool
from .options import WorkerOptions

logger = logging.getLogger("arq.worker")

#: A note on exceptions that say that Redis could not be reached when the worker started, or lets it do nothing.
CONNECTING = "while connecting to redis"


async def connect(options: WorkerOptions) -> ArqRedis:
    """A client of Redis for a worker that was given none.

    Raises:
        redis.exceptions.RedisError, OSError: with the note `CONNECTING`.
    """
    try:
        pool = await create_pool(
            options.redis_settings,
            job_deserializer=options.job_deserializer,
            job_serializer=options.job_serializer,
            default_queue_name=options.queue_name,
            expires_extra_ms=options.expires_extra_ms,
        )
    except (RedisError, OSError) as exc:
        exc.add_note(CONNECTING)
        raise
    pool._use(options.payload_format)
    return pool


def say_start(options: WorkerOptions) -> None:
    """The first lines of a worker in its log."""
    names = ", ".join(options.functions)
    logger.info("Starting worker for %d functions: %s", len(options.functions), names)
    how = options.payload_format
    if how is not None:
        logger.log(logging.WARNING if how.is_open else logging.INFO, "payloads: %s", how.describe())
