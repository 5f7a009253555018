"""Servers that know no scripts: fakeredis without lupa gets them command by command, others are told of in one line."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from redis.exceptions import ConnectionError, NoScriptError, ResponseError

if TYPE_CHECKING:
    from .script_loader import Call

logger = logging.getLogger("arq.worker")

_NO_SCRIPTS = re.compile(r"unknown command ['`]?eval(?:sha)?\b", re.IGNORECASE)
#: fakeredis repeats the name in small letters, Redis as it was sent.
_FAKE = re.compile(r"unknown command ['`]eval(?:sha)?['`]")
_NOT_KNOWN = "No matching script"


def is_not_known(answer: Exception) -> bool:
    """Whether the server has scripts, but not this one. (fakeredis 2.26 has no code for that in its text.)"""
    return isinstance(answer, NoScriptError) or str(answer).startswith(_NOT_KNOWN)


def has_no_scripts(answer: Any) -> bool:
    """Whether the server has no scripts at all."""
    return isinstance(answer, ResponseError) and _NO_SCRIPTS.search(str(answer)) is not None


def hangs_up_after(answer: Any) -> bool:
    """Whether this is a refusal after which the TCP server of fakeredis 2.26 closes the connection."""
    if not isinstance(answer, ResponseError) or isinstance(answer, NoScriptError):
        return False
    return is_not_known(answer) or _FAKE.search(str(answer)) is not None


async def run_without(
    send: Callable[[Sequence[tuple[Any, ...]]], Awaitable[list[Any]]], call: Call, refusal: Any
) -> Any:
    """Run a script by single commands: not atomic, so only where a test has a server of its own.

    Args:
        send: sends commands and returns their answers; what the server refuses as an exception in the list.
        call: the script.
        refusal: what the server has said to EVALSHA.

    Raises:
        redis.exceptions.ResponseError: this is no fakeredis, or a command was refused.
    """
    if _FAKE.search(str(refusal)) is None:
        raise ResponseError(
            f"this server runs no scripts ({refusal}); arq needs EVAL and EVALSHA: "
            "were they renamed, or switched off?"
        ) from refusal
    from .._lua_interpreter import machine

    if call.script.name == "claim":
        _warn()

    async def send_again(commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        try:
            return await send(commands)
        except ConnectionError:  # it has hung up after a refusal
            return await send(commands)

    return await machine.run(send_again, call.script.text, call.keys, call.args)


@functools.cache  # once in a process
def _warn() -> None:
    logger.warning(
        "fakeredis has no Lua here, jobs are taken and finished command by command: fine for a test with one worker; "
        'for all of arq: pip install "fakeredis[lua]"'
    )
