"""`--metrics HOST:PORT`: a small HTTP server inside the steward. /metrics, /livez, /readyz.

The steward keeps the leases of all workers, so whoever reaches this port must not be able to take anything from it:
neither descriptors, nor time, nor memory.
"""

import asyncio
import resource
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from ..host.listening_socket import FLAGS, address_of, listen_at
from ..ipc.job_stats import JobRow
from ..ipc.redis_report import QueueReport
from ..pool.status import Headcount, PoolStatus
from ..redis_errors import short
from ..time_limits import within
from .metrics_text import CONTENT_TYPE, Snapshot

REQUEST_S = 5.0
SILENCE_S = 10.0
LONGEST_HEAD_BYTES = 16 * 1024
MOST_CONNECTIONS = 64
MOST_AT_ONCE = 8
LOOK_AGAIN_S = 1.0
PLAIN = "text/plain; charset=utf-8"

Answer = tuple[str, str, bytes]


class MetricsServer:
    """Answers from the last status that the parent sent. `ask_queue` looks into Redis, at most once a second."""

    def __init__(self, ask_queue: Callable[[], Awaitable[list[QueueReport]]]) -> None:
        self._ask_queue = ask_queue
        self._snapshot: Snapshot | None = None
        self._headcount: Headcount | None = None
        self._heard_s = 0.0
        self._looked_s = -LOOK_AGAIN_S
        self._looking = asyncio.Lock()
        self._facts = [QueueReport()]
        self._listener: socket.socket | None = None
        self._most = min(MOST_CONNECTIONS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)
        # the oldest first
        self._connections: dict[asyncio.Task[None], socket.socket] = {}

    def take(self, status: PoolStatus, jobs: list[JobRow]) -> None:
        """The parent's latest word: everything."""
        self._snapshot = Snapshot(status, jobs)

    def take_headcount(self, headcount: Headcount) -> None:
        """The parent's latest word: that it lives, and how many workers do."""
        self._headcount = headcount
        self._heard_s = time.monotonic()

    async def listen(self, host: str, port: int) -> str:
        """Start; returns the address.

        Raises:
            OSError: the address is taken, or not ours.
        """
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=FLAGS)
        listener = listen_at(f"{host}:{port}", found, MOST_CONNECTIONS)
        listener.setblocking(False)
        self._listener = listener
        loop.add_reader(listener, self._accept, listener)
        return address_of(listener)

    async def close(self) -> None:
        """Stop to listen, and end what is open."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, listener: socket.socket) -> None:
        """Take those who wait, but no more than there is room for: the one that has been here for longest has to go."""
        for _ in range(MOST_AT_ONCE):
            if len(self._connections) >= self._most:
                oldest = next(iter(self._connections))
                del self._connections[oldest]
                oldest.cancel()
            try:
                sock, _ = listener.accept()
            except OSError:  # nobody waits, or no descriptor is left
                return
            sock.setblocking(False)
            task = asyncio.create_task(self._serve(sock))
            self._connections[task] = sock
            task.add_done_callback(lambda done: self._connections.pop(done, None))

    async def _serve(self, sock: socket.socket) -> None:
        """One request, within one limit for all of it."""
        with sock, suppress(OSError, TimeoutError):
            await within(REQUEST_S, self._talk(sock))

    async def _talk(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        head = b""
        while b"\r\n\r\n" not in head and b"\n\n" not in head:
            data = await loop.sock_recv(sock, LONGEST_HEAD_BYTES)
            head += data
            if not data:
                return
            if len(head) > LONGEST_HEAD_BYTES:
                break
        is_too_long = len(head) > LONGEST_HEAD_BYTES
        too_long = "431 Request Header Fields Too Large", PLAIN, b"the request is too long\n"
        status, kind, body = too_long if is_too_long else await self._answer(head.split(b"\n", 1)[0])
        lines = (
            f"HTTP/1.1 {status}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(body)}",
            "Connection: close",
        )
        answer = "".join(f"{line}\r\n" for line in (*lines, "")).encode()
        await loop.sock_sendall(sock, answer if head.startswith(b"HEAD ") else answer + body)
        if is_too_long:  # to close with something unread would take the answer back
            sock.shutdown(socket.SHUT_WR)
            while await loop.sock_recv(sock, LONGEST_HEAD_BYTES):
                pass

    async def _answer(self, request: bytes) -> Answer:
        words = request.decode("latin-1").split()
        path = words[1].split("?")[0] if len(words) >= 2 else ""
        if not words or words[0] not in ("GET", "HEAD"):
            return "405 Method Not Allowed", PLAIN, b"GET only\n"
        if path == "/metrics" and self._snapshot is not None:
            return await self._scraped(self._snapshot)
        if path in ("/livez", "/readyz", "/metrics"):
            is_good, text = self._health(path)
            return "200 OK" if is_good else "503 Service Unavailable", PLAIN, f"{text}\n".encode()
        return "404 Not Found", PLAIN, b"/metrics, /livez and /readyz\n"

    async def _scraped(self, snapshot: Snapshot) -> Answer:
        try:
            async with self._looking:  # many scrapes are one look at Redis
                if time.monotonic() - self._looked_s >= LOOK_AGAIN_S:
                    self._facts = await self._ask_queue()
                    self._looked_s = time.monotonic()
            snapshot.queues = self._facts
            return "200 OK", CONTENT_TYPE, snapshot.text()
        except Exception as error:  # noqa: BLE001  # a client that is hung up on does not learn why
            return "500 Internal Server Error", PLAIN, f"{short(error)}\n".encode(errors="backslashreplace")

    def _health(self, path: str) -> tuple[bool, str]:
        """Live = the supervisor speaks to us. Ready = a worker takes jobs."""
        head = self._headcount
        if head is None or time.monotonic() - self._heard_s > SILENCE_S:
            return False, "the supervisor is silent"
        text = f"{head.state} {head.ready}/{head.procs} workers ready"
        text += f", {head.blocked} blocked" if head.blocked else ""
        text += ", quiet: takes no jobs" if head.quiet else ""
        takes_jobs = head.ready > 0 and head.state != "stopping" and not head.quiet
        return path == "/livez" or takes_jobs, text
