"""What a server says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from redis.exceptions import ResponseError

from .._redis.raw_commands import ask

if TYPE_CHECKING:
    from redis.asyncio import Redis

_WANTED = (
    "server_name",
    "redis_version",
    "valkey_version",
    "redis_mode",
    "role",
    "uptime_in_seconds",
    "used_memory_human",
    "maxmemory_human",
    "maxmemory_policy",
    "connected_clients",
    "evicted_keys",
    "aof_enabled",
    "rdb_last_bgsave_status",
)


async def server_facts(redis: Redis) -> dict[str, str]:
    """Some lines of INFO; none if its user may not ask for them."""
    try:
        found: Any = await ask(redis, "INFO")
    except ResponseError:
        return {}
    if isinstance(found, bytes):
        lines = (line.partition(":") for line in found.decode(errors="replace").splitlines())
        found = {name: value for name, colon, value in lines if colon}
    return {name: str(found[name]) for name in _WANTED if name in found}
