"""Text that comes from elsewhere, made fit for a log and a terminal: nothing unprintable, no password. No I/O."""

from __future__ import annotations

import re

_JOINERS = "\u200c\u200d"
#: Categories of characters: space, not assigned, private use.
_HARMLESS = ("Zs", "Cn", "Co")
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
    """What is not printable as Python would write it, `\\x1b` for example, except the characters of `keep`.

    What is only not printable by Python's reckoning stays: spaces of all widths, characters that are newer than this
    Python, and the joiners of Persian, of Indian scripts and of emoji.
    """
    from unicodedata import category  # mostly there is nothing to escape, and it is large

    keep += _JOINERS
    return "".join(
        char
        if char.isprintable() or char in keep or category(char) in _HARMLESS
        else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def redacted(text: str) -> str:
    """Without the passwords of addresses. Those that are no addresses are left out as a whole."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def text_of(exc: BaseException) -> str:
    """`str`, also of what has a broken one."""
    try:
        return str(exc)
    except BaseException as broken:  # noqa: BLE001  (a text must not decide about a job)
        return f"<str() raises {type(broken).__name__}>"
