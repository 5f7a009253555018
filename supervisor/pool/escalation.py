"""How a child is made to end: TERM, QUIT, ABRT, KILL, each with one absolute deadline for the next."""

from ..exit_codes import Outcome
from .events import Kill
from .state import BEATING, Child, Phase, Pool

DUMP_PAUSE_S = 1.0
# what is so long that people want to know
GAP_S = 4.0
# by then whoever stood still with us may have been about to beat
LONG_S = 1.0

# what is sent on entering a phase, and which phase follows when its deadline passes
SIGNAL = {
    Phase.DRAINING: "TERM",
    Phase.CANCELLING: "QUIT",
    Phase.HUNG: "USR1",
    Phase.ABORTING: "ABRT",
    Phase.KILLED: "KILL",
}
NEXT = {
    Phase.BOOTING: Phase.DRAINING,
    Phase.LOADED: Phase.DRAINING,
    Phase.READY: Phase.DRAINING,
    Phase.DRAINING: Phase.CANCELLING,
    Phase.CANCELLING: Phase.ABORTING,
    Phase.HUNG: Phase.ABORTING,
    Phase.ABORTING: Phase.KILLED,
    Phase.KILLED: Phase.KILLED,
}
FORCE = (Phase.ABORTING, Phase.KILLED)


def climb(pool: Pool, child: Child, phase: Phase, now: float, grace_s: float | None = None) -> None:
    """Put a child on this rung: send its signal, set its deadline. Never downwards."""
    if phase < child.phase or (phase == child.phase and phase is not Phase.KILLED):
        return
    if phase > Phase.DRAINING:
        pool.say("child.signal", "warning", slot=child.slot, pid=child.pid, role=child.role.value,
                 sig=f"SIG{SIGNAL[phase]}", stage=phase - Phase.DRAINING + 1)  # fmt: skip
    child.phase = phase
    child.was_asked = True
    child.needed_force = child.needed_force or phase in FORCE
    child.deadline_s = now + _pause_s(pool, child, phase, grace_s)
    pool.order(Kill(child.key, SIGNAL[phase], group=phase is Phase.KILLED))


def climb_on(pool: Pool, child: Child, now: float) -> None:
    """The deadline of an ending child has passed: the next rung."""
    climb(pool, child, NEXT[child.phase], now)


def _pause_s(pool: Pool, child: Child, phase: Phase, grace_s: float | None) -> float:
    if phase is Phase.DRAINING:
        return child.grace_s(pool.options) if grace_s is None else grace_s
    return DUMP_PAUSE_S if phase is Phase.HUNG else pool.options.kill_timeout_s


def overdue(pool: Pool, child: Child, now: float) -> None:
    """It was never ready within the boot timeout."""
    child.verdict = Outcome.BOOT_FAIL
    pool.say("child.boot_timeout", "error", slot=child.slot, pid=child.pid, role=child.role.value,
             after_s=round(now - child.born_s, 1))  # fmt: skip
    climb(pool, child, Phase.HUNG, now)


def look(pool: Pool, child: Child, now: float) -> None:
    """A ready child has been silent: ask for its stacks first, end it later."""
    silent_s = now - (child.last_beat_s or now)
    limit_s = child.hang_limit_s(pool.options)
    if limit_s and silent_s >= limit_s:
        child.verdict = Outcome.HUNG
        pool.say("child.hung", "error", **_silence(child, silent_s))
        climb(pool, child, Phase.HUNG, now)
        return
    if not child.is_stalled and silent_s >= child.stall_limit_s(pool.options):
        child.is_stalled = True
        pool.say("child.stall", "warning", **_silence(child, silent_s))
        pool.order(Kill(child.key, "USR1"))
    child.deadline_s = next_look_s(pool, child)


def next_look_s(pool: Pool, child: Child) -> float | None:
    """When silence of a ready child would mean something."""
    if child.last_beat_s is None or child.role not in BEATING:
        return None
    if not child.is_stalled:
        return child.last_beat_s + child.stall_limit_s(pool.options)
    limit_s = child.hang_limit_s(pool.options)
    return child.last_beat_s + limit_s if limit_s else None


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


def _silence(child: Child, silent_s: float) -> dict[str, object]:
    return {
        "slot": child.slot,
        "pid": child.pid,
        "role": child.role.value,
        "last_beat_s": round(silent_s, 1),
        "jobs": [f"{job_id}:{name}" for job_id, name in child.running],
    }
