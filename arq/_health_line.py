"""The health line of a worker: arq's text, both ways. No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

_LINE = re.compile(r"j_complete=(\d+) j_failed=(\d+) j_retried=(\d+) j_ongoing=(\d+) queued=(\d+)")


@dataclass(frozen=True)
class Tally:
    """Counts of one worker since it started, and the length of its queue."""

    complete: int = 0
    failed: int = 0
    retried: int = 0
    ongoing: int = 0
    queued: int = 0

    def __str__(self) -> str:
        return (
            f"j_complete={self.complete} j_failed={self.failed} j_retried={self.retried} "
            f"j_ongoing={self.ongoing} queued={self.queued}"
        )


def format_line(tally: Tally, now: datetime) -> str:
    """The health line, for instance `Mar-01 17:41:22 j_complete=0 j_failed=0 ... queued=0`."""
    return f"{now:%b-%d %H:%M:%S} {tally}"


def parse_line(line: str | bytes) -> Tally:
    """Read a health line of any arq.

    Raises:
        ValueError: it is not a health line.
    """
    text = line.decode() if isinstance(line, bytes) else line
    found = _LINE.search(text)
    if found is None:
        raise ValueError(f"not a health line: {text!r}")
    return Tally(*(int(group) for group in found.groups()))
