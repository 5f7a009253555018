"""A master, its replica, and a sentinel that watches both."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from tests.support.eventually import PATIENCE_S, wait_until
from tests.support.servers import _DIE_WITH_PARENT, HOST, RedisServer, find_binary, free_port

MASTER = "mymaster"
# without these a replica waits five seconds for others that might come
AT_ONCE = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")
# until a test takes the master away: a machine that stands still for a moment is no reason for a fail-over
CALM_MS, IN_A_HURRY_MS = 120_000, 500
# a sentinel that was held up for two seconds does nothing for thirty; and it looks for replicas every ten
IMPATIENT = ("tilt-trigger", "60000", "tilt-period", "100", "info-period", "500")
CONFIG = f"""
port {{port}}
bind {HOST}
sentinel monitor {MASTER} {HOST} {{master}} 1
sentinel down-after-milliseconds {MASTER} {CALM_MS}
sentinel failover-timeout {MASTER} 3000
"""


class Fleet:
    """`addresses` are the sentinels, as RedisSettings takes them. Which of the two servers is the master may change."""

    def __init__(self) -> None:
        self.first = RedisServer(arguments=AT_ONCE)
        self.second = RedisServer(arguments=AT_ONCE)
        self.directory = Path(tempfile.mkdtemp(prefix="arq-t-"))
        self.port = free_port()
        self._sentinel: subprocess.Popen[bytes] | None = None

    @property
    def addresses(self) -> list[tuple[str, int]]:
        return [(HOST, self.port)]

    def start(self) -> "Fleet":
        self.first.start()
        self.second.start()
        with self.client(self.second) as client:
            client.execute_command("REPLICAOF", HOST, self.first.port)
            wait_until(
                lambda: client.info("replication")["master_link_status"] == "up", what="replica in sync"
            )
        config = self.directory / "sentinel.conf"
        config.write_text(CONFIG.format(port=self.port, master=self.first.port))
        command = [find_binary(), str(config), "--sentinel", "--logfile", str(self.directory / "log")]
        self._sentinel = subprocess.Popen(
            [sys.executable, "-S", "-c", _DIE_WITH_PARENT, str(os.getpid()), *command],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        wait_until(self._knows_everybody, 2 * PATIENCE_S, "the sentinel knows master and replica")
        return self

    def client(self, server: RedisServer) -> redis.Redis:
        return redis.Redis(HOST, server.port)

    @contextlib.contextmanager
    def sentinel(self) -> Iterator[Any]:
        """A client of the sentinel."""
        with redis.Redis(HOST, self.port) as client:
            yield client

    def _knows_everybody(self) -> bool:
        try:
            with self.sentinel() as client:
                with contextlib.suppress(redis.ResponseError):  # a version that has no such thing
                    client.execute_command("SENTINEL DEBUG", *IMPATIENT)
                replicas = client.sentinel_slaves(MASTER)
        except redis.ConnectionError:
            return False
        # one that it has not heard of for a while is not fit to be promoted
        return [replica["is_disconnected"] for replica in replicas] == [False]

    def master(self) -> RedisServer:
        """Which of the two the sentinel names."""
        with self.sentinel() as client:
            _, port = client.sentinel_get_master_addr_by_name(MASTER)
        return self.first if int(port) == self.first.port else self.second

    def take_over(self) -> None:
        """Let the sentinel miss the master soon, and wait until the replica is promoted."""
        self._miss_after(IN_A_HURRY_MS)
        self.wait_failed_over()
        self._miss_after(CALM_MS)

    def _miss_after(self, down_after_ms: int) -> None:
        with self.sentinel() as client:
            client.sentinel_set(MASTER, "down-after-milliseconds", down_after_ms)

    def plan_failover(self) -> None:
        """Let them change places, both alive."""
        with self.sentinel() as client:
            client.sentinel_failover(MASTER)

    def wait_replicated(self) -> None:
        """Wait until the replica has all that the master had when this was called."""
        with self.client(self.first) as master, self.client(self.second) as replica:
            sent = master.info("replication")["master_repl_offset"]
            wait_until(
                lambda: replica.info("replication")["slave_repl_offset"] >= sent, what="replica has it all"
            )

    def wait_failed_over(self) -> None:
        wait_until(lambda: self.master() is self.second, 3 * PATIENCE_S, "the replica is promoted")

    def close(self) -> None:
        if self._sentinel is not None:
            self._sentinel.send_signal(signal.SIGKILL)
            self._sentinel.wait(PATIENCE_S)
        shutil.rmtree(self.directory, ignore_errors=True)
        self.first.close()
        self.second.close()


@contextlib.contextmanager
def running_fleet() -> Iterator[Fleet]:
    """Started; gone afterwards, whatever the test did to it."""
    fleet = Fleet()
    try:
        yield fleet.start()
    finally:
        fleet.close()
