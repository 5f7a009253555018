"""Several servers that hold one queue together, as settings: their names, and which one a worker works for. No I/O."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .rendezvous import SeveralServers, home
from .settings import RedisSettings, settings_or_default

#: What `redis_settings` of a worker may be: one server or several.
Servers = RedisSettings | SeveralServers | Sequence[RedisSettings] | Mapping[str, RedisSettings]
#: Which of several servers a worker works for that nobody has told, from 0 on.
SHARD_VARIABLE = "ARQ_SHARD"


class Shard(NamedTuple):
    """One of several servers.

    Attributes:
        number: which one, from 0 on.
        names: those of all of them.
        settings: how to reach this one.
    """

    number: int
    names: tuple[str, ...]
    settings: RedisSettings

    def has(self, key: str) -> bool:
        """Whether this server is the one for the key."""
        return home(self.names, key) == self.number


def is_several(given: Any) -> bool:
    """Whether these are settings of several servers."""
    return isinstance(given, list | tuple | Mapping | SeveralServers) and not isinstance(given, Shard)


def named_settings(given: Any) -> dict[str, RedisSettings]:
    """Names and settings of several servers: a list of settings, or a mapping from names to them.

    Raises:
        TypeError: it is something else.
        ValueError: there are none, or two of one name.
    """
    found = getattr(given, "shard_settings", given)
    if isinstance(found, Mapping):
        if "host" in found and isinstance(found["host"], str):  # their fields, not servers by name
            raise TypeError(f"redis settings must be RedisSettings, not a {type(found).__name__}")
        pairs = [(str(name), settings_or_default(settings)) for name, settings in found.items()]
    elif isinstance(found, list | tuple):
        pairs = [(place(settings_or_default(settings)), settings) for settings in found]
    else:
        raise TypeError(
            f"shards must be a list of RedisSettings, or a dict of them, not {type(found).__name__}"
        )
    named = dict(pairs)
    if not named:
        raise ValueError("there are no shards: give at least one RedisSettings")
    if len(named) < len(pairs):
        twice = sorted({name for name, _ in pairs if [other for other, _ in pairs].count(name) > 1})
        raise ValueError(f"two shards are the same: {', '.join(twice)}")
    return named


def place(settings: RedisSettings) -> str:
    """Where keys are by these settings: servers are told apart by it, so it is the same for everybody."""
    if settings.unix_socket_path:
        where = settings.unix_socket_path
    elif isinstance(settings.host, str):
        where = f"{settings.host}:{settings.port}"
    else:
        where = ",".join(f"{host}:{port}" for host, port in settings.host)
    which = settings.sentinel_master if settings.sentinel else str(settings.database)
    return f"{where}/{which}/{settings.key_prefix}"


def shard_of(given: Any, number: int) -> Shard:
    """One of several servers; `number` may be larger than their number: they are gone through again and again."""
    named = named_settings(given)
    names = tuple(named)
    number %= len(names)
    return Shard(number, names, named[names[number]])


def each_of(given: Any) -> list[Any]:
    """The settings of all servers that are named: one of them or several."""
    return list(named_settings(given).values()) if is_several(given) else [given]


def any_shard(given: Any) -> Any:
    """What to make a worker with that is only looked at: it has all schedules, and one of the servers."""
    return shard_of(given, 0)._replace(names=("",)) if is_several(given) else given


def chosen_shard(given: Any) -> Shard | None:
    """The server of a worker for which several are named; None: there is just one.

    Raises:
        ValueError: nobody has said which one.
    """
    if isinstance(given, Shard):
        return given
    if not is_several(given):
        return None
    number = os.environ.get(SHARD_VARIABLE, "")
    count = len(named_settings(given))
    if count > 1 and not (number.isdecimal() and int(number) < count):
        raise ValueError(
            f"redis_settings names {count} servers, and a worker works for one: arq-supervise deals its workers over "
            f"them; for a single one set {SHARD_VARIABLE} to a number from 0 to {count - 1}"
        )
    return shard_of(given, int(number or 0))
