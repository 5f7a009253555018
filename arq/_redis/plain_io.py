"""Writes commands and reads answers past redis-py's own methods, where these would do no more than that.

redis-py calls some twenty functions to write a command and to read its answer, and asks again what can't have changed:
which protocol is spoken, whether a health check is due, whether there is a time limit. On connections that arq keeps
for itself nothing of that applies. Where it does, or somebody has put methods of their own in the place of redis-py's,
redis-py does it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from .server_errors import explained

try:
    from redis._parsers.hiredis import NOT_ENOUGH_DATA, _AsyncHiredisParser
except ImportError:  # a version that keeps them elsewhere
    NOT_ENOUGH_DATA, _AsyncHiredisParser = None, None  # type: ignore[assignment,misc]

#: What a reader of hiredis says as long as an answer is not complete.
NOTHING_YET = NOT_ENOUGH_DATA
#: The parser that is known here.
_PARSER: Any = _AsyncHiredisParser
#: Bytes that are read at a time, as redis-py does.
_READ_BYTES = 65_536
_SEND, _READ = AbstractConnection.send_packed_command, AbstractConnection.read_response


def is_ready(connection: Any) -> bool:
    """Whether a connection is open and nothing has come over it that nobody has read: commands may be sent at once.

    If not, or if that is not known here, redis-py must look.
    """
    parser: Any = getattr(connection, "_parser", None)
    stream: Any = getattr(connection, "_reader", None)
    is_known = type(parser) is _PARSER and type(stream) is asyncio.StreamReader  # and no fakeredis
    if not is_known or parser._stream is not stream:
        return False
    is_unread = parser._reader.has_data() or stream._buffer
    is_over = not parser._connected or stream.at_eof() or stream.exception() or stream._loop.is_closed()
    return not (is_unread or is_over)


async def write(connection: Any, packed: bytes, *, check_health: bool = True) -> None:
    """Write commands. Nothing waits until all is sent: whoever waits for the answer waits for that, too.

    Raises:
        redis.exceptions.RedisError: the connection is of no use any more.
    """
    if (
        getattr(connection.send_packed_command, "__func__", None) is not _SEND
        or not isinstance(connection._writer, asyncio.StreamWriter)  # none, or that of fakeredis
        or connection._reader is None
        or connection.socket_timeout
        or (check_health and connection.health_check_interval)
    ):
        await connection.send_packed_command([packed], check_health=check_health)
    else:
        connection._writer.transport.write(packed)


def is_read_here(connection: Any) -> bool:
    """Whether redis-py's own method would do no more than what `read_answer` does."""
    return (
        type(connection._parser) is _PARSER
        and getattr(connection.read_response, "__func__", None) is _READ
        and connection._parser._connected
        and not (connection.socket_timeout or connection.health_check_interval)
    )


async def read_answer(connection: Any) -> Any:
    """The next answer, in bytes whatever the pool's options say; what Redis refused as an exception.

    That is not raised: the answers after it must be read, too.

    Raises:
        redis.exceptions.RedisError: the connection is of no use any more.
    """
    if not is_read_here(connection):
        return await _read_by_redis_py(connection)
    reader, stream = connection._parser._reader, connection._parser._stream
    gets = reader.gets
    answer = gets(False)
    while answer is NOTHING_YET:
        try:
            data = await stream.read(_READ_BYTES)
        except OSError:
            data = b""
        if not data:  # the next try ends in the same way, and redis-py says what happened
            return await _read_by_redis_py(connection)
        reader.feed(data)
        answer = gets(False)
    return answer if type(answer) is bytes else await looked_at(connection, answer)


async def looked_at(connection: Any, answer: Any) -> Any:
    """An answer that may be something else."""
    if type(answer) is list:
        if answer and isinstance(answer[0], RedisConnectionError):
            raise answer[0]
        return answer
    if isinstance(answer, list):  # a message that nobody has asked for
        handle = getattr(connection._parser, "handle_push_response", None)  # redis-py 5 knows of none
        if handle is not None:
            await handle(answer)
        return await read_answer(connection)
    if isinstance(answer, ResponseError):
        return _refusal(answer)
    if isinstance(answer, Exception):
        raise answer
    return answer


async def _read_by_redis_py(connection: Any) -> Any:
    try:
        return await connection.read_response(disable_decoding=True)
    except ResponseError as exc:
        return _refusal(exc)


def _refusal(exc: ResponseError) -> Exception:
    if str(exc).startswith("Protocol error"):  # its last words: it has hung up
        raise RedisConnectionError(str(exc)) from exc
    return explained(exc)
