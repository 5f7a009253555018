"""Runs scripts by their SHA-1, and sends their texts to a server that does not know them."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from redis.exceptions import ConnectionError, ResponseError

from .connection_pools import prefix_of
from .raw_commands import answers_to
from .script_loader import Call
from .server_errors import explained
from .without_lua import hangs_up_after, has_no_scripts, is_not_known, run_without

if TYPE_CHECKING:
    from redis.asyncio import Redis


async def run_all(
    send: Callable[[Sequence[tuple[Any, ...]]], Awaitable[list[Any]]], calls: Sequence[Call], prefix: str = ""
) -> list[Any]:
    """Run scripts in one round trip; those that the server does not know take a second one.

    Args:
        send: sends commands and returns their answers; what Redis refuses as an exception in the list.
        prefix: what it puts before the names of keys.

    Raises:
        redis.exceptions.ResponseError: the first one among the answers.
    """
    answers = await send([call.by_sha() for call in calls])
    for answer in answers:
        if isinstance(answer, Exception):
            return await after_refusals(send, calls, prefix, answers)
    return answers


async def after_refusals(
    send: Callable[[Sequence[tuple[Any, ...]]], Awaitable[list[Any]]],
    calls: Sequence[Call],
    prefix: str,
    answers: list[Any],
) -> list[Any]:
    """The answers where some were refusals: a script that the server did not know is sent to it.

    Args:
        answers: to the calls as they were sent by their SHA-1.
        send, prefix: as in `run_all`.

    Raises:
        redis.exceptions.ResponseError: the first one among the answers.
    """
    unknown = [
        i for i, answer in enumerate(answers) if isinstance(answer, Exception) and is_not_known(answer)
    ]
    if unknown:  # a fresh server, or one whose scripts were flushed
        texts = [calls[i].by_text() for i in unknown]
        for i, answer in zip(unknown, await _send_texts(send, texts, answers[unknown[0]]), strict=True):
            answers[i] = answer
    for call, answer in zip(calls, answers, strict=True):
        if isinstance(answer, ResponseError):
            if has_no_scripts(answer):
                return [await run_without(send, *pair) for pair in zip(calls, answers, strict=True)]
            raise explained(answer, call.script.text, call.keys, prefix)
    return answers


async def _send_texts(
    send: Callable[[Sequence[tuple[Any, ...]]], Awaitable[list[Any]]],
    texts: Sequence[tuple[Any, ...]],
    refusal: Exception,
) -> list[Any]:
    try:
        return await send(texts)
    except ConnectionError:
        if not hangs_up_after(refusal):
            raise
        return await send(texts)


async def run(redis: Redis, call: Call) -> Any:
    """Run a script through a client.

    Raises:
        redis.exceptions.RedisError: as the client does.
    """
    (answer,) = await run_all(functools.partial(answers_to, redis), [call], prefix_of(redis))
    return answer
