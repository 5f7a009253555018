"""Where a pool is: this host's name, the control socket, and who may own it."""

import errno
import os
import re
import socket
import stat
from collections.abc import Mapping
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from . import descriptors

SUFFIX = ".sock"
LONGEST_PATH_BYTES = 107
# RuntimeDirectory of the units: one directory for each pool
SERVICES = Path("/run/arq-supervise")


class TakenError(RuntimeError):
    """Another supervisor runs this pool."""


class UnsafeDirectoryError(OSError):
    """The directory belongs to somebody else, or others may write into it."""


def host_name() -> str:
    """This host, as a part of a key: letters, digits, dots, dashes and underscores."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", socket.gethostname()) or "localhost"


def control_directory(environ: Mapping[str, str]) -> Path:
    """The first of systemd's, the session's and our own directory in /tmp."""
    if environ.get("RUNTIME_DIRECTORY"):
        return Path(environ["RUNTIME_DIRECTORY"].split(":")[0])
    if environ.get("XDG_RUNTIME_DIR"):
        return Path(environ["XDG_RUNTIME_DIR"]) / "arq-supervise"
    return Path("/tmp") / f"arq-supervise-{os.getuid()}"  # noqa: S108  # ours alone, see prepare_directory


def control_path(control: str, pool: str, environ: Mapping[str, str]) -> Path | None:
    """The socket of this pool; None when it is switched off."""
    if control == "off":
        return None
    return Path(control) if control else control_directory(environ) / f"{pool}{SUFFIX}"


def service_sockets(pool: str) -> list[Path]:
    """Sockets of pools of this name that run from our systemd units; `*` for all names."""
    try:
        found = sorted(SERVICES.glob(f"{pool}/{pool}{SUFFIX}"))
    except OSError:  # somebody else's
        return []
    return [path for path in found if path.stem == path.parent.name]


def lock_path(path: Path) -> Path:
    """The lock of the pool with this control socket: a name of its own for each socket."""
    return path.with_suffix(".lock") if path.suffix == SUFFIX else path.with_name(f"{path.name}.lock")


def check_length(path: Path) -> None:
    """Nobody could connect to a longer path.

    Raises:
        OSError: it is too long.
    """
    if (length := len(os.fsencode(path))) > LONGEST_PATH_BYTES:
        text = f"the path of a socket may have {LONGEST_PATH_BYTES} bytes, this one has {length}"
        raise OSError(errno.ENAMETOOLONG, text)


def prepare_directory(directory: Path) -> None:
    """Make it if need be, for us alone.

    Raises:
        OSError: it can not be made, or others could replace what is in it.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    about = directory.stat()
    is_shared = stat.S_IMODE(about.st_mode) & 0o022 or about.st_uid not in (0, os.getuid())
    if is_shared and not about.st_mode & stat.S_ISVTX:  # in a sticky directory nobody can replace our files
        raise UnsafeDirectoryError(f"{directory} belongs to another user, or others may write to it")


def hold(path: Path) -> int:
    """Lock a file for as long as this process lives, and write our pid into it; returns the descriptor.

    Raises:
        TakenError: another process holds it.
        OSError: it can not be opened.
    """
    fd = descriptors.own(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
    try:
        flock(fd, LOCK_EX | LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(fd, 32, 0).decode(errors="replace").strip()
        descriptors.close(fd)
        raise TakenError(f"{path}: held by another supervisor (pid {owner or 'unknown'})") from error
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd
