"""The client of the control socket: a question to it, and the answer."""

import select
import socket
import time
from pathlib import Path

from .protocol import Answer, Request
from .trusted_paths import UnsafeDirectoryError, answerers, require_peer

ASK_S = 5.0
CROWDED_S = 0.02
STEP_S = 0.25


class UnreachableError(RuntimeError):
    """Nobody answers at the control socket."""


def ask(path: Path, request: Request, timeout_s: float = ASK_S) -> Answer:
    """Send one request and return the answer; of one that waits, however long it takes.

    Raises:
        UnreachableError: there is no supervisor at this socket, it does not answer within `timeout_s`, or it might be
            another user's.
    """
    try:
        owners = answerers(path)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(timeout_s)
            _connect(sock, str(path), timeout_s)
            require_peer(sock, owners)
            sock.sendall(request.encode())
            sock.settimeout(None)
            data = _read_all(sock, None if request.wait else timeout_s)
        return Answer.read(data)
    except UnsafeDirectoryError as error:
        raise UnreachableError(f"the supervisor at {path} is not asked: {error}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UnreachableError(f"no supervisor answers at {path} ({reason})") from error


def _connect(sock: socket.socket, path: str, timeout_s: float) -> None:
    """Get in line; when the line is full, a little later."""
    left_s = timeout_s
    while True:
        try:
            sock.connect(path)
        except BlockingIOError:
            if left_s <= 0:
                raise
            time.sleep(CROWDED_S)
            left_s -= CROWDED_S
        else:
            return


def _read_all(sock: socket.socket, limit_s: float | None) -> bytes:
    """Everything up to the end; None = however long it takes."""
    parts: list[bytes] = []
    while True:
        if limit_s is not None:
            _wait_readable(sock, limit_s)
        part = sock.recv(65536)
        if not part:
            return b"".join(parts)
        parts.append(part)


def _wait_readable(sock: socket.socket, limit_s: float) -> None:
    """Wait in short steps: when the whole machine stands still, that is one long step, and nobody's silence."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    left_s = limit_s
    while not poll.poll(min(STEP_S, left_s) * 1000):
        left_s -= STEP_S
        if left_s <= 0:
            raise TimeoutError("timed out")
