"""What the steward found out in Redis. Values only."""

from dataclasses import dataclass


@dataclass(slots=True)
class QueueReport:
    """What Redis says about the queue; `oldest_due_s` is the age of the oldest job that should be running."""

    is_up: bool = False
    queue: str = ""
    depth: int = 0
    oldest_due_s: float = 0.0
