"""Lines between the parent and its children: one JSON object each, version 1.

A child may write anything into its pipe (it runs user code), so a reader keeps half lines, drops what is too long
or no JSON object, and never raises.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

VERSION = 1
LONGEST_LINE_BYTES = 256 * 1024
# what the parent sends grows with the pool, and the parent can be trusted
LONGEST_ORDER_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Frame:
    """One line: what kind it is, and its other members, which may be anything."""

    kind: str
    body: Mapping[str, object]

    def number(self, name: str, default: float = 0.0) -> float:
        """A member that should be a finite number; `default` when it is absent or something else."""
        value = self.body.get(name, default)
        if not isinstance(value, int | float) or isinstance(value, bool):
            return default
        try:
            number = float(value)
        except OverflowError:  # an integer of hundreds of digits
            return default
        return number if math.isfinite(number) else default

    def text(self, name: str, default: str = "") -> str:
        """A member that should be a text."""
        value = self.body.get(name, default)
        return value if isinstance(value, str) else default

    def flag(self, name: str) -> bool:
        """A member that should be true or false; what is neither is false."""
        return self.body.get(name) is True

    def raw(self, name: str) -> Any:
        """A member as it came.

        Raises:
            KeyError: there is none.
        """
        return self.body[name]

    def texts(self, name: str) -> tuple[str, ...]:
        """A member that should be a list of texts.

        Raises:
            KeyError, TypeError: there is none.
        """
        return tuple(str(text) for text in self.raw(name))

    def pairs(self, name: str) -> tuple[tuple[str, str], ...]:
        """A member that should be a list of pairs of texts; empty when there is none.

        Raises:
            TypeError, ValueError: it is something else.
        """
        found = self.raw(name) if name in self.body else ()
        return tuple((str(first), str(second)) for first, second in found)


def encode(kind: str, members: Mapping[str, object]) -> bytes:
    """One line, ready to be written."""
    return (
        json.dumps({"v": VERSION, "t": kind, **members}, separators=(",", ":"), default=str).encode() + b"\n"
    )


class Decoder:
    """Turns bytes, in whatever pieces they come, into frames."""

    def __init__(self, longest_line_bytes: int = LONGEST_LINE_BYTES) -> None:
        self._rest = b""
        self._skipping = False
        self._longest_line_bytes = longest_line_bytes
        self.dropped = 0

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that are complete once `data` has come."""
        *lines, rest = (self._rest + data).split(b"\n")
        if len(rest) > self._longest_line_bytes:
            rest = b""
            self._begin_skipping()
        self._rest = rest
        for line in lines:
            yield from self._take(line)

    def _begin_skipping(self) -> None:
        if not self._skipping:
            self.dropped += 1
        self._skipping = True

    def _take(self, line: bytes) -> Iterator[Frame]:
        if self._skipping:  # the tail of a line that was too long
            self._skipping = False
        elif frame := self._parse(line):
            yield frame
        elif line:
            self.dropped += 1

    def _parse(self, line: bytes) -> Frame | None:
        if len(line) > self._longest_line_bytes:
            return None
        try:
            body = json.loads(line)
        except (ValueError, RecursionError):
            return None
        if not isinstance(body, dict) or body.pop("v", None) != VERSION:
            return None
        kind = body.pop("t", None)
        return Frame(kind, body) if isinstance(kind, str) else None
