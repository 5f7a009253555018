"""`--watch`: a helper process that tells the parent when source files change. Its threads are its own."""

import os
import signal
import time
from collections.abc import Iterable
from fnmatch import fnmatch
from typing import NoReturn

from arq import _file_polling

from ..exit_codes import ChildCode
from ..host.event_log import EventLog
from ..host.nonblocking_writer import NonblockingWriter
from ..host.process_title import present_as
from ..ipc.brief import Brief
from ..ipc.child_end import ChildEnd
from ..ipc.messages import ChangedMessage, FatalMessage, ReadyMessage
from ..ipc.pipes import Pipes
from ..log_records import lost_lines
from ..options import Options
from ..redis_errors import short

LONGEST_BURST_MS = 10_000
MOST_PATHS = 20
LOOK_AGAIN_S = 0.5


def main(brief: Brief, pipes: Pipes) -> int:
    """Watch until told to end; returns the exit code."""
    options = brief.options
    present_as("watcher", "wa", brief.options.name, brief.generation)
    line = ChildEnd(pipes.beat_fd)
    line.on_broken = lambda: os._exit(ChildCode.CLEAN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(ChildCode.CLEAN))
    if not options.watch_poll and not _file_polling.is_wanted():
        try:
            follow(line, options)
        except (
            OSError,
            RuntimeError,
        ) as error:  # watchfiles has a RuntimeError of its own for what the kernel says
            tell_of_polling(options, error)
    try:
        look_again_and_again(line, options)
    except OSError as error:
        line.send_surely(FatalMessage("boot", f"--watch: {error}"))
    return ChildCode.BOOT


def tell_of_polling(options: Options, error: Exception) -> None:
    """The kernel does not tell of changes: mostly one of its limits is reached."""
    outlet = NonblockingWriter(lost_lines(options.name, options.log_format))
    fields = {
        "error": short(error),
        "instead": "looking at the files, as with --watch-poll",
        "limits": "fs.inotify.max_user_instances, fs.inotify.max_user_watches",
    }
    EventLog(outlet, options.name, options.log_format, options.log_level).say(
        "warning", "watch.polling", fields
    )
    outlet.close()


def look_again_and_again(line: ChildEnd, options: Options) -> NoReturn:
    """Look at the files, and tell of changes.

    Raises:
        OSError: a directory can't be read.
    """
    from .source_changes import Sources

    sources = Sources(options.watch)
    for root in sources.watched:
        if os.path.isdir(root):
            os.scandir(root).close()
    poller = _file_polling.FilePoller(sources.present, options.watch_debounce_s)
    line.send_surely(ReadyMessage())
    while True:
        time.sleep(poller.pause_s)
        tell(line, poller.changes(), options)


def tell(line: ChildEnd, paths: Iterable[str], options: Options) -> None:
    if found := relevant(paths, options.watch_ignore):
        line.send_surely(ChangedMessage(tuple(found[:MOST_PATHS])))


def follow(line: ChildEnd, options: Options) -> None:
    """Tell of changes of which the kernel tells, for as long as there is nothing wrong.

    Raises:
        OSError, RuntimeError: the files can't be watched.
    """
    from watchfiles import watch

    from .source_changes import Sources

    sources = Sources(options.watch)
    roots = Roots(sources.watched)
    announcement = Announcement(line, roots)
    while True:
        # nothing is watched before the first question for a change
        changes = watch(
            *roots.look(),
            watch_filter=sources,
            recursive=sources.is_deep,
            debounce=LONGEST_BURST_MS,
            step=max(10, round(options.watch_debounce_s * 1000)),
            force_polling=False,
            raise_interrupt=False,
            stop_event=announcement,
        )
        try:
            for found in changes if roots.there else ():
                tell(line, (path for _, path in found), options)
        except FileNotFoundError:
            if not roots.moved():
                raise
        tell(line, (root for root in roots.wait() if sources.look_again(root)), options)


class Roots:
    """The directories that are watched. The kernel tells of a directory, not of a name: one that was removed, or
    renamed, is not the one that has its name next. Each is held open, so that its number is not given to that one.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = tuple(paths)
        self._held: list[int] = []
        self._seen: dict[str, tuple[int, int] | None] = {}
        self._looked_s = 0.0

    @property
    def there(self) -> list[str]:
        """Those that there were at the last look."""
        return [path for path, identity in self._seen.items() if identity is not None]

    def look(self) -> list[str]:
        """Those that there are now."""
        while self._held:
            os.close(self._held.pop())
        self._seen = {path: self._hold(path) for path in self._paths}
        return self.there

    def _hold(self, path: str) -> tuple[int, int] | None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return None
        self._held.append(fd)
        return _identity(fd)

    def moved(self) -> list[str]:
        """Those that have gone, come, or are others than at the last look."""
        return [path for path, identity in self._seen.items() if _identity(path) != identity]

    def have_moved(self) -> bool:
        """The same, for those who ask all the time."""
        if time.monotonic() - self._looked_s < LOOK_AGAIN_S:
            return False
        self._looked_s = time.monotonic()
        return bool(self.moved())

    def wait(self) -> list[str]:
        """Wait until one has moved."""
        while not (moved := self.moved()):
            time.sleep(LOOK_AGAIN_S)
        return moved


def _identity(path: str | int) -> tuple[int, int] | None:
    try:
        about = os.stat(path)
    except OSError:
        return None
    return about.st_dev, about.st_ino


class Announcement:
    """Says READY when it is asked for the first time: from then on no change is missed.

    Stands in for the event that ends the watching: that is looked at again and again, once the watching has begun.
    """

    def __init__(self, line: ChildEnd, roots: Roots) -> None:
        self._line = line
        self._roots = roots
        self._is_said = False

    def is_set(self) -> bool:
        """When another directory is to be watched. The process is ended by a signal."""
        if self._is_said:
            return self._roots.have_moved()
        self._is_said = True
        self._line.send_surely(ReadyMessage())
        return False


def relevant(paths: Iterable[str], ignored: Iterable[str]) -> list[str]:
    """Paths that match none of the patterns, by their whole path or by their name."""
    patterns = tuple(ignored)
    return sorted(
        path
        for path in paths
        if not any(fnmatch(path, pattern) or fnmatch(os.path.basename(path), pattern) for pattern in patterns)
    )
