"""Where a pool's socket and lock are, whose they are, and what is found there."""

import os
import re
import selectors
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any

import pytest

from supervisor.control.client import UnreachableError, ask
from supervisor.control.find_socket import find_socket
from supervisor.control.lock_files import LockFile, TakenError
from supervisor.control.paths import BOUND, places
from supervisor.control.protocol import Request
from supervisor.control.server import ControlServer
from supervisor.control.trusted_paths import UnsafeDirectoryError, prepare_directory
from supervisor.options import Options
from supervisor.parent.pool_lock import Ownership
from tests.support.eventually import wait_until

NOBODY = 65534
needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can play another user")
FAKE = """import os, socket, sys
os.setuid(int(sys.argv[2]))
sock = socket.socket(socket.AF_UNIX)
sock.bind(sys.argv[1] + "~")
sock.listen()
os.rename(sys.argv[1] + "~", sys.argv[1])
while True:
    client, _ = sock.accept()
    if client.recv(1000):
        client.sendall(b'{"ok": true, "status": {}}\\n')
    client.close()
"""


@contextmanager
def fake(path: Path, uid: int) -> Iterator[None]:
    """Somebody of this user who answers at `path`, to everything."""
    process = subprocess.Popen([sys.executable, "-S", "-c", FAKE, str(path), str(uid)])
    try:
        wait_until(path.is_socket, what="the fake listens")
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No other place of this machine counts."""
    monkeypatch.setattr("supervisor.control.paths.SERVICES", tmp_path / "run")
    monkeypatch.setattr("supervisor.control.paths.SESSIONS", tmp_path / "sessions")
    monkeypatch.setattr("supervisor.control.paths.TEMPORARY", tmp_path / "tmp")
    monkeypatch.setattr("supervisor.control.paths.BOUND", BoundBelow(tmp_path))
    return tmp_path


class BoundBelow:
    """The table of sockets, as far as it is about a directory: other pools may run on this machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read_text(self, encoding: str, errors: str) -> str:
        lines = BOUND.read_text(encoding, errors).splitlines()
        return "\n".join(line for line in lines if f" {self._directory}/" in line)


def listen(path: Path) -> socket.socket:
    path.parent.mkdir(parents=True, exist_ok=True)
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    sock.listen()
    return sock


# --- finding ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["mine", "session", "service", "user service"])
def test_a_pool_is_found_wherever_it_was_started(home: Path, where: str) -> None:
    """Whether or not the one who asks has the variables of that session."""
    session = home / "sessions" / str(os.geteuid()) / "arq-supervise"
    path = {
        "mine": home / "mine/arq-supervise/shop.sock",
        "session": session / "shop.sock",
        "service": home / "run/shop/shop.sock",
        "user service": session / "shop/shop.sock",
    }[where]
    environ = {"XDG_RUNTIME_DIR": str(home / "mine")}
    with pytest.raises(
        UnreachableError, match=f"there is no shop.sock in {home}/mine/arq-supervise, {home}/tmp/"
    ):
        find_socket("", "shop", environ)
    with listen(path):
        assert find_socket("", "shop", environ) == path
        assert find_socket("", "", environ) == path
        without = {} if where != "mine" else environ
        assert find_socket("", "shop", without) == path


def test_a_pool_in_a_directory_that_nobody_knows_is_found_by_its_name(home: Path) -> None:
    """RUNTIME_DIRECTORY of a unit of one's own."""
    with selectors.DefaultSelector() as selector:
        server = ControlServer(home / "elsewhere/shop.sock", selector)
        assert find_socket("", "shop", {}) == home / "elsewhere/shop.sock"
        server.close()
    with pytest.raises(UnreachableError):
        find_socket("", "shop", {})


def test_the_one_that_answers_is_meant(home: Path) -> None:
    """Not the file that a killed supervisor has left."""
    environ = {"XDG_RUNTIME_DIR": str(home)}
    listen(home / "arq-supervise/shop.sock").close()
    assert find_socket("", "shop", environ) == home / "arq-supervise/shop.sock"
    with listen(home / "run/shop/shop.sock"):
        assert find_socket("", "shop", environ) == home / "run/shop/shop.sock"


def test_without_a_name_there_must_be_one(home: Path) -> None:
    environ = {"XDG_RUNTIME_DIR": str(home)}
    with pytest.raises(UnreachableError, match="no pool runs here"):
        find_socket("", "", environ)
    with listen(home / "run/shop/shop.sock"), listen(home / "arq-supervise/other.sock"):
        (home / "run/shop/other.sock").touch()
        listen(home / "arq-supervise/killed.sock").close()
        with pytest.raises(
            UnreachableError, match="several pools run here, say which with --name: other, shop"
        ):
            find_socket("", "", environ)
        assert find_socket("/x", "shop", environ) == Path("/x")


