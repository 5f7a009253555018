"""Which servers a command is about: by addresses, or by the settings of a worker."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from .._redis.shard_settings import is_several, named_settings, place
from ..connections import RedisSettings

#: `NAME=` before an address.
_NAME = re.compile(r"^([\w.-]+)=(?=\w+(?:\+\w+)?://)")


def named_addresses(
    addresses: Sequence[str], read: Callable[[str], RedisSettings]
) -> dict[str, RedisSettings]:
    """A name and settings for each server; one server has the name ''. One without a name is called by where it is.

    Args:
        read: makes settings of an address.

    Raises:
        ValueError: two are the same, or have one name.
    """
    found: dict[str, RedisSettings] = {}
    places: set[str] = set()
    for address in addresses:
        given = _NAME.match(address)
        settings = read(address[given.end() :] if given else address)
        where = place(settings)
        name = given[1] if given else where
        if name in found:
            raise ValueError(f"two servers are called {name}")
        if where in places:
            raise ValueError(f"{where} is given twice")
        places.add(where)
        found[name] = settings
    return found if len(found) > 1 else _named(found)


def named_servers(given: Any) -> dict[str, RedisSettings]:
    """The same for what the settings of a worker name.

    Raises:
        TypeError, ValueError: it is no server, or two are the same.
    """
    found = named_settings(given) if is_several(given) else {"": given or RedisSettings()}
    return found if len(found) > 1 else _named(found)


def _named(found: dict[str, RedisSettings]) -> dict[str, RedisSettings]:
    return found if len(found) > 1 else {"": next(iter(found.values()))}
