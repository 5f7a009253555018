"""The client of the control socket: which one is meant, and a question to it."""

import os
import select
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from .paths import SERVICES, SUFFIX, directories, places, places_in_use, pools_here
from .protocol import Answer, Request
from .trusted_paths import UnsafeDirectoryError, answerers, answers, is_own, is_trusted, require_peer

ASK_S = 5.0
CROWDED_S = 0.02
STEP_S = 0.25
MOST_NAMED = 20


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


def find_socket(control: str, pool: str, environ: Mapping[str, str]) -> Path:
    """The socket of the pool that is meant; without a name, of the only pool there is.

    It does not matter in which session or by which service it was started.

    Raises:
        UnreachableError: there is none, or there are several.
    """
    if control == "off":
        raise UnreachableError("--control off: there is no socket to ask")
    if control:
        return Path(control)
    if pool:
        return _find_pool(pool, environ)
    there = pools_here(environ)
    found = [path for path in there if answers(path)] or there  # a killed supervisor leaves its socket
    if len(found) == 1:
        return found[0]
    names = ", ".join(path.stem for path in found)
    where = ", ".join(map(str, (*directories(environ), SERVICES)))
    raise UnreachableError(
        f"several pools run here, say which with --name: {names}" if found else f"no pool runs here ({where})"
    )


def _find_pool(pool: str, environ: Mapping[str, str]) -> Path:
    usual = places(pool, environ)
    there = [path for path in usual if _is_there(path)]
    elsewhere = [path for path in places_in_use(pool) if path not in usual and _is_there(path)]
    for path in (*there, *filter(is_own, elsewhere)):
        if answers(path) and is_trusted(path):
            return path
    if there:
        return there[0]
    looked = ", ".join(str(path.parent) for path in usual)
    hint = f"; is it another user's, at --control {elsewhere[0]}?" if elsewhere else ""
    raise UnreachableError(
        f"no supervisor answers: there is no {pool}{SUFFIX} in {looked}{hint}{_others(pool, environ)}"
    )


def _others(pool: str, environ: Mapping[str, str]) -> str:
    """The pools that could have been meant."""
    names = sorted({path.stem for path in pools_here(environ)} - {pool})[:MOST_NAMED]
    return f"; pools that run here: {', '.join(names)} (say which with --name)" if names else ""


def _is_there(path: Path) -> bool:
    """Also in a directory that we may not look into: what is said about that one is of more use."""
    try:
        os.lstat(path)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True
