"""What the fault comparison makes of its observations: pure, so every kind of ending is shown here."""

from typing import Any

import pytest

from benchmarks.faults.catalogue import FAULTS
from benchmarks.faults.grades import Grade
from benchmarks.faults.verdicts import JUDGES, judge

STOPPED = {"stop_s": 2.1, "exit_code": 0, "left": 0, "limit_s": 30.0}
STUCK = STOPPED | {"stop_s": None, "exit_code": None, "left": 3}
DONE = {"done_before_end": True, "starts": 1, "broken": False}
CUT_OFF = {"done_before_end": False, "starts": 1, "broken": False}
MAIN_GONE = {
    "gone_s": 0.17,
    "left": 0,
    "watched_s": 5.0,
    "done": False,
    "restart_s": 2.0,
    "done_at_last": True,
    "is_request": False,
}
REPLACED = STOPPED | {"main_exit_code": None, "back_s": 0.54, "watched_s": 20.0, "others_untouched": True}
RERUN = {
    "lost": 1,
    "main_exit_code": None,
    "ran_again_s": [0.3],
    "done": 1,
    "broken": 0,
    "watched_s": 20.0,
}
NOTICED = {
    "was_worker": True,
    "gone_s": 10.1,
    "back_s": 10.4,
    "main_exit_code": None,
    "jobs_after": 10,
    "done_after": 10,
    "watched_s": 35.0,
}
RELOADED = {
    "main_exit_code": None,
    "new_code_s": 0.31,
    "over_s": 0.4,
    "jobs": 19,
    "not_done": 0,
    "twice": 0,
    "fewest_workers": 2,
    "by_signal": True,
}
SIZE = {"fds": 14, "threads": 1, "processes": 4}
GREW = {"done": 20, "took_s": 7.0, "limit_s": 150.0, "before": SIZE, "after": SIZE, "main_exit_code": None}
REFUSED = {"exit_code": 4, "ended_s": 1.3, "attempts": 1, "tracebacks": 1, "left": 0, "watched_s": 10.0}
CRASHED = {"exit_code": 5, "ended_s": 15.0, "starts": 11, "starts_in_last_10_s": 0, "watched_s": 30.0}
FOREVER = CRASHED | {"exit_code": None, "ended_s": None, "cpu_s": 7.5}
TWICE = {"second_exit_code": 7, "took_s": 0.3, "second_works": False, "first_serves": True}
BACK = {"main_exit_code": None, "serves_s": 2.3, "done": True, "starts": 1}
AS_INIT = {"zombies": 0, "workers_restarted": 0, "main_alive": True, "stop_s": 0.1, "limit_s": 15}

GOOD, FAIR, BAD = Grade.GOOD, Grade.FAIR, Grade.BAD


def seen(*parts: dict[str, Any], **changed: Any) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for part in parts:
        merged |= part
    return merged | changed


