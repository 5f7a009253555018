"""How many keys, members and arguments the server touches: the size of its work, whatever the machine's speed.

MONITOR shows every command, also those inside scripts; what a command costs follows from its arguments, as long as
nothing reads a collection as a whole, and such a command is refused here. The depth of a sorted
set counts as one.
"""

import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from tests.support.servers import HOST, RedisServer

END = "tests.perf.end"

#: Touch one key and at most one of its members.
ONE = {
    "AUTH", "BLPOP", "CLIENT", "DBSIZE", "ECHO", "EXPIRE", "GET", "HELLO", "HEXISTS", "HGET", "HLEN", "INCR", "INFO",
    "LLEN", "LPUSH", "PEXPIRE", "PEXPIREAT", "PING", "PTTL", "PUBLISH", "RPUSH", "SCRIPT", "SELECT", "SET", "TIME",
    "TYPE", "ZCARD", "ZCOUNT", "ZINCRBY", "ZRANK", "ZSCORE", "HINCRBY",
}  # fmt: skip
#: Touch each of their arguments, after so many that are none.
EACH = {
    "DEL": 0, "EVAL": 2, "EVALSHA": 2, "EXISTS": 0, "HDEL": 1, "HMGET": 1, "HSET": 1, "MGET": 0, "UNLINK": 0,
    "ZADD": 1, "ZREM": 1,
}  # fmt: skip
#: Touch every second one. (MSETEX has four words more at most.)
PAIRS = {"MSET", "MSETEX", "MSETNX"}
#: Read a part of a collection: `LIMIT offset count`.
LIMITED = {"ZRANGEBYSCORE"}
#: What one worker holds, read when it leaves: as much as its `max_jobs`. Dear enough to be found if it became usual.
A_WORKERS_CLAIMS = 1000
#: Read or cut a range of any size. Allowed for the registers of workers, which are as long as there are workers.
RANGES = {"ZRANGE", "ZRANGEBYSCORE", "ZREMRANGEBYSCORE"}
REGISTERS = ("arq:leases", "arq:members", "arq:lapses", "arq:lookers:", "arq:workers")


class WholeCollectionError(AssertionError):
    """A command whose cost grows with what is there."""


def elements(words: Sequence[str]) -> int:
    """What a command touches.

    Raises:
        WholeCollectionError: that can not be said from the command alone.
    """
    name = words[0].upper()
    if name in ONE:
        return 1
    if name in EACH:
        return max(1, len(words) - 1 - EACH[name])
    if name in PAIRS:
        return len(words) // 2
    if name in LIMITED and "LIMIT" in words:
        offset, count = words[words.index("LIMIT") + 1 :][:2]
        return int(offset) + int(count)
    if name in RANGES and words[1].startswith(REGISTERS):
        return 1
    if name == "ZRANGE" and words[2].isdigit() and words[3].isdigit():  # by rank: so many
        return int(words[3]) - int(words[2]) + 1
    if name == "HGETALL" and (":batches:" in words[1] or ":claims:" in words[1]):
        return A_WORKERS_CLAIMS
    raise WholeCollectionError(
        f"{' '.join(words)[:200]}: its cost is not known here (tests/perf/elements.py)"
    )


class Watcher:
    """What all clients' commands touched; complete after `watching`."""

    def __init__(self) -> None:
        self._commands: list[list[str]] = []

    @property
    def total(self) -> int:
        """Elements of all commands."""
        return sum(elements(command) for command in self._commands)

    def listen(self, lines: Iterable[bytes]) -> None:
        """Note commands as MONITOR shows them, until the end mark."""
        for line in lines:
            words = line.decode().rstrip()[:-1].split('] "', 1)[-1].split('" "')
            if words[-1] == END:
                return
            self._commands.append(words)


@contextmanager
def watching(server: RedisServer) -> Iterator[Watcher]:
    """Watch what the server is told in this block."""
    watcher = Watcher()
    with socket.create_connection((HOST, server.port)) as connection, connection.makefile("rb") as lines:
        connection.sendall(b"MONITOR\r\n")
        assert lines.readline() == b"+OK\r\n"
        thread = threading.Thread(target=watcher.listen, args=(lines,))
        thread.start()
        try:
            yield watcher
        finally:
            with socket.create_connection((HOST, server.port)) as last:
                last.sendall(f"ECHO {END}\r\n".encode())
                last.recv(100)
            thread.join()
