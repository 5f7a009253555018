"""Environments of Python that tests install on first use, into directories that git ignores."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def making(directory: Path) -> Iterator[bool]:
    """Whether to make it: not when it is there, and only one process at a time. It is whole if nothing is raised."""
    directory.parent.mkdir(exist_ok=True)
    (directory.parent / ".gitignore").write_text("*\n")
    with open(directory.parent / f"{directory.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (done := directory / ".complete").exists():
            yield False
            return
        shutil.rmtree(directory, ignore_errors=True)
        yield True
        done.touch()
