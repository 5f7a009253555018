"""What the end of a child means, and what follows from it for its slot and for the pool."""

from dataclasses import replace

from ..exit_codes import ChildCode, ExitCode, Outcome
from . import job_kills
from .events import Exited, Fatal, Role, Say, Trace
from .shutdown import begin_stop
from .state import Child, Loss, Phase, Pool, Slot

STAGGER_S = 0.05
LONGEST_STAGGER_S = 2.0
NEEDS_RELEASE = frozenset(
    {Outcome.CRASH, Outcome.HUNG, Outcome.INTERRUPTED, Outcome.TEMPFAIL, Outcome.BOOT_FAIL}
)
BY_CODE = {ChildCode.IMPORT: Outcome.IMPORT_FAIL, ChildCode.BOOT: Outcome.BOOT_FAIL}


def judge(child: Child, end: Exited) -> Outcome:
    """What this end means. What we decided about a child before it ended outweighs its status."""
    if child.verdict is not None:
        return child.verdict
    if end.code == ChildCode.CLEAN and child.bye == "burst":
        return Outcome.DONE
    if end.code == ChildCode.CLEAN and (child.bye or child.was_asked):
        return Outcome.CLEAN
    if end.code == ChildCode.TEMPFAIL and child.fatal is not None:
        return Outcome.TEMPFAIL
    if child.was_asked:
        return Outcome.CLEAN if child.ready_s is None and end.signal is None else Outcome.INTERRUPTED
    if child.ready_s is None and end.code in BY_CODE:
        return BY_CODE[ChildCode(end.code)]
    return Outcome.CRASH


def bury(pool: Pool, child: Child, end: Exited, now: float) -> None:
    """A child was reaped: take it off the list, keep what it leaves behind, decide what comes next."""
    del pool.children[child.key]
    outcome = judge(child, end)
    slot = pool.slot_of(child)
    _settle(pool, child, outcome, end, now)
    pause_s = _pause_s(pool, slot, child, outcome, now)
    restarts = pool.limit.within(now) + (outcome.is_failure and child.role is Role.WORKER)
    said_at = len(pool.orders)
    _conclude(pool, slot, child, outcome, end, pause_s, now)
    # the record tells the decision, and comes before what follows from it
    next_s = pause_s if slot else None
    pool.orders[said_at:said_at] = _exit_records(pool, child, end, outcome, restarts, next_s, now)


def _conclude(
    pool: Pool, slot: Slot | None, child: Child, outcome: Outcome, end: Exited, pause_s: float, now: float
) -> None:
    if pool.stopping is not None and child.role is Role.WORKER:
        pool.stopping.interrupted |= (
            outcome is Outcome.INTERRUPTED or outcome.is_failure or child.needed_force
        )
    if slot is None:
        return
    slot.last_exit, slot.last_exit_s = (outcome.value if end.code == 0 else end.status), now
    slot.last_worker_id = child.worker_id
    if slot.successor is child:
        slot.successor = None
        return  # the rollout looks at it
    slot.child = None
    if pool.stopping is None:
        slot.not_before_s = now + pause_s
        slot.reason = outcome.value
        slot.pause_s = pause_s
        _follow(pool, slot, child, outcome, end, now)


def _settle(pool: Pool, child: Child, outcome: Outcome, end: Exited, now: float) -> None:
    """Its counts stay in the sum; its jobs are to be given back unless it did that itself."""
    pool.exits[outcome.value] += 1
    if child.role is not Role.WORKER:
        return
    pool.past += replace(child.counts, ongoing=0)
    wanted = pool.options.release_lost_jobs and outcome in NEEDS_RELEASE
    report = child.report or pool.report
    if wanted and report is not None and report.redis:
        pool.lost[child.worker_id] = Loss(report, *why_lost(child, outcome, end), now)


def why_lost(child: Child, outcome: Outcome, end: Exited) -> tuple[str, str]:
    """Whose fault it is that its jobs did not end: `died`, and of what, or `stopped`, and who shall not take them.

    Who is ended by force because it was told to stop and did not has not died of a job, whatever held it up.
    """
    was_ended = child.needed_force or end.signal is None
    if outcome is Outcome.INTERRUPTED and was_ended:
        return "stopped", child.outgoing
    return "died", "hung" if outcome is Outcome.HUNG else how_it_died(end)


def how_it_died(end: Exited) -> str:
    """For people: `signal 9`, `exit status 3`."""
    if end.signal is None:
        return f"exit status {end.code}"
    text = f"signal {end.signal_number}" if end.signal_number else end.signal
    return f"{text}, out of memory" if end.oom_kills else text


def _pause_s(pool: Pool, slot: Slot | None, child: Child, outcome: Outcome, now: float) -> float:
    """How long its slot stays empty."""
    if slot is None or outcome is Outcome.DONE:
        return 0.0
    if child.has_proved_itself(pool.options, now):
        slot.backoff.forgive()
        return 0.0
    return slot.backoff.next_pause_s()


