"""What was seen after faults of the surroundings: broker, output, files, terminal, being process 1."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.faults.grades import Seen, Verdict, bad, exit_words, fair, good, seconds, several
from benchmarks.faults.stop_verdicts import job_after_stop, stopped_idle


def broker_away(seen: Seen) -> Verdict:
    """Everything goes on, the job ran once."""
    if seen["main_exit_code"] is not None:
        return bad(f"everything stops, {exit_words(seen['main_exit_code'])}")
    if seen["serves_s"] is None:
        return bad("nothing is done any more")
    words = f"goes on {seconds(seen['serves_s'])} after it is back"
    if not seen["done"]:
        return bad(f"{words}; the job was cut off, not run again in 10 s")
    if seen["starts"] > 1:
        return fair(f"{words}; the job ran {seen['starts']} times")
    return good(f"{words}, the job ran once")


def mute(seen: Seen) -> Verdict:
    """Nobody needs the output."""
    if not seen["serves"]:
        code = "" if seen["exit_code"] is None else f", {exit_words(seen['exit_code'])}"
        return bad(f"does not work{code}")
    return stopped_idle(seen)


def process_one(seen: Seen) -> Verdict:
    """No zombie, nobody taken for a worker, and SIGTERM works."""
    if not seen["main_alive"] or seen["workers_restarted"]:
        return bad("an orphan's end is taken for a worker's")
    words = several(seen["zombies"], "zombie")
    if seen["stop_s"] is None:
        return bad(f"{words}; SIGTERM does not end it in {seen['limit_s']:.0f} s")
    words += f"; stops after {seconds(seen['stop_s'])}"
    return bad(words) if seen["zombies"] else good(words)


def terminal_closed(seen: Seen) -> Verdict:
    """A stop is what a closed window means; to live on for itself is a price."""
    if seen["exit_code"] is None:
        return _goes_on(seen, fair, "goes on without it")
    words = f"{exit_words(seen['exit_code'])} after {seconds(seen['stop_s'])}"
    if seen["left"]:
        return bad(f"{words}, {several(seen['left'], 'orphan')} left")
    job = job_after_stop(seen)
    return Verdict(job.grade, f"{job.words}; {words}")


def nohup(seen: Seen) -> Verdict:
    """What `nohup` is for: nothing happens."""
    if seen["exit_code"] is not None:
        return bad(f"ends all the same, {exit_words(seen['exit_code'])}")
    if seen["workers_stayed"]:
        return _goes_on(seen, good, "goes on")
    return _goes_on(seen, fair, "goes on; takes it for a reload, all workers are replaced")


def _goes_on(seen: Seen, grade: Callable[[str], Verdict], words: str) -> Verdict:
    if not seen["serves"]:
        return bad("lives, but nothing is done any more")
    if seen["then_stop_s"] is None:
        return bad(f"{words}; then SIGTERM does not end it")
    if seen["left"]:
        return bad(f"{words}; {several(seen['left'], 'orphan')} after a stop")
    return grade(words)


def files_kept(seen: Seen) -> Verdict:
    """Every line where it belongs, every worker there."""
    if seen["main_exit_code"] is not None:
        return bad(f"everything stops, {exit_words(seen['main_exit_code'])}")
    if seen["workers_died"]:
        return bad(
            f"{several(seen['workers_died'], 'worker')} died, {seen['done']} of {seen['jobs']} jobs done"
        )
    if seen["done"] < seen["jobs"]:
        return bad(f"{seen['done']} of {seen['jobs']} jobs done")
    if seen["strange"]:
        return bad(f"{seen['strange']} of {seen['expected']} lines garbled")
    if seen["lines"] < seen["expected"]:
        return bad(f"{seen['expected'] - seen['lines']} of {seen['expected']} lines lost")
    return good(f"all {seen['expected']} lines written")


def files_removed(seen: Seen) -> Verdict:
    """Made anew, a second one refused, the first undisturbed."""
    if not seen["first_serves"]:
        return bad("the first one is disturbed")
    if seen["stop"]["stop_s"] is None:
        return bad("SIGTERM does not end it any more")
    back = f"{seen['back']} of {seen['files']} made anew"
    again = back if seen["back_s"] is None else f"made anew after {seconds(seen['back_s'])}"
    if seen["second_works"]:
        return bad(f"{again}; a second one runs beside it")
    if seen["second_exit_code"] in (None, 0):
        return bad(f"{again}; a second one {'waits' if seen['second_exit_code'] is None else 'ends with 0'}")
    words = f"{again}; a second one is refused, {exit_words(seen['second_exit_code'])}"
    return fair(words) if seen["back_s"] is None else good(words)
