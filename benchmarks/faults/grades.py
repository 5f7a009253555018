"""The grades of the comparison, and the words that verdicts have in common."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import Enum
from typing import Any

Seen = dict[str, Any]


class Grade(Enum):
    """GOOD: what one hopes for. FAIR: survivable, with a price that the words name. BAD: somebody has to get up."""

    GOOD = "✔"
    FAIR = "~"
    BAD = "✘"
    NONE = "·"


@dataclass(frozen=True)
class Verdict:
    """One cell of the table."""

    grade: Grade
    words: str

    def __str__(self) -> str:
        return f"{self.grade.value} {self.words}"


def good(words: str) -> Verdict:
    """As one hopes."""
    return Verdict(Grade.GOOD, words)


def fair(words: str) -> Verdict:
    """It goes on, at a price."""
    return Verdict(Grade.FAIR, words)


def bad(words: str) -> Verdict:
    """It does not go on, or something is lost."""
    return Verdict(Grade.BAD, words)


def seconds(value: float) -> str:
    """One digit behind the point; two below a tenth of a second."""
    return f"{value:.2f} s" if value < 0.1 else f"{value:.1f} s"


def exit_words(code: int) -> str:
    """`exit 3`, or the signal that it died of."""
    return f"exit {code}" if code >= 0 else f"died of {signal.Signals(-code).name}"


def several(count: int, what: str) -> str:
    """`1 orphan`, `2 orphans`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
