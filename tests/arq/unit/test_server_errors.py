"""What servers say about themselves and about us, and what is made of it."""

from __future__ import annotations

import pytest
from redis.exceptions import (
    ClusterCrossSlotError,
    ClusterDownError,
    DataError,
    MovedError,
    NoPermissionError,
    NoScriptError,
    ResponseError,
)

from arq._redis.redis_errors import blames_item, passes
from arq._redis.server_errors import explained, is_old, is_refusal, is_wrong_server, objection, read_server

SCRIPT = "local a = 1\nlocal t = redis.call('TIME')\nreturn redis.call(name)\n"


@pytest.mark.parametrize(
    ("said", "named"),
    [
        (NoPermissionError("this user has no permissions to run the 'evalsha' command"), ": +evalsha "),
        (NoPermissionError("User u has no permissions to run the 'eval' command"), ": +eval "),
        (
            ResponseError(
                "ACL failure in script: User u has no permissions to run the 'time' command script: x"
            ),
            ": +time ",
        ),
        (
            ResponseError(
                "The user executing the script can't run this command or subcommand script: 1f, on @user_script:2."
            ),
            ": +time ",
        ),
        (
            ResponseError(
                "The user executing the script can't run this command or subcommand script: 1f, on @user_script:3."
            ),
            "arq needs (",
        ),
        (
            ResponseError(
                "Error running script (call to f_1): @user_script:2: The user executing the script can't run this"
            ),
            ": +time ",
        ),
        (NoPermissionError("No permissions to access a key"), ": the keys shop shop:wake "),
        (
            NoPermissionError("this user has no permissions to access one of the keys used as arguments"),
            ": the keys shop shop:wake ",
        ),
    ],
)
def test_missing_rights_are_named(said: ResponseError, named: str) -> None:
    found = explained(said, SCRIPT, ("shop", "shop:wake"))
    assert isinstance(found, NoPermissionError)
    assert named in str(found)
    assert str(said) in str(found)
    assert "~arq:* +@read +@write +@scripting +@blocking +@connection +time +info" in str(found)
    assert "\n" not in str(found)
    assert is_refusal(found)
    assert not blames_item(found)
    # the script is known only to those who have sent it
    told_twice = explained(explained(said), SCRIPT, ("shop", "shop:wake"))
    assert str(told_twice) == str(found)
    assert explained(found) is found


@pytest.mark.parametrize(
    "said",
    [
        MovedError("1234 127.0.0.1:7001"),
        ClusterCrossSlotError("Keys in request don't hash to the same slot"),
        ResponseError("CROSSSLOT Keys in request don't hash to the same slot"),
        ClusterDownError("CLUSTERDOWN Hash slot not served"),
        ResponseError(
            "Script attempted to access a non local key in a cluster node script: 1f, on @user_script:2."
        ),
    ],
)
def test_a_node_of_a_cluster_is_refused(said: ResponseError) -> None:
    found = explained(said)
    assert str(found).startswith("this is a node of a Redis Cluster: use RedisSettings(cluster=True")
    assert is_wrong_server(found)
    assert is_refusal(found)
    assert not blames_item(found)
    assert not passes(found)
    assert explained(found) is found


@pytest.mark.parametrize(
    "said", [NoScriptError("x"), ResponseError("WRONGTYPE Operation against a key"), ResponseError("")]
)
def test_all_else_stays_as_it_is(said: ResponseError) -> None:
    assert explained(said, SCRIPT, ("shop",)) is said
    assert not is_refusal(said)


def test_is_refusal_of_anything() -> None:
    assert not is_refusal(DataError("Redis Cluster is not supported by arq"))
    assert not is_refusal(OSError())


@pytest.mark.parametrize(
    ("info", "version", "mode", "old"),
    [
        (b"# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n", (7, 0, 15), "standalone", False),
        (b"redis_version:6.2.14\r\nredis_mode:cluster\r\n", (6, 2, 14), "cluster", True),
        (
            b"redis_version:7.2.4\r\nserver_name:valkey\r\nserver_mode:cluster\r\n",
            (7, 2, 4),
            "cluster",
            False,
        ),
        (b"redis_version:8.0-rc1\r\n", (8, 0, 1), "", False),
        (b"redis_version:255.255.255\r\n", (255, 255, 255), "", False),
        (b"redis_version:\xff\r\n", (), "", False),
        (b"", (), "", False),
    ],
)
def test_reading_what_a_server_is(info: bytes, version: tuple[int, ...], mode: str, old: bool) -> None:
    server = read_server(info)
    assert server == (version, mode)
    assert is_old(server) is old
    assert (objection(server) is not None) is (mode == "cluster")


def test_a_sentinel_is_no_redis() -> None:
    refusal = objection(read_server(b"redis_version:7.0.15\r\nredis_mode:sentinel\r\n"))
    assert refusal is not None
    assert "sentinel=True" in str(refusal)
    assert is_wrong_server(refusal)
