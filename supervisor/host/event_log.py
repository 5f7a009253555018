"""The supervisor's own records. One `write()` for each."""

from collections.abc import Mapping

from ..log_records import LEVELS, json_record, text_record
from ..printable_text import printable_lines
from .nonblocking_writer import NonblockingWriter


class EventLog:
    """The parent's log."""

    def __init__(self, outlet: NonblockingWriter, pool: str, log_format: str, level: str) -> None:
        self._outlet = outlet
        self._pool = pool
        self._format = json_record if log_format == "json" else text_record
        self._least = LEVELS[level]

    def say(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        """One record of a stable event."""
        if LEVELS[level] >= self._least:
            self._outlet.write(self._format(level, self._pool, event, fields).encode(errors="replace"))

    def raw(self, text: str) -> None:
        """A text for the reader, as it is but for what is no text."""
        self._outlet.write((printable_lines(text).rstrip("\n") + "\n").encode(errors="replace"))
