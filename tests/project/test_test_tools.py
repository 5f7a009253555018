"""The test tools themselves: a check that can not fail is worse than none."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support import leaks
from tests.support.eventually import PATIENCE_S, NeverHappenedError, wait_until, wait_until_async
from tests.support.servers import HOST, NoServerError, RedisServer, find_binary, running_server


def impatient_client(server: RedisServer, **kwargs: float) -> redis.Redis:
    return redis.Redis(host=HOST, port=server.port, retry=Retry(NoBackoff(), 0), **kwargs)  # type: ignore[arg-type]


def test_wait_until_returns_what_it_waited_for() -> None:
    values = iter([0, "", 7])
    assert wait_until(lambda: next(values)) == 7


def test_wait_until_names_what_never_happened() -> None:
    with pytest.raises(NeverHappenedError, match=r"still not after 0\.01 s: pigs fly"):
        wait_until(lambda: False, 0.01, "pigs fly")


async def test_wait_until_async_takes_functions_and_coroutines() -> None:
    async def soon() -> str:
        return "now"

    assert await wait_until_async(soon) == "now"
    assert await wait_until_async(lambda: 3) == 3
    with pytest.raises(NeverHappenedError):
        await wait_until_async(lambda: 0, 0.01)


def test_a_stopped_server_keeps_its_data_and_port() -> None:
    with running_server() as server, impatient_client(server) as client:
        client.set("key", "value")
        server.stop()
        with pytest.raises(redis.ConnectionError):
            client.get("key")
        server.start()
        assert client.get("key") == b"value"


def test_a_durable_server_keeps_its_data_when_killed() -> None:
    with running_server(durable=True) as server, impatient_client(server) as client:
        client.set("key", "value")
        server.kill()
        server.start()
        assert client.get("key") == b"value"


def test_a_paused_server_answers_nothing_until_resumed() -> None:
    with running_server() as server:
        with impatient_client(server, socket_timeout=0.1) as client:
            server.pause()
            with pytest.raises(redis.TimeoutError):
                client.ping()
            server.resume()
        with redis.Redis(host=HOST, port=server.port) as client:
            assert client.ping()
        with redis.Redis(unix_socket_path=str(server.unix_socket)) as client:
            assert client.ping()


def test_an_unknown_server_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARQ_TEST_SERVER", "memcached")
    with pytest.raises(NoServerError, match="use valkey or redis"):
        find_binary()


def test_keys_without_expiry_are_found(redis_client: redis.Redis) -> None:
    redis_client.set("arq:result:a", "1")
    redis_client.set("arq:result:b", "1", ex=60)
    redis_client.set("arq:result:wanted", "1")
    redis_client.zadd("arq:queue", {"a": 1})
    redis_client.zadd("my_queue", {"a": 1})
    redis_client.rpush("my_queue:wake", "1")
    assert leaks.immortal_keys(redis_client, ["arq:result:w*"]) == ["arq:result:a", "my_queue:wake"]
    redis_client.flushall()


def test_a_child_left_behind_is_found() -> None:
    before = leaks.child_pids()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert str(child.pid) in leaks.leftover_children(before, 0.01)[0]
    finally:
        child.communicate(b"\n")
    assert leaks.leftover_children(before) == []


@pytest.mark.skipif(not leaks.open_files(), reason="this system does not list open files")
def test_an_open_file_is_found() -> None:
    before = leaks.open_files()
    fd = os.open(os.devnull, os.O_RDONLY)
    try:
        assert leaks.leaked_files(before) == [f"{fd} -> /dev/null"]
    finally:
        os.close(fd)
    assert leaks.leaked_files(before) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_a_server_dies_with_whoever_started_it(tmp_path: Path) -> None:
    code = "from tests.support.servers import *; print(RedisServer().start().port, flush=True); input()"
    starter = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    assert starter.stdout is not None
    port = int(starter.stdout.readline())
    with starter, redis.Redis(host=HOST, port=port, retry=Retry(NoBackoff(), 0)) as client:
        assert client.ping()
        starter.kill()

        def refused() -> bool:
            try:
                return not client.ping()
            except redis.ConnectionError:
                return True

        wait_until(refused)


LEAVES_SOMETHING = """
import os, pathlib, subprocess, sys, time

def test_that_is_broken_off():
    code = "import os, time; os.fork() and os._exit(0); os.setsid(); print(os.getpid(), flush=True); time.sleep(600)"
    other = subprocess.Popen(["sleep", "600"])
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as daemon:
        left = daemon.stdout.readline().decode()
        pathlib.Path("pids.new").write_text(f"{other.pid} {left}")
        os.rename("pids.new", "pids")
        time.sleep(600)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/environ"), reason="this system tells no environments")
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_broken_off_leaves_no_process(tmp_path: Path, signum: signal.Signals) -> None:
    (tmp_path / "test_it.py").write_text(LEAVES_SOMETHING)
    words = [sys.executable, "-m", "pytest", "-q", "-p", "tests.support.sweeper", "--rootdir=.", "test_it.py"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL) as run:
        wait_until((tmp_path / "pids").exists, what="processes to leave")
        pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
        assert all(psutil.pid_exists(pid) for pid in pids)
        run.send_signal(signum)
        run.wait(PATIENCE_S)
        wait_until(lambda: not any(map(is_alive, pids)), what="no process")


def is_alive(pid: int) -> bool:
    """Zombies do not count."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


TAKES_TURNS = """
import pathlib, pytest
from tests.support.eventually import NeverHappenedError, wait_until

NAME = pathlib.Path(__file__).stem

def test_together():
    pathlib.Path(f"{NAME}.together").touch()
    wait_until(lambda: len(list(pathlib.Path().glob("*.together"))) == 2)

@pytest.mark.alone
def test_alone():
    here = pathlib.Path(f"{NAME}.alone")
    here.touch()
    with pytest.raises(NeverHappenedError):
        wait_until(lambda: len(list(pathlib.Path().glob("*.alone"))) == 2, 0.5)
    here.unlink()
"""


@pytest.mark.slow
def test_tests_of_several_processes_run_together_but_for_those_that_run_alone(tmp_path: Path) -> None:
    for name in ("test_one.py", "test_two.py"):
        (tmp_path / name).write_text(TAKES_TURNS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = alone\n")
    words = ["-p", "tests.support.turns", "-p", "no:asyncio", "-n", "2", "--dist", "loadfile"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", *words]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "4 passed" in done.stdout, done.stdout + done.stderr
