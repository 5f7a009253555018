"""Which changes of files mean new code. Used by the helper process of `--watch` alone."""

import os
from collections.abc import Iterable, Iterator

from watchfiles import Change, DefaultFilter, PythonFilter

from arq._file_polling import files_below


class Sources(PythonFilter):
    """Files that are named, and below directories that are named, Python files and whole directories that have some.

    A renamed directory says nothing of what is in it.
    """

    ignore_dirs = (*DefaultFilter.ignore_dirs, "venv", "site-packages")

    def __init__(self, paths: Iterable[str]) -> None:
        super().__init__()
        self._directories: set[str] = set()
        absolute = [os.path.abspath(path) for path in paths]
        self._roots = [path for path in absolute if os.path.isdir(path)]
        self._files = {path for path in absolute if not os.path.isdir(path)}
        for root in self._roots:
            self._note(root)

    @property
    def watched(self) -> list[str]:
        """Directories to watch. A file is watched through its own: editors put a new file in its place."""
        return sorted({*self._roots, *(os.path.dirname(file) for file in self._files)})

    @property
    def is_deep(self) -> bool:
        """Does it matter what is below these directories?"""
        return bool(self._roots)

    def present(self) -> Iterator[str]:
        """Paths of the sources that there are, and of files that are named, there or not."""
        yield from self._files
        for root in self._roots:
            yield from (path for path in files_below(root, self._may_enter) if self._is_source(path))

    def __call__(self, change: Change, path: str) -> bool:
        """Does it matter?"""
        if path in self._files:
            return True
        if not any(path == root or path.startswith(f"{root.rstrip(os.sep)}{os.sep}") for root in self._roots):
            return False
        if self._is_source(path):
            self._directories.add(os.path.dirname(path))
            return True
        if not self._may_enter(path):
            return False
        return self._forget(path) if change is Change.deleted else self._note(path)

    def look_again(self, root: str) -> bool:
        """A directory that is watched has gone, or another one has its name: were there sources, or are there?"""
        had, has = self._forget(root), self._note(root)
        return had or has or any(os.path.dirname(file) == root for file in self._files)

    def _is_source(self, path: str) -> bool:
        return super().__call__(Change.modified, path)

    def _may_enter(self, directory: str) -> bool:
        return DefaultFilter.__call__(self, Change.modified, directory)

    def _note(self, directory: str) -> bool:
        """Remember where there are sources; are there any?"""
        found = False
        for folder, folders, files in os.walk(directory):
            folders[:] = [name for name in folders if self._may_enter(os.path.join(folder, name))]
            if any(name.endswith(self.extensions) for name in files):
                self._directories.add(folder)
                found = True
        return found

    def _forget(self, path: str) -> bool:
        """A directory with sources, or one above it, that is not there any more?"""
        gone = {one for one in self._directories if one == path or one.startswith(f"{path}{os.sep}")}
        self._directories -= gone
        return bool(gone)
