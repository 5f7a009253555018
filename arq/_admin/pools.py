"""What supervisors say of their pools."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from .._keys import POOLS_KEY, pool_key
from .._redis.raw_commands import ask
from .admin_scripts import raw, text
from .records import PoolReport, SlotReport

if TYPE_CHECKING:
    from redis.asyncio import Redis

#: Pools that are read, places of one, and bytes that are read of one.
_MOST_POOLS, _MOST_SLOTS, _LARGEST = 500, 1000, 1_048_576


async def pools(redis: Redis) -> list[PoolReport]:
    """All pools, by name and host."""
    names: list[bytes] = await ask(redis, "ZRANGE", POOLS_KEY, 0, _MOST_POOLS - 1)
    if not names:
        return []
    found = await ask(redis, "MGET", *(raw(pool_key(text(name))) for name in names))
    reports = [_report(body) for body in found if body is not None and len(body) <= _LARGEST]
    return sorted(filter(None, reports), key=lambda one: (one.pool, one.host))


def _report(body: bytes) -> PoolReport | None:
    """What is said; None: it is of another version, or nonsense."""
    try:
        said: dict[str, Any] = json.loads(body)
        about = said["supervisor"]
        return PoolReport(
            str(said["pool"]),
            str(said["host"]),
            int(said["at_ms"]),
            str(about["state"]),
            int(about["pid"]),
            float(about["uptime_s"]),
            int(about["procs"]),
            int(about["ready"]),
            int(about["restarts_total"]),
            int(about["restarts_window"]),
            bool(about["quiet"]),
            float(about["rss_mb"]),
            [_slot(one) for one in said["workers"][:_MOST_SLOTS]],
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None


def _slot(said: dict[str, Any]) -> SlotReport:
    age_s = said.get("last_exit_age_s")
    return SlotReport(
        int(said["slot"]),
        None if said.get("pid") is None else int(said["pid"]),
        str(said.get("worker_id") or ""),
        str(said.get("state") or ""),
        float(said.get("uptime_s") or 0),
        float(said.get("rss_mb") or 0),
        int(said.get("restarts") or 0),
        str(said.get("last_exit") or ""),
        None if age_s is None else float(age_s),
    )
