"""`arq web` as a process: its options, its prefix, how it ends; and clients that are slow, many or greedy."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from arq._web import server as server_module
from arq.connections import RedisSettings
from arq.web import dashboard
from tests.arq.redis.operators import run_command
from tests.support.programs import ROOT, Program, program_starter
from tests.support.servers import RedisServer

ADDRESS = re.compile(r"the dashboard is at (http://\S+) ")
TOKEN = "0123456789abcdef0123456789abcdef-x"


@pytest.fixture
def program(redis_server: RedisServer, tmp_path: Path) -> Iterator[Callable[..., Program]]:
    with program_starter(tmp_path, {"ARQ_REDIS": redis_server.dsn}) as start:
        yield start


def address_of(started: Program) -> str:
    started.printed("the dashboard is at")
    found = ADDRESS.search(started.stderr)
    assert found is not None
    return found[1]


def get(address: str, **headers: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.processes
def test_the_command(program: Callable[..., Program]) -> None:
    """It listens on this machine, says where, shows and does nothing; SIGTERM ends it with 0."""
    started = program("-m", "arq", "web", "--port", "0", "-q", "mails", "--title", "staging <1>")
    address = address_of(started)
    assert address.startswith("http://127.0.0.1:")
    status, page = get(address)
    assert (status, "staging &lt;1&gt;" in page, "read-only" in page) == (200, True, True)
    assert json.loads(get(f"{address}jobs.json")[1])["queue"] == "mails"
    assert get(address, Host="evil.example")[0] == 403
    assert started.stop() == 0
    assert started.stderr.count("\n") == 1


@pytest.mark.processes
def test_behind_a_proxy_at_a_prefix(program: Callable[..., Program], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the proxy takes the prefix away or not; Ctrl-C ends it with 130."""
    monkeypatch.setenv("ARQ_WEB_TOKEN", TOKEN)
    started = program("-m", "arq", "web", "--port", "0", "--prefix", "/ops/arq/", "--allow", "retry,delete")
    address = address_of(started)
    bearer = {"Authorization": f"Bearer {TOKEN}"}
    root = address.removesuffix("ops/arq/")
    for path in ("ops/arq/jobs", "jobs"):
        status, page = get(root + path, **bearer)
        assert status == 200
        assert 'href="/ops/arq/queues' in page
        assert "allowed: delete, retry" in page
    assert get(f"{address}jobs")[0] == 401
    assert started.stop(signal.SIGINT) == 130


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--host", "0.0.0.0"], "needs --token or ARQ_WEB_TOKEN"),
        (["--allow", "all"], "--allow needs --token"),
        (["--token", "short"], "the token has 5 characters"),
        (["--token", TOKEN, "--allow", "fly"], "there is no right 'fly'"),
        (["--host", "nowhere.invalid", "--token", TOKEN], "can't listen at nowhere.invalid:8800"),
        (["--prefix", "/a?b"], "is no path"),
        (["--origin", "ops"], "is no origin"),
        (["-q", "arq:leases"], "can't be the name of a queue"),
        (["--refresh", "0.1"], "--refresh"),
    ],
)
def test_mistakes_are_told_in_a_line(words: list[str], reason: str) -> None:
    done = run_command("web", *words)
    assert (done.code, reason in done.err, done.err.count("\n")) == (2, True, 1), done.err


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run_command("web", "--port", str(taken.getsockname()[1]))
    assert (done.code, "can't listen at 127.0.0.1" in done.err) == (2, True)


@pytest.mark.processes
def test_only_the_dashboard_needs_its_libraries() -> None:
    """And where they are missing, it says so in a line."""
    code = """
import sys
sys.modules.update(dict.fromkeys(("starlette", "jinja2", "uvicorn", "markupsafe")))
import arq, arq.worker, arq.admin, arq.cli
from arq._commands import COMMANDS
from arq._commands.operators import operators
for name in COMMANDS: assert operators.get_command(None, name)
try:
    import arq.web
except ImportError as exc:
    assert "pip install 'arq[web]'" in str(exc), exc
else:
    raise SystemExit("it was imported")
operators.main(["web"], prog_name="arq")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert re.fullmatch(
        r"arq: `arq web` needs \w+, which is not installed: pip install 'arq\[web\]'\n", done.stderr
    )


# ---------------------------------------------------------------- clients


@pytest.fixture
async def port(redis_settings: RedisSettings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[int]:
    """Of a server that has little patience."""
    for name, value in {"IDLE_S": 0.2, "ANSWER_S": 20.0, "_LOOK_S": 0.05, "MOST_CONNECTIONS": 5}.items():
        monkeypatch.setattr(server_module, name, value)
    app = dashboard(redis_settings)
    found = server_module.server(app)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(found.serve(sockets=[listener]))
        yield listener.getsockname()[1]
        found.should_exit = True
        await serving
    await app.aclose()


async def is_hung_up(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(60):
            while await reader.read(65_536):
                pass
    except ConnectionError:
        pass
    return True


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: loc", b"POST /act HTTP/1.1\r\n"])
async def test_a_client_that_sends_no_whole_request_is_hung_up_on(port: int, sent: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    assert await is_hung_up(reader)
    writer.close()


async def test_a_head_that_never_ends(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\n" + b"X: " + b"x" * 200_000)
    answer = await reader.read(65_536)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431"))
    writer.close()


async def test_too_many_connections(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are too many are closed at once; those that were there are served."""
    monkeypatch.setattr(server_module, "IDLE_S", 60.0)
    with ExitStack() as stack:
        clients = []
        for _ in range(5):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            writer.write(b"GET /static/icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            clients.append((reader, writer))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        stack.callback(writer.close)
        assert await is_hung_up(reader)
        reader, writer = clients[0]
        await reader.readuntil(b"</svg>")
        writer.write(b"GET /static/icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"HTTP/1.1 200")
