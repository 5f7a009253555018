"""Times and durations as scripts and people read them. No I/O."""

from __future__ import annotations

from datetime import UTC, datetime


def iso(unix_ms: int | None) -> str | None:
    """A time as scripts read it."""
    if unix_ms is None:
        return None
    try:
        text = datetime.fromtimestamp(unix_ms / 1000, UTC).isoformat(timespec="milliseconds")
    except (ValueError, OverflowError, OSError):  # a score may be anything
        return None
    return text.replace("+00:00", "Z")


def span(ms: float | None) -> str:
    """A duration for people: 12s, 5m, 2h03m, 4d1h; one that is negative with a minus."""
    if ms is None:
        return "-"
    seconds = round(abs(ms) / 1000)
    sign = "-" if ms <= -500 else ""
    if seconds < 60:
        return f"{sign}{seconds}s"
    if seconds < 3600:
        return f"{sign}{seconds // 60}m{seconds % 60:02}s"
    if seconds < 86400:
        return f"{sign}{seconds // 3600}h{seconds % 3600 // 60:02}m"
    return f"{sign}{seconds // 86400}d{seconds % 86400 // 3600}h"
