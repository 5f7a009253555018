"""Runs a script: its functions, and the commands that it has for Redis."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Awaitable, Callable, Sequence
from itertools import chain
from typing import Any

from redis.exceptions import ResponseError

from .syntax import parse
from .tree import Block, LuaFunction, LuaTable, Scope, number, text

#: Sends commands; gives their answers, what is refused as an exception.
Send = Callable[[Sequence[tuple[Any, ...]]], Awaitable[list[Any]]]

_CLASSES = {
    b"d": rb"[0-9]",
    b"s": rb"[ \t-\r]",
    b"S": rb"[^ \t-\r]",
    b"a": rb"[A-Za-z]",
    b"w": rb"[0-9A-Za-z]",
}
#: Commands whose answers are a status: a table for scripts. (redis-py does not tell them from other texts.)
_WITH_STATUS = frozenset({b"SET", b"TYPE"})
_parse = functools.cache(parse)


async def run(send: Send, script: str, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
    """What EVAL would answer.

    Raises:
        redis.exceptions.ResponseError: the script was ended by a command that was refused.
    """
    block: Block = _parse(script)
    given = {
        "KEYS": LuaTable.of([key.encode() for key in keys]),
        "ARGV": LuaTable.of([_argument(argument) for argument in arguments]),
    }
    returned = await block.run(Scope(given, Scope(_library(send))))
    return _to_redis(returned[0]) if returned else None


def _argument(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _to_redis(value: Any) -> Any:
    """As Redis turns what a script returns into an answer: a list ends at the first nil, numbers become whole."""
    if isinstance(value, LuaTable):
        if b"err" in value:
            return ResponseError(value[b"err"].decode(errors="replace"))
        return [_to_redis(item) for item in value.values_from(1, value.length())]
    if isinstance(value, bool):
        return 1 if value else None
    return int(value) if isinstance(value, float) else value


def _from_redis(answer: Any) -> Any:
    """An answer as scripts get it: those of RESP3 as RESP2 has them, with texts for scores and lists for maps."""
    if answer is None:
        return False
    if isinstance(answer, dict):
        answer = list(chain.from_iterable(answer.items()))
    if isinstance(answer, list | tuple):
        return LuaTable.of([_from_redis(item) for item in answer])
    if isinstance(answer, float):
        return (f"{answer:.0f}" if answer.is_integer() else f"{answer:.17g}").encode()
    if isinstance(answer, int):
        return float(answer)
    return answer.encode() if isinstance(answer, str) else answer


def _flat(answer: Any) -> Any:
    """Members and scores one after the other; RESP3 has pairs."""
    if answer and isinstance(answer, list) and isinstance(answer[0], list | tuple):
        return list(chain.from_iterable(answer))
    return answer


def _library(send: Send) -> dict[str, Any]:
    async def call(arguments: list[Any]) -> list[Any]:
        command = tuple(map(text, arguments))
        (answer,) = await send([command])
        if isinstance(answer, Exception):
            raise answer
        if command[0] in _WITH_STATUS and answer is not None:
            return [LuaTable({b"ok": text(answer)})]
        return [_from_redis(_flat(answer) if b"WITHSCORES" in command else answer)]

    async def pcall(arguments: list[Any]) -> list[Any]:
        try:
            return await call(arguments)
        except ResponseError as exc:
            return [LuaTable({b"err": str(exc).encode()})]

    return {
        "redis": LuaTable({b"call": call, b"pcall": pcall}),
        "math": LuaTable({name.encode(): _plain(function) for name, function in _MATH.items()} | _HUGE),
        "string": LuaTable({name.encode(): _plain(function) for name, function in _STRING.items()}),
        "table": LuaTable({b"concat": _plain(_concat)}),
        **{name: _plain(function) for name, function in _BASIC.items()},
    }


def _plain(function: Callable[..., Any]) -> LuaFunction:
    """A function of Python's as a function of Lua's; what it gives as a tuple is several values."""

    async def called(arguments: list[Any]) -> list[Any]:
        result = function(*arguments)
        return list(result) if isinstance(result, tuple) else [result]

    return called


def _tonumber(value: Any) -> float | None:
    try:
        return number(value)
    except (TypeError, ValueError):
        return None


def _unpack(table: LuaTable, first: float = 1, last: float | None = None) -> tuple[Any, ...]:
    return tuple(table.values_from(int(first), table.length() if last is None else int(last)))


def _type(value: Any) -> bytes:
    kinds = ((bool, b"boolean"), (bytes, b"string"), (float, b"number"), (LuaTable, b"table"))
    return next((name for kind, name in kinds if isinstance(value, kind)), b"nil")


def _ipairs(table: LuaTable) -> list[tuple[float, Any]]:
    return [(float(index), table[index]) for index in range(1, table.length() + 1)]


def _pairs(table: LuaTable) -> list[tuple[Any, Any]]:
    return [(float(key) if isinstance(key, int) else key, value) for key, value in table.items()]


def _match(subject: Any, pattern: bytes) -> tuple[Any, ...]:
    found = re.search(_regex(pattern), text(subject), re.DOTALL)
    if found is None:
        return (None,)
    return found.groups() or (found[0],)


@functools.cache
def _regex(pattern: bytes) -> bytes:
    """A pattern of Lua's as one of Python's: `%` makes classes and takes away the meaning of signs."""
    if re.search(rb"[^%^]-", pattern):
        raise SyntaxError(f"the - in {pattern!r} is not known to this interpreter")

    def escaped(found: re.Match[bytes]) -> bytes:
        return _CLASSES.get(found[1], re.escape(found[1]))

    return re.sub(rb"%(.)", escaped, pattern)


def _find(subject: Any, wanted: bytes, first: float = 1, plain: bool = False) -> tuple[Any, ...]:
    pattern = re.compile(re.escape(wanted) if plain else _regex(wanted), re.DOTALL)
    found = pattern.search(text(subject), int(first) - 1)
    return (None,) if found is None else (float(found.start() + 1), float(found.end()))


def _sub(subject: Any, first: float, last: float = -1) -> bytes:
    whole = text(subject)
    begin, end = (int(at) if at >= 0 else max(len(whole) + int(at) + 1, 0) for at in (first, last))
    return whole[max(begin, 1) - 1 : end]


def _gsub(subject: Any, wanted: bytes, instead: bytes) -> tuple[Any, ...]:
    plain = instead.replace(b"%%", b"%")
    changed, times = re.subn(_regex(wanted), lambda _: plain, text(subject), flags=re.DOTALL)
    return changed, float(times)


def _concat(table: LuaTable, between: bytes = b"", first: float = 1, last: float | None = None) -> bytes:
    return between.join(map(text, _unpack(table, first, last)))


def _format(pattern: bytes, *values: Any) -> bytes:
    return pattern % tuple(map(number, values))


_HUGE = {b"huge": math.inf}
_MATH: dict[str, Callable[..., Any]] = {
    "floor": lambda value: float(math.floor(number(value))),
    "ceil": lambda value: float(math.ceil(number(value))),
    "min": lambda *values: min(map(number, values)),
    "max": lambda *values: max(map(number, values)),
}
_STRING: dict[str, Callable[..., Any]] = {
    "match": _match, "find": _find, "sub": _sub, "gsub": _gsub, "format": _format,
}  # fmt: skip
_BASIC: dict[str, Callable[..., Any]] = {
    "tonumber": _tonumber,
    "tostring": text,
    "unpack": _unpack,
    "type": _type,
    "ipairs": _ipairs,
    "pairs": _pairs,
}
