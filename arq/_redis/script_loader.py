"""The Lua scripts as files: read, put together, and named by the SHA-1 by which Redis knows them.

A script is a file in `lua/`. `--!include NAME` in it, at the beginning of a line or indented, stands for a file in
`lua/include/`, which may include others.
"""

from __future__ import annotations

import hashlib
import re
import textwrap
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, NamedTuple

from .declared_keys import SCRIPT_NAMES

_LUA = files("arq") / "lua"
_INCLUDE = re.compile(r"^( *)--!include (\w+)$", re.MULTILINE)


@dataclass(frozen=True)
class Script:
    """A script's text and the SHA-1 by which Redis knows it."""

    name: str
    text: str
    sha: str


class Call(NamedTuple):
    """One call of a script."""

    script: Script
    keys: tuple[str, ...]
    args: tuple[Any, ...]

    def by_sha(self) -> tuple[Any, ...]:
        """The command, for a server that has the script."""
        return ("EVALSHA", self.script.sha, len(self.keys), *self.keys, *self.args)

    def by_text(self) -> tuple[Any, ...]:
        """The command that also gives the server the script."""
        return ("EVAL", self.script.text, len(self.keys), *self.keys, *self.args)


#: The text of each script, by its SHA-1.
TEXTS: dict[str, str] = {}


def _included(found: re.Match[str]) -> str:
    text = (_LUA / "include" / f"{found[2]}.lua").read_text("utf-8").rstrip()
    return textwrap.indent(_INCLUDE.sub(_included, text), found[1])


def load(name: str) -> Script:
    """The script of a file in `lua/`."""
    text = _INCLUDE.sub(_included, (_LUA / f"{name}.lua").read_text("utf-8"))
    text = text.strip()  # fakeredis 2.26's TCP server loses what stands around a value
    sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    TEXTS[sha] = text
    SCRIPT_NAMES[sha] = SCRIPT_NAMES[text] = name
    return Script(name, text, sha)
