"""What a child does about its process before the user's code comes: options of the process, logging, hooks."""

import asyncio
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import arq.utils
from arq._option_types import to_await
from arq._redis.shard_settings import each_of
from arq.connections import RedisSettings

from ..ipc.brief import Brief
from ..settings import require_settings, see_working_directory, slips_in
from .worker_log import configure_child_log

logger = logging.getLogger("arq.worker")

OOM_SCORE_ADJ = "/proc/self/oom_score_adj"
IDLE_OOM_SCORE = 300


def be_first_victim() -> int | None:
    """Of two processes the kernel shall rather end this one for memory; returns what `be_victim_like_others` needs."""
    with suppress(OSError, ValueError), open(OOM_SCORE_ADJ, "r+", encoding="ascii") as file:
        before = int(file.read())
        file.seek(0)
        file.write(str(min(1000, before + IDLE_OOM_SCORE)))
        return before
    return None


def be_victim_like_others(before: int | None) -> None:
    """Take that back, where the system allows it."""
    if before is not None:
        with suppress(OSError), open(OOM_SCORE_ADJ, "w", encoding="ascii") as file:
            file.write(str(before))


def settle(brief: Brief) -> None:
    """What the options want of the process itself; a system that refuses is no reason not to work."""
    options = brief.options
    if "numpy" in sys.modules:  # Python's own generator is seeded anew by the fork
        sys.modules["numpy"].random.seed()
    if options.child_oom_score_adj is not None:
        with suppress(OSError), open(OOM_SCORE_ADJ, "w", encoding="ascii") as file:
            file.write(str(options.child_oom_score_adj))
    if options.cpu_affinity:
        with suppress(OSError, AttributeError):
            cpus = sorted(os.sched_getaffinity(0))
            os.sched_setaffinity(0, {cpus[brief.slot % len(cpus)]})


def configure_logging(brief: Brief, loop: asyncio.AbstractEventLoop) -> None:
    """The pool's format, or the configuration that the user names."""
    options = brief.options
    if options.custom_log_dict:
        see_working_directory()
        from logging.config import dictConfig  # imported by the parent where it is needed: 0.7 MB

        config = arq.utils.import_string(options.custom_log_dict)
        try:
            dictConfig(config)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise ValueError(f"no configuration for logging: {error.__cause__ or error}") from None
    else:
        configure_child_log(options.name, str(brief.slot), options.log_format, options.log_level, loop)
    logging.raiseExceptions = False


def look_at(brief: Brief, settings: Any) -> None:
    """Refuse what can be no settings, and tell what looks like a slip: one worker does, for all.

    Raises:
        TypeError: it can be no settings.
    """
    require_settings(brief.options.settings, settings)
    if brief.is_first and brief.slot == 0:
        for text in slips_in(settings):
            logger.warning("%s: %s", brief.options.settings, text)


def survived(hook: Callable[[Any], Awaitable[Any]] | None) -> Callable[[Any], Awaitable[None]] | None:
    """The stop hook; what it raises is told, and no reason for another end: the jobs have been dealt with."""
    if hook is None:
        return None

    async def on_shutdown(ctx: Any) -> None:
        try:
            await to_await("on_shutdown", hook(ctx))
        except BaseException:
            logger.exception("on_shutdown failed")

    return on_shutdown


def count_of_servers(servers: object, procs: int) -> int:
    """How many servers the settings name.

    Raises:
        ValueError: more than there are workers.
    """
    count = len(each_of(servers))
    if procs < count:
        raise ValueError(
            f"redis_settings names {count} servers, and each needs a worker: --procs {count} or more"
        )
    return count


def warn_of_another_redis(embedded: RedisSettings, theirs: object, path: str) -> None:
    """Settings that name a Redis of their own do not use the embedded server: say so, else nothing seems to happen."""
    socket_path = getattr(theirs, "unix_socket_path", None)
    if socket_path != embedded.unix_socket_path:
        named = socket_path or f"{getattr(theirs, 'host', None)}:{getattr(theirs, 'port', None)}"
        logger.warning(
            "--embedded-redis is not used: redis_settings of %s name %s; "
            'use RedisSettings.from_dsn(os.environ["REDIS_DSN"])',
            path,
            named,
        )
