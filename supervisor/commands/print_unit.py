"""`--print-unit`: the systemd unit with this installation's paths, its user, and time-outs that fit the settings."""

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any

import click

from ..console import leave
from ..exit_codes import ExitCode
from ..host.cpus import usable_cpus
from ..host.working_directory import named_folder
from ..options import POOL, OptionError, Options, values_of
from ..pool_names import NAMELESS
from .installation import own_command, own_places, owner
from .unit_text import UNKNOWN_WAIT_S, USUAL, Unit, render

CARRIED = frozenset(row.name for row in POOL if row.is_carried and row.flags)


def print_unit(settings: str, name: str, is_template: bool) -> str:
    """The unit's text for this host: for one pool, or the template `arq-supervise@.service` for several.

    Leaves with exit code 4 and one line when the settings can not be used, with 2 when an option can not be.
    """
    context = click.get_current_context(silent=True)
    words = carried_words(context) if context is not None else ()
    given = context.params if context is not None else {}
    options = _checked_options(settings, name, given)
    user, group = owner(os.getcwd(), os.environ)
    unit = Unit(
        user=user,
        group=group,
        directory=named_folder(os.environ),
        command=own_command(),
        settings=settings,
        name=options.name,
        words=_with_usual(words, is_template),
        wait_s=completion_wait_s(settings) if settings else UNKNOWN_WAIT_S,
        options=options,
        places=own_places(),
    )
    try:
        return render(unit, is_template)
    except ValueError as error:
        leave(ExitCode.USAGE, f"--print-unit: {error}")


def completion_wait_s(settings: str) -> float:
    """How long jobs may go on at a stop, by these settings. Leaves with exit code 4 when they can not be used."""
    from ..redis_errors import short
    from ..settings import load_settings, where_looked

    try:
        with redirect_stdout(sys.stderr):  # what a module prints is not part of the unit
            return asyncio.run(_completion_wait_s(load_settings(settings)))
    except BaseException as error:  # noqa: BLE001  # a settings module may raise anything, SystemExit too
        leave(ExitCode.SETTINGS, f"cannot use {settings!r} ({short(error)}{where_looked(settings, error)})")


async def _completion_wait_s(settings: Any) -> float:
    import arq.worker
    from arq._redis.shard_settings import any_shard

    from ..settings import IF_SILENT

    given = arq.worker.get_kwargs(settings)
    chosen = {key: value for key, value in IF_SILENT.items() if key not in given}
    chosen |= {"redis_settings": any_shard(given["redis_settings"])} if "redis_settings" in given else {}
    worker: Any = arq.worker.create_worker(settings, handle_signals=False, **chosen)
    return float(worker.job_completion_wait or 0)


# --- options --------------------------------------------------------------------------------------------------


def carried_words(context: click.Context) -> tuple[str, ...]:
    """The options of the pool that are on this command line, to be put into the unit's."""
    words: list[str] = []
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        is_given = source is click.core.ParameterSource.COMMANDLINE
        if is_given and isinstance(parameter, click.Option) and name in CARRIED:
            words += _option_words(parameter, context.params[name])
    return tuple(words)


def _option_words(option: click.Option, value: Any) -> list[str]:
    if option.name == "procs" and value == usable_cpus():
        return []  # `auto`, most probably; in any case the same on this host
    if option.is_flag:
        return [option.opts[-1]] if value else [option.secondary_opts[-1]]
    values = value if option.multiple else (value,)
    return [
        word
        for one in values
        for word in (option.opts[-1], f"{one:g}" if isinstance(one, float) else str(one))
    ]


def _with_usual(words: tuple[str, ...], is_template: bool) -> tuple[str, ...]:
    """What a service should have, where the command line says nothing. A template's options are in its files."""
    if is_template:
        return words
    return tuple(word for pair in USUAL if pair[0] not in words for word in pair) + words


def _checked_options(settings: str, name: str, given: Mapping[str, Any]) -> Options:
    """What the command line says about the pool, within its ranges; leaves with exit code 2 when it is not."""
    known = {row.name for row in POOL} - {"settings", "name"}
    wanted = values_of({key: value for key, value in given.items() if key in known and value is not None})
    try:
        return Options(settings or NAMELESS, name=name, **wanted)
    except OptionError as error:
        leave(ExitCode.USAGE, str(error))
