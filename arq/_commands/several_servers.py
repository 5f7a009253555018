"""The same command for each of several servers, one after the other."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from .._redis.shard_settings import is_several, named_settings
from .exit_codes import ExitCode

#: `NAME=` before an address.
_NAME = re.compile(r"^([\w.-]+)=(?=\w+(?:\+\w+)?://)")


def named_addresses(addresses: Sequence[str]) -> list[tuple[str, str]]:
    """A name and an address for each server. One without a name is called by its number."""
    found: list[tuple[str, str]] = []
    for number, address in enumerate(addresses, 1):
        name = _NAME.match(address)
        found.append((name[1], address[name.end() :]) if name else (f"server {number}", address))
    return found


def named_servers(given: Any) -> list[tuple[str, Any]]:
    """The same for what the settings of a worker name; one server has the name ''."""
    return list(named_settings(given).items()) if is_several(given) else [("", given)]


def run_at_each(
    targets: Sequence[tuple[str, Any]], do: Callable[[Any], object], say: Callable[[str], None]
) -> None:
    """Do it for each server; a line on stderr says for which. The exit code is the highest one.

    What one server does not know another one may: not known to all is what counts.
    """
    codes: list[int] = []
    for name, target in targets:
        say(f"{name}:")
        try:
            do(target)
        except SystemExit as end:
            codes.append(end.code if isinstance(end.code, int) else ExitCode.DONE if end.code is None else 1)
        else:
            codes.append(ExitCode.DONE)
    worst = max(codes)
    sys.exit(ExitCode.DONE if worst == ExitCode.NOT_ALL and ExitCode.DONE in codes else worst)
