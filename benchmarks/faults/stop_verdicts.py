"""What was seen after faults around a stop."""

from __future__ import annotations

from benchmarks.faults.grades import Grade, Seen, Verdict, bad, exit_words, fair, good, seconds, several


def stopped(seen: Seen) -> Verdict:
    """Did it end, how, and is anybody left?"""
    if seen["stop_s"] is None:
        return bad(f"still there after {seen['limit_s']:.0f} s")
    words = f"{exit_words(seen['exit_code'])} after {seconds(seen['stop_s'])}"
    if seen["left"]:
        return bad(f"{words}, {several(seen['left'], 'orphan')} left")
    return good(words)


def stopped_idle(seen: Seen) -> Verdict:
    """Without work nothing excuses another code than 0."""
    verdict = stopped(seen)
    return verdict if verdict.grade is Grade.BAD or seen["exit_code"] == 0 else fair(verdict.words)


def stopped_busy(seen: Seen) -> Verdict:
    """And the job that ran?"""
    end = stopped(seen)
    job = job_after_stop(seen)
    grade = Grade.BAD if Grade.BAD in (end.grade, job.grade) else job.grade
    return Verdict(grade, f"{job.words}; {end.words}")


def job_after_stop(seen: Seen) -> Verdict:
    """Finished before the end, run again after a restart, or neither."""
    if seen["done_before_end"]:
        return good("job done") if seen["starts"] == 1 else fair(f"job run {seen['starts']} times")
    if seen["broken"]:
        return bad("request broken")
    if seen.get("done_after_restart_s") is not None:
        return good(f"job cut off, done {seconds(seen['done_after_restart_s'])} after a restart")
    return bad("job cut off, not run again within 10 s of a restart")


def stopped_during_boot(seen: Seen) -> Verdict:
    """At each moment: ended, nobody left."""
    moments = seen["moments"]
    failed = [one for one in moments if stopped(one).grade is Grade.BAD]
    if failed:
        return bad(
            f"{len(failed)} of {len(moments)}: {failed[0]['after_s']:g} s after the start {stopped(failed[0]).words}"
        )
    return good(f"always ended, after {seconds(max(one['stop_s'] for one in moments))} at most")


def programs_left(seen: Seen) -> Verdict:
    """The programs that jobs have started: are they gone after a clean stop?"""
    if seen["stop_s"] is None:
        return bad(f"still there after {seen['limit_s']:.0f} s")
    words = f"{exit_words(seen['exit_code'])} after {seconds(seen['stop_s'])}"
    if orphans := seen["left"] - seen["program_left"] - seen["daemon_left"]:
        return bad(f"{words}; {several(orphans, 'orphan')} left")
    if seen["program_left"]:
        return bad(f"{words}; {'both live' if seen['daemon_left'] else 'the first lives'} on")
    if seen["daemon_left"]:
        return fair(f"{words}; the one in a session of its own lives on")
    return good(f"{words}, both ended")