@needs_root
def test_the_session_of_another_user_is_not_ours(home: Path) -> None:
    """`su` keeps XDG_RUNTIME_DIR."""
    other = home / "other"
    other.mkdir()
    os.chown(other, NOBODY, NOBODY)
    assert other / "arq-supervise/shop.sock" not in places("shop", {"XDG_RUNTIME_DIR": str(other)})


@needs_root
def test_under_sudo_the_callers_pool_is_found(home: Path) -> None:
    """Root asks a pool of another user."""
    directory = home / "sessions" / str(NOBODY) / "arq-supervise"
    directory.mkdir(parents=True)
    home.chmod(0o755)
    os.chown(directory, NOBODY, NOBODY)
    with reachable(home), fake(directory / "shop.sock", NOBODY):
        path = find_socket("", "shop", {"SUDO_UID": str(NOBODY)})
        assert path == directory / "shop.sock"
        assert ask(path, Request("status")).ok


@contextmanager
def reachable(directory: Path) -> Iterator[None]:
    """Other users may go into the directories above this one."""
    before = {
        one: one.stat().st_mode for one in (directory, *directory.parents) if not one.stat().st_mode & 1
    }
    for one in before:
        one.chmod(0o755)
    try:
        yield
    finally:
        for one, mode in before.items():
            one.chmod(mode)


# --- whose it is ---------------------------------------------------------------------------------------------------


@needs_root
@pytest.mark.parametrize("mode", [0o700, 0o755, 0o1777])
def test_a_directory_of_another_user_is_refused(tmp_path: Path, mode: int) -> None:
    """Its owner can replace everything in it, sticky or not."""
    directory = tmp_path / "theirs"
    directory.mkdir()
    directory.chmod(mode)
    os.chown(directory, NOBODY, NOBODY)
    with pytest.raises(UnsafeDirectoryError, match=r"another user \(uid 65534\): .*--control PATH"):
        prepare_directory(directory)


def test_a_directory_that_others_may_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o770)
    with pytest.raises(UnsafeDirectoryError, match="others may write to it"):
        prepare_directory(tmp_path)
    tmp_path.chmod(0o1777)
    prepare_directory(tmp_path)


def test_a_link_where_anybody_could_have_made_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    open_to_all = tmp_path / "tmp"
    open_to_all.mkdir()
    open_to_all.chmod(0o1777)
    (open_to_all / "link").symlink_to(tmp_path / "real")
    with pytest.raises(UnsafeDirectoryError, match="is a symbolic link"):
        prepare_directory(open_to_all / "link")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    prepare_directory(tmp_path / "link")


@needs_root
@pytest.mark.parametrize("meant", [0, NOBODY])
def test_root_does_not_ask_another_user_in_its_own_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, meant: int
) -> None:
    """Who is first at /tmp/arq-supervise-0 makes it; at the place of that user root may ask."""
    monkeypatch.setattr(
        "supervisor.control.trusted_paths.OF_A_USER", re.compile(rf"{tmp_path}/arq-supervise-(\d+)/")
    )
    directory = tmp_path / f"arq-supervise-{meant}"
    directory.mkdir()
    os.chown(directory, NOBODY, NOBODY)
    with reachable(tmp_path), fake(directory / "shop.sock", NOBODY):
        if meant == NOBODY:
            assert ask(directory / "shop.sock", Request("status")).ok
        else:
            with pytest.raises(UnreachableError, match="is not asked: .* another user"):
                ask(directory / "shop.sock", Request("status"))


@needs_root
def test_who_listens_counts_not_whose_file_it_is(tmp_path: Path) -> None:
    """A file of ours at which another user listens: it was given to us, or the user has changed."""
    with reachable(tmp_path):
        tmp_path.chmod(0o1777)
        path = tmp_path / "c.sock"
        with fake(path, NOBODY):
            tmp_path.chmod(0o700)
            assert ask(path, Request("status")).ok, "root asks whom it has named"
            os.chown(path, 0, 0)
            with pytest.raises(UnreachableError, match=r"another user answers there \(uid 65534\)"):
                ask(path, Request("status"))


# --- the lock -------------------------------------------------------------------------------------------------------


def test_a_lock_is_held_once_and_removed_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "shop.lock"
    lock = LockFile(path)
    assert path.read_text() == f"{os.getpid()}\n"
    with pytest.raises(TakenError, match=rf"pid {os.getpid()}\).*--name"):
        LockFile(path)
    lock.release()
    assert not path.exists()