@pytest.mark.parametrize(
    ("fault", "observation", "grade", "words"),
    [
        ("stop-idle", STOPPED, GOOD, "exit 0 after 2.1 s"),
        ("stop-idle", seen(STOPPED, exit_code=1), FAIR, "exit 1 after 2.1 s"),
        ("stop-idle", seen(STOPPED, exit_code=-9), FAIR, "died of SIGKILL after 2.1 s"),
        ("stop-idle", seen(STOPPED, left=1), BAD, "exit 0 after 2.1 s, 1 orphan left"),
        ("stop-idle", STUCK, BAD, "still there after 30 s"),
        ("stop-busy", seen(STOPPED, DONE), GOOD, "job done; exit 0 after 2.1 s"),
        ("stop-busy", seen(STOPPED, DONE, starts=2), FAIR, "job run 2 times; exit 0 after 2.1 s"),
        ("stop-busy", seen(STUCK, DONE), BAD, "job done; still there after 30 s"),
        (
            "stop-burst",
            seen(STOPPED, CUT_OFF, done_after_restart_s=0.6, stop_s=0.04),
            GOOD,
            "job cut off, done 0.6 s after a restart; exit 0 after 0.04 s",
        ),
        (
            "stop-burst",
            seen(STOPPED, CUT_OFF, done_after_restart_s=None),
            BAD,
            "job cut off, not run again within 10 s of a restart; exit 0 after 2.1 s",
        ),
        ("stop-busy", seen(STOPPED, CUT_OFF, broken=True), BAD, "request broken; exit 0 after 2.1 s"),
        (
            "stop-boot",
            {"moments": [seen(STOPPED, after_s=0.1), seen(STOPPED, after_s=0.5, stop_s=0.4)]},
            GOOD,
            "always ended, after 2.1 s at most",
        ),
        (
            "stop-boot",
            {"moments": [seen(STOPPED, after_s=0.1), seen(STOPPED, after_s=0.5, left=2)]},
            BAD,
            "1 of 2: 0.5 s after the start exit 0 after 2.1 s, 2 orphans left",
        ),
        ("stop-stopped", seen(STOPPED, exit_code=6), GOOD, "exit 6 after 2.1 s"),
        ("stop-stuck", STUCK, BAD, "still there after 30 s"),
        ("kill-main", MAIN_GONE, GOOD, "all gone after 0.2 s, job run again after a restart"),
        ("kill-main", seen(MAIN_GONE, done=True), GOOD, "all gone after 0.2 s, job done first"),
        (
            "kill-main",
            seen(MAIN_GONE, done_at_last=False),
            FAIR,
            "all gone after 0.2 s; job not run again within 10 s of a restart",
        ),
        (
            "kill-main",
            seen(MAIN_GONE, done_at_last=False, is_request=True),
            FAIR,
            "all gone after 0.2 s; request broken",
        ),
        ("kill-main", seen(MAIN_GONE, restart_s=None), BAD, "all gone after 0.2 s; does not start again"),
        (
            "kill-main",
            seen(MAIN_GONE, left=2, orphans_take_jobs=True, restart_s=None),
            BAD,
            "2 orphans after 5 s, still taking jobs, and it does not start again beside them",
        ),
        ("kill-main", seen(MAIN_GONE, left=1, orphans_take_jobs=False), BAD, "1 orphan after 5 s"),
        ("kill-idle", REPLACED, GOOD, "replaced after 0.5 s"),
        ("kill-idle", seen(REPLACED, exit_code=1), FAIR, "replaced after 0.5 s; a stop then gives exit 1"),
        (
            "kill-idle",
            seen(REPLACED, others_untouched=False),
            FAIR,
            "replaced after 0.5 s, the others restarted, too",
        ),
        ("kill-idle", seen(REPLACED, stop_s=None), BAD, "replaced after 0.5 s; then SIGTERM does not end it"),
        ("kill-idle", seen(REPLACED, left=1), BAD, "replaced after 0.5 s; 1 orphan after a stop"),
        ("kill-all", seen(REPLACED, back_s=None), BAD, "not replaced within 20 s"),
        ("kill-all", seen(REPLACED, main_exit_code=1), BAD, "everything stops, exit 1"),
        ("kill-busy", RERUN, GOOD, "1 job run again after 0.3 s"),
        (
            "kill-busy",
            seen(RERUN, main_exit_code=1),
            FAIR,
            "everything stops, exit 1; 1 job run again after 0.3 s",
        ),
        ("kill-busy", seen(RERUN, ran_again_s=[]), BAD, "1 job not run again within 20 s"),
        ("kill-busy", seen(RERUN, lost=2, done=1), BAD, "1 of 2 jobs done"),
        ("kill-busy", seen(RERUN, broken=2, lost=2), FAIR, "2 requests broken"),
        ("kill-helper", {"helper_gone_s": 0.01}, GOOD, "ended with it after 0.01 s"),
        (
            "kill-helper",
            {"helper_gone_s": None, "left_after_stop": False},
            FAIR,
            "lives on until everything stops",
        ),
        (
            "kill-helper",
            {"helper_gone_s": None, "left_after_stop": True},
            BAD,
            "lives on, even after a stop of everything",
        ),
        ("hang-stopped", NOTICED, GOOD, "killed after 10.1 s, replaced"),
        (
            "hang-stuck",
            seen(NOTICED, place_shown=True),
            GOOD,
            "killed after 10.1 s, its place in the code shown, replaced",
        ),
        ("hang-stuck", seen(NOTICED, back_s=None), FAIR, "killed after 10.1 s, not replaced"),
        ("hang-stuck", seen(NOTICED, back_s=None, was_worker=False), GOOD, "killed after 10.1 s"),
        (
            "hang-stuck",
            seen(NOTICED, done_after=4),
            BAD,
            "killed after 10.1 s; then 4 of 10 new jobs done",
        ),
        ("hang-stuck", seen(NOTICED, gone_s=None), BAD, "not noticed in 35 s; then 10 of 10 new jobs done"),
        (
            "hang-stuck",
            seen(NOTICED, gone_s=None, done_after=4),
            BAD,
            "not noticed in 35 s; then 4 of 10 new jobs done",
        ),
        ("hang-stuck", seen(NOTICED, main_exit_code=1), BAD, "everything stops, exit 1"),
        ("reload-load", RELOADED, GOOD, "new code after 0.3 s, 19 jobs once each"),
        (
            "reload-load",
            seen(RELOADED, by_signal=False),
            GOOD,
            "new code after 0.3 s without a reload: each job imports it, 19 jobs once each",
        ),
        (
            "reload-load",
            seen(RELOADED, fewest_workers=0),
            FAIR,
            "new code after 0.3 s, 19 jobs once each; for a while no worker was there",
        ),
        ("reload-load", seen(RELOADED, twice=2), FAIR, "new code after 0.3 s; 2 of 19 jobs run twice"),
        ("reload-load", seen(RELOADED, over_s=None), FAIR, "new code after 0.3 s; old workers stay"),
        ("reload-load", seen(RELOADED, not_done=1), BAD, "new code after 0.3 s; 1 of 19 jobs lost"),
        ("reload-load", seen(RELOADED, new_code_s=None), BAD, "the old code goes on"),
        ("reload-load", seen(RELOADED, main_exit_code=0), BAD, "everything stops, exit 0"),
        (
            "reload-broken",
            {"main_exit_code": None, "serves": True, "old_workers": 2},
            GOOD,
            "the old code goes on",
        ),
        (
            "reload-broken",
            {"main_exit_code": None, "serves": True, "old_workers": 0},
            FAIR,
            "goes on, but not with the old workers",
        ),
        (
            "reload-broken",
            {"main_exit_code": None, "serves": False, "old_workers": 0},
            BAD,
            "lives, but nothing is done any more",
        ),
        (
            "reload-broken",
            {"main_exit_code": 1, "serves": False, "old_workers": 0},
            BAD,
            "everything stops, exit 1",
        ),
        ("reload-twenty", GREW, GOOD, "no growth, 20 in 7 s"),
        ("reload-twenty", seen(GREW, after=SIZE | {"threads": 2}), GOOD, "no growth, 20 in 7 s"),
        (
            "reload-twenty",
            seen(GREW, after=SIZE | {"fds": 34, "threads": 21}),
            BAD,
            "+20 fds, +20 threads, 20 in 7 s",
        ),
        ("reload-twenty", seen(GREW, done=18, took_s=151.0), GOOD, "no growth, 18 in 151 s"),
        (
            "reload-twenty",
            seen(GREW, done=3, main_exit_code=1),
            BAD,
            "3 of 20 were carried out, exit 1",
        ),
        ("start-import", REFUSED, GOOD, "exit 4 after 1.3 s, 1 traceback"),
        ("start-import", seen(REFUSED, exit_code=0), BAD, "exit 0 after 1.3 s, 1 traceback"),
        ("start-import", seen(REFUSED, left=1), BAD, "exit 4 after 1.3 s, 1 traceback, 1 orphan left"),
        (
            "start-import",
            seen(REFUSED, exit_code=None, attempts=40),
            BAD,
            "tries for ever: 40 imports in 10 s",
        ),
        (
            "start-import",
            seen(REFUSED, exit_code=None, attempts=0),
            FAIR,
            "starts; the application is imported for each job, and each job fails",
        ),
        ("start-crash", CRASHED, GOOD, "exit 5 after 15.0 s, 11 starts"),
        ("start-crash", seen(CRASHED, exit_code=0), BAD, "exit 0 after 15.0 s"),
        (
            "start-crash",
            seen(FOREVER, starts=90, starts_in_last_10_s=30),
            BAD,
            "90 starts in 30 s (8 s of processor time), and so on",
        ),
        (
            "start-crash",
            seen(FOREVER, starts=41, starts_in_last_10_s=2),
            FAIR,
            "41 starts in 30 s (8 s of processor time), and so on, more slowly",
        ),
        ("start-twice", TWICE, GOOD, "the second: exit 7 after 0.3 s"),
        ("start-twice", seen(TWICE, second_exit_code=0), BAD, "the second: exit 0 after 0.3 s"),
        ("start-twice", seen(TWICE, second_exit_code=None, second_works=True), BAD, "both run"),
        ("start-twice", seen(TWICE, second_exit_code=None), BAD, "the second waits"),
        ("start-twice", seen(TWICE, first_serves=False), BAD, "the first one is disturbed"),
        ("around-broker", BACK, GOOD, "goes on 2.3 s after it is back, the job ran once"),
        ("around-broker", seen(BACK, starts=2), FAIR, "goes on 2.3 s after it is back; the job ran 2 times"),
        (
            "around-broker",
            seen(BACK, done=False),
            BAD,
            "goes on 2.3 s after it is back; the job was cut off, not run again in 10 s",
        ),
        ("around-broker", seen(BACK, serves_s=None), BAD, "nothing is done any more"),
        ("around-broker", {"main_exit_code": 1}, BAD, "everything stops, exit 1"),
        ("around-full", seen(STOPPED, serves=True), GOOD, "exit 0 after 2.1 s"),
        ("around-full", seen(STOPPED, serves=True, exit_code=120), FAIR, "exit 120 after 2.1 s"),
        ("around-reader", {"serves": False, "exit_code": 1}, BAD, "does not work, exit 1"),
        ("around-reader", {"serves": False, "exit_code": None}, BAD, "does not work"),
        ("around-init", AS_INIT, GOOD, "0 zombies; stops after 0.1 s"),
        ("around-init", seen(AS_INIT, zombies=3), BAD, "3 zombies; stops after 0.1 s"),
        ("around-init", seen(AS_INIT, stop_s=None), BAD, "0 zombies; SIGTERM does not end it in 15 s"),
        ("around-init", seen(AS_INIT, workers_restarted=1), BAD, "an orphan's end is taken for a worker's"),
    ],
)
def test_verdict(fault: str, observation: dict[str, Any], grade: Grade, words: str) -> None:
    verdict = judge(fault, observation)
    assert (verdict.grade, verdict.words) == (grade, words)
    assert str(verdict) == f"{grade.value} {words}"


