"""Whose a directory or a socket is: what another user can replace is neither listened at nor asked."""

import grp
import os
import pwd
import re
import socket
import stat
import struct
from collections.abc import Set as AbstractSet
from pathlib import Path

ROOT = 0
OTHERS_WRITE, GROUP_WRITES, OTHERS_ANYTHING = 0o022, 0o020, 0o077
REMEDY = "name another place with --control PATH"
# places that belong to the user with this number
OF_A_USER = re.compile(r"/(?:tmp/arq-supervise-|run/user/)(\d+)(?:/|$)")
CREDENTIALS = struct.Struct("3i")


class UnsafeDirectoryError(OSError):
    """A directory, or what is in it, can be replaced by another user."""


def own() -> frozenset[int]:
    """Users whose directories and sockets we use: ourselves and root."""
    return frozenset((ROOT, os.geteuid()))


def require_safe(directory: Path, owners: AbstractSet[int]) -> None:
    """See that nobody but `owners` can replace what is in `directory`.

    In a sticky directory only the owner of a file can replace it, and the owner of the directory.

    Raises:
        OSError: somebody else can (UnsafeDirectoryError), or it can not be looked at.
    """
    link, about = os.lstat(directory), os.stat(directory)
    if stat.S_ISLNK(link.st_mode) and (link.st_uid not in owners or _is_for_all(directory.parent)):
        raise UnsafeDirectoryError(f"{directory} is a symbolic link: remove it, or {REMEDY}")
    if about.st_uid not in owners:
        text = f"{directory} belongs to another user (uid {about.st_uid}): have it removed, or {REMEDY}"
        raise UnsafeDirectoryError(text)
    if about.st_mode & OTHERS_WRITE and not about.st_mode & stat.S_ISVTX:
        raise UnsafeDirectoryError(f"{directory}: others may write to it: `chmod go-w` it, or {REMEDY}")


def prepare_data(directory: Path, option: str) -> None:
    """Make a directory for data that `option` names, if need be, for us alone: what another user puts there is loaded.

    Raises:
        OSError: it can not be made, or others can write to it (UnsafeDirectoryError).
    """
    if directory.exists() and not directory.is_dir():
        raise UnsafeDirectoryError(f"{directory} is no directory: name another {option}")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    link, about = os.lstat(directory), os.stat(directory)
    if stat.S_ISLNK(link.st_mode) and (link.st_uid not in own() or _is_for_all(directory.parent)):
        raise UnsafeDirectoryError(
            f"{directory} is a symbolic link that others can replace: name what it points to"
        )
    if about.st_uid not in own():
        raise UnsafeDirectoryError(
            f"{directory} belongs to another user (uid {about.st_uid}): name another {option}"
        )
    ours_only = OTHERS_WRITE ^ GROUP_WRITES if _is_group_of_one(about.st_gid) else OTHERS_WRITE
    if about.st_mode & ours_only:
        raise UnsafeDirectoryError(
            f"{directory}: others may write to it: `chmod go-w` it, or name another {option}"
        )


def _is_group_of_one(gid: int) -> bool:
    """The group that many systems make for each user: that it may write, as they like it, means nobody else."""
    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    return gid == user.pw_gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}


def prepare_private(directory: Path) -> None:
    """Make a directory that only we can enter, unless it is there.

    Raises:
        OSError: it can not be made, or what is there is something else (UnsafeDirectoryError).
    """
    directory.mkdir(mode=0o700, exist_ok=True)
    about = os.lstat(directory)
    is_ours = stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid()
    if not is_ours or about.st_mode & OTHERS_ANYTHING:
        raise UnsafeDirectoryError(f"{directory} is not only ours: remove it")


def _is_for_all(directory: Path) -> bool:
    """A directory like /tmp, where anybody may have made the link."""
    return bool(os.stat(directory).st_mode & stat.S_IWOTH)


def prepare_directory(directory: Path, with_parents: bool = False) -> None:
    """Make it if need be, for us alone.

    Raises:
        OSError: it can not be made, or others could replace what is in it.
    """
    directory.mkdir(mode=0o700, parents=with_parents, exist_ok=True)
    require_safe(directory, own())


def answerers(path: Path) -> AbstractSet[int]:
    """Users who may answer at the socket `path`, from whom it is, and where.

    Root may ask the pools of others, except where the place is that of a certain user.

    Raises:
        OSError: it is another user's (UnsafeDirectoryError), or it can not be looked at.
    """
    owner = os.lstat(path).st_uid
    owners = own()
    if os.geteuid() == ROOT:
        of_a_user = OF_A_USER.match(str(path))
        owners |= {int(of_a_user[1]) if of_a_user else owner}
    if owner not in owners:
        raise UnsafeDirectoryError(f"{path} belongs to another user (uid {owner})")
    require_safe(path.parent, owners)
    return owners


def is_trusted(path: Path) -> bool:
    """Whether whoever answers at the socket `path` may be asked."""
    try:
        answerers(path)
    except OSError:
        return False
    return True


def is_own(path: Path) -> bool:
    """Whether a file is ours."""
    try:
        return os.lstat(path).st_uid == os.geteuid()
    except OSError:
        return False


def require_peer(sock: socket.socket, owners: AbstractSet[int]) -> None:
    """See that one of `owners` listens at the other end of a unix socket, where the system tells.

    Raises:
        UnsafeDirectoryError: it is somebody else.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    uid = CREDENTIALS.unpack(data)[1]
    if uid not in owners:
        raise UnsafeDirectoryError(f"another user answers there (uid {uid})")


def answers(path: Path) -> bool:
    """Whether somebody listens at this socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        try:
            sock.connect(os.fspath(path))
        except BlockingIOError:  # more are waiting there than it has room for
            return True
        except OSError:
            return False
    return True
