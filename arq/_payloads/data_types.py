"""Which classes may be made of data, what of their objects is written, and how these are made again. No I/O.

Nothing is ever looked up by a name that stands in data, but in a table of classes that the application has named: it
has registered them, they stand in the annotations of its functions or in the modules of these, or it has written one of
them itself. And to make an object runs no code of its class: its fields are set as they were written.
"""

from __future__ import annotations

import dataclasses
import inspect
import sys
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from enum import Enum, Flag
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar

from .pickle_errors import CanNotRebuildError

Kind = TypeVar("Kind", bound=type)

_LONGEST_NAME = 200


class UnknownTypeError(CanNotRebuildError):
    """Data names a class that is not allowed, or does not fit its class; the text says which, and the remedy."""


class Conversion(NamedTuple):
    """How objects of a class become plain values and back."""

    kind: type
    dump: Callable[[Any], Any]
    load: Callable[[Any], Any]


#: By full name, for all codecs of this process.
_registered: dict[str, type] = {}
_conversions: dict[str, Conversion] = {}


def register(
    kind: Kind, *, dump: Callable[[Any], Any] | None = None, load: Callable[[Any], Any] | None = None
) -> Kind:
    """Let JSON and msgpack payloads of this process contain objects of a class; can be used as a decorator.

    Args:
        kind: a dataclass, a pydantic model, an enum, a NamedTuple or an exception; with `dump` and `load` any class.
        dump: makes a value of an object that can be written.
        load: the reverse; it gets what somebody has written who may not be trusted.

    Raises:
        TypeError: it is none of these, or one of `dump` and `load` is missing.
    """
    if not isinstance(kind, type):
        raise TypeError(f"a class can be registered, not {type(kind).__name__}")
    if dump is not None and load is not None:
        _conversions[name_of(kind)] = Conversion(kind, dump, load)
    elif dump is not None or load is not None:
        raise TypeError("register needs dump and load, or neither")
    elif not (is_data(kind) or issubclass(kind, BaseException)):
        raise TypeError(
            f"{name_of(kind)} is no dataclass, model, enum, NamedTuple or exception: give dump and load"
        )
    _registered[name_of(kind)] = kind
    return kind


def name_of(kind: type) -> str:
    """The full name of a class, as it stands in payloads."""
    return f"{kind.__module__}:{kind.__qualname__}"


def is_model(kind: type) -> bool:
    """Whether it is a pydantic model (of pydantic 2)."""
    base = getattr(sys.modules.get("pydantic"), "BaseModel", None)
    return base is not None and issubclass(kind, base) and hasattr(kind, "model_fields")


def is_named_tuple(kind: type) -> bool:
    """Whether it is a NamedTuple."""
    return issubclass(kind, tuple) and isinstance(getattr(kind, "_fields", None), tuple)


def is_data(kind: type) -> bool:
    """Whether its objects consist of fields that can be written one by one."""
    return dataclasses.is_dataclass(kind) or issubclass(kind, Enum) or is_named_tuple(kind) or is_model(kind)


class DataTypes:
    """The classes that a codec makes objects of, beside those that are registered.

    Args:
        kinds: such classes.
    """

    def __init__(self, kinds: Iterable[type] = ()) -> None:
        self._by_name = {name_of(kind): kind for kind in kinds}

    def add(self, kind: type) -> str:
        """Allow a class; its name."""
        name = name_of(kind)
        self._by_name.setdefault(name, kind)
        return name

    def find(self, name: Any) -> type:
        """The class behind a name in data.

        Raises:
            UnknownTypeError: it is not allowed.
        """
        kind = self._by_name.get(name) or _registered.get(name) if isinstance(name, str) else None
        if kind is None:
            shown = repr(name)[:_LONGEST_NAME]
            raise UnknownTypeError(
                f"type {shown} is not known here: annotate the function's parameter with it, or arq.codecs.register it"
            )
        return kind


