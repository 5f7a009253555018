"""What jobs have started does not outlive their worker, and what they fork is no worker."""

import os
import re
import signal
import sys
from collections.abc import Callable

import psutil
import pytest
import redis

from tests.supervisor.harness import Pool, Queue
from tests.support.eventually import PATIENCE_S, wait_until

pytestmark = pytest.mark.processes

MODULE = """
import asyncio, multiprocessing, os, signal, subprocess, sys, time
import app

async def program(ctx):
    return subprocess.Popen(["sleep", "600"]).pid

async def own_session(ctx):
    return subprocess.Popen(["sleep", "600"], start_new_session=True).pid

async def daemon(ctx):
    '''Its father ends at once, and it is in a session of its own: nobody's child.'''
    command = [sys.executable, "-c", DAEMON]
    return int(subprocess.check_output(command))

async def daemon_and_wait(ctx):
    print("daemon", await daemon(ctx), file=sys.stderr, flush=True)
    await asyncio.sleep(600)

async def daemon_and_block(ctx):
    print("daemon", await daemon(ctx), file=sys.stderr, flush=True)
    while True:
        time.sleep(0.1)

DAEMON = '''
import os, subprocess, sys
child = subprocess.Popen(["sleep", "600"], start_new_session=True, stdout=subprocess.DEVNULL)
print(child.pid)
os._exit(0)
'''

def forked_daemon():
    os.setsid()
    time.sleep(600)

async def fork(ctx):
    child = multiprocessing.get_context("fork").Process(target=forked_daemon)
    child.start()
    return child.pid

async def terminate(ctx):
    '''As multiprocessing.Pool does it when it ends.'''
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
    child.start()
    await asyncio.sleep(0.1)
    child.terminate()
    await asyncio.to_thread(child.join)
    return child.exitcode

def state(pipe):
    handlers = [int(signal.getsignal(n) in (signal.SIG_DFL, signal.default_int_handler))
                for n in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)]
    pipe.send((handlers, signal.set_wakeup_fd(-1), open("/proc/self/cmdline").read(), open("/proc/self/comm").read()))

async def ask_copy(ctx):
    mine, other = multiprocessing.Pipe()
    child = multiprocessing.get_context("fork").Process(target=state, args=(other,))
    child.start()
    found = await asyncio.to_thread(mine.recv)
    child.join()
    return found

async def leave_as_copy(ctx):
    pid = os.fork()
    if pid == 0:
        sys.exit(7)
    return os.waitstatus_to_exitcode((await asyncio.to_thread(os.waitpid, pid, 0))[1])

async def terminal(ctx):
    try:
        os.close(os.open("/dev/tty", os.O_RDWR))
    except OSError:
        return False
    return True

class Settings(app.Settings):
    functions = [program, own_session, daemon, fork, terminate, ask_copy, leave_as_copy, terminal, app.who, app.until]

class Hasty(Settings):
    functions = [daemon_and_wait, daemon_and_block]
    job_completion_wait = 1
"""
KINDS = ["program", "own_session", "daemon", "fork"]


@pytest.fixture
def lively(pool: Pool) -> Callable[..., Pool]:
    """Starts a pool whose jobs start processes."""

    def start(*arguments: str, settings_class: str = "Settings", **options: object) -> Pool:
        (pool.directory / "lively.py").write_text(MODULE)
        settings = f"lively.{settings_class}"
        pool.start("--procs", "1", *arguments, settings=settings, **options).ready()  # type: ignore[arg-type]
        return pool

    return start


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def daemon_of(pool: Pool) -> int:
    """The daemon that a job of `Hasty` says it has started."""
    found = wait_until(lambda: re.search(r"^daemon (\d+)$", pool.text(), re.MULTILINE), what="a daemon")
    assert found
    return int(found[1])


def kill_worker(pool: Pool) -> None:
    pool.kill(pool.workers()[0])


def reload(pool: Pool) -> None:
    pool.signal(signal.SIGHUP)
    pool.wait_event("reload.done")


def stop(pool: Pool) -> None:
    assert pool.stop() == 0


def kill_supervisor(pool: Pool) -> None:
    pool.kill(pool.pid)
    assert pool.wait() == -signal.SIGKILL


@pytest.mark.parametrize("end", [kill_worker, reload, stop, kill_supervisor])
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_a_job_has_started_ends_with_its_worker(
    lively: Callable[..., Pool], queue: Queue, kind: str, end: Callable[[Pool], None]
) -> None:
    pool = lively()
    pid = int(queue.result(queue.put(kind)))
    assert is_running(pid)
    end(pool)
    wait_until(lambda: not is_running(pid), what="it has ended, too")
    if end is kill_worker:  # else the worker itself has ended what it could see
        record = pool.wait_event("child.leftovers")
        assert any(str(pid) in name.split() for name in record["killed"])
    if end in (kill_worker, reload):
        assert pool.stop() == 0


@pytest.mark.parametrize("who", ["another worker", "a spare"])
def test_the_end_of_somebody_else_ends_nothing(
    lively: Callable[..., Pool], queue: Queue, redis_client: redis.Redis, who: str
) -> None:
    """A daemon of a worker that lives has just come to the supervisor, when another child ends."""
    pool = lively("--procs", "2") if who == "another worker" else lively("--reload-surge", "0")
    pool.steward()
    pid = int(queue.result(queue.put("daemon")))
    (started,) = pool.events("log", function="daemon", outcome="started")
    if who == "another worker":
        victim = pool.workers()[1 - started["slot"]]
    else:
        victim = pool.events("child.loaded", role="spare")[0]["pid"]
    pool.kill(victim)
    pool.wait_event("child.exit", pid=victim)
    assert is_running(pid)
    assert not pool.events("child.leftovers")
    assert pool.stop() == 0
    assert not is_running(pid)


