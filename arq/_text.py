"""Text that comes from elsewhere, made fit for a log and a terminal: nothing unprintable, no password. No I/O."""

from __future__ import annotations

import re

_SECRETS = (
    # whatever is wrong with the address of a Redis: everything before its last @
    (re.compile(r"((?:rediss?|valkeys?|unix)://)\S*@"), r"\1***@"),
    # any other URL
    (re.compile(r"(://[^\s/?#\"'@:]*):[^\s/?#\"'@]*@"), r"\1:***@"),
    # what urllib says when a password is taken for a port or a host
    (re.compile(r"(Port could not be cast to integer value as ).*"), r"\1***"),
    (re.compile(r"(?<=netloc )'.*?'(?= contains invalid)"), "***"),
    (re.compile(r"'[^']*'(?= does not appear to be an IPv)"), "***"),
)


def printable(text: str) -> str:
    """A text on one line of a log: line breaks, escape codes, marks of direction and the like are escaped."""
    return text if text.isprintable() else escaped(text)


def printable_lines(text: str) -> str:
    """The same for a text that may have several lines, a traceback for example."""
    return text if text.translate(_LAYOUT).isprintable() else escaped(text, keep="\n\t")


_LAYOUT = {ord("\n"): None, ord("\t"): None}


def escaped(text: str, keep: str = "") -> str:
    """What is not printable as Python would write it, `\\x1b` for example, except the characters of `keep`."""
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def redacted(text: str) -> str:
    """Without the passwords of addresses. Those that are no addresses are left out as a whole."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text
