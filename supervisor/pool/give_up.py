"""When a pool ends because it is of no use, or has nothing more to do."""

from ..exit_codes import ExitCause, ExitCode
from . import job_kills
from .events import Exited, Role
from .exit_records import error_of
from .shutdown import begin_stop
from .state import Child, Pool, Slot


def note_tempfail(pool: Pool, slot: Slot, child: Child, now: float) -> None:
    """Redis is away: it is tried again, for as long as the option allows."""
    if pool.tempfail_since_s is None:
        pool.tempfail_since_s = now
    error = child.fatal.error if child.fatal else ""
    pool.say("tempfail", "warning", slot=slot.index, error=error, retry_in=f"{slot.not_before_s - now:.1f}s")


def count_boot_failure(pool: Pool, child: Child, outcome: ExitCause, end: Exited, now: float) -> None:
    """A worker has failed before any was ready: the settings are wrong, or it is tried again a few times."""
    error = error_of(child, end)
    if outcome is ExitCause.IMPORT_FAIL:
        _last_word(pool, f"cannot {_what_fails(pool, child)} ({error}); not restarting (exit 4)")
        pool.say("boot.failed", "error", code=int(ExitCode.SETTINGS), error=error)
        begin_stop(pool, ExitCode.SETTINGS, "import", now)
        return
    pool.boot_failures += 1
    if pool.boot_failures > pool.options.boot_retries:
        _last_word(pool, f"workers cannot start ({error}); giving up (exit 3)")
        pool.say("boot.failed", "error", code=int(ExitCode.BOOT), error=error)
        begin_stop(pool, ExitCode.BOOT, "boot", now)


def _what_fails(pool: Pool, child: Child) -> str:
    kind = child.fatal.kind if child.fatal is not None else ""
    if kind == "logging":
        return f"use --custom-log-dict {pool.options.custom_log_dict}"
    return f"{'use' if kind in {'settings', 'server'} else 'import'} {pool.options.settings!r}"


def judge_helper(pool: Pool, child: Child, now: float) -> None:
    """A helper that never worked is a reason to give up only when nothing can work without it."""
    if child.role is Role.REDIS and child.ready_s is None and child.fatal is not None:
        code = ExitCode.TAKEN if child.fatal.kind == "taken" else ExitCode.BOOT
        pool.say("redis.failed", "error", error=child.fatal.error)
        _last_word(pool, f"{child.fatal.error} (exit {int(code)})")
        begin_stop(pool, code, "redis", now)


def count_failure(pool: Pool, now: float) -> None:
    """A worker has failed: too many of them are too many."""
    pool.restarts_total += 1
    if pool.limit.note(now):
        pool.has_too_many_failures = True
        give_up_restarting(pool, now)


def give_up_restarting(pool: Pool, now: float) -> None:
    """Too many workers have failed, and no job is to blame for it."""
    if not pool.has_too_many_failures or pool.stopping is not None:
        return
    n, window_s = pool.limit.within(now), pool.limit.window_s
    if n <= pool.limit.most:
        pool.has_too_many_failures = False
    elif job_kills.is_known(pool, now):
        pool.say("intensity.exceeded", "error", n=n, window_s=window_s)
        _last_word(pool, f"{n} workers failed within {window_s:g} s; giving up (exit 5)")
        begin_stop(pool, ExitCode.INTENSITY, "intensity", now)


def give_up_waiting(pool: Pool, now: float) -> None:
    """No worker has reached Redis for as long as the option allows."""
    limit_s, since_s = pool.options.exit_on_tempfail_s, pool.tempfail_since_s
    if limit_s and since_s is not None and now - since_s >= limit_s and pool.stopping is None:
        _last_word(pool, f"no worker could reach Redis for {limit_s:g} s; giving up (exit 69)")
        begin_stop(pool, ExitCode.UNAVAILABLE, "tempfail", now)


def is_burst_over(pool: Pool) -> bool:
    """Has every worker of a burst pool said that nothing is left?"""
    return bool(pool.slots) and all(slot.is_done and slot.child is None for slot in pool.slots)


def _last_word(pool: Pool, text: str) -> None:
    """Why it ends, for the person who reads the last lines."""
    pool.last_word = pool.last_word or f"arq-supervise: {text}"
