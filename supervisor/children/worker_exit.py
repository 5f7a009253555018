"""The end of a worker process, when its work is over: what is still to be written, run, and ended."""

from ..process.descendants import end_family
from . import atexit_hooks
from .worker_log import last_lines

# seconds for what a worker has started and not ended, once it is asked to end
PROGRAMS_S = 2.0
EXIT_HOOKS_S = 3.0
LAST_LINES_S = 1.0


def take_leave(code: int, beat_fd: int) -> int:
    """Everything that comes before the exit; returns the exit code again."""
    last_lines(LAST_LINES_S, beat_fd)
    atexit_hooks.run(EXIT_HOOKS_S, code)
    end_family(PROGRAMS_S)
    last_lines(LAST_LINES_S, beat_fd)
    return code
