"""How a worker reaches Redis when it starts."""

from __future__ import annotations

from redis.exceptions import RedisError

from ..connections import ArqRedis, create_pool
from .options import WorkerOptions

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
