"""A prefix of all keys: what may be one, and how it gets into commands. No I/O.

Everywhere else keys have their plain names. The prefix comes in where a command leaves for the server, and goes out
where an answer names keys, so that no place can forget it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from .._keys import is_prefix_of_ours
from .declared_keys import further_keys

Command = tuple[Any, ...]

_LONGEST = 200
#: What would have to be escaped somewhere: in patterns of SCAN and ACLs, on command lines, in addresses, in logs.
_REFUSED = re.compile(r"[^!-~]|[*?\[\]^\\\"'`%#&]")


def checked(prefix: object) -> str:
    """A prefix that can be used.

    Raises:
        TypeError: it is no text.
        ValueError: it can't; the text says why.
    """
    if not isinstance(prefix, str):
        raise TypeError(f"key_prefix must be a text, not {type(prefix).__name__}")
    problem = _problem(prefix)
    if problem:
        raise ValueError(
            f"key_prefix {prefix[:_LONGEST]!r} {problem}: take something like 'app:' or '{{app}}:'"
        )
    return prefix


def _problem(prefix: str) -> str:
    if len(prefix) > _LONGEST:
        return f"has {len(prefix)} characters, {_LONGEST} are allowed"
    if refused := _REFUSED.search(prefix):
        return f"has {refused[0]!r} in it, which is not allowed"
    if prefix.count("{") + prefix.count("}") != (0 if tag_of(prefix) is None else 2):
        return "has braces that are no hash tag"
    if is_prefix_of_ours(prefix):
        return "is what keys of arq's begin with"
    return ""


def tag_of(prefix: str) -> str | None:
    """What stands between the first braces, or None: a cluster keeps keys that have the same there together."""
    found = re.search(r"\{([^{}]+)\}", prefix)
    return found[1] if found else None


class ClusterPrefix(str):
    """The prefix of keys on a cluster. Scripts name more keys there than they need elsewhere.

    While a slot is moved by keys, its node refuses a script that names a key which is not there, before the script has
    done anything. One that meets such a key on its way is broken off half-way. So all name one that is never there.
    """

    __slots__ = ()


_Names = Callable[[Sequence[Any]], Sequence[int]]


def _none(_: Sequence[Any]) -> Sequence[int]:
    return ()


def _first(_: Sequence[Any]) -> Sequence[int]:
    return (1,)


def _all(command: Sequence[Any]) -> Sequence[int]:
    return range(1, len(command))


def _all_but_last(command: Sequence[Any]) -> Sequence[int]:
    return range(1, len(command) - 1)


def _of_script(command: Sequence[Any]) -> Sequence[int]:
    # the argument behind the keys is what all names begin with that the script makes
    return range(3, 4 + command[2])


def _pairs(command: Sequence[Any]) -> Sequence[int]:
    return range(2, 2 + 2 * int(command[1]), 2)


def _every_second(command: Sequence[Any]) -> Sequence[int]:
    return range(1, len(command), 2)


def _pattern(command: Sequence[Any]) -> Sequence[int]:
    return (3,)


#: Where keys stand in each command that arq sends. Where there is a prefix, one that is not here is refused.
_NAMES: dict[str, _Names] = {
    "BLPOP": _all_but_last,
    "EVAL": _of_script,
    "EVALSHA": _of_script,
    "MSETEX": _pairs,
    **dict.fromkeys(["MSET", "MSETNX"], _every_second),
    "SCAN": _pattern,
    **dict.fromkeys(["DEL", "EXISTS", "MGET", "WATCH"], _all),
    **dict.fromkeys(["CONFIG", "DBSIZE", "EXEC", "INFO", "MULTI", "PING", "TIME", "UNWATCH"], _none),
    **dict.fromkeys(
        [
            *("GET", "INCR", "INCRBY", "PEXPIRE", "PEXPIREAT", "PTTL", "SET", "STRLEN", "TYPE"),
            *("HDEL", "HEXISTS", "HGET", "HGETALL", "HINCRBY", "HMGET", "HSCAN", "HSET"),
            *(
                "LLEN",
                "LRANGE",
                "LTRIM",
                "RPUSH",
                "SADD",
                "SMEMBERS",
                "SREM",
                "XADD",
                "XREVRANGE",
                "XRANGE",
                "XLEN",
            ),
            *(
                "ZADD",
                "ZCARD",
                "ZCOUNT",
                "ZMSCORE",
                "ZRANGE",
                "ZRANGEBYSCORE",
                "ZRANK",
                "ZREM",
                "ZREMRANGEBYRANK",
            ),
            *("ZREMRANGEBYSCORE", "ZREVRANGE", "ZREVRANGEBYSCORE", "ZREVRANK", "ZSCORE"),
        ],
        _first,
    ),
}


def under(prefix: str, command: Command) -> Command:
    """The same command for keys that have the prefix."""
    name = command[0]  # in bytes where a script is interpreted
    where = _NAMES[name.decode() if isinstance(name, bytes) else name](command)
    words = list(command)
    if isinstance(prefix, ClusterPrefix) and name in ("EVALSHA", "EVAL"):
        first, stop = 3, 3 + words[2]
        more = further_keys(words[1], words[first:stop], words[stop:])
        words[stop:stop] = more
        words[2] += len(more)
        where = _of_script(words)
    for index in where:
        word = words[index]
        words[index] = prefix.encode() + word if isinstance(word, bytes) else prefix + word
    return tuple(words)
