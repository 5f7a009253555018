"""The units in systemd/ are what `--print-unit` prints for an application in /srv/app, and what it prints elsewhere."""

import os
import pwd
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.commands.installation import owner
from supervisor.commands.unit_text import EXAMPLE, Unit, exec_word, literal, program_word, render
from supervisor.options import Options
from tests.support.programs import ROOT

pytestmark = pytest.mark.slow  # a whole process for most of them

FOLDER = ROOT / "systemd"
SETTINGS = """
async def job(ctx): pass
class Settings:
    functions = [job]
    job_completion_wait = 33
class Silent:
    functions = [job]
class Empty:
    functions = []
"""


@pytest.fixture
def application(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(SETTINGS)
    return tmp_path


def ask(directory: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """`arq-supervise --print-unit ...` in this directory."""
    environment = {**os.environ, "PYTHONPATH": f"{directory}{os.pathsep}{ROOT}", **environ}
    command = [sys.executable, "-m", "supervisor", "--print-unit", *words]
    return subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False, timeout=60
    )


def values(text: str) -> dict[str, str]:
    """The last assignment of each name."""
    return dict(line.split("=", 1) for line in text.splitlines() if re.match(r"[A-Z]\w+=", line))


# --- the files ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "is_template"), [("arq-supervise.service", False), ("arq-supervise@.service", True)]
)
def test_units_are_up_to_date(name: str, is_template: bool) -> None:
    unit = replace(EXAMPLE, words=()) if is_template else EXAMPLE
    assert (FOLDER / name).read_text() == render(unit, is_template)


def test_units_name_each_other() -> None:
    template = (FOLDER / "arq-supervise@.service").read_text()
    assert "PartOf=arq-supervise.target" in template
    assert "WantedBy=arq-supervise.target" in template
    assert "Slice=arq.slice" in template
    assert (FOLDER / "arq-supervise.target").exists()
    assert (FOLDER / "arq.slice").exists()
    assert f"u {EXAMPLE.user} " in (FOLDER / "arq.sysusers").read_text()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.service")), ids=lambda path: path.name)
def test_every_directive_has_its_reason(path: Path) -> None:
    """Directives in a row share the comment above the first; none is without one."""
    explained = False
    for line in path.read_text().partition("[Service]")[2].splitlines():
        explained = line.startswith("#") or (explained and bool(line))
        plain = line.startswith(("User=", "[Install]", "WantedBy=")) or not line
        assert explained or plain or line.startswith(("Group=", "WorkingDirectory=", "ExecStart=")), line


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.service")), ids=lambda path: path.name)
def test_the_exposure_is_small(path: Path) -> None:
    """Under a booted systemd, `make test-systemd` looks at the same."""
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=15", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


# --- what is worked out ---------------------------------------------------------------------------------------


def test_the_time_to_stop_follows_from_the_settings(application: Path) -> None:
    done = ask(application, "shop.Settings", "--name", "shop")
    assert (done.returncode, values(done.stdout)["TimeoutStopSec"]) == (
        0,
        "63",
    )  # 33 + 10, 5 + 5, 10 to spare
    assert "job_completion_wait (33 s)" in done.stdout
    silent = ask(application, "--settings", "shop.Silent")
    assert values(silent.stdout)["TimeoutStopSec"] == "40"  # supervised workers give jobs 10 s


def test_a_stop_without_a_limit(application: Path) -> None:
    (application / "endless.py").write_text(
        "import math, shop\nclass Settings(shop.Settings):\n    job_completion_wait = math.inf\n"
    )
    done = ask(application, "endless.Settings")
    assert (done.returncode, values(done.stdout)["TimeoutStopSec"]) == (0, "infinity")
    assert "job_completion_wait has no limit" in done.stdout
    limited = ask(application, "endless.Settings", "--graceful-timeout", "20")
    assert values(limited.stdout)["TimeoutStopSec"] == "40"


def test_what_the_settings_print_is_no_part_of_the_unit(application: Path) -> None:
    (application / "loud.py").write_text("print('hello')\nfrom shop import Settings\n")
    done = ask(application, "loud.Settings")
    assert "hello" in done.stderr
    assert "hello" not in done.stdout


