"""Exceptions as records, and back: the same type where its class can be found, else `JobFailed`.

No code of the class is run: a record has what `BaseException` keeps of its arguments, and the attributes of the object.
Modules are imported as far as `ImportableModules` allow that; a record that nobody has signed is no reason.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .. import _errors
from .._dead_letters import traceback_text
from .._errors import JobFailed, RemoteTraceback
from .._printable import text_of
from ..utils import safe_repr, truncate
from .data_types import DataTypes, UnknownTypeError, name_of
from .importable_modules import ImportableModules
from .portable_exceptions import notes_of

_LONGEST_ARGUMENT = 1000
_NOTES = "__notes__"
#: What an aborted job ends with, and no Exception.
_CANCELLED = "asyncio.exceptions:CancelledError"
#: Those of arq say of themselves that they are of other modules, which need not be imported.
_OURS = {
    name_of(one): one
    for one in vars(_errors).values()
    if isinstance(one, type) and issubclass(one, Exception)
}


class ExceptionRecord(NamedTuple):
    """What is written of an exception.

    Attributes:
        name: of its class.
        text: what `str` says of it.
        args: its arguments; what could not be written is text.
        state: its attributes, as far as they could be written.
        notes: its notes, and what of it could not be written.
        traceback: as text, '' if it has none.
    """

    name: str
    text: str
    args: list[Any]
    state: dict[str, Any]
    notes: list[str]
    traceback: str


def record_of(exc: BaseException, encode: Callable[[Any], Any]) -> ExceptionRecord:
    """The record of an exception; `encode` makes a plain value of another one, and raises TypeError if it can't."""
    args, state = _parts(exc)
    written: list[Any] = []
    left_out: list[str] = []
    for number, arg in enumerate(args, 1):
        plain, fits = _encoded(arg, encode)
        written.append(plain if fits else truncate(safe_repr(arg), _LONGEST_ARGUMENT))
        left_out += [] if fits else [f"argument {number}"]
    attributes = {}
    for name, value in state.items():
        plain, fits = _encoded(value, encode)
        if fits and name != _NOTES:
            attributes[name] = plain
        elif not fits:
            left_out.append(name)
    notes = notes_of(exc) + ([f"arq could not store of it: {', '.join(left_out)}"] if left_out else [])
    text = traceback_text(exc) if exc.__traceback__ is not None else ""
    return ExceptionRecord(name_of(type(exc)), text_of(exc), written, attributes, notes, text)


def _parts(exc: BaseException) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments and attributes, as the built-in class keeps them."""
    reduced: Any = _built_in(type(exc)).__reduce__(exc)
    state = reduced[2] if len(reduced) > 2 else None
    return tuple(reduced[1]), dict(state) if isinstance(state, dict) else {}


def _built_in(kind: type) -> type[BaseException]:
    return next(base for base in kind.__mro__ if base.__module__ == "builtins")


def _encoded(value: Any, encode: Callable[[Any], Any]) -> tuple[Any, bool]:
    try:
        return encode(value), True
    except (TypeError, ValueError, AttributeError, RecursionError):
        return None, False


def exception_of(record: ExceptionRecord, types: DataTypes, modules: ImportableModules) -> BaseException:
    """The exception of a record, whose values are made again already."""
    exc = _same_type(record, types, modules)
    if exc is None:
        exc = JobFailed(record.name.replace(":", "."), record.text, tuple(record.args), record.traceback)
        exc.attributes = dict(record.state)
    if record.notes:
        vars(exc)[_NOTES] = list(record.notes)
    if record.traceback:
        exc.__cause__ = RemoteTraceback(record.traceback)
    return exc


def _same_type(record: ExceptionRecord, types: DataTypes, modules: ImportableModules) -> BaseException | None:
    kind = exception_class(record.name, types, modules)
    if kind is None:
        return None
    built_in = _built_in(kind)
    try:
        exc = built_in.__new__(kind, *record.args)
        if not issubclass(built_in, BaseExceptionGroup):
            built_in.__init__(exc, *record.args)
        for name, value in record.state.items():
            if hasattr(built_in, name):  # ImportError and its like keep there what is no argument
                object.__setattr__(exc, name, value)
            else:
                vars(exc)[name] = value
    except Exception:  # noqa: BLE001  (arguments that the built-in class does not take)
        return None
    return exc


def exception_class(name: str, types: DataTypes, modules: ImportableModules) -> type[BaseException] | None:
    """The class of exceptions of this name, if it is there, or in a module that may be imported, and may be raised."""
    found: Any = _OURS.get(name)
    if found is None:
        try:
            found = types.find(name)
        except UnknownTypeError:
            found = modules.find_class(name)
    if not isinstance(found, type):
        return None
    # what ends a process (SystemExit, KeyboardInterrupt) is not raised because somebody has written so
    is_abort = any(name_of(base) == _CANCELLED for base in found.__mro__)
    return found if is_abort or issubclass(found, (Exception, BaseExceptionGroup)) else None
