"""Changes of files, found by looking at them again and again: for `--watch` where the kernel does not tell of any.

A file is known by its number, its size and its time in ns. To compare times in whole seconds, as watchfiles does when
it polls, is to miss the second of two saves within one second.
"""

import os
import platform
from collections.abc import Callable, Iterable, Iterator
from time import monotonic

#: Seconds between two looks; a look that takes long is made so much more rarely.
PAUSE_S, PAUSES_PER_LOOK = 0.3, 5
#: A change is told when this many seconds brought no other, or this many have passed since it was seen.
SETTLE_S, LONGEST_BURST_S = 0.05, 10.0
#: Of watchfiles: words of WATCHFILES_FORCE_POLLING that mean no.
_NO = {"false", "disable", "disabled"}

Signature = tuple[int, int, int]


def is_wanted() -> bool:
    """Does the environment ask for it, or is this a system that does not tell of changes? As watchfiles decides it."""
    if asked := os.environ.get("WATCHFILES_FORCE_POLLING"):
        return asked.lower() not in _NO
    return "microsoft-standard" in platform.release().lower()


def _pause_s() -> float:
    """What the environment says, as for watchfiles."""
    asked = os.environ.get("WATCHFILES_POLL_DELAY_MS", "")
    return int(asked) / 1000 if asked.isdecimal() else PAUSE_S


class FilePoller:
    """Looks at files. What is there when it is made is no change."""

    def __init__(self, paths: Callable[[], Iterable[str]], settle_s: float = SETTLE_S) -> None:
        """
        Args:
            paths: those of the files that matter; called for each look.
            settle_s: a change is told when this many seconds brought no other.
        """
        self._paths = paths
        self._settle_s, self._usual_pause_s = settle_s, _pause_s()
        self._took_s = 0.0
        self._told = self._seen = self._look()
        self._since_s: float | None = None

    @property
    def pause_s(self) -> float:
        """Seconds to wait before the next look."""
        pause_s = self._usual_pause_s if self._since_s is None else self._settle_s
        return max(pause_s, PAUSES_PER_LOOK * self._took_s)

    def changes(self) -> list[str]:
        """Look. Paths of files that came, changed or went since the last time that there were any, in order.

        [] until all stays as it is for a moment: files are saved in several steps, and several at a time.
        """
        seen_before, self._seen = self._seen, self._look()
        if self._seen == self._told:
            self._since_s = None
            return []
        if self._since_s is None:
            self._since_s = monotonic()
        if self._seen != seen_before and monotonic() - self._since_s < LONGEST_BURST_S:
            return []
        told, self._told, self._since_s = self._told, self._seen, None
        return sorted(path for path in {*told, *self._seen} if told.get(path) != self._seen.get(path))

    def _look(self) -> dict[str, Signature]:
        began_s = monotonic()
        found = {path: state for path in self._paths() if (state := _signature(path))}
        self._took_s = monotonic() - began_s
        return found


def _signature(path: str) -> Signature | None:
    try:
        about = os.stat(path)
    except OSError:
        return None
    return about.st_ino, about.st_size, about.st_mtime_ns


def files_below(
    directory: str, may_enter: Callable[[str], bool], _above: tuple[tuple[int, int], ...] = ()
) -> Iterator[str]:
    """Paths of all files in a directory and in those below it, also behind links; none if it can't be read.

    Args:
        may_enter: whether what is in a directory matters.
    """
    try:
        about, entries = os.stat(directory), list(os.scandir(directory))
    except OSError:
        return
    if (identity := (about.st_dev, about.st_ino)) in _above:  # a link that leads in a circle
        return
    for entry in entries:
        if not entry.is_dir():
            yield entry.path
        elif may_enter(entry.path):
            yield from files_below(entry.path, may_enter, (*_above, identity))
