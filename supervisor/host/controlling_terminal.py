"""The terminal that a pool was started from, and its end."""

import os

# between the end of a terminal, which may be seen first, and the SIGHUP that tells of it
LATE_S = 5.0


class Terminal:
    """Tells a SIGHUP that the kernel sends, because the window was closed, from one that an operator sends."""

    def __init__(self) -> None:
        self._is_there = is_there()
        self._gone_s: float | None = None

    def look(self, now: float) -> None:
        """Now and then: a SIGHUP that comes much later than the end of the terminal is an operator's."""
        if self._is_there and not is_there():
            self._is_there, self._gone_s = False, now

    def has_gone(self, now: float) -> bool:
        """Whether its end is what a SIGHUP tells of that has come just now."""
        self.look(now)
        return self._gone_s is not None and now - self._gone_s < LATE_S


def is_there() -> bool:
    """Whether this session has a terminal."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
