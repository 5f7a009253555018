"""Waiting for something to become true, and how long that took."""

from __future__ import annotations

import time
from collections.abc import Callable

PAUSE_S = 0.01


def wait(condition: Callable[[], object], limit_s: float) -> float | None:
    """Seconds until `condition` held, or None when it did not within `limit_s`."""
    began = time.monotonic()
    while True:
        if condition():
            return round(time.monotonic() - began, 3)
        if time.monotonic() - began >= limit_s:
            return None
        time.sleep(PAUSE_S)