def _exit_records(
    pool: Pool, child: Child, end: Exited, outcome: Outcome, restarts: int, pause_s: float | None, now: float
) -> list[Say]:
    """What the log says about an end; `pause_s` is None when nobody takes its place."""
    beat_s = child.beat_age_s(now)
    will_restart = pause_s is not None and pool.stopping is None and outcome is not Outcome.DONE
    is_calm = outcome in (Outcome.CLEAN, Outcome.DONE)
    fields = {
        "slot": child.slot,
        "pid": child.pid,
        "gen": child.generation,
        "role": child.role.value,
        "worker": child.worker_id if child.role is Role.WORKER else None,
        "outcome": outcome.value,
        "status": end.status,
        "uptime_s": round(now - child.born_s, 3),
        "last_beat_s": None if beat_s is None else round(beat_s, 3),
        "ongoing": child.counts.ongoing,
        "jobs": [f"{job_id}:{name}" for job_id, name in child.running],
        "restarts": f"{restarts}/{pool.limit.most}",
        "next": "restart" if will_restart else "stay",
        "in": f"{pause_s:.1f}s" if will_restart else None,
    }
    records = [Say("info" if is_calm else "error", "child.exit", fields)]
    if end.signal == "SIGKILL" and not child.needed_force:
        level = "info" if end.oom_kills == 0 else "warning"  # the kernel has killed nobody: somebody else did
        fields = {"slot": child.slot, "pid": child.pid, "oom_kills": end.oom_kills}
        records.append(Say(level, "child.oom_suspected", fields))
    return records


def _follow(pool: Pool, slot: Slot, child: Child, outcome: Outcome, end: Exited, now: float) -> None:
    if child.role is not Role.WORKER:
        _follow_helper(pool, child, now)
        return
    if child.fatal is not None and outcome.is_failure:
        _show_trace(pool, child.fatal)
    if outcome is Outcome.DONE:
        slot.is_done = pool.was_ready = True
    elif outcome is Outcome.TEMPFAIL:
        _note_tempfail(pool, slot, child, now)
    elif pool.options.watch and (outcome.is_failure and child.ready_s is None):
        pool.waits_for_change = True
        pool.say("watch.waiting", "warning", error=_error(child, end))
    elif outcome.is_failure and not pool.was_ready:
        _count_boot_failure(pool, child, outcome, end, now)
    elif outcome.is_failure and not pool.options.watch:
        _count_failure(pool, now)


def _follow_helper(pool: Pool, child: Child, now: float) -> None:
    """A helper that never worked is a reason to give up only when nothing can work without it."""
    if child.role is Role.REDIS and child.ready_s is None and child.fatal is not None:
        code = ExitCode.TAKEN if child.fatal.kind == "taken" else ExitCode.BOOT
        pool.say("redis.failed", "error", error=child.fatal.error)
        _last_word(pool, f"{child.fatal.error} (exit {int(code)})")
        begin_stop(pool, code, "redis", now)


def _show_trace(pool: Pool, fatal: Fatal) -> None:
    """Every different traceback once: eight children with one import error are one import error."""
    if fatal.trace and fatal.trace != pool.last_trace:
        pool.last_trace = fatal.trace
        pool.order(Trace(fatal.trace))


def _error(child: Child, end: Exited) -> str:
    if child.fatal is not None:
        return child.fatal.error
    return "not ready in time" if child.verdict is Outcome.BOOT_FAIL else f"ended with {end.status}"


def _count_boot_failure(pool: Pool, child: Child, outcome: Outcome, end: Exited, now: float) -> None:
    error = _error(child, end)
    if outcome is Outcome.IMPORT_FAIL:
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


def _count_failure(pool: Pool, now: float) -> None:
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


def _last_word(pool: Pool, text: str) -> None:
    """Why it ends, for the person who reads the last lines."""
    pool.last_word = pool.last_word or f"arq-supervise: {text}"


def _note_tempfail(pool: Pool, slot: Slot, child: Child, now: float) -> None:
    if pool.tempfail_since_s is None:
        pool.tempfail_since_s = now
    error = child.fatal.error if child.fatal else ""
    pool.say("tempfail", "warning", slot=slot.index, error=error, retry_in=f"{slot.not_before_s - now:.1f}s")


def is_burst_over(pool: Pool) -> bool:
    """Has every worker of a burst pool said that nothing is left?"""
    return bool(pool.slots) and all(slot.is_done and slot.child is None for slot in pool.slots)


def give_up_waiting(pool: Pool, now: float) -> None:
    """No worker has reached Redis for as long as the option allows."""
    limit_s, since_s = pool.options.exit_on_tempfail_s, pool.tempfail_since_s
    if limit_s and since_s is not None and now - since_s >= limit_s and pool.stopping is None:
        _last_word(pool, f"no worker could reach Redis for {limit_s:g} s; giving up (exit 69)")
        begin_stop(pool, ExitCode.UNAVAILABLE, "tempfail", now)


def admit(pool: Pool, child: Child, now: float) -> None:
    """A worker is ready."""
    child.phase = Phase.READY
    child.ready_s = child.last_beat_s = now
    if child.role is not Role.WORKER:
        return
    pool.tempfail_since_s = None
    if child.report is not None and not child.report.redis and pool.report is None:
        pool.say(
            "lease.own",
            "warning",
            why="the steward can not use these Redis settings: workers keep their leases",
        )
    pool.report = child.report
    if not pool.was_ready:
        _let_others_follow(pool, now)


def _let_others_follow(pool: Pool, now: float) -> None:
    """The first worker is ready: the others may start, not all in the same instant."""
    pool.was_ready = True
    gap_s = min(STAGGER_S, LONGEST_STAGGER_S / len(pool.slots))
    for slot in pool.slots:
        if slot.child is None:
            slot.not_before_s = max(slot.not_before_s, now + gap_s * slot.index)
