"""`--embedded-redis` is its user's alone, and keeps what it is told to keep."""

import os
import signal
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import redis

from arq.connections import RedisSettings
from supervisor.control.trusted_paths import UnsafeDirectoryError, prepare_data, prepare_private
from tests.supervisor.harness import Pool, Queue
from tests.support.eventually import wait_until

pytestmark = pytest.mark.processes

NOBODY = 65534
APP = """
import asyncio, os

async def until_told(ctx):
    while not os.path.exists('gate'):
        await asyncio.sleep(0.02)
    return 'told'

async def echo(ctx, value):
    return value

class Settings:
    functions = [until_told, echo]
"""
PING = """
import os, socket, sys
os.setgroups([])
os.setuid(int(sys.argv[1]))
with socket.socket(socket.AF_UNIX) as sock:
    try:
        sock.connect(sys.argv[2])
        sock.sendall(b"PING\\r\\n")
        print(sock.recv(100))
    except OSError as error:
        print(error)
"""
DATA = ("--embedded-redis-dir", "data")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


def start(pool: Pool, *options: str, temporary: str = "") -> str:
    """A pool with a server of its own; returns its address."""
    (pool.directory / "plain.py").write_text(APP)
    n = len(pool.events("pool.ready")) + 1
    words = ("--procs", "1", "--embedded-redis", *options)
    pool.start(*words, settings="plain.Settings", TMPDIR=temporary or str(pool.directory))
    pool.wait_event("pool.ready", n=n)
    return str(pool.events("supervisor.start")[-1]["redis"])


def queue_at(dsn: str) -> Queue:
    return Queue(RedisSettings.from_dsn(dsn))


def path_of(dsn: str) -> Path:
    return Path(str(RedisSettings.from_dsn(dsn).unix_socket_path))


def server_of(pool: Pool) -> psutil.Process:
    guardian = psutil.Process(pool.events("child.ready", role="redis")[-1]["pid"])
    return wait_until(guardian.children, what="a server")[0]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_nobody_else_can_reach_it_or_read_its_files(pool: Pool) -> None:
    dsn = start(pool, *DATA)
    assert queue_at(dsn).result(queue_at(dsn).put("echo", 1)) == 1
    assert not [one for one in server_of(pool).net_connections("inet") if one.status == psutil.CONN_LISTEN]
    data = pool.directory / "data"
    assert mode_of(path_of(dsn).parent) == mode_of(data) == 0o700
    assert not [path for path in data.rglob("*") if mode_of(path) & 0o077]
    assert pool.stop() == 0
    assert not path_of(dsn).parent.exists()
    assert not list(data.glob("*.lock"))


@pytest.mark.parametrize("name", ["x" * 120, "a b%20#?é"], ids=["long", "odd"])
def test_wherever_temporary_files_are(pool: Pool, name: str) -> None:
    """The path of a socket may have about 100 bytes."""
    temporary = pool.directory / name
    temporary.mkdir()
    dsn = start(pool, temporary=str(temporary))
    assert queue_at(dsn).result(queue_at(dsn).put("echo", 1)) == 1
    assert path_of(dsn).parent.is_dir()
    assert pool.stop() == 0
    assert not path_of(dsn).parent.exists()
    assert not list(temporary.iterdir())


@needs_root
def test_another_user_is_not_let_in(pool: Pool) -> None:
    dsn = start(pool, temporary="/tmp")
    said = {}
    for uid in (0, NOBODY):
        words = [sys.executable, "-c", PING, str(uid), str(path_of(dsn))]
        said[uid] = subprocess.run(words, check=False, capture_output=True, text=True).stdout
    assert "PONG" in said[0]
    assert "Permission denied" in said[NOBODY]
    assert pool.stop() == 0


def test_files_that_others_could_read_are_closed_to_them(pool: Pool) -> None:
    folder = pool.directory / "data" / "appendonlydir"
    folder.mkdir(parents=True, mode=0o755)
    start(pool, *DATA)
    assert mode_of(folder) == 0o700
    assert pool.stop() == 0


