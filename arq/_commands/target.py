"""Which Redis and which queue a command is about, and how trouble is told."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any, NoReturn, TypeVar

import click
from redis.exceptions import RedisError, ResponseError

from .._admin.fan_out import AllAwayError
from .._admin.trust import keys_of_environment
from .._did_you_mean import password_hint, refused_here
from .._payloads.keyring import Keyring
from .._printable import printable, redacted
from ..admin import Admin
from ..connections import RedisSettings
from ..constants import default_queue_name
from .admins import Admins
from .exit_codes import ExitCode
from .several_servers import named_addresses, named_servers

Answer = TypeVar("Answer")

#: Seconds that one of several servers may take for an answer: the others are not kept waiting for it longer.
_PATIENCE_S = 5

_REDIS_HELP = (
    "Address of Redis: redis://[user:password@]host[:port][/db][?key_prefix=TEXT], rediss://, unix:// or "
    "redis+cluster://. Several that hold the same queues: --redis for each, NAME=redis://... gives them names."
)
_SETTINGS_HELP = "Take Redis and queue from the settings of a worker (imports them)."
_QUEUE_HELP = "Name of the queue."


class Target:
    """Which queue, and which server or servers.

    Args:
        servers: how to reach them, by name; one server has the name ''.
        found: options of the settings of a worker, or {}.
        queue: None: that of the settings, or the default.

    Attributes:
        is_short: some of several servers were away in the end.
    """

    def __init__(
        self, servers: Mapping[str, RedisSettings], found: Mapping[str, Any], queue: str | None
    ) -> None:
        self.queue: str = queue or found.get("queue_name") or default_queue_name
        self.named_queue = queue
        self.health_key: str = found.get("health_check_key") or ""
        self.servers = {name: dataclasses.replace(one, conn_retries=0) for name, one in servers.items()}
        if self.are_several:
            self.servers = {
                name: dataclasses.replace(one, socket_timeout=_PATIENCE_S)
                for name, one in self.servers.items()
            }
        self._found = found
        self.signing: Keyring | None = found.get("signing") or _keys_of_environment()
        self.is_short = False

    @property
    def redis(self) -> RedisSettings:
        """How to reach the only server."""
        (found,) = self.servers.values()
        return found

    @property
    def are_several(self) -> bool:
        """Whether there are several servers."""
        return len(self.servers) > 1

    def at_each(self) -> list[tuple[str, Target]]:
        """The same for each server alone."""
        return [
            (name, Target({"": one}, self._found, self.named_queue)) for name, one in self.servers.items()
        ]

    def with_prefix(self, prefix: str) -> RedisSettings:
        """The same Redis with another prefix of all keys."""
        try:
            return dataclasses.replace(self.redis, key_prefix=prefix)
        except ValueError as exc:
            fail(str(exc), ExitCode.USAGE)

    def each(self, do: Callable[[Admin], Awaitable[Answer]]) -> dict[str, Answer]:
        """What the servers answer, by name."""
        return self.run(lambda admins: admins.each(do))

    def run(self, do: Callable[[Admins], Awaitable[Answer]]) -> Answer:
        """Do something with Redis; what it says against that, or that it is away, ends the command."""
        try:
            return asyncio.run(self._with_admins(do))
        except AllAwayError:  # that was said of each
            sys.exit(ExitCode.REDIS)
        except ResponseError as exc:
            if "WRONGTYPE" in str(exc):
                fail(f"{self.queue!r} is no queue: it is another kind of key", ExitCode.NOT_ALL)
            fail(f"redis refuses: {exc}", ExitCode.REDIS)
        except (RedisError, OSError) as exc:
            fail(f"redis can't be used: {exc.__class__.__name__}: {exc}{password_hint(exc)}", ExitCode.REDIS)
        except ValueError as exc:
            fail(str(exc), ExitCode.USAGE)

    async def _with_admins(self, do: Callable[[Admins], Awaitable[Answer]]) -> Answer:
        async with AsyncExitStack() as stack:
            admins = Admins(self.servers, self.signing, say, stack)
            try:
                return await do(admins)
            finally:
                self.is_short = self.is_short or bool(admins.away)

    async def must_exist(self, admins: Admins) -> None:
        """A queue that was named and of which there is nothing is a slip."""
        if not self.named_queue:
            return
        is_known = await admins.each(lambda admin: admin.exists(self.queue))
        if not any(is_known.values()) and not admins.away:
            fail(f"there is no queue {self.queue!r}: no jobs, no workers", ExitCode.NOT_ALL)


def _is_from_environment(option: str) -> bool:
    source = click.get_current_context().get_parameter_source(option)
    return source is click.core.ParameterSource.ENVIRONMENT


def _keys_of_environment() -> Keyring | None:
    try:
        return keys_of_environment()
    except ValueError as exc:
        fail(str(exc), ExitCode.USAGE)


def _from_address(address: str) -> RedisSettings:
    try:
        return RedisSettings.from_dsn(address)
    except (RuntimeError, ValueError) as exc:
        fail(f"--redis is no address of a Redis: {exc}; as in redis://localhost:6379/0", ExitCode.USAGE)


def _options_of(path: str) -> dict[str, Any]:
    from ..utils import import_string
    from ..worker import get_kwargs

    sys.path.append(os.getcwd())
    try:
        found = get_kwargs(import_string(path))
    except ImportError as exc:
        fail(f"can't import {path!r}: {exc}", ExitCode.USAGE)
    except (ValueError, TypeError, RuntimeError, OSError) as exc:
        if not (place := refused_here(exc)):
            raise
        fail(f"can't import {path!r}: {exc} ({place})", ExitCode.USAGE)
    keys = found.get("signing")
    if not isinstance(keys, Keyring | None):
        fail(f"signing of {path} must be an arq.codecs.Keyring, not {type(keys).__name__}", ExitCode.USAGE)
    return found


def end_with(command: Callable[[], object], target: Target) -> None:
    """Run a command. It ends with the code of its own, but for servers that are away."""
    try:
        command()
    except SystemExit as end:
        code = (
            end.code if isinstance(end.code, int) else ExitCode.DONE if end.code is None else ExitCode.NOT_ALL
        )
        sys.exit(max(code, ExitCode.REDIS) if target.is_short and code != ExitCode.INTERRUPTED else code)
    if target.is_short:
        sys.exit(ExitCode.REDIS)


def fail(message: str, code: ExitCode) -> NoReturn:
    """End the command with one line."""
    say(message)
    sys.exit(code)


def say(message: str) -> None:
    """One line beside what the command prints."""
    click.echo(f"arq: {printable(redacted(message))}", err=True)


def _servers(
    addresses: Sequence[str], path: str | None, found: Mapping[str, Any]
) -> dict[str, RedisSettings]:
    """The servers with their names."""
    if addresses:
        try:
            return named_addresses(addresses, _from_address)
        except ValueError as exc:
            fail(f"--redis: {exc}", ExitCode.USAGE)
    try:
        return named_servers(found.get("redis_settings"))
    except (TypeError, ValueError) as exc:
        fail(f"redis_settings of {path} can't be used: {exc}", ExitCode.USAGE)


def with_target(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which Redis and queue; the command gets a `Target` first."""
    return _with(command, queue=True)


def with_redis(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a command to which queues are given as arguments."""
    return _with(command, queue=False)


def _with(command: Callable[..., Any], *, queue: bool) -> Callable[..., Any]:
    @functools.wraps(command)
    def wrapped(
        redis: tuple[str, ...], settings: str | None, queue: str | None = None, **options: Any
    ) -> None:
        addresses: Sequence[str] = redis
        if len(redis) == 1 and "://" not in redis[0] and settings is None:
            addresses, settings = (), redis[0]
        elif settings and _is_from_environment("redis"):
            addresses = ()
        found = _options_of(settings) if settings else {}
        target = Target(_servers(addresses, settings, found), found, queue)
        end_with(functools.partial(command, target, **options), target)

    if queue:
        wrapped = click.option(
            "-q", "--queue", metavar="NAME", help=_QUEUE_HELP + f"  [default: {default_queue_name}]"
        )(wrapped)
    wrapped = click.option("--settings", metavar="PATH", help=_SETTINGS_HELP)(wrapped)
    help_text = f"{_REDIS_HELP}  [env: ARQ_REDIS; default: redis://localhost:6379]"
    return click.option("--redis", metavar="URL", multiple=True, envvar="ARQ_REDIS", help=help_text)(wrapped)
