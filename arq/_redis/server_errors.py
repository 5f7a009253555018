"""What a server says when it can't be used by arq at all, as one line that names the remedy. No I/O."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from redis.exceptions import (
    AskError,
    ClusterCrossSlotError,
    ClusterDownError,
    MovedError,
    NoPermissionError,
    ResponseError,
)

from .user_rights import RIGHTS_ON_CLUSTERS

#: The oldest Redis that arq is tested with. `min-replicas-to-write` does not hold for scripts in older ones.
OLDEST = (7, 0)
FOR_CLUSTERS = (
    "use RedisSettings(cluster=True, key_prefix='{app}:'), or redis+cluster://host:port?key_prefix={app}: (all keys of "
    "arq's must be in one slot)"
)
NO_CLUSTER = f"this is a node of a Redis Cluster: {FOR_CLUSTERS}"
_NO_NODE = "is no node of a cluster: leave out cluster=True, or use redis:// in the address"
A_SENTINEL = (
    "this is a sentinel, not a Redis with data: use RedisSettings(host=[(host, port)], sentinel=True)"
)
NO_RIGHTS = "the user of Redis lacks rights that arq needs"
#: What workers and producers need, beside keys.
RIGHTS = "+@read +@write +@scripting +@blocking +@connection +time +info"
_SEE = "see docs/how-to/redis-acl.md"

_CLUSTER_ERRORS = (MovedError, AskError, ClusterCrossSlotError, ClusterDownError)
#: redis-py 5 has no types for some of them.
_CLUSTER_TEXT = re.compile(r"^(?:MOVED|ASK|CROSSSLOT|CLUSTERDOWN)\b|non local key in a cluster")
#: What servers say of rights, also from within a script: Redis 6, 7.0, then later ones and Valkey.
_RIGHTS_TEXT = re.compile(
    r"executing the script can't|ACL failure in script|\bNOPERM\b|no permissions to", re.IGNORECASE
)
_COMMAND = re.compile(r"permissions? to run the '([^']+)' command")
_SCRIPT_LINE = re.compile(r"user_script:(\d+)")
_CALLED = re.compile(r"call\('(\w+)'")
_FIELD = re.compile(r"^(\w+):(.*?)\r?$", re.MULTILINE)
_NUMBER = re.compile(r"\d+")


def is_wrong_server(exc: BaseException) -> bool:
    """Whether the settings lead to something that arq can't use."""
    return isinstance(exc, ResponseError) and (
        str(exc).startswith((NO_CLUSTER, A_SENTINEL)) or _NO_NODE in str(exc)
    )


def no_cluster_at(address: tuple[str, int], exc: ResponseError, prefix: str) -> ResponseError:
    """The error to raise where a server does not say how the slots of its cluster are divided."""
    if "cluster support disabled" in str(exc):
        return ResponseError(f"{address[0]}:{address[1]} {_NO_NODE}")
    return explained(exc, prefix=prefix)


def is_refusal(exc: BaseException) -> bool:
    """Whether the server lets nobody with these settings use it, so that it is of no use to try again."""
    return isinstance(exc, NoPermissionError) or is_wrong_server(exc)


def explained(
    exc: ResponseError, script: str = "", keys: Sequence[str] = (), prefix: str = ""
) -> ResponseError:
    """The error to raise instead: with a remedy where the server is no good for arq, else the same.

    Args:
        exc: what the server said.
        script, keys: text and keys of the script that was called, if one was.
        prefix: what all keys begin with.
    """
    text = str(exc)
    if NO_CLUSTER in text or NO_RIGHTS in text:
        said = exc.__cause__
        return explained(said, script, keys, prefix) if script and isinstance(said, ResponseError) else exc
    if isinstance(exc, _CLUSTER_ERRORS) or _CLUSTER_TEXT.search(text):
        found = ResponseError(f"{NO_CLUSTER} (it says: {type(exc).__name__}: {text})")
    elif isinstance(exc, NoPermissionError) or _RIGHTS_TEXT.search(text):
        found = NoPermissionError(
            f"{NO_RIGHTS}{_missing(text, script, keys, prefix)} (it says: {text}); all: {_all_rights(prefix)}"
        )
    else:
        return exc
    found.__cause__ = exc
    return found


def _all_rights(prefix: str) -> str:
    if prefix:
        return f"~{prefix}* {RIGHTS}{f' {RIGHTS_ON_CLUSTERS}' if '{' in prefix else ''}; {_SEE}"
    return f"~arq:* {RIGHTS}, and for another queue ~QUEUE ~QUEUE:*; {_SEE}"


def _missing(text: str, script: str, keys: Sequence[str], prefix: str) -> str:
    if command := _refused_command(text, script):
        return f": +{command.lower()}"
    if "key" in text and keys:
        return f": the keys {' '.join(prefix + key for key in keys)}"
    return ""


def _refused_command(text: str, script: str) -> str:
    """The command that the user may not run; Redis before 7.2 says only in which line of the script it stands."""
    if named := _COMMAND.search(text):
        return named[1]
    lines = script.splitlines()
    if (place := _SCRIPT_LINE.search(text)) and 0 < int(place[1]) <= len(lines):
        called = _CALLED.search(lines[int(place[1]) - 1])
        return called[1] if called else ""
    return ""


class Server(NamedTuple):
    """What INFO says about a server."""

    version: tuple[int, ...]
    mode: str


def info_fields(info: bytes) -> dict[str, str]:
    """An answer to `INFO`, by the names of its fields."""
    return dict(_FIELD.findall(info.decode(errors="replace")))


def read_server(info: bytes) -> Server:
    """The answer to `INFO server`; what it does not say is () and ''. Valkey 9 has other names for the same."""
    fields = info_fields(info)
    numbers = _NUMBER.findall(fields.get("redis_version", ""))
    return Server(tuple(map(int, numbers[:3])), fields.get("redis_mode") or fields.get("server_mode", ""))


def objection(server: Server) -> ResponseError | None:
    """Why this server can't be used, if so."""
    if server.mode == "cluster":
        return ResponseError(NO_CLUSTER)
    if server.mode == "sentinel":
        return ResponseError(A_SENTINEL)
    return None


def is_old(server: Server) -> bool:
    """Whether arq is not tested with anything as old as this."""
    return bool(server.version) and server.version < OLDEST
