"""The Python that runs this process, as others can be started with it."""

import os
import sys
from collections.abc import Iterator

# sys.flags -> the letter, repeated as often as the flag says
LETTERS = {
    "debug": "d",
    "optimize": "O",
    "dont_write_bytecode": "B",
    "no_site": "S",
    "verbose": "v",
    "bytes_warning": "b",
    "quiet": "q",
}
# -I is these three together
ISOLATION = {"ignore_environment": "E", "no_user_site": "s", "safe_path": "P"}
# what the interpreter itself adds to the list of -W
OF_BYTES = {1: "default::BytesWarning", 2: "error::BytesWarning"}
SCRIPT = b"#!"
# environment of a frozen program that is started to be a child; nobody else ever sees it
ORDERS = "_ARQ_SUPERVISE_ORDERS"


def is_frozen() -> bool:
    """Has a packager made one program of Python and the application? Then `sys.executable` is that program."""
    return bool(getattr(sys, "frozen", False))


def is_to_resume() -> bool:
    """Is this a frozen program that was started to be a child? Then `anew.resume` is the way to go on."""
    return ORDERS in os.environ and is_frozen()


def executable() -> str:
    """The interpreter, also where a tool has put a script of its own into `sys.executable`.

    Such a script may start anything: we want the process that we start, to watch it and to signal it.
    """
    named = sys.executable or ""
    if is_frozen() or _is_program(named):
        return named
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    names = (f"python{version}", "python3", "python")
    beside = [os.path.join(prefix, "bin", name) for prefix in (sys.prefix, sys.exec_prefix) for name in names]
    original = getattr(sys, "_base_executable", None) or ""
    return next(filter(_is_program, (*beside, original)), named)


def _is_program(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(SCRIPT)) != SCRIPT and os.access(path, os.X_OK)
    except OSError:
        return False


def options() -> list[str]:
    """The interpreter's own options (`-O`, `-W error`, `-X dev`), for another one that is to be like this one."""
    flags = sys.flags
    words = [
        f"-{letter * int(getattr(flags, name))}" for name, letter in LETTERS.items() if getattr(flags, name)
    ]
    if flags.isolated:
        words.append("-I")
    else:
        words += [f"-{letter}" for name, letter in ISOLATION.items() if getattr(flags, name)]
    if getattr(sys.stdout, "write_through", False):
        words.append("-u")
    return [*words, *_warnings(), *_implementation()]


def _warnings() -> Iterator[str]:
    added = [OF_BYTES.get(sys.flags.bytes_warning)]
    if sys.flags.dev_mode:
        added.append("default")
    for option in sys.warnoptions:
        if option in added:
            added.remove(option)
        else:
            yield f"-W{option}"


def _implementation() -> Iterator[str]:
    """-X. `dev` may come from the environment; then the new interpreter sees it there."""
    for name, value in sys._xoptions.items():
        yield f"-X{name}" if value is True else f"-X{name}={value}"
