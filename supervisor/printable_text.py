"""Text that comes from elsewhere, made fit for a log and a terminal. Imports what that takes only when it is needed."""

from collections.abc import Mapping
from typing import Any, TypeVar, cast

T = TypeVar("T")

# without one of these there is nothing to leave out
_MARKS = ("://", "Port could not", "netloc", "does not appear")
_LAYOUT = {ord("\n"): None, ord("\t"): None}


def printable(text: str) -> str:
    """A text on one line: line breaks, escape codes, marks of direction and the like are escaped."""
    if text.isprintable():
        return text
    from arq._printable import escaped

    return escaped(text)


def printable_lines(text: str) -> str:
    """The same for a text that may have several lines."""
    if text.translate(_LAYOUT).isprintable():
        return text
    from arq._printable import printable_lines

    return printable_lines(text)


def all_printable(value: T) -> T:
    """The same for all texts in a report, whatever it consists of."""
    clean: Any = value
    if isinstance(value, str):
        clean = printable(value)
    elif isinstance(value, Mapping):
        clean = {all_printable(name): all_printable(item) for name, item in value.items()}
    elif isinstance(value, list):
        clean = [all_printable(item) for item in value]
    elif isinstance(value, tuple):
        items = map(all_printable, value)
        clean = type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    return cast("T", clean)


def redacted(text: str) -> str:
    """Without passwords of addresses."""
    if not any(mark in text for mark in _MARKS):
        return text
    from arq._printable import redacted

    return redacted(text)
