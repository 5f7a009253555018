"""One supervisor for each pool: the pid file, and the control socket with its lock."""

import os
import selectors
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ..control.lock_files import ANOTHER_NAME, LockFile, TakenError
from ..control.paths import SUFFIX, control_path, directories, places
from ..control.server import ControlServer
from ..control.trusted_paths import UnsafeDirectoryError, answers, is_own
from ..host.event_log import EventLog
from ..options import Options

LOOK_EVERY_S = 0.5


class CannotStartError(RuntimeError):
    """What the options ask for can not be had."""


class Ownership:
    """What tells others that this pool runs. `control` is None where there is no place for it."""

    def __init__(self, options: Options, journal: EventLog) -> None:
        self.control: ControlServer | None = None
        self._options = options
        self._journal = journal
        self._pid_file: LockFile | None = None
        self._looked_s = 0.0
        #: what is wrong with files that were there once, by their option
        self._troubles: dict[str, str] = {}

    def claim(self, selector: selectors.BaseSelector) -> None:
        """Take the pool.

        Raises:
            TakenError: another supervisor runs it.
            CannotStartError: a place that the options name can not be used, or the usual one is another user's.
        """
        options = self._options
        if options.pidfile:
            try:
                self._pid_file = LockFile(Path(options.pidfile))
            except OSError as error:
                raise CannotStartError(f"--pidfile {options.pidfile}: {error.strerror or error}") from error
        path = control_path(options.control, options.name, os.environ)
        if path is None:
            return
        try:
            self.control = ControlServer(path, selector)
        except UnsafeDirectoryError as error:
            raise CannotStartError(f"--control: {error}") from error
        except OSError as error:
            if options.control:
                raise CannotStartError(f"--control {path}: {error.strerror or error}") from error
            self._journal.say("warning", "control.unavailable", {"path": str(path), "error": str(error)})
        if not options.control:
            self._require_alone(path)

    def _require_alone(self, path: Path) -> None:
        """The same pool of the same user may have been started in another session, or as a service."""
        mine = os.path.realpath(path)
        for other in places(self._options.name, os.environ):
            if os.path.realpath(other) != mine and is_own(other) and answers(other):
                raise TakenError(f"{other}: another supervisor runs this pool; {ANOTHER_NAME}")

    def look(self, now: float) -> None:
        """Now and then: make anew what a cleaner of old files has removed, and say so."""
        if now - self._looked_s < LOOK_EVERY_S:
            return
        self._looked_s = now
        if self.control is not None:
            self._see("control", lambda: self._look_at_control(now))
        if self._pid_file is not None:
            self._see("pidfile", self._pid_file.look)

    def _look_at_control(self, now: float) -> bool:
        """The directory of a session goes when its user logs out: there are others."""
        assert self.control is not None
        try:
            return self.control.look(now)
        except FileNotFoundError:
            if self._options.control:
                raise
            for directory in directories(os.environ):
                with suppress(OSError):
                    self.control.move(directory / f"{self._options.name}{SUFFIX}", now)
                    return False
            raise

    def _see(self, what: str, look: Callable[[], bool]) -> None:
        try:
            was_there = look()
        except (OSError, TakenError) as error:
            trouble = str(error)
            if self._troubles.get(what) != trouble:
                self._journal.say("error", f"{what}.lost", {"error": trouble})
            self._troubles[what] = trouble
            return
        if not was_there:
            self._journal.say("warning", f"{what}.anew", {"because": "removed"})
        self._troubles.pop(what, None)

    def close(self) -> None:
        """Let go of it."""
        if self.control is not None:
            self.control.close()
        if self._pid_file is not None:
            self._pid_file.release()
