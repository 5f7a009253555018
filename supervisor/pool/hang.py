"""Silence of a child that should beat, or of one that is never ready: its stacks first, then its end."""

from ..exit_codes import ExitCause
from ..options import Options
from .escalation import escalate
from .events import Event, Kill, Report, Role
from .state import BEATING, Child, Phase, Pool

STALL_S = 30.0
# a worker that has said nothing for the time of its longest job, and so much more, hangs
HANG_MARGIN_S = 10.0
# well within the 30 s for which leases hold: a new steward has to renew them in time
STEWARD_HANG_S = 12.0
# a page that takes so long is of no use, and keeps all others waiting
WEB_HANG_S = 30.0


def overdue(pool: Pool, child: Child, _event: Event, now: float) -> None:
    """It was never ready within the boot timeout."""
    child.verdict = ExitCause.BOOT_FAIL
    pool.say("child.boot_timeout", "error", slot=child.slot, pid=child.pid, role=child.role.value,
             after_s=round(now - child.born_s, 1))  # fmt: skip
    escalate(pool, child, Phase.HUNG, now)


def look(pool: Pool, child: Child, _event: Event, now: float) -> None:
    """A ready child has been silent: ask for its stacks first, end it later."""
    silent_s = now - (child.last_beat_s or now)
    limit_s = hang_limit_s(child, pool.options)
    if limit_s and silent_s >= limit_s:
        child.verdict = ExitCause.HUNG
        pool.say("child.hung", "error", **_silence(child, silent_s))
        escalate(pool, child, Phase.HUNG, now)
        return
    if not child.is_stalled and silent_s >= stall_limit_s(child, pool.options):
        child.is_stalled = True
        pool.say("child.stall", "warning", **_silence(child, silent_s))
        pool.order(Kill(child.key, "USR1"))
    child.deadline_s = next_look_s(pool, child)


def next_look_s(pool: Pool, child: Child) -> float | None:
    """When silence of a ready child would mean something."""
    if child.last_beat_s is None or child.role not in BEATING:
        return None
    if not child.is_stalled:
        return child.last_beat_s + stall_limit_s(child, pool.options)
    limit_s = hang_limit_s(child, pool.options)
    return child.last_beat_s + limit_s if limit_s else None


def hang_limit_s(child: Child, options: Options) -> float:
    """Silence that ends this child; 0 = none does."""
    if child.role is Role.STEWARD:
        return STEWARD_HANG_S
    if child.role is Role.WEB:
        return WEB_HANG_S
    if options.hang_timeout_s is not None:
        return options.hang_timeout_s
    return (child.report or Report()).longest_job_s + HANG_MARGIN_S


def stall_limit_s(child: Child, options: Options) -> float:
    """Silence after which its stacks are wanted."""
    limit_s = hang_limit_s(child, options)
    return min(STALL_S, limit_s / 2) if limit_s else STALL_S


def _silence(child: Child, silent_s: float) -> dict[str, object]:
    return {
        "slot": child.slot,
        "pid": child.pid,
        "role": child.role.value,
        "last_beat_s": round(silent_s, 1),
        "jobs": [f"{job_id}:{name}" for job_id, name in child.running],
    }
