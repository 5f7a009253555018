"""What is kept of a job that has failed for good, beside its payload, so that it can be read and mended. No I/O.

Written and read as JSON: neither the application nor trust in Redis is needed to look at it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from traceback import format_exception
from typing import Any

from ._printable import redacted
from .utils import safe_repr, truncate

#: Changes when what stands in an entry means something else.
VERSION = 1
#: Characters of an error and of a traceback that are kept.
LONGEST_ERROR, LONGEST_TRACEBACK = 1000, 8000
#: Jobs that a queue keeps, and ms for which it does.
DEAD_MAX, DEAD_TTL_S = 10_000, 7 * 86_400


class NoEntryError(ValueError):
    """It is no entry, or one of another version."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Why and when a job has failed for good.

    Attributes:
        function: name of the function; `<unknown>` where the payload can't be read.
        error: the exception as text.
        kind: module and name of its class.
        traceback: its last lines.
        tries: how often the job was started.
        enqueue_ms, start_ms, finish_ms: unix ms; 0 when unknown.
        worker: id of the worker that ran it last.
        earlier: errors of the tries before, the last ones, oldest first.
    """

    function: str
    error: str
    kind: str
    traceback: str = ""
    tries: int = 1
    enqueue_ms: int = 0
    start_ms: int = 0
    finish_ms: int = 0
    worker: str = ""
    earlier: tuple[str, ...] = field(default=())

    def encoded(self) -> bytes:
        """As it is kept; without `earlier`, which Redis puts beside it."""
        members = {"v": VERSION, **asdict(self)}
        del members["earlier"]
        return json.dumps(members, ensure_ascii=False, separators=(",", ":")).encode(
            errors="backslashreplace"
        )


def read_dead_letter(entry: bytes, earlier: list[bytes]) -> DeadLetter:
    """The reverse of `encoded`.

    Raises:
        NoEntryError: it can't be read, or is of another version.
    """
    try:
        members: dict[str, Any] = json.loads(entry)
        version = members.pop("v")
        known = {name: members[name] for name in DeadLetter.__slots__ if name in members}
        if version != VERSION:
            raise NoEntryError(f"the entry is of version {version!r}, this arq reads {VERSION}")
        return DeadLetter(**known, earlier=tuple(error.decode(errors="replace") for error in earlier))
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        if isinstance(exc, NoEntryError):
            raise
        raise NoEntryError("this is no entry of a dead job") from exc


def error_text(exc: object) -> str:
    """An exception in one line, without passwords."""
    return truncate(redacted(safe_repr(exc)), LONGEST_ERROR)


def kind_of(exc: object) -> str:
    """Module and name of its class."""
    cls = type(exc)
    return f"{cls.__module__}.{cls.__qualname__}"


def traceback_text(exc: BaseException) -> str:
    """The last lines of its traceback, without passwords."""
    try:
        text = "".join(format_exception(exc))
    except Exception:  # noqa: BLE001  (an exception of the application's may not even be shown)
        return ""
    text = redacted(text)
    return text if len(text) <= LONGEST_TRACEBACK else "...\n" + text[-LONGEST_TRACEBACK:].partition("\n")[2]
