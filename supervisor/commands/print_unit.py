"""`--print-unit`: the systemd unit with this installation's paths, its user, and time-outs that fit the settings."""

import asyncio
import grp
import math
import os
import pwd
import re
import sys
import sysconfig
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any

import click

from ..console import complain, leave
from ..exit_codes import ExitCode
from ..host.cpus import usable_cpus
from ..host.interpreter import is_frozen
from ..host.working_directory import named_folder
from ..options import POOL, OptionError, Options, values_of
from ..pool.stop_budget import MANAGER_MARGIN_S, grace_s, stop_budget_s

# a unit for several pools is printed without their settings: enough for jobs that may finish for a minute
UNKNOWN_WAIT_S = 60.0
HOMES = ("/home", "/root", "/run/user")
TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108  # nothing is put there: it is what a unit hides
PLAIN_WORD = re.compile(r"[A-Za-z0-9_./:@=,+%$-]+")
HOME_NEEDED = "# the application or its Python is in somebody's home\nProtectHome=read-only"
TMP_NEEDED = "# the application or its Python is there\nPrivateTmp=no\nReadWritePaths=/tmp /var/tmp"
CALLS = (
    "# with --cpu-affinity, or nice and setrlimit in jobs: without @resources\n"
    "SystemCallFilter=~@privileged @resources"
)
CALLS_NEEDED = "SystemCallFilter=~@privileged"
CARRIED = frozenset(row.name for row in POOL if row.is_carried and row.flags)
# what decides nothing by itself comes last
USUAL = tuple(
    (row.option, row.usual) for row in sorted(POOL, key=lambda row: row.default is None) if row.usual
)


@dataclass(frozen=True)
class Unit:
    """What differs from one unit to the next.

    `command` is the program and its first arguments; `words` are options of the pool, as on a command line.
    `wait_s` is how long running jobs may go on at a stop (job_completion_wait); the other times are the options'.
    """

    user: str
    group: str
    directory: str
    command: tuple[str, ...]
    settings: str = ""
    name: str = ""
    words: tuple[str, ...] = tuple(word for pair in USUAL for word in pair)
    wait_s: float = UNKNOWN_WAIT_S
    graceful_timeout_s: float | None = None
    kill_timeout_s: float = 5.0
    boot_timeout_s: float = 60.0
    boot_retries: int = 1
    # where the program and its libraries are
    places: tuple[str, ...] = ()

    @property
    def budget_s(self) -> float:
        """The longest that a stop takes."""
        return stop_budget_s(grace_s(self.wait_s, self.graceful_timeout_s), self.kill_timeout_s)

    @property
    def start_s(self) -> float:
        """The longest start that is not given up: the first worker, with its retries, then all others."""
        return self.boot_timeout_s * (self.boot_retries + 2)


# the files in systemd/ are made with this: an application in /srv/app with its environment beside it
EXAMPLE = Unit(
    user="arq",
    group="arq",
    directory="/srv/app",
    command=("/srv/app/.venv/bin/arq-supervise",),
    settings="app.worker.Settings",
    name="app",
)


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
        graceful_timeout_s=options.graceful_timeout_s,
        kill_timeout_s=options.kill_timeout_s,
        boot_timeout_s=options.boot_timeout_s,
        boot_retries=options.boot_retries,
        places=_places(),
    )
    try:
        return render(unit, is_template)
    except ValueError as error:
        leave(ExitCode.USAGE, f"--print-unit: {error}")


# --- text -----------------------------------------------------------------------------------------------------


def render(unit: Unit, is_template: bool) -> str:
    """The unit's text.

    Raises:
        ValueError: a path or a word holds a line break.
    """
    text = files("supervisor").joinpath("commands", "arq-supervise.service.in").read_text("utf-8")
    mine, other = ("@many@", "@one@") if is_template else ("@one@", "@many@")
    lines = (line.removeprefix(mine) for line in text.splitlines() if not line.startswith((other, "@note@")))
    values = _values(unit, is_template)
    return "\n".join(re.sub(r"@([A-Z_]+)@", lambda found: values[found[1]], line) for line in lines) + "\n"


