"""The client of the control socket: `arq-supervise --ctl ...`."""

import json
import os
import select
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .answers import complain, tell
from .paths import SUFFIX, control_directory, control_path, service_sockets
from .tables import status_table

ASK_S = 5.0
CROWDED_S = 0.02
STEP_S = 0.25
UNREACHABLE = 3


class UnreachableError(RuntimeError):
    """Nobody answers at the control socket."""


def ask(
    path: Path, command: str, wait: bool = False, timeout_s: float = ASK_S, **body: Any
) -> dict[str, Any]:
    """Send one command and return the answer; with `wait`, however long it takes.

    Raises:
        UnreachableError: there is no supervisor at this socket, or it does not answer within `timeout_s`.
    """
    request = json.dumps({"v": 1, "cmd": command, "wait": wait, **body}).encode() + b"\n"
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(timeout_s)
            _connect(sock, str(path), timeout_s)
            sock.sendall(request)
            sock.settimeout(None)
            data = _read_all(sock, None if wait else timeout_s)
        answer = json.loads(data)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UnreachableError(f"no supervisor answers at {path} ({reason})") from error
    return answer if isinstance(answer, dict) else {}


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

    Pools that systemd runs from our units are found as well, by root and by their own user.

    Raises:
        UnreachableError: there is none, or there are several.
    """
    if control or pool:
        path = control_path(control, pool, environ)
        if path is None:
            raise UnreachableError("--control off: there is no socket to ask")
        is_elsewhere = not control and not os.path.exists(path)
        return next(iter(service_sockets(pool)), path) if is_elsewhere else path
    directory = control_directory(environ)
    found = sorted(directory.glob(f"*{SUFFIX}")) if directory.is_dir() else []
    found += service_sockets("*")
    if len(found) == 1:
        return found[0]
    names = ", ".join(path.stem for path in found)
    raise UnreachableError(
        f"several pools run here, say which with --name: {names}"
        if found
        else f"no pool runs here ({directory})"
    )


def run_ctl(path: Path, command: str, operand: str, wait: bool, as_json: bool) -> int:
    """Do what `--ctl` asks for; prints the answer, returns the exit code."""
    body = {"to": int(operand)} if command == "scale" else {"slot": int(operand)} if operand else {}
    try:
        answer = ask(path, command, wait=wait, **body)
    except UnreachableError as error:
        complain(str(error))
        return UNREACHABLE
    if command == "status" and answer.get("ok"):
        status = answer["status"]
        return 0 if tell((json.dumps(status) if as_json else status_table(status)) + "\n") else 1
    if as_json:
        tell(json.dumps(answer) + "\n")
    if not answer.get("ok"):
        _complain(command, answer, as_json)
        return 1
    return int(answer.get("code", 0))


def _complain(command: str, answer: dict[str, Any], as_json: bool) -> None:
    if as_json:
        return
    trace = answer["trace"].rstrip("\n") + "\n" if answer.get("trace") else ""
    complain(f"{command}: {answer.get('error') or 'no answer: the supervisor has ended'}", trace)
