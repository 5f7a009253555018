"""systemd's notification protocol: one datagram per state. Silent where nobody listens."""

import os
import socket
import weakref
from collections.abc import MutableMapping
from contextlib import suppress

NOT_FOR_CHILDREN = (
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "FDSTORE",
)


class Notifier:
    """Takes its addresses out of `environ`, so that no child can speak for the service."""

    def __init__(self, environ: MutableMapping[str, str], pid: int) -> None:
        taken = {name: environ.pop(name, "") for name in NOT_FOR_CHILDREN}
        self._address = _address(taken["NOTIFY_SOCKET"])
        self._socket: socket.socket | None = None
        if self._address:  # kept: pings must not stop when the process runs out of descriptors
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
            weakref.finalize(self, self._socket.close)
        is_for_us = taken["WATCHDOG_PID"] in ("", str(pid))
        usec = taken["WATCHDOG_USEC"] if is_for_us and self._address else ""
        self.watchdog_s: float | None = int(usec) / 2_000_000 if usec.isdigit() and int(usec) else None

    @property
    def is_heard(self) -> bool:
        """Is there a service manager that listens?"""
        return bool(self._address)

    def send(self, state: str) -> None:
        """Send one state (lines `NAME=value`); failures do not matter to the pool."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.sendto(state.encode(), self._address)


def _address(text: str) -> str | bytes:
    return b"\0" + os.fsencode(text[1:]) if text.startswith("@") else text
