"""What the steward found out in Redis. Values only."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class QueueReport:
    """What Redis says about the queue.

    `oldest_due_s` is the age of the oldest job that should be running; `server` the name of one of several servers.
    """

    is_up: bool = False
    queue: str = ""
    depth: int = 0
    oldest_due_s: float = 0.0
    server: str = ""


def sum_of(reports: Sequence[QueueReport]) -> QueueReport:
    """The queue on all servers that are up."""
    up = [report for report in reports if report.is_up]
    if not up:
        return QueueReport()
    return QueueReport(True, up[0].queue, sum(one.depth for one in up), max(one.oldest_due_s for one in up))
