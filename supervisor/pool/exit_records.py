"""What people are told about the end of a child."""

from ..exit_codes import ChildCode, ExitCause
from .events import Exited, Role, Say
from .state import Child, Pool


def exit_records(
    pool: Pool,
    child: Child,
    end: Exited,
    outcome: ExitCause,
    restarts: int,
    pause_s: float | None,
    now: float,
) -> list[Say]:
    """What the log says about an end; `pause_s` is None when nobody takes its place."""
    beat_s = child.beat_age_s(now)
    will_restart = pause_s is not None and pool.stopping is None and outcome is not ExitCause.DONE
    is_calm = outcome in (ExitCause.CLEAN, ExitCause.DONE) and (end.code == ChildCode.CLEAN or not child.bye)
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
        about = {"slot": child.slot, "pid": child.pid, "oom_kills": end.oom_kills}
        records.append(Say(level, "child.oom_suspected", about))
    return records


def error_of(child: Child, end: Exited) -> str:
    """Why it ended, in one line."""
    if child.fatal is not None:
        return child.fatal.error
    return "not ready in time" if child.verdict is ExitCause.BOOT_FAIL else f"ended with {end.status}"


def how_it_died(end: Exited) -> str:
    """For people: `signal 9`, `exit status 3`."""
    if end.signal is None:
        return f"exit status {end.code}"
    text = f"signal {end.signal_number}" if end.signal_number else end.signal
    return f"{text}, out of memory" if end.oom_kills else text
