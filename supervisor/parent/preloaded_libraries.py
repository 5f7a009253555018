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

Stamp = tuple[int, int, int]


class Preloaded:
    """Remembers the files of what is imported when it is made."""

    def __init__(self) -> None:
        self._stamps: dict[str, dict[str, Stamp | None]] = {}
        for name, module in list(sys.modules.items()):
            path = getattr(module, "__file__", None)
            if path and not _is_standard(path):
                self._stamps.setdefault(name.partition(".")[0], {})[path] = stamp(path)

    def changed(self) -> list[str]:
        """Packages of which a file was replaced since."""
        return sorted(
            package
            for package, stamps in self._stamps.items()
            if any(stamp(path) != before for path, before in stamps.items())
        )


def _is_standard(path: str) -> bool:
    return path.startswith(STANDARD) and "site-packages" not in path and "dist-packages" not in path


def stamp(path: str) -> Stamp | None:
    """What tells a file from the one that takes its place; None when there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