def conversion_for(kind: type) -> tuple[str, Conversion] | None:
    """How objects of a class are converted, if that is registered."""
    if not _conversions:
        return None
    name = name_of(kind)
    found = _conversions.get(name)
    return (name, found) if found is not None and found.kind is kind else None


def conversion_named(name: Any) -> Conversion:
    """The conversion that data names.

    Raises:
        UnknownTypeError: there is none.
    """
    found = _conversions.get(name) if isinstance(name, str) else None
    if found is None:
        raise UnknownTypeError(f"type {repr(name)[:_LONGEST_NAME]} is not known here: arq.codecs.register it")
    return found


# --- dataclasses and models ---------------------------------------------------------------------------------------


def fields_of(value: Any) -> dict[str, Any]:
    """The fields of a dataclass's object.

    Raises:
        TypeError: it could not be made again: its class is also something else, a dict for example.
    """
    object.__new__(type(value))
    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def make_dataclass(kind: type, fields: Mapping[str, Any]) -> Any:
    """An object with these fields; those that are missing get their defaults.

    Raises:
        UnknownTypeError: there are other fields, or one is missing that has no default.
    """
    _check_kind(kind, dataclasses.is_dataclass(kind))
    declared = {field.name: field for field in dataclasses.fields(kind)}
    _check_fields(kind, declared, fields)
    new: Any = object.__new__(kind)
    for name, field in declared.items():
        if name in fields:
            object.__setattr__(new, name, fields[name])
        elif field.default is not dataclasses.MISSING:
            object.__setattr__(new, name, field.default)
        elif field.default_factory is not dataclasses.MISSING:
            object.__setattr__(new, name, field.default_factory())
        else:
            raise _missing(kind, name)
    return new


class ModelState(NamedTuple):
    """What a pydantic model consists of.

    Attributes:
        fields: by name.
        is_set: names of those that were given; None: all.
        extra, private: what it has beside them.
    """

    fields: dict[str, Any]
    is_set: list[str] | None
    extra: dict[str, Any] | None
    private: dict[str, Any] | None


def state_of_model(value: Any) -> ModelState:
    """What a model consists of."""
    declared = type(value).model_fields
    fields = {name: one for name, one in vars(value).items() if name in declared}
    given = value.__pydantic_fields_set__
    is_set = None if given == set(declared) else sorted(given)
    return ModelState(fields, is_set, value.__pydantic_extra__ or None, value.__pydantic_private__ or None)


def make_model(kind: type, state: ModelState) -> Any:
    """A model with this state; fields that are missing get their defaults.

    Raises:
        UnknownTypeError: there are other fields, or one is missing that has no default.
    """
    _check_kind(kind, is_model(kind))
    declared: Mapping[str, Any] = kind.model_fields  # type: ignore[attr-defined]
    fields = dict(state.fields)
    _check_fields(kind, declared, fields)
    for name, field in declared.items():
        if name not in fields:
            if field.is_required():
                raise _missing(kind, name)
            fields[name] = field.get_default(call_default_factory=True)
    allows_extra = kind.model_config.get("extra") == "allow"  # type: ignore[attr-defined]
    new: Any = object.__new__(kind)
    object.__setattr__(new, "__dict__", fields)
    given = set(state.fields) if state.is_set is None else set(state.is_set)
    object.__setattr__(new, "__pydantic_fields_set__", given)
    object.__setattr__(new, "__pydantic_extra__", dict(state.extra or {}) if allows_extra else None)
    has_private = bool(kind.__private_attributes__)  # type: ignore[attr-defined]
    object.__setattr__(new, "__pydantic_private__", dict(state.private or {}) if has_private else None)
    return new


