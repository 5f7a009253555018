"""arq's own questions through an application's client: in UTF-8 and answered in bytes, whatever its options are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from redis.exceptions import ResponseError

from .connection_pools import client_of, prefix_of
from .key_prefix import under
from .server_errors import explained

if TYPE_CHECKING:
    from redis.asyncio import Redis

Command = tuple[Any, ...]


async def answers_to(redis: Redis, commands: Sequence[Command]) -> list[Any]:
    """Send commands one by one; what Redis refuses comes back as an exception in the list.

    By `execute_command`, which is what tracing and subclasses look at.
    """
    client, prefix = client_of(redis), prefix_of(redis)
    if prefix:
        commands = [under(prefix, command) for command in commands]
    return [await _answer_of(client, command, prefix) for command in commands]


async def ask(redis: Redis, *command: Any) -> Any:
    """The answer to one command.

    Raises:
        redis.exceptions.RedisError: Redis can't be reached or refuses.
    """
    (answer,) = await answers_to(redis, [command])
    if isinstance(answer, Exception):
        raise answer
    return answer


async def ask_many(redis: Redis, commands: Sequence[Command]) -> list[Any]:
    """The answers to commands that are sent in one round trip; what Redis refuses is an exception in the list."""
    prefix = prefix_of(redis)
    pipe = client_of(redis).pipeline(transaction=False)
    for command in commands:
        name, *words = under(prefix, command) if prefix else command
        pipe.execute_command(name, *map(_raw, words), NEVER_DECODE=True)
    answers: list[Any] = await pipe.execute(raise_on_error=False)
    return answers


async def scan(
    redis: Redis, cursor: int | bytes, pattern: str | bytes, count: int
) -> tuple[bytes, list[bytes]]:
    """Look at `count` keys from a cursor on: the next cursor, and which of them match, without the prefix."""
    following, keys = await ask(redis, "SCAN", cursor, "MATCH", pattern, "COUNT", count)
    prefix = prefix_of(redis).encode()
    return following, [key.removeprefix(prefix) for key in keys]


async def scan_all(redis: Redis, pattern: str) -> set[bytes]:
    """All keys that match, without the prefix."""
    found: set[bytes] = set()
    cursor = b"0"
    while True:
        cursor, keys = await scan(redis, cursor, pattern, 1000)
        found.update(keys)
        if cursor == b"0":
            return found


async def members_with_scores(redis: Redis, key: str) -> list[tuple[bytes, float]]:
    """A sorted set in its order."""
    return pairs(await ask(redis, "ZRANGE", key, 0, -1, "WITHSCORES"))


def pairs(found: list[Any]) -> list[tuple[bytes, float]]:
    """Members and scores; RESP2 and RESP3 pair them in different ways."""
    if found and isinstance(found[0], bytes):
        return [(member, float(score)) for member, score in zip(found[::2], found[1::2], strict=True)]
    return [(member, float(score)) for member, score in found]


async def _answer_of(redis: Redis, command: Command, prefix: str) -> Any:
    try:
        return await redis.execute_command(command[0], *map(_raw, command[1:]), NEVER_DECODE=True)  # type: ignore[no-untyped-call]
    except ResponseError as exc:
        return explained(exc, prefix=prefix)


def _raw(word: Any) -> Any:
    return word.encode() if isinstance(word, str) else word
