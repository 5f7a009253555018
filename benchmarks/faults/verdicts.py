"""What an observation means, in words and as one of four grades. Pure: the same observation, the same verdict."""

from __future__ import annotations

import signal
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

Seen = dict[str, Any]
GROWTH = 5  # by twenty reloads: a helper thread that is started once is none


class Grade(Enum):
    """GOOD: what one hopes for. FAIR: survivable, with a price that the words name. BAD: somebody has to get up."""

    GOOD = "✔"
    FAIR = "~"
    BAD = "✘"
    NONE = "·"


@dataclass(frozen=True)
class Verdict:
    """One cell of the table."""

    grade: Grade
    words: str

    def __str__(self) -> str:
        return f"{self.grade.value} {self.words}"


def good(words: str) -> Verdict:
    """As one hopes."""
    return Verdict(Grade.GOOD, words)


def fair(words: str) -> Verdict:
    """It goes on, at a price."""
    return Verdict(Grade.FAIR, words)


def bad(words: str) -> Verdict:
    """It does not go on, or something is lost."""
    return Verdict(Grade.BAD, words)


def judge(fault: str, seen: Seen) -> Verdict:
    """The verdict on what was seen after this fault. KeyError: no such fault."""
    if seen.get("not_offered"):
        return Verdict(Grade.NONE, "not offered")
    if "could_not_be_caused" in seen:
        return bad(f"the scene could not be set: {seen['could_not_be_caused']}")
    return JUDGES[fault](seen)


# --- parts of sentences -----------------------------------------------------------------------------------------------


def seconds(value: float) -> str:
    """One digit behind the point; two below a tenth of a second."""
    return f"{value:.2f} s" if value < 0.1 else f"{value:.1f} s"


def exit_words(code: int) -> str:
    """`exit 3`, or the signal that it died of."""
    return f"exit {code}" if code >= 0 else f"died of {signal.Signals(-code).name}"


def several(count: int, what: str) -> str:
    """`1 orphan`, `2 orphans`."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


# --- stop -------------------------------------------------------------------------------------------------------------


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


# --- killed processes -------------------------------------------------------------------------------------------------


def main_killed(seen: Seen) -> Verdict:
    """Who is left, can it be started again, and the job?"""
    if seen["left"]:
        words = f"{several(seen['left'], 'orphan')} after {seen['watched_s']:.0f} s"
        words += ", still taking jobs" if seen["orphans_take_jobs"] else ""
        words += "" if seen["restart_s"] is not None else ", and it does not start again beside them"
        return bad(words)
    words = f"all gone after {seconds(seen['gone_s'])}"
    if seen["restart_s"] is None:
        return bad(f"{words}; does not start again")
    if seen["done"]:
        return good(f"{words}, job done first")
    if seen["done_at_last"]:
        return good(f"{words}, job run again after a restart")
    return fair(
        f"{words}; {'request broken' if seen['is_request'] else 'job not run again within 10 s of a restart'}"
    )


def worker_killed(seen: Seen) -> Verdict:
    """Replaced? And the exit code of a clean stop afterwards."""
    if seen["main_exit_code"] is not None:
        return bad(f"everything stops, {exit_words(seen['main_exit_code'])}")
    if seen["back_s"] is None:
        return bad(f"not replaced within {seen['watched_s']:.0f} s")
    words = f"replaced after {seconds(seen['back_s'])}"
    if not seen.get("others_untouched", True):
        return fair(f"{words}, the others restarted, too")
    if seen["stop_s"] is None:
        return bad(f"{words}; then SIGTERM does not end it")
    if seen["left"]:
        return bad(f"{words}; {several(seen['left'], 'orphan')} after a stop")
    return (
        good(words)
        if seen["exit_code"] == 0
        else fair(f"{words}; a stop then gives {exit_words(seen['exit_code'])}")
    )


def busy_worker_killed(seen: Seen) -> Verdict:
    """The jobs that it ran."""
    jobs = several(seen["lost"], "job")
    code = seen["main_exit_code"]
    ending = "" if code is None else f"everything stops, {exit_words(code)}; "
    if seen["broken"]:
        return fair(f"{ending}{several(seen['broken'], 'request')} broken")
    if not seen["ran_again_s"]:
        return bad(f"{ending}{jobs} not run again within {seen['watched_s']:.0f} s")
    again = seconds(max(seen["ran_again_s"]))
    if seen["done"] < seen["lost"]:
        return bad(f"{ending}{seen['done']} of {jobs} done")
    return (fair if ending else good)(f"{ending}{jobs} run again after {again}")


def helper_left(seen: Seen) -> Verdict:
    """The program that a killed worker's job had started."""
    if seen["helper_gone_s"] is not None:
        return good(f"ended with it after {seconds(seen['helper_gone_s'])}")
    if seen["left_after_stop"]:
        return bad("lives on, even after a stop of everything")
    return fair("lives on until everything stops")


# --- hung workers -----------------------------------------------------------------------------------------------------


def hung(seen: Seen) -> Verdict:
    """Noticed, replaced?"""
    if seen["main_exit_code"] is not None:
        return bad(f"everything stops, {exit_words(seen['main_exit_code'])}")
    if seen["gone_s"] is None:
        return bad(f"not noticed in {seen['watched_s']:.0f} s; then {_of_new_jobs(seen)}")
    words = f"killed after {seconds(seen['gone_s'])}"
    words += ", its place in the code shown" if seen.get("place_shown") else ""
    if seen["done_after"] < seen["jobs_after"]:
        return bad(f"{words}; then {_of_new_jobs(seen)}")
    if not seen["was_worker"]:
        return good(words)
    if seen["back_s"] is None:
        return fair(f"{words}, not replaced")
    return good(f"{words}, replaced")


