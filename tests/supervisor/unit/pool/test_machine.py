"""Histories of a pool: what happens, and what the machine orders in answer."""

import pytest

from supervisor.exit_codes import ExitCode
from supervisor.options import Options
from supervisor.pool.events import (
    Beat,
    Dumped,
    Exited,
    Fatal,
    Fork,
    ForkFailed,
    Released,
    Reload,
    ReloadDone,
    Role,
    RssSample,
    Scale,
    Stop,
    Tick,
    Trace,
)
from supervisor.pool.job_counts import JobCounts
from supervisor.pool.lifecycle import TABLE
from supervisor.pool.machine import Machine
from supervisor.pool.state import Phase
from tests.supervisor.unit.pool.play import REPORT, Play, booted, id_of

CHILD_EVENTS = {"Ready", "Beat", "Held", "Fatal", "Bye", "Dumped", "Exited", "RssSample", "Loaded", "Tick"}


def test_the_table_has_a_cell_for_everything() -> None:
    for phase in Phase:
        assert {event.__name__ for event in TABLE[phase]} == CHILD_EVENTS


# --- boot -------------------------------------------------------------------------------------------------------


def test_r37_one_worker_boots_alone_and_the_others_follow() -> None:
    play = Play(Options("app.Settings", procs=4))
    assert [play.alive[key].slot for key in play.workers()] == [0]
    play.ready(play.of_slot(0)).pass_time(1)
    assert sorted(play.alive[key].slot for key in play.workers()) == [0, 1, 2, 3]
    assert [fork.role for fork in play.alive.values()].count(Role.STEWARD) == 1


def test_r68_the_pool_is_ready_when_enough_workers_are() -> None:
    play = Play(Options("app.Settings", procs=3, min_ready=2))
    play.ready(play.of_slot(0)).pass_time(1)
    assert "READY=1" not in play.notified()
    play.ready(play.of_slot(1))
    assert play.notified().count("READY=1") == 1
    assert play.said("pool.ready")[0]["ready"] == "2/3"


def test_f21_an_import_error_ends_the_pool_with_one_traceback() -> None:
    play = Play(Options("app.Settings", procs=8))
    play.fails(play.of_slot(0), "import", 4)
    assert play.code is ExitCode.SETTINGS
    traces = [order.text for order in play.orders if isinstance(order, Trace)]
    assert traces[0] == "Traceback ..."
    assert traces[1:] == [
        "arq-supervise: cannot import 'app.Settings' (ImportError: x); not restarting (exit 4)"
    ]
    assert sum(isinstance(order, Fork) for order in play.orders) == 1


def test_f23_a_failing_start_hook_gets_one_more_try() -> None:
    play = Play(Options("app.Settings", procs=2))
    play.fails(play.of_slot(0), "boot", 3)
    assert not play.machine.done
    play.pass_time(1)
    play.fails(play.of_slot(0), "boot", 3)
    assert play.code is ExitCode.BOOT
    traces = [order.text for order in play.orders if isinstance(order, Trace)]
    assert traces == [
        "Traceback ...",
        "arq-supervise: workers cannot start (ImportError: x); giving up (exit 3)",
    ]


def test_f24_a_worker_that_never_gets_ready_is_a_boot_failure() -> None:
    play = Play(Options("app.Settings", procs=1, boot_timeout_s=5, boot_retries=0))
    key = play.of_slot(0)
    play.pass_time(5.1)
    assert play.signals_to(key) == ["USR1"]
    play.pass_time(7)
    assert play.signals_to(key) == ["USR1", "ABRT", "KILL"]
    play.ends(key, signal="SIGKILL")
    assert play.code is ExitCode.BOOT


def test_r30_without_redis_it_waits_and_never_gives_up() -> None:
    play = Play(Options("app.Settings", procs=1, backoff_max_s=4))
    for _ in range(50):
        play.fails(play.of_slot(0), "temp", 75, "ConnectionError: refused").pass_time(5)
    assert not play.machine.done
    assert any(state.startswith("EXTEND_TIMEOUT_USEC=") for state in play.notified())
    assert not any(isinstance(order, Trace) for order in play.orders)


def test_exit_on_tempfail() -> None:
    play = Play(Options("app.Settings", procs=1, exit_on_tempfail_s=20))
    while not play.machine.done and play.now < 200:
        if play.workers():
            play.fails(play.of_slot(0), "temp", 75)
        play.pass_time(1)
    assert play.code is ExitCode.UNAVAILABLE


