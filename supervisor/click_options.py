"""The table of options as click has them: parameters, their values, and `--help` in groups."""

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

import click
from click.core import ParameterSource

from .host.cpus import usable_cpus
from .option_row import ENVIRONMENT, Kind, OptionError, Row, Subject
from .options import ROWS

LONGEST_OPTION, LONGEST_PAGE = 27, 40


class Procs(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on only
    """A number of processes, or `auto`."""

    name = "N|auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """`auto` is the number of CPUs that this process may use."""
        if value == "auto":
            return usable_cpus()
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number nor 'auto'", param, ctx)


TYPES: dict[Kind, Any] = {
    Kind.NUMBER: float,
    Kind.COUNT: int,
    Kind.TEXT: str,
    Kind.TEXTS: str,
    Kind.FLAG: bool,
}


def table_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of the table. SETTINGS is an argument as well, and has a place of its own."""
    for row in reversed(ROWS.values()):
        if row.flags and row.name != "settings":
            command = _option(row)(command)
    return command


def _option(row: Row) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    about: dict[str, Any] = {"default": row.default, "envvar": row.env, "help": help_text(row)}
    if row.kind is Kind.FLAG and not row.choices:
        about["is_flag"] = True
    elif row.choices:
        about["type"] = click.Choice(row.choices)
        if row.kind is Kind.FLAG:
            about["default"] = row.choices[row.default]
    else:
        about |= {"type": TYPES[row.kind], "metavar": row.unit, "multiple": row.kind is Kind.TEXTS}
    if row.name == "procs":
        about |= {"type": Procs(), "default": None, "metavar": Procs.name}
    return click.option(*row.flags.split(" "), row.name, allow_from_autoenv=False, **about)


def help_text(row: Row) -> str:
    """The help of an option, with what holds when it is not given."""
    return row.help + (f"  [default: {row.shown_default}]" if row.shown_default else "")


# --- the environment ------------------------------------------------------------------------------------------


def origin(error: click.UsageError) -> str:
    """Where a wrong value comes from, if it is not on the command line."""
    param, ctx = getattr(error, "param", None), error.ctx
    return _origin(param, ctx) if param is not None and ctx is not None else ""


def origin_of(error: OptionError, ctx: click.Context) -> str:
    """The same for a value out of its range."""
    return "".join(_origin(param, ctx) for param in ctx.command.params if error.option in param.opts)


def _origin(param: click.Parameter, ctx: click.Context) -> str:
    is_there = ctx.get_parameter_source(str(param.name)) is ParameterSource.ENVIRONMENT
    return f", from {param.envvar}" if is_there else ""


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """What is said about variables that were meant to be options, it seems."""
    known = {row.env.removeprefix(ENVIRONMENT) for row in ROWS.values()}
    given = sorted(name.removeprefix(ENVIRONMENT) for name in environ if name.startswith(ENVIRONMENT))
    meant = {name: get_close_matches(name, known, 1) for name in given if name not in known}
    return [
        f"{ENVIRONMENT}{name} is no option, and has no effect: did you mean {ENVIRONMENT}{close[0]}?"
        for name, close in meant.items()
        if close
    ]


def forget_other_spellings(ctx: click.Context) -> click.Context:
    """Where two options say the same, one of them on the command line leaves none of the other in the environment."""
    for row in ROWS.values():
        for one, other in ((row.name, row.other_spelling), (row.other_spelling, row.name)):
            is_by_hand = one and ctx.get_parameter_source(one) is ParameterSource.COMMANDLINE
            if is_by_hand and ctx.get_parameter_source(other) is ParameterSource.ENVIRONMENT:
                ctx.params[other] = ROWS[other].default
    return ctx


# --- --help ---------------------------------------------------------------------------------------------------


def shown_options(command: click.Command) -> list[str]:
    """The long names of the options that `--help` shows."""
    return [
        name
        for one in command.params
        if isinstance(one, click.Option) and not one.hidden
        for name in one.opts
    ]


#: Page of the manual -> whose options it explains.
PAGES: dict[str, tuple[Subject, ...]] = {
    "docs/reference/options.md": tuple(Subject),
    "docs/tutorial/first-job.md": (Subject.RUNNING, Subject.DEVELOPMENT),
    "docs/operations.md": (Subject.STARTING, Subject.RESTARTING, Subject.STOPPING, Subject.CONTROL),
    "docs/how-to/rolling-upgrades.md": (Subject.RELOADING,),
    "docs/how-to/limits.md": (Subject.RECYCLING,),
    "docs/how-to/prometheus.md": (Subject.PROBES,),
    "docs/how-to/json-logs.md": (Subject.LOGS,),
    "docs/how-to/redis-acl.md": (Subject.REDIS,),
    "docs/how-to/systemd.md": (Subject.HELP,),
}


def write_pages(formatter: click.HelpFormatter) -> None:
    """Where the manual says more."""
    with formatter.section("Manual, in the repository (make docs builds it)"):
        rows = [
            (page, "all of them" if subjects == tuple(Subject) else ", ".join(subjects))
            for page, subjects in PAGES.items()
        ]
        formatter.write_dl(rows, LONGEST_PAGE)


def write_groups(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    """The options by subject, all with their texts in one column."""
    found: dict[str, list[tuple[str, str]]] = {subject: [] for subject in Subject}
    for parameter in command.get_params(ctx):
        row = ROWS.get(parameter.name or "")
        record = parameter.get_help_record(ctx) if isinstance(parameter, click.Option) else None
        if record:
            found[row.subject if row else Subject.HELP].append(record)
    for subject, records in found.items():
        if records:
            with formatter.section(subject):
                formatter.write_dl(
                    [(option.ljust(LONGEST_OPTION), text) for option, text in records], LONGEST_OPTION
                )
