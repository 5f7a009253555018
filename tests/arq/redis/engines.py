"""What runs arq's scripts: the server, or arq's own interpreter that sends their commands one by one."""

from collections.abc import Sequence
from typing import Any

import pytest

from arq._lua_interpreter import machine
from arq._redis import producer_connection, script_runner, without_lua, worker_connection
from arq._redis.scripts import Call


async def by_single_commands(send: Any, calls: Sequence[Call], _prefix: str = "") -> list[Any]:
    """In the place of `run_all`."""
    return [await machine.run(send, call.script.text, call.keys, call.args) for call in calls]


def interpret(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on no script reaches the server."""
    for module in (script_runner, producer_connection, worker_connection):
        monkeypatch.setattr(module, "run_all", by_single_commands)
    monkeypatch.setattr(producer_connection.Lane, "run_packed", lambda lane, _, call: lane.run(call()))
    without_lua._warn.cache_clear()
