"""One pool, one supervisor, whatever cleaners of old files do and whichever session it was started in."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.exit_codes import ExitCode
from tests.supervisor.commands import run
from tests.supervisor.harness import Pool, Queue
from tests.support.eventually import wait_until

pytestmark = pytest.mark.processes

ON = ("--control", "own/c.sock", "--pidfile", "own.pid")
SETTINGS = "app.Settings"


def is_well(pool: Pool) -> bool:
    return run(pool, "--check", "--local", "--name", SETTINGS, "--control", "own/c.sock").returncode == 0


def second(pool: Pool, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Another supervisor of the same pool; would run until it is stopped."""
    return run(pool, SETTINGS, "--procs", "1", *words, **environ)


@pytest.mark.parametrize(
    "taken", [("own/c.sock",), ("own/c.lock",), ("own/c.sock", "own/c.lock", "own.pid"), ("own",)]
)
def test_a_cleaner_takes_the_files_of_a_pool(pool: Pool, queue: Queue, taken: tuple[str, ...]) -> None:
    (pool.directory / "own").mkdir(mode=0o700)
    pool.start("--procs", "1", *ON).ready()
    for name in taken:
        path = pool.directory / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    pool.wait_event("control.anew")
    assert is_well(pool)
    assert (pool.directory / "own/c.lock").read_text() == f"{pool.pid}\n"
    if "own.pid" in taken:
        pool.wait_event("pidfile.anew")
    assert (pool.directory / "own.pid").read_text() == f"{pool.pid}\n"
    done = second(pool, "--control", "own/c.sock")
    assert done.returncode == ExitCode.TAKEN
    assert f"pid {pool.pid}" in done.stderr
    assert "--name" in done.stderr
    assert second(pool, "--control", "off", "--pidfile", "own.pid").returncode == ExitCode.TAKEN
    assert is_well(pool), "the second one has left everything as it was"
    assert queue.result(queue.put("echo", 1)) == 1
    assert pool.stop() == 0
    assert not list((pool.directory / "own").iterdir()), "no forgotten lock"
    assert not (pool.directory / "own.pid").exists()


def test_a_socket_that_answers_is_not_taken_over_without_its_lock(pool: Pool) -> None:
    """Before the first supervisor has noticed that its lock is gone."""
    pool.start("--procs", "1", *ON).ready()
    (pool.directory / "own/c.lock").unlink()
    done = second(pool, "--control", "own/c.sock")
    assert done.returncode == ExitCode.TAKEN
    assert is_well(pool)
    assert pool.stop() == 0


