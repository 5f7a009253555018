"""Conversions of time, short texts for log lines, and the import of dotted paths."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import sys
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from time import time
from typing import Any, overload

from ._printable import escaped
from ._types import SecondsTimedelta
from .constants import timezone_env_vars

logger = logging.getLogger("arq.utils")

epoch = datetime(1970, 1, 1)  # noqa: DTZ001  (naive, as it always was)
epoch_tz = epoch.replace(tzinfo=UTC)


def timestamp_ms() -> int:
    """Now, as unix time in ms."""
    return round(time() * 1000)


def to_unix_ms(dt: datetime) -> int:
    """A datetime as unix time in ms; a naive one is taken as local time."""
    return round(dt.timestamp() * 1000)


@lru_cache
def get_tz() -> tzinfo:
    """The timezone of datetimes in job infos: the first of `timezone_env_vars` that is set, else UTC.

    The answer is kept for the life of the process. An unknown name gives a warning and UTC.
    """
    name = next((os.environ[var] for var in timezone_env_vars if os.environ.get(var)), None)
    if name is None:
        return UTC
    try:
        return _load_timezone(name)
    except (
        KeyError,
        ValueError,
        OSError,
    ):  # zoneinfo and pytz both raise a KeyError for a name they don't know
        logger.warning("unknown timezone: %r", name)
        return UTC


def _load_timezone(name: str) -> tzinfo:
    try:
        pytz = importlib.import_module("pytz")  # arq used pytz: code that reads `tzinfo.zone` goes on working
    except ImportError:
        zoneinfo = importlib.import_module("zoneinfo")
        found: tzinfo = zoneinfo.ZoneInfo(name)
    else:
        found = pytz.timezone(name)
    return found


def ms_to_datetime(unix_ms: int) -> datetime:
    """Unix time in ms as an aware datetime in the timezone of `get_tz`."""
    return datetime.fromtimestamp(unix_ms / 1000, get_tz())  # by name it takes three times as long


#: No limit is longer, in s: a thousand years. More would not fit into Redis's time to live.
LONGEST_S = 1000 * 365.25 * 86_400
LONGEST_MS = round(LONGEST_S * 1000)


def is_no_limit(seconds: float | None) -> bool:
    """Whether a limit is none: None, `math.inf`, or more than a thousand years."""
    return seconds is None or seconds > LONGEST_S


@overload
def to_ms(td: None) -> None: ...
@overload
def to_ms(td: SecondsTimedelta) -> int: ...
def to_ms(td: SecondsTimedelta | None) -> int | None:
    """A duration (seconds or timedelta) in whole ms; None stays None."""
    if td is None:
        return None
    seconds = td.total_seconds() if isinstance(td, timedelta) else td
    return round(seconds * 1000)


@overload
def to_seconds(td: None) -> None: ...
@overload
def to_seconds(td: SecondsTimedelta) -> float: ...
def to_seconds(td: SecondsTimedelta | None) -> float | None:
    """A duration (seconds or timedelta) in seconds; None stays None."""
    return td.total_seconds() if isinstance(td, timedelta) else td


async def poll(step: float = 0.5) -> AsyncGenerator[float, None]:
    """Yield the seconds since the start, every `step` seconds; the time the caller takes counts as waiting."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    while True:
        before = loop.time()
        yield before - start
        await asyncio.sleep(max(0.0, step - (loop.time() - before)))


DEFAULT_CURTAIL = 80


def safe_repr(value: object) -> str:
    """`repr`, also of what has a broken one: a log line must not decide about a job."""
    try:
        return repr(value)
    except BaseException as exc:
        from ._interrupt_origin import asks_to_stop

        if asks_to_stop(exc):
            raise
        return f"<{type(value).__name__} whose repr() raises {type(exc).__name__}>"


def truncate(s: str, length: int = DEFAULT_CURTAIL) -> str:
    """The text, cut to `length` characters; the last one is then an ellipsis."""
    return s if len(s) <= length else s[: length - 1] + "…"


def args_to_string(args: Sequence[Any], kwargs: dict[str, Any]) -> str:
    """Arguments as they would stand in a call, on one line cut to 80 characters; keywords in alphabetical order."""
    if not args and not kwargs:
        return ""
    parts = [safe_repr(a) for a in args]
    if kwargs:
        parts += [f"{key}={safe_repr(kwargs[key])}" for key in sorted(kwargs)]
    shown = truncate(", ".join(parts))
    return shown if shown.isprintable() else escaped(shown)


def import_string(dotted_path: str) -> Any:
    """Import an object by path: `package.module.Name` or `package.module:Name`.

    Raises:
        ImportError: the path has no module part, the module can't be found, or it has no such attribute.
    """
    module_path, name = split_path(dotted_path)
    try:
        module = importlib.import_module(module_path)
    except ModuleNotFoundError as exc:
        exc.msg += _not_looked_at(module_path)
        raise
    found: Any = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as exc:
            submodule = _submodule(found, part)
            if submodule is None:
                where = _not_looked_at(module_path)
                raise ImportError(
                    f'Module "{module_path}" does not define a "{name}" attribute{where}'
                ) from exc
            found = submodule
    return found


def _submodule(module: Any, name: str) -> Any:
    """A module of a package that nobody has imported so far; None if there is none."""
    if not hasattr(module, "__path__"):
        return None
    full_name = f"{module.__name__}.{name}"
    try:
        return importlib.import_module(full_name)
    except ModuleNotFoundError as exc:
        if exc.name != full_name:
            raise
        return None


def _not_looked_at(module_path: str) -> str:
    """What to know when the working directory has a module of this name, and another one was found; else ""."""
    root = module_path.partition(".")[0]
    file = getattr(sys.modules.get(root), "__file__", None)
    for name in (f"{root}.py", root):
        own = os.path.abspath(name)
        if file and os.path.exists(own) and not os.path.abspath(file).startswith(own):
            return f"; {own} is not looked at, the name {root!r} belongs to {file}: give it another name"
    return ""


def split_path(dotted_path: str) -> tuple[str, str]:
    """The module and the attribute of a path like `package.module.Name` or `package.module:Name`."""
    path = dotted_path.strip()
    module_path, colon, name = path.partition(":")
    if not colon:
        module_path, _, name = path.rpartition(".")
    if not name or not all(f"{module_path}.{name}".split(".")):
        raise ImportError(f'"{dotted_path}" doesn\'t look like a module path')
    return module_path, name