def make_named_tuple(kind: type, values: list[Any]) -> Any:
    """A NamedTuple of these values; defaults are taken for those that are missing at the end."""
    _check_kind(kind, is_named_tuple(kind))
    names: tuple[str, ...] = kind._fields  # type: ignore[attr-defined]
    defaults: dict[str, Any] = kind._field_defaults  # type: ignore[attr-defined]
    if len(values) > len(names):
        raise UnknownTypeError(
            f"{name_of(kind)} has {len(names)} fields here, not {len(values)}: another version's?"
        )
    for name in names[len(values) :]:
        if name not in defaults:
            raise _missing(kind, name)
    return tuple.__new__(kind, [*values, *(defaults[name] for name in names[len(values) :])])


def member_names(value: Enum) -> list[str]:
    """Names of the members that a value of an enum consists of: several if it is a flag.

    Raises:
        TypeError: it is none of them.
    """
    if type(value).__members__.get(value._name_ or "") is value:
        return [str(value._name_)]
    names = [str(one._name_) for one in value] if isinstance(value, Flag) else []
    if not isinstance(value, Flag) or make_member(type(value), names) != value:
        raise TypeError(f"{value!r} is no member of its enum")
    return names


def make_member(kind: type, names: list[str]) -> Any:
    """The member of an enum of this name, or of a flag what several make together."""
    _check_kind(kind, issubclass(kind, Enum))
    members: Mapping[str, Any] = kind.__members__  # type: ignore[attr-defined]
    unknown = [name for name in names if name not in members]
    if unknown:
        raise UnknownTypeError(f"{name_of(kind)} has no member {unknown[0]!r} here: another version's?")
    if not names and issubclass(kind, Flag):
        return kind(0)
    if not names:
        raise UnknownTypeError(f"{name_of(kind)} is no flag here: another version's?")
    found = members[names[0]]
    for name in names[1:]:
        found |= members[name]
    return found


def _check_kind(kind: type, fits: bool) -> None:
    if not fits:
        raise UnknownTypeError(f"{name_of(kind)} is another kind of class here")


def _check_fields(kind: type, declared: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    other = next((name for name in fields if name not in declared), None)
    if other is not None:
        raise UnknownTypeError(f"{name_of(kind)} has no field {other!r} here: another version's?")


def _missing(kind: type, name: str) -> UnknownTypeError:
    return UnknownTypeError(f"field {name!r} of {name_of(kind)} is missing: another version's?")


# --- what an application has named --------------------------------------------------------------------------------


def types_named_by(functions: Iterable[Callable[..., Any]]) -> set[type]:
    """The data classes that stand in annotations of these functions, also inside others, and in their modules."""
    found: set[type] = set()
    for function in functions:
        plain = inspect.unwrap(getattr(function, "func", function))
        for hint in _hints(plain):
            _collect(hint, found)
        module = sys.modules.get(getattr(plain, "__module__", "") or "")
        for value in list(vars(module).values()) if module is not None else ():
            if isinstance(value, type):
                _collect(value, found)
    return found


def _hints(owner: Any) -> Iterator[Any]:
    """Annotations, each for itself: a name that is there for the type checker only spoils no other one."""
    try:
        raw = dict(getattr(owner, "__annotations__", None) or {})
    except NameError:
        return
    space = getattr(owner, "__globals__", None) or vars(sys.modules.get(owner.__module__, sys))
    for name, hint in raw.items():
        with suppress(Exception):  # whatever the text of an annotation leads to
            yield typing.get_type_hints(SimpleNamespace(__annotations__={name: hint}), space)[name]


def _collect(hint: Any, found: set[type]) -> None:
    for part in typing.get_args(hint):
        _collect(part, found)
    if not isinstance(hint, type) or hint in found or not is_data(hint):
        return
    found.add(hint)
    if is_model(hint):
        for field in hint.model_fields.values():  # type: ignore[attr-defined]
            _collect(field.annotation, found)
    for base in hint.__mro__:
        if base.__module__ != "builtins":
            for part in _hints(base):
                _collect(part, found)
