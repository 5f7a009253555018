# mypy: disable-error-code="import-not-found"
"""What a worker process does when it begins to take jobs: says so and, when a fault wants that, crashes soon."""

import os
import threading
from pathlib import Path

from journal import note

CRASH_AFTER_S = Path("crash-after-s")
REDELIVERY_S = Path("redelivery-s")


def worker_is_up() -> None:
    """To be called once in each worker."""
    note("up")
    if CRASH_AFTER_S.exists():
        threading.Timer(float(CRASH_AFTER_S.read_text()), os._exit, (1,)).start()


def redelivery_s(usual_s: float) -> float:
    """Seconds after which a job of a dead worker may be given to another one: as usual, or what the fault says."""
    return float(REDELIVERY_S.read_text()) if REDELIVERY_S.exists() else usual_s
