"""Commands that wait at the server, on a client whose socket gives up long before; and servers that do not answer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
import redis.asyncio
from redis.exceptions import TimeoutError as RedisTimeoutError

from arq._redis.worker_connection import Link, in_motion
from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.worker import Worker
from tests.arq.redis.harness import enqueued
from tests.support.flaky import Fault, FlakyProxy
from tests.support.servers import HOST, RedisServer

#: The time-out of the socket, and a wait that is longer, in s. The server answers within the time-out after that wait,
#: also on a machine that stands still for a moment.
SHORT_S, LONG_S = 3.0, 4.0
#: a time-out that is to come to pass
OVER_S = 0.4
Waiting = Callable[[ArqRedis], Awaitable[Any]]
Outcome = tuple[Any, list[float | None]]


async def in_a_pipeline(pool: ArqRedis) -> Any:
    async with pool.pipeline(transaction=False) as pipe:
        pipe.get("nothing")
        pipe.blpop(["nothing"], timeout=LONG_S / 2)
        pipe.brpop(["nothing"], timeout=LONG_S / 2)
        return [found for found in await pipe.execute() if found is not None]


async def in_a_watched_pipeline(pool: ArqRedis) -> Any:
    async with pool.pipeline() as pipe:
        await pipe.watch("other")
        return await pipe.immediate_execute_command("BLPOP", "nothing", LONG_S)  # type: ignore[no-untyped-call]


async def on_a_single_connection(pool: ArqRedis) -> Any:
    async with pool.client() as client:
        return await client.blpop(["nothing"], timeout=LONG_S)


async def on_connections_of(pool: ArqRedis, *, a_client: bool) -> Any:
    """Of the application."""
    await pool.ping()
    client = client_beside(pool)
    own = ArqRedis(pool_or_conn=client if a_client else client.connection_pool)  # type: ignore[arg-type]
    found = await own.blpop(["nothing"], timeout=LONG_S)
    assert [one.socket_timeout for one in own.connection_pool._available_connections] == [SHORT_S]
    await own.aclose(close_connection_pool=True)
    return found


def client_beside(pool: ArqRedis) -> redis.asyncio.Redis:
    """Another client of the same server."""
    settings = pool.connection_pool.connection_kwargs
    return redis.asyncio.Redis(host=settings["host"], port=settings["port"], socket_timeout=SHORT_S)


async def without_a_limit(pool: ArqRedis) -> Any:
    """Until something comes, however long that takes."""
    async with client_beside(pool) as other:
        popping = asyncio.ensure_future(pool.blpop(["later"], timeout=0))
        ended, _ = await asyncio.wait([popping], timeout=LONG_S)
        assert not ended, popping
        await other.rpush("later", "value")
        assert await popping == (b"later", b"value")


async def next_of(messages: AsyncIterator[Any]) -> Any:
    return await anext(messages)


async def listening_without_a_limit(pool: ArqRedis) -> Any:
    pubsub = pool.pubsub()
    await pubsub.subscribe("news")
    assert (await pubsub.get_message(timeout=30))["type"] == "subscribe"
    listening: asyncio.Task[Any] = asyncio.create_task(next_of(pubsub.listen()))
    ended, _ = await asyncio.wait([listening], timeout=LONG_S)
    assert not ended, listening
    async with client_beside(pool) as other:
        await other.publish("news", "here")
    assert (await listening)["data"] == b"here"
    await pubsub.aclose()  # type: ignore[no-untyped-call]


async def for_replicas_that_are_not_there(pool: ArqRedis) -> Any:
    return await pool.wait(1, int(LONG_S * 1000))


WAITING: dict[str, Waiting] = {
    "blpop": lambda pool: pool.blpop(["nothing"], timeout=LONG_S),
    "brpop": lambda pool: pool.brpop(["nothing"], timeout=LONG_S),
    "blmove": lambda pool: pool.blmove("nothing", "other", timeout=LONG_S),  # type: ignore[arg-type]
    "bzpopmin": lambda pool: pool.bzpopmin(["nothing"], timeout=LONG_S),
    "xread": lambda pool: pool.xread({"nothing": "$"}, block=int(LONG_S * 1000)),
    "raw": lambda pool: pool.execute_command("BLPOP", "nothing", LONG_S),
    "pipeline": in_a_pipeline,
    "watched": in_a_watched_pipeline,
    "single": on_a_single_connection,
    "pool of the application": lambda pool: on_connections_of(pool, a_client=False),
    "client of the application": lambda pool: on_connections_of(pool, a_client=True),
    "no limit": without_a_limit,
    "listening": listening_without_a_limit,
    "replicas": for_replicas_that_are_not_there,
}


@pytest.fixture(scope="module")
def outcomes(redis_server: RedisServer) -> dict[str, BaseException | Outcome]:
    """What each wait came to, and the time-outs that its connections had afterwards. All wait at the same time."""
    settings = RedisSettings(host=HOST, port=redis_server.port, conn_timeout=30, socket_timeout=SHORT_S)

    async def outcome(wait: Waiting) -> Outcome:
        pool = await create_pool(settings)
        try:
            found = await wait(pool)
            return found, [one.socket_timeout for one in pool.connection_pool._available_connections]
        finally:
            await pool.aclose(close_connection_pool=True)

    async def all_of_them() -> list[BaseException | Outcome]:
        return await asyncio.gather(*map(outcome, WAITING.values()), return_exceptions=True)

    return dict(zip(WAITING, asyncio.run(all_of_them()), strict=True))


@pytest.mark.parametrize("name", WAITING)
def test_they_wait_as_long_as_they_say(outcomes: dict[str, BaseException | Outcome], name: str) -> None:
    outcome = outcomes[name]
    if isinstance(outcome, BaseException):
        raise outcome
    found, limits_s = outcome
    assert not found
    assert set(limits_s) == {SHORT_S}  # the connection is as it was


async def test_watching_the_commands_of_others(redis_settings: RedisSettings, arq_redis: ArqRedis) -> None:
    await arq_redis.ping()  # whose connection says no more of its own
    pool = await create_pool(replace(redis_settings, socket_timeout=SHORT_S))
    async with pool.monitor() as monitor:
        seen = asyncio.create_task(monitor.next_command())
        ended, _ = await asyncio.wait([seen], timeout=LONG_S)
        assert not ended, seen
        await arq_redis.get("seen")
        assert (await seen)["command"] == "GET seen"
    await pool.aclose(close_connection_pool=True)


async def test_a_job_may_wait_on_its_workers_client(
    arq_redis: ArqRedis, redis_settings: RedisSettings
) -> None:
    async def waits(ctx: dict[str, Any]) -> Any:
        return await ctx["redis"].blpop(["nothing"], timeout=LONG_S)

    settings = replace(redis_settings, socket_timeout=SHORT_S)
    worker = Worker([waits], redis_settings=settings, burst=True, poll_delay=0, handle_signals=False)
    job = await enqueued(arq_redis, "test_a_job_may_wait_on_its_workers_client.<locals>.waits")
    await worker.async_run()
    await worker.close()
    assert await job.result(timeout=30) is None


# --- a server that does not answer ------------------------------------------------------------------------------------


@contextlib.contextmanager
def paused(server: RedisServer) -> Any:
    server.pause()
    try:
        yield
    finally:
        server.resume()


async def test_a_server_that_does_not_answer_is_left_after_the_time_out(
    own_server: RedisServer, own_settings: RedisSettings
) -> None:
    pool = await create_pool(replace(own_settings, socket_timeout=OVER_S))
    await pool.ping()
    with paused(own_server), pytest.raises(RedisTimeoutError):
        await pool.get("key")
    await pool.aclose()


async def test_what_was_sent_is_not_sent_again_when_its_answer_is_late(
    proxy: FlakyProxy, proxied: RedisSettings
) -> None:
    """It would be carried out twice."""
    pool = await create_pool(replace(proxied, socket_timeout=OVER_S))
    await pool.set("counter", 0, ex=60)
    proxy.arm(Fault.ANSWER_STALLED, b"counter")
    with pytest.raises(RedisTimeoutError):
        await pool.incr("counter")
    assert await pool.get("counter") == b"1"
    await pool.aclose()


async def test_enqueue_job_gives_up_on_a_server_that_does_not_answer(
    own_server: RedisServer, own_settings: RedisSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where single commands may take as long as they like. It is sent again, and counts once."""
    monkeypatch.setattr("arq.connections.ANSWER_S", OVER_S)
    pool = await create_pool(replace(own_settings, socket_timeout=None))
    await pool.enqueue_job("f", _job_id="before")
    with paused(own_server), pytest.raises(RedisTimeoutError):
        await pool.enqueue_job("f", _job_id="meanwhile")
    assert await pool.enqueue_job("f", _job_id="meanwhile") is None
    assert await pool.zcard("arq:queue") == 2
    await pool.aclose()


async def test_an_answer_that_was_read_is_no_transfer(redis_settings: RedisSettings) -> None:
    """Who waits longer for what is on its way must not wait longer for what is not."""
    link = Link((await create_pool(redis_settings)).connection_pool)
    for _ in range(3):
        await link.commands([("PING",)])
        assert in_motion(link._connection) is None
    await link.drop()


@pytest.mark.parametrize("wrong", [0, -1, 0.0])
def test_a_time_out_must_leave_time(wrong: float) -> None:
    with pytest.raises(ValueError, match=r"socket_timeout must be more than 0 s, or None for no limit, not"):
        RedisSettings(socket_timeout=wrong)
