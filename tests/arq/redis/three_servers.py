"""Three servers that share a queue, for tests of what works over several."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from arq.connections import RedisSettings
from arq.shards import ArqShards
from tests.arq.redis.harness import CONNECT_S
from tests.support.servers import HOST, RedisServer, running_server

NAMES = ("a", "b", "c")


@contextmanager
def three_servers() -> Iterator[list[RedisServer]]:
    """They run."""
    with running_server() as one, running_server() as two, running_server() as three:
        yield [one, two, three]


def settings_by_name(servers: Sequence[RedisServer]) -> dict[str, RedisSettings]:
    """How they are reached."""
    return {
        name: RedisSettings(HOST, server.port, conn_timeout=CONNECT_S)
        for name, server in zip(NAMES, servers, strict=True)
    }


@asynccontextmanager
async def emptied(settings: dict[str, RedisSettings]) -> AsyncIterator[ArqShards]:
    """A client of all of them, with nothing in any."""
    async with ArqShards(settings) as made:
        for client in made.clients.values():
            await client.flushdb()
        yield made
