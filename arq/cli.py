"""The command `arq`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import logging.config
import os
import sys
import traceback
from collections.abc import AsyncGenerator, Iterator, Sequence
from signal import Signals
from types import TracebackType
from typing import Any, NoReturn, cast

import click
from redis.exceptions import RedisError

from . import worker as worker_module
from ._commands import COMMANDS, command_hint, is_command
from ._did_you_mean import password_hint, path_hint, refused_here, slips
from ._printable import printable, printable_lines, redacted
from ._worker.connecting import CONNECTING
from ._worker.stop_signals import SignalHandlers
from .logs import default_log_config
from .typing import WorkerSettingsType
from .utils import import_string, split_path
from .version import VERSION

logger = logging.getLogger("arq.worker")

_BURST_HELP = "Batch mode: exit once no jobs are found in the queue.  [default: as the settings say]"
_CHECK_HELP = "Health check: see if a worker has written its health line; exit 0 if so, else 1."
_WATCH_HELP = "Run the worker in a fresh process each time a file in this directory changes.  [default: off]"
#: Names the process that watches to the one that it has started.
_WATCHED = "ARQ_WATCHED"
_LOG_HELP = "Dotted path of a dict for logging.config.dictConfig.  [default: arq's own]"
#: The groups of `--help`; what is in none of them is in the one that follows.
_SUBJECTS = {
    "Running": ("burst", "watch"),
    "Probes": ("check",),
    "Logs": ("verbose", "custom_log_dict"),
}
_OTHERS = "Help"
#: There while a shell asks for completion.
_COMPLETION = "_ARQ_COMPLETE"
#: Columns of `--help` for an option and its value.
_OPTION_WIDTH = 24


#: Page of the manual -> what is there.
_PAGES = {
    "docs/tutorial/first-job.md": "the first job in ten minutes",
    "docs/reference/settings.md": "what a settings class may say",
    "docs/reference/arq-commands.md": "these commands with all their options",
    "docs/how-to/index.md": "one page for each task",
}


class _Command(click.Command):
    """A command whose mistakes are told without the passwords that are in them. Commands for operators have a word of
    their own in the place of the settings, and nothing of them is imported for a worker.
    """

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> Any:
        """Run the command that the words mean."""
        words = list(sys.argv[1:] if args is None else args)
        if is_command(words) or _COMPLETION in os.environ:
            from ._commands.operators import operators

            if _COMPLETION in os.environ:
                operators.params = [one for one in self.params if isinstance(one, click.Option)]
            return operators.main(words, *rest, **extra)
        return super().main(words, *rest, **extra)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands for operators by subject."""
        for subject in dict.fromkeys(row.subject for row in COMMANDS.values()):
            rows = [(name, row.help) for name, row in COMMANDS.items() if row.subject == subject]
            with formatter.section(f"{subject}: arq COMMAND [OPTIONS], see arq COMMAND --help"):
                formatter.write_dl(rows)
        with formatter.section("Manual, in the repository (make docs builds it)"):
            formatter.write_dl(list(_PAGES.items()))

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the words of the command line."""
        try:
            return super().make_context(*args, **kwargs)
        except click.UsageError as error:
            from ._commands.usage_error import OneLineError

            raise OneLineError(error) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options of `--help` by subject, all with their texts in one column."""
        found: dict[str, list[tuple[str, str]]] = {subject: [] for subject in (*_SUBJECTS, _OTHERS)}
        for one in self.get_params(ctx):
            record = one.get_help_record(ctx) if isinstance(one, click.Option) else None
            if record:
                subject = next((key for key, names in _SUBJECTS.items() if one.name in names), _OTHERS)
                found[subject].append((record[0].ljust(_OPTION_WIDTH), record[1]))
        for subject, records in found.items():
            with formatter.section(subject):
                formatter.write_dl(records, _OPTION_WIDTH)


@click.command("arq", cls=_Command)
@click.version_option(VERSION, "-V", "--version", prog_name="arq")
@click.argument("worker-settings", type=str, required=True)
@click.option("--burst/--no-burst", default=None, help=_BURST_HELP)
@click.option("--check", is_flag=True, help=_CHECK_HELP)
@click.option("--watch", type=click.Path(exists=True, dir_okay=True, file_okay=False), help=_WATCH_HELP)
@click.option("-v", "--verbose", is_flag=True, help="Log at DEBUG.  [default: INFO]")
@click.option("--custom-log-dict", type=str, help=_LOG_HELP)
def cli(
    *,
    worker_settings: str,
    burst: bool | None,
    check: bool,
    watch: str | None,
    verbose: bool,
    custom_log_dict: str | None,
) -> None:
    """Run a worker.

    WORKER_SETTINGS is the path of a settings class or dict: `package.module.Settings` or `package.module:Settings`.
    """
    sys.excepthook = _show_error
    sys.path.append(os.getcwd())
    _configure_logging(custom_log_dict, verbose)
    if watch and not check:
        sys.exit(asyncio.run(watch_reload(watch, _command(worker_settings, burst, verbose, custom_log_dict))))
    settings = cast(WorkerSettingsType, _load(worker_settings))
    if check:
        _check(worker_settings, settings)
    _run(worker_settings, settings, {} if burst is None else {"burst": burst})


def _configure_logging(custom_log_dict: str | None, verbose: bool) -> None:
    if not custom_log_dict:
        logging.config.dictConfig(default_log_config(verbose))
        return
    config = _load(custom_log_dict, "--custom-log-dict: ")
    try:
        logging.config.dictConfig(config)
    except (ValueError, TypeError, AttributeError, KeyError) as exc:
        _fail(f"{custom_log_dict} is no configuration for logging: {exc.__cause__ or exc}")


