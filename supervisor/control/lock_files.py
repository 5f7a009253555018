"""Locked files that say: this pool runs, or: this pid file is in use."""

import errno
import os
import stat
import time
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from ..host import descriptors
from .trusted_paths import own

# cleaners of old files go by age, and by nothing less than hours
FRESHEN_AFTER_S = 1800.0
LONGEST_PID_BYTES = 32
ANOTHER_NAME = "another pool needs a --name of its own"


class TakenError(RuntimeError):
    """Another supervisor runs this pool."""


class LockFile:
    """A file at `path` that this process holds locked, with its pid in it. It is removed at the end.

    Raises:
        TakenError: another process holds it.
        OSError: it can not be made, or what is there is no lock, and stays as it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = _take(path)

    def fileno(self) -> int:
        """Who has this descriptor holds the lock."""
        return self._fd

    def look(self) -> bool:
        """See that the file is still there, and make it anew if somebody has removed it; returns whether it was there.

        Raises:
            TakenError: another process holds the file that is there now.
            OSError: it can not be made anew.
        """
        if is_at(self._path, os.fstat(self._fd)):
            freshen(self._path)
            return True
        fd = _take(self._path)
        descriptors.close(self._fd)
        self._fd = fd
        return False

    def release(self) -> None:
        """Remove the file, while nobody else can hold it, and let go of it."""
        if is_at(self._path, os.fstat(self._fd)):
            with suppress(OSError):  # a directory that is read-only by now
                os.unlink(self._path)
        descriptors.close(self._fd)


def is_at(path: Path, about: os.stat_result) -> bool:
    """Whether this file is the one at `path`."""
    try:
        there = os.lstat(path)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (about.st_dev, about.st_ino)


def freshen(path: Path) -> None:
    """Keep a file that is in use from looking old."""
    if time.time() - os.lstat(path).st_mtime > FRESHEN_AFTER_S:
        os.utime(path, follow_symlinks=False)


def _take(path: Path) -> int:
    while True:
        fd = descriptors.own(_open(path))
        try:
            _lock(fd, path)
        except BaseException:
            descriptors.close(fd)
            raise
        if is_at(path, os.fstat(fd)):
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
            return fd
        descriptors.close(fd)  # its last holder has removed it before letting go: what is locked is nowhere


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if error.errno == errno.ELOOP and path.is_symlink():
            raise OSError(errno.ELOOP, f"{path} is a symbolic link: remove it") from error
        raise


def _lock(fd: int, path: Path) -> None:
    content = os.pread(fd, LONGEST_PID_BYTES, 0).strip() if stat.S_ISREG(os.fstat(fd).st_mode) else None
    about = os.fstat(fd)
    if content is None or (content and not content.isdigit()):
        raise OSError(errno.EEXIST, f"{path} is no lock of a pool, and stays as it is: choose another name")
    if about.st_nlink > 1 or about.st_uid not in own():
        raise OSError(errno.EEXIST, f"{path} is another user's file, or has several names: remove it")
    try:
        flock(fd, LOCK_EX | LOCK_NB)
    except BlockingIOError as error:
        text = f"{path}: held by another supervisor (pid {content.decode() or 'unknown'})"
        raise TakenError(f"{text}; {ANOTHER_NAME}") from error
