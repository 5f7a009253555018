"""Which modules are imported to bring exceptions and objects back as what they were, and the import.

What payloads name is imported only if their signature was verified, or if the application has named the module.
"""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from .._printable import printable
from .data_types import name_of
from .pickle_errors import explain
from .serialization import pass_on_interrupt

logger = logging.getLogger("arq.jobs")

_ALL_IN = ".*"
#: Of so many modules that can't be imported it is known that they can't.
_MOST_FAILURES = 1000


class ImportableModules:
    """The modules that may be imported.

    Args:
        patterns: full names of modules; `app.*` is `app` and all modules in it.
        every: also all others, and not for exceptions only.

    Raises:
        TypeError: it is no list of texts.
        ValueError: one of them can't be the name of a module.
    """

    def __init__(self, patterns: Iterable[str] = (), *, every: bool = False) -> None:
        self.every = every
        self._names: set[str] = set()
        self._packages: set[str] = set()
        if isinstance(patterns, str | bytes):
            raise TypeError(f"exception_modules must be a list of names of modules, not {patterns!r}")
        for pattern in patterns:
            self._add(pattern)

    def _add(self, pattern: object) -> None:
        if not isinstance(pattern, str):
            raise TypeError(f"exception_modules has names of modules, not {type(pattern).__name__}")
        name = pattern.removesuffix(_ALL_IN)
        if not _is_module_name(name):
            raise ValueError(
                f"exception_modules: {pattern!r} is no name of a module, as 'app.errors', or 'app.*' for all in it"
            )
        (self._packages if pattern.endswith(_ALL_IN) else self._names).add(name)

    def allow(self, name: str) -> bool:
        """Whether a module may be imported."""
        if not _is_module_name(name):
            return False
        if self.every or name in self._names:
            return True
        parts = name.split(".")
        return any(".".join(parts[:size]) in self._packages for size in range(1, len(parts) + 1))

    def find(self, name: str) -> ModuleType | None:
        """A module that is imported, or may be and can be. Else None; the log says once why it can't."""
        found = sys.modules.get(name)
        if found is None and name not in _failed and self.allow(name):
            found = _imported(name)
        return found if isinstance(found, ModuleType) else None

    def find_class(self, full_name: str) -> type | None:
        """The class of a full name, `module:qualname`; no code of the module is asked, beyond that of an import."""
        module_name, _, path = full_name.partition(":")
        found: Any = self.find(module_name) if path else None
        if found is None:
            return None
        space: Any = object.__getattribute__(found, "__dict__")
        for part in path.split("."):
            found = space.get(part)
            if not isinstance(found, type):
                return None
            space = type.__getattribute__(found, "__dict__")
        return found if name_of(found) == full_name else None


#: Modules that could not be imported. They are not tried again: it may take long until they fail.
_failed: set[str] = set()


def _imported(name: str) -> ModuleType | None:
    try:
        return importlib.import_module(name)
    except BaseException as exc:  # noqa: BLE001  (whatever the module does; SystemExit is no reason to end)
        pass_on_interrupt(exc, lambda: importlib.import_module(name))
        if len(_failed) >= _MOST_FAILURES:
            _failed.clear()
        _failed.add(name)
        text = "module %s, of which a class was in a job or result, can't be imported: %s"
        logger.warning(text, printable(name), printable(explain(exc)))
    return None


def _is_module_name(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))
