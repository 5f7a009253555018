"""What workers and jobs write down about themselves: a line each, appended by one write, so no two ever mix."""

import json
import os
import time
from typing import Any

FILE = os.environ["FAULTS_JOURNAL"]


def note(event: str, **facts: Any) -> None:
    """Add a record with who and when (CLOCK_MONOTONIC, the same for all processes of the machine)."""
    record = {"event": event, "pid": os.getpid(), "at_ns": time.monotonic_ns(), **facts}
    fd = os.open(FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(fd, f"{json.dumps(record)}\n".encode())
    finally:
        os.close(fd)
