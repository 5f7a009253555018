"""A cluster of servers on this host: three primaries, and a replica of each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import redis
from redis.crc import key_slot

from arq.connections import RedisSettings
from tests.support.eventually import PATIENCE_S, wait_until
from tests.support.servers import HOST, RedisServer, free_port

SLOTS = 16384
PRIMARIES = 3
#: A node that does not answer for so long is taken for dead.
NODE_TIMEOUT_MS = 2000


class Cluster:
    """`servers`: the first ones began as primaries, the others as their replicas, in the same order.

    Args:
        replicas: of each primary.
        binary: path of the server.
        arguments: makes further words of the command line for each node.
    """

    def __init__(
        self,
        replicas: int = 1,
        binary: str | None = None,
        arguments: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self.servers: list[RedisServer] = []
        for _ in range(PRIMARIES * (1 + replicas)):
            words = {
                "--cluster-enabled": "yes",
                "--cluster-node-timeout": str(NODE_TIMEOUT_MS),
                "--cluster-port": str(free_port()),
                "--cluster-require-full-coverage": "no",
                "--repl-diskless-sync-delay": "0",
                "--repl-ping-replica-period": "1",
            }
            more = tuple(word for pair in words.items() for word in pair)
            self.servers.append(RedisServer(binary, arguments=(*more, *arguments())))
        self._bus = [int(server.arguments[5]) for server in self.servers]

    def start(self) -> Cluster:
        for server in self.servers:
            server.start()
        first, *others = self.servers
        for number, server in enumerate(others, 1):
            self.ask(first, "CLUSTER", "MEET", HOST, server.port, self._bus[number])
        wait_until(self._have_all_met, 2 * PATIENCE_S, "the nodes know each other")
        share = -(-SLOTS // PRIMARIES)
        for number, server in enumerate(self.servers[:PRIMARIES]):
            last = min(SLOTS, (number + 1) * share) - 1
            self.ask(server, "CLUSTER", "ADDSLOTSRANGE", number * share, last)
        wait_until(self.is_well, 2 * PATIENCE_S, "all slots are served")
        for number, server in enumerate(self.servers[PRIMARIES:]):
            primary_id = self.id_of(self.servers[number % PRIMARIES])
            self._replicate(server, primary_id)
        wait_until(self._have_replicas, 2 * PATIENCE_S, "replicas are in sync")
        return self

    def _replicate(self, server: RedisServer, primary_id: str) -> None:
        wait_until(lambda: primary_id in self.nodes(server), what="it knows the primary")
        self.ask(server, "CLUSTER", "REPLICATE", primary_id)

    def restore(self) -> None:
        """Everybody is there again, and no key is."""
        for server in self.servers:
            if not server.is_running:
                server.start()
            server.resume()
        wait_until(self.is_well, 2 * PATIENCE_S, "all slots are served")
        wait_until(self._have_replicas, 2 * PATIENCE_S, "replicas are in sync")
        for server in self.servers:
            if "role:master" in self.ask(server, "INFO", "replication"):
                self.ask(server, "FLUSHALL")

    def close(self) -> None:
        for server in self.servers:
            server.close()

    def ask(self, server: RedisServer, *command: Any) -> Any:
        """What this node answers."""
        with redis.Redis(HOST, server.port, decode_responses=True) as client:
            client.response_callbacks.clear()
            return client.execute_command(*command)

    def id_of(self, server: RedisServer) -> str:
        return str(self.ask(server, "CLUSTER", "MYID"))

    def nodes(self, server: RedisServer) -> str:
        return str(self.ask(server, "CLUSTER", "NODES"))

    def settings(self, prefix: str = "{app}:", **options: Any) -> RedisSettings:
        """For clients that know two of the nodes."""
        hosts = [(HOST, self.servers[0].port), (HOST, self.servers[-1].port)]
        return RedisSettings(hosts, cluster=True, key_prefix=prefix, conn_retries=0, **options)

    @property
    def dsn(self) -> str:
        return (
            f"redis+cluster://{HOST}:{self.servers[0].port},{HOST}:{self.servers[1].port}?key_prefix={{app}}:"
        )

    def owner(self, prefix: str = "{app}:") -> RedisServer:
        """The node that serves these keys now."""
        slot, found = key_slot(prefix.encode()), list[RedisServer]()

        def is_known() -> bool:
            for asked in self._alive():
                for first, last, node, *_ in self.ask(asked, "CLUSTER", "SLOTS"):
                    if first <= slot <= last:
                        found[:] = [one for one in self._alive() if one.port == node[1]]
            return bool(found) and "role:master" in self.ask(found[0], "INFO", "replication")

        wait_until(is_known, 2 * PATIENCE_S, "somebody serves the slot")
        return found[0]

    def replica_of(self, server: RedisServer) -> RedisServer:
        wanted, found = self.id_of(server), list[RedisServer]()

        def is_known() -> bool:
            rows = [line.split() for line in self.nodes(server).splitlines()]
            ports = [int(row[1].split("@")[0].rpartition(":")[2]) for row in rows if row[3] == wanted]
            found[:] = [one for one in self._alive() if one.port in ports]
            return bool(found)

        wait_until(is_known, 2 * PATIENCE_S, "it has a replica")
        return found[0]

    def another(self, server: RedisServer) -> RedisServer:
        """A primary that is not this one."""
        return next(
            one
            for one in self._alive()
            if one is not server and "role:master" in self.ask(one, "INFO", "replication")
        )

    def _alive(self) -> list[RedisServer]:
        return [server for server in self.servers if server.is_running]

    def is_well(self) -> bool:
        return all("cluster_state:ok" in self.ask(server, "CLUSTER", "INFO") for server in self._alive())

    def _have_all_met(self) -> bool:
        return all(
            f"cluster_known_nodes:{len(self.servers)}" in self.ask(server, "CLUSTER", "INFO")
            for server in self.servers
        )

    def _have_replicas(self) -> bool:
        replicas = len(self.servers) - PRIMARIES
        told = [self.ask(server, "INFO", "replication") for server in self.servers]
        return (
            sum("master_link_status:up" in text for text in told) == replicas
            and sum("state=online" in text for text in told) == min(replicas, PRIMARIES)
            and all(self.nodes(server).count("slave") == replicas for server in self.servers)
        )

    # --- slots ------------------------------------------------------------------------------------------------------

    def begin_move(self, source: RedisServer, target: RedisServer, slot: int) -> None:
        """From now on keys of the slot may be with either."""
        self.ask(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", self.id_of(source))
        self.ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", self.id_of(target))

    def move_keys(self, source: RedisServer, target: RedisServer, slot: int, most: int) -> int:
        """Move some keys; how many there were."""
        keys = self.ask(source, "CLUSTER", "GETKEYSINSLOT", slot, most)
        if keys:
            self.ask(source, "MIGRATE", HOST, target.port, "", 0, 10_000, "KEYS", *keys)
        return len(keys)

    def end_move(self, source: RedisServer, target: RedisServer, slot: int) -> None:
        """The slot is the target's, once no key of it is left behind."""
        while self.move_keys(source, target, slot, 100):
            pass
        for server in (target, source):
            self.ask(server, "CLUSTER", "SETSLOT", slot, "NODE", self.id_of(target))


@contextlib.contextmanager
def running_cluster(
    replicas: int = 1, binary: str | None = None, arguments: Callable[[], Sequence[str]] = tuple
) -> Iterator[Cluster]:
    """A cluster that is gone afterwards, whatever the test did to it."""
    cluster = Cluster(replicas, binary, arguments)
    try:
        yield cluster.start()
    finally:
        cluster.close()
