"""Answers for programs: plain JSON, times as ISO 8601 in UTC beside the unix ms that they are made of. No I/O."""

from __future__ import annotations

import dataclasses
import json
from enum import Enum
from typing import Any

from .._admin.times import iso

#: Larger ones are not read as they are by everybody: they are written as text.
_EXACT = 2**53
_AS_IT_IS = (str, float, bool, type(None))


def plain(value: Any) -> Any:
    """A value as JSON has it. Of what ends in `_ms` and is a point in time there is also `..._at`."""
    if type(value) in _AS_IT_IS:
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _with_times(_fields(value))
    if isinstance(value, dict):
        return _with_times(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, int) and abs(value) > _EXACT:
        return str(value)
    return value


def _with_times(value: dict[Any, Any]) -> dict[str, Any]:
    found = {str(key): plain(one) for key, one in value.items()}
    for key, one in value.items():
        if isinstance(key, str) and key.endswith("_ms") and isinstance(one, int) and one > 1e11:
            found["at" if key == "at_ms" else f"{key[:-3]}_at"] = iso(one)
    return found


def _fields(record: Any) -> dict[str, Any]:
    """By name; that of a server only where there are several."""
    found = {one.name: getattr(record, one.name) for one in dataclasses.fields(record)}
    return {name: one for name, one in found.items() if name != "server" or one}


def as_json_bytes(value: Any) -> bytes:
    """The text of an answer."""
    return json.dumps(plain(value), ensure_ascii=True, default=str).encode()
