"""systemd's notification protocol: one datagram per state. Silent where nobody listens."""

import os
import socket
import weakref
from collections import deque
from collections.abc import MutableMapping

from ..host import descriptors

NOT_FOR_CHILDREN = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "FDSTORE",
)
#: states that are said anew after a while
SAID_AGAIN = ("STATUS=", "WATCHDOG=")
MOST_UNSENT = 100


class Notifier:
    """Takes its addresses out of `environ`, so that no child can speak for the service."""

    def __init__(self, environ: MutableMapping[str, str], pid: int) -> None:
        taken = {name: environ.pop(name, "") for name in NOT_FOR_CHILDREN}
        self._address = _address(taken["NOTIFY_SOCKET"])
        self._socket: socket.socket | None = None
        if self._address:  # kept: pings must not stop when the process runs out of descriptors
            self._socket = descriptors.own_object(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            self._socket.setblocking(False)
            weakref.finalize(self, self._socket.close)
        #: what the manager had no room for, oldest first
        self._unsent: deque[str] = deque(maxlen=MOST_UNSENT)
        is_for_us = taken["WATCHDOG_PID"] in ("", str(pid))
        usec = taken["WATCHDOG_USEC"] if is_for_us and self._address else ""
        self.watchdog_s: float | None = int(usec) / 2_000_000 if usec.isdigit() and int(usec) else None

    @property
    def is_heard(self) -> bool:
        """Is there a service manager that listens?"""
        return bool(self._address)

    def send(self, state: str) -> None:
        """Send one state (lines `NAME=value`); failures do not matter to the pool.

        A manager that reads slowly has room for ten or so: what does not fit is kept for `send_kept`, but for what is
        said again anyway.
        """
        if self._socket is None:
            return
        self.send_kept()
        if (self._unsent or not self._try(state)) and not state.startswith(SAID_AGAIN):
            self._unsent.append(state)

    def send_kept(self) -> None:
        """Send what did not fit, in its order."""
        while self._unsent and self._try(self._unsent[0]):
            self._unsent.popleft()

    def _try(self, state: str) -> bool:
        """Whether this state needs no further try."""
        assert self._socket is not None
        try:
            self._socket.sendto(state.encode(), self._address)
        except BlockingIOError:
            return False
        except OSError:  # nobody is there
            pass
        return True


def _address(text: str) -> str | bytes:
    return b"\0" + os.fsencode(text[1:]) if text.startswith("@") else text
