"""The Redis of one scene: private, on loopback, with the data kept over a restart."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from benchmarks.faults.waiting import wait
from benchmarks.server import find_binary


class Broker:
    """Starts with the scene; `stop` and `start` are an outage after which all data is there again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.port = free_port()
        self.dsn = f"redis://127.0.0.1:{self.port}"
        self.client = redis.Redis(port=self.port, retry=Retry(NoBackoff(), 0))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Of the server, while it runs."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Return when it answers."""
        options = {"port": str(self.port), "bind": "127.0.0.1", "dir": str(self._directory), "save": "",
                   "appendonly": "no"}  # fmt: skip
        words = [word for key, value in options.items() for word in (f"--{key}", value)]
        self._process = subprocess.Popen([find_binary(), *words], stdout=subprocess.DEVNULL)
        if wait(self._answers, 10) is None:
            raise RuntimeError("the Redis server did not start")

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.ConnectionError:
            return False

    def stop(self) -> None:
        """Write the data to disk and end."""
        if self._process:
            self.client.shutdown(save=True)
            self._process.wait(20)
            self._process = None

    def close(self) -> None:
        """End it without ceremony."""
        self.client.close()
        if self._process:
            self._process.kill()
            self._process.wait(20)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
