"""Lines between the parent and its children: one JSON object each, version 1.

A child may write anything into its pipe (it runs user code), so a reader keeps half lines, drops what is too long
or no JSON object, and never raises.
"""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

VERSION = 1
LONGEST_LINE_BYTES = 256 * 1024
# what the parent sends grows with the pool, and the parent can be trusted
LONGEST_ORDER_BYTES = 32 * 1024 * 1024
MOST_IDS = 100
MOST_JOBS = 16
LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class Message:
    """One line: what kind it is, and its other members."""

    kind: str
    body: dict[str, Any]

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


def encode(kind: str, /, **body: Any) -> bytes:
    """One line, ready to be written."""
    return json.dumps({"v": VERSION, "t": kind, **body}, separators=(",", ":"), default=str).encode() + b"\n"


def brief_jobs(jobs: list[tuple[str, str]]) -> list[list[str]]:
    """Running jobs cut down to what fits in a beat."""
    return [[job_id[:LONGEST_NAME], name[:LONGEST_NAME]] for job_id, name in jobs[:MOST_JOBS]]


def brief_ids(job_ids: Iterable[str]) -> list[str]:
    """Ids of jobs, as many of them and as much of each as a message has room for."""
    return [job_id[:LONGEST_NAME] for job_id in islice(job_ids, MOST_IDS)]


class Decoder:
    """Turns bytes, in whatever pieces they come, into messages."""

    def __init__(self, longest_line_bytes: int = LONGEST_LINE_BYTES) -> None:
        self._rest = b""
        self._skipping = False
        self._longest_line_bytes = longest_line_bytes
        self.dropped = 0

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that are complete once `data` has come."""
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

    def _take(self, line: bytes) -> Iterator[Message]:
        if self._skipping:  # the tail of a line that was too long
            self._skipping = False
        elif message := self._parse(line):
            yield message
        elif line:
            self.dropped += 1

    def _parse(self, line: bytes) -> Message | None:
        if len(line) > self._longest_line_bytes:
            return None
        try:
            body = json.loads(line)
        except (ValueError, RecursionError):
            return None
        if not isinstance(body, dict) or body.pop("v", None) != VERSION:
            return None
        kind = body.pop("t", None)
        return Message(kind, body) if isinstance(kind, str) else None
