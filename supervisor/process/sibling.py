"""A copy of this process that is a child of its parent, not of its own: forked twice, and adopted.

Whoever is forked by a process that ends at once is an orphan, and the parent has asked the kernel for those
(`descendants.adopt_orphans`). Where it could not, there are no copies.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NoReturn

from ..exit_codes import ChildCode
from ..ipc.pipes import Pipes
from .fork import be_child, flush, plain_fork
from .signals import PARENT_SIGNALS

ADOPTION_S = 2.0
STEP_S = 0.001


def fork_sibling(body: Callable[[], int], pipes: Pipes, parent_pid: int, left: Iterable[int]) -> int:
    """Start a process that runs `body` and exits with what it returns; return its pid.

    Threads of this process are not in it. Descriptors in `left` are closed there.

    Raises:
        OSError: the system refuses, or the parent adopts nobody.
    """
    if sys.platform != "linux":
        raise OSError("this system lets nobody adopt a process")
    flush()
    read_fd, write_fd = os.pipe()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, PARENT_SIGNALS)
    try:
        helper = plain_fork()
        if helper == 0:
            _be_helper(write_fd, lambda: _be_sibling(body, pipes, parent_pid, (read_fd, write_fd, *left)))
        os.waitpid(helper, 0)
        os.set_blocking(read_fd, False)
        with suppress(BlockingIOError):
            return int(os.read(read_fd, 64))
        raise OSError("no copy could be started")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(read_fd)
        os.close(write_fd)


def _be_helper(answer_fd: int, be_sibling: Callable[[], NoReturn]) -> NoReturn:
    try:
        pid = plain_fork()
        if pid == 0:
            be_sibling()
        os.write(answer_fd, str(pid).encode())
    finally:
        os._exit(ChildCode.CLEAN)


def _be_sibling(body: Callable[[], int], pipes: Pipes, parent_pid: int, left: Iterable[int]) -> NoReturn:
    with suppress(Exception):
        for fd in left:
            os.close(fd)
        deadline_s = time.monotonic() + ADOPTION_S
        while os.getppid() != parent_pid and time.monotonic() < deadline_s:
            time.sleep(STEP_S)
        be_child(body, pipes, parent_pid)
    os._exit(ChildCode.UNFINISHED)