def test_what_a_job_has_started_ends_before_others_get_the_job(
    lively: Callable[..., Pool], queue: Queue
) -> None:
    """Also a daemon, which is nobody's child."""
    pool = lively(settings_class="Hasty")
    queue.put("daemon_and_wait")
    pid = daemon_of(pool)
    assert pool.stop() == 0
    assert not is_running(pid)
    (line,) = [
        str(record["message"]) for record in pool.events("log") if "what they have started" in str(record)
    ]
    assert f"{pid} sleep" in line


def test_a_job_that_does_not_let_go_ends_with_a_killed_supervisor_with_all_that_it_has_started(
    lively: Callable[..., Pool], queue: Queue
) -> None:
    pool = lively(settings_class="Hasty")
    queue.put("daemon_and_block")
    pid = daemon_of(pool)
    kill_supervisor(pool)
    wait_until(lambda: not is_running(pid), what="it has ended, too")
    pool.wait_gone()


@pytest.mark.parametrize("end", [kill_worker, stop])
def test_what_jobs_have_started_stays_if_the_user_says_so(
    lively: Callable[..., Pool], queue: Queue, end: Callable[[Pool], None]
) -> None:
    pool = lively("--no-kill-group-on-exit")
    pids = [int(queue.result(queue.put(kind))) for kind in ("own_session", "daemon")]
    try:
        end(pool)
        if end is kill_worker:
            pool.wait_event("child.ready", n=2, role="worker")
            assert pool.stop() == 0
        assert all(map(is_running, pids))
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)


def test_what_was_there_before_us_is_left_alone(pool: Pool, queue: Queue) -> None:
    """A start script may have started something before it became the supervisor by `exec`."""
    (pool.directory / "lively.py").write_text(MODULE)
    script = 'sleep 600 & echo $! > helper; exec "$@"'
    pool.start("--procs", "1", settings="lively.Settings", command=("/bin/sh", "-c", script, "sh")).ready()
    helper = int((pool.directory / "helper").read_text())
    try:
        kill_worker(pool)
        pool.wait_event("child.ready", n=2, role="worker")
        assert is_running(helper)
    finally:
        os.kill(helper, signal.SIGKILL)
    assert pool.stop() == 0


def test_a_copy_has_the_signals_of_a_plain_python_and_a_name_of_its_own(
    lively: Callable[..., Pool], queue: Queue
) -> None:
    pool = lively()
    handlers, wakeup_fd, title, name = queue.result(queue.put("ask_copy"))
    assert handlers == [1] * 6
    assert wakeup_fd == -1
    assert "worker[" not in title.replace("of worker[", "")
    assert not name.startswith("arq:0")
    assert queue.result(queue.put("terminate")) == -signal.SIGTERM
    assert queue.result(queue.put("leave_as_copy")) == 7
    assert pool.stop() == 0
    assert not pool.events("child.exit", outcome="crash")


def test_programs_of_jobs_find_no_terminal(lively: Callable[..., Pool], queue: Queue) -> None:
    pool = lively(on_terminal=True)
    assert queue.result(queue.put("terminal")) is False
    assert pool.stop() == 0


def test_a_pool_whose_terminal_is_closed_stops(lively: Callable[..., Pool]) -> None:
    pool = lively(on_terminal=True)
    assert pool.terminal is not None
    os.close(pool.terminal)
    pool.terminal = None
    assert pool.wait() == 0
    assert pool.events("stop.start", cause="terminal closed")


def test_a_pool_under_nohup_ignores_hup(lively: Callable[..., Pool], queue: Queue) -> None:
    pool = lively(command=("nohup",))
    assert pool.events("signal.ignored", signal="SIGHUP")
    before = pool.workers()
    pool.signal(signal.SIGHUP)
    assert queue.result(queue.put("who")) == before[0]
    assert pool.stop() == 0
    assert not pool.events("reload.start")


def test_signals_that_were_blocked_are_heard(pool: Pool, queue: Queue) -> None:
    block = """import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.execv(sys.argv[1], sys.argv[1:])"""
    pool.start("--procs", "1", command=(sys.executable, "-c", block)).ready()
    reload(pool)
    assert pool.process is not None
    pool.process.send_signal(signal.SIGTERM)
    assert pool.process.wait(PATIENCE_S) == 0


def test_what_a_start_hook_has_started_ends_when_the_supervisor_is_killed_meanwhile(pool: Pool) -> None:
    (pool.directory / "slow.py").write_text(SLOW)
    pool.start("--procs", "1", settings="slow.Settings")
    pid = daemon_of(pool)
    kill_supervisor(pool)
    wait_until(lambda: not is_running(pid), what="it has ended, too")
    pool.wait_gone()


SLOW = """
import app, asyncio, subprocess, sys

async def on_startup(ctx):
    print("daemon", subprocess.Popen(["sleep", "600"], start_new_session=True).pid, file=sys.stderr, flush=True)
    await asyncio.sleep(600)

class Settings(app.Settings):
    on_startup = on_startup
"""
