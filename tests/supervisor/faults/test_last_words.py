"""The end of a worker: what was registered for it runs, what hooks raise is told once, and the exit code is right."""

import signal

import pytest
import redis

from tests.supervisor.harness import Pool, Queue
from tests.support.eventually import wait_until

pytestmark = pytest.mark.processes

EXIT_HOOKS = """
import atexit, logging, logging.handlers, sys, tempfile, threading, weakref
import app

def say(text):
    print(text, file=sys.stderr, flush=True)

atexit.register(say, "atexit ran")
keep = tempfile.TemporaryDirectory()
weakref.finalize(keep, say, "finalizer ran")
handler = logging.handlers.MemoryHandler(100, target=logging.StreamHandler())
logging.getLogger("shop").addHandler(handler)

async def buffered(ctx):
    logging.getLogger("shop").warning("a line that waits")

class Settings(app.Settings):
    functions = [buffered, app.who]
"""
HANGING = """
import atexit, threading
import app
atexit.register(threading.Event().wait)
class Settings(app.Settings): pass
"""
RAISES = """
import app
async def on_shutdown(ctx):
    {what}
class Settings(app.Settings):
    on_shutdown = on_shutdown
"""
START = """
import sys
import app
async def on_startup(ctx):
    sys.exit({code!r})
class Settings(app.Settings):
    on_startup = on_startup
"""
PROGRAM = """
import asyncio
import app
async def program(ctx):
    process = await asyncio.create_subprocess_exec("sleep", "600")
    await ctx["redis"].set("pid", process.pid, ex=60)
    await process.wait()
class Settings(app.Settings):
    functions = [program]
    job_completion_wait = 1
"""


@pytest.mark.parametrize("method", ["fork", "exec"])
def test_exit_handlers_run_at_a_clean_end(pool: Pool, queue: Queue, method: str) -> None:
    (pool.directory / "hooks.py").write_text(EXIT_HOOKS)
    pool.start("--procs", "1", "--start-method", method, settings="hooks.Settings").ready()
    queue.result(queue.put("buffered"))
    pool.signal(signal.SIGHUP)
    pool.wait_event("reload.done")
    assert pool.text().count("atexit ran") == pool.text().count("finalizer ran") == 1
    assert "a line that waits" in pool.text()
    assert pool.stop() == 0
    assert pool.text().count("atexit ran") == 2


def test_exit_handlers_that_hang_are_broken_off(pool: Pool) -> None:
    (pool.directory / "hooks.py").write_text(HANGING)
    pool.start("--procs", "1", settings="hooks.Settings").ready()
    assert pool.stop() == 0
    assert "exit handlers (atexit) of a worker took too long" in pool.text()
    assert pool.events("child.exit", role="worker", outcome="clean")


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("raise RuntimeError('could not close')", "RuntimeError: could not close"),
        ("import sys; sys.exit('why')", "SystemExit: why"),
        ("import asyncio; raise asyncio.CancelledError", "CancelledError"),
        ("raise KeyboardInterrupt('enough')", "KeyboardInterrupt: enough"),
        ("raise BaseExceptionGroup('many', [KeyboardInterrupt(), ValueError('inner')])", "ValueError: inner"),
    ],
    ids=["exception", "exit", "cancelled", "interrupt", "group"],
)
def test_a_stop_hook_that_raises_is_told_once_and_nothing_else(pool: Pool, what: str, told: str) -> None:
    (pool.directory / "hooks.py").write_text(RAISES.format(what=what))
    pool.start("--procs", "1", settings="hooks.Settings").ready()
    assert pool.stop() == 0
    (record,) = pool.events("log", message="on_shutdown failed")
    assert told in record["exc"]
    assert pool.text().count("on_shutdown failed") == 1
    assert pool.events("child.exit", role="worker", outcome="clean")


