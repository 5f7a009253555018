"""What runs arq's scripts: the server, or arq's own interpreter that sends their commands one by one."""

from collections.abc import Sequence
from typing import Any

import pytest

from arq import _lane, _link, _plain, _script_runner
from arq._lua import machine
from arq._scripts import Call


async def by_single_commands(send: Any, calls: Sequence[Call]) -> list[Any]:
    """In the place of `run_all`."""
    return [await machine.run(send, call.script.text, call.keys, call.args) for call in calls]


def interpret(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on no script reaches the server."""
    for module in (_script_runner, _lane, _link):
        monkeypatch.setattr(module, "run_all", by_single_commands)
    _plain._warn.cache_clear()
