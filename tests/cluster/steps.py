"""What several tests do with a cluster."""

from __future__ import annotations

import asyncio
from typing import Any

from arq.connections import ArqRedis, RedisSettings
from arq.worker import Worker
from tests.arq.redis.harness import enqueued, quick, running
from tests.support.clusters import Cluster
from tests.support.eventually import wait_until_async
from tests.support.servers import RedisServer


def in_thread(do: Any, *args: Any) -> Any:
    return asyncio.to_thread(do, *args)


async def works(pool: ArqRedis, settings: RedisSettings) -> None:
    worker = Worker([quick], redis_settings=settings, handle_signals=False, poll_delay=0.05)
    async with running(worker):
        assert await (await enqueued(pool, "quick")).result(timeout=30) == "quick"


async def hand_over(cluster: Cluster) -> RedisServer:
    """Another node has the keys from now on."""
    owner = await in_thread(cluster.owner)
    replica: RedisServer = await in_thread(cluster.replica_of, owner)
    await in_thread(cluster.ask, replica, "CLUSTER", "FAILOVER")
    await wait_until_async(lambda: cluster.owner() is replica, what="the replica is the primary")
    return replica
