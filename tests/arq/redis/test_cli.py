"""The command `arq`, started as a user starts it."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import redis

from arq.cli import cli
from arq.connections import ArqRedis
from arq.version import VERSION
from tests.arq.redis.harness import QUEUE
from tests.arq.redis.programs import HEAD, SETTINGS
from tests.support.eventually import wait_until
from tests.support.programs import Program
from tests.support.servers import RedisServer

pytestmark = pytest.mark.processes
Arq = Callable[..., Program]

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
    assert max(map(len, program.stdout.splitlines())) <= 80
    assert re.findall(r"^(\w+):$", program.stdout, re.MULTILINE) == ["Running", "Probes", "Logs", "Help"]


@pytest.mark.parametrize("path", ["app.Settings", "app:Settings", "app.as_dict"])
def test_burst(command: Command, app: None, redis_client: redis.Redis, path: str) -> None:
    redis_client.zadd(QUEUE, {"expired": 1})
    status, log = command(path, "--burst")
    assert status == 0, log
    assert re.search(r"^\d\d:\d\d:\d\d: Starting worker for \d functions: quick", log, re.MULTILINE)
    assert "job expired expired" in log


def test_an_address_among_the_arguments_is_not_repeated(command: Command) -> None:
    status, errors = command("app.Settings", "redis://me:s3cr3t@host")
    assert status == 2
    assert "Got unexpected extra argument (redis://***@host)" in errors


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
        (["app.Settings", "--watch"], "'--watch' requires an argument"),
        (["app.Settings", "--brust"], "--burst"),
        (["app.Settings", "--workers", "4"], "for several there is `arq-supervise SETTINGS --procs N`"),
        (["ls", "--nonsense"], "(see arq ls --help)"),
        (["show"], "Missing argument"),
    ],
)
def test_wrong_usage(command: Command, arguments: list[str], complaint: str) -> None:
    errors = failed(command(*arguments), 2)
    assert complaint in errors
    assert errors.startswith("arq: ")
    assert errors.count("\n") == 1


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
        (
            "from arq import func; Settings = {'functions': [quick, func(for_ever, name='quick')]}",
            "'quick' is the name of app.quick and of app.for_ever",
        ),
        ("Settings = 5", "at least one function or cron_job must be registered"),
        ("Settings = None", "at least one function or cron_job must be registered"),
        ("Settings = {'functions': [quick], 'signing': {'k': 'k'}}", "signing must be an arq.codecs.Keyring"),
    ],
)
def test_settings_that_can_not_be_are_one_line(
    command: Command, write: Callable[..., None], redis_client: redis.Redis, line: str, named: str
) -> None:
    write(HEAD + line)
    errors = failed(command("app.Settings", "--burst"))
    assert named in errors
    assert "Traceback" not in errors, errors


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("from arq.codecs import Keyring; Keyring.from_env('NO_KEYS')", "variable NO_KEYS: it has no key"),
        (
            "from arq.codecs import Keyring; Keyring.from_file('no/keys')",
            "No such file or directory: 'no/keys'",
        ),
        ("RedisSettings(key_prefix='a b')", "key_prefix 'a b' has ' ' in it"),
    ],
)
def test_what_arq_refuses_in_the_users_module_is_one_line(
    command: Command, write: Callable[..., None], line: str, said: str
) -> None:
    """Options that are made where the module is imported: keys, settings of Redis."""
    text = f"{SETTINGS}\n{line}\n"
    write(text)
    place = f" (app.py, line {len(text.splitlines())})\n"
    for arguments, status in ((("app.Settings", "--burst"), 1), (("ls", "--settings", "app.Settings"), 2)):
        errors = failed(command(*arguments), status)
        assert errors.startswith("arq: can't import 'app.Settings': ")
        assert said in errors
        assert errors.endswith(place)
        assert errors.count("\n") == 1


def test_a_command_with_settings_that_sign_with_no_keyring(
    command: Command, write: Callable[..., None]
) -> None:
    write(SETTINGS + "\nSettings.signing = {'k1': 'a-secret'}\n")
    errors = failed(command("ls", "--settings", "app.Settings"), 2)
    assert errors == "arq: signing of app.Settings must be an arq.codecs.Keyring, not dict\n"


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
