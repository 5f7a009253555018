"""The parent stood still, with the machine or alone: what looks late then may not be."""

from .hang import next_look_s
from .state import Phase, Pool

# what is so long that people want to know
GAP_S = 4.0
# by then whoever stood still with us may have been about to beat
LONG_S = 1.0


def excuse(pool: Pool, late_s: float, now: float) -> None:
    """The parent stood still, and everybody with it for all it knows: what looks late may not be."""
    if late_s >= GAP_S:
        pool.say("supervisor.gap", "warning", gap_s=round(late_s, 1))
    for child in pool.children.values():
        if child.last_beat_s is not None:
            child.last_beat_s = now if late_s >= LONG_S else min(now, child.last_beat_s + late_s)
        if child.phase is Phase.READY:
            child.deadline_s = next_look_s(pool, child)
        elif child.deadline_s is not None:
            child.deadline_s += late_s
    if pool.tempfail_since_s is not None:
        pool.tempfail_since_s = min(now, pool.tempfail_since_s + late_s)
    if pool.stopping is not None:
        pool.stopping.asked_s = min(now, pool.stopping.asked_s + late_s)
