"""The same question to each of several servers at the same time: one that is away holds up nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from redis.exceptions import RedisError, ResponseError

from .._printable import printable, redacted

Answer = TypeVar("Answer")

#: What says that a server can't be asked, and not that the question is wrong.
AWAY = (RedisError, OSError, TimeoutError)


class AwayError(ConnectionError):
    """A server can't be used; the text says why, in a line."""


class AllAwayError(AwayError):
    """None of the servers can be used; the text says why, for each."""


@dataclass(frozen=True, slots=True)
class Answers(Generic[Answer]):
    """What servers have answered.

    Attributes:
        found: name of the server -> its answer.
        away: name of the server -> why it has answered nothing, in a line.
    """

    found: dict[str, Answer]
    away: dict[str, str]


async def of_each(asks: Mapping[str, Callable[[], Awaitable[Answer]]]) -> Answers[Answer]:
    """Ask each server.

    Args:
        asks: name of the server -> what asks it.

    Raises:
        Exception: what an asker raises, unless it says that its server is away.
    """
    answers = await asyncio.gather(*(ask() for ask in asks.values()), return_exceptions=True)
    found: dict[str, Answer] = {}
    away: dict[str, str] = {}
    for name, answer in zip(asks, answers, strict=True):
        if isinstance(answer, AWAY):
            away[name] = why_away(answer)
        elif isinstance(answer, BaseException):
            raise answer
        else:
            found[name] = answer
    return Answers(found, away)


def away_line(name: str, why: str) -> str:
    """That a server can't be used, in a line."""
    return f"server {name} {why}"


def why_away(error: Exception) -> str:
    """Why a server can't be used, in a line that goes on behind its name."""
    if isinstance(error, AwayError):
        return str(error)
    if isinstance(error, ResponseError):
        text = f"refuses: {error}"
    elif type(error) is TimeoutError and not str(error):
        text = "does not answer"
    else:
        text = f"can't be reached: {type(error).__name__}: {error}".rstrip(": ")
    return printable(redacted(text))
