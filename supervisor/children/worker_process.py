"""A worker process, from the fork to its exit code: set-up, settings, a `Session`, the end."""

import os

from ..exit_codes import ChildCode
from ..host.process_title import present_as
from ..host.working_directory import enter
from ..ipc.brief import Brief
from ..ipc.child_end import BeatLine, new_loop
from ..ipc.pipes import Pipes
from ..settings import load_settings, where_looked
from .at_fork import be_plain_in_copies
from .bytecode_cache import distrust_young_sources
from .process_setup import configure_logging, settle
from .worker import Session, fail
from .worker_exit import take_leave


def main(brief: Brief, pipes: Pipes) -> int:
    """Run one worker to its end; returns the exit code (ChildCode)."""
    return take_leave(brief, run(brief, pipes), pipes.beat_fd)


def run(brief: Brief, pipes: Pipes) -> int:
    """Run one worker; returns the exit code (ChildCode)."""
    brief.export(os.environ)
    present_as("worker", str(brief.slot), brief.options.name, brief.generation, brief.slot)
    line = BeatLine(pipes.beat_fd)
    title = f"arq-supervise: started by a job of worker[{brief.options.name}/{brief.slot}]"
    be_plain_in_copies(pipes, title, line.silence)
    loop = new_loop(brief.options.uvloop)
    distrust_young_sources()
    settle(brief)
    try:
        enter(brief.folder, brief.real_folder)
    except OSError as error:
        return fail(line, "import", error, ChildCode.IMPORT, hint="; the working directory is gone")
    try:
        configure_logging(brief, loop)
        settings = load_settings(brief.options.settings)
    except BaseException as error:  # noqa: BLE001  # a settings module may raise anything, SystemExit too
        return fail(line, "import", error, ChildCode.IMPORT, hint=where_looked(brief.options.settings, error))
    return Session(brief, pipes, line, loop).run(settings)
