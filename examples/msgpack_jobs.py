"""Jobs and results as MessagePack instead of pickle (`pip install msgpack`).

    arq examples.msgpack_jobs.WorkerSettings &
    python examples/msgpack_jobs.py

Producer and worker must use the same pair of functions, and may exchange only what that format can hold: a
tuple arrives as a list, and an exception not at all.
"""

import asyncio
import functools
import os
from typing import Any

import msgpack

from arq import create_pool
from arq.connections import RedisSettings

REDIS_SETTINGS = RedisSettings.from_dsn(os.environ.get("REDIS_DSN", "redis://localhost:6379"))

pack = msgpack.packb
# raw=False: text comes back as str, not as bytes
unpack = functools.partial(msgpack.unpackb, raw=False)


async def total(ctx: dict[str, Any], prices: list[float]) -> dict[str, Any]:
    return {"items": len(prices), "sum": sum(prices)}


async def main() -> None:
    redis = await create_pool(REDIS_SETTINGS, job_serializer=pack, job_deserializer=unpack)
    job = await redis.enqueue_job("total", (1.5, 2.25))
    assert job is not None
    print(await job.result(timeout=30))
    await redis.aclose()


class WorkerSettings:
    functions = [total]
    job_serializer = pack
    job_deserializer = unpack
    redis_settings = REDIS_SETTINGS


if __name__ == "__main__":
    asyncio.run(main())
