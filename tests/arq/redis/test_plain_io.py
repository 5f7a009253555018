"""Commands and answers that go past redis-py's methods, and when they do not."""

from typing import Any

import pytest
from redis.asyncio import Connection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from arq._enqueue import random_id
from arq._redis.worker_connection import Link
from arq.connections import ArqRedis


@pytest.fixture
async def link(arq_redis: ArqRedis) -> Any:
    link = Link(arq_redis.connection_pool)
    yield link
    await link.drop()


async def test_answers_of_every_kind(link: Link) -> None:
    commands = [
        ("PING",),
        ("SET", "text", "x" * 300_000, "EX", 60),
        ("GET", "text"),
        ("GET", "nothing"),
        ("RPUSH", "list", "a", b"\xff"),
        ("LRANGE", "list", 0, -1),
        ("LRANGE", "no-list", 0, -1),
        ("GET", "list"),
        ("EVAL", "return {redis.error_reply('ERR in a list'), 1}", 0),
        ("EVAL", "return {1, redis.error_reply('ERR in a list')}", 0),
        ("DEL", "list"),
    ]
    pong, ok, text, nothing, count, items, none, refused, *lists, last = await link.commands(commands)
    assert [pong, ok, text, nothing, count] == [b"PONG", b"OK", b"x" * 300_000, None, 2]
    assert [items, none, last] == [[b"a", b"\xff"], [], 1]
    assert isinstance(refused, ResponseError)
    assert "WRONGTYPE" in str(refused)
    assert [[type(item) for item in items] for items in lists] == [[ResponseError, int], [int, ResponseError]]


async def test_messages_that_nobody_asked_for_are_no_answers(link: Link, arq_redis: ArqRedis) -> None:
    """RESP3: they may come before an answer, in one piece with it."""
    (hello,) = await link.commands([("HELLO", 3)])
    if isinstance(hello, Exception):
        pytest.skip("the server speaks RESP2 only")
    assert not isinstance((await link.commands([("CLIENT", "TRACKING", "ON")]))[0], Exception)
    await link.commands([("GET", "watched")])
    answers = await link.commands([("SET", "watched", "new", "EX", 60), ("GET", "watched"), ("PING",)])
    assert answers == [b"OK", b"new", b"PONG"]
    await arq_redis.set("watched", "by another", ex=60)
    assert await link.commands([("PING",), ("GET", "watched")]) == [b"PONG", b"by another"]


async def test_a_connection_that_is_cut_meanwhile(link: Link, arq_redis: ArqRedis) -> None:
    (own_id,) = await link.commands([("CLIENT", "ID")])
    with pytest.raises(RedisConnectionError):
        await link.commands([("CLIENT", "KILL", "ID", own_id, "SKIPME", "no"), ("BLPOP", "nothing", 5)])
    assert await link.commands([("PING",)]) == [b"PONG"]


async def test_methods_that_somebody_has_replaced_are_called(
    link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def watch(name: str) -> None:
        own = getattr(Connection, name)

        async def watched(self: Connection, *args: Any, **kwargs: Any) -> Any:
            seen.append(name)
            return await own(self, *args, **kwargs)

        monkeypatch.setattr(Connection, name, watched)

    await link.commands([("PING",)])
    watch("send_packed_command")
    watch("read_response")
    assert await link.commands([("PING",), ("PING",)]) == [b"PONG", b"PONG"]
    assert seen == ["send_packed_command", "read_response", "read_response"]


async def test_health_checks_are_made_where_they_are_wanted(arq_redis: ArqRedis) -> None:
    """By redis-py, which knows when one is due."""
    pool = arq_redis.connection_pool
    pool.connection_kwargs["health_check_interval"] = 3600
    link = Link(pool)
    await link.commands([("PING",)])
    connection: Any = link._connection
    before = connection.next_health_check
    connection.next_health_check = 0  # it is due
    assert await link.commands([("ECHO", "text")]) == [b"text"]
    assert connection.next_health_check >= before > 0
    await link.drop()


def test_random_ids_are_those_of_uuid4() -> None:
    from uuid import RFC_4122, UUID

    ids = [random_id() for _ in range(200)]
    assert len(set(ids)) == len(ids)
    for one in ids:
        as_uuid = UUID(hex=one)
        assert (as_uuid.hex, as_uuid.version, as_uuid.variant) == (one, 4, RFC_4122)
