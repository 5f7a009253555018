"""How to reach Redis, and the same as options of redis-py. No I/O."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, fields
from typing import Any, cast
from urllib.parse import ParseResult, parse_qs, unquote, urlparse

import redis
from redis.asyncio import ConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import AbstractBackoff
from redis.exceptions import ConnectionError

from ..version import VERSION
from .key_prefix import checked, tag_of

#: How often redis-py repeats a command after its connection broke, where `RedisSettings.retry` says nothing.
#: Connections that lie idle are dropped by servers and proxies, and redis-py 8 notices only when it uses one.
_COMMAND_RETRIES = 3


@dataclass(frozen=True)
class FirstAtOnce(AbstractBackoff):
    """No pause before the first retry, since most connections break while nobody uses them; then pauses that double.

    Attributes:
        base_s: seconds before the second retry.
        cap_s: the longest pause.
    """

    base_s: float = 0.2
    cap_s: float = 0.5

    def compute(self, failures: int) -> float:
        """Seconds to wait after so many failures."""
        return 0.0 if failures <= 1 else min(self.cap_s, self.base_s * 2.0 ** (failures - 2))


_HIDDEN = "***"
_OUR_FIELDS = frozenset({"cluster", "key_prefix", "socket_timeout"})


@dataclass
class RedisSettings:
    """How to reach Redis; `create_pool` and `Worker` take it.

    Attributes:
        host: host name, or a list of (host, port) of sentinels or of nodes of a cluster. Default: 'localhost'.
        port: TCP port. Default: 6379.
        unix_socket_path: path of a unix socket; wins over host and port. Default: None.
        database: number of the database, from 0 on. Default: 0.
        username: user of Redis's access control. Default: None.
        password: password. Default: None.
        ssl: use TLS. Default: False.
        ssl_keyfile: path of the client's key, as redis-py takes it. Default: None.
        ssl_certfile: path of the client's certificate. Default: None.
        ssl_cert_reqs: what is asked of the server's certificate: 'required', 'optional' or 'none'. Default: 'required'.
        ssl_ca_certs: path of a file with the authorities' certificates. Default: None, those of the system.
        ssl_ca_data: the same as text. Default: None.
        ssl_check_hostname: whether the certificate must be for the name of the host. Default: False.
        conn_timeout: seconds that opening a connection may take. Default: 1.
        conn_retries: how often `create_pool` tries again, from 0 on. Default: 5.
        conn_retry_delay: seconds between these tries. Default: 1.
        max_connections: connections of the pool at most; None: no limit. When all are in use, commands wait up to 20 s
            for one. A worker has two more beside its pool. Default: None.
        sentinel: `host` is a list of sentinels. Default: False.
        sentinel_master: name of the master that the sentinels watch. Default: 'mymaster'.
        retry_on_timeout: redis-py's: send a command again also when its answer is late. Default: False.
        retry_on_error: redis-py's: a list of further errors after which a command is sent again. Default: None.
        retry: redis-py's retry policy for single commands, a `redis.asyncio.retry.Retry`. Default: None: a command is
            sent again up to three times when its connection breaks, but not when its answer is late.
        socket_timeout: seconds that the answer to a command may be late, more than 0; None: no limit. A command that
            waits at the server (BLPOP, XREAD with BLOCK, WAIT, ...) gets as long as it asks for, and this on top.
            Whatever it is, `enqueue_job` takes an answer that does not come within five seconds for lost. Default: 20.
        key_prefix: what all keys of arq's begin with, as 'app:': jobs, queues, and everything of workers. Names that
            you give (of queues, health keys) stay without it. Workers and producers of one queue need the same. Up to
            200 characters of printable ASCII, no blanks, no *?[]^\\"'`%#&. Default: '', arq's names.
        cluster: a Redis Cluster or Valkey Cluster; `host` (and `port`) names one or some of its nodes, and `key_prefix`
            has a hash tag, as '{app}:', so that all keys are in one slot. Default: False.

    Raises:
        ValueError: `socket_timeout` is not more than 0, `host` is an address, `key_prefix` can't be used, or `cluster`
            does not go with other fields.
        TypeError: `key_prefix` is no text.
    """

    host: str | list[tuple[str, int]] = "localhost"
    port: int = 6379
    unix_socket_path: str | None = None
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)  # for dataclasses that extend this one
    ssl: bool = False
    ssl_keyfile: str | None = None
    ssl_certfile: str | None = None
    ssl_cert_reqs: str = "required"
    ssl_ca_certs: str | None = None
    ssl_ca_data: str | None = None
    ssl_check_hostname: bool = False
    conn_timeout: int = 1
    conn_retries: int = 5
    conn_retry_delay: int = 1
    max_connections: int | None = None
    sentinel: bool = False
    sentinel_master: str = "mymaster"
    retry_on_timeout: bool = False
    retry_on_error: list[type[Exception]] | None = None
    retry: Retry | None = None
    socket_timeout: int | float | None = 20
    key_prefix: str = ""
    cluster: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.host, str) and "://" in self.host:
            raise ValueError("host is the name of a host: for an address there is RedisSettings.from_dsn")
        checked(self.key_prefix)
        if self.cluster:
            _check_cluster(self)
        if self.socket_timeout is not None and not self.socket_timeout > 0:
            raise ValueError(
                f"socket_timeout must be more than 0 s, or None for no limit, not {self.socket_timeout!r}"
            )

    @classmethod
    def from_dsn(cls, dsn: str) -> RedisSettings:
        """Settings from `redis://[user[:password]@]host[:port][/database]`, `rediss://...` or `unix:///path[?db=N]`.

        Of a cluster `redis+cluster://[user[:password]@]host[:port][,host[:port]...]?key_prefix={app}:`, `rediss+...`.

        User and password may be percent-encoded. A prefix of all keys goes behind it: `?key_prefix=app:`.

        Raises:
            RuntimeError: the scheme is none of these.
            ValueError: something else is wrong with it; the text says what, and quotes nothing that may be part of a
                password.
        """
        conf = _parsed(dsn)
        if conf.scheme not in {"redis", "rediss", "unix", *_CLUSTERS}:
            raise RuntimeError("invalid DSN scheme")
        nodes = _dsn_nodes(conf) if conf.scheme in _CLUSTERS else None
        return cls(
            host=nodes or conf.hostname or "localhost",
            port=6379 if nodes else _dsn_port(conf),
            ssl=conf.scheme.startswith("rediss"),
            username=_dsn_secret(conf.username),
            password=_dsn_secret(conf.password),
            database=_dsn_database(conf),
            unix_socket_path=unquote(conf.path) if conf.scheme == "unix" else None,
            key_prefix=_dsn_prefix(conf),
            cluster=nodes is not None,
        )

    def __repr__(self) -> str:
        """As arq's: the password is hidden, and a field that arq does not have is shown when it was set."""
        values = {
            one.name: getattr(self, one.name)
            for one in fields(self)
            if one.name not in _OUR_FIELDS or getattr(self, one.name) != one.default
        }
        if values.get("password") is not None:
            values["password"] = _HIDDEN
        shown = ", ".join(f"{name}={value!r}" for name, value in values.items())
        return f"{type(self).__qualname__}({shown})"


