"""The way to a Redis Cluster: which of its nodes has our slot, and connections that go wherever that is.

All keys of arq's have one prefix there, with a hash tag, so they are in one slot, and one node at a time serves them.
A connection asks for it when it is opened. When the slot is somewhere else, is being moved, or has no node for now,
what was sent counts as lost with its connection, and is repeated as after any lost connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import re
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Any, TypeVar

from redis.asyncio import Connection, ConnectionPool, SSLConnection
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from .key_prefix import ClusterPrefix
from .server_errors import no_cluster_at
from .settings import RedisSettings, client_options

Answer = TypeVar("Answer")
Address = tuple[str, int]

#: Seconds for which a call is repeated: a fail-over takes `cluster-node-timeout`, 15 s, and a vote.
RIDE_OUT_S = 30.0
#: Seconds that a node gets to say who has which slot, if the settings do not give it less.
_ASK_S = 3.0
#: Pauses between its tries, in s.
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 0.5
#: The slot is with another node: `MOVED 1234 host:port`; redis-py may have cut off the word.
_MOVED = re.compile(r"^(?:MOVED )?(\d+) (.*):(\d+)$")
#: What else a node says that does not serve the slot, now or any more. Nothing was carried out.
_ELSEWHERE = re.compile(
    r"^(?:ASK|TRYAGAIN|CLUSTERDOWN|UNBLOCKED|READONLY|LOADING|MASTERDOWN)\b|^\d+ \S+:\d+$|non local key in a cluster"
)
_ELSEWHERE_KINDS = ("AskError", "TryAgainError", "ClusterDownError", "ReadOnlyError", "MasterDownError")
#: What is said while a slot is moved by keys.
_BY_KEYS = re.compile(r"^(?:AskError|TryAgainError|\w+: (?:ASK|TRYAGAIN)\b)")


class RideOut(Retry):
    """Repeats what a lost connection, or a cluster in motion, has hindered, for some seconds."""

    def __init__(self, limit_s: float = RIDE_OUT_S) -> None:
        super().__init__(NoBackoff(), 0)
        self._limit_s = limit_s

    async def call_with_retry(
        self,
        do: Callable[[], Awaitable[Answer]],
        fail: Callable[..., Any],
        *_: Any,
        with_failure_count: bool = False,
        **__: Any,
    ) -> Answer:
        """Do it; `fail` is called after each failure."""
        until_s, pause_s, failures = monotonic() + self._limit_s, _FIRST_PAUSE_S, 0
        while True:
            try:
                return await do()
            except (RedisConnectionError, RedisTimeoutError, OSError) as exc:
                failures += 1
                failed = fail(exc, failures) if with_failure_count else fail(exc)
                if asyncio.iscoroutine(failed):
                    await failed
                if isinstance(exc, AuthenticationError) or monotonic() >= until_s:
                    raise
            await asyncio.sleep(pause_s)
            pause_s = min(_LONGEST_PAUSE_S, 2 * pause_s)


class SlotOwner:
    """Knows which node has the slot of our keys.

    Args:
        nodes: some of the cluster's nodes.
        prefix: what the keys begin with.
        connect: makes a connection, not opened, to an address.
        make_client: makes redis-py's client of the whole cluster.
    """

    def __init__(
        self,
        nodes: Sequence[Address],
        prefix: str,
        connect: Callable[[Address], Connection],
        make_client: Callable[[], RedisCluster],
    ) -> None:
        #: makes redis-py's client of the whole cluster
        self.make_client = make_client
        self.slot: int = key_slot(prefix.encode())
        self._prefix = prefix
        self._seeds = tuple(nodes)
        self._known: list[Address] = list(nodes)
        self._connect = connect
        self._owner: Address | None = None

    async def address(self) -> Address:
        """The node that has the slot, as far as is known.

        Raises:
            redis.exceptions.ConnectionError: no node answers, or none has the slot.
            redis.exceptions.ResponseError: a node refuses to say, or is none of a cluster.
        """
        if self._owner is None:
            self._owner = await self._ask_around()
        return self._owner

    def moved(self, address: Address) -> None:
        """A node has said that this one has the slot."""
        self._owner = address

    def forget(self, address: Address) -> None:
        """This node can't be reached: another one may have the slot by now."""
        if self._owner == address:
            self._owner = None
        if address in self._known:  # it is asked last from now on
            self._known.remove(address)
            self._known.append(address)

    async def _ask_around(self) -> Address:
        *others, last = self._known
        random.shuffle(others)
        told = ""
        for address in [*others, last, *(seed for seed in self._seeds if seed not in self._known)]:
            try:
                found = await self._ask(address)
            except (RedisConnectionError, RedisTimeoutError, OSError) as exc:
                if isinstance(exc, AuthenticationError):
                    raise
                told = f"{address[0]}:{address[1]}: {exc}"
                continue
            if found is not None:
                return found
            told = f"no node has slot {self.slot}"
        raise RedisConnectionError(f"no node of the cluster serves the keys ({told})")

    async def _ask(self, address: Address) -> Address | None:
        connection = self._connect(address)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            await connection.send_command("CLUSTER", "SLOTS")
            rows = await connection.read_response(disable_decoding=True)
        except ResponseError as exc:
            raise no_cluster_at(address, exc, self._prefix) from exc
        finally:
            with contextlib.suppress(RedisError, OSError):
                await connection.disconnect(nowait=True)
        known = {_address(node, address) for row in rows for node in row[2:]}
        self._known = [*(known - {address}), address] if known else self._known
        owners = [row[2] for row in rows if row[0] <= self.slot <= row[1]]
        return _address(owners[0], address) if owners else None


