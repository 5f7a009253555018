"""What may have been meant by the path of settings that leads nowhere, and by a setting that there is not.

Looks at files and at what is imported; imports and runs nothing.
"""

from __future__ import annotations

import ast
import inspect
import os
import re
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from ._printable import text_of
from .utils import split_path

_ALIKE = 0.7
#: A setting is a word of the user's own class, so it must be nearly one of ours to be taken for a slip.
_NEARLY = 0.84
_SETTINGS_CLASS = re.compile(r"^class (\w*Settings)\b", re.MULTILINE)
_MOST_FILES = 200
#: settings have at least one of these
_MAKES_SETTINGS = frozenset({"functions", "cron_jobs"})
_USUAL = "WorkerSettings"


def password_hint(error: BaseException) -> str:
    """About a Redis that asks for a password which was not given; it says so in words about its protocol."""
    asks = any(
        words in text_of(error) for words in ("NOAUTH", "HELLO must be called", "Authentication required")
    )
    return "; it asks for a password, and none was given" if asks else ""


def path_hint(path: str, error: BaseException) -> str:
    """What to do about a path that can't be imported, to be put behind a text; "" if nothing is known."""
    if hint := _no_path_hint(path):
        return f"; {hint}"
    if not isinstance(error, ImportError):
        return ""
    if "relative import" in text_of(error):
        folder = os.path.basename(os.getcwd())
        return f"; it belongs to a package: run this one folder up, as {folder}.{path}"
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    module_path, name = split_path(path)
    if missing is None:
        return _name_hint(module_path, name)
    if f"{module_path}.".startswith(f"{missing}."):
        return _module_hint(path, missing)
    return ""


def _no_path_hint(path: str) -> str:
    """About what is no dotted path at all: a file, or a class without its module."""
    file = Path(path if path.endswith(".py") else f"{path}.py")
    if file.is_file() and ("/" in path or path.endswith(".py")):
        module = ".".join(file.with_suffix("").parts)
        return f"give a dotted path, as in {module.strip('/.')}.{_class_in(file)}"
    try:
        split_path(path)
    except ImportError:
        here = [f"{file.stem}.{path}" for file in _files() if path.isidentifier() and _defines(file, path)]
        if file.is_file():
            here = [f"{path}.{_class_in(file)}"]
        where = here[0] if here else "package.module.Settings"
        return f"give package.module.Settings or package.module:Settings, as in {where}"
    return ""


def _class_in(file: Path) -> str:
    """The settings in a file of Python, as far as they can be told from its text."""
    with suppress(SyntaxError, ValueError):
        for one in ast.parse(_text(file)).body:
            if isinstance(one, ast.ClassDef) and _MAKES_SETTINGS & {*_assigned(one)}:
                return one.name
    found = _SETTINGS_CLASS.search(_text(file))
    return found[1] if found else _USUAL


def _assigned(one: ast.ClassDef) -> Iterator[str]:
    for line in one.body:
        if isinstance(line, (ast.Assign, ast.AnnAssign)):
            targets = line.targets if isinstance(line, ast.Assign) else [line.target]
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def _defines(file: Path, name: str) -> bool:
    return re.search(rf"^(class {name}\b|{name}\s*=)", _text(file), re.MULTILINE) is not None


def _files() -> list[Path]:
    return sorted(Path().glob("*.py"))[:_MOST_FILES]


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", errors="replace")
    except OSError:
        return ""


def _module_hint(path: str, missing: str) -> str:
    """A module of the path is not there: is there one that is called nearly like it?"""
    parent, _, name = missing.rpartition(".")
    places = getattr(sys.modules.get(parent), "__path__", None) if parent else [os.getcwd()]
    there = [module.name for module in iter_modules(list(places or ()))]
    close = get_close_matches(name, there, 1, _ALIKE)
    right = f"{parent}.{close[0]}" if parent and close else "".join(close)
    return f"; did you mean {path.replace(missing, right, 1)}?" if close else ""


def _name_hint(module_path: str, name: str) -> str:
    """The module is there, and the name is not in it."""
    module = sys.modules.get(module_path)
    if module is None:
        return ""
    likely = settings_in(module)
    known = likely or [one for one in vars(module) if not one.startswith("_")]
    close = get_close_matches(name, known, 1, _ALIKE) or likely
    return f"; did you mean {module_path}.{close[0]}?" if close else ""


def _looks_like_settings(module: Any, name: str) -> bool:
    value = vars(module)[name]
    if isinstance(value, dict):
        return bool(_MAKES_SETTINGS & value.keys())
    return not inspect.ismodule(value) and any(_has(value, one) for one in _MAKES_SETTINGS)


def _has(value: Any, name: str) -> bool:
    try:
        inspect.getattr_static(value, name)
    except AttributeError:
        return False
    return True


def settings_in(module: Any) -> list[str]:
    """The names in a module that settings of a worker are likely to be found under."""
    return [name for name in vars(module) if not name.startswith("_") and _looks_like_settings(module, name)]


def slips(settings: Any, names: Iterable[str]) -> dict[str, str]:
    """Attributes of settings that are no options and are called nearly as one of `names`, each with that one.

    Most settings have attributes of their own, which are nobody's mistake.
    """
    options = set(names)
    own = settings if isinstance(settings, dict) else _attributes(settings)
    found = {}
    for name in own:
        if isinstance(name, str) and not name.startswith("_") and name not in options:
            close = get_close_matches(name, options - set(own), 1, _NEARLY)
            if close:
                found[name] = close[0]
    return found


def _attributes(settings: Any) -> list[str]:
    if inspect.ismodule(settings):  # imports, functions, whatever: too much to guess at
        return []
    kind = settings if inspect.isclass(settings) else type(settings)
    return [*(name for one in kind.__mro__[:-1] for name in vars(one)), *getattr(settings, "__dict__", {})]


def refused_here(error: BaseException) -> str:
    """Where a module that was imported gave arq something that it refuses, as `app.py, line 5`; "": the error is the
    module's own.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = os.path.dirname(os.path.abspath(__file__)) + os.sep
    is_ours = [os.path.abspath(frame.filename).startswith(own) for frame in frames]
    if (
        not isinstance(error, ValueError | TypeError | RuntimeError | OSError)
        or not is_ours
        or not is_ours[-1]
    ):
        return ""
    theirs = [frame for frame, ours in zip(frames, is_ours, strict=True) if not ours]
    place = next((one for one in reversed(theirs) if os.path.exists(one.filename)), None)
    return "" if place is None else f"{os.path.basename(place.filename)}, line {place.lineno}"