@pytest.fixture
def home() -> Iterator[Path]:
    """Short: the path of a socket may have 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="arq-t-") as path:
        yield Path(path)


def prepare(pool: Pool, home: Path, script: str) -> str:
    """A command for which all places are in `home`; returns the name of a pool."""
    places = (
        "paths.SESSIONS, paths.SERVICES, paths.TEMPORARY = (home / name for name in ('', 'services', 'tmp'))"
    )
    (home / "tmp").mkdir()
    (pool.directory / script).write_text(
        f"from pathlib import Path\nfrom supervisor.control import paths\nhome = Path('{home}')\n{places}\n"
        "from _arq_supervise import main\nmain()\n"
    )
    return f"t{pool.mark[:8]}"


def test_the_session_of_a_pool_ends(pool: Pool, home: Path) -> None:
    """Its directory goes at the logout; whoever asks finds the pool all the same."""
    script = "in_this_home.py"
    name = prepare(pool, home, script)
    session = home / str(os.geteuid())
    session.mkdir(mode=0o700)
    options = ("--procs", "1", "--name", name, "--control", "")
    pool.start(*options, script=script, XDG_RUNTIME_DIR=str(session), RUNTIME_DIRECTORY="").ready()
    shutil.rmtree(session)
    pool.wait_event("control.anew")
    for environ in ({}, {"XDG_RUNTIME_DIR": str(session)}):
        assert started(pool, script, name, environ, "--check", "--local").returncode == 0
        session.mkdir(mode=0o700, exist_ok=True)  # the next login
        assert started(pool, script, name, environ).returncode == ExitCode.TAKEN
    assert not session.exists() or not list((session / "arq-supervise").glob("*"))
    assert pool.stop() == 0
    assert not list((home / "tmp").rglob("*.*"))


@pytest.mark.parametrize("first", ["XDG_RUNTIME_DIR", "RUNTIME_DIRECTORY", ""])
def test_the_same_pool_in_another_session(pool: Pool, home: Path, first: str) -> None:
    """A shell after ssh has XDG_RUNTIME_DIR, cron has not."""
    script = "in_this_home.py"
    name = prepare(pool, home, script)
    environ = {"XDG_RUNTIME_DIR": f"{home}/{os.geteuid()}", "RUNTIME_DIRECTORY": f"{home}/services/{name}"}
    runtime, session = (
        environ[key] if key == first else "" for key in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR")
    )
    options = ("--procs", "1", "--name", name, "--control", "")
    pool.start(*options, script=script, RUNTIME_DIRECTORY=runtime, XDG_RUNTIME_DIR=session).ready()
    for other in ({}, *({key: value} for key, value in environ.items())):
        done = started(pool, script, name, other)
        assert done.returncode == ExitCode.TAKEN, (other, done.stderr)
        assert started(pool, script, name, other, "--check", "--local").returncode == 0
    assert pool.stop() == 0
    assert started(pool, script, name, {}, "--check", "--local").returncode == 3


def started(
    pool: Pool, script: str, name: str, environ: dict[str, str], *words: str
) -> subprocess.CompletedProcess[str]:
    """The command in a session with these variables."""
    command = [sys.executable, script, SETTINGS, "--procs", "1", "--name", name, *words]
    plain = {
        key: value
        for key, value in pool.environ.items()
        if key not in ("XDG_RUNTIME_DIR", "RUNTIME_DIRECTORY")
    }
    return subprocess.run(command, env={**plain, **environ}, cwd=pool.directory, capture_output=True, text=True,
                          timeout=60, check=False)  # fmt: skip


def test_a_foreign_file_stays_as_it_is(pool: Pool) -> None:
    """A pool called `poetry`, with its socket beside the project's files."""
    (pool.directory / "poetry.lock").write_text("[[package]]\n")
    for option in (("--control", "poetry.sock"), ("--control", "off", "--pidfile", "poetry.lock")):
        done = second(pool, *option)
        assert done.returncode == ExitCode.USAGE
        assert "stays as it is" in done.stderr
        assert done.stderr.count("\n") == 1
    assert (pool.directory / "poetry.lock").read_text() == "[[package]]\n"


@pytest.mark.skipif(os.getuid() != 0, reason="only root can play another user")
def test_the_directory_of_another_user_is_refused_in_one_line(pool: Pool) -> None:
    theirs = pool.directory / "arq-supervise"
    theirs.mkdir()
    theirs.chmod(0o1777)
    os.chown(theirs, 65534, 65534)
    done = run(pool, SETTINGS, "--procs", "1", XDG_RUNTIME_DIR=str(pool.directory))
    assert done.returncode == ExitCode.USAGE
    assert f"{theirs} belongs to another user (uid 65534)" in done.stderr
    assert "--control PATH" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(theirs.iterdir())


@pytest.mark.parametrize("question", [("--ctl", "stop"), ("--check", "--local")])
@pytest.mark.parametrize("name", ["*", "../shop", "a b", "sh?p"])
def test_a_name_that_no_pool_has_is_refused(pool: Pool, question: tuple[str, ...], name: str) -> None:
    done = run(pool, *question, "--name", name)
    assert done.returncode == ExitCode.USAGE
    assert done.stderr.startswith(f"arq-supervise: --name '{name}': must be 1 to 64 letters")


def test_where_nobody_was_found_is_said(pool: Pool, tmp_path: Path) -> None:
    done = run(pool, "--ctl", "status", "--name", "nobody", XDG_RUNTIME_DIR=str(tmp_path))
    assert done.returncode == 3
    for place in (
        f"{tmp_path}/arq-supervise",
        f"/tmp/arq-supervise-{os.geteuid()}",
        "/run/arq-supervise/nobody",
    ):
        assert place in done.stderr


def test_two_at_once(pool: Pool) -> None:
    """Of several that are started at the same time one runs."""
    words = [sys.executable, "-m", "supervisor", SETTINGS, "--procs", "1", "--control", "own/c.sock"]
    running = [
        subprocess.Popen(words, env=pool.environ, cwd=pool.directory, stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    try:
        wait_until(
            lambda: sum(one.poll() == ExitCode.TAKEN for one in running) == 3, what="three have given up"
        )
        assert is_well(pool)
    finally:
        for one in running:
            if one.poll() is None:
                one.terminate()
            one.communicate()
