"""How long commands ask the server to wait."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest

from arq._redis.blocking_client import patient, wait_s


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (("GET", "key"), 0),
        (("BLPOP", "a", "b", 7), 7),
        (("blpop", "a", "0.5"), 0.5),
        ((b"BRPOP", b"a", b"3"), 3),
        (("BLPOP a 7",), 7),
        (("BLPOP", "a", 0), math.inf),
        (("BRPOPLPUSH", "a", "b", 4), 4),
        (("BLMOVE", "a", "b", "LEFT", "RIGHT", 6), 6),
        (("BLMPOP", 8, 2, "a", "b", "LEFT", "COUNT", 5), 8),
        (("BZMPOP", 0, 1, "a", "MIN"), math.inf),
        (("BZPOPMIN", "a", 2), 2),
        (("BZPOPMAX", "a", "b", 1.5), 1.5),
        (("WAIT", 1, 7000), 7),
        (("WAIT", 1, 0), math.inf),
        (("WAITAOF", 1, 0, 500), 0.5),
        (("XREAD", b"BLOCK", "7000", b"STREAMS", "a", "$"), 7),
        (("XREAD", "COUNT", 5, "block", 0, "streams", "a", "$"), math.inf),
        (("XREAD", "COUNT", 5, "STREAMS", "BLOCK", "3"), 0),
        (("XREADGROUP", "GROUP", "g", "c", "BLOCK", 250, "NOACK", "STREAMS", "a", ">"), 0.25),
        (("BLPOP", "a", "soon"), 0),
        (("BLPOP",), 0),
        (("XREAD", "BLOCK"), 0),
    ],
)
def test_wait(command: tuple[Any, ...], expected: float) -> None:
    assert wait_s(command) == expected


@pytest.mark.parametrize(
    ("limit_s", "waits_s", "expected"), [(5, 0, 5), (5, 7, 12), (5, math.inf, None), (None, 7, None)]
)
def test_time_outs_are_put_back(limit_s: float | None, waits_s: float, expected: float | None) -> None:
    connection = SimpleNamespace(socket_timeout=limit_s)
    with patient(connection, waits_s):
        assert connection.socket_timeout == expected
    assert connection.socket_timeout == limit_s
