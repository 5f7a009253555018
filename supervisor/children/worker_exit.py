"""The end of a worker process, when its work is over: what is still to be written, run, and ended."""

from ..ipc.brief import Brief
from . import atexit_hooks
from .worker_log import last_lines
from .worker_programs import PROGRAMS_S, end_programs

EXIT_HOOKS_S = 3.0
LAST_LINES_S = 1.0


def take_leave(brief: Brief, code: int, beat_fd: int) -> int:
    """Everything that comes before the exit; returns the exit code again."""
    last_lines(LAST_LINES_S, beat_fd)
    atexit_hooks.run(EXIT_HOOKS_S, code, lambda: end_programs(brief, PROGRAMS_S))
    end_programs(brief, PROGRAMS_S)
    last_lines(LAST_LINES_S, beat_fd)
    return code
