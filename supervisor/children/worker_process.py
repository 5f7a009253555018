"""A worker process, from the fork to its exit code: set-up, settings, a `Session`, the end."""

from typing import Any

from ..exit_codes import ChildCode
from ..host.working_directory import enter
from ..ipc.brief import Brief
from ..ipc.pipes import Pipes
from ..settings import load_settings, require_settings, where_looked
from .bytecode_cache import distrust_young_sources
from .process_setup import be_victim_like_others, configure_logging
from .standby import Place, take_place, wait_to_be_let_in
from .worker import Session, fail
from .worker_exit import take_leave
from .worker_log import use_loop


def main(brief: Brief, pipes: Pipes) -> int:
    """Run one worker to its end; returns the exit code (ChildCode)."""
    return take_leave(brief, run(brief, pipes), pipes.beat_fd)


def run(brief: Brief, pipes: Pipes) -> int:
    """Run one worker; returns the exit code (ChildCode)."""
    place = take_place(brief, pipes)
    distrust_young_sources()
    try:
        enter(brief.folder, brief.real_folder)
    except OSError as error:
        return fail(place.line, "import", error, ChildCode.IMPORT, hint="; the working directory is gone")
    try:
        configure_logging(brief, place.loop)
    except BaseException as error:  # noqa: BLE001  # the module of the configuration, too
        hint = where_looked(brief.options.custom_log_dict, error)
        return fail(place.line, "logging", error, ChildCode.IMPORT, hint=hint)
    try:
        settings = load_settings(brief.options.settings)
    except BaseException as error:  # noqa: BLE001  # a settings module may raise anything, SystemExit too
        hint = where_looked(brief.options.settings, error)
        return fail(place.line, "import", error, ChildCode.IMPORT, hint=hint)
    return work(place, settings)


def work(place: Place, settings: Any) -> int:
    """Everything after the import; returns the exit code."""

    def live_as_copy(brief: Brief, pipes: Pipes) -> int:
        be_victim_like_others(place.oom_score_adj)
        copy = take_place(brief, pipes)
        use_loop(copy.loop)
        return take_leave(brief, work(copy, settings), pipes.beat_fd)

    if place.brief.waits:
        try:
            require_settings(place.brief.options.settings, settings)
        except TypeError as error:  # also before the old worker leaves
            return fail(place.line, "settings", error, ChildCode.IMPORT)
        wait_to_be_let_in(place, live_as_copy)
    return Session(place).run(settings)
