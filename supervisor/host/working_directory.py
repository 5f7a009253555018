"""The folder in which a pool works, by the name that it was given: a release behind a link is another one tomorrow."""

import os
import sys
from collections.abc import Mapping


def named_folder(environ: Mapping[str, str]) -> str:
    """The working directory as the shell calls it (`$PWD`), if that is where we are; else by its real name.

    Raises:
        OSError: it has vanished.
    """
    name = environ.get("PWD", "")
    try:
        if os.path.isabs(name) and os.path.samefile(name, "."):
            return name
    except OSError:
        pass
    return os.getcwd()


def enter(folder: str, was: str) -> None:
    """Go to this folder, and let it take the place that `was`, its real name at the start, has in the path of modules.

    Raises:
        OSError: there is no such folder any more.
    """
    os.chdir(folder)
    now = os.getcwd()
    if now != was:
        sys.path[:] = [now if path == was else path for path in sys.path]
        os.environ["PWD"] = folder
    _look_anew()


def _look_anew() -> None:
    """Have the folders of the path read again: two releases may have the same time of change.

    `importlib.invalidate_caches` would do it, and write to the finders of all packages that the parent has imported.
    """
    for path in sys.path:
        finder = sys.path_importer_cache.get(path or os.getcwd())
        if finder is not None and hasattr(finder, "invalidate_caches"):
            finder.invalidate_caches()
