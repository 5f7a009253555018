"""The libraries that the parent has imported for all children, and whether other ones lie on the disk by now."""

import os
import sys
from pathlib import Path

# a new version of ourselves would not understand this parent for certain: that needs a restart
OWN = ("arq", "supervisor")
STANDARD = tuple(
    str(Path(folder, "lib", f"python{sys.version_info.major}.{sys.version_info.minor}"))
    for folder in {sys.base_prefix, sys.base_exec_prefix}
)

NEVER_IN_PATHS = "\0"


class Preloaded:
    """Remembers the files of what is imported when it is made.

    In few, long texts: who looks at an object writes to its page (the count of its references). One for each file
    would be 1.3 MB of pages that the parent looks at before it forks, and that each child would get a copy of.
    """

    def __init__(self) -> None:
        paths: dict[str, list[str]] = {}
        for name, module in list(sys.modules.items()):
            path = getattr(module, "__file__", None)
            if path and not _is_standard(path):
                paths.setdefault(name.partition(".")[0], []).append(path)
        self._files = {package: NEVER_IN_PATHS.join(found) for package, found in paths.items()}
        self._stamps = {package: _stamps(files) for package, files in self._files.items()}

    def changed(self) -> list[str]:
        """Packages of which a file was replaced since."""
        return sorted(
            package for package, files in self._files.items() if _stamps(files) != self._stamps[package]
        )


def _is_standard(path: str) -> bool:
    return path.startswith(STANDARD) and "site-packages" not in path and "dist-packages" not in path


def _stamps(files: str) -> str:
    """What tells these files from others that take their places."""
    return ",".join(map(_stamp, files.split(NEVER_IN_PATHS)))


def _stamp(path: str) -> str:
    """ "" when there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return ""
    return f"{status.st_mtime_ns} {status.st_size} {status.st_ino}"
