"""The command `arq`, started as a user starts it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import psutil
import pytest
import redis

from arq.cli import cli
from arq.connections import ArqRedis
from arq.version import VERSION
from tests.redis.harness import QUEUE, keys, members
from tests.support.eventually import wait_until, wait_until_async
from tests.support.programs import Program
from tests.support.servers import RedisServer

pytestmark = pytest.mark.processes
Arq = Callable[..., Program]

HEAD = """
import asyncio, os, sys, time
from arq.connections import RedisSettings

REDIS = RedisSettings.from_dsn(os.environ["REDIS_DSN"])
REDIS.conn_retries = 0

async def quick(ctx):
    print("quick ran", flush=True)

async def for_ever(ctx):
    print("for_ever started", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        print("for_ever ended", flush=True)

async def stubborn(ctx):
    print("stubborn started", flush=True)
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            print("not yet", flush=True)

async def on_shutdown(ctx):
    print("on_shutdown was called", flush=True)
"""
SETTINGS = (
    HEAD
    + """
class Settings:
    functions = [quick, for_ever, stubborn]
    redis_settings = REDIS
    on_shutdown = on_shutdown
    poll_delay = 0.05

as_dict = {"functions": [quick], "redis_settings": REDIS, "poll_delay": 0.05}
"""
)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., None]:
    def write(text: str, name: str = "app.py") -> None:
        (tmp_path / name).write_text(text)

    return write


@pytest.fixture
def app(write: Callable[..., None]) -> None:
    write(SETTINGS)


Command = Callable[..., tuple[int, str]]


@pytest.fixture
def command(redis_server: RedisServer, tmp_path: Path) -> Command:
    """Runs the command in a fork of the test, which has imported everything already; status and stderr.

    For commands that end by themselves: a twentieth of the time of a program.
    """

    def run(*arguments: str) -> tuple[int, str]:
        errors = tmp_path / "errors"
        child = os.fork()
        if child == 0:
            _become_the_command(arguments, redis_server.dsn, errors)
        wait_until(lambda: not _runs(child), 30, "the command has ended")
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), errors.read_text()

    return run


def _runs(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def _become_the_command(arguments: tuple[str, ...], dsn: str, errors: Path) -> NoReturn:
    status = 1
    try:
        os.environ["REDIS_DSN"] = dsn
        os.chdir(errors.parent)
        os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
        sys.stderr = os.fdopen(2, "w")
        sys.path = [entry for entry in sys.path if entry]
        cli.main(list(arguments), prog_name="arq")
    except SystemExit as end:
        status = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def failed(outcome: tuple[int, str], status: int = 1) -> str:
    assert outcome[0] == status, outcome[1]
    return outcome[1]


# ---------------------------------------------------------------- ordinary use


def test_version(arq: Arq) -> None:
    program = arq("--version")
    assert program.ended() == 0
    assert program.stdout == f"arq, version {VERSION}\n"


def test_help(arq: Arq) -> None:
    program = arq("--help")
    assert program.ended() == 0
    for option in (
        "--burst / --no-burst",
        "--check",
        "--watch",
        "--verbose",
        "--custom-log-dict",
        "--version",
    ):
        assert option in program.stdout


@pytest.mark.parametrize("path", ["app.Settings", "app:Settings", "app.as_dict"])
def test_burst(command: Command, app: None, redis_client: redis.Redis, path: str) -> None:
    redis_client.zadd(QUEUE, {"expired": 1})
    status, log = command(path, "--burst")
    assert status == 0, log
    assert re.search(r"^\d\d:\d\d:\d\d: Starting worker for \d functions: quick", log, re.MULTILINE)
    assert "job expired expired" in log


async def test_a_worker_at_work(arq: Arq, app: None, arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_job("quick")
    program = arq("app.Settings", "--verbose")
    program.printed("quick ran")
    await arq_redis.enqueue_job("quick")
    program.printed("quick ran", times=2)
    assert program.stop() == 0
    assert program.lines[-1] == "on_shutdown was called"


def test_burst_of_the_settings_and_against_them(
    arq: Arq, write: Callable[..., None], redis_client: redis.Redis
) -> None:
    write(SETTINGS + "    burst = True\n")
    write(SETTINGS.replace("    poll_delay", "    burst = True\n    poll_delay"))
    assert arq("app.Settings").ended() == 0
    program = arq("app.Settings", "--no-burst")
    program.printed("Starting worker")
    assert program.stop() == 0


def test_check(arq: Arq, app: None, redis_client: redis.Redis) -> None:
    program = arq("app.Settings", "--check")
    assert program.ended() == 1
    assert "Health check failed: no health check sentinel value found" in program.stderr
    worker = arq("app.Settings")
    wait_until(lambda: redis_client.exists("arq:queue:health-check"))
    program = arq("app.Settings", "--check", "--burst")
    assert program.ended() == 0
    assert re.search(r"Health check successful: b'\w+-\d\d .* j_complete=0 ", program.stderr)
    assert worker.stop() == 0
    assert not redis_client.exists("arq:queue:health-check")


def test_custom_log_dict(arq: Arq, write: Callable[..., None], redis_client: redis.Redis) -> None:
    write(
        SETTINGS
        + """
log = {
    "version": 1,
    "formatters": {"own": {"format": "OWN %(message)s"}},
    "handlers": {"own": {"class": "logging.StreamHandler", "formatter": "own", "stream": "ext://sys.stdout"}},
    "loggers": {"arq": {"handlers": ["own"], "level": "INFO"}},
}
"""
    )
    program = arq("app.Settings", "--burst", "--custom-log-dict", "app.log")
    assert program.ended() == 0
    assert "OWN Starting worker for 3 functions" in program.stdout
    assert program.stderr == ""


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "Missing argument 'WORKER_SETTINGS'"),
        (["app.Settings", "--nonsense"], "No such option"),
        (["app.Settings", "--watch", "no/such/directory"], "does not exist"),
        (["app.Settings", "--watch", __file__], "is a file"),
    ],
)
def test_wrong_usage(command: Command, arguments: list[str], complaint: str) -> None:
    assert complaint in failed(command(*arguments), 2)


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("Settings", "doesn't look like a module path"),
        ("app:", "doesn't look like a module path"),
        (":Settings", "doesn't look like a module path"),
        ("..app.Settings", "..app.Settings"),
        ("", "module path"),
        ("no_such_module.Settings", "No module named 'no_such_module'"),
        ("app.no_such_part.Settings", "app.no_such_part"),
        ("app/Settings", "app/Settings"),
        ("app.py:Settings", "app.py"),
        ("app.Nothing", 'Module "app" does not define a "Nothing" attribute'),
        ("app:Settings.Nothing", "Nothing"),
    ],
)
def test_a_wrong_path_is_one_line(command: Command, app: None, path: str, named: str) -> None:
    errors = failed(command(path))
    assert named in errors
    assert "Traceback" not in errors
    assert len(errors.splitlines()) == 1, errors


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("Settings = {'redis_settings': REDIS}", "at least one function or cron_job must be registered"),
        ("class Settings: redis_settings = REDIS", "at least one function or cron_job must be registered"),
        ("Settings = {'functions': ['no.such.thing']}", "No module named 'no'"),
        ("Settings = {'functions': [print]}", "is not a coroutine function"),
        (
            "Settings = {'functions': [quick], 'cron_jobs': [quick]}",
            "cron_jobs, must be instances of CronJob",
        ),
        ("Settings = 5", "at least one function or cron_job must be registered"),
        ("Settings = None", "at least one function or cron_job must be registered"),
    ],
)
def test_settings_that_can_not_be_are_one_line(
    command: Command, write: Callable[..., None], redis_client: redis.Redis, line: str, named: str
) -> None:
    write(HEAD + line)
    errors = failed(command("app.Settings", "--burst"))
    assert named in errors
    assert "Traceback" not in errors, errors


@pytest.mark.parametrize("option", ["--burst", "--check"])
def test_redis_away_is_one_line(command: Command, write: Callable[..., None], option: str) -> None:
    write(SETTINGS + "\nREDIS.port = 1\n")
    errors = failed(command("app.Settings", option))
    assert "Traceback" not in errors, errors
    last = errors.splitlines()[-1]
    assert "redis can't be used" in last
    assert "app.Settings" in last


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("import no_such_library\n" + SETTINGS, "No module named 'no_such_library'"),
        ("def broken(:\n", "SyntaxError"),
        (SETTINGS + "\nraise ValueError('at import')\n", "ValueError: at import"),
    ],
)
def test_an_error_of_the_user_is_the_users_traceback(
    command: Command, write: Callable[..., None], text: str, named: str
) -> None:
    write(text)
    errors = failed(command("app.Settings", "--burst"))
    assert named in errors
    assert "app.py" in errors


@pytest.mark.parametrize(
    "error", ["FileNotFoundError('config.toml')", "ConnectionError('the other service')", "ValueError('own')"]
)
def test_an_error_in_on_startup_is_the_users_traceback(
    command: Command, write: Callable[..., None], redis_client: redis.Redis, error: str
) -> None:
    """Not a word about Redis, which is well."""
    hook = (
        f"\nasync def on_startup(ctx):\n    raise {error}\n\nSettings.on_startup = staticmethod(on_startup)\n"
    )
    write(SETTINGS + hook)
    errors = failed(command("app.Settings", "--burst"))
    assert "Traceback" in errors
    assert "in on_startup" in errors
    assert "redis can't be used" not in errors


@pytest.mark.parametrize(
    "path",
    ["app.nothing", "nothing", "app.Settings"],
)
def test_a_wrong_log_dict_is_one_line(command: Command, app: None, path: str) -> None:
    errors = failed(command("app.Settings", "--burst", "--custom-log-dict", path))
    assert "Traceback" not in errors, errors


# ---------------------------------------------------------------- stopping


async def nothing_left(pool: ArqRedis) -> None:
    left = (
        await keys(pool, "arq:in-progress:*")
        | await keys(pool, "arq:claims:*")
        | await keys(pool, "*health-check")
    )
    assert left | set(await members(pool, "arq:workers")) == set()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=lambda s: s.name)
async def test_a_signal_gives_the_jobs_back(
    arq: Arq, app: None, arq_redis: ArqRedis, signum: signal.Signals
) -> None:
    job = await arq_redis.enqueue_job("for_ever")
    assert job is not None
    program = arq("app.Settings")
    program.printed("for_ever started")
    assert program.stop(signum) == 0, program.stderr
    assert program.lines == ["for_ever started", "for_ever ended", "on_shutdown was called"]
    assert "Traceback" not in program.stderr
    await nothing_left(arq_redis)
    assert await arq_redis.zscore(QUEUE, job.job_id) is not None


async def test_ctrl_c_again_and_again(arq: Arq, write: Callable[..., None], arq_redis: ArqRedis) -> None:
    """The first lets jobs finish, the second cancels them, the third leaves."""
    write(SETTINGS.replace("    poll_delay", "    job_completion_wait = 600\n    poll_delay"))
    await arq_redis.enqueue_job("stubborn", _job_id="a")
    program = arq("app.Settings")
    program.printed("stubborn started")
    program.process.send_signal(signal.SIGINT)
    program.printed("1 to be completed")
    again_until(program, "not yet", "shutdown on SIGINT ◆")
    while program.process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            program.process.send_signal(signal.SIGINT)
        wait_until_over(program, 0.6)
    assert program.ended() == 130
    # it left without a word: whoever sweeps gives the job back
    assert await arq_redis.exists("arq:in-progress:a")
    await arq_redis.flushall()


def again_until(program: Program, *texts: str) -> None:
    """Ctrl-C with human pauses (signals in one instant are one request) until all texts were printed."""
    while not all(text in program.stdout + program.stderr for text in texts):
        wait_until_over(program, 0.6)
        program.process.send_signal(signal.SIGINT)
        wait_until_over(program, 0.2)
        assert program.process.poll() is None, program.stderr


def wait_until_over(program: Program, timeout_s: float) -> None:
    """Wait for the end of a program, or as long as that."""
    import subprocess

    with contextlib.suppress(subprocess.TimeoutExpired):
        program.process.wait(timeout_s)


async def test_ctrl_c_of_a_terminal_reaches_it_twice(
    arq: Arq, write: Callable[..., None], arq_redis: ArqRedis
) -> None:
    """Wrappers forward what the terminal has sent already: two in one instant are one request."""
    write(SETTINGS.replace("    poll_delay", "    job_completion_wait = 600\n    poll_delay"))
    await arq_redis.enqueue_job("for_ever")
    program = arq("app.Settings")
    program.printed("for_ever started")
    for _ in range(2):
        program.process.send_signal(signal.SIGINT)
    program.printed("1 to be completed")
    assert "for_ever ended" not in program.stdout
    assert program.stop(signal.SIGQUIT) == 0


async def test_a_killed_worker(
    arq: Arq, write: Callable[..., None], arq_redis: ArqRedis, worker: Any
) -> None:
    """Nobody keeps its lease: as soon as that is over, whoever is there gives its jobs back."""
    write(SETTINGS)
    await arq_redis.enqueue_job("for_ever", _job_id="a")
    program = arq("app.Settings")
    program.printed("for_ever started")
    program.process.kill()
    program.ended()
    (dead,) = await members(arq_redis, "arq:workers")
    await arq_redis.zadd("arq:workers", {dead: 1})  # time passes

    runs = []

    async def for_ever(ctx: dict[Any, Any]) -> None:
        runs.append(ctx["job_try"])

    from arq.worker import func

    one = worker([func(for_ever, name="for_ever")])
    await one.main()
    assert runs == [2]


async def test_a_job_that_kills_its_worker_is_bounded(
    arq: Arq, write: Callable[..., None], arq_redis: ArqRedis
) -> None:
    """Each start counts, also those that nobody could report on."""
    write(
        HEAD
        + """
async def poison(ctx):
    print("poison", flush=True)
    os._exit(9)

class Settings:
    functions = [poison, quick]
    redis_settings = REDIS
    poll_delay = 0.05
    max_tries = 3
    burst = True
"""
    )
    job = await arq_redis.enqueue_job("poison")
    assert job is not None
    statuses = []
    for _ in range(4):
        for member in await members(arq_redis, "arq:workers"):
            await arq_redis.zadd("arq:workers", {member: 1})
        statuses.append(arq("app.Settings").ended())
    assert statuses == [9, 9, 9, 0]
    result = await job.result_info()
    assert result is not None
    assert str(result.result) == "max 3 retries exceeded"


# ---------------------------------------------------------------- --watch


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A directory to watch; nothing else is written there (the output of programs is in the one above)."""
    made = tmp_path / "source"
    made.mkdir()
    (made / "app.py").write_text(SETTINGS)
    return made


async def test_watch_runs_the_new_code_in_a_fresh_process(
    arq: Arq, source: Path, arq_redis: ArqRedis
) -> None:
    code = SETTINGS.replace('"quick ran"', '"quick ran", VERSION, os.getpid()')
    (source / "app.py").write_text("from source.watched import VERSION\n" + code)
    (source / "watched.py").write_text("VERSION = 'one'\n")
    await arq_redis.enqueue_job("quick")
    program = arq("source.app.Settings", "--watch", str(source))
    program.printed("quick ran one")
    (source / "watched.py").write_text("VERSION = 'twenty-two'\n")
    program.printed("files changed, reloading arq worker...")
    await arq_redis.enqueue_job("quick")
    program.printed("quick ran twenty-two")
    pids = re.findall(r"quick ran \S+ (\d+)", program.stdout)
    assert len(set(pids)) == 2
    assert str(program.process.pid) not in pids
    assert program.stop() == 0
    wait_until(lambda: not psutil.pid_exists(int(pids[-1])))
    await nothing_left(arq_redis)


async def test_watch_survives_code_that_is_broken_for_a_while(
    arq: Arq, source: Path, arq_redis: ArqRedis
) -> None:
    program = arq("source.app.Settings", "--watch", str(source))
    program.printed("Starting worker")
    (source / "app.py").write_text("def broken(:\n")
    program.printed("SyntaxError")
    (source / "app.py").write_text(SETTINGS)
    program.printed("Starting worker", times=2)
    await arq_redis.enqueue_job("quick")
    program.printed("quick ran")
    assert program.stop() == 0


async def test_watch_leaves_no_worker_behind(arq: Arq, source: Path, arq_redis: ArqRedis) -> None:
    program = arq("source.app.Settings", "--watch", str(source))
    program.printed("Starting worker")
    (child,) = psutil.Process(program.process.pid).children()
    program.process.kill()
    program.ended()
    wait_until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child.pid, os.WNOHANG)  # noqa: ASYNC222


async def test_watch_and_burst(arq: Arq, source: Path, arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_job("quick")
    program = arq("source.app.Settings", "--watch", str(source), "--burst")
    program.printed("quick ran")
    await wait_until_async(lambda: keys(arq_redis, "arq:result:*"))
    assert program.stop() == 0
