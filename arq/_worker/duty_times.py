"""When a worker does what it does by the clock. No I/O."""

from __future__ import annotations


class DutyTimes:
    """When each duty is due, by the event loop's clock, in s."""

    __slots__ = ("beat_at_s", "keep_at_s", "present_at_s", "start_over_at_s", "statistics_at_s", "sweep_at_s")

    def __init__(self) -> None:
        self.beat_at_s = self.keep_at_s = self.sweep_at_s = self.present_at_s = self.start_over_at_s = 0.0
        self.statistics_at_s = 0.0  # nobody is woken for it: what it is about goes on anyway

    def next_s(self, *, sweeps: bool) -> float:
        """When the next one is due; `sweeps`: whether this worker looks for dead ones."""
        duties = [self.beat_at_s, self.keep_at_s, self.present_at_s]
        return min([*duties, self.sweep_at_s] if sweeps else duties)
