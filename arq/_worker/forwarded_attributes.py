"""Attributes of a worker's parts that are the worker's own to those who use it."""

from __future__ import annotations

from typing import Any, Generic, TypeVar, overload

_Value = TypeVar("_Value")


class Forwarded(Generic[_Value]):
    """Reads and sets an attribute of a part.

    Args:
        part: the worker's attribute that holds the part.
        name: the part's attribute.
        text: what it is, for `help`.
    """

    def __init__(self, part: str, name: str, text: str) -> None:
        self._part = part
        self._name = name
        self.__doc__ = text

    @overload
    def __get__(self, worker: None, owner: type) -> Forwarded[_Value]: ...
    @overload
    def __get__(self, worker: object, owner: type) -> _Value: ...
    def __get__(self, worker: object | None, owner: type) -> Any:
        return self if worker is None else getattr(getattr(worker, self._part), self._name)

    def __set__(self, worker: object, value: _Value) -> None:
        setattr(getattr(worker, self._part), self._name, value)
