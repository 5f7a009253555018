"""Addresses of Redis."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import traceback
from typing import Any

import pytest
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, ConnectionError, TimeoutError

from arq._redis.settings import call_retry, client_options
from arq.connections import ArqRedis, RedisSettings, create_pool


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        ("redis://", {}),
        ("redis://host", {"host": "host"}),
        ("redis://host/", {"host": "host"}),
        ("redis://host:1234/5", {"host": "host", "port": 1234, "database": 5}),
        ("redis://host?db=7", {"host": "host", "database": 7}),
        ("redis://:secret@host/1", {"host": "host", "password": "secret", "database": 1}),
        ("redis://me:se%40c%2Fret@host", {"host": "host", "username": "me", "password": "se@c/ret"}),
        ("rediss://host:1/2", {"host": "host", "port": 1, "database": 2, "ssl": True}),
        ("redis://[::1]:1234", {"host": "::1", "port": 1234}),
        ("unix:///tmp/redis.sock", {"unix_socket_path": "/tmp/redis.sock"}),
        (
            "unix://me:pw@/tmp/a%20b.sock?db=3",
            {"unix_socket_path": "/tmp/a b.sock", "username": "me", "password": "pw", "database": 3},
        ),
    ],
)
def test_dsn(dsn: str, expected: dict[str, object]) -> None:
    assert RedisSettings.from_dsn(dsn) == RedisSettings(**expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("dsn", ["", "host", "http://host", "redis:/", "redis+sentinel://host"])
def test_other_schemes_are_refused(dsn: str) -> None:
    if dsn == "redis:/":  # a scheme is a scheme: the rest is empty
        assert RedisSettings.from_dsn(dsn) == RedisSettings()
        return
    with pytest.raises(RuntimeError, match="invalid DSN scheme"):
        RedisSettings.from_dsn(dsn)


@pytest.mark.parametrize(
    ("dsn", "named"),
    [("redis://host/one", "'one'"), ("redis://host?db=x", "'x'"), ("redis://host:port", "port")],
)
def test_numbers_must_be_numbers(dsn: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        RedisSettings.from_dsn(dsn)


SECRET = "s3cr"
SPOILED = [
    "redis://me:s3cr/3t@host:1/0",
    "redis://me:s3cr?3t@host:1/0",
    "redis://me:s3cr#3t@host:1/0",
    "redis://:12#s3cr@host/0",
    "redis://:12?s3cr@host/0",
    "redis://:12/s3cr@host/0",
    "redis://:1/s3cr",
    "redis://:s3cr/",
    "redis://me:p@s3cr/x@host",
    "redis://me:s3cr@host:6x9/0",
    "redis://me:s3cr@host:99999/0",
    "redis://me:s3cr@[::1/0",
    "redis://me:[s3cr]@host/0",
    "redis://me:s3cr\u2100@host/0",
    "redis://me:s3cr%ff@host/0",
    "redis://me:pw@host/s3cr@x",
    "rediss://me:s3cr@host/0?db=1&db=2",
    "rediss://me:s3cr@host/1?db=2",
]


@pytest.mark.parametrize("dsn", SPOILED)
def test_whatever_is_wrong_with_a_dsn_no_part_of_a_password_is_told(dsn: str) -> None:
    with pytest.raises(ValueError, match="redis DSN") as caught:
        RedisSettings.from_dsn(dsn)
    told = "".join(traceback.format_exception(caught.value)).replace("SPOILED", "")
    assert SECRET not in told
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_what_is_odd_and_right() -> None:
    assert RedisSettings.from_dsn("redis://h/0?client_name=a@b").host == "h"
    assert RedisSettings.from_dsn("redis://h/2?db=2").database == 2
    assert RedisSettings.from_dsn("redis://:p@ss@h").password == "p@ss"
    assert RedisSettings.from_dsn("unix://:pw@/run/a@b.sock").unix_socket_path == "/run/a@b.sock"
    assert RedisSettings.from_dsn("redis://:p%25%2Fw@h").password == "p%/w"


@dataclasses.dataclass
class Extended(RedisSettings):
    zone: str = "a"


def test_a_password_is_data_and_no_text() -> None:
    settings = RedisSettings(username="me", password="s3cr")
    assert "username='me', password='***', ssl=False" in repr(settings)
    assert SECRET not in f"{settings} {[settings]!r}"
    assert repr(RedisSettings()).startswith(
        "RedisSettings(host='localhost', port=6379, unix_socket_path=None, database=0, username=None, password=None, "
    )
    assert SECRET not in repr(Extended(password="s3cr"))
    assert dataclasses.asdict(settings)["password"] == "s3cr"
    assert settings == RedisSettings(username="me", password="s3cr") != RedisSettings(username="me")
    assert dataclasses.replace(settings, port=1).password == "s3cr"
    assert copy.copy(settings) == pickle.loads(pickle.dumps(settings)) == settings


def test_an_address_is_no_host() -> None:
    with pytest.raises(ValueError, match="from_dsn") as caught:
        RedisSettings(host="redis://:s3cr@host")
    assert SECRET not in str(caught.value)


def test_a_client_does_not_show_its_options() -> None:
    client = ArqRedis(host="h", port=1, db=2, username="me", password="s3cr")
    assert repr(client) == "<arq.connections.ArqRedis h:1/2>"


def test_fields_keep_their_order_and_defaults() -> None:
    assert [field.name for field in dataclasses.fields(RedisSettings)] == [
        *("host", "port", "unix_socket_path", "database", "username", "password"),
        *(
            "ssl",
            "ssl_keyfile",
            "ssl_certfile",
            "ssl_cert_reqs",
            "ssl_ca_certs",
            "ssl_ca_data",
            "ssl_check_hostname",
        ),
        *(
            "conn_timeout",
            "conn_retries",
            "conn_retry_delay",
            "max_connections",
            "sentinel",
            "sentinel_master",
        ),
        *("retry_on_timeout", "retry_on_error", "retry", "socket_timeout", "key_prefix", "cluster"),
    ]
    settings = RedisSettings()
    assert (settings.conn_timeout, settings.conn_retries, settings.conn_retry_delay) == (1, 5, 1)
    assert (settings.sentinel_master, settings.ssl_cert_reqs) == ("mymaster", "required")


@pytest.mark.parametrize(
    ("options", "of_commands", "of_calls"),
    [
        ({}, {ConnectionError}, {ConnectionError, TimeoutError}),
        (
            {"retry_on_error": [BusyLoadingError]},
            {ConnectionError, BusyLoadingError},
            {ConnectionError, TimeoutError, BusyLoadingError},
        ),
        ({"retry": Retry(NoBackoff(), 1, (TimeoutError,))}, {TimeoutError}, {TimeoutError}),
    ],
)
def test_what_is_sent_again(
    options: dict[str, Any], of_commands: set[type[Exception]], of_calls: set[type[Exception]]
) -> None:
    """Calls of arq's own also when an answer is late, others not: they might be carried out twice."""
    settings = RedisSettings(**options)
    found = client_options(settings)
    assert {*found["retry"]._supported_errors, *found["retry_on_error"]} == of_commands
    assert set(call_retry(settings)._supported_errors) == of_calls


async def test_sentinels_are_a_list() -> None:
    with pytest.raises(RuntimeError, match="host provided as a string but sentinel is true"):
        await create_pool(RedisSettings(sentinel=True))


async def test_a_redis_that_is_away_is_tried_again_and_then_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pauses: list[float] = []

    async def sleep(pause_s: float) -> None:
        pauses.append(pause_s)

    monkeypatch.setattr("arq._connect.asyncio.sleep", sleep)
    settings = RedisSettings(host="127.0.0.1", port=1, conn_retries=2, conn_retry_delay=7)
    with pytest.raises((ConnectionError, Exception), match="(?i)connect"):
        await create_pool(settings)
    assert pauses == [7, 7]
    assert [
        message.endswith(f"{left} retries remaining...")
        for message, left in zip(caplog.messages, (2, 1), strict=True)
    ] == [True, True]
    assert caplog.messages[0].startswith("redis connection error 127.0.0.1:1 ConnectionError")
