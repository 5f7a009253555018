"""A pool from its start to its end, with real processes."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from arq.worker import JobExecutionFailed
from tests.supervisor.harness import ROOT, Pool, Queue
from tests.support.eventually import wait_until

pytestmark = pytest.mark.processes


def test_workers_work_and_stop_ends_everything(pool: Pool, queue: Queue, redis_client: redis.Redis) -> None:
    pool.start("--procs", "2").ready()
    assert queue.result(queue.put("echo", 42)) == 42
    assert pool.stop() == 0
    assert pool.events("stop.done", code=0)
    assert pool.text().count("on_shutdown ran") == 2
    assert not redis_client.exists("arq:leases", "arq:queue:health-check")
    assert not redis_client.keys("*in-progress*")


def test_health_keys_of_each_worker_and_of_all(pool: Pool, queue: Queue, redis_client: redis.Redis) -> None:
    # the keys are written every two seconds, and live for six
    pool.start("--procs", "2", "--name", "shop", "--health-interval", "2").ready()
    queue.result(queue.put("echo"))
    wait_until(
        lambda: b"j_complete=1" in (redis_client.get("arq:queue:health-check") or b""), what="merged line"
    )
    keys = [
        key.decode() for key in redis_client.keys("arq:queue:health-check:shop:*") if isinstance(key, bytes)
    ]
    assert sorted(key.rsplit(":", 1)[1] for key in keys) == ["0", "1"]
    assert 0 < redis_client.pttl(keys[0]) <= 6000
    lines = str(redis_client.mget(keys))
    assert lines.count("j_complete=1") == 1
    pool.stop()
    assert redis_client.keys("*health-check*") == []


def test_jobs_that_call_sys_exit_in_a_task_end_no_process(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "1").ready()
    neighbour = queue.put("until", "gate")
    pool.wait_started(neighbour)
    for job_id in [queue.put("exits_in_a_task") for _ in range(5)]:
        with pytest.raises(JobExecutionFailed, match=re.escape("the job called sys.exit(2)")):
            queue.result(job_id)
    pool.open_gate()
    assert queue.result(neighbour)
    assert queue.tries(neighbour) == 1
    assert pool.stop() == 0
    assert not pool.events("child.exit", outcome="crash")


def end_beside_a_job(pool: Pool, queue: Queue) -> str:
    """Stop a pool while a job runs, which ends only then; the job's id."""
    job_id = queue.put("until", "gate")
    pool.wait_started(job_id)
    pool.signal(signal.SIGTERM)
    wait_until(lambda: "shutdown on SIGTERM" in pool.text(), what="the worker drains")
    pool.open_gate()
    assert pool.wait() == 0
    return job_id


def test_a_job_that_runs_may_finish(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "1").ready()
    job_id = end_beside_a_job(pool, queue)
    assert queue.result(job_id) in {record["pid"] for record in pool.events("child.ready", role="worker")}
    assert queue.tries(job_id) == 1


def test_settings_that_say_nothing_about_it_let_jobs_finish(pool: Pool, queue: Queue) -> None:
    (pool.directory / "silent.py").write_text(
        "import app\nclass Settings: functions = [app.until]; redis_settings = app.Settings.redis_settings\n"
    )
    pool.start("--procs", "1", settings="silent.Settings").ready()
    job_id = end_beside_a_job(pool, queue)
    assert queue.result(job_id)
    assert queue.tries(job_id) == 1


def test_burst(pool: Pool, queue: Queue) -> None:
    ids = queue.put_many("who", 20)
    pool.start("--procs", "3", "--burst")
    assert pool.wait() == 0
    assert len({queue.result(job_id) for job_id in ids}) >= 1
    assert pool.events("stop.start", cause="burst")


def test_burst_on_an_empty_queue(pool: Pool) -> None:
    assert pool.start("--procs", "2", "--burst").wait() == 0


def test_children_know_who_they_are(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "1", "--name", "shop", NOTIFY_SOCKET="/nowhere", WATCHDOG_USEC="30000000").ready()
    environ = queue.result(queue.put("environment"))
    assert environ["ARQ_WORKER_SLOT"] == "0"
    assert environ["ARQ_WORKER_COUNT"] == "1"
    assert environ["ARQ_POOL_NAME"] == "shop"
    assert environ["ARQ_WORKER_GENERATION"] == "1"
    assert environ["ARQ_SUPERVISOR_PID"] == str(pool.pid)
    assert environ["ARQ_WORKER_ID"].startswith("shop:")
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & environ.keys()


def test_r06_jobs_start_programs_with_ordinary_signals(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "1").ready()
    assert queue.result(queue.put("signal_state")) == "0 1"