def test_what_was_written_is_there_after_a_kill_of_everybody(pool: Pool) -> None:
    dsn = start(pool, *DATA)
    job_id = queue_at(dsn).put("echo", 3)
    assert queue_at(dsn).result(job_id) == 3
    for pid in (server_of(pool).pid, pool.events("child.ready", role="redis")[0]["pid"], pool.pid):
        with suppress(ProcessLookupError):  # each ends with the one before it
            pool.kill(pid)
    pool.wait()
    pool.wait_gone()
    again = start(pool, *DATA)
    assert queue_at(again).result(job_id) == 3
    assert pool.stop() == 0


def test_a_socket_that_somebody_removes_is_there_again_with_what_was_in_the_server(pool: Pool) -> None:
    dsn = start(pool)
    job_id = queue_at(dsn).put("until_told")
    pool.wait_started(job_id)
    waiting = queue_at(dsn).put("echo", 2, _defer_by=3600)
    for path in path_of(dsn).parent.iterdir():
        path.unlink()
    path_of(dsn).parent.rmdir()
    wait_until(path_of(dsn).exists, what="the socket")
    pool.open_gate()
    assert queue_at(dsn).result(job_id) == "told"
    with redis.Redis.from_url(dsn) as client:
        assert client.zscore("arq:queue", waiting)
    assert not list(path_of(dsn).parent.glob("*.rdb"))
    assert not pool.events("child.exit")
    assert pool.stop() == 0
    assert not path_of(dsn).parent.exists()


def test_a_lock_that_is_a_link_is_not_followed(pool: Pool) -> None:
    (pool.directory / "precious").write_text("precious")
    (pool.directory / "data").mkdir(mode=0o700)
    (pool.directory / "data" / "arq-supervise.lock").symlink_to(pool.directory / "precious")
    (pool.directory / "plain.py").write_text(APP)
    assert pool.start("--embedded-redis", *DATA, settings="plain.Settings").wait() == 3
    assert "arq-supervise.lock is a symbolic link: remove it" in pool.text()
    assert (pool.directory / "precious").read_text() == "precious"


def test_two_pools_do_not_share_a_directory_whose_lock_was_removed(pool: Pool) -> None:
    start(pool, *DATA)
    first = pool.process
    pool.signal(signal.SIGSTOP)
    guardian = pool.events("child.ready", role="redis")[0]["pid"]
    pool.kill(guardian, signal.SIGSTOP)  # it would make the lock anew
    (pool.directory / "data" / "arq-supervise.lock").unlink()
    assert pool.start("--embedded-redis", *DATA, settings="plain.Settings").wait() == 7
    pool.process = first
    pool.kill(guardian, signal.SIGCONT)
    pool.signal(signal.SIGCONT)
    assert pool.stop() == 0


def test_why_the_server_can_not_start_is_in_its_own_words(pool: Pool) -> None:
    start(pool, *DATA)
    assert pool.stop() == 0
    manifest = next((pool.directory / "data" / "appendonlydir").glob("*.manifest"))
    manifest.write_text("nonsense\n")
    assert pool.start("--embedded-redis", *DATA, settings="plain.Settings").wait() == 3
    assert "manifest" in pool.text().splitlines()[-1]


@pytest.mark.parametrize(
    ("mode", "owner"), [(0o777, 0), (0o1777, 0), (0o700, NOBODY), (0o755, NOBODY)], ids=str
)
@needs_root
def test_a_directory_that_others_can_write_to_is_refused(tmp_path: Path, mode: int, owner: int) -> None:
    directory = tmp_path / "data"
    directory.mkdir()
    directory.chmod(mode)
    os.chown(directory, owner, owner)
    with pytest.raises(UnsafeDirectoryError, match=f"{directory}.*name another --dir"):
        prepare_data(directory, "--dir")
    with pytest.raises(UnsafeDirectoryError, match=f"{directory} is not only ours"):
        prepare_private(directory)
    assert mode_of(directory) == mode


def test_a_mistaken_directory_is_one_line(pool: Pool) -> None:
    (pool.directory / "file").touch()
    for wanted in ("file", "file/data"):
        options = ("--embedded-redis", "--embedded-redis-dir", wanted)
        assert pool.start(*options, settings="plain.Settings").wait() == 2
        assert str(pool.directory / wanted) in pool.text().splitlines()[-1] or wanted in pool.text()
    assert len(pool.text().splitlines()) == 2
