"""The steward's connections: to the Redis of its workers, or to each of several servers."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from arq._redis.shard_settings import Shard
from arq.connections import ArqRedis, RedisSettings, create_pool

from ..ipc.redis_settings import unpack
from ..redis_errors import short
from ..time_limits import within

T = TypeVar("T")


class ServerError(Exception):
    """One of several servers is away; the text says which one, and why."""


class RedisConnections:
    """Connections by the name of the settings that they are made with, see `redis_settings.pack`.

    Attributes:
        servers: what users call the servers, where there are several.
    """

    def __init__(self) -> None:
        self.servers: tuple[str, ...] = ()
        self._settings: dict[str, RedisSettings] = {}
        self._server_names: dict[str, str] = {}
        self._pools: dict[str, ArqRedis] = {}
        self._unused: set[str] = set()
        self._connecting: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def take(self, name: str, text: str) -> None:
        """Settings that a worker has handed over: of the only server, or of one of several."""
        given: RedisSettings | Shard = unpack(text)
        self.servers = given.names if isinstance(given, Shard) else ()
        if isinstance(given, Shard):
            self._server_names[name] = given.names[given.number]
            given = given.settings
        self._settings[name] = given

    @property
    def last(self) -> list[str]:
        """The settings that were handed over last."""
        return list(self._settings)[-1:]

    def server_name(self, name: str) -> str:
        """What users call the server of these settings; '' where there is one."""
        return self._server_names.get(name, "") if self.servers else ""

    async def pool(self, name: str) -> ArqRedis:
        """The connection by these settings."""
        async with self._connecting[name]:  # two duties that begin at the same time share one
            if name not in self._pools:
                self._pools[name] = await create_pool(replace(self._settings[name], conn_retries=0))
        return self._pools[name]

    async def each(
        self, groups: Mapping[str, T], duty: Callable[[str, T], Awaitable[None]], limit_s: float
    ) -> None:
        """Do something with each Redis, at the same time: one that is away holds up nobody else.

        Raises:
            Exception: what one of them raises, when all are done.
        """

        async def one(name: str, part: T) -> None:
            try:
                await within(limit_s, duty(name, part))
            except Exception as error:
                if server := self.server_name(name):
                    raise ServerError(f"server {server}: {short(error)}") from error
                raise

        doing = (one(name, part) for name, part in groups.items())
        for done in await asyncio.gather(*doing, return_exceptions=True):
            if isinstance(done, BaseException):
                raise done

    async def close_unused(self, used: set[str]) -> set[str]:
        """Close those by settings that nobody has any more; at the second look, for a duty may be about to use them.

        Returns:
            their names.
        """
        unused = self._pools.keys() - used
        closed = unused & self._unused
        for name in closed:
            await self._pools.pop(name).aclose(close_connection_pool=True)
        self._unused = unused
        return closed

    async def close(self) -> None:
        """Close all."""
        for pool in self._pools.values():
            await pool.aclose()
