"""What options must be that are no numbers. Each is refused by its name, before anything has begun. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from inspect import isawaitable
from typing import Any, TypeVar

_T = TypeVar("_T")


def called(name: str, given: _T) -> _T:
    """A hook or a serializer: something that can be called, or None.

    Raises:
        TypeError: it is something else.
    """
    if given is not None and not callable(given):
        raise TypeError(f"{name} must be a function, not {given!r}")
    return given


def several(name: str, given: Iterable[_T]) -> Iterable[_T]:
    """A list, or anything else to go through, but a text.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise TypeError(f"{name} must be a list, not {given!r}")
    return given


def text(name: str, given: str) -> str:
    """A text.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(given, (str, bytes)):
        raise TypeError(f"{name} must be a text, not {given!r}")
    return given


def text_or_none(name: str, given: str | None) -> str | None:
    """A text, or None.

    Raises:
        TypeError: it is something else.
    """
    if given is not None and not isinstance(given, str):
        raise TypeError(f"{name} must be a text, not {given!r}")
    return given


def context(given: dict[Any, Any] | None) -> dict[Any, Any]:
    """What hooks and jobs get; a dictionary, or what can be used as one.

    Raises:
        TypeError: it is something else.
    """
    if given is not None and not isinstance(given, MutableMapping):
        raise TypeError(f"ctx must be a dictionary, not {given!r}")
    return {} if given is None else given


def to_await(name: str, returned: _T) -> _T:
    """What a hook has returned when it was called.

    Raises:
        TypeError: it is no coroutine function, it seems.
    """
    if not isawaitable(returned):
        raise TypeError(f"{name} must be an `async def`: what it returns, {returned!r}, can't be awaited")
    return returned


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    """The value of an option that has only a few."""
    if value not in allowed:
        raise ValueError(f"{name} must be {' or '.join(map(repr, allowed))}, not {value!r}")
    return value
