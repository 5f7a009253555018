"""How many jobs a worker has dealt with, or several of them together."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JobCounts:
    """Counts since the process began; `ongoing` and `queued` (the length of the queue) are of this moment."""

    complete: int = 0
    failed: int = 0
    retried: int = 0
    ongoing: int = 0
    queued: int = 0

    @property
    def ended(self) -> int:
        """Starts of jobs that have ended, one way or another."""
        return self.complete + self.failed + self.retried

    def __add__(self, other: "JobCounts") -> "JobCounts":
        """Counts add up; the length of the queue is nobody's sum, the first one's stays."""
        return JobCounts(
            self.complete + other.complete,
            self.failed + other.failed,
            self.retried + other.retried,
            self.ongoing + other.ongoing,
            self.queued,
        )

    def as_json(self) -> dict[str, int]:
        """As a report shows the jobs of a worker: without the queue, which is not its own."""
        return {
            "complete": self.complete,
            "failed": self.failed,
            "retried": self.retried,
            "ongoing": self.ongoing,
        }