def test_r34_a_refused_fork_is_tried_again() -> None:
    machine = Machine(Options("app.Settings", procs=1), lambda: 0.5)
    (fork,) = [order for order in machine.start(0.0) if isinstance(order, Fork)]
    machine.handle(ForkFailed(fork.key, "EAGAIN"), 0.0)
    due = machine.deadline()
    assert due is not None
    assert 0.3 < due < 0.7
    assert any(isinstance(order, Fork) for order in machine.handle(Tick(), due))


# --- crash and restart --------------------------------------------------------------------------------------------


def test_f01_a_killed_worker_is_replaced_and_its_jobs_are_released() -> None:
    play = booted(2)
    key = play.of_slot(1)
    play.feed(Beat(key, JobCounts(ongoing=1), (("j1", "work"),)))
    play.ends(key, signal="SIGKILL")
    assert list(play.machine.pool.lost) == [id_of(1, key)]
    assert play.said("child.exit")[-1]["jobs"] == ["j1:work"]
    assert play.said("child.oom_suspected")
    play.pass_time(0.5)
    assert play.alive[play.of_slot(1)].previous_worker_id == id_of(1, key)
    play.feed(Released(id_of(1, key), ("j1",)))
    assert play.machine.pool.lost == {}
    assert play.said("jobs.released")[-1] == {
        "slot": 1, "worker": id_of(1, key), "n": 1, "ids": ["j1"], "cause": "SIGKILL",
        "blamed": None,
    }  # fmt: skip


def test_a_worker_that_has_proved_itself_is_replaced_at_once() -> None:
    play = booted(1)
    play.beat(play.of_slot(0), complete=1).pass_time(40, beating=False)
    play.beat(play.of_slot(0), complete=1)
    play.ends(play.of_slot(0), signal="SIGSEGV")
    assert play.workers()


def test_r31_one_bad_slot_of_four_never_ends_the_pool() -> None:
    play = booted(4)
    for _ in range(60):
        bad = [key for key in play.workers() if play.alive[key].slot == 2]
        if bad:
            play.ready(*bad).ends(bad[0], signal="SIGSEGV")
        play.pass_time(5)
    assert not play.machine.done
    assert play.machine.pool.slots[2].backoff.failures > 5


def test_r32_one_worker_that_crashes_every_five_seconds_ends_it() -> None:
    play = booted(1)
    crashes = 0
    while not play.machine.done and crashes < 20:
        if play.workers():
            play.ready(play.of_slot(0)).pass_time(5).ends(play.of_slot(0), signal="SIGABRT")
            crashes += 1
        else:
            play.pass_time(0.5)
        _finish(play)
    assert play.code is ExitCode.INTENSITY
    assert crashes == 6


def test_f27_all_workers_crash() -> None:
    play = booted(4)
    started = play.now
    while not play.machine.done and play.now < started + 60:
        for key in play.workers():
            play.ready(key).ends(key, code=1)
        _finish(play)
        play.pass_time(0.5)
    assert play.code is ExitCode.INTENSITY
    assert play.now - started < 30


def _finish(play: Play) -> None:
    """Helpers end when they are told to."""
    for key, fork in list(play.alive.items()):
        if fork.role is not Role.WORKER and "TERM" in play.signals_to(key):
            play.ends(key, 0, bye="stop")


def test_max_restarts_0_ends_with_the_first_crash() -> None:
    play = booted(2, max_restarts=0)
    play.ends(play.of_slot(0), signal="SIGSEGV").ends(play.of_slot(1), 0, bye="stop")
    _finish(play)
    assert play.code is ExitCode.INTENSITY


def test_f42_an_end_without_a_goodbye_is_a_crash() -> None:
    play = booted(1)
    play.ends(play.of_slot(0), 0)
    assert play.said("child.exit")[-1]["outcome"] == "crash"


def test_a_worker_that_was_told_to_end_by_somebody_else_is_replaced_and_not_counted() -> None:
    play = booted(1, max_restarts=0)
    play.ends(play.of_slot(0), 0, bye="stop").pass_time(1)
    assert play.workers()


def test_burst_ends_when_everybody_is_done() -> None:
    play = booted(2, burst=True)
    play.ends(play.of_slot(0), 0, bye="burst").ends(play.of_slot(1), 0, bye="burst")
    _finish(play)
    assert play.code is ExitCode.OK