def _values(unit: Unit, is_template: bool) -> dict[str, str]:
    options = " ".join(map(exec_word, unit.words))
    words = f"{exec_word(unit.settings)} --name {exec_word(unit.name)} {options}".rstrip()
    instance = "%i" if is_template else unit.name
    places = (unit.directory, *unit.command, *unit.places)
    return {
        "USER": unit.user,
        "GROUP": unit.group,
        "DIRECTORY": literal(unit.directory),
        "COMMAND": " ".join([program_word(unit.command[0]), *map(exec_word, unit.command[1:])]),
        "WORDS": f"{options} ".lstrip() if is_template else words,
        "NAME": unit.name,
        "INSTANCE": instance,
        "WHERE": f"--name {instance}{_control(unit.words)}",
        "START_S": f"{math.ceil(unit.start_s)}",
        "STOP_S": "infinity"
        if unit.budget_s == math.inf
        else f"{math.ceil(unit.budget_s + MANAGER_MARGIN_S)}",
        "BUDGET": _budget_text(unit, is_known=bool(unit.settings) and not is_template),
        "HOME": HOME_NEEDED if _within(places, HOMES) else "ProtectHome=yes",
        "TMP": TMP_NEEDED if _within(places, TEMPORARY) else "PrivateTmp=yes",
        "CALLS": CALLS_NEEDED if "spread" in unit.words else CALLS,
    }


def _control(words: tuple[str, ...]) -> str:
    """Where the reload command finds the pool, when that was chosen."""
    values = [value for option, value in pairwise(words) if option == "--control"]
    return f" --control {exec_word(values[-1])}" if values else ""


def _budget_text(unit: Unit, is_known: bool) -> str:
    if unit.wait_s == unit.budget_s == math.inf:
        return "job_completion_wait has no limit: a stop takes as long as the jobs that are running"
    wait = f"{unit.wait_s:g} s" if is_known else f"up to {unit.wait_s:g} s"
    return (
        f"job_completion_wait ({wait}) and what follows it take at most {unit.budget_s:g} s, and {MANAGER_MARGIN_S:g} s"
        " to spare; longer while workers drain"
    )


def _within(places: tuple[str, ...], folders: tuple[str, ...]) -> bool:
    return any(place == folder or place.startswith(f"{folder}/") for place in places for folder in folders)


def literal(text: str) -> str:
    """A text in which systemd finds nothing to replace.

    Raises:
        ValueError: it has a line break.
    """
    if not text.isprintable():
        raise ValueError(f"{text!r} can not be written into a unit")
    return text.replace("%", "%%")


def program_word(path: str) -> str:
    """The first word of a command line: systemd replaces no variables in it, and refuses quotes.

    Raises:
        ValueError: it has a quote, a backslash or a line break.
    """
    if any(character in path for character in "\"'\\"):
        raise ValueError(f"systemd starts no program whose path has quotes or backslashes: {path}")
    return _quoted(path)


def exec_word(word: str) -> str:
    """One of the other words, whatever is in it but a line break."""
    return _quoted(word).replace("$", "$$")


def _quoted(word: str) -> str:
    escaped = literal(word).replace("\\", "\\\\").replace('"', '\\"')
    return escaped if PLAIN_WORD.fullmatch(word) else f'"{escaped}"'


# --- this installation ----------------------------------------------------------------------------------------


def own_command() -> tuple[str, ...]:
    """How this program is started: its script, or the interpreter and the module; a frozen one with its subcommands."""
    if is_frozen():
        context = click.get_current_context(silent=True)
        return (os.path.abspath(sys.executable), *(context.command_path.split()[1:] if context else ()))
    beside = Path(sysconfig.get_path("scripts")) / "arq-supervise"
    for path in (Path(sys.argv[0]), beside):
        if path.name == "arq-supervise" and os.access(path, os.X_OK):
            return (os.path.abspath(path),)
    return (sys.executable, "-m", "supervisor")


def _places() -> tuple[str, ...]:
    """Where the program and its libraries are; a frozen one has them with it, or unpacks them where it runs."""
    real = os.path.realpath(sys.executable)
    return (real,) if is_frozen() else (sys.prefix, sys.base_prefix, real)


def owner(directory: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """User and group of the service: who asks; for root, who has called sudo or owns the directory."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0 and environ.get("SUDO_UID", "").isdigit() and environ.get("SUDO_GID", "").isdigit():
        uid, gid = int(environ["SUDO_UID"]), int(environ["SUDO_GID"])
    if uid == 0:
        about = os.stat(directory)
        uid, gid = about.st_uid, about.st_gid
    if uid == 0:
        complain("--print-unit: User=root: better give the workers a user of their own")
    return _name(pwd.getpwuid, uid), _name(grp.getgrgid, gid)


def _name(look_up: Any, number: int) -> str:
    try:
        return str(look_up(number)[0])
    except KeyError:
        return str(number)


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

    from ..settings import IF_SILENT

    given = arq.worker.get_kwargs(settings)
    silent = {key: value for key, value in IF_SILENT.items() if key not in given}
    worker: Any = arq.worker.create_worker(settings, handle_signals=False, **silent)
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
        return Options(settings or "pool", name=name, **wanted)
    except OptionError as error:
        leave(ExitCode.USAGE, str(error))
