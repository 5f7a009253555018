"""Python values as trees of what JSON and msgpack have: for the rest there are dicts with a tag. No I/O.

A tag is the key `$`; under `v` stands what it applies to, under `t` the name of a class. A dict that has such a key
itself, or keys that are no text, is written as pairs.
"""

from __future__ import annotations

import base64
import functools
import math
from collections import deque
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from . import pydantic_values
from .data_types import (
    DataTypes,
    ModelState,
    UnknownTypeError,
    conversion_for,
    conversion_named,
    fields_of,
    is_data,
    is_model,
    is_named_tuple,
    make_dataclass,
    make_member,
    make_model,
    make_named_tuple,
    member_names,
    name_of,
    state_of_model,
)
from .exception_records import ExceptionRecord, exception_of, record_of
from .importable_modules import ImportableModules
from .pickle_errors import Unreadable, explain

TAG, VALUE, TYPE = "$", "v", "t"
Tagged = dict[str, Any]
Moment = TypeVar("Moment", datetime, time)

_SCALARS = frozenset({str, bool, type(None)})
#: Whole numbers that msgpack has.
_LOWEST, _HIGHEST = -(2**63), 2**64 - 1


class TaggedValues:
    """Makes trees of values, and values of trees.

    Args:
        types: classes of which objects are made. Those whose objects are written are added.
        modules: those that may be imported.
        has_bytes: the bytes of a tree may contain bytes as they are, and only numbers of 64 bits (msgpack).
    """

    def __init__(self, types: DataTypes, modules: ImportableModules, *, has_bytes: bool) -> None:
        self.types, self._modules = types, modules
        self._has_bytes = has_bytes
        self.plain = _SCALARS | {bytes} if has_bytes else _SCALARS | {int}
        self.decode: dict[str, Callable[[Tagged], Any]] = {
            **PLAIN_TAGS,
            "dataclass": self._read_dataclass,
            "model": self._read_model,
            "enum": lambda found: make_member(self._class(found[TYPE]), found[VALUE]),
            "namedtuple": lambda found: make_named_tuple(self._class(found[TYPE]), found[VALUE]),
            "exception": self._read_exception,
            "pydantic": lambda found: pydantic_values.made_of(found[TYPE], found[VALUE]),
            "custom": lambda found: conversion_named(found[TYPE]).load(found[VALUE]),
        }

    def hook(self, found: Tagged) -> Any:
        """The value of a dict, whose own values are made already."""
        if TAG not in found:
            return found
        tag = found[TAG]
        read = self.decode.get(tag) if isinstance(tag, str) else None
        if read is None:
            raise UnknownTypeError(f"there is no tag {repr(tag)[:60]} here: another version's?")
        try:
            return read(found)
        except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as exc:
            raise UnknownTypeError(
                f"what stands under the tag {tag!r} does not fit it: {explain(exc)}"
            ) from exc

    def encode(self, value: Any) -> Any:
        """The tree of a value.

        Raises:
            TypeError: it can't be written.
        """
        kind = type(value)
        if kind in self.plain:
            return value
        if kind is list:
            return [item if type(item) in self.plain else self.encode(item) for item in value]
        if kind is dict:
            return self._dict(value)
        if kind is float:
            return value if math.isfinite(value) else {TAG: "float", VALUE: repr(value)}
        return self._other(value, kind)

    def _dict(self, value: dict[Any, Any]) -> Any:
        for key in value:
            if type(key) is not str or key == TAG:
                pairs = [[self.encode(key), self.encode(item)] for key, item in value.items()]
                return {TAG: "dict", VALUE: pairs}
        plain = self.plain
        return {key: item if type(item) in plain else self.encode(item) for key, item in value.items()}

    def _other(self, value: Any, kind: type) -> Any:
        if (found := conversion_for(kind)) is not None:
            name, conversion = found
            return {TAG: "custom", TYPE: name, VALUE: self.encode(conversion.dump(value))}
        if isinstance(value, BaseException):
            return self._exception(value)
        if is_data(kind):
            return self._object(value, kind)
        for base in kind.__mro__:  # of a class that only extends another one, that one comes back
            if (write := _WRITERS.get(base)) is not None:
                return write(self, value)
        if (parts := pydantic_values.parts_of(value)) is not None:
            return {TAG: "pydantic", TYPE: parts[0], VALUE: self.encode(parts[1])}
        remedy = "make a dataclass of it, or arq.codecs.register it with dump and load"
        raise TypeError(f"{name_of(kind)} can't be written by this codec: {remedy}")

    def _object(self, value: Any, kind: type) -> Tagged:
        name = self.types.add(kind)
        if isinstance(value, Enum):
            return {TAG: "enum", TYPE: name, VALUE: member_names(value)}
        if is_named_tuple(kind):
            return {TAG: "namedtuple", TYPE: name, VALUE: [self.encode(item) for item in value]}
        if not is_model(kind):
            fields = {key: self.encode(item) for key, item in fields_of(value).items()}
            return {TAG: "dataclass", TYPE: name, VALUE: fields}
        state = state_of_model(value)
        parts = {VALUE: state.fields, "set": state.is_set, "extra": state.extra, "private": state.private}
        written = {key: self._dict(part) if isinstance(part, dict) else part for key, part in parts.items()}
        return {TAG: "model", TYPE: name} | {key: part for key, part in written.items() if part is not None}

    def _exception(self, exc: BaseException) -> Tagged:
        record = record_of(exc, self.encode)
        return {
            TAG: "exception",
            **{key: part for key, part in record._asdict().items() if part or key == "text"},
        }

    def whole(self, value: int) -> Any:
        """A whole number."""
        if not self._has_bytes or _LOWEST <= value <= _HIGHEST:
            return int(value)
        return {TAG: "int", VALUE: hex(value)}

    def raw(self, value: bytes) -> Any:
        """Bytes."""
        return bytes(value) if self._has_bytes else {TAG: "bytes", VALUE: base64.b64encode(value).decode()}

    def listed(self, tag: str, items: Any) -> Tagged:
        """A collection that is no list."""
        return {TAG: tag, VALUE: [self.encode(item) for item in items]}

    def _class(self, name: Any) -> type:
        """The class that data names: one that is allowed, or of what somebody with a key has written any."""
        try:
            return self.types.find(name)
        except UnknownTypeError:
            found = self._modules.find_class(name) if self._modules.every and isinstance(name, str) else None
            if found is None:
                raise
            return found

    def _read_dataclass(self, found: Tagged) -> Any:
        return make_dataclass(self._class(found[TYPE]), found[VALUE])

    def _read_model(self, found: Tagged) -> Any:
        state = ModelState(found[VALUE], found.get("set"), found.get("extra"), found.get("private"))
        return make_model(self._class(found[TYPE]), state)

    def _read_exception(self, found: Tagged) -> BaseException:
        parts = {**ExceptionRecord("", "", [], {}, [], "")._asdict(), **found}
        del parts[TAG]
        record = ExceptionRecord(**parts)
        if not all(
            isinstance(text, str) for text in (record.name, record.text, record.traceback, *record.notes)
        ):
            raise UnknownTypeError("this is no exception")
        return exception_of(record, self.types, self._modules)