def _address(node: Sequence[Any], asked: Address) -> Address:
    """Where a node is that CLUSTER SLOTS tells of; one that does not know its own name is where we asked."""
    host = (node[0] or b"").decode()
    return (asked[0] if host in ("", "?") else host), int(node[1])


class _ToOwner:
    """A connection to whichever node has the slot."""

    _owner: SlotOwner
    host: str
    port: int
    socket_timeout: float | None
    socket_connect_timeout: float | None
    retry: Retry

    def __init__(self, slot_owner: SlotOwner, **options: Any) -> None:
        self._owner = slot_owner
        super().__init__(**options)

    async def connect(self, *args: Any, **options: Any) -> None:
        """A node that accepts connections, and answers none of the first commands, is as good as one that is gone."""
        connection: Any = super()

        async def once() -> None:
            limit_s, self.socket_timeout = self.socket_timeout, self.socket_connect_timeout
            try:
                await connection.connect(*args, **options)
            finally:
                self.socket_timeout = limit_s

        # redis-py before 6 tries only to connect again, not the first commands
        await self.retry.call_with_retry(once, lambda _: connection.disconnect(nowait=True))

    async def _connect(self) -> None:
        self.host, self.port = address = await self._owner.address()
        connect: Any = super()
        try:
            await connect._connect()
        except BaseException:
            self._owner.forget(address)
            raise

    async def read_response(self, *args: Any, **options: Any) -> Any:
        connection: Any = super()
        address = self.host, self.port
        try:
            return await connection.read_response(*args, **options)
        except ResponseError as exc:
            if (elsewhere := self._elsewhere(exc, address)) is None:
                raise
            raise elsewhere from exc
        except BaseException:  # also a cancellation: nobody waits for this node any more
            self._owner.forget(address)
            raise

    def _elsewhere(self, exc: ResponseError, address: Address) -> RedisConnectionError | None:
        """The error to raise instead where this node does not serve the slot; None: it does."""
        text = str(exc)
        if moved := _MOVED.match(text) if type(exc).__name__ != "AskError" else None:
            if int(moved[1]) != self._owner.slot:
                return None  # a key of the application's own
            self._owner.moved((moved[2] or address[0], int(moved[3])))
        elif type(exc).__name__ in _ELSEWHERE_KINDS or _ELSEWHERE.search(text):
            self._owner.forget(address)
        else:
            return None
        said = f"{type(exc).__name__}: {text}"
        if _BY_KEYS.match(said):
            said = f"slot {self._owner.slot} is moved by keys, calls wait until it has arrived ({said})"
        return RedisConnectionError(f"the cluster is in motion: {said}")


class OwnerConnection(_ToOwner, Connection):
    """The same without TLS."""


class OwnerSSLConnection(_ToOwner, SSLConnection):
    """The same with TLS."""


def nodes_of(settings: RedisSettings) -> list[Address]:
    """The nodes that the settings name."""
    return [(settings.host, settings.port)] if isinstance(settings.host, str) else list(settings.host)


def cluster_pool(settings: RedisSettings) -> ConnectionPool:
    """A pool of connections to the node that has the keys of the settings' prefix."""
    prefix = ClusterPrefix(settings.key_prefix)
    options = client_options(settings)
    for name in ("db", "max_connections"):
        del options[name]
    plain, to_owner = (
        (SSLConnection, OwnerSSLConnection) if options.pop("ssl", False) else (Connection, OwnerConnection)
    )
    if settings.retry is None:
        options["retry"] = RideOut()

    def connect(address: Address) -> Connection:
        limit_s = min(settings.conn_timeout, _ASK_S)  # others can be asked
        limits = {"socket_timeout": limit_s, "socket_connect_timeout": limit_s}
        once: dict[str, Any] = {**options, "retry": Retry(NoBackoff(), 0), **limits}
        return plain(host=address[0], port=address[1], **once)

    owner = SlotOwner(nodes_of(settings), prefix, connect, functools.partial(_client, settings))
    host, port = nodes_of(settings)[0]
    pool: Any = ConnectionPool(
        connection_class=to_owner,
        max_connections=settings.max_connections or 2**31,
        slot_owner=owner,
        host=host,
        port=port,
        **options,
    )
    pool.key_prefix = prefix
    return pool  # type: ignore[no-any-return]


def _client(settings: RedisSettings) -> RedisCluster:
    """For the application's own commands: their keys may be anywhere."""
    options = client_options(settings)
    for name in ("db", "max_connections", "retry", "retry_on_error", "retry_on_timeout", "driver_info"):
        options.pop(name, None)
    nodes: Any = [ClusterNode(host, port) for host, port in nodes_of(settings)]
    return RedisCluster(startup_nodes=nodes, require_full_coverage=False, **options)


def owner_of(pool: Any) -> SlotOwner | None:
    """Who knows where the slot is; None: the pool is not of a cluster."""
    found = getattr(pool, "connection_kwargs", {}).get("slot_owner")
    return found if isinstance(found, SlotOwner) else None
