"""Signals as something to select on. A handler only notes the number; the loop does the rest."""

import os
import signal
from collections import deque
from types import FrameType, TracebackType
from typing import Self

from ..host import descriptors
from ..pool.events import Dump, Event, Quiet, Reload, Scale, Stop

STOPS = (signal.SIGTERM, signal.SIGINT)
PARENT_SIGNALS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGCHLD,
)
#: What each does to a supervisor whose pool runs, and to one that stops already.
MEANINGS: dict[signal.Signals, tuple[str, str]] = {
    **dict.fromkeys(
        STOPS,
        (
            (
                "graceful stop: every worker finishes its jobs for up to `job_completion_wait` "
                "(10 s if the settings say nothing)"
            ),
            "half a second or more later: next stage",
        ),
    ),
    signal.SIGQUIT: ("cancel running jobs now; they run again elsewhere", "next stage"),
    signal.SIGHUP: (
        (
            "rolling reload: the new code must be ready before the old drains (a stop when the terminal was closed; "
            "nothing under `nohup`, and nothing while the command still imports)"
        ),
        "ignored",
    ),
    signal.SIGTTIN: ("one process more", "ignored"),
    signal.SIGTTOU: ("one process fewer", "ignored"),
    signal.SIGUSR2: ("quiet: take no more jobs, until `--ctl resume` or HUP", "ignored"),
    signal.SIGUSR1: ("stacks of all workers to the log", "the same"),
}
# what is looked at first; CHLD and HUP say "at least one"
PRIORITY = {
    number: rank for rank, number in enumerate((*STOPS, signal.SIGQUIT, signal.SIGTTIN, signal.SIGTTOU))
}
COLLAPSED = (signal.SIGCHLD, signal.SIGHUP)


class SignalPipe:
    """While entered, the parent's signals are noted, and its descriptor becomes readable."""

    def __init__(self) -> None:
        self._noted: deque[int] = deque()
        self._before: dict[int, object] = {}
        # `nohup` means it
        self.ignores_hup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        self._read_fd, self._write_fd = descriptors.pipe()
        os.set_blocking(self._read_fd, False)
        os.set_blocking(self._write_fd, False)

    def fileno(self) -> int:
        """For a selector."""
        return self._read_fd

    def __enter__(self) -> Self:
        try:
            signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        except ValueError:  # not the main thread
            self._close()
            raise
        for number in PARENT_SIGNALS:
            if number != signal.SIGHUP or not self.ignores_hup:
                self._before[number] = signal.signal(number, self._note)
        # a mask outlives exec: whoever started us may have had a reason to block them, we have none
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PARENT_SIGNALS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        signal.set_wakeup_fd(-1)
        self._close()

    def _close(self) -> None:
        descriptors.close(self._read_fd)
        descriptors.close(self._write_fd)

    def _note(self, number: int, _: FrameType | None) -> None:
        self._noted.append(number)

    def drain(self) -> list[int]:
        """The signals that came since the last call, the urgent ones first."""
        try:
            while os.read(self._read_fd, 4096):
                pass
        except BlockingIOError:
            pass
        numbers = [self._noted.popleft() for _ in range(len(self._noted))]
        once = [int(number) for number in COLLAPSED if number in numbers]
        counted = [number for number in numbers if number not in COLLAPSED]
        return sorted(counted + once, key=lambda number: PRIORITY.get(signal.Signals(number), len(PRIORITY)))


def name_of(number: int) -> str:
    """SIGTERM for 15; numbers without a name (real-time signals) as SIG34."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"


def event_of(number: int) -> Event | None:
    """What a signal asks the parent for; None for CHLD, whose news is found by reaping."""
    cause = name_of(number)
    events: dict[int, Event] = {
        signal.SIGTERM: Stop(cause),
        signal.SIGINT: Stop(cause),
        signal.SIGQUIT: Stop(cause, hard=True),
        signal.SIGHUP: Reload(cause),
        signal.SIGUSR1: Dump(),
        signal.SIGUSR2: Quiet(),
        signal.SIGTTIN: Scale(by=1),
        signal.SIGTTOU: Scale(by=-1),
    }
    return events.get(number)
