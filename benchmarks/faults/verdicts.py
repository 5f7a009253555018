"""What an observation means, in words and as one of four grades. Pure: the same observation, the same verdict."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.faults import around_verdicts as around
from benchmarks.faults import stop_verdicts as stops
from benchmarks.faults.grades import Grade, Seen, Verdict, bad, exit_words, fair, good, seconds, several

PROMPT = 2  # times the set time
GROWTH = 5  # by twenty reloads: a helper thread that is started once is none


def judge(fault: str, seen: Seen) -> Verdict:
    """The verdict on what was seen after this fault. KeyError: no such fault."""
    if reason := seen.get("not_applicable"):
        return Verdict(Grade.NONE, reason)
    if "could_not_be_caused" in seen:
        return bad(f"the scene could not be set: {seen['could_not_be_caused']}")
    return JUDGES[fault](seen)


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


def host_died(seen: Seen) -> Verdict:
    """When does the job run again, by itself or only when something else comes?"""
    if seen["again_s"] is None:
        return bad(f"not run again within {seen['watched_s']:.0f} s, nor with the next job")
    if not seen["by_itself"]:
        return fair(f"not run again within {seen['watched_s']:.0f} s, but with the next job")
    words = f"run again {seconds(seen['again_s'])} after the death"
    if seen["starts"] > 2:
        return bad(f"{words}, {seen['starts'] - 1} times")
    if not seen["done"]:
        return bad(f"{words}, not done")
    return good(words) if seen["again_s"] <= PROMPT * seen["redelivery_s"] else fair(words)


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


def release_switched(seen: Seen) -> Verdict:
    """The new code now, and in a worker that takes another's place when the old release is gone."""
    if seen["main_exit_code"] is not None:
        return bad(f"everything stops, {exit_words(seen['main_exit_code'])}")
    words = "the old release goes on"
    if seen["new_code_s"] is not None:
        words = f"new release after {seconds(seen['new_code_s'])}"
        words += "" if seen["by_signal"] else " without a reload: each job imports it"
    if seen["exit_code_then"] is not None:
        then = f"the first death of a worker stops everything, {exit_words(seen['exit_code_then'])}"
    elif not seen["serves_then"]:
        then = "nothing is done any more"
    elif not seen["replaced"]:
        then = "a worker that dies is not replaced"
    else:
        return good(f"{words}, also in later workers") if seen["new_code_s"] is not None else bad(words)
    return bad(f"{words}; once {'it' if seen['new_code_s'] is None else 'the old one'} is removed, {then}")


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


JUDGES: dict[str, Callable[[Seen], Verdict]] = {
    "stop-idle": stops.stopped_idle,
    "stop-busy": stops.stopped_busy,
    "stop-burst": stops.stopped_busy,
    "stop-boot": stops.stopped_during_boot,
    "stop-stopped": stops.stopped,
    "stop-stuck": stops.stopped,
    "stop-programs": stops.programs_left,
    "kill-main": main_killed,
    "kill-idle": worker_killed,
    "kill-all": worker_killed,
    "kill-busy": busy_worker_killed,
    "kill-helper": helper_left,
    "kill-host": host_died,
    "hang-stopped": hung,
    "hang-stuck": hung,
    "reload-load": reloaded,
    "reload-broken": reloaded_broken,
    "reload-link": release_switched,
    "reload-twenty": grown,
    "start-import": import_failed,
    "start-crash": crash_loop,
    "start-twice": started_twice,
    "around-broker": around.broker_away,
    "around-full": around.mute,
    "around-reader": around.mute,
    "around-files": around.files_kept,
    "around-cleaner": around.files_removed,
    "around-terminal": around.terminal_closed,
    "around-nohup": around.nohup,
    "around-init": around.process_one,
}