def _write_moment(_: TaggedValues, value: datetime | time) -> Tagged:
    """A datetime or a time, with the name of its zone: the offset alone does not say when summer ends."""
    written = {TAG: "datetime" if isinstance(value, datetime) else "time", VALUE: value.isoformat()}
    key = getattr(value.tzinfo, "key", None)
    if isinstance(value.tzinfo, ZoneInfo) and key:
        written["zone"] = key
    return written | ({"fold": 1} if value.fold else {})


def _read_moment(kind: type[Moment], found: Tagged) -> Moment:
    value = kind.fromisoformat(found[VALUE])
    if (key := found.get("zone")) is not None:
        with suppress(LookupError, OSError, ValueError):  # not known here: the offset is right all the same
            value = value.replace(tzinfo=ZoneInfo(key))
    return value.replace(fold=1) if found.get("fold") else value


_OWN_PATH = type(Path())
#: By the names of their classes. A path of another system is read as a pure one.
_PATHS: dict[str, type[PurePath]] = {
    "PosixPath": PurePosixPath,
    "WindowsPath": PureWindowsPath,
    "PurePosixPath": PurePosixPath,
    "PureWindowsPath": PureWindowsPath,
    _OWN_PATH.__name__: _OWN_PATH,
}
_ADDRESSES: dict[str, Callable[[str], Any]] = {
    kind.__name__: kind
    for kind in (IPv4Address, IPv6Address, IPv4Interface, IPv6Interface, IPv4Network, IPv6Network)
}


