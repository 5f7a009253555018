"""Which Redis and which queue a command is about, and how trouble is told."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import click
from redis.exceptions import RedisError, ResponseError

from .._admin.trust import keys_of_environment
from .._did_you_mean import password_hint
from .._payloads.keyring import Keyring
from .._printable import printable, redacted
from ..admin import Admin
from ..connections import RedisSettings
from ..constants import default_queue_name
from .exit_codes import ExitCode
from .several_servers import named_addresses, named_servers, run_at_each

Answer = TypeVar("Answer")

_REDIS_HELP = (
    "Address of Redis: redis://[user:password@]host[:port][/db][?key_prefix=TEXT], rediss://, unix:// or "
    "redis+cluster://. Several: one after the other, NAME=redis://... gives them names."
)
_SETTINGS_HELP = "Take Redis and queue from the settings of a worker (imports them)."
_QUEUE_HELP = "Name of the queue."


class Target:
    """Which Redis and queue.

    Args:
        redis: an address; None: that of the settings, or the default Redis.
        found: options of the settings of a worker, or {}.
        queue: None: that of the settings, or the default.
    """

    def __init__(self, redis: str | None, found: Mapping[str, Any], queue: str | None) -> None:
        self.queue: str = queue or found.get("queue_name") or default_queue_name
        self.named_queue = queue
        self.health_key: str = found.get("health_check_key") or ""
        if redis:
            self.redis = _from_address(redis)
        else:
            self.redis = found.get("redis_settings") or RedisSettings()
        self.redis = dataclasses.replace(self.redis, conn_retries=0)
        self.signing: Keyring | None = found.get("signing") or _keys_of_environment()

    def with_prefix(self, prefix: str) -> RedisSettings:
        """The same Redis with another prefix of all keys."""
        try:
            return dataclasses.replace(self.redis, key_prefix=prefix)
        except ValueError as exc:
            fail(str(exc), ExitCode.USAGE)

    def run(self, do: Callable[[Admin], Awaitable[Answer]]) -> Answer:
        """Do something with Redis; what it says against that, or that it is away, ends the command."""
        try:
            return asyncio.run(self._with_admin(do))
        except ResponseError as exc:
            if "WRONGTYPE" in str(exc):
                fail(f"{self.queue!r} is no queue: it is another kind of key", ExitCode.NOT_ALL)
            fail(f"redis refuses: {exc}", ExitCode.REDIS)
        except (RedisError, OSError) as exc:
            fail(f"redis can't be used: {exc.__class__.__name__}: {exc}{password_hint(exc)}", ExitCode.REDIS)
        except ValueError as exc:
            fail(str(exc), ExitCode.USAGE)

    async def _with_admin(self, do: Callable[[Admin], Awaitable[Answer]]) -> Answer:
        async with Admin.connect(self.redis, signing=self.signing) as admin:
            return await do(admin)

    async def must_exist(self, admin: Admin) -> None:
        """A queue that was named and of which there is nothing is a slip."""
        if self.named_queue and not await admin.exists(self.queue):
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
        return get_kwargs(import_string(path))
    except ImportError as exc:
        fail(f"can't import {path!r}: {exc}", ExitCode.USAGE)


def fail(message: str, code: ExitCode) -> NoReturn:
    """End the command with one line."""
    say(message)
    sys.exit(code)


def say(message: str) -> None:
    """One line beside what the command prints."""
    click.echo(f"arq: {printable(redacted(message))}", err=True)


#: Commands that go on until they are ended.
_FOR_ONE = ("watch", "web")


def _targets(addresses: Sequence[str], settings: str | None, queue: str | None) -> list[tuple[str, Target]]:
    """The servers with their names."""
    found = _options_of(settings) if settings else {}
    if addresses:
        return [(name, Target(address, found, queue)) for name, address in named_addresses(addresses)]
    try:
        servers = named_servers(found.get("redis_settings"))
    except (TypeError, ValueError) as exc:
        fail(f"redis_settings of {settings} can't be used: {exc}", ExitCode.USAGE)
    return [(name, Target(None, {**found, "redis_settings": one}, queue)) for name, one in servers]


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
        targets = _targets(addresses, settings, queue)
        if len(targets) == 1:
            command(targets[0][1], **options)
        elif command.__name__ in _FOR_ONE:
            fail(f"arq {command.__name__} shows one server: give one --redis", ExitCode.USAGE)
        else:
            run_at_each(targets, lambda target: command(target, **options), say)

    if queue:
        wrapped = click.option(
            "-q", "--queue", metavar="NAME", help=_QUEUE_HELP + f"  [default: {default_queue_name}]"
        )(wrapped)
    wrapped = click.option("--settings", metavar="PATH", help=_SETTINGS_HELP)(wrapped)
    help_text = f"{_REDIS_HELP}  [env: ARQ_REDIS; default: redis://localhost:6379]"
    return click.option("--redis", metavar="URL", multiple=True, envvar="ARQ_REDIS", help=help_text)(wrapped)
