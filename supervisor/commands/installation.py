"""How this program was installed and started: its command, where its files are, and whose it is."""

import grp
import os
import pwd
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ..console import complain
from ..host.interpreter import is_frozen


def own_command() -> tuple[str, ...]:
    """How this program is started: its script, or the interpreter and the module; a frozen one with its subcommands."""
    if is_frozen():
        context = click.get_current_context(silent=True)
        return (os.path.abspath(sys.executable), *(context.command_path.split()[1:] if context else ()))
    beside = Path(sysconfig.get_path("scripts")) / "arq-supervise"
    for path in (Path(sys.argv[0]), beside):
        if path.name == "arq-supervise" and os.access(path, os.X_OK):
            return (os.path.abspath(path),)
    return (sys.executable, "-m", "supervisor")


def own_places() -> tuple[str, ...]:
    """Where the program and its libraries are; a frozen one has them with it, or unpacks them where it runs."""
    real = os.path.realpath(sys.executable)
    return (real,) if is_frozen() else (sys.prefix, sys.base_prefix, real)


def owner(directory: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """User and group of the service: who asks; for root, who has called sudo or owns the directory."""
    uid, gid = os.geteuid(), os.getegid()
    if uid == 0 and environ.get("SUDO_UID", "").isdigit() and environ.get("SUDO_GID", "").isdigit():
        uid, gid = int(environ["SUDO_UID"]), int(environ["SUDO_GID"])
    if uid == 0:
        about = os.stat(directory)
        uid, gid = about.st_uid, about.st_gid
    if uid == 0:
        complain("--print-unit: User=root: better give the workers a user of their own")
    return _name(pwd.getpwuid, uid), _name(grp.getgrgid, gid)


def _name(look_up: Any, number: int) -> str:
    try:
        return str(look_up(number)[0])
    except KeyError:
        return str(number)
