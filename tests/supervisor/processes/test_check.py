"""`--check`, `--check --fleet`, `--ctl status` and `--ctl top` against the truth."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import redis

from supervisor.control.client import ask
from supervisor.control.protocol import Request
from tests.supervisor.commands import ON, check, run, workers
from tests.supervisor.harness import ROOT, Pool, Queue, pool_in
from tests.support.eventually import PATIENCE_S, wait_until
from tests.support.servers import running_server

pytestmark = pytest.mark.processes

# keys live for three times as long: until somebody has looked at them
LASTING = ("--health-interval", "2")


def test_a_healthy_pool_and_one_with_a_dead_worker(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "2", *ON, "--backoff-base", "600", "--backoff-max", "600").ready()
    queue.result(queue.put("echo"))
    wait_until(
        lambda: sum(worker["jobs"]["complete"] for worker in workers(pool)) == 1, what="the job is counted"
    )
    code, report = check(pool, "--strict")
    assert (code, report["status"]) == (0, "ok")
    assert report["supervisor"]["pid"] == pool.pid
    assert report["redis"]["reachable"]
    assert {worker["pid"] for worker in report["workers"]} == set(pool.workers().values())
    pool.kill(pool.workers()[1])
    pool.wait_event("child.exit")
    code, report = check(pool)
    assert (code, report["status"]) == (0, "degraded")
    assert check(pool, "--strict")[0] == 1
    text = run(pool, "app.Settings", *ON, "--check").stdout.splitlines()
    assert text[0].startswith("DEGRADED  pool app.Settings@")
    assert any(re.fullmatch(r" FAIL slot 1 pid -    backoff \d+s \(SIGKILL x1\)", line) for line in text)
    assert "problem: slot 1: no fresh heartbeat" in text
    table = run(pool, *ON, "--ctl", "status").stdout.splitlines()
    assert re.search(r"^1 .* backoff .* SIGKILL \d+s ago$", table[3])
    assert report["supervisor"]["last_reload"] is None
    pool.signal(signal.SIGHUP)
    pool.wait_event("reload.done")
    reload = check(pool)[1]["supervisor"]["last_reload"]
    assert (reload["ok"], reload["error"]) == (True, None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", reload["at"])
    assert pool.stop() == 0


def test_from_another_host_without_the_application(pool: Pool, redis_client: redis.Redis) -> None:
    pool.start("--procs", "2", "--name", "shop", *LASTING).ready()
    wait_until(lambda: len(redis_client.keys("arq:queue:health-check:shop:*")) == 2, what="both keys")
    url = f"redis://127.0.0.1:{pool.port}"
    (pool.directory / "app.py").write_text("raise SystemExit('must not be imported')\n")
    away = ("--control", "elsewhere.sock", "--name", "shop", "--redis-url", url, "--check", "--json")

    def ask_again() -> Any:
        """None as long as nobody is healthy: keys lapse when the machine stands still."""
        report = json.loads(run(pool, *away).stdout)
        return report if report["totals"]["fresh"] == 2 else None

    report = wait_until(ask_again, what="both are healthy")
    assert report["exit_code"] == 0
    assert [worker["slot"] for worker in report["workers"]] == [0, 1]
    assert not report["supervisor"]["reachable"]
    assert json.loads(run(pool, *away, "--procs", "3", "--strict").stdout)["exit_code"] == 1
    assert pool.stop() == 0
    gone = json.loads(run(pool, *away).stdout)
    assert gone["exit_code"] == 1


def test_f18_without_redis_the_local_check_still_says_that_it_lives(tmp_path: Path) -> None:
    with running_server() as server, pool_in(tmp_path, server.port) as pool:
        pool.start("--procs", "1", *ON).ready()
        assert check(pool)[0] == 0
        server.stop()
        pool.wait_event("redis.lost")
        assert check(pool)[0] == 1
        code, report = check(pool, "--local")
        assert (code, report["status"]) == (0, "degraded")
        server.start()
        pool.wait_event("redis.back")
        assert pool.stop() == 0


def test_nobody_to_ask(pool: Pool) -> None:
    nowhere = ("--control", "no.sock", "--name", "x", "--redis-url", "redis://127.0.0.1:1")
    done = run(pool, *nowhere, "--check")
    assert done.returncode == 3
    assert done.stdout.startswith("UNKNOWN")


@pytest.mark.parametrize("words", [("--check", "--local", "--name", "x"), ("--ctl", "status", "--name", "x")])
def test_r75_probes_import_next_to_nothing(tmp_path: Path, words: tuple[str, ...]) -> None:
    code = (
        "import sys, atexit\n"
        "heavy = {'arq', 'redis', 'uvloop', 'asyncio', 'psutil'}\n"
        "atexit.register(lambda: print('HEAVY', heavy & sys.modules.keys()))\n"
        "from _arq_supervise import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(ROOT), "XDG_RUNTIME_DIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 3
    assert "HEAVY set()" in done.stdout


@pytest.mark.parametrize("option", ["--control", "--pidfile"])
def test_a_place_that_can_not_be_written(pool: Pool, option: str) -> None:
    done = run(pool, "app.Settings", option, "/proc/nowhere/x")
    assert done.returncode == 2
    assert f"{option} /proc/nowhere/x: " in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_fleet(pool: Pool, redis_client: redis.Redis) -> None:
    pool.start("--procs", "2", "--name", "shop", *LASTING).ready()
    url = f"redis://127.0.0.1:{pool.port}"
    redis_client.zadd("arq:leases", {"shop:far:0:00000000": 1, "a-plain-worker:1:x": 9e15})
    redis_client.set("arq:queue:health-check:shop:far:0", "no health line", ex=60)

    def fleet() -> dict[str, Any]:
        report: dict[str, Any] = json.loads(
            run(pool, "--check", "--fleet", "--redis-url", url, "--json").stdout
        )
        return report

    wait_until(lambda: fleet()["healthy"] == 2, what="two healthy workers")
    wait_until(
        lambda: "2/2 healthy" in run(pool, "--check", "--fleet", "--redis-url", url).stdout,
        what="the same for people",
    )
    assert pool.stop() == 0
    assert fleet()["exit_code"] == 1


@pytest.mark.skipif(find_spec("rich") is None, reason="--ctl top needs the package rich")
def test_top_without_a_terminal_shows_one_frame(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "2", *ON).ready()
    queue.result(queue.put("echo"))
    frame = run(pool, *ON, "--ctl", "top")
    assert frame.returncode == 0
    assert "jobs/s" in frame.stdout
    assert all(str(pid) in frame.stdout for pid in pool.workers().values())
    assert pool.stop() == 0


def test_f47_strange_clients_change_nothing(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "1", *ON).ready()
    path = str(pool.directory / "control" / "c.sock")
    idle = []
    for n in range(200):
        client = socket.socket(socket.AF_UNIX)
        client.connect(path)
        if n % 4 == 1:
            client.sendall(b"\x00\xff nonsense\n")
        elif n % 4 == 2:
            client.sendall(b'{"cmd": "no such"}\n')
        elif n % 4 == 3:
            client.sendall(b"x" * 60_000)
        idle.append(client)
    big = socket.socket(socket.AF_UNIX)
    big.connect(path)
    with pytest.raises(OSError):  # noqa: PT011  # dropped after 64 KB: broken pipe or reset
        big.sendall(b"y" * 2_000_000)
    big.close()
    assert run(pool, *ON, "--ctl", "status").returncode == 0
    assert queue.result(queue.put("echo", 1)) == 1
    for client in idle:
        client.close()
    assert pool.stop() == 0


def test_f47_two_hundred_clients_at_once_are_all_answered(pool: Pool) -> None:
    pool.start("--procs", "1", *ON).ready()
    path = pool.directory / "control" / "c.sock"
    pool.kill(pool.pid, signal.SIGSTOP)  # so that they really come all at once
    with ThreadPoolExecutor(200) as everybody:
        answers = [everybody.submit(ask, path, Request("status"), timeout_s=PATIENCE_S) for _ in range(200)]
        pool.kill(pool.pid, signal.SIGCONT)
        assert all(answer.result().ok for answer in answers)
    assert pool.stop() == 0


def test_f47_a_crowd_that_says_nothing_keeps_nobody_out(pool: Pool) -> None:
    pool.start("--procs", "1", *ON).ready()
    path = pool.directory / "control" / "c.sock"
    crowd = [socket.socket(socket.AF_UNIX) for _ in range(300)]
    for one in crowd:
        one.connect(str(path))
    assert ask(path, Request("status")).ok
    for one in crowd:
        one.close()
    assert pool.stop() == 0


def test_f47_a_client_that_never_reads_is_dropped(pool: Pool) -> None:
    pool.start("--procs", "1", *ON).ready()
    path = pool.directory / "control" / "c.sock"
    before = len(os.listdir(f"/proc/{pool.pid}/fd"))
    clients = [socket.socket(socket.AF_UNIX) for _ in range(20)]
    for client in clients:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        client.connect(str(path))
        client.sendall(b'{"cmd": "status"}\n' if client is not clients[0] else b'{"cmd": "sta')
    wait_until(lambda: len(os.listdir(f"/proc/{pool.pid}/fd")) == before, what="everybody was dropped")
    for client in clients:
        client.close()
    assert pool.stop() == 0


def test_usr1_dumps_every_worker(pool: Pool) -> None:
    pool.start("--procs", "2").ready()
    pool.signal(signal.SIGUSR1)
    pool.wait_event("child.dump", n=2)
    (state,) = pool.events("supervisor.state")
    assert (state["ready"], state["procs"], state["restarts"]) == (2, 2, "0/10")
    assert {f"worker/{slot}:ready:{pid}:gen1" for slot, pid in pool.workers().items()} <= set(
        state["children"]
    )
    assert "most recent call first" in pool.text()
    assert pool.stop() == 0


def test_settings_can_be_looked_at_without_running_them(pool: Pool) -> None:
    done = run(pool, "app.Settings", "--check-settings")
    assert done.returncode == 0
    assert "functions            echo, who" in done.stdout
    (pool.directory / "broken.py").write_text("import nowhere\n")
    broken = run(pool, "broken.Settings", "--check-settings")
    assert broken.returncode == 4
    assert broken.stderr.splitlines()[-1].startswith(
        "arq-supervise: cannot use 'broken.Settings' (ModuleNotFoundError"
    )


def test_two_functions_of_one_name_are_a_mistake_in_the_settings(pool: Pool) -> None:
    (pool.directory / "alerts.py").write_text("async def echo(ctx): ...")
    (pool.directory / "twice.py").write_text(
        "import alerts, app\nclass Settings:\n    functions = [*app.Settings.functions, alerts.echo]\n"
    )
    said = "'echo' is the name of app.echo and of alerts.echo: give one of them another"
    for words in (("--check-settings",), ("--print-unit",), ("--procs", "1", "--control", "off")):
        done = run(pool, "twice.Settings", *words)
        assert done.returncode == 4, done.stderr
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("arq-supervise: cannot use")]
        assert said in line
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("template", [(), ("--template",)])
def test_f57_the_unit_file(pool: Pool, template: tuple[str, ...]) -> None:
    text = run(pool, "app.Settings", "--name", "shop", "--print-unit", *template).stdout
    assert "KillMode=mixed" in text
    assert not re.search("@[A-Z]+@", text)
    if shutil.which("systemd-analyze") is None:
        return
    unit = pool.directory / ("arq-supervise@.service" if template else "arq-supervise.service")
    unit.write_text(re.sub(r"^(Exec\w+=)\S+", r"\1/bin/true", text, flags=re.MULTILINE))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if unit.name in line]
    assert complaints == []
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
