"""`--reload-order stop-first`: the old worker leaves first, and its code comes back when the new code fails."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from supervisor.control.client import ask
from supervisor.control.protocol import Request
from tests.supervisor.commands import ON, status
from tests.supervisor.harness import ROOT, Pool, Queue, pool_in
from tests.support.eventually import wait_until
from tests.support.servers import RedisServer

pytestmark = pytest.mark.processes

# each slot has room for one model, as a device has; that is seen when a second one is loaded
APPLICATION = """
import asyncio, fcntl, os, sys, time
from pathlib import Path
from arq.connections import RedisSettings

CODE = "one"
SLOT_AT_IMPORT = os.environ["ARQ_WORKER_SLOT"]
# on import

async def code(ctx):
    return CODE

async def place(ctx):
    return CODE, os.environ["ARQ_WORKER_SLOT"], SLOT_AT_IMPORT, ctx["job_id"], os.getpid()

async def until(ctx, name):
    while not Path(name).exists():
        await asyncio.sleep(0.02)
    return CODE

async def startup(ctx):
    ctx["device"] = device = open(f"device-{os.environ['ARQ_WORKER_SLOT']}", "w")
    try:
        fcntl.flock(device, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        Path("two-at-once").touch()
        raise
    # on startup

class Settings:
    functions = [code, place, until]
    redis_settings = RedisSettings(port=int(os.environ["TEST_PORT"]), conn_timeout=30, conn_retries=0)
    on_startup = startup
    job_completion_wait = 30
"""
ORDER = ("--reload-order", "stop-first", *ON, "--boot-timeout", "20")
FAULTS = {
    "raises at import": ("on import", "raise RuntimeError('no good')"),
    "is no Python": ("on import", "def f(:"),
    "exits at import": ("on import", "sys.exit('no good')"),
    "hangs at import": ("on import", "time.sleep(3600)"),
    "raises at the start": ("on startup", "raise RuntimeError('no good')"),
    "exits at the start": ("on startup", "sys.exit('no good')"),
    "hangs at the start": ("on startup", "await asyncio.sleep(3600)"),
    "blocks at the start": ("on startup", "time.sleep(3600)"),
    "dies at the start": ("on startup", "os.kill(os.getpid(), 9)"),
}


@pytest.fixture
def pool(tmp_path: Path, redis_server: RedisServer) -> Iterator[Pool]:
    with pool_in(tmp_path, redis_server.port) as found:
        write(found, "one")
        yield found
        assert not (tmp_path / "two-at-once").exists()


def write(pool: Pool, code: str, place: str = "nowhere", line: str = "") -> None:
    text = APPLICATION.replace('"one"', repr(code)).replace(f"# {place}", line)
    (pool.directory / "app.py").write_text(text)


def reload(pool: Pool) -> bool:
    """Reload, and wait; did it work?"""
    return ask(pool.directory / ON[1], Request("reload", wait=True)).ok


def oom_score(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def codes(pool: Pool, queue: Queue) -> dict[str, str]:
    """Slot -> the code that runs there; every worker is asked."""
    found: dict[str, str] = {}

    def ask_more() -> bool:
        for code, slot, at_import, _, _ in queue.results(queue.put_many("place", 10)):
            assert slot == at_import
            found[slot] = code
        return len(found) == len(pool.workers())

    wait_until(ask_more, what="an answer of each worker")
    return found


@pytest.mark.parametrize("fault", FAULTS)
def test_code_that_does_not_start_brings_the_old_code_back(
    pool: Pool, queue: Queue, redis_client: redis.Redis, fault: str
) -> None:
    limit = ("--boot-timeout", "1.5") if "hangs" in fault or "blocks" in fault else ()
    pool.start("--procs", "1", *ORDER, *limit).ready()
    for n in (1, 2):  # a second time as well
        write(pool, "two", *FAULTS[fault])
        assert not reload(pool)
        assert queue.result(queue.put("code")) == "one"
        about = status(pool)["supervisor"]
        assert (about["last_reload"]["ok"], about["reloads_ok"], about["generation"]) == (False, 0, 1)
        assert len(pool.events("reload.failed")) == n
    write(pool, "three")
    assert reload(pool)
    assert queue.result(queue.put("code")) == "three"
    assert pool.stop() == 0


@pytest.mark.parametrize("method", ["fork", "exec"])
def test_one_after_the_other_and_the_old_one_first(
    pool: Pool, queue: Queue, redis_client: redis.Redis, method: str
) -> None:
    pool.start("--procs", "3", "--start-method", method, *ORDER).ready()
    old = pool.workers()
    write(pool, "two")
    ids = queue.put_many("code", 100)
    assert reload(pool)
    assert codes(pool, queue) == dict.fromkeys("012", "two")
    queue.results(ids)
    log = [json.loads(line) for line in pool.text().splitlines() if line.startswith('{"ts"')]
    steps = [
        (record["event"], record["slot"])
        for record in log
        if (record["event"] == "child.exit" and record["pid"] in old.values())
        or (record["event"] == "child.ready" and record["role"] == "worker" and record["gen"] == 2)
    ]
    assert steps == [(event, slot) for slot in range(3) for event in ("child.exit", "child.ready")]
    assert pool.stop() == 0


def test_settings_that_are_none_change_nothing(pool: Pool, queue: Queue, redis_client: redis.Redis) -> None:
    pool.start("--procs", "1", *ORDER).ready()
    old = pool.workers()
    text = (pool.directory / "app.py").read_text()
    (pool.directory / "app.py").write_text(text.replace("functions = ", "functoins = "))
    assert not reload(pool)
    assert pool.workers() == old
    assert queue.result(queue.put("code")) == "one"
    assert pool.stop() == 0


def test_a_running_job_is_waited_for(pool: Pool, queue: Queue, redis_client: redis.Redis) -> None:
    pool.start("--procs", "1", *ORDER).ready()
    job_id = queue.put("until", "gate")
    pool.wait_started(job_id)
    write(pool, "two")
    pool.signal(signal.SIGHUP)
    pool.wait_event("child.loaded", role="worker", gen=2)
    assert not pool.events("child.exit")
    pool.open_gate()
    pool.wait_event("reload.done")
    assert queue.result(job_id) == "one"
    assert queue.tries(job_id) == 1
    assert queue.result(queue.put("code")) == "two"
    assert pool.stop() == 0


def test_a_slot_in_which_the_new_code_fails_has_the_old_code(
    pool: Pool, queue: Queue, redis_client: redis.Redis
) -> None:
    pool.start("--procs", "2", *ORDER).ready()
    write(pool, "two", "on startup", "assert os.environ['ARQ_WORKER_SLOT'] == '0'")
    assert not reload(pool)
    wait_until(lambda: len(pool.workers()) == 2, what="both workers")
    assert codes(pool, queue) == {"0": "two", "1": "one"}
    write(pool, "three")
    assert reload(pool)
    assert codes(pool, queue) == {"0": "three", "1": "three"}
    assert pool.stop() == 0


def test_a_worker_that_is_killed_during_the_reload_comes_back_with_the_old_code(
    pool: Pool, queue: Queue, redis_client: redis.Redis
) -> None:
    pool.start("--procs", "2", *ORDER).ready()
    write(pool, "two", "on startup", "await until(ctx, 'go'); raise RuntimeError('no good')")
    pool.signal(signal.SIGHUP)
    pool.wait_event("child.exit", slot=0)
    pool.kill(pool.workers()[1])
    pool.wait_event("child.exit", slot=1)
    pool.open_gate("go")
    pool.wait_event("reload.failed")
    wait_until(lambda: len(pool.workers()) == 2, what="both workers")
    assert codes(pool, queue) == {"0": "one", "1": "one"}
    # and whenever it is killed after that
    pool.kill(pool.workers()[0])
    wait_until(lambda: sorted(pool.workers()) == [1], what="one worker")
    wait_until(lambda: sorted(pool.workers()) == [0, 1], what="both workers")
    assert codes(pool, queue) == {"0": "one", "1": "one"}
    assert pool.stop() == 0


@pytest.mark.parametrize(
    "whom", ["the old one that drains", "the new one that waits", "the new one that starts"]
)
def test_a_kill_at_any_step_of_a_good_reload(
    pool: Pool, queue: Queue, redis_client: redis.Redis, whom: str
) -> None:
    pool.start("--procs", "1", *ORDER).ready()
    job_id = queue.put("until", "gate")
    pool.wait_started(job_id)
    old = pool.workers()[0]
    write(pool, "two", "on startup", "Path('starts').touch(); await until(ctx, 'go')")
    pool.signal(signal.SIGHUP)
    new = pool.wait_event("child.loaded", role="worker", gen=2)["pid"]
    if whom == "the new one that starts":
        pool.open_gate()
        wait_until((pool.directory / "starts").exists, what="the new one starts")
    pool.kill(old if whom == "the old one that drains" else new)
    pool.open_gate("go")
    pool.open_gate()
    expected = "two" if whom == "the old one that drains" else "one"
    pool.wait_event("reload.done" if expected == "two" else "reload.failed")
    assert queue.result(queue.put("code")) == expected
    assert queue.result(job_id) in ("one", "two")
    assert pool.stop() == 0


def test_the_spares_may_be_killed(pool: Pool, queue: Queue, redis_client: redis.Redis) -> None:
    script = pool.script_with({"pool.spares.RETRY_S": 0.1})
    pool.start("--procs", "1", *ORDER, script=script).ready()
    spare = pool.events("child.spawn", role="spare")[0]["pid"]
    pool.kill(spare)
    pool.wait_event("child.loaded", role="spare", n=2)
    write(pool, "two", "on startup", "raise RuntimeError('no good')")
    assert not reload(pool)
    assert queue.result(queue.put("code")) == "one"
    pool.kill(
        pool.events("child.spawn", role="spare")[-1]["pid"]
    )  # while the code is in doubt there is no other
    pool.wait_event("child.exit", role="spare", status="SIGKILL", n=2)
    write(pool, "three")
    assert reload(pool)
    assert pool.events("spare.missing")
    assert queue.result(queue.put("code")) == "three"
    assert pool.stop() == 0


def test_a_second_reload_during_the_first(pool: Pool, queue: Queue, redis_client: redis.Redis) -> None:
    pool.start("--procs", "2", *ORDER).ready()
    write(pool, "two", "on startup", "await until(ctx, 'go'); raise RuntimeError('no good')")
    pool.signal(signal.SIGHUP)
    pool.wait_event("child.exit", slot=0)
    write(pool, "three")
    pool.signal(signal.SIGHUP)
    pool.wait_event("reload.requested", n=2)
    pool.open_gate("go")
    pool.wait_event("reload.failed")
    pool.wait_event("reload.done")
    assert codes(pool, queue) == {"0": "three", "1": "three"}
    assert pool.stop() == 0


@pytest.mark.parametrize("when", ["it loads", "it waits", "it starts", "the old code comes back"])
def test_a_stop_at_any_moment_of_the_reload(
    pool: Pool, queue: Queue, redis_client: redis.Redis, when: str
) -> None:
    pool.start("--procs", "2", *ORDER).ready()
    job_id = queue.put("until", "gate")
    pool.wait_started(job_id)
    wait = "Path('here').touch(); time.sleep(60)"
    faults = {
        "it loads": ("on import", wait),
        "it starts": ("on startup", wait),
        "the old code comes back": ("on startup", "raise RuntimeError('no good')"),
    }
    write(pool, "two", *faults.get(when, ()))
    if when != "it waits":
        pool.open_gate()
        assert queue.result(job_id) == "one"
    pool.signal(signal.SIGHUP)
    match when:
        case "it loads" | "it starts":
            wait_until((pool.directory / "here").exists, what="it is there")
        case "it waits":
            pool.wait_event("child.loaded", role="spare", gen=2)
        case _:
            pool.wait_event("reload.failed")
    pool.signal(signal.SIGTERM)
    pool.open_gate()
    assert pool.wait() == 0
    assert queue.result(job_id) == "one"


def test_recycling_takes_the_same_order(pool: Pool, queue: Queue, redis_client: redis.Redis) -> None:
    pool.start("--procs", "1", "--max-jobs-per-child", "5", *ORDER).ready()
    for n in range(3):
        old = pool.workers()[0]
        queue.results(queue.put_many("code", 6))
        pool.wait_event("child.recycle", pid=old)
        pool.wait_event("child.exit", pid=old, outcome="clean")
        pool.wait_event("child.ready", role="worker", n=n + 2)
    write(pool, "two", "on startup", "raise RuntimeError('no good')")
    assert not reload(pool)
    wait_until(lambda: len(pool.workers()) == 1, what="the old code is back")
    old = pool.workers()[0]
    queue.results(queue.put_many("code", 6))
    pool.wait_event("child.exit", pid=old)
    assert queue.result(queue.put("code")) == "one"
    assert pool.stop() == 0


def test_what_comes_back_is_a_worker_like_any_other(
    pool: Pool, queue: Queue, redis_client: redis.Redis
) -> None:
    pool.start("--procs", "1", *ORDER).ready()
    write(pool, "two", "on startup", "raise RuntimeError('no good')")
    for _ in range(3):  # the last one is the copy of a copy
        assert not reload(pool)
        wait_until(lambda: len(pool.workers()) == 1, what="the old code is back")
    (pid,) = pool.workers().values()
    worker = psutil.Process(pid)
    assert worker.ppid() == pool.pid
    assert "worker[" in " ".join(worker.cmdline())
    (spare,) = (one for one in psutil.Process(pool.pid).children() if "spare[" in " ".join(one.cmdline()))
    assert oom_score(spare.pid) == oom_score(pid) + 300  # the kernel ends it rather than the other
    assert oom_score(pid) == oom_score(pool.pid)
    assert queue.result(queue.put("place"))[4] == pid
    job_id = queue.put("until", "gate")
    pool.wait_started(job_id)
    pool.signal(signal.SIGTERM)
    pool.wait_event("stop.start")
    pool.open_gate()
    assert pool.wait() == 0
    assert queue.tries(job_id) == 1
    assert not psutil.pid_exists(spare.pid)


def test_nobody_survives_the_parent(pool: Pool, queue: Queue, redis_client: redis.Redis) -> None:
    pool.start("--procs", "1", *ORDER).ready()
    write(pool, "two", "on startup", "raise RuntimeError('no good')")
    assert not reload(pool)
    assert queue.result(queue.put("code")) == "one"
    pool.kill(pool.pid)
    pool.wait()
    pool.wait_gone()


def test_reloads_leave_no_descriptor_and_no_process(
    pool: Pool, queue: Queue, redis_client: redis.Redis
) -> None:
    pool.start("--procs", "1", *ORDER).ready()

    def held() -> tuple[int, int]:
        return len(os.listdir(f"/proc/{pool.pid}/fd")), len(psutil.Process(pool.pid).children())

    pool.wait_event("child.ready", role="steward")
    before = held()
    for n in range(6):
        write(pool, str(n), *([], ["on startup", "raise RuntimeError('no good')"])[n % 2])
        assert reload(pool) is not bool(n % 2)
        wait_until(lambda: len(pool.workers()) == 1, what="a worker")
    assert queue.result(queue.put("code")) == "4"
    wait_until(lambda: held() == before, what="as many as before")
    assert pool.stop() == 0


def test_scaling_down_and_up_again_waits_for_those_who_leave(
    pool: Pool, queue: Queue, redis_client: redis.Redis
) -> None:
    pool.start("--procs", "2", *ORDER).ready()
    busy = [queue.put("until", "gate") for _ in range(20)]  # some for each
    for worker in range(2):
        pool.wait_event("log", slot=worker, outcome="started")
    old = pool.workers()[1]
    pool.signal(signal.SIGTTOU)
    pool.wait_event("pool.scale", new=1)
    pool.signal(signal.SIGTTIN)
    pool.wait_event("pool.scale", new=2)
    pool.wait_event("child.exit", role="spare", slot=1)
    assert len(pool.events("child.spawn", role="worker", slot=1)) == 1
    pool.open_gate()
    queue.results(busy)
    pool.wait_event("child.exit", pid=old)
    pool.wait_event("child.ready", role="worker", slot=1, n=2)
    assert codes(pool, queue) == {"0": "one", "1": "one"}
    assert pool.stop() == 0


IMPORT_ONCE = """
import fcntl
_all_there_is = open("once-" + os.environ["ARQ_WORKER_SLOT"], "w")
fcntl.flock(_all_there_is, fcntl.LOCK_EX | fcntl.LOCK_NB)
"""


def test_code_that_can_be_imported_only_once_is_replaced_without_a_way_back(
    pool: Pool, queue: Queue, redis_client: redis.Redis
) -> None:
    write(pool, "one", "on import", IMPORT_ONCE)
    pool.start("--procs", "2", *ORDER).ready()
    pool.wait_event("spare.failed", n=2)
    write(pool, "two", "on import", IMPORT_ONCE)
    assert reload(pool)
    assert codes(pool, queue) == {"0": "two", "1": "two"}
    assert len(pool.events("spare.missing")) == 2
    write(pool, "three", "on import", IMPORT_ONCE + "raise RuntimeError('no good')")
    assert not reload(pool)
    assert queue.result(queue.put("code")) == "two"  # in the other slot
    write(pool, "four", "on import", IMPORT_ONCE)
    assert reload(pool)
    assert codes(pool, queue) == {"0": "four", "1": "four"}
    assert pool.stop() == 0


def test_threads_that_the_import_starts_are_no_hindrance(
    pool: Pool, queue: Queue, redis_client: redis.Redis
) -> None:
    thread = "import threading; threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()"
    write(pool, "one", "on import", thread)
    pool.start("--procs", "1", *ORDER, interpreter=("-W", "error")).ready()
    for _ in range(2):
        write(pool, "two", "on startup", "raise RuntimeError('no good')")
        assert not reload(pool)
        assert queue.result(queue.put("code")) == "one"
    assert pool.stop() == 0


def test_a_release_behind_a_link(pool: Pool, queue: Queue, redis_client: redis.Redis) -> None:
    link = pool.directory / "current"

    def deploy(code: str, *fault: str) -> None:
        folder = pool.directory / "releases" / code
        folder.mkdir(parents=True)
        write(pool, code, *fault)
        (pool.directory / "app.py").rename(folder / "app.py")
        (pool.directory / "new").symlink_to(folder)
        (pool.directory / "new").rename(link)

    deploy("one")
    pool.start("--procs", "2", *ORDER, PYTHONPATH=f"{link}{os.pathsep}{ROOT}").ready()
    deploy("two", "on startup", "raise RuntimeError('no good')")
    assert not reload(pool)
    pool.kill(next(iter(pool.workers().values())))  # whose successor finds the new release on the disk
    pool.wait_event("child.exit", status="SIGKILL")
    wait_until(lambda: len(pool.workers()) == 2, what="both workers")
    assert codes(pool, queue) == {"0": "one", "1": "one"}
    deploy("three")
    assert reload(pool)
    assert codes(pool, queue) == {"0": "three", "1": "three"}
    assert pool.stop() == 0


def test_watching_stops_all_workers_first_anyway(pool: Pool, queue: Queue, redis_client: redis.Redis) -> None:
    pool.start("--procs", "2", "--watch", ".", "--watch-poll", *ORDER).ready()
    pool.wait_event("child.ready", role="watcher")
    write(pool, "two", "on startup", "raise RuntimeError('no good')")
    pool.wait_event("watch.waiting")
    write(pool, "three")
    wait_until(lambda: len(pool.workers()) == 2, what="both workers")
    assert codes(pool, queue) == {"0": "three", "1": "three"}
    assert not pool.events("child.spawn", role="spare")
    assert pool.stop() == 0


def test_the_environment_may_say_it_too(pool: Pool, queue: Queue, redis_client: redis.Redis) -> None:
    pool.start("--procs", "1", *ON, ARQ_SUPERVISE_RELOAD_SURGE="0").ready()
    assert pool.events("child.loaded", role="spare")
    assert pool.stop() == 0
    pool.start("--procs", "1", *ON, "--reload-order", "start-first", ARQ_SUPERVISE_RELOAD_SURGE="0")
    pool.wait_event("pool.ready", n=2)  # the command line wins
    assert len(pool.events("child.loaded", role="spare")) == 1
    assert pool.stop() == 0