def test_a_lock_that_was_removed_is_made_anew(tmp_path: Path) -> None:
    lock = LockFile(tmp_path / "shop.lock")
    assert lock.look()
    (tmp_path / "shop.lock").unlink()
    assert not lock.look()
    assert lock.look()
    with pytest.raises(TakenError):
        LockFile(tmp_path / "shop.lock")
    lock.release()


def test_a_lock_that_somebody_else_has_now_stays_theirs(tmp_path: Path) -> None:
    first = LockFile(tmp_path / "shop.lock")
    (tmp_path / "shop.lock").unlink()
    second = LockFile(tmp_path / "shop.lock")
    with pytest.raises(TakenError):
        first.look()
    first.release()
    assert second.look(), "the end of the first has not removed it"
    second.release()


def test_who_gets_a_lock_that_was_removed_meanwhile_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last holder removes it between the opening and the locking: what is locked then is nowhere."""
    path = tmp_path / "shop.lock"
    removals = [True]

    def slow_flock(fd: int, how: int) -> None:
        if removals:
            removals.pop()
            path.unlink()
        flock(fd, how)

    monkeypatch.setattr("supervisor.control.lock_files.flock", slow_flock)
    lock = LockFile(path)
    with open(path, "rb") as file, pytest.raises(BlockingIOError):
        flock(file, LOCK_EX | LOCK_NB)
    lock.release()


@pytest.mark.parametrize("kind", ["content", "hard link", "link", "directory", "fifo"])
def test_what_is_no_lock_stays_as_it_is(tmp_path: Path, kind: str) -> None:
    """A pool called `poetry`, in the directory of a project."""
    path, treasure = tmp_path / "poetry.lock", tmp_path / "treasure"
    treasure.write_text("12" if kind == "hard link" else "[[package]]")
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(treasure)
    else:
        path.hardlink_to(treasure)
        if kind == "content":
            treasure.unlink()
    with pytest.raises(OSError):  # noqa: PT011  # each has a text of its own
        LockFile(path)
    assert kind in ("directory", "fifo") or path.read_text() in ("12", "[[package]]")


def test_files_in_use_do_not_look_old(tmp_path: Path) -> None:
    with selectors.DefaultSelector() as selector:
        server = ControlServer(tmp_path / "shop.sock", selector)
        for name in ("shop.sock", "shop.lock"):
            os.utime(tmp_path / name, (0, 0))
        assert server.look(0.0)
        assert all((tmp_path / name).stat().st_mtime > 1e9 for name in ("shop.sock", "shop.lock"))
        server.close()
    assert not list(tmp_path.iterdir())


def test_a_socket_that_answers_is_not_taken_over(tmp_path: Path) -> None:
    """Also when the lock beside it has gone; what nobody listens at is."""
    with listen(tmp_path / "shop.sock"), selectors.DefaultSelector() as selector:
        with pytest.raises(TakenError, match="another supervisor answers there"):
            ControlServer(tmp_path / "shop.sock", selector)
        assert not (tmp_path / "shop.lock").exists()
    with selectors.DefaultSelector() as selector:
        ControlServer(tmp_path / "shop.sock", selector).close()


def test_a_file_in_the_place_of_a_socket_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "shop.sock").write_text("precious")
    with selectors.DefaultSelector() as selector, pytest.raises(OSError, match="is no socket"):
        ControlServer(tmp_path / "shop.sock", selector)
    assert (tmp_path / "shop.sock").read_text() == "precious"


# --- looking now and then ----------------------------------------------------------------------------------------


class Said:
    """Stands where the journal is."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def say(self, _level: str, event: str, _fields: dict[str, Any]) -> None:
        self.events.append(event)


def test_another_one_in_our_place_is_told_once_and_left_alone(tmp_path: Path) -> None:
    """It came in the moment when our files were gone; when it has gone, the place is ours again."""
    said = Said()
    options = Options("app.Settings", control=str(tmp_path / "c.sock"), pidfile=str(tmp_path / "pid"))
    with selectors.DefaultSelector() as selector:
        ownership = Ownership(options, said)  # type: ignore[arg-type]
        ownership.claim(selector)
        for name in ("c.sock", "c.lock", "pid"):
            (tmp_path / name).unlink()
        other = ControlServer(tmp_path / "c.sock", selector)
        for now in range(1, 4):
            ownership.look(float(now))
        assert said.events == ["control.lost", "pidfile.anew"]
        assert other.look(9.0), "everything is still the other one's"
        other.close()
        ownership.look(10.0)
        ownership.look(11.0)
        assert said.events == ["control.lost", "pidfile.anew", "control.anew"]
        ownership.close()
    assert not list(tmp_path.iterdir())
