"""One supervisor for each pool: the pid file, and the control socket with its lock."""

import os
import selectors
from pathlib import Path

from . import descriptors
from .control import ControlServer
from .logs import Journal
from .options import Options
from .paths import control_path, hold


class CannotStartError(RuntimeError):
    """What the options ask for can not be had."""


class Ownership:
    """What tells others that this pool runs. `control` is None where there is no place for it."""

    def __init__(self) -> None:
        self.control: ControlServer | None = None
        self._pid_lock_fd = -1

    def claim(self, options: Options, selector: selectors.BaseSelector, journal: Journal) -> None:
        """Take the pool.

        Raises:
            TakenError: another supervisor runs it.
            CannotStartError: a place that the options name can not be used.
        """
        if options.pidfile:
            try:
                self._pid_lock_fd = hold(Path(options.pidfile))
            except OSError as error:
                raise CannotStartError(f"--pidfile {options.pidfile}: {error.strerror or error}") from error
        path = control_path(options.control, options.name, os.environ)
        if path is None:
            return
        try:
            self.control = ControlServer(path, selector)
        except OSError as error:
            if options.control:
                raise CannotStartError(f"--control {path}: {error.strerror or error}") from error
            journal.say("warning", "control.unavailable", {"path": str(path), "error": str(error)})

    def close(self) -> None:
        """Let go of it."""
        if self.control is not None:
            self.control.close()
        if self._pid_lock_fd >= 0:
            descriptors.close(self._pid_lock_fd)
