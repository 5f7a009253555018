"""Bad input: one clear line that names it, the exit code of the contract, and nothing has happened."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from supervisor.cli import cli
from supervisor.click_options import unknown_variables
from tests.supervisor.commands import ON, ctl, run
from tests.supervisor.harness import Pool, Queue

SETTINGS = "app.Settings"
OUT_OF_RANGE = [
    ("--procs", "0", "between 1 and 1024"),
    ("--procs", "1025", "between 1 and 1024"),
    ("--procs", "many", "neither a number nor 'auto'"),
    ("--procs", "1.5", "neither a number nor 'auto'"),
    ("--name", "a/b", "letters, digits, dots, dashes or underscores"),
    ("--name", "x" * 65, "1 to 64"),
    ("--boot-timeout", "0", "at least 0.1"),
    ("--boot-timeout", "nan", "at least 0.1"),
    ("--boot-timeout", "inf", "at least 0.1"),
    ("--boot-timeout", "soon", "'soon' is not a valid float"),
    ("--boot-retries", "-1", "between 0 and 1000"),
    ("--min-ready", "0", "between 1 and --procs"),
    ("--min-ready", "9", "between 1 and --procs"),
    ("--graceful-timeout", "-1", "at least 0"),
    ("--kill-timeout", "0", "at least 0.1"),
    ("--heartbeat", "0", "at least 0.05"),
    ("--hang-timeout", "0.5", "0 or at least two --heartbeat periods"),
    ("--max-restarts", "-1", "between 0 and"),
    ("--restart-window", "0", "at least 1"),
    ("--backoff-base", "0", "at least 0.01"),
    ("--backoff-max", "0.1", "at least --backoff-base"),
    ("--stable-after", "-1", "at least 0"),
    ("--exit-on-tempfail", "-1", "at least 0"),
    ("--max-jobs-per-child", "-1", "at least 0"),
    ("--max-rss", "-1", "at least 0"),
    ("--max-lifetime", "-1", "at least 0"),
    ("--recycle-jitter", "1.1", "between 0 and 1"),
    ("--reload-surge", "-1", "between 0 and"),
    ("--reload-order", "together", "'together' is not one of 'start-first', 'stop-first'"),
    ("--watch", "nowhere", "there is no such file"),
    ("--watch-grace", "-1", "at least 0"),
    ("--watch-debounce", "-1", "at least 0"),
    ("--start-method", "spawn", "'spawn' is not one of 'fork', 'exec'"),
    ("--cpu-affinity", "on", "'on' is not one of"),
    ("--child-oom-score-adj", "-1", "between 0 and 1000"),
    ("--health-interval", "0", "at least 0.2"),
    ("--log-format", "xml", "'xml' is not one of"),
    ("--log-level", "loud", "'loud' is not one of"),
    ("--metrics", "9090", "HOST:PORT"),
    ("--metrics", "localhost:99999", "HOST:PORT"),
    ("--embedded-redis-dir", "x", "together with --embedded-redis"),
]
OTHERS = [
    ((), 2, "SETTINGS is missing"),
    ((SETTINGS, "too.Many"), 2, "too many arguments"),
    ((SETTINGS, "--prox", "4"), 2, "No such option '--prox'"),
    ((SETTINGS, "--preload"), 2, "--preload: user code is imported in each worker"),
    ((SETTINGS, "--json"), 2, "--json goes with --check or --ctl"),
    ((SETTINGS, "--wait"), 2, "--wait goes with --ctl"),
    ((SETTINGS, "--strict"), 2, "--strict goes with --check"),
    ((SETTINGS, "--ctl", "status", "--local"), 2, "--local goes with --check"),
    (("--check",), 2, "say which pool"),
    (("--check", "--name", "x"), 2, "--redis-url"),
    (
        ("--check", "--name", "x", "--redis-url", "http://me:secret@h"),
        2,
        "--redis-url: RuntimeError: invalid DSN",
    ),
    (("redis://me:secret@h",), 2, "SETTINGS is an address"),
    ((SETTINGS, "redis://me:secret@h"), 2, "too many arguments: app.Settings redis://***@h"),
    (("--check", "--name", "x", "--local", "--min-healthy", "0"), 2, "--min-healthy 0: must be at least 1"),
    (("--check", "--fleet"), 2, "say which queue"),
    (("nowhere.Settings", "--check", "--control", "off"), 4, "cannot import 'nowhere.Settings'"),
    (("nowhere.Settings", "--check-settings"), 4, "cannot use 'nowhere.Settings'"),
    (("sipervisor.cli", "--check", "--control", "off"), 4, "looked in"),
    (("--check-settings",), 2, "SETTINGS is missing"),
    (("--ctl",), 2, "'--ctl' requires an argument"),
    (("--ctl", "restart"), 2, "'restart' is not one of"),
    ((SETTINGS, "--workers", "4"), 2, "No such option '--workers': did you mean --procs? (see --help)"),
    ((SETTINGS, "--proc", "4"), 2, "No such option '--proc': did you mean --procs? (see --help)"),
    (("--ctl", "scale", "-1"), 2, "-1: must be a whole number, as in `--ctl scale 4`"),
    (
        (SETTINGS, "--ctl", "dump", "x"),
        2,
        "x: must be a whole number, as in `--ctl scale 4` or `--ctl dump 0`",
    ),
    (("--ctl", "scale"), 2, "say how many workers"),
    (("--ctl", "scale", "many"), 2, "say how many workers"),
    (("--ctl", "status", "--control", "no.sock"), 3, "no supervisor answers at no.sock"),
    (("--ctl", "status", "--control", "off"), 3, "--control off"),
]


def complain(words: tuple[str, ...]) -> tuple[int, str]:
    """Exit code and the line on stderr."""
    done = CliRunner().invoke(cli, words)
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("arq-supervise: ")
    assert not done.stdout
    return done.exit_code, done.stderr


@pytest.fixture(autouse=True)
def empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PROCS", "abc", "'abc' is neither a number nor 'auto', from ARQ_SUPERVISE_PROCS (see --help)"),
        ("PROCS", "0", "--procs 0: must be between 1 and 1024, from ARQ_SUPERVISE_PROCS"),
        ("LOG_FORMAT", "xml", "is not one of 'text', 'json', from ARQ_SUPERVISE_LOG_FORMAT (see --help)"),
    ],
)
def test_a_wrong_value_in_the_environment_is_told_with_the_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(f"ARQ_SUPERVISE_{name}", value)
    code, line = complain((SETTINGS,))
    assert code == 2
    assert line.endswith(f"{said}\n")


def test_a_variable_that_is_nearly_an_option_is_told_of() -> None:
    given = {"ARQ_SUPERVISE_PORCS": "3", "ARQ_SUPERVISE_PROCS": "3", "ARQ_SUPERVISE_QWERTZ": "", "PORCS": "3"}
    assert unknown_variables(given) == [
        "ARQ_SUPERVISE_PORCS is no option, and has no effect: did you mean ARQ_SUPERVISE_PROCS?"
    ]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ("queue_name = 5", "cannot use 'odd.Settings' (TypeError: queue_name must be a text, not 5)"),
        ("redis_settings = 'redis://h'", "cannot use 'odd.Settings' (TypeError: redis settings must be"),
    ],
)
def test_a_check_with_settings_that_can_not_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: str, said: str
) -> None:
    (tmp_path / "odd.py").write_text(f"class Settings:\n    functions = []\n    {settings}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "odd", raising=False)
    code, line = complain(("odd.Settings", "--check", "--control", "off"))
    assert code == 4
    assert said in line


@pytest.mark.parametrize(("option", "value", "said"), OUT_OF_RANGE)
def test_an_option_out_of_its_range(option: str, value: str, said: str) -> None:
    code, line = complain((SETTINGS, "--procs", "2", option, value))
    assert code == 2
    assert option in line
    assert value in line
    assert said in line


@pytest.mark.parametrize(("words", "code", "said"), OTHERS)
def test_words_that_make_no_sense(words: tuple[str, ...], code: int, said: str) -> None:
    found, line = complain(words)
    assert said in line
    assert found == code


def test_the_environment_is_as_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARQ_SUPERVISE_BOOT_TIMEOUT", "-3")
    assert complain((SETTINGS,))[1].startswith("arq-supervise: --boot-timeout -3: must be")


def test_what_the_environment_says_for_another_command_does_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ARQ_SUPERVISE_REDIS_URL", "redis://localhost")
    monkeypatch.setenv("ARQ_SUPERVISE_JSON", "1")
    assert complain(("--ctl", "status", "--control", "no.sock"))[0] == 3
    assert "--procs 0" in complain((SETTINGS, "--procs", "0"))[1]


@pytest.mark.processes
def test_a_control_path_that_nobody_could_connect_to(pool: Pool) -> None:
    done = run(pool, SETTINGS, "--control", f"{'x' * 120}.sock")
    assert done.returncode == 2
    assert "the path of a socket may have 107 bytes" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.processes
def test_a_default_control_path_that_is_too_long_stops_nobody(pool: Pool, queue: Queue) -> None:
    long = pool.directory / ("d" * 100)
    command = ("--procs", "1", "--name", "n" * 20, "--control", "")
    pool.start(*command, XDG_RUNTIME_DIR=str(long)).ready()
    assert "107 bytes" in pool.events("control.unavailable")[0]["error"]
    assert queue.result(queue.put("echo", 1)) == 1
    assert pool.stop() == 0


@pytest.mark.processes
def test_a_directory_that_others_may_write_to(pool: Pool) -> None:
    (pool.directory / "open").mkdir()
    os.chmod(pool.directory / "open", 0o777)
    done = run(pool, SETTINGS, "--control", "open/c.sock")
    assert done.returncode == 2
    assert "others may write to it" in done.stderr


@pytest.mark.processes
def test_sockets_with_similar_names_are_different_pools(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "1", "--control", "pool.1").ready()
    done = run(pool, SETTINGS, "--procs", "0", "--control", "pool.2")
    assert "--procs 0" in done.stderr
    other = run(pool, "nowhere.Settings", "--procs", "1", "--control", "pool.2")
    assert other.returncode == 4  # it got as far as that: nobody holds its lock
    assert pool.stop() == 0


@pytest.mark.processes
def test_an_answer_is_all_that_is_printed(pool: Pool) -> None:
    """Settings may print; a monitor reads JSON from stdout."""
    (pool.directory / "noisy.py").write_text("print('hello')\nfrom app import Settings\n")
    pool.start("--procs", "1", *ON, settings="noisy.Settings").ready()
    done = run(pool, "noisy.Settings", *ON, "--check", "--json")
    assert done.stdout.startswith("{")
    assert "hello" in done.stderr
    assert ctl(pool, "status", "--json").stdout.startswith("{")
    assert pool.stop() == 0


@pytest.mark.processes
def test_a_check_does_not_wait_for_slow_settings(pool: Pool) -> None:
    (pool.directory / "slow.py").write_text("import time\ntime.sleep(60)\n")
    done = run(pool, "slow.Settings", "--control", "off", "--check")
    assert done.returncode == 4
    assert "the import took longer than" in done.stderr


def in_shell(pool: Pool, command: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in the pool's directory."""
    return subprocess.run(
        ["bash", "-c", command],
        env=pool.environ,
        cwd=pool.directory,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.processes
@pytest.mark.parametrize("redirection", [">/dev/full", "| true", ">&-", "2>&-"])
def test_wherever_the_answer_goes_there_is_no_traceback(pool: Pool, redirection: str) -> None:
    pool.start("--procs", "1", *ON).ready()
    for question, code in (
        ("--check --local", 0),
        ("--ctl status", None),
        ("--ctl status --name nobody", None),
    ):
        command = (
            f"{sys.executable} -m supervisor app.Settings --control control/c.sock {question} {redirection}"
        )
        done = in_shell(pool, command)
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr
        assert code is None or done.returncode == code
    assert pool.stop() == 0


@pytest.mark.processes
def test_an_answer_that_can_not_be_written_is_no_answer(pool: Pool) -> None:
    command = f"{sys.executable} -m supervisor app.Settings --print-unit >/dev/full"
    done = in_shell(pool, command)
    assert done.returncode == 1
    assert done.stderr.endswith("arq-supervise: can not write the answer: No space left on device\n")