def _of_new_jobs(seen: Seen) -> str:
    return f"{seen['done_after']} of {seen['jobs_after']} new jobs done"


# --- reload -----------------------------------------------------------------------------------------------------------


def reloaded(seen: Seen) -> Verdict:
    """Is the new code there, and did each job run once?"""
    if seen["main_exit_code"] is not None:
        return bad(f"everything stops, {exit_words(seen['main_exit_code'])}")
    if seen["new_code_s"] is None:
        return bad("the old code goes on")
    words = f"new code after {seconds(seen['new_code_s'])}"
    words += "" if seen["by_signal"] else " without a reload: each job imports it"
    if seen["not_done"]:
        return bad(f"{words}; {seen['not_done']} of {seen['jobs']} jobs lost")
    if seen["twice"]:
        return fair(f"{words}; {seen['twice']} of {seen['jobs']} jobs run twice")
    if seen["over_s"] is None:
        return fair(f"{words}; old workers stay")
    words += f", {seen['jobs']} jobs once each"
    return good(words) if seen["fewest_workers"] > 0 else fair(f"{words}; for a while no worker was there")


def reloaded_broken(seen: Seen) -> Verdict:
    """Is the service still up?"""
    if seen["main_exit_code"] is not None:
        return bad(f"everything stops, {exit_words(seen['main_exit_code'])}")
    if not seen["serves"]:
        return bad("lives, but nothing is done any more")
    return (
        good("the old code goes on") if seen["old_workers"] else fair("goes on, but not with the old workers")
    )


def grown(seen: Seen) -> Verdict:
    """Descriptors, threads and processes after twenty reloads."""
    done, ran_out = seen["done"], seen["took_s"] >= seen["limit_s"]
    if done < 20 and not ran_out:
        ending = "" if seen["main_exit_code"] is None else f", {exit_words(seen['main_exit_code'])}"
        return bad(f"{done} of 20 were carried out{ending}")
    changes = {name: seen["after"][name] - seen["before"][name] for name in ("fds", "threads", "processes")}
    grew = [f"{amount:+d} {name}" for name, amount in changes.items() if amount >= GROWTH]
    took = f"{done} in {seen['took_s']:.0f} s"
    return bad(f"{', '.join(grew)}, {took}") if grew else good(f"no growth, {took}")


# --- start ------------------------------------------------------------------------------------------------------------


def import_failed(seen: Seen) -> Verdict:
    """It should say so once and end with a code that is not 0."""
    if seen["exit_code"] is None:
        if not seen["attempts"]:
            return fair("starts; the application is imported for each job, and each job fails")
        return bad(f"tries for ever: {seen['attempts']} imports in {seen['watched_s']:.0f} s")
    words = f"{exit_words(seen['exit_code'])} after {seconds(seen['ended_s'])}"
    words += f", {several(seen['tracebacks'], 'traceback')}"
    if seen["left"]:
        return bad(f"{words}, {several(seen['left'], 'orphan')} left")
    return bad(words) if seen["exit_code"] == 0 else good(words)


def crash_loop(seen: Seen) -> Verdict:
    """It should give up, or at least slow down."""
    if seen["exit_code"] == 0:
        return bad(f"exit 0 after {seconds(seen['ended_s'])}")
    if seen["exit_code"] is not None:
        return good(
            f"{exit_words(seen['exit_code'])} after {seconds(seen['ended_s'])}, {seen['starts']} starts"
        )
    words = f"{seen['starts']} starts in {seen['watched_s']:.0f} s ({seen['cpu_s']:.0f} s of processor time), and so on"
    return fair(f"{words}, more slowly") if seen["starts_in_last_10_s"] * 20 < seen["starts"] else bad(words)


def started_twice(seen: Seen) -> Verdict:
    """The second should refuse, the first should not notice."""
    if not seen["first_serves"]:
        return bad("the first one is disturbed")
    if seen["second_exit_code"] is None:
        return bad("both run" if seen["second_works"] else "the second waits")
    words = f"the second: {exit_words(seen['second_exit_code'])} after {seconds(seen['took_s'])}"
    return bad(words) if seen["second_exit_code"] == 0 else good(words)


# --- what is around ---------------------------------------------------------------------------------------------------


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


JUDGES: dict[str, Callable[[Seen], Verdict]] = {
    "stop-idle": stopped_idle,
    "stop-busy": stopped_busy,
    "stop-burst": stopped_busy,
    "stop-boot": stopped_during_boot,
    "stop-stopped": stopped,
    "stop-stuck": stopped,
    "kill-main": main_killed,
    "kill-idle": worker_killed,
    "kill-all": worker_killed,
    "kill-busy": busy_worker_killed,
    "kill-helper": helper_left,
    "hang-stopped": hung,
    "hang-stuck": hung,
    "reload-load": reloaded,
    "reload-broken": reloaded_broken,
    "reload-twenty": grown,
    "start-import": import_failed,
    "start-crash": crash_loop,
    "start-twice": started_twice,
    "around-broker": broker_away,
    "around-full": mute,
    "around-reader": mute,
    "around-init": process_one,
}