def test_options_of_the_pool_are_carried_into_the_unit(application: Path) -> None:
    words = ("shop.Settings", "--name", "shop", "-p", "3", "--graceful-timeout", "100", "--kill-timeout", "2.5",
             "--boot-timeout", "20", "--no-uvloop", "--watch-ignore", "*.a b", "--watch-ignore", "50%",
             "--control", "/run/$x/s", "--log-level", "warning")  # fmt: skip
    text = ask(application, *words).stdout
    start = values(text)["ExecStart"]
    assert start.endswith(
        "shop.Settings --name shop --log-format json --child-oom-score-adj 200 --procs 3 --boot-timeout 20"
        ' --graceful-timeout 100 --kill-timeout 2.5 --watch-ignore "*.a b" --watch-ignore 50%%'
        " --control /run/$$x/s --log-level warning --no-uvloop"
    )
    assert values(text)["ExecReload"].endswith(" --ctl reload --wait --name shop --control /run/$$x/s")
    assert values(text)["TimeoutStopSec"] == "115"
    assert values(text)["TimeoutStartSec"] == "60"


def test_options_out_of_the_environment_stay_there(application: Path) -> None:
    text = ask(application, "shop.Settings", ARQ_SUPERVISE_MAX_RSS="300").stdout
    assert "--max-rss" not in text


def test_system_calls_fit_the_options(application: Path) -> None:
    assert "SystemCallFilter=~@privileged @resources" in ask(application, "shop.Settings").stdout
    spread = ask(application, "shop.Settings", "--cpu-affinity", "spread").stdout
    assert "SystemCallFilter=~@privileged\n" in spread


def test_a_template_needs_no_settings(application: Path) -> None:
    done = ask(application, "--template")
    assert (done.returncode, done.stderr.count("\n") <= 1) == (0, True)
    assert values(done.stdout)["ExecStart"].endswith(" ${ARQ_SETTINGS} --name %i $ARQ_SUPERVISE_OPTS")
    assert values(done.stdout)["TimeoutStopSec"] == "90"
    more = ask(application, "--template", "shop.Settings", "--log-format", "json")
    assert values(more.stdout)["ExecStart"].endswith(
        " ${ARQ_SETTINGS} --name %i --log-format json $ARQ_SUPERVISE_OPTS"
    )
    assert values(more.stdout)["TimeoutStopSec"] == "63"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ((), 2, "SETTINGS is missing"),
        (("nowhere.Settings",), 4, "cannot use 'nowhere.Settings' (ModuleNotFoundError"),
        (("shop.Nothing",), 4, "cannot use 'shop.Nothing' ("),
        (("shop.Empty",), 4, "cannot use 'shop.Empty' ("),
        (("shop.Settings", "--name", "a/b"), 2, "--name 'a/b': must be"),
        (("shop.Settings", "--procs", "0"), 2, "--procs 0: must be"),
        (("shop.Settings", "--settings", "shop.Silent"), 2, "SETTINGS is given twice"),
    ],
)
def test_bad_input_is_one_line(application: Path, words: tuple[str, ...], code: int, message: str) -> None:
    done = ask(application, *words)
    assert (done.returncode, done.stdout) == (code, "")
    (line,) = [line for line in done.stderr.splitlines() if "User=root" not in line]
    assert line.startswith(f"arq-supervise: {message}")


# --- this installation ----------------------------------------------------------------------------------------


