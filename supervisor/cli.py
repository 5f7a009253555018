"""The command line of arq-supervise: options in, exit code out. No logic."""

import os
import sys
from collections.abc import Mapping
from typing import Any

import click
from click.core import ParameterSource

from .click_options import (
    forget_other_spellings,
    origin,
    origin_of,
    shown_options,
    table_options,
    unknown_variables,
    write_groups,
    write_pages,
)
from .commands.dispatch import (
    about_option,
    check_health,
    control,
    leave_after_looking,
    refuse_misplaced,
    split_words,
)
from .console import complain, leave
from .exit_codes import ExitCode
from .host.cpus import usable_cpus
from .host.interpreter import is_to_resume
from .options import QUESTION, OptionError, Options, Question, values_of

HELP = """Run SETTINGS (dotted path of a worker settings class, as for `arq`) in a pool of supervised processes.

Every option can also be given in the environment as ARQ_SUPERVISE_<NAME>; the command line wins.

Signals: TERM and INT stop gracefully (again: harder), QUIT stops at once, HUP reloads the code, TTIN and TTOU
add and remove a worker, USR2 makes the pool quiet (until `--ctl resume` or a reload), USR1 writes the stacks and tasks
of all workers to the log."""


class OneLine(click.Command):
    """A command whose mistakes are told on one line, as all others of this program are."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the words of the command line, unless this is to be a child of the one that has read them."""
        if is_to_resume():
            from .children.roles import resume

            resume()
        try:
            ctx = super().make_context(info_name, args, parent, **extra)
            return forget_other_spellings(ctx)
        except click.NoSuchOption as error:
            leave(ExitCode.USAGE, f"{about_option(error, shown_options(self))} (see --help)")
        except click.UsageError as error:
            leave(ExitCode.USAGE, f"{error.format_message().rstrip('.')}{origin(error)} (see --help)")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of `--help`, in groups."""
        write_groups(self, ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Name the pages of the manual."""
        write_pages(formatter)


def show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Imports the package for it only when it is asked for."""
    if wanted and not ctx.resilient_parsing:
        from arq.version import VERSION

        click.echo(f"arq-supervise, version {VERSION}")
        ctx.exit()


def note_settings(ctx: click.Context, _: click.Parameter, path: str) -> None:
    """Keep what `--settings` says for `one_path`."""
    ctx.meta["settings"] = path


def one_path(argument: str) -> str:
    """SETTINGS, whether it was given as an argument or as an option."""
    option: str = click.get_current_context().meta["settings"]
    if option and argument and option != argument and given_by_hand("words") and given_by_hand("settings"):
        leave(ExitCode.USAGE, f"SETTINGS is given twice: {argument} and --settings {option}")
    return option if option and (not argument or given_by_hand("settings")) else argument


def refuse_preload(_: click.Context, __: click.Parameter, wanted: bool) -> None:
    """Known from other servers, and not what is done here."""
    if wanted:
        leave(ExitCode.USAGE, "--preload: user code is imported in each worker, so that a reload sees new code;"
              " leave the option out")  # fmt: skip


@click.command(
    "arq-supervise", cls=OneLine, help=HELP, context_settings={"auto_envvar_prefix": "ARQ_SUPERVISE"}
)
@click.option("-V", "--version", is_flag=True, expose_value=False, is_eager=True, callback=show_version,
              help="Show the version and leave.")  # fmt: skip
@click.option("--preload", is_flag=True, expose_value=False, hidden=True, callback=refuse_preload)
@click.argument("words", nargs=-1, metavar="[SETTINGS]", envvar="ARQ_SUPERVISE_SETTINGS")
@click.option("--settings", default="", metavar="SETTINGS", expose_value=False, callback=note_settings,
              help="The same as the argument SETTINGS.")  # fmt: skip
@table_options
def cli(words: tuple[str, ...], **given: Any) -> None:
    """See HELP."""
    if not hasattr(os, "fork"):
        leave(ExitCode.USAGE, "this platform can not fork: use `arq SETTINGS`")
    question = make_question(given)
    operand, argument = split_words(words, question.ctl)
    settings = one_path(argument)
    if "://" in settings:
        leave(ExitCode.USAGE, "SETTINGS is an address: give the dotted path of a worker settings class")
    refuse_misplaced(question, given_by_hand)
    leave_after_looking(question, settings, given["name"])
    if question.ctl is not None:
        sys.exit(control(question, operand, settings, given["name"], given["control"]))
    if question.check:
        sys.exit(check_health(question, settings, given["name"], given["control"], given["procs"]))
    if not settings:
        leave(ExitCode.USAGE, "SETTINGS is missing: give the dotted path of a worker settings class")
    options = make_options(settings, given)
    for slip in unknown_variables(os.environ):
        complain(slip)
    from .parent.run import run_pool

    sys.exit(run_pool(options))


def given_by_hand(name: str) -> bool:
    """Is this parameter on the command line? The environment may be meant for several commands."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def stop_hint_s(environ: Mapping[str, str]) -> float | None:
    """TIMEOUT_STOP_HINT, set beside TimeoutStopSec or terminationGracePeriodSeconds; None without a number."""
    try:
        return float(environ["TIMEOUT_STOP_HINT"].strip().removesuffix("s"))
    except (KeyError, ValueError):
        return None


def make_question(given: dict[str, Any]) -> Question:
    """What is asked instead of running a pool; leaves with one line when that makes no sense."""
    try:
        return Question(**{row.name: given.pop(row.name) for row in QUESTION})
    except OptionError as error:
        leave(ExitCode.USAGE, f"{error}{origin_of(error, click.get_current_context())}")


def make_options(settings: str, given: dict[str, Any]) -> Options:
    """The options of a pool; leaves with one line when one of them is out of its range."""
    values = values_of(given)
    if values["procs"] is None:
        values["procs"] = usable_cpus()
    try:
        return Options(settings=settings, stop_hint_s=stop_hint_s(os.environ), **values)
    except OptionError as error:
        leave(ExitCode.USAGE, f"{error}{origin_of(error, click.get_current_context())}")
