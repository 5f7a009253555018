"""A TCP socket that listens at the HOST:PORT of an option."""

import os
import socket
from collections.abc import Sequence

FLAGS = socket.AI_PASSIVE
#: What `getaddrinfo` answers.
Found = Sequence[tuple[int, int, int, str, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]]


def listen(host: str, port: int, backlog: int) -> socket.socket:
    """Listen at the first address of this host. A name is looked up, which may take a while.

    Raises:
        OSError: there is no such host, or the address is taken, or not ours; the text says which and why.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=FLAGS)
    except OSError as error:
        raise OSError(error.errno, f"can't listen on {host}:{port}: {error.strerror or error}") from error
    return listen_at(f"{host}:{port}", found, backlog)


def listen_at(where: str, found: Found, backlog: int) -> socket.socket:
    """Listen at the first of the addresses that `getaddrinfo` has found; `where` is what the user calls it.

    Raises:
        OSError: it is taken, or not ours; the text says which and why.
    """
    family, _, _, _, address = found[0]
    try:
        return socket.create_server(address[:2], family=family, backlog=backlog)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise OSError(error.errno, f"can't listen on {where}: {reason}") from error


def address_of(listener: socket.socket) -> str:
    """HOST:PORT where it listens, with the port that the system has chosen for port 0."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
