"""How a child is made to end: TERM, QUIT, ABRT, KILL, each with one absolute deadline for the next."""

from .events import Event, Kill
from .state import Child, Phase, Pool

DUMP_PAUSE_S = 1.0

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


def escalate(pool: Pool, child: Child, phase: Phase, now: float, grace_s: float | None = None) -> None:
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


def next_stage(pool: Pool, child: Child, _event: Event, now: float) -> None:
    """The deadline of an ending child has passed: the next rung."""
    escalate(pool, child, NEXT[child.phase], now)


def _pause_s(pool: Pool, child: Child, phase: Phase, grace_s: float | None) -> float:
    if phase is Phase.DRAINING:
        return child.grace_s(pool.options) if grace_s is None else grace_s
    return DUMP_PAUSE_S if phase is Phase.HUNG else pool.options.kill_timeout_s
