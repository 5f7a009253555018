"""`--start-method exec`: a child in a fresh interpreter, where the parent can not fork safely.

That is so on macOS, and wherever something (a profiler, a tracer) has started a thread in the parent: a forked child
could inherit a lock that nobody will ever release. It costs each child a third of a second at its start, and it has
pages of its own.
"""

import json
import os
import sys
from dataclasses import asdict
from typing import Any

from ..host.interpreter import ORDERS, executable, is_frozen, options
from ..ipc.brief import Brief
from ..ipc.pipes import Pipes
from ..options import Options
from ..pool.events import Role
from .signals import PARENT_SIGNALS

LONGEST_BRIEF_BYTES = 64 * 1024
# the path is the parent's, and nobody else's
BOOT = "import sys; sys.path[:] = eval(sys.argv.pop(1)); from supervisor.children.roles import main; main()"


def write_brief(brief: Brief) -> bytes:
    """The orders as bytes."""
    return json.dumps(asdict(brief)).encode()


def read_brief(data: bytes) -> Brief:
    """What `write_brief` wrote."""
    body = json.loads(data)
    options: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in body.pop("options").items()
    }
    return Brief(options=Options(**options), **body)


def take_brief(fd: int) -> Brief:
    """The orders that `start_interpreter` has left in this pipe."""
    data = os.read(fd, LONGEST_BRIEF_BYTES)
    os.close(fd)
    return read_brief(data)


def start_interpreter(role: Role, brief: Brief, pipes: Pipes) -> int:
    """Start a child with these orders in a new interpreter; return its pid.

    Signals are blocked until it has handlers of its own.

    Raises:
        OSError: the system refuses (too many processes, no memory, no descriptor).
    """
    read_fd, write_fd = os.pipe()
    kept = [fd for fd in (read_fd, *pipes.numbers) if fd >= 0]
    try:
        os.set_blocking(write_fd, False)
        os.write(write_fd, write_brief(brief))
        for fd in kept:
            os.set_inheritable(fd, True)
        numbers = [str(fd) for fd in (read_fd, *pipes.numbers)]
        return _spawn([role.value, *numbers])
    finally:
        for fd in kept:
            os.set_inheritable(fd, False)
        os.close(read_fd)
        os.close(write_fd)


def _spawn(orders: list[str]) -> int:
    program, environ = executable(), dict(os.environ)
    if is_frozen():  # it can be started in one way only, which leads to `resume`
        environ[ORDERS] = " ".join(orders)
        words = [program, *sys.orig_argv[1:]]
    else:
        words = [program, *options(), "-c", BOOT, repr(sys.path), *orders]
    return os.posix_spawn(program, words, environ, setsigmask=PARENT_SIGNALS)
