"""Which changes of files mean new code. Used by the helper process of `--watch` alone."""

import os
from collections.abc import Iterable

from watchfiles import Change, DefaultFilter, PythonFilter


class Sources(PythonFilter):
    """Python files, and whole directories that have some: a renamed directory says nothing of what is in it."""

    ignore_dirs = (*DefaultFilter.ignore_dirs, "venv", "site-packages")

    def __init__(self, roots: Iterable[str]) -> None:
        super().__init__()
        self._directories: set[str] = set()
        for root in roots:
            self._note(os.path.abspath(root))

    def __call__(self, change: Change, path: str) -> bool:
        """Does it matter?"""
        if super().__call__(change, path):
            self._directories.add(os.path.dirname(path))
            return True
        if not DefaultFilter.__call__(self, change, path):
            return False
        return self._forget(path) if change is Change.deleted else self._note(path)

    def _note(self, directory: str) -> bool:
        """Remember where there are sources; are there any?"""
        found = False
        for folder, folders, files in os.walk(directory):
            folders[:] = [
                name for name in folders if DefaultFilter.__call__(self, Change.added, f"{folder}/{name}")
            ]
            if any(name.endswith(self.extensions) for name in files):
                self._directories.add(folder)
                found = True
        return found

    def _forget(self, path: str) -> bool:
        """A directory with sources, or one above it, that is not there any more?"""
        gone = {one for one in self._directories if one == path or one.startswith(f"{path}{os.sep}")}
        self._directories -= gone
        return bool(gone)
