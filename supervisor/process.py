"""The only place that signals and reaps. A pid is ours from the fork until it is reaped, and never after."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from .signals import name_of

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reaped:
    """A process that ended. `key` is None for one that is not ours (adopted as PID 1)."""

    pid: int
    key: int | None
    code: int | None
    signal: str | None


class Processes:
    """The children by pid. With `kill_groups`, what a crashed child has left running is killed too."""

    def __init__(self, kill_groups: bool) -> None:
        self._kill_groups = kill_groups
        self._key_of: dict[int, int] = {}
        self._pid_of: dict[int, int] = {}

    def adopt(self, key: int, pid: int) -> None:
        """A child was forked."""
        self._key_of[pid] = key
        self._pid_of[key] = pid

    def pids(self) -> list[int]:
        """Processes that are not reaped yet."""
        return list(self._key_of)

    def by_key(self, by_pid: Mapping[int, T]) -> dict[int, T]:
        """The same values by the children's keys."""
        return {self._key_of[pid]: value for pid, value in by_pid.items() if pid in self._key_of}

    def kill(self, key: int, name: str, group: bool) -> None:
        """Send the signal called `name`, then continue the process in case it is stopped."""
        pid = self._pid_of.get(key)
        if pid is None:
            return
        number = signal.Signals[f"SIG{name}"]
        with suppress(ProcessLookupError, PermissionError):
            if group:
                _kill_group(pid, number)
            os.kill(pid, number)
            if name not in ("USR1", "USR2"):
                os.kill(pid, signal.SIGCONT)

    def end_all(self, pause: Callable[[], None], grace_s: float) -> None:
        """The last resort: TERM, `grace_s` seconds in which `pause` is called over and over, KILL."""
        deadline_s = time.monotonic() + grace_s
        for key in list(self._pid_of):
            self.kill(key, "TERM", group=False)
        while self._key_of and time.monotonic() < deadline_s:
            pause()
            self.reap()
        for key in list(self._pid_of):
            self.kill(key, "KILL", group=True)
        for pid in self.pids():
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)

    def reap(self) -> list[Reaped]:
        """Everything that has ended by now."""
        found: list[Reaped] = []
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return found
            if ended is None:
                return found
            found.append(self._take(ended.si_pid, ended.si_status))

    def _take(self, pid: int, status: int) -> Reaped:
        """Its pid and its group can not be anybody else's until the waitpid, hence the order."""
        key = self._key_of.pop(pid, None)
        if key is not None:
            del self._pid_of[key]
        if key is not None and self._kill_groups and status != 0:
            _kill_group(pid, signal.SIGKILL)
        _, wait_status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(wait_status):
            return Reaped(pid, key, None, name_of(os.WTERMSIG(wait_status)))
        return Reaped(pid, key, os.waitstatus_to_exitcode(wait_status), None)


def _kill_group(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