def test_the_user_is_who_asks_or_whose_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    me = pwd.getpwuid(os.geteuid()).pw_name
    assert owner(str(tmp_path), {})[0] == me
    if os.geteuid() == 0:
        assert "User=root" in capsys.readouterr().err
        assert owner(str(tmp_path), {"SUDO_UID": "12345678", "SUDO_GID": "87654321"}) == (
            "12345678",
            "87654321",
        )
        os.chown(tmp_path, 12345678, 12345678)
        assert owner(str(tmp_path), {}) == ("12345678", "12345678")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("directory", "home", "tmp"),
    [
        ("/srv/app", "yes", "yes"),
        ("/home/me/app", "read-only", "yes"),
        ("/root", "read-only", "yes"),
        ("/homestead", "yes", "yes"),
        ("/tmp/app", "yes", "no"),
    ],
)
def test_what_is_hidden_is_not_what_is_needed(directory: str, home: str, tmp: str) -> None:
    found = values(render(replace(EXAMPLE, directory=directory), is_template=False))
    assert (found["ProtectHome"], found["PrivateTmp"]) == (home, tmp)
    assert found.get("ReadWritePaths") == (None if tmp == "yes" else "/tmp /var/tmp")


def test_the_interpreter_counts_as_well() -> None:
    unit = replace(EXAMPLE, places=("/root/.pyenv/versions/3.13.1",))
    assert values(render(unit, is_template=False))["ProtectHome"] == "read-only"


# --- quoting --------------------------------------------------------------------------------------------------


def split(text: str) -> list[str]:
    """As systemd splits a command line, after specifiers and variables."""
    words = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', text)
    return [re.sub(r"\\(.)", r"\1", quoted) if quoted or not plain else plain for quoted, plain in words]


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1))
def test_every_word_arrives_as_it_was(word: str) -> None:
    if not word.isprintable():
        with pytest.raises(ValueError, match="can not be written"):
            literal(word)
        return
    (arrived,) = split(exec_word(word))
    assert arrived.replace("$$", "$").replace("%%", "%") == word.replace("$$", "$").replace("%%", "%")
    assert "%" not in exec_word(word).replace("%%", "")
    assert "$" not in exec_word(word).replace("$$", "")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_reads_odd_paths_as_they_are(tmp_path: Path) -> None:
    program = tmp_path / "a b $HOME %n ü" / "arq-supervise"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    unit = Unit(
        "root", "root", str(program.parent), (str(program),), "shop.Settings", "shop", ("--control", "/a b")
    )
    path = tmp_path / "odd.service"
    path.write_text(render(unit, is_template=False))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False
    )
    assert [line for line in done.stderr.splitlines() if "odd.service" in line] == []


@pytest.mark.parametrize("path", ['/srv/a"b/x', "/srv/it's/x", "/srv/a\\b/x"])
def test_systemd_starts_no_such_program(path: str) -> None:
    with pytest.raises(ValueError, match="quotes or backslashes"):
        program_word(path)


@pytest.mark.parametrize("spelling", [{"reload_surge": 0}, {"reload_order": "stop-first"}])
def test_a_start_may_take_longer_where_each_worker_waits_for_its_spare(spelling: dict[str, Any]) -> None:
    stop_first = replace(EXAMPLE, options=Options("app.Settings", **spelling))
    assert stop_first.start_s == 2 * EXAMPLE.start_s
    assert f"TimeoutStartSec={stop_first.start_s:.0f}\n" in render(stop_first, is_template=False)


def test_a_line_break_is_refused() -> None:
    with pytest.raises(ValueError, match="can not be written into a unit"):
        render(replace(EXAMPLE, directory="/srv/a\nUser=root"), is_template=False)


def test_a_frozen_program_is_started_as_it_is(tmp_path: Path) -> None:
    """With the subcommand that leads to ours, and without options of Python."""
    (tmp_path / "shop.py").write_text("async def f(ctx): pass\nclass Settings: functions = [f]\n")
    (tmp_path / "program.py").write_text(
        "import click, sys\nsys.frozen = True\nsys.executable = '/opt/shop/shop'\nfrom supervisor.cli import cli\n"
        "group = click.Group()\ngroup.add_command(cli, 'work')\ngroup()\n"
    )
    command = [sys.executable, "program.py", "work", "shop.Settings", "--print-unit"]
    done = subprocess.run(
        command, check=False, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert "\nExecStart=/opt/shop/shop work shop.Settings --name shop.Settings " in done.stdout, done.stderr
    assert "\nExecReload=/opt/shop/shop work --ctl reload " in done.stdout