def _check_cluster(settings: RedisSettings) -> None:
    if tag_of(settings.key_prefix) is None:
        raise ValueError(
            "cluster=True needs a key_prefix with a hash tag, as '{app}:', so that all keys are in one slot"
        )
    for name in ("sentinel", "unix_socket_path", "database"):
        if getattr(settings, name):
            raise ValueError(f"cluster=True does not go with {name}: leave one of them out")


_CLUSTERS = ("redis+cluster", "rediss+cluster")
#: What may be wrong with a DSN that can't be taken apart, beside what it is that can't.
_ENCODE = "if the password has one of / ? # @ : [ ] % in it, percent-encode that (%2F for /)"


def _parsed(dsn: str) -> ParseResult:
    try:
        conf = urlparse(dsn)
    except ValueError:  # its text has what is between // and /
        raise ValueError(f"the host of the redis DSN can't be read: {_ENCODE}") from None
    rest = (conf.path if conf.scheme != "unix" else "", conf.query.partition("=")[0], conf.fragment)
    if any("@" in part for part in rest):
        raise ValueError(f"the redis DSN has a / ? or # before its @: {_ENCODE}")
    return conf


def _dsn_port(conf: ParseResult) -> int:
    try:
        return conf.port or 6379
    except ValueError:
        raise ValueError(f"the port of the redis DSN must be a number from 0 to 65535: {_ENCODE}") from None


def _dsn_nodes(conf: ParseResult) -> list[tuple[str, int]]:
    """The nodes of a cluster, with commas between them."""
    nodes: list[tuple[str, int]] = []
    for place in conf.netloc.rpartition("@")[2].split(","):
        try:
            one = urlparse(f"//{place}")
            nodes.append((one.hostname or "localhost", _dsn_port(one)))
        except ValueError:
            raise ValueError(f"a node of the redis DSN can't be read: {_ENCODE}") from None
    return nodes


def _dsn_secret(given: str | None) -> str | None:
    try:
        return unquote(given, errors="strict") if given else None
    except UnicodeDecodeError:
        raise ValueError("user or password of the redis DSN are percent-encoded, but not as UTF-8") from None


def _dsn_prefix(conf: ParseResult) -> str:
    given = parse_qs(conf.query, keep_blank_values=True).get("key_prefix", [""])
    if len(set(given)) > 1:
        raise ValueError("the redis DSN has two key_prefix")
    return given[0]


