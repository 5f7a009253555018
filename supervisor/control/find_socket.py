"""Where the control socket of a pool is, for a program that wants to ask it."""

import os
from collections.abc import Mapping
from pathlib import Path

from .client import UnreachableError
from .paths import SERVICES, SUFFIX, directories, places, places_in_use, pools_here
from .trusted_paths import answers, is_own, is_trusted

MOST_NAMED = 20


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
