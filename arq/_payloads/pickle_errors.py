"""What can be said about a pickle that can't be read: another version wrote it, or a class of it is not here. No I/O.

`salvage` reads such a pickle without making any object of a class: a recipe stands for each of them, which says what
would have been called with which arguments. So what is beside it (a function's name, times, plain values) is known, and
nothing is imported or called. `Rebuilder` follows recipes, as far as that is possible.
"""

from __future__ import annotations

import io
import pickle
import re
import sys
from collections.abc import Callable
from itertools import islice
from typing import Any, NoReturn

from .._printable import text_of
from ..utils import safe_repr, truncate

#: What is not there for a reader of an older (or newer) Python, and which Python writes it.
_WRITTEN_BY = {
    "pathlib._local": "Python 3.13",
    "annotationlib": "Python 3.14 or newer",
    "re.PatternError": "Python 3.13 or newer",
    "calendar.Day": "Python 3.12 or newer",
    "calendar.Month": "Python 3.12 or newer",
}
#: How the unpickler says that a module lacks a name; the second one is Python 3.14's, the third one 3.14.10's.
_NO_SUCH_NAME = (
    re.compile(r"Can't (?:get attribute|resolve path) '(?P<name>[^']+)' on <module '(?P<module>[^']+)'"),
    re.compile(r"module '(?P<module>[^']+)' has no attribute '(?P<name>[^']+)'"),
)
#: Plain values that are made by a call. These calls do nothing else, so they are made for every reader.
_HARMLESS = {
    *(("builtins", name) for name in ("bytearray", "complex", "frozenset", "range", "set", "slice", "str")),
    *(("datetime", name) for name in ("date", "datetime", "time", "timedelta", "timezone")),
    ("decimal", "Decimal"),
    ("fractions", "Fraction"),
    ("uuid", "UUID"),
}
_LONGEST_SHOWN, _LONGEST_ITEM, _MOST_ITEMS, _DEEPEST = 200, 60, 5, 3


class Unreadable:
    """Stands in a record for a value or an argument that can't be read here.

    Attributes:
        reason: what is missing; empty if it was not even tried, because something beside it can't be read.
        shown: what the pickle says about the value, in short.
    """

    __module__ = "arq.jobs"
    __slots__ = ("reason", "shown")

    def __init__(self, reason: str, shown: str) -> None:
        self.reason = reason
        self.shown = shown

    def __repr__(self) -> str:
        return f"<unreadable: {self.reason}: {self.shown}>" if self.reason else f"<unreadable: {self.shown}>"

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (repr(self),)  # readers of other versions do not have this class


class CanNotRebuildError(Exception):
    """A recipe can't be followed; the text says why."""


class CanNotWriteError(TypeError):
    """A codec has no words for a value; the text says which, and the remedy."""


def explain(exc: BaseException) -> str:
    """Why something could not be read, in the words of somebody who looks for the remedy."""
    if isinstance(exc, CanNotRebuildError | CanNotWriteError):
        return str(exc)
    if isinstance(exc, ModuleNotFoundError) and exc.name:
        return f"module {exc.name!r} is not there: {_who_wrote(exc.name)}"
    said = str(exc) if isinstance(exc, AttributeError) else ""
    if found := next(filter(None, (pattern.search(said) for pattern in _NO_SUCH_NAME)), None):
        return f"module {found['module']!r} has no {found['name']!r}: {_who_wrote(**found.groupdict())}"
    return truncate(f"{type(exc).__name__}: {text_of(exc)}".removesuffix(": "), 2 * _LONGEST_SHOWN)


def _who_wrote(module: str, name: str = "") -> str:
    known = _WRITTEN_BY.get(f"{module}.{name}" if name else module)
    if known:
        return f"written by {known}?"
    package = module.partition(".")[0]
    if package in sys.stdlib_module_names:
        return "written by another version of Python?"
    if module == package and not name:
        return "not installed here?"
    return f"written by another version of {package!r}?"


def name_of(kind: type) -> str:
    """The name of a class as it stands in tracebacks."""
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


class _Names(type):
    """Makes a class of recipes for each name in a pickle. A call and `__new__` leave different recipes."""

    module: str
    name: str

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        recipe: Any = Recipe.__new__(cls, *args, **kwargs)  # type: ignore[arg-type]
        recipe.by_new = False
        return recipe

    def __repr__(cls) -> str:
        return f"{cls.module}.{cls.name}"


