"""Values that are made once of their keys. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Memo(Generic[_Key, _Value]):
    """What a function makes of keys. The last ones are kept: `known.get(key) or make(key)`.

    Args:
        function: makes a value, never an empty one.
        most: how many are kept.

    Attributes:
        known: those that were made.
    """

    def __init__(self, function: Callable[[_Key], _Value], most: int) -> None:
        self._function, self._most = function, most
        self.known: dict[_Key, _Value] = {}

    def make(self, key: _Key) -> _Value:
        """One that is not known."""
        if len(self.known) >= self._most:
            self.known.clear()
        made = self.known[key] = self._function(key)
        return made