PROGRAMS = STOPPED | {"program_left": False, "daemon_left": False}
HOST = {"redelivery_s": 20, "watched_s": 240, "again_s": 24.0, "by_itself": True, "done": True, "starts": 2}
RELEASE = {
    "main_exit_code": None,
    "new_code_s": 0.31,
    "by_signal": True,
    "replaced": True,
    "exit_code_then": None,
    "serves_then": True,
}
FILES = {
    "jobs": 5,
    "done": 5,
    "lines": 150,
    "expected": 150,
    "strange": 0,
    "workers_died": 0,
    "main_exit_code": None,
}
CLEANED = TWICE | {"files": 3, "back": 3, "back_s": 0.5, "stop": STOPPED}
NOT_MADE_ANEW = CLEANED | {"back": 1, "back_s": None}
LIVES_ON = {"exit_code": None, "serves": True, "then_stop_s": 0.4, "left": 0}


@pytest.mark.parametrize(
    ("fault", "observation", "grade", "words"),
    [
        ("stop-programs", PROGRAMS, GOOD, "exit 0 after 2.1 s, both ended"),
        (
            "stop-programs",
            seen(PROGRAMS, left=1, daemon_left=True),
            FAIR,
            "exit 0 after 2.1 s; the one in a session of its own lives on",
        ),
        (
            "stop-programs",
            seen(PROGRAMS, left=1, program_left=True),
            BAD,
            "exit 0 after 2.1 s; the first lives on",
        ),
        (
            "stop-programs",
            seen(PROGRAMS, left=2, program_left=True, daemon_left=True),
            BAD,
            "exit 0 after 2.1 s; both live on",
        ),
        ("stop-programs", seen(PROGRAMS, left=1), BAD, "exit 0 after 2.1 s; 1 orphan left"),
        ("stop-programs", seen(PROGRAMS, stop_s=None), BAD, "still there after 30 s"),
        ("kill-host", HOST, GOOD, "run again 24.0 s after the death"),
        ("kill-host", seen(HOST, again_s=104.0), FAIR, "run again 104.0 s after the death"),
        ("kill-host", seen(HOST, done=False), BAD, "run again 24.0 s after the death, not done"),
        ("kill-host", seen(HOST, starts=3), BAD, "run again 24.0 s after the death, 2 times"),
        (
            "kill-host",
            seen(HOST, by_itself=False, again_s=243.0),
            FAIR,
            "not run again within 240 s, but with the next job",
        ),
        (
            "kill-host",
            seen(HOST, by_itself=False, again_s=None),
            BAD,
            "not run again within 240 s, nor with the next job",
        ),
        ("reload-link", RELEASE, GOOD, "new release after 0.3 s, also in later workers"),
        (
            "reload-link",
            seen(RELEASE, by_signal=False),
            GOOD,
            "new release after 0.3 s without a reload: each job imports it, also in later workers",
        ),
        ("reload-link", seen(RELEASE, new_code_s=None), BAD, "the old release goes on"),
        (
            "reload-link",
            seen(RELEASE, new_code_s=None, replaced=False),
            BAD,
            "the old release goes on; once it is removed, a worker that dies is not replaced",
        ),
        (
            "reload-link",
            seen(RELEASE, new_code_s=None, serves_then=False),
            BAD,
            "the old release goes on; once it is removed, nothing is done any more",
        ),
        (
            "reload-link",
            seen(RELEASE, exit_code_then=1),
            BAD,
            (
                "new release after 0.3 s; "
                "once the old one is removed, the first death of a worker stops everything, exit 1"
            ),
        ),
        ("reload-link", {"main_exit_code": 1}, BAD, "everything stops, exit 1"),
        ("around-files", FILES, GOOD, "all 150 lines written"),
        ("around-files", seen(FILES, lines=120), BAD, "30 of 150 lines lost"),
        ("around-files", seen(FILES, strange=2), BAD, "2 of 150 lines garbled"),
        ("around-files", seen(FILES, workers_died=2, done=1), BAD, "2 workers died, 1 of 5 jobs done"),
        ("around-files", seen(FILES, done=3), BAD, "3 of 5 jobs done"),
        ("around-files", {"main_exit_code": 5}, BAD, "everything stops, exit 5"),
        ("around-cleaner", CLEANED, GOOD, "made anew after 0.5 s; a second one is refused, exit 7"),
        ("around-cleaner", NOT_MADE_ANEW, FAIR, "1 of 3 made anew; a second one is refused, exit 7"),
        (
            "around-cleaner",
            seen(NOT_MADE_ANEW, second_works=True, second_exit_code=None),
            BAD,
            "1 of 3 made anew; a second one runs beside it",
        ),
        (
            "around-cleaner",
            seen(CLEANED, second_exit_code=None),
            BAD,
            "made anew after 0.5 s; a second one waits",
        ),
        ("around-cleaner", seen(CLEANED, first_serves=False), BAD, "the first one is disturbed"),
        ("around-cleaner", seen(CLEANED, stop=STUCK), BAD, "SIGTERM does not end it any more"),
        ("around-terminal", seen(STOPPED, DONE), GOOD, "job done; exit 0 after 2.1 s"),
        (
            "around-terminal",
            seen(STOPPED, CUT_OFF, exit_code=-1, done_after_restart_s=None),
            BAD,
            "job cut off, not run again within 10 s of a restart; died of SIGHUP after 2.1 s",
        ),
        ("around-terminal", seen(STOPPED, DONE, left=1), BAD, "exit 0 after 2.1 s, 1 orphan left"),
        ("around-terminal", LIVES_ON, FAIR, "goes on without it"),
        ("around-terminal", seen(LIVES_ON, serves=False), BAD, "lives, but nothing is done any more"),
        ("around-nohup", seen(LIVES_ON, workers_stayed=True), GOOD, "goes on"),
        (
            "around-nohup",
            seen(LIVES_ON, workers_stayed=False),
            FAIR,
            "goes on; takes it for a reload, all workers are replaced",
        ),
        (
            "around-nohup",
            seen(LIVES_ON, workers_stayed=True, then_stop_s=None),
            BAD,
            "goes on; then SIGTERM does not end it",
        ),
        (
            "around-nohup",
            seen(LIVES_ON, workers_stayed=True, left=1),
            BAD,
            "goes on; 1 orphan after a stop",
        ),
        ("around-nohup", {"exit_code": -1}, BAD, "ends all the same, died of SIGHUP"),
    ],
)
def test_verdict_of_what_is_around_and_left(
    fault: str, observation: dict[str, Any], grade: Grade, words: str
) -> None:
    verdict = judge(fault, observation)
    assert (verdict.grade, verdict.words) == (grade, words)


def test_every_fault_has_a_judge_and_every_judge_a_fault() -> None:
    assert JUDGES.keys() == FAULTS.keys()


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_peer_does_not_offer_is_not_held_against_it(fault: str) -> None:
    verdict = judge(fault, {"not_applicable": "it has no reload"})
    assert (verdict.grade, verdict.words) == (Grade.NONE, "it has no reload")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_scene_that_could_not_be_set_is_not_a_success(fault: str) -> None:
    verdict = judge(fault, {"could_not_be_caused": "taskiq did not start"})
    assert (verdict.grade, verdict.words) == (Grade.BAD, "the scene could not be set: taskiq did not start")
