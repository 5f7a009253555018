"""Where a pool is: this host's name, and the control socket."""

import errno
import os
import re
import socket
from collections.abc import Mapping
from pathlib import Path

SUFFIX = ".sock"
LONGEST_PATH_BYTES = 107
# RuntimeDirectory of the units: one directory for each pool
SERVICES = Path("/run/arq-supervise")
# a directory for each user who is logged in
SESSIONS = Path("/run/user")
TEMPORARY = Path("/tmp")  # noqa: S108  # where everybody may be first, see trusted_paths.py
NAME = "arq-supervise"
# the sockets of this host by the names they were made with
BOUND = Path("/proc/net/unix")
NEW_SUFFIX = ".new"
RUNTIME, XDG = "RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"


def host_name() -> str:
    """This host, as a part of a key: letters, digits, dots, dashes and underscores."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", socket.gethostname()) or "localhost"


def directories(environ: Mapping[str, str]) -> list[Path]:
    """Where pools of this user may have their sockets, the place for a new one first.

    systemd's, the session's, and our own in /tmp. A place of the session counts whether or not the environment names
    it: under sudo, ssh and cron it does not, and the pool is the same.
    """
    named = [Path(environ[RUNTIME].split(":")[0])] if environ.get(RUNTIME) else []
    if environ.get(XDG) and _may_be_ours(Path(environ[XDG])):
        named.append(Path(environ[XDG]) / NAME)
    return list(dict.fromkeys((*named, *_of_user(os.geteuid()))))


def _of_user(uid: int) -> tuple[Path, Path]:
    """Whatever the environment says."""
    return TEMPORARY / f"{NAME}-{uid}", SESSIONS / str(uid) / NAME


def _may_be_ours(directory: Path) -> bool:
    """After `su` and the like the variable names the session of another user."""
    try:
        return directory.stat().st_uid in (0, os.geteuid())
    except FileNotFoundError:
        return True
    except OSError:
        return False


def control_path(control: str, pool: str, environ: Mapping[str, str]) -> Path | None:
    """The socket of a new pool; None when it is switched off."""
    if control == "off":
        return None
    return Path(control) if control else directories(environ)[0] / f"{pool}{SUFFIX}"


def places(pool: str, environ: Mapping[str, str]) -> list[Path]:
    """Where this pool may have its socket, if it is this user's or a service; under sudo also the caller's."""
    of_units = [SERVICES / pool, SESSIONS / str(os.geteuid()) / NAME / pool]
    caller = environ.get("SUDO_UID", "")
    of_caller = _of_user(int(caller)) if os.geteuid() == 0 and caller.isdecimal() else ()
    found = (*directories(environ), *of_units, *of_caller)
    return [directory / f"{pool}{SUFFIX}" for directory in dict.fromkeys(found)]


def places_in_use(pool: str) -> list[Path]:
    """Where else on this host a supervisor listens, in a RUNTIME_DIRECTORY of a unit of one's own for example."""
    try:
        lines = BOUND.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return []
    bound = (Path(line.split(maxsplit=7)[-1]) for line in lines if line.endswith(NEW_SUFFIX))
    return [path.parent / f"{pool}{SUFFIX}" for path in bound if path.is_absolute()]


def pools_here(environ: Mapping[str, str]) -> list[Path]:
    """The sockets of all pools: this user's, and those of services."""
    here = [path for directory in directories(environ) for path in _found(directory, f"*{SUFFIX}")]
    roots = (SERVICES, SESSIONS / str(os.geteuid()) / NAME)
    services = [path for root in roots for path in _found(root, f"*/*{SUFFIX}")]
    return here + [path for path in services if path.stem == path.parent.name]


def _found(directory: Path, pattern: str) -> list[Path]:
    try:
        return sorted(directory.glob(pattern))
    except OSError:  # somebody else's
        return []


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
