"""The only place that signals and reaps. A pid is ours from the fork until it is reaped, and never after."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from .descendants import children_of, families, is_python_helper, running, send, session_of, tag_of
from .descendants import name_of as process_name
from .signals import name_of

T = TypeVar("T")

LOOK_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Reaped:
    """A process that ended. `key` is None for one that is not ours (adopted), `number` the signal's.

    `leftovers`: what it left, now killed.
    """

    pid: int
    key: int | None
    code: int | None
    signal: str | None
    leftovers: tuple[str, ...] = ()
    number: int = 0


class Processes:
    """The children by pid. With `kill_groups`, whatever a child has left running is killed when it has ended."""

    def __init__(self, kill_groups: bool) -> None:
        self._kill_groups = kill_groups
        self._key_of: dict[int, int] = {}
        self._pid_of: dict[int, int] = {}
        self._worker_of: dict[int, str] = {}
        self._idle: set[int] = set()
        # what was there before us, in whose process we were started by `exec`
        self._foreign = children_of(os.getpid())
        # what was adopted while whoever has started it was alive
        self._strays: set[int] = set()
        self._looked_s = 0.0

    def adopt(self, key: int, pid: int, worker_id: str = "", *, is_idle: bool = False) -> None:
        """A child was forked. One that is idle runs no jobs until `set_to_work`."""
        self._key_of[pid] = key
        self._pid_of[key] = pid
        self._worker_of[pid] = worker_id
        if is_idle:
            self._idle.add(pid)

    def set_to_work(self, key: int) -> None:
        """It runs jobs from now on."""
        self._idle.discard(self._pid_of.get(key, 0))

    def look_for_strays(self, now: float) -> None:
        """Note now and then what was adopted by now: what comes with the end of a worker is that worker's."""
        if now - self._looked_s >= LOOK_EVERY_S:
            self._looked_s = now
            self._strays = self._all_strays()

    def _all_strays(self) -> set[int]:
        """Adopted processes. No descendant of a worker can be in our session."""
        strays = children_of(os.getpid()) - self._key_of.keys() - self._foreign
        return {pid for pid in strays if session_of(pid) not in (None, os.getsid(0))}

    def end_strays(self) -> tuple[str, ...]:
        """The pool is over: end what is left of anybody. Returns what it was."""
        return _end(self._all_strays()) if self._kill_groups else ()

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
        self.end_strays()

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
            found.append(self._take(ended.si_pid))

    def _take(self, pid: int) -> Reaped:
        """Its pid and its group can not be anybody else's until the waitpid, hence the order."""
        key = self._key_of.pop(pid, None)
        leftovers: tuple[str, ...] = ()
        if key is not None:
            del self._pid_of[key]
            worker_id = self._worker_of.pop(pid)
            if self._kill_groups:
                leftovers = self._end_leftovers(pid, worker_id)
        _, wait_status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(wait_status):
            number = os.WTERMSIG(wait_status)
            return Reaped(pid, key, None, name_of(number), leftovers, number)
        return Reaped(pid, key, os.waitstatus_to_exitcode(wait_status), None, leftovers)

    def _end_leftovers(self, pid: int, worker_id: str) -> tuple[str, ...]:
        """Its group, what came to us with its end, and what says that it is its."""
        is_idle = pid in self._idle
        self._idle.discard(pid)
        its = {one for one in self._all_strays() - {pid} if self._was_left_by(one, worker_id, is_idle)}
        killed = _end(its)
        if not any(map(is_python_helper, its)):
            _kill_group(pid, signal.SIGKILL)
        return killed

    def _was_left_by(self, stray: int, worker_id: str, is_idle: bool) -> bool:
        """What has come lately is its, unless somebody else is named who lives, or it has started nothing."""
        tag = tag_of(stray)
        if tag and (tag == worker_id or tag in self._worker_of.values()):
            return tag == worker_id
        return stray not in self._strays and not is_idle


def _end(pids: set[int]) -> tuple[str, ...]:
    """Kill them and what they have started; returns what they were. Those that have ended already do not count."""
    whole = set(running(pid for pid in families(pids) if not is_python_helper(pid)))
    names = tuple(process_name(pid) for pid in sorted(whole))
    send(whole, signal.SIGKILL)
    return names


def _kill_group(pid: int, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)