def _check(path: str, settings: WorkerSettingsType) -> NoReturn:
    try:
        sys.exit(worker_module.check_health(settings))
    except (RedisError, OSError) as exc:
        _fail_without_redis(path, exc)
    except (RuntimeError, ValueError, TypeError) as exc:
        _fail(f"{path} are no settings of a worker: {exc}")


def _run(path: str, settings: WorkerSettingsType, kwargs: dict[str, Any]) -> None:
    # removed: what a job starts is not watched
    if watcher := os.environ.pop(_WATCHED, ""):
        _end_with_parent(watcher)
    try:
        worker = worker_module.create_worker(settings, **kwargs)
    except (RuntimeError, ValueError, TypeError, ImportError) as exc:
        _fail(f"{path} are no settings of a worker: {exc}")
    for name, option in slips(settings, worker_module.option_names()).items():
        logger.warning("%s.%s is no setting, and has no effect: did you mean %s?", path, name, option)
    worker._ends_process = True
    try:
        worker.run()
    except (RedisError, OSError) as exc:
        if CONNECTING not in getattr(exc, "__notes__", ()):
            raise  # the user's own
        _fail_without_redis(path, exc)


def _fail_without_redis(path: str, exc: Exception) -> NoReturn:
    _fail(
        f"redis can't be used: {exc.__class__.__name__}: {exc}{password_hint(exc)}; see redis_settings of {path}"
    )


def _fail(message: str) -> NoReturn:
    click.echo(f"arq: {printable(redacted(message))}", err=True)
    sys.exit(1)


def _show_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """An error of the user's own: as Python shows it, without passwords and escape codes."""
    text = "".join(traceback.format_exception(kind, error, trace))
    click.echo(printable_lines(redacted(text)), err=True, nl=False)


def _load(path: str, what: str = "") -> Any:
    """Import an object; a wrong path is one line, an error in the user's module is the user's traceback."""
    try:
        split_path(path)
    except ImportError as exc:
        _fail(f"{what}{exc}{path_hint(path, exc)}{'' if what else command_hint(path)}")
    try:
        return import_string(path)
    except ImportError as exc:
        module_path, _ = split_path(path)
        if isinstance(exc, ModuleNotFoundError) and not _is_part_of(exc.name, module_path):
            _show_error(type(exc), exc, exc.__traceback__)
            sys.exit(1)
        _fail(f"{what}can't import {path!r}: {exc}{path_hint(path, exc)}")
    except (ValueError, TypeError, RuntimeError, OSError) as exc:
        if not (place := refused_here(exc)):
            raise
        _fail(f"{what}can't import {path!r}: {exc} ({place})")


def _is_part_of(missing: str | None, module_path: str) -> bool:
    return missing is not None and f"{module_path}.".startswith(f"{missing}.")


def _command(
    worker_settings: str, burst: bool | None, verbose: bool, custom_log_dict: str | None
) -> list[str]:
    """The command of the process that `--watch` starts."""
    command = [sys.executable, "-m", "arq", worker_settings]
    if burst is not None:
        command.append("--burst" if burst else "--no-burst")
    if verbose:
        command.append("--verbose")
    if custom_log_dict:
        command += ["--custom-log-dict", custom_log_dict]
    return command


async def watch_reload(path: str, command: list[str]) -> int:
    """Run a command and start it afresh after each change below a directory, until a signal comes.

    Args:
        path: directory to watch.
        command: what to run; it is stopped by SIGTERM.

    Returns:
        the exit status.
    """
    stop = asyncio.Event()
    handlers = SignalHandlers(stop=lambda _: stop.set(), cancel=lambda _: stop.set())
    handlers.install()
    changes = _changes(path, stop)
    changed = asyncio.ensure_future(anext(changes, None))
    await asyncio.sleep(0)  # now it watches: what is saved while a worker starts is not missed
    process = await _spawn(command)
    try:
        while await changed is not None:
            changed = asyncio.ensure_future(anext(changes, None))
            print("\nfiles changed, reloading arq worker...", flush=True)
            await _stop(process)
            process = await _spawn(command)
    finally:
        await _stop(process)
        handlers.remove()
    return 0


async def _changes(path: str, stop: asyncio.Event) -> AsyncGenerator[object, None]:
    """An item for each change of files below a directory, until `stop` is set."""
    import watchfiles

    from . import _file_polling

    if not _file_polling.is_wanted():
        async for found in watchfiles.awatch(path, stop_event=stop, force_polling=False):
            yield found
        return
    matters = watchfiles.DefaultFilter()

    def files() -> Iterator[str]:
        below = _file_polling.files_below(path, lambda folder: matters(watchfiles.Change.modified, folder))
        return (file for file in below if matters(watchfiles.Change.modified, file))

    poller = _file_polling.FilePoller(files)
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), poller.pause_s)
        if (changed := poller.changes()) and not stop.is_set():
            yield changed


async def _spawn(command: list[str]) -> asyncio.subprocess.Process:
    env = {
        **os.environ,
        _WATCHED: str(os.getpid()),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    return await asyncio.create_subprocess_exec(*command, env=env, start_new_session=True)


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(Signals.SIGTERM)
        await process.wait()


def _end_with_parent(watcher: str) -> None:
    """Linux: get SIGTERM when the watching process dies, so that a worker is not left behind."""
    import ctypes

    pr_set_pdeathsig = 1
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, Signals.SIGTERM)
        if str(os.getppid()) != watcher:  # it died before we asked
            sys.exit(0)
