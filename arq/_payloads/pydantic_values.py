"""Values that are pydantic's own, in models for example: addresses and secrets. No I/O."""

from __future__ import annotations

import sys
from typing import Any

from .data_types import UnknownTypeError

#: Module -> base classes of what is written.
_BASES = {
    "pydantic.networks": ("_BaseUrl", "_BaseMultiHostUrl"),
    "pydantic_core": ("Url", "MultiHostUrl"),
    "pydantic.types": ("SecretStr", "SecretBytes"),
}
#: What names in payloads begin with.
_PREFIX = "pydantic:"


def parts_of(value: Any) -> tuple[str, Any] | None:
    """Name of its class and a plain value; None: it is none of these."""
    for kind in type(value).__mro__:
        if _found(kind.__name__) is kind:
            secret = getattr(value, "get_secret_value", None)
            return f"{_PREFIX}{kind.__name__}", str(value) if secret is None else secret()
    return None


def made_of(name: Any, value: Any) -> Any:
    """The reverse.

    Raises:
        UnknownTypeError: there is no such class here.
        ValueError, TypeError: it does not take this.
    """
    is_name = isinstance(name, str) and name.startswith(_PREFIX)
    kind = _found(name.removeprefix(_PREFIX)) if is_name else None
    if kind is None:
        raise UnknownTypeError(f"there is no {repr(name)[:60]} here: is pydantic imported?")
    if not isinstance(value, bytes if kind.__name__ == "SecretBytes" else str):
        raise TypeError("this is no text")
    return kind(value)


def _found(name: str) -> type | None:
    """The class of a name, if it is one of those; nothing is imported for it."""
    for module_name, bases in _BASES.items():
        space = vars(sys.modules.get(module_name, object))
        kind = space.get(name)
        if isinstance(kind, type) and any(
            issubclass(kind, space[base]) for base in bases if isinstance(space.get(base), type)
        ):
            return kind
    return None