def _named(tag: str, kinds: Collection[str], value: Any) -> Tagged:
    """A value whose class is told by its name, one of a few."""
    name = next(base.__name__ for base in type(value).__mro__ if base.__name__ in kinds)
    return {TAG: tag, TYPE: name, VALUE: str(value)}


_WRITERS: dict[type, Callable[[TaggedValues, Any], Any]] = {
    str: lambda _, value: str.__str__(value),
    bool: lambda _, value: value,
    int: TaggedValues.whole,
    float: lambda values, value: values.encode(float(value)),
    bytes: TaggedValues.raw,
    bytearray: lambda values, value: {TAG: "bytearray", VALUE: values.raw(bytes(value))},
    dict: lambda values, value: values._dict(dict(value)),
    list: lambda values, value: [values.encode(item) for item in value],
    tuple: lambda values, value: values.listed("tuple", value),
    set: lambda values, value: values.listed("set", value),
    frozenset: lambda values, value: values.listed("frozenset", value),
    datetime: _write_moment,
    date: lambda _, value: {TAG: "date", VALUE: value.isoformat()},
    time: _write_moment,
    timedelta: lambda _, value: {TAG: "timedelta", VALUE: [value.days, value.seconds, value.microseconds]},
    UUID: lambda _, value: {TAG: "uuid", VALUE: str(value)},
    deque: lambda values, value: values.listed("deque", value) | {"most": value.maxlen},
    Decimal: lambda _, value: {TAG: "decimal", VALUE: str(value)},
    PurePath: lambda _, value: _named("path", _PATHS, value),
    complex: lambda values, value: values.listed("complex", (value.real, value.imag)),
    Unreadable: lambda _, value: {TAG: "unreadable", VALUE: [value.reason, value.shown]},
}

for _kind in (IPv4Address, IPv6Address, IPv4Interface, IPv6Interface, IPv4Network, IPv6Network):
    _WRITERS[_kind] = lambda _, value: _named("ip", _ADDRESSES, value)

#: Those that need no class of the application.
PLAIN_TAGS: dict[str, Callable[[Tagged], Any]] = {
    "float": lambda found: float(found[VALUE]),
    "int": lambda found: int(found[VALUE], 16),
    "bytes": lambda found: base64.b64decode(found[VALUE], validate=True),
    "bytearray": lambda found: bytearray(b"".join([found[VALUE]])),  # of a number it would make so many bytes
    "dict": lambda found: dict(found[VALUE]),
    "tuple": lambda found: tuple(found[VALUE]),
    "set": lambda found: set(found[VALUE]),
    "frozenset": lambda found: frozenset(found[VALUE]),
    "datetime": functools.partial(_read_moment, datetime),
    "date": lambda found: date.fromisoformat(found[VALUE]),
    "time": functools.partial(_read_moment, time),
    "timedelta": lambda found: timedelta(*found[VALUE]),
    "uuid": lambda found: UUID(found[VALUE]),
    "decimal": lambda found: Decimal(found[VALUE]),
    "path": lambda found: _PATHS[found[TYPE]](found[VALUE]),
    "ip": lambda found: _ADDRESSES[found[TYPE]](found[VALUE]),
    "complex": lambda found: complex(*found[VALUE]),
    "deque": lambda found: deque(found[VALUE], found.get("most")),
    "unreadable": lambda found: Unreadable(*map(str, found[VALUE])),
}