def _dsn_database(conf: ParseResult) -> int:
    in_query = parse_qs(conf.query).get("db", [])
    in_path = conf.path.strip("/") if conf.scheme != "unix" else ""
    given = {text for text in (*in_query, in_path) if text}
    try:
        found = {int(text) for text in given}
    except ValueError:
        # without a colon before it, or with an @, it is no rest of a password
        is_harmless = "@" in conf.netloc or ":" not in conf.netloc
        what = f"not {' or '.join(map(repr, sorted(given)))}" if is_harmless else _ENCODE
        raise ValueError(f"the database of the redis DSN must be a number, {what}") from None
    if len(found) > 1:
        raise ValueError("the redis DSN names two databases, in its path and by db=")
    return found.pop() if found else 0


def settings_or_default(given: RedisSettings | None) -> RedisSettings:
    """What was given, or the default.

    Raises:
        TypeError: it is an address; the text does not quote it.
    """
    if isinstance(given, (str, bytes)):
        raise TypeError("redis settings must be RedisSettings, not a text: an address goes through "
                        "RedisSettings.from_dsn(...)")  # fmt: skip
    if given and not hasattr(given, "host"):
        raise TypeError(f"redis settings must be RedisSettings, not a {type(given).__name__}")
    return given or RedisSettings()


RedisSettings.__module__ = "arq.connections"  # where everybody imports it from


def address(pool: ConnectionPool) -> str:
    """Where connections go. Not how: some versions of redis-py show the password in the text of a client."""
    options = pool.connection_kwargs
    where = options.get("path") or f"{options.get('host', '?')}:{options.get('port', '?')}"
    return f"{where}/{options.get('db', 0)}"


def client_options(settings: RedisSettings) -> dict[str, Any]:
    """Options of redis-py. What was not set is left out, because its defaults differ from None since redis-py 6."""
    options: dict[str, Any] = {
        "db": settings.database,
        "username": settings.username,
        "password": settings.password,
        "socket_connect_timeout": settings.conn_timeout,
        "socket_timeout": settings.socket_timeout,
        # redis-py 8 raises when more than 100 commands run at once; older ones, and arq with them, open what is needed.
        "max_connections": settings.max_connections or 2**31,
    }
    if settings.retry_on_timeout:
        options["retry_on_timeout"] = True
    # redis-py 5 repeats only what is named here, whatever its retry policy says
    always = [ConnectionError] if settings.retry is None else []
    options["retry_on_error"] = [*(settings.retry_on_error or ()), *always]
    # An answer that is late may still come: a command that was sent again would be carried out twice.
    options["retry"] = settings.retry or Retry(FirstAtOnce(), _COMMAND_RETRIES, (ConnectionError,))
    options |= _driver_info()
    if settings.ssl:
        options |= _tls_options(settings)
    return options


def call_retry(settings: RedisSettings) -> Retry:
    """How often calls of arq's own are repeated: they may be carried out twice, so also when an answer is late."""
    retry = settings.retry or Retry(FirstAtOnce(), _COMMAND_RETRIES)
    if settings.retry_on_error:
        retry = copy(retry)
        retry.update_supported_errors(cast(list[type[redis.RedisError]], settings.retry_on_error))
    return retry


def sentinel_options(settings: RedisSettings) -> dict[str, Any]:
    """The same for the sentinels. One that does not answer is asked once more at most, then the next one: left to
    itself, redis-py 8 asks each for three seconds, whenever a connection is opened.
    """
    retry = Retry(FirstAtOnce(), 1)
    return {"socket_connect_timeout": settings.conn_timeout, "retry": retry} | _driver_info()


def _driver_info() -> dict[str, Any]:
    """What CLIENT LIST shows.

    Left to themselves, redis-py 7 and 8 read the metadata of their package from disk for each client, which costs 7 ms,
    and 2 MB of pages that a forked worker could share.
    """
    try:
        from redis.driver_info import DriverInfo
    except ImportError:  # redis-py 5 and 6
        return {}
    return {"driver_info": DriverInfo(lib_version=redis.__version__).add_upstream_driver("arq", VERSION)}


def has_unchecked_name(settings: RedisSettings) -> bool:
    """Would a certificate do that is for another server? That is arq's default; redis-py's own is stricter by now."""
    return settings.ssl and settings.ssl_cert_reqs != "none" and not settings.ssl_check_hostname


def _tls_options(settings: RedisSettings) -> dict[str, Any]:
    return {
        "ssl": True,
        "ssl_keyfile": settings.ssl_keyfile,
        "ssl_certfile": settings.ssl_certfile,
        "ssl_cert_reqs": settings.ssl_cert_reqs,
        "ssl_ca_certs": settings.ssl_ca_certs,
        "ssl_ca_data": settings.ssl_ca_data,
        "ssl_check_hostname": settings.ssl_check_hostname,
    }