@pytest.mark.parametrize("code", ["no address of the database", 3, 0, None])
def test_what_a_start_hook_says_when_it_exits_is_told(pool: Pool, code: object) -> None:
    (pool.directory / "hooks.py").write_text(START.format(code=code))
    pool.start("--procs", "1", "--boot-retries", "0", settings="hooks.Settings")
    assert pool.wait() == 3
    assert f"workers cannot start (sys.exit({code!r})); giving up" in pool.text()


RAISES_AT_START = """
import app, asyncio
class Odd(Exception):
    def __str__(self):
        raise ValueError
async def on_startup(ctx):
    raise {what}
class Settings(app.Settings):
    on_startup = on_startup
"""


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("asyncio.CancelledError('the other side')", "CancelledError: the other side"),
        ("KeyboardInterrupt('enough')", "KeyboardInterrupt: enough"),
        ("Odd", "Odd: <str() raises ValueError>"),
    ],
    ids=["cancelled", "interrupt", "odd"],
)
def test_whatever_a_start_hook_raises_is_told(pool: Pool, what: str, told: str) -> None:
    (pool.directory / "hooks.py").write_text(RAISES_AT_START.format(what=what))
    pool.start("--procs", "1", "--boot-retries", "0", settings="hooks.Settings")
    assert pool.wait() == 3
    assert pool.text().splitlines()[-1] == f"arq-supervise: workers cannot start ({told}); giving up (exit 3)"
    assert pool.text().count("in on_startup") == 1


def test_an_exception_without_a_text_at_import_is_told(pool: Pool) -> None:
    (pool.directory / "hooks.py").write_text(RAISES_AT_START.format(what="0") + "raise Odd\n")
    assert pool.start("--procs", "1", settings="hooks.Settings").wait() == 4
    assert "cannot import 'hooks.Settings' (Odd: <str() raises ValueError>)" in pool.text()


@pytest.mark.parametrize("arguments", [(), ("--burst",)], ids=["stop", "burst"])
def test_an_exit_handler_with_a_status_of_its_own_has_cut_off_no_job(
    pool: Pool, arguments: tuple[str, ...]
) -> None:
    (pool.directory / "hooks.py").write_text(
        "import app, atexit, os\natexit.register(os._exit, 5)\nclass Settings(app.Settings): pass\n"
    )
    pool.start("--procs", "1", *arguments, settings="hooks.Settings")
    assert (pool.wait() if arguments else pool.ready().stop()) == 0
    (record,) = pool.events("child.exit", role="worker")
    assert (record["level"], record["status"]) == ("error", "exit:5")


def test_a_stop_hook_that_hangs_is_told_of(pool: Pool) -> None:
    what = "import asyncio; await asyncio.sleep(600)"
    (pool.directory / "hooks.py").write_text(RAISES.format(what=what))
    script = pool.script_with(
        {"children.worker.CLOSE_S": 0.5}
    )  # long before the supervisor loses its patience
    limits = ("--graceful-timeout", "0.5", "--kill-timeout", "20")
    pool.start("--procs", "1", *limits, settings="hooks.Settings", script=script).ready()
    assert pool.stop() == 6
    assert "the end of the worker took too long, and was broken off (on_shutdown?)" in pool.text()


def test_programs_of_jobs_that_are_cut_off_end_before_somebody_else_has_the_job(
    pool: Pool, queue: Queue, redis_client: redis.Redis
) -> None:
    (pool.directory / "hooks.py").write_text(PROGRAM)
    pool.start("--procs", "1", settings="hooks.Settings").ready()
    job_id = queue.put("program")
    wait_until(lambda: redis_client.exists("pid"), what="the program runs")
    pool.signal(signal.SIGTERM)
    wait_until(lambda: not redis_client.exists(f"arq:in-progress:{job_id}"), what="the job is given back")
    lines = pool.text()
    assert "jobs were cut off: what they have started is ended" in lines
    assert pool.wait() == 0
    assert redis_client.get(f"arq:interrupted:{job_id}") == b"1"
