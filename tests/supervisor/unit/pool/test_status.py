"""The state of a pool as others see it, and its JSON: programs read that, so its members stay."""

import json
from typing import Any

import pytest

from supervisor.host.usage import Usage
from supervisor.options import Options
from supervisor.pool.events import QueueState, RedisState, Reload, Role, Stop
from supervisor.pool.status import PoolStatus, read_status
from supervisor.pool.status_from_state import take_status
from tests.supervisor.unit.pool.play import Play, booted

MEMBERS = {
    "": "v pool host queue queue_state health_key supervisor workers leaving helpers past",
    "queue_state": "depth oldest_due_s",
    "supervisor": "reachable pid state generation uptime_s procs ready restarts_total restarts_window exits reloads_ok"
    " last_reload quiet redis_error lost rss_mb cpu_s",
    "past": "complete failed retried ongoing queued",
}
PROCESS = (
    "slot pid worker_id state blocked_s fresh age_s generation uptime_s rss_mb cpu_s lag_ms lag_max_ms jobs queued"
    " running"
)
SLOT = f"{PROCESS} last_exit last_exit_age_s restarts"
VACANT = "slot last_exit last_exit_age_s restarts pid state fresh retry_in_s"


def status_of(play: Play) -> PoolStatus:
    return take_status(play.machine.pool, play.now, 1, "host", {1: Usage(10.0, 1.5)})


def plays() -> list[Play]:
    """Pools in different states."""
    starting = Play(Options("app.S", procs=2))
    working = booted(3).pass_time(3)
    hurt = booted(2).feed(QueueState(7, 1.23456), RedisState("refused"))
    hurt.beat(hurt.of_slot(0), complete=5, failed=1, ongoing=2, queued=9)
    hurt.ends(hurt.of_slot(1), signal="SIGKILL")
    reloading = booted(2).feed(Reload("test")).pass_time(1)
    reloading.ready(*reloading.alive).pass_time(1)
    stopping = booted(2).feed(Stop("test"))
    watched = booted(1, web="127.0.0.1:0")
    watched.machine.pool.web_address = "127.0.0.1:8800"
    gone = booted(1, web="127.0.0.1:0")
    gone.machine.pool.web_address = "127.0.0.1:8800"
    gone.ends(next(key for key, fork in gone.alive.items() if fork.role is Role.WEB), signal="SIGKILL")
    return [starting, working, hurt, reloading, stopping, watched, gone]


@pytest.mark.parametrize("play", plays())
def test_what_was_written_is_read(play: Play) -> None:
    status = status_of(play)
    assert read_status(json.loads(json.dumps(status.as_json()))) == status


@pytest.mark.parametrize("play", plays())
def test_members_are_those_that_programs_know(play: Play) -> None:
    body: dict[str, Any] = json.loads(json.dumps(status_of(play).as_json()))
    for part, names in MEMBERS.items():
        assert set(body[part] if part else body) == set(names.split())
    for worker in body["workers"]:
        assert set(worker) == set((VACANT if worker["pid"] is None else SLOT).split())
        assert worker["pid"] is None or set(worker["jobs"]) == {"complete", "failed", "retried", "ongoing"}
    assert all(set(worker) == set(PROCESS.split()) for worker in body["leaving"])
    for helper in body["helpers"]:
        usage = set() if helper["pid"] is None else {"uptime_s", "rss_mb", "cpu_s"}
        place = {"address"} if helper["role"] == "web" else set()
        assert set(helper) == {"role", "pid", "state"} | usage | place


def test_leaving_workers_were_among_them() -> None:
    assert any(status_of(play).leaving for play in plays())
    assert any(slot.worker is None for play in plays() for slot in status_of(play).workers)


def test_a_supervisor_of_another_version_is_understood() -> None:
    """An earlier one says less, a later one more."""
    body: dict[str, Any] = {
        "pool": "shop",
        "new": 1,
        "supervisor": {"state": "running", "new": 1, "last_reload": {"ok": True, "age_s": 1.0, "new": 1}},
        "workers": [{"slot": 0, "pid": 7, "state": "ready", "jobs": {"complete": 3, "new": 1}, "new": 1}],
    }
    status = read_status(body)
    (slot,) = status.workers
    assert slot.worker is not None
    assert (status.supervisor.state, slot.state, slot.worker.jobs.complete) == ("running", "ready", 3)
    assert slot.worker.blocked_s is None
