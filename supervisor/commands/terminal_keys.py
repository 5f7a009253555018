"""Keys and changes of size of a terminal, while something is shown there. Leaves the terminal as it was.

Signals are noted and never raise: whoever has changed the terminal gets to change it back.
"""

import os
import select
import signal
import sys
import termios
import tty
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

from ..exit_codes import ProbeCode, by_signal

# the signals that end the view, and the exit code of each
ENDING = {
    signal.SIGINT: int(ProbeCode.OK),
    signal.SIGTERM: by_signal(signal.SIGTERM),
    signal.SIGHUP: by_signal(signal.SIGHUP),
}


class Keyboard:
    """While entered, single keys are read without echo. `code` is not None when a signal wants the view to end."""

    def __init__(self) -> None:
        self.code: int | None = None
        self._tty_fd = self._fd = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else -1
        self._before: list[Any] | None = None
        self._handlers: dict[int, object] = {}
        self._wake_fd, self._woken_fd = os.pipe()

    def __enter__(self) -> Self:
        os.set_blocking(self._wake_fd, False)
        os.set_blocking(self._woken_fd, False)
        signal.set_wakeup_fd(self._woken_fd, warn_on_full_buffer=False)
        self._handlers = {number: signal.signal(number, self._note) for number in ENDING}
        self._handlers[signal.SIGWINCH] = signal.signal(signal.SIGWINCH, lambda *_: None)
        if self._fd >= 0:
            self._before = termios.tcgetattr(self._tty_fd)
            tty.setcbreak(self._tty_fd)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            with suppress(termios.error):  # it is gone
                termios.tcsetattr(self._tty_fd, termios.TCSADRAIN, self._before)
        signal.set_wakeup_fd(-1)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        os.close(self._wake_fd)
        os.close(self._woken_fd)

    def _note(self, number: int, _: FrameType | None) -> None:
        if self.code is None:
            self.code = ENDING[signal.Signals(number)]

    def wait(self, timeout_s: float) -> str:
        """The keys that were pressed; "" after `timeout_s`, or when the window has another size."""
        watched = [self._wake_fd, *([self._fd] if self._fd >= 0 else [])]
        ready = select.select(watched, [], [], timeout_s)[0]
        if self._wake_fd in ready:
            os.read(self._wake_fd, 4096)
        if self._fd not in ready:
            return ""
        data = os.read(self._fd, 1024)
        if not data:  # the terminal is gone: there is nothing more to wait for
            self._fd = -1
        return data.decode(errors="replace")
