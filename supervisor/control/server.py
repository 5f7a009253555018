"""The control socket, served from the parent's own loop: nothing here ever waits for a client."""

import errno
import os
import select
import selectors
import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..host import descriptors
from .lock_files import ANOTHER_NAME, LockFile, TakenError, freshen, is_at
from .paths import NEW_SUFFIX, check_length, lock_path
from .protocol import Answer, Request
from .trusted_paths import answers, prepare_directory

LONGEST_REQUEST_BYTES = 64 * 1024
MOST_CLIENTS = 256
IDLE_S = 5.0
DEAF_S = 0.5
BACKLOG = 1024
MOST_AT_ONCE = 64


@dataclass(eq=False, slots=True)
class Client:
    """One connection. `is_waiting` = its answer comes later, so it may be silent."""

    sock: socket.socket
    since_s: float
    request: bytes = b""
    answer: bytes = b""
    is_waiting: bool = False
    skip: int = 0


class ControlServer:
    """Listens at `path`; holds a lock beside it for as long as the process lives.

    Raises:
        TakenError: another supervisor holds the lock, or answers at the socket.
        OSError: the socket can not be made there.
    """

    def __init__(self, path: Path, selector: selectors.BaseSelector) -> None:
        self._path = path
        self._selector = selector
        self._clients: set[Client] = set()
        check_length(path)
        prepare_directory(path.parent, with_parents=True)
        self._lock, self._listener, self._about = _take(path)
        self._spare_fd = -1
        self._deaf_since_s: float | None = None
        self._save_descriptor()
        selector.register(self._listener, selectors.EVENT_READ, self)

    def accept(self, now: float) -> None:
        """Take those who are waiting to connect."""
        for _ in range(MOST_AT_ONCE):  # the others in the next turn
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            except OSError:  # no descriptor is left: the system says so even when nobody waits
                if not self._is_anybody_waiting():
                    return
                if self._find_descriptor():
                    continue
                self._turn_deaf(now)
                return
            if len(self._clients) >= MOST_CLIENTS:
                self._drop_longest()
            descriptors.own_object(sock).setblocking(False)
            client = Client(sock, now)
            self._clients.add(client)
            self._selector.register(sock, selectors.EVENT_READ, client)

    def serve(self, client: Client) -> Request | None:
        """Read from a client, or go on writing to it; returns its request when it is complete."""
        if client.answer:
            self._write(client)
            return None
        try:
            data = client.sock.recv(LONGEST_REQUEST_BYTES)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        client.request += data
        if not data or len(client.request) > LONGEST_REQUEST_BYTES or client.is_waiting:
            self._drop(client)
            return None
        return self._parse(client) if b"\n" in client.request else None

    def _parse(self, client: Client) -> Request | None:
        try:
            return Request.read(client.request.split(b"\n", 1)[0])
        except ValueError:
            error = "not a request: one JSON object with 'cmd' on one line"
            self.answer(client, Answer(ok=False, error=error))
            return None

    def answer(self, client: Client, answer: Answer) -> None:
        """Send the answer and close."""
        if client not in self._clients:
            return
        client.answer = answer.encode()
        client.is_waiting = False
        self._write(client)

    def _write(self, client: Client) -> None:
        try:
            client.answer = client.answer[client.sock.send(client.answer) :]
        except BlockingIOError:
            pass
        except OSError:
            client.answer = b""
        if not client.answer:
            self._drop(client)
        else:
            self._selector.modify(client.sock, selectors.EVENT_WRITE, client)

    def _drop(self, client: Client) -> None:
        if client in self._clients:
            self._clients.discard(client)
            with suppress(KeyError, ValueError):
                self._selector.unregister(client.sock)
            client.sock.close()
            self._save_descriptor()

    def _is_anybody_waiting(self) -> bool:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        return bool(poll.poll(0))

    def _find_descriptor(self) -> bool:
        """Who has to look at a pool that has run out of descriptors needs one: the spare one, or another client's."""
        if self._spare_fd < 0 and self._clients:
            self._drop_longest()
        if self._spare_fd < 0:
            return False
        descriptors.close(self._spare_fd)
        self._spare_fd = -1
        return True

    def _save_descriptor(self) -> None:
        if self._spare_fd < 0:
            with suppress(OSError):
                self._spare_fd = descriptors.own(os.open(os.devnull, os.O_RDONLY))

    def _turn_deaf(self, now: float) -> None:
        """Whoever waits goes on waiting: a listener that is always ready would keep the parent from all else."""
        self._deaf_since_s = now
        self._selector.unregister(self._listener)

    def _listen_again(self, now: float) -> None:
        if self._deaf_since_s is not None and now - self._deaf_since_s >= DEAF_S:
            self._deaf_since_s = None
            self._selector.register(self._listener, selectors.EVENT_READ, self)

    def _drop_longest(self) -> None:
        """Room for one more: who has been there for longest goes, unless an answer is on its way to somebody else."""
        self._drop(min(self._clients, key=lambda one: (one.is_waiting, one.since_s)))

    def excuse(self, late_s: float) -> None:
        """We stood still, and whoever was about to speak perhaps did, too."""
        for client in self._clients:
            client.since_s += late_s

    def drop_idle(self, now: float) -> None:
        """Whoever has connected and says nothing has to go."""
        self._listen_again(now)
        for client in [one for one in self._clients if not one.is_waiting and now - one.since_s > IDLE_S]:
            self._drop(client)

    def look(self, now: float) -> bool:
        """See that lock and socket are still there, and make anew what somebody has removed; were they there?

        Raises:
            TakenError: another supervisor has their place.
            OSError: they can not be made anew.
        """
        prepare_directory(self._path.parent)
        was_there = self._lock.look()
        if is_at(self._path, self._about):
            freshen(self._path)
            return was_there
        self._replace(*_listen(self._path), now)
        return False

    def move(self, path: Path, now: float) -> None:
        """Go on at another place: the directory of the old one has gone for good.

        Raises:
            TakenError: another supervisor has that place.
            OSError: nothing can be made there.
        """
        check_length(path)
        prepare_directory(path.parent)
        lock, listener, about = _take(path)
        self._lock.release()
        self._path, self._lock = path, lock
        self._replace(listener, about, now)

    def _replace(self, listener: socket.socket, about: os.stat_result, now: float) -> None:
        self.accept(now)  # who is in the old line is served
        with suppress(KeyError, ValueError):
            self._selector.unregister(self._listener)
        self._listener.close()
        self._listener, self._about, self._deaf_since_s = listener, about, None
        self._selector.register(listener, selectors.EVENT_READ, self)

    def close(self) -> None:
        """End: the socket file goes, if it is still ours."""
        for client in list(self._clients):
            self._drop(client)
        with suppress(KeyError, ValueError):
            self._selector.unregister(self._listener)
        self._listener.close()
        with suppress(OSError):
            if is_at(self._path, self._about):
                self._path.unlink()
        if self._spare_fd >= 0:
            descriptors.close(self._spare_fd)
        self._lock.release()


def _take(path: Path) -> tuple[LockFile, socket.socket, os.stat_result]:
    """The lock of this place, and what `_listen` returns."""
    lock = LockFile(lock_path(path))
    try:
        return lock, *_listen(path)
    except (OSError, TakenError):
        lock.release()
        raise


def _listen(path: Path) -> tuple[socket.socket, os.stat_result]:
    """A listening socket that appears at `path` complete, and its file.

    Raises:
        TakenError: somebody answers there.
        OSError: it can not be made, or there is something that is no socket.
    """
    _require_free(path)
    temporary = path.with_name(f".{os.getpid()}{NEW_SUFFIX}")
    sock = descriptors.own_object(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
    try:
        with suppress(FileNotFoundError):
            temporary.unlink()
        before = os.umask(0o177)
        try:
            sock.bind(str(temporary))
        finally:
            os.umask(before)
        sock.listen(BACKLOG)
        sock.setblocking(False)
        temporary.rename(path)
        return sock, os.lstat(path)
    except OSError:
        sock.close()
        raise


def _require_free(path: Path) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, f"{path} is no socket, and stays as it is: choose another name")
    if answers(path):
        raise TakenError(f"{path}: another supervisor answers there; {ANOTHER_NAME}")
