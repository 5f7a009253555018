"""A client whose own commands go to whichever node of a cluster has their keys."""

from __future__ import annotations

from typing import Any

from redis.asyncio.client import Pipeline
from redis.asyncio.cluster import RedisCluster
from redis.client import NEVER_DECODE

from .blocking_client import PatientRedis
from .cluster import owner_of


class ClusterRedis(PatientRedis):
    """On one server as `PatientRedis`. On a cluster the connection pool leads to the node that has arq's keys, and what
    is not arq's goes through redis-py's client of the cluster.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._owner = owner_of(self.connection_pool)
        self._whole: RedisCluster | None = None

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        """Run any command; on a cluster it goes to the node that has its keys."""
        if self._owner is not None and NEVER_DECODE not in options:
            return await self._whole_cluster().execute_command(*args, **options)
        return await super().execute_command(*args, **options)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Pipeline:
        """As `redis.asyncio.Redis.pipeline`; on a cluster that of redis-py's client of the cluster."""
        if self._owner is not None:
            of_cluster: Any = self._whole_cluster().pipeline()
            return of_cluster  # type: ignore[no-any-return]  # it has the same methods
        return super().pipeline(transaction, shard_hint)

    def _whole_cluster(self) -> RedisCluster:
        assert self._owner is not None
        if self._whole is None:
            self._whole = self._owner.make_client()
        return self._whole

    async def _leave_cluster(self) -> None:
        if self._whole is not None:
            await (getattr(self._whole, "aclose", None) or self._whole.close)()
