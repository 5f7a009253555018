"""Answers that are told of before a task could read them."""

import asyncio
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from arq._redis.worker_connection import Link
from arq.connections import ArqRedis, RedisSettings, create_pool
from tests.support.eventually import wait_until_async


class Wait:
    """Two commands, the first of which blocks, and what is told of them."""

    def __init__(self, pool: ArqRedis, *commands: tuple[Any, ...]) -> None:
        self.link = Link(pool.connection_pool)
        self.commands = commands
        self.told: list[list[Any]] = []

    async def answers(self) -> list[Any]:
        await self.link.open()
        await self.link.send(self.commands)
        return await self.link.read(lambda: len(self.commands), self._tell)

    def _tell(self, answers: list[Any]) -> None:
        self.told.append(answers)
        assert not self.task.done()

    async def begin(self, pool: ArqRedis) -> None:
        self.task = asyncio.ensure_future(self.answers())

        async def waits() -> bool:
            return any(client["cmd"].startswith("blpop") for client in await pool.client_list())

        await wait_until_async(waits, what="it waits")

    async def end(self) -> list[Any]:
        try:
            return await asyncio.wait_for(self.task, 20)
        finally:
            await self.link.drop()


async def test_told_once_and_before_the_task_goes_on(arq_redis: ArqRedis) -> None:
    wait = Wait(arq_redis, ("BLPOP", "token", 20), ("LRANGE", "large", 0, -1))
    await arq_redis.rpush("large", *["x" * 100_000] * 9)
    await wait.begin(arq_redis)
    await arq_redis.rpush("token", "1")
    answers = await wait.end()
    assert wait.told == [answers]
    assert answers == [[b"token", b"1"], [b"x" * 100_000] * 9]
    await arq_redis.delete("large")


async def test_what_needs_a_closer_look_is_for_the_task(arq_redis: ArqRedis) -> None:
    wait = Wait(arq_redis, ("BLPOP", "token", 20), ("EVALSHA", "0" * 40, 0))
    await wait.begin(arq_redis)
    await arq_redis.rpush("token", "1")
    token, refusal = await wait.end()
    assert token == [b"token", b"1"]
    assert isinstance(refusal, ResponseError)
    assert not wait.told


async def test_a_message_that_nobody_asked_for_comes_first(redis_settings: RedisSettings) -> None:
    """It is no answer, and hides none."""
    pool = await create_pool(redis_settings)
    wait = Wait(pool, ("BLPOP", "token", 20), ("ECHO", "after"))
    hello, tracking, _ = await wait.link.commands(
        [("HELLO", 3), ("CLIENT", "TRACKING", "ON"), ("GET", "watched")]
    )
    if isinstance(hello, Exception) or isinstance(tracking, Exception):
        pytest.skip("the server speaks RESP2 only")
    await wait.begin(pool)
    await pool.set("watched", "new", ex=60)
    await pool.rpush("token", "1")
    assert await wait.end() == [[b"token", b"1"], b"after"]
    await pool.aclose(close_connection_pool=True)


async def test_a_connection_that_is_cut_meanwhile(arq_redis: ArqRedis) -> None:
    wait = Wait(arq_redis, ("BLPOP", "token", 20), ("PING",))
    ((own_id),) = await wait.link.commands([("CLIENT", "ID")])
    await wait.begin(arq_redis)
    await arq_redis.client_kill_filter(_id=str(own_id))
    with pytest.raises(RedisConnectionError):
        await wait.end()
    assert not wait.told


async def test_more_may_be_sent_while_it_waits(arq_redis: ArqRedis) -> None:
    """How many answers there will be is asked when they come."""
    wait = Wait(arq_redis, ("BLPOP", "token", 20))
    await wait.begin(arq_redis)
    await wait.link.send([("ECHO", "behind")])
    wait.commands += (("ECHO", "behind"),)
    await arq_redis.rpush("token", "1")
    assert await wait.end() == [[b"token", b"1"], b"behind"]
    assert len(wait.told) == 1


async def test_an_error_of_whoever_is_told(arq_redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    wait = Wait(arq_redis, ("BLPOP", "token", 20))

    def fail(answers: list[Any]) -> None:
        raise LookupError(answers)

    monkeypatch.setattr(wait, "_tell", fail)
    await wait.begin(arq_redis)
    await arq_redis.rpush("token", "1")
    with pytest.raises(LookupError):
        await wait.end()


async def test_the_connection_serves_for_everything_else_afterwards(arq_redis: ArqRedis) -> None:
    wait = Wait(arq_redis, ("BLPOP", "token", 20))
    await wait.begin(arq_redis)
    await arq_redis.rpush("token", "1")
    await asyncio.wait_for(wait.task, 20)
    assert await wait.link.commands([("ECHO", "x" * 300_000), ("PING",)]) == [b"x" * 300_000, b"PONG"]
    await wait.end()
