"""`--watch`: a helper process that tells the parent when source files change. Its threads are its own."""

import os
import signal
from collections.abc import Iterable
from fnmatch import fnmatch

from .beat import BeatLine
from .childenv import Brief
from .codes import ChildCode
from .spawn import Pipes
from .title import present_as

LONGEST_BURST_MS = 10_000
MOST_PATHS = 20


def main(brief: Brief, pipes: Pipes) -> int:
    """Watch until told to end; returns the exit code."""
    from watchfiles import watch

    from .sources import Sources

    options = brief.options
    present_as(brief, "watcher", "wa")
    line = BeatLine(pipes.beat_fd)
    line.on_broken = lambda: os._exit(0)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    sources = Sources(options.watch)
    changes = watch(
        *sources.watched,
        watch_filter=sources,
        recursive=sources.is_deep,
        debounce=LONGEST_BURST_MS,
        step=max(10, round(options.watch_debounce_s * 1000)),
        force_polling=options.watch_poll or None,
        raise_interrupt=False,
    )
    line.send_surely("ready")
    try:
        for found in changes:
            if paths := relevant((path for _, path in found), options.watch_ignore):
                line.send_surely("changed", paths=paths[:MOST_PATHS])
    except OSError as error:
        line.send_surely("fatal", kind="boot", exc=f"--watch: {error}", trace="")
    return ChildCode.BOOT


def relevant(paths: Iterable[str], ignored: Iterable[str]) -> list[str]:
    """Paths that match none of the patterns, by their whole path or by their name."""
    patterns = tuple(ignored)
    return sorted(
        path
        for path in paths
        if not any(fnmatch(path, pattern) or fnmatch(os.path.basename(path), pattern) for pattern in patterns)
    )
