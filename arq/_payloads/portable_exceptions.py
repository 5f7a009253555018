"""Exceptions that come back: also those that pickle but can't be rebuilt, or don't even pickle. No I/O.

Only failed jobs, and results that were found not to come back, get here.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import traceback
from collections.abc import Callable, Iterable
from typing import Any

from .._errors import DeserializationError, SerializationError
from .._printable import text_of
from ..utils import truncate
from .pickle_errors import explain, name_of

#: How a pickler is told to write an object; `NotImplemented`: as usual.
_Reduction = Any
#: `cls.__new__`, for which pickles have a code of their own.
_make = copyreg.__newobj__  # type: ignore[attr-defined]
#: The longest traceback in a note, in characters.
_LONGEST_TRACEBACK = 20_000


def dumps(data: Any) -> bytes:
    """`pickle.dumps`, but each exception in it, at any depth, is written in a way in which it comes back.

    One that its class can't rebuild is rebuilt without its class's `__init__`. If it is not the same then, either, or
    can't be pickled at all, a stand-in is written.

    Raises:
        BaseException: what any other object in it raises.
    """
    return _dumps(data, {})


#: What is decided already, by the exception's id. The exception is kept, so that nothing else gets its id.
_Decided = dict[int, tuple[BaseException, _Reduction]]


def _dumps(data: Any, decided: _Decided) -> bytes:
    file = io.BytesIO()
    _Pickler(file, decided).dump(data)
    return file.getvalue()


class _Pickler(pickle.Pickler):
    """Asks how to write exceptions."""

    def __init__(self, file: io.BytesIO, decided: _Decided) -> None:
        super().__init__(file)
        self._decided = decided

    def reducer_override(self, obj: Any) -> _Reduction:
        if not issubclass(type(obj), BaseException):
            return NotImplemented
        if id(obj) not in self._decided:
            self._decided[id(obj)] = obj, NotImplemented  # it may contain itself
            self._decided[id(obj)] = obj, _reduction(obj, self._decided)
        return self._decided[id(obj)][1]


def _reduction(exc: BaseException, decided: _Decided) -> _Reduction:
    if isinstance(exc, BaseExceptionGroup):
        return NotImplemented  # its members are asked about one by one
    back, problem = _there_and_back(exc, pickle.dumps)
    if comes_back(exc, back):
        return NotImplemented
    without_init = _without_init(exc, decided)
    if without_init is not None:
        decided[id(exc)] = exc, without_init
        if _same(exc, _there_and_back(exc, lambda one: _dumps(one, decided))[0]):
            return without_init
    if isinstance(back, BaseException) and isinstance(exc, type(back)):
        return NotImplemented  # with another text, but callers look at the type
    return stand_in(exc, problem or TypeError(f"it comes back as {name_of(type(back))}")).__reduce__()


def _there_and_back(exc: BaseException, write: Callable[[Any], bytes]) -> tuple[Any, BaseException | None]:
    try:
        return pickle.loads(write(exc)), None
    except BaseException as problem:  # noqa: BLE001  (whatever its class raises)
        return None, problem


def comes_back(sent: Any, back: Any) -> bool:
    """Whether what was read is as good as the exception that was written: type, text and notes are the same.

    It may be of a class that the exception's own class chose to be pickled as, if that is a base of it.
    """
    return _same(sent, back) and notes_of(sent) == notes_of(back)


def _same(sent: BaseException, back: Any) -> bool:
    return isinstance(back, BaseException) and isinstance(sent, type(back)) and text_of(sent) == text_of(back)


def notes_of(exc: BaseException) -> list[str]:
    """The notes of an exception."""
    try:
        notes = getattr(exc, "__notes__", None)
    except Exception:  # noqa: BLE001  (one that was rebuilt in part, and hands on to what is missing)
        return []
    return [note for note in notes if isinstance(note, str)] if isinstance(notes, list | tuple) else []


def _without_init(exc: BaseException, decided: _Decided) -> _Reduction | None:
    """Make it by `__new__`, and put its attributes back. Those that can't be pickled are left out."""
    kind = type(exc)
    if any(vars(base).get("__slots__") for base in kind.__mro__):
        return None
    built_in = next(base for base in kind.__mro__ if base.__module__ == "builtins")
    reduced: Any = built_in.__reduce__(exc)  # type: ignore[call-arg]
    args, attributes = reduced[1], (reduced[2] if len(reduced) > 2 else None) or {}
    decided[id(exc)] = exc, (_make, (kind, *args))  # for attributes that contain it in their turn
    state = {name: value for name, value in attributes.items() if _can_be_read_back(value, decided)}
    left_out = sorted(set(attributes) - set(state))
    if left_out:
        state["__notes__"] = [*notes_of(exc), f"arq could not store of it: {', '.join(left_out)}"]
    return _make, (kind, *args), state or None


def _can_be_read_back(value: Any, decided: _Decided) -> bool:
    try:
        pickle.loads(_dumps(value, decided))
    except BaseException:  # noqa: BLE001  (whatever its class raises)
        return False
    return True


def stand_in(exc: BaseException, reason: BaseException) -> SerializationError:
    """An exception that every arq can read, for one that can't be written or rebuilt.

    Args:
        exc: what the job raised.
        reason: what was raised when it was written or read.
    """
    kind = DeserializationError if _was_written(exc) else SerializationError
    notes = [*notes_of(exc), f"arq could not store the exception itself: {explain(reason)}"]
    return stand_in_of(kind, name_of(type(exc)), text_of(exc), [*notes, _traceback(exc)])


def stand_in_of(
    kind: type[SerializationError], type_name: str, text: str, notes: Iterable[str]
) -> SerializationError:
    """A stand-in, from its parts."""
    stand_in = kind(f"{type_name}: {text}" if text else type_name)
    stand_in.original_type = type_name
    for note in notes:
        if note:
            stand_in.add_note(note)
    return stand_in


def _was_written(exc: BaseException) -> bool:
    try:
        pickle.dumps(exc)
    except BaseException:  # noqa: BLE001  (whatever its class raises)
        return False
    return True


def _traceback(exc: BaseException) -> str:
    if exc.__traceback__ is None and exc.__cause__ is None:
        return ""
    try:
        return truncate("".join(traceback.format_exception(exc)).rstrip(), _LONGEST_TRACEBACK)
    except BaseException:  # noqa: BLE001  (a text must not decide about a job)
        return ""
