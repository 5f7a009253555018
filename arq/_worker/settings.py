"""Read the options of a worker from a settings object."""

from __future__ import annotations

import inspect
from typing import Any


def read_options(settings: Any, names: frozenset[str]) -> dict[str, Any]:
    """Those attributes of a settings object that are options of a worker.

    Args:
        settings: a dict, a class (inherited attributes count), an instance, or a module.
        names: the options there are. Everything else in the settings is ignored, as arq always did.
    """
    if isinstance(settings, dict):
        return {name: _plain(value) for name, value in settings.items() if name in names}
    return {name: getattr(settings, name) for name in sorted(names) if _defines(settings, name)}


def _defines(settings: Any, name: str) -> bool:
    # getattr_static: no property of the settings must run, and no __getattr__ be asked, just to see what there is
    missing = object()
    return inspect.getattr_static(settings, name, missing) is not missing


def _plain(value: Any) -> Any:
    return value.__func__ if isinstance(value, staticmethod) else value
