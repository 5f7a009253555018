"""Development mode (`--watch`): all workers stop, then all start with the code as it is now."""

from .escalation import escalate
from .events import ReloadDone
from .state import Phase, Pool


def restart_all(pool: Pool, now: float) -> None:
    """Development mode: stop every worker, then boot again with the code as it is now."""
    pool.waits_for_change = False
    pool.restart_wanted = pool.restart_asked = True
    for child in list(pool.workers()):
        pool.tell_outgoing(child, child.cohort)
        escalate(pool, child, Phase.DRAINING, now, grace_s=pool.options.watch_grace_s)


def report_restart(pool: Pool, error: str, trace: str = "") -> None:
    """In development mode, a reload is over when the first worker is ready, or can not be."""
    if pool.restart_asked and not pool.restart_wanted:
        pool.restart_asked = False
        pool.order(ReloadDone(ok=not error, error=error, trace=trace))


def finish_restart(pool: Pool, now: float) -> None:
    """Everybody is gone: begin again, canary first."""
    if not pool.restart_wanted or any(True for _ in pool.workers()):
        return
    pool.restart_wanted = False
    pool.was_ready = False
    pool.boot_failures = 0
    pool.last_trace = ""
    pool.last_generation += 1
    pool.generation = pool.last_generation
    pool.say("watch.restart", gen=pool.generation)
    for slot in pool.slots:
        slot.not_before_s, slot.reason = now, "reload"
        slot.backoff.forgive()
