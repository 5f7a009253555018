"""`--web`: a dashboard beside the pool, that the pool never notices."""

import contextlib
import http.client
import json
import signal
import socket
from pathlib import Path
from typing import Any

import psutil
import pytest

from supervisor.exit_codes import ExitCode
from tests.supervisor.commands import ON, ctl, run
from tests.supervisor.endpoints import get
from tests.supervisor.harness import Pool, Queue
from tests.support.eventually import wait_until
from tests.support.servers import free_port

pytestmark = pytest.mark.processes
ANY = ("--web", "127.0.0.1:0")
TOKEN = "a token of some thirty-six characters"


def address_of(pool: Pool) -> str:
    address: str = pool.wait_event("web.listening")["address"]
    return address


def web_pid(pool: Pool, n: int = 1) -> int:
    pid: int = pool.wait_event("child.ready", n, role="web")["pid"]
    return pid


def status_as(address: str, host: str) -> int:
    """The answer to somebody for whom it is at this host."""
    with contextlib.closing(http.client.HTTPConnection(address)) as client:
        client.request("GET", "/", headers={"Host": host})
        return client.getresponse().status


def overview(address: str) -> dict[str, Any] | None:
    status, text = get(address, "/index.json")
    return json.loads(text) if status == 200 else None


def test_it_shows_the_workers_redis_and_is_replaced_when_it_dies(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "1", *ANY).ready()
    address, workers = address_of(pool), pool.workers()
    queue.result(queue.put("echo", 1))
    wait_until(lambda: overview(address), what="the dashboard knows the queue")
    first = web_pid(pool)
    pool.kill(first)
    assert web_pid(pool, 2) != first
    wait_until(lambda: overview(address), what="it is there again, at the same address")
    pool.kill(web_pid(pool, 2), signal.SIGSTOP)
    assert queue.result(queue.put("echo", 2)) == 2
    assert pool.workers() == workers
    assert pool.stop() == 0


def test_it_has_no_user_code(pool: Pool, queue: Queue) -> None:
    (pool.directory / "noting.py").write_text(
        "import os\nfrom app import Settings\nopen(f'pid-{os.getpid()}', 'w')\n"
    )
    pool.start("--procs", "1", *ANY, settings="noting.Settings").ready()
    wait_until(lambda: overview(address_of(pool)), what="the dashboard works")
    assert [path.name for path in pool.directory.glob("pid-*")] == [f"pid-{pool.workers()[0]}"]
    assert pool.stop() == 0


def test_without_redis_it_says_what_it_waits_for(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "1", *ANY, TEST_PORT=str(free_port()))
    pool.wait_event("tempfail")
    status, text = get(address_of(pool), "/")
    assert (status, "No worker has been ready yet" in text) == (503, True)
    assert pool.stop() == 0


def test_a_viewer_who_says_nothing_does_not_hold_up_a_stop(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "1", *ANY).ready()
    host, port = address_of(pool).split(":")
    wait_until(lambda: overview(f"{host}:{port}"), what="the dashboard works")
    with socket.create_connection((host, int(port))) as viewer:
        viewer.sendall(b"GET / HTTP/1.1\r\nHost: local")
        assert pool.stop() == 0
    assert not pool.events("child.signal")
    with contextlib.closing(socket.socket()) as later, pytest.raises(ConnectionRefusedError):
        later.connect((host, int(port)))


def test_status_tells_where_it_is(pool: Pool, queue: Queue) -> None:
    """And a proxy may call it by another name."""
    named = ("--web-origin", "https://ops.example.com, https://other.example.com")
    pool.start("--procs", "1", *ANY, *ON, *named, "--start-method", "exec").ready()
    address, pid = address_of(pool), web_pid(pool)
    wait_until(lambda: overview(address), what="the dashboard works, in an interpreter of its own as well")
    assert {name: status_as(address, name) for name in ("other.example.com", "evil.example.com")} == {
        "other.example.com": 200,
        "evil.example.com": 403,
    }
    assert f"dashboard http://{address}/  pid {pid}  ready" in ctl(pool, "status").stdout
    (web,) = [
        one for one in json.loads(ctl(pool, "status", "--json").stdout)["helpers"] if one["role"] == "web"
    ]
    assert (web["address"], web["pid"], web["state"]) == (address, pid, "ready")
    assert f"http://{address}/" in ctl(pool, "top").stdout
    assert pool.stop() == 0


def test_it_is_the_first_to_go_when_memory_is_short(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "1", *ANY).ready()

    def score(pid: int) -> int:
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text())

    assert score(web_pid(pool)) > score(pool.workers()[0])
    assert psutil.Process(web_pid(pool)).nice() > psutil.Process(pool.workers()[0]).nice()
    assert pool.stop() == 0


@pytest.mark.parametrize(
    ("words", "token", "said"),
    [
        (("--web", "0.0.0.0:0"), "", "needs ARQ_WEB_TOKEN"),
        (("--web", "127.0.0.1:0", "--web-allow", "retry"), "", "--web-allow needs ARQ_WEB_TOKEN"),
        (("--web", "127.0.0.1:0", "--web-allow", "everything"), TOKEN, "'everything'"),
        (("--web", "127.0.0.1:0"), "short", "32"),
        (("--web", "127.0.0.1:0", "--web-allow", "all"), " ", "32"),
        (("--web", "8800"), "", "HOST:PORT"),
        (("--web-allow", "retry"), "", "together with --web"),
        (("--web-origin", "https://ops.example.com"), "", "together with --web"),
        (("--web", "127.0.0.1:0", "--web-origin", "https://ops.example.com,ops"), "", "'ops' is no origin"),
        (("--web", "no-such-host.invalid:80"), TOKEN, "no-such-host.invalid"),
    ],
)
def test_what_can_not_be_is_one_line_before_anything_starts(
    pool: Pool, words: tuple[str, ...], token: str, said: str
) -> None:
    done = run(pool, "app.Settings", *ON, *words, **({"ARQ_WEB_TOKEN": token} if token else {}))
    assert done.returncode == ExitCode.USAGE
    (line,) = done.stderr.splitlines()
    assert said in line


def test_an_address_that_is_taken_is_one_line(pool: Pool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run(pool, "app.Settings", *ON, "--web", address)
    assert done.returncode == ExitCode.USAGE
    (line,) = done.stderr.splitlines()
    assert f"can't listen on {address}: address already in use" in line
