"""`--metrics HOST:PORT`: a small HTTP server inside the steward. /metrics, /livez, /readyz."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from .exposition import CONTENT_TYPE, Snapshot
from .facts import QueueFacts

REQUEST_S = 5.0
SILENCE_S = 10.0
LONGEST_LINE = 8192


class MetricsServer:
    """Answers from the last status that the parent sent. `ask_queue` looks into Redis at each scrape."""

    def __init__(self, ask_queue: Callable[[], Awaitable[QueueFacts]]) -> None:
        self._ask_queue = ask_queue
        self._snapshot: Snapshot | None = None
        self._heard_s = 0.0
        self._server: asyncio.Server | None = None

    def take(self, status: dict[str, Any], jobs: list[list[Any]]) -> None:
        """The parent's latest word."""
        self._snapshot = Snapshot(status, jobs)
        self._heard_s = time.monotonic()

    async def listen(self, host: str, port: int) -> str:
        """Start; returns the address.

        Raises:
            OSError: the address is taken, or not ours.
        """
        self._server = await asyncio.start_server(self._serve, host, port, limit=LONGEST_LINE)
        name = self._server.sockets[0].getsockname()
        return f"{name[0]}:{name[1]}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
            line = await asyncio.wait_for(reader.readline(), REQUEST_S)
            while await asyncio.wait_for(reader.readline(), REQUEST_S) not in (b"\r\n", b"\n", b""):
                pass
            status, kind, body = await self._answer(line)
            head = (
                f"HTTP/1.1 {status}",
                f"Content-Type: {kind}",
                f"Content-Length: {len(body)}",
                "Connection: close",
            )
            writer.write("".join(f"{header}\r\n" for header in (*head, "")).encode())
            writer.write(b"" if line.startswith(b"HEAD ") else body)
            await asyncio.wait_for(writer.drain(), REQUEST_S)
        writer.close()

    async def _answer(self, request: bytes) -> tuple[str, str, bytes]:
        words = request.decode("latin-1").split()
        path = words[1].split("?")[0] if len(words) >= 2 else ""
        plain = "text/plain; charset=utf-8"
        if not words or words[0] not in ("GET", "HEAD"):
            return "405 Method Not Allowed", plain, b"GET only\n"
        if path == "/metrics" and self._snapshot is not None:
            self._snapshot.queue = await self._ask_queue()
            return "200 OK", CONTENT_TYPE, self._snapshot.text()
        if path in ("/livez", "/readyz", "/metrics"):
            is_good, text = self._health(path)
            return "200 OK" if is_good else "503 Service Unavailable", plain, f"{text}\n".encode()
        return "404 Not Found", plain, b"/metrics, /livez and /readyz\n"

    def _health(self, path: str) -> tuple[bool, str]:
        """Live = the supervisor speaks to us. Ready = a worker takes jobs."""
        if self._snapshot is None or time.monotonic() - self._heard_s > SILENCE_S:
            return False, "the supervisor is silent"
        boss = self._snapshot.status["supervisor"]
        text = f"{boss['state']} {boss['ready']}/{boss['procs']} workers ready"
        return path == "/livez" or (boss["ready"] > 0 and boss["state"] != "stopping"), text
