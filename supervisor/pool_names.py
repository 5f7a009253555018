"""Names of pools. No I/O."""

import re

from .option_row import OptionError

NAMELESS = "pool"
POOL_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def pool_name(settings: str) -> str:
    """A name for the pool of these settings: the dotted path, cut down to what a file name may hold."""
    return re.sub(r"[^A-Za-z0-9_.-]+", ".", settings).strip(".")[:64] or NAMELESS


def require_pool_name(name: str) -> None:
    """See that a pool can have this name: it is a part of file names and keys.

    Raises:
        OptionError: it can not.
    """
    if not POOL_NAME.fullmatch(name):
        raise OptionError("--name", repr(name), "1 to 64 letters, digits, dots, dashes or underscores")
