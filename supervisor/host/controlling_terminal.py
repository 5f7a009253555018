"""The terminal that a pool was started from, and its end."""

import os


class Terminal:
    """Tells a SIGHUP that the kernel sends, because the window was closed, from one that an operator sends."""

    def __init__(self) -> None:
        self._is_there = is_there()

    def look(self) -> None:
        """Now and then: a SIGHUP that comes later than the end of the terminal is an operator's."""
        self._is_there = self._is_there and is_there()

    def has_gone(self) -> bool:
        """Whether it was there at the last look and is not there now."""
        return self._is_there and not is_there()


def is_there() -> bool:
    """Whether this session has a terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
