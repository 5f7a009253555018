"""Fork: what happens between the parent's order and the first line of a child's own code.

Signals are blocked across the fork, so that none is lost and none runs a handler of the parent in the child. The
child has a session of its own (Ctrl-C reaches the parent alone), dies with its parent, and has none of the parent's
descriptors.
"""

import ctypes
import errno
import faulthandler
import functools
import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from ..exit_codes import ChildCode
from ..host import descriptors
from ..ipc.pipes import Pipes
from .signals import PARENT_SIGNALS

PR_SET_PDEATHSIG = 1
THREADS = "/proc/self/task"
NO_OP_SIGNALS = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR2)
EXIT_SIGNALS = (signal.SIGTERM, signal.SIGQUIT)


class UnsafeForkError(RuntimeError):
    """The parent has more than one thread: a forked child could inherit a lock that nobody will ever release."""

    def __init__(self, threads: int) -> None:
        super().__init__(f"the parent has {threads} threads: refusing to fork")
        self.threads = threads


def errno_name(error: Exception) -> str:
    """EAGAIN, ENOMEM, EMFILE ...; "" for what is no error of the system."""
    return errno.errorcode.get(getattr(error, "errno", None) or 0, "")


def hold_standard_descriptors() -> None:
    """Open what is closed of 0, 1 and 2: a pipe of ours in their place would get everybody's output."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            null_fd = os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
            os.set_inheritable(null_fd, True)  # else the programs that jobs start would have the gap


def thread_count() -> int:
    """Threads of this process, native ones included; 1 where the system does not tell."""
    try:
        return len(os.listdir(THREADS))
    except OSError:
        return 1


def fork(body: Callable[[], int], pipes: Pipes, despite_threads: bool = False) -> int:
    """Start a child that runs `body` and exits with what it returns; return its pid.

    Raises:
        OSError: the system refuses (too many processes, no memory).
        UnsafeForkError: this process has more than one thread, and not `despite_threads`.
    """
    if not despite_threads and (threads := thread_count()) != 1:
        raise UnsafeForkError(threads)
    flush()
    if sys.platform == "linux":
        _prctl()  # looked up by the parent, for all children: it brings types of its own
    parent_pid = os.getpid()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, PARENT_SIGNALS)
    try:
        pid = plain_fork()
        if pid == 0:
            be_child(body, pipes, parent_pid)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return pid


def plain_fork() -> int:
    """Python 3.12 warns of threads: our own line has told of them, and an error (`-W error`) would come too late."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def be_child(body: Callable[[], int], pipes: Pipes, parent_pid: int) -> NoReturn:
    """Cut this process off from its parent's affairs, run `body`, and exit with what it returns."""
    code = int(ChildCode.UNFINISHED)
    try:
        descriptors.leave_to_parent(pipes.numbers)
        _read_nothing()
        _boot_signals()
        os.setsid()  # Ctrl-C is the parent's, and programs of jobs find no terminal that would stop us all
        die_with_parent(parent_pid)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        code = body()
    except SystemExit as request:
        code = request.code if isinstance(request.code, int) else int(bool(request.code))
    except BaseException:  # noqa: BLE001  # nothing may reach the parent's frames above
        with suppress(Exception):
            os.write(2, traceback.format_exc().encode(errors="replace"))
    finally:
        leave(code)


def leave(code: int) -> NoReturn:
    """End this child without the parent's exit handlers; a full stderr does not change the code."""
    flush()
    os._exit(code & 0xFF)


def flush() -> None:
    """Write what would else be written twice, or not at all."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()


def _read_nothing() -> None:
    """What is typed, or comes down a pipe, is not for children: their stdin is /dev/null."""
    null_fd = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null_fd, 0)
    if null_fd != 0:
        os.close(null_fd)


def _boot_signals() -> None:
    """Until the child has something to finish, TERM and QUIT end it at once."""
    signal.set_wakeup_fd(-1)
    for number in PARENT_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    for number in EXIT_SIGNALS:
        signal.signal(number, _exit_now)
    for number in (*NO_OP_SIGNALS, signal.SIGUSR1):
        signal.signal(number, _do_nothing)
    with suppress(Exception):  # stderr may be closed
        faulthandler.enable()
        faulthandler.register(signal.SIGUSR1, all_threads=True, chain=True)


def _exit_now(*_: object) -> None:
    os._exit(ChildCode.CLEAN)


def _do_nothing(*_: object) -> None:
    """Not SIG_IGN: that would be inherited by whatever a job starts."""


def die_with_parent(parent_pid: int, number: int = signal.SIGTERM) -> None:
    """Have the kernel send `number` when the parent ends; leave at once if it has ended already."""
    if sys.platform == "linux":
        _prctl()(PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != parent_pid:
        os._exit(ChildCode.CLEAN)


@functools.cache
def _prctl() -> Callable[..., int]:
    function: Callable[..., int] = ctypes.CDLL(None, use_errno=True).prctl
    return function