def test_r14_r15_children_share_nothing_but_the_life_pipe(pool: Pool) -> None:
    pool.start("--procs", "3").ready()
    held = [{os.readlink(f"/proc/{pid}/fd/{fd}"): fd for fd in os.listdir(f"/proc/{pid}/fd")}
            for pid in pool.workers().values()]  # fmt: skip
    shared = {name for name in held[0].keys() & held[1].keys() & held[2].keys() if name.startswith("pipe:")}
    assert len(shared) == 1
    (life,) = shared
    for pid in pool.workers().values():
        ends = [fd for fd in os.listdir(f"/proc/{pid}/fd") if os.readlink(f"/proc/{pid}/fd/{fd}") == life]
        modes = [(os.stat(f"/proc/{pid}/fd/{fd}", follow_symlinks=False).st_mode & 0o700) for fd in ends]
        assert modes == [0o500]  # its read end only: the write end is the parent's alone


def test_r13_r18_the_parent_has_one_thread_and_no_connection(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "2").ready()
    queue.result(queue.put("echo"))
    assert len(os.listdir(f"/proc/{pool.pid}/task")) == 1
    targets = [os.readlink(f"/proc/{pool.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pool.pid}/fd")]
    assert not [target for target in targets if target.startswith("socket:")]


def test_f36_ctrl_c_reaches_each_child_once_and_from_us(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "2", on_terminal=True).ready()
    assert pool.terminal is not None
    os.write(pool.terminal, b"\x03")
    assert pool.wait() == 0
    assert pool.events("stop.start", cause="SIGINT")
    assert pool.text().count("shutdown on SIGTERM ◆") + pool.text().count("shutdown on SIGTERM \\u25c6") == 2
    assert "SIGINT" not in "".join(str(record) for record in pool.events("log"))


def test_embedded_redis(pool: Pool) -> None:
    (pool.directory / "plain.py").write_text(
        "import os\n"
        "async def job(ctx): open('ran', 'w').write(os.environ['REDIS_DSN'])\n"
        "async def on_startup(ctx): await ctx['redis'].enqueue_job('job')\n"
        "class Settings: functions = [job]; on_startup = on_startup\n"
    )
    temporary = pool.directory / "tmp"
    temporary.mkdir()
    pool.start("--procs", "2", "--embedded-redis", settings="plain.Settings", TMPDIR=str(temporary)).ready()
    ran = pool.directory / "ran"
    # the other worker's job begins with an empty file
    said = wait_until(lambda: ran.exists() and ran.read_text(), what="the job ran")
    assert said == pool.events("supervisor.start")[0]["redis"]
    assert list(temporary.iterdir())
    assert pool.stop() == 0
    assert not list(temporary.iterdir())


def test_embedded_redis_leaves_nothing_when_the_parent_is_killed(pool: Pool) -> None:
    temporary = pool.directory / "tmp"
    temporary.mkdir()
    (pool.directory / "plain.py").write_text("async def job(ctx): pass\nclass Settings: functions = [job]\n")
    pool.start("--procs", "2", "--embedded-redis", settings="plain.Settings", TMPDIR=str(temporary)).ready()
    pool.kill(pool.pid)
    pool.wait_gone()
    assert not list(temporary.iterdir())


@pytest.mark.parametrize("is_absolute", [True, False])
def test_embedded_redis_keeps_data_and_guards_its_directory(pool: Pool, is_absolute: bool) -> None:
    data = str(pool.directory / "data") if is_absolute else "data"
    options = ("--procs", "1", "--embedded-redis", "--embedded-redis-dir", data)
    (pool.directory / "plain.py").write_text(
        "async def job(ctx): pass\n"
        "async def on_startup(ctx): print('seen', await ctx['redis'].incr('seen'), flush=True)\n"
        "class Settings: functions = [job]; on_startup = on_startup\n"
    )
    pool.start(*options, settings="plain.Settings").ready()
    first = pool.process
    assert pool.start(*options, settings="plain.Settings").wait() == 7
    assert "another server is using this directory" in pool.text()
    pool.process = first
    assert pool.stop() == 0
    pool.start(*options, settings="plain.Settings")
    pool.wait_event("pool.ready", n=2)
    assert "seen 2" in pool.text()
    assert pool.stop() == 0


def test_f34_many_signals_at_once_are_one_request(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "1").ready()
    pool.wait_started(queue.put("until", "gate"))
    for _ in range(100):
        pool.signal(signal.SIGTERM)
    pool.wait_event("stop.start")
    pool.open_gate()
    assert pool.wait() == 0
    assert not pool.events("stop.stage")


def test_f41_a_stop_while_the_embedded_server_is_being_started(tmp_path: Path) -> None:
    """The signal comes before there is a server to pass it on to."""
    code = """
import os, signal
from pathlib import Path
from supervisor.ipc.child_end import ChildEnd
from supervisor.children.redis_server import Guardian, choose_dsn

class Unlucky(Guardian):
    def _start(self, *arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return super()._start(*arguments)

print(Unlucky(ChildEnd(os.pipe()[1]), Path("data"), True, choose_dsn()).run())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path,
                          env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
                          capture_output=True, text=True, check=False, timeout=30)  # fmt: skip
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "0", "")
