"""Answers on stdout and complaints on stderr, whatever these are."""

import os
import sys
from contextlib import suppress
from typing import NoReturn

from .printable_text import printable, printable_lines, redacted

STDOUT_FD = 1


def tell(text: str) -> bool:
    """Print an answer at once; false, with a line on stderr, when it can not be written.

    A reader who has gone (`| head`) has read enough.
    """
    if sys.stdout is None:  # closed from the start: nobody wants to know
        return True
    try:
        sys.stdout.write(printable_lines(text))
        sys.stdout.flush()
    except OSError as error:
        _forget()
        if not isinstance(error, BrokenPipeError):
            complain(f"can not write the answer: {error.strerror or error}")
            return False
    return True


def complain(text: str, before: str = "") -> None:
    """One line that names the mistake, after a traceback of the user's, if there is one."""
    with suppress(OSError, AttributeError):  # full, or closed from the start
        sys.stderr.write(f"{printable_lines(before)}arq-supervise: {printable(redacted(text))}\n")
        sys.stderr.flush()


def leave(code: int, text: str) -> NoReturn:
    """One line that names the mistake, and the exit code."""
    complain(text)
    sys.exit(int(code))


def _forget() -> None:
    """What is still in the buffer must not fail once more at the end of the program."""
    null_fd = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null_fd, STDOUT_FD)
    os.close(null_fd)
