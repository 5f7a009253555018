"""A job that kills its process is not the pool's fault, until nothing else happens any more."""

import pytest

from supervisor.exit_codes import ExitCode
from supervisor.pool.events import Beat, Released, ReleaseFailed
from supervisor.pool.job_counts import JobCounts
from supervisor.pool.job_kills import MOST_TRIALS, PATIENCE_S
from tests.supervisor.unit.pool.play import Play, booted


def dies(play: Play, *, blamed: str = "", is_trial: bool = False, is_told: bool = True) -> None:
    """The worker is killed, its job is released, and another one takes its place."""
    key = play.of_slot(0)
    worker_id = play.machine.pool.children[key].worker_id
    play.ends(key, signal="SIGKILL")
    if is_told:
        play.feed(Released(worker_id, ("a",), 1, blamed, is_trial))
    while not is_given_up(play) and not play.workers():
        play.pass_time(0.5)
    if not is_given_up(play):
        play.ready(play.of_slot(0))


def is_given_up(play: Play) -> bool:
    stopping = play.machine.pool.stopping
    assert stopping is None or stopping.code is ExitCode.INTENSITY
    return stopping is not None


@pytest.mark.parametrize("excuse", [{"blamed": "a"}, {"is_trial": True}])
def test_a_job_that_is_to_blame_excuses_the_pool(excuse: dict[str, str | bool]) -> None:
    play = booted(1, max_restarts=2, backoff_max_s=10)
    for _ in range(2 * MOST_TRIALS):
        dies(play, **excuse)  # type: ignore[arg-type]
    assert not is_given_up(play)
    assert not play.said("intensity.exceeded")
    pauses = [record["backoff_s"] for record in play.said("child.spawn") if record["reason"] == "crash"]
    assert max(pauses) <= play.machine.pool.options.backoff_base_s  # it is not made to wait for it either


def test_nobody_to_blame_is_no_excuse() -> None:
    play = booted(1, max_restarts=2)
    for _ in range(3):
        dies(play)
    assert is_given_up(play)


def test_many_in_a_row_without_a_job_that_is_completed_are_the_pools_own() -> None:
    play = booted(1, max_restarts=2)
    for _ in range(2 * MOST_TRIALS + 3):
        assert not is_given_up(play)
        dies(play, blamed="a")
    assert is_given_up(play)


def test_each_job_that_is_completed_begins_the_row_anew() -> None:
    play = booted(1, max_restarts=2)
    for n in range(4 * MOST_TRIALS):
        if n % MOST_TRIALS == 0:
            play.feed(Beat(play.of_slot(0), JobCounts(complete=1)))
        dies(play, blamed="a")
    assert not is_given_up(play)


@pytest.mark.parametrize("tells", ["excuse", "nothing", "failure"])
def test_the_pool_is_given_up_only_when_it_is_known_whose_fault_it_was(tells: str) -> None:
    play = booted(1, max_restarts=2)
    for _ in range(2):
        dies(play)
    worker_id = play.machine.pool.children[play.of_slot(0)].worker_id
    play.ends(play.of_slot(0), signal="SIGKILL")
    assert not is_given_up(play)
    if tells == "excuse":
        play.feed(Released(worker_id, ("a",), 1, "a"))
    elif tells == "failure":
        play.feed(ReleaseFailed(worker_id, "no Redis"))
    play.pass_time(PATIENCE_S - 0.5)
    assert not is_given_up(play)
    play.pass_time(1)
    assert is_given_up(play) == (tells != "excuse")


def test_where_no_worker_may_die_nobody_asks_why() -> None:
    play = booted(1, max_restarts=0)
    play.ends(play.of_slot(0), signal="SIGKILL")
    assert is_given_up(play)