def test_burst_with_nothing_to_do_is_over_before_the_others_start() -> None:
    play = Play(Options("app.Settings", procs=3, burst=True))
    while not play.machine.done:
        for key in play.workers():
            play.ends(key, 0, bye="burst")
        _finish(play)
        play.pass_time(0.1)
    assert play.code is ExitCode.OK


# --- silence --------------------------------------------------------------------------------------------------------


def test_f07_a_silent_worker_is_asked_for_its_stacks_then_killed_then_released() -> None:
    play = booted(1, hang_timeout_s=6)
    key = play.of_slot(0)
    play.beat(key).pass_time(3.1, beating=False)
    assert play.signals_to(key) == ["USR1"]
    play.feed(Dumped(key, (("j9", "slow"),)))
    assert play.said("child.dump")[0]["jobs"] == ["j9:slow"]
    play.pass_time(3, beating=False)
    assert play.said("child.hung")
    assert play.machine.pool.lost == {}
    play.pass_time(7, beating=False)
    assert play.signals_to(key)[-2:] == ["ABRT", "KILL"]
    play.ends(key, signal="SIGKILL")
    assert len(play.machine.pool.lost) == 1
    assert play.said("child.exit")[-1]["outcome"] == "hung"


def test_the_limit_follows_from_the_longest_job() -> None:
    play = booted(1)
    key = play.of_slot(0)
    play.beat(key).pass_time(REPORT.longest_job_s + 9, beating=False)
    assert play.signals_to(key) == ["USR1"]
    play.pass_time(2, beating=False)
    assert play.said("child.hung")


def test_hang_timeout_0_dumps_but_never_kills() -> None:
    play = booted(1, hang_timeout_s=0)
    key = play.of_slot(0)
    play.beat(key).pass_time(50, beating=False)
    assert play.signals_to(key) == ["USR1"]


def test_a_silent_steward_is_replaced_before_leases_run_out() -> None:
    play = booted(1)
    (steward,) = [key for key, fork in play.alive.items() if fork.role is Role.STEWARD]
    play.beat(steward).pass_time(12.1, beating=False)
    assert play.said("child.hung")[0]["role"] == "steward"
    play.pass_time(7, beating=False).ends(steward, signal="SIGKILL").pass_time(1)
    assert [fork.role for fork in play.alive.values()].count(Role.STEWARD) == 1
    for _ in range(10):
        (steward,) = [key for key, fork in play.alive.items() if fork.role is Role.STEWARD]
        play.ends(steward, signal="SIGKILL").pass_time(6)
    assert not play.machine.done


def test_helpers_that_do_not_beat_are_never_silent() -> None:
    play = booted(1, watch=("src",), embedded_redis=True)
    helpers = [key for key, fork in play.alive.items() if fork.role in (Role.REDIS, Role.WATCHER)]
    assert len(helpers) == 2
    play.pass_time(1000)
    assert not play.said("child.stall")
    assert all(play.signals_to(key) == [] for key in helpers)


# --- stop -------------------------------------------------------------------------------------------------------------


def test_a_stop_reaches_everybody_and_the_steward_last() -> None:
    play = booted(2)
    (steward,) = [key for key, fork in play.alive.items() if fork.role is Role.STEWARD]
    play.feed(Stop("SIGTERM"))
    assert all(play.signals_to(key) == ["TERM"] for key in play.workers())
    play.ends(play.of_slot(0), 0, bye="stop")
    assert play.signals_to(steward) == []
    play.ends(play.of_slot(1), 0, bye="stop")
    assert play.signals_to(steward) == ["TERM"]
    play.ends(steward, 0, bye="stop")
    assert play.code is ExitCode.OK


def test_r45_f14_a_worker_that_does_not_end_is_made_to() -> None:
    play = booted(1)
    key = play.of_slot(0)
    play.feed(Stop("SIGTERM")).pass_time(12.9)
    assert play.signals_to(key) == ["TERM"]
    play.pass_time(0.2)
    assert play.signals_to(key) == ["TERM", "QUIT"]
    play.pass_time(5)
    assert play.signals_to(key)[-1] == "ABRT"
    play.pass_time(5)
    assert play.killed[-1] == (key, "KILL", True)
    play.ends(key, signal="SIGKILL")
    _finish(play)
    assert play.code is ExitCode.INTERRUPTED


def test_r09_f34_a_storm_of_stops_is_one_stop() -> None:
    play = booted(1)
    for _ in range(100):
        play.now += 0.0005
        play.feed(Stop("SIGTERM"))
    assert play.signals_to(play.of_slot(0)) == ["TERM"]