class Recipe(metaclass=_Names):
    """What a pickle says about one object: whom to call with what, and what to do with the answer.

    The unpickler takes it for the object, and does all that with it.
    """

    module, name = "", "recipe"
    __slots__ = ("args", "by_new", "kwargs", "steps")

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    by_new: bool
    steps: list[tuple[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        recipe: Any = object.__new__(cls)
        recipe.args, recipe.kwargs, recipe.by_new, recipe.steps = args, kwargs, True, []
        return recipe

    def __setstate__(self, state: Any) -> None:
        self.steps.append(("state", state))

    def extend(self, items: Any) -> None:
        self.steps.append(("extend", list(items)))

    def append(self, item: Any) -> None:
        self.extend([item])

    def add(self, item: Any) -> None:
        self.steps.append(("add", item))

    def __setitem__(self, key: Any, value: Any) -> None:
        self.steps.append(("set", (key, value)))

    @property
    def state(self) -> Any:
        """The first state that it was given."""
        return next((what for kind, what in self.steps if kind == "state"), None)

    def __repr__(self) -> str:
        return show(self)


class RecipeReader(pickle.Unpickler):
    """Makes recipes only."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self._names: dict[tuple[str, str], _Names] = {}

    def find_class(self, module: str, name: str) -> Any:
        known = self._names.get((module, name))
        if known is None:
            members = {"__slots__": (), "module": module, "name": name}
            known = self._names[module, name] = _Names("Recipe", (Recipe,), members)
        return known

    def persistent_load(self, pid: Any) -> Any:
        return self.find_class("persistent", safe_repr(pid))

    def really_find(self, module: str, name: str) -> Any:
        """What the plain reader would find."""
        return super().find_class(module, name)


class Salvaged:
    """A pickled dict that was read without calling anything.

    Args:
        payload: a pickle.
        rebuild: whether objects may be made of the classes and functions that are named in it, as the plain reader does
            that; else only of those that do nothing but hold plain values.

    Raises:
        Exception: it is no pickle, or no pickle of a dict.
    """

    def __init__(self, payload: bytes, *, rebuild: bool) -> None:
        reader = RecipeReader(io.BytesIO(payload))
        self._raw = reader.load()
        if not isinstance(self._raw, dict):
            raise pickle.UnpicklingError("not a pickled dict")
        self._rebuilder = Rebuilder(reader.really_find, everything=rebuild)

    def get(self, key: str) -> Any:
        """The value under a key, whole or as an `Unreadable`; None if there is none."""
        return self._settled(self._raw.get(key))

    def raw(self, key: str) -> Any:
        """The value under a key with its recipes."""
        return self._raw.get(key)

    def has(self, *keys: str) -> bool:
        """Whether these keys are there."""
        return all(key in self._raw for key in keys)

    def args(self) -> tuple[Any, ...]:
        """The arguments, each for itself."""
        args = self._raw.get("a")
        return tuple(map(self._settled, args)) if isinstance(args, list | tuple) else ()

    def kwargs(self) -> dict[str, Any]:
        """The keyword arguments, each for itself."""
        kwargs = self._raw.get("k")
        if not isinstance(kwargs, dict):
            return {}
        return {name: self._settled(value) for name, value in kwargs.items() if isinstance(name, str)}

    def _settled(self, raw: Any) -> Any:
        try:
            return self._rebuilder.value(raw)
        except Exception as exc:  # noqa: BLE001  (RecursionError: nested too deep for us)
            return Unreadable(explain(exc), show(raw))


class Rebuilder:
    """Follows recipes.

    Args:
        find: gives the object behind a module and a name.
        everything: whether to call whatever is named; else only what does nothing but hold plain values.
    """

    def __init__(self, find: Callable[[str, str], Any], *, everything: bool) -> None:
        self._find = find
        self._everything = everything
        self._made: dict[int, Any] = {}

    def value(self, raw: Any) -> Any:
        """The value of what `salvage` has read.

        Raises:
            CanNotRebuildError: something in it can't be rebuilt.
        """
        if isinstance(raw, _Names):
            return self._found(raw)
        if id(raw) in self._made:
            return self._made[id(raw)]
        if isinstance(raw, Recipe):
            return self._followed(raw)
        kind = type(raw)
        if kind is tuple or kind is frozenset:
            return kind(map(self.value, raw))
        if kind is list or kind is dict or kind is set:
            return self._filled(raw, kind())
        return raw

    def _filled(self, raw: Any, new: Any) -> Any:
        self._made[id(raw)] = new  # first: it may contain itself
        try:
            if isinstance(raw, list):
                new.extend(map(self.value, raw))
            elif isinstance(raw, set):
                new.update(map(self.value, raw))
            else:
                for key, value in raw.items():
                    new[self.value(key)] = self.value(value)
        except BaseException:
            del self._made[id(raw)]
            raise
        return new

    def _found(self, named: _Names) -> Any:
        if not self._everything and (named.module, named.name) not in _HARMLESS:
            raise CanNotRebuildError
        try:
            return self._find(named.module, named.name)
        except BaseException as exc:
            raise CanNotRebuildError(explain(exc)) from exc

    def _followed(self, recipe: Recipe) -> Any:
        target = self._found(type(recipe))
        args, kwargs = tuple(map(self.value, recipe.args)), self.value(recipe.kwargs)
        try:
            new = target.__new__(target, *args, **kwargs) if recipe.by_new else target(*args, **kwargs)
            self._made[id(recipe)] = new
            for kind, what in recipe.steps:
                _STEPS[kind](new, self.value(what))
        except CanNotRebuildError:
            self._made.pop(id(recipe), None)
            raise
        except BaseException as exc:  # noqa: BLE001  (whatever a constructor raises)
            self._made.pop(id(recipe), None)
            _blame(recipe, exc)
        return new


def _blame(recipe: Recipe, exc: BaseException) -> NoReturn:
    reason = explain(exc)
    raise CanNotRebuildError(f"{type(recipe)!r} can't be rebuilt: {reason}") from exc


def _set_state(new: Any, state: Any) -> None:
    """As the unpickler does it."""
    setstate = getattr(new, "__setstate__", None)
    if setstate is not None:
        setstate(state)
        return
    slots = None
    if isinstance(state, tuple) and len(state) == 2:
        state, slots = state
    if state:
        vars(new).update(state)
    for name, value in (slots or {}).items():
        setattr(new, name, value)


def _extend(new: Any, items: list[Any]) -> None:
    if hasattr(new, "extend"):
        new.extend(items)
        return
    for item in items:
        new.append(item)


_STEPS: dict[str, Callable[[Any, Any], None]] = {
    "state": _set_state,
    "extend": _extend,
    "add": lambda new, item: new.add(item),
    "set": lambda new, pair: new.__setitem__(*pair),
}


def show(raw: Any, deepest: int = _DEEPEST) -> str:
    """What is known about a value with recipes in it, in about a line, however large it is."""
    if isinstance(raw, Recipe):
        state = raw.state if isinstance(raw.state, dict) else {}
        parts = _shown_items(raw.args, deepest) + _shown_pairs({**raw.kwargs, **state}, deepest, "=")
        text = f"{type(raw)!r}({', '.join(parts)})"
    elif type(raw) is dict:
        text = f"{{{', '.join(_shown_pairs(raw, deepest, ': '))}}}"
    elif type(raw) in (list, tuple, set, frozenset):
        text = f"{type(raw).__name__}({', '.join(_shown_items(raw, deepest))})"
    else:
        text = truncate(
            safe_repr(raw[:_LONGEST_ITEM] if isinstance(raw, str | bytes) else raw), _LONGEST_ITEM
        )
    return truncate(text, _LONGEST_SHOWN)


def _shown_items(items: Any, deepest: int) -> list[str]:
    if not deepest:
        return ["…"] if items else []
    shown = [show(item, deepest - 1) for item in islice(items, _MOST_ITEMS)]
    return [*shown, "…"] if len(items) > _MOST_ITEMS else shown


def _shown_pairs(pairs: dict[Any, Any], deepest: int, between: str) -> list[str]:
    if not deepest:
        return ["…"] if pairs else []
    shown = [
        f"{key if between == '=' else show(key, 0)}{between}{show(value, deepest - 1)}"
        for key, value in islice(pairs.items(), _MOST_ITEMS)
    ]
    return [*shown, "…"] if len(pairs) > _MOST_ITEMS else shown