def test_f35_later_stops_are_harder() -> None:
    play = booted(1)
    key = play.of_slot(0)
    play.feed(Stop("SIGTERM")).pass_time(1).feed(Stop("SIGTERM")).pass_time(1).feed(Stop("SIGTERM"))
    assert play.signals_to(key) == ["TERM", "QUIT", "KILL"]
    play.ends(key, signal="SIGKILL")
    _finish(play)
    assert play.code is ExitCode.INTERRUPTED


def test_quit_starts_at_the_second_stage() -> None:
    play = booted(1)
    play.feed(Stop("SIGQUIT", hard=True))
    assert play.signals_to(play.of_slot(0)) == ["TERM", "QUIT"]


def test_r49_a_worker_killed_while_it_drains_counts() -> None:
    play = booted(1)
    play.feed(Stop("SIGTERM")).ends(play.of_slot(0), signal="SIGKILL")
    _finish(play)
    assert play.code is ExitCode.INTERRUPTED


def test_r11_nothing_is_started_or_changed_while_stopping() -> None:
    play = booted(2)
    play.feed(Stop("SIGTERM"))
    forks = sum(isinstance(order, Fork) for order in play.orders)
    play.feed(Reload("SIGHUP"), Scale(by=3)).ends(play.of_slot(0), signal="SIGSEGV").pass_time(2)
    assert sum(isinstance(order, Fork) for order in play.orders) == forks
    assert [fields["request"] for fields in play.said("ignored")] == ["reload", "scale"]


def test_r48_more_time_is_asked_for_while_draining() -> None:
    play = booted(1)
    play.feed(Stop("SIGTERM")).pass_time(11)
    assert sum(state.startswith("EXTEND") for state in play.notified()) == 3


def test_a_fatal_stop_keeps_its_code() -> None:
    play = booted(2, max_restarts=0)
    play.ends(play.of_slot(0), signal="SIGSEGV").feed(Stop("SIGTERM"))
    play.ends(play.of_slot(1), signal="SIGKILL")
    _finish(play)
    assert play.code is ExitCode.INTENSITY


# --- reload, recycle, scale -----------------------------------------------------------------------------------------


def _replace_all(play: Play, procs: int) -> None:
    for _ in range(procs * 3):
        for key in play.workers():
            if key not in play.ready_keys():
                play.ready(key)
            elif "TERM" in play.signals_to(key):
                play.ends(key, 0, bye="stop")
            live = sum(child.phase is Phase.READY for child in play.machine.pool.workers())
            assert live >= procs
            assert len(play.workers()) <= procs + 1


def test_f39_reload_replaces_one_after_the_other() -> None:
    play = booted(3)
    old = set(play.workers())
    play.feed(Reload("SIGHUP"))
    _replace_all(play, 3)
    assert old.isdisjoint(play.workers())
    assert play.said("reload.done")
    assert {play.alive[key].generation for key in play.workers()} == {2}
    assert play.orders.count(ReloadDone(ok=True)) == 1


def test_a_reload_of_a_pool_that_has_crashed_starts_the_new_code_at_once() -> None:
    """Somebody has mended the code: why should it wait for the pause of the old one?"""
    play = booted(2, backoff_base_s=20, backoff_max_s=20)
    for key in play.workers():
        play.ends(key, signal="SIGSEGV")
    play.feed(Reload("SIGHUP"))
    assert [play.alive[key].generation for key in play.workers()] == [2, 2]
    assert not play.said("reload.done")
    play.ready(play.of_slot(0))
    assert play.said("reload.canary_ok")
    play.ready(play.of_slot(1))
    play.pass_time(0.1)
    assert play.said("reload.done")
    assert len(play.workers()) == 2
    assert play.machine.pool.generation == 2


def test_a_reload_of_a_pool_that_has_crashed_fails_with_its_code() -> None:
    play = booted(2, backoff_base_s=20, backoff_max_s=20)
    for key in play.workers():
        play.ends(key, signal="SIGSEGV")
    play.feed(Reload("SIGHUP"))
    play.fails(play.of_slot(1), "import", 4)
    assert play.said("reload.failed")[0]["error"] == "ImportError: x"
    assert not play.machine.done
    (answer,) = [order for order in play.orders if isinstance(order, ReloadDone)]
    assert not answer.ok
    assert [order.text for order in play.orders if isinstance(order, Trace)] == ["Traceback ..."]


def test_a_reload_does_not_wait_for_a_slot_that_is_empty() -> None:
    play = booted(3, backoff_base_s=20, backoff_max_s=20)
    play.ends(play.of_slot(0), signal="SIGSEGV")
    play.feed(Reload("SIGHUP"))
    assert play.alive[play.of_slot(0)].generation == 2  # that one by itself
    successors = [
        key for key in play.workers() if play.alive[key].generation == 2 and play.alive[key].slot == 1
    ]
    assert len(successors) == 1  # and the canary beside one that works


def test_f38_a_canary_that_fails_leaves_everything_as_it_was() -> None:
    play = booted(3)
    old = set(play.workers())
    play.feed(Reload("SIGHUP"))
    (canary,) = set(play.workers()) - old
    play.feed(Fatal(canary, "import", "SyntaxError: x", "Traceback")).ends(canary, 4)
    assert set(play.workers()) == old
    assert not play.killed
    assert play.said("reload.failed")[0]["error"] == "SyntaxError: x"
    play.pass_time(5)
    assert set(play.workers()) == old
    assert not play.machine.done


def test_a_slot_that_can_not_start_does_not_hold_up_a_reload() -> None:
    play = booted(3, backoff_base_s=20.0)
    play.ends(play.of_slot(1), signal="SIGSEGV").feed(Reload("SIGHUP"))
    for _ in range(6):
        for key in play.workers():
            if key not in play.ready_keys():
                play.ready(key)
            elif "TERM" in play.signals_to(key):
                play.ends(key, 0, bye="stop")
    assert play.said("reload.done")
    play.pass_time(30)
    assert {play.alive[key].generation for key in play.workers()} == {2}


def test_what_a_failed_reload_has_begun_with_is_waited_for_by_the_next() -> None:
    """The new code fails in a slot of its own while its canary still boots, and another reload is wanted already."""
    play = booted(2, reload_surge=2)
    play.feed(Reload("SIGHUP"), Scale(by=1), Reload("SIGHUP"))
    first, canary = (key for key in play.workers() if play.alive[key].generation == 2)
    assert (play.alive[first].slot, play.alive[canary].slot) == (0, 2)
    play.ends(canary, 1)
    assert play.said("reload.failed")
    play.pass_time(1).ready(play.of_slot(2))
    assert play.said("reload.canary_ok")
    pool = play.machine.pool
    assert all(pool.slot_of(child) for child in pool.workers())  # nobody has been forgotten
    assert pool.slots[0].successor is pool.children[first]


def test_r54_reloads_that_come_together_are_two_at_most() -> None:
    play = booted(2)
    for _ in range(20):
        play.feed(Reload("SIGHUP"))
    _replace_all(play, 2)
    _replace_all(play, 2)
    assert len(play.said("reload.done")) == 2


def test_r53_a_replaced_worker_that_drains_holds_up_the_next_replacement() -> None:
    play = booted(2)
    play.feed(Reload("SIGHUP"))
    (canary,) = [key for key in play.workers() if play.alive[key].generation == 2]
    play.ready(canary).pass_time(5)
    assert len(play.workers()) == 3


def test_recycling_is_no_crash_and_one_at_a_time() -> None:
    play = booted(2, max_jobs_per_child=10, recycle_jitter=0)
    old = list(play.workers())
    for key in old:
        play.beat(key, complete=10)
    assert len(play.workers()) == 3
    _replace_all(play, 2)
    assert set(old).isdisjoint(play.workers())
    assert play.machine.pool.limit.within(play.now) == 0


def test_f29_only_three_large_samples_in_a_row_matter() -> None:
    play = booted(1, max_rss_mb=100)
    key = play.of_slot(0)
    play.feed(
        RssSample(key, 150), RssSample(key, 150), RssSample(key, 50), RssSample(key, 150), RssSample(key, 150)
    )
    assert len(play.workers()) == 1
    play.feed(RssSample(key, 150))
    assert len(play.workers()) == 2


def test_f44_scale() -> None:
    play = booted(4)
    play.feed(Scale(by=1), Scale(by=1), Scale(by=1)).all_up()
    assert len(play.workers()) == 7
    for _ in range(10):
        play.feed(Scale(by=-1))
    ending = [key for key in play.workers() if "TERM" in play.signals_to(key)]
    assert sorted(play.alive[key].slot for key in ending) == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("status", [Exited(0, 0, None), Exited(0, None, "SIGSEGV")])
def test_news_of_a_child_that_is_not_there_is_no_news(status: Exited) -> None:
    play = booted(1)
    before = list(play.orders)
    play.feed(status)
    assert play.orders == before
