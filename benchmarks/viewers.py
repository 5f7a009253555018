"""People who look at a dashboard: `python -m benchmarks.viewers HOST:PORT VIEWERS SECONDS-BETWEEN-LOOKS`.

Says `ready`; then, for each line `SECONDS` that comes in, looks for so long and prints as JSON how many ms each answer
took, by page. Raw connections: a client that took more CPU than the dashboard would say more of itself.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections import defaultdict

#: Each viewer has one of them open, and goes on to another one now and then.
PAGES = (
    "/", "/queues", "/jobs", "/jobs?state=queued", "/jobs?state=deferred", "/jobs?state=done", "/dead", "/crons",
    "/workers", "/functions", "/about",
)  # fmt: skip
STAYS = 5
Took = dict[str, list[float]]


class Viewer:
    """One person with one browser."""

    def __init__(self, address: str, number: int, every_s: float) -> None:
        self._host, _, port = address.rpartition(":")
        self._port, self._number, self._every_s = int(port), number, every_s
        token = os.environ.get("ARQ_WEB_TOKEN", "")
        self._head = f"Host: {address}\r\nAuthorization: Bearer {token}\r\nAccept: text/html\r\n"

    async def look(self, until_s: float, took: Took) -> None:
        """Look again and again until then."""
        await asyncio.sleep(random.random() * self._every_s)
        streams = await asyncio.open_connection(self._host, self._port)
        looks = self._number * STAYS
        try:
            while time.monotonic() < until_s:
                path = PAGES[looks // STAYS % len(PAGES)]
                began_s = time.monotonic()
                await self._ask(streams, path, is_new=looks % STAYS == 0)
                took[path].append((time.monotonic() - began_s) * 1000)
                looks += 1
                await asyncio.sleep(max(0.0, began_s + self._every_s - time.monotonic()))
        finally:
            streams[1].close()

    async def _ask(
        self, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], path: str, is_new: bool
    ) -> None:
        """Open a page, or have the open one refreshed, as its script does."""
        reader, writer = streams
        fragment = "" if is_new else "X-Arq-Fragment: 1\r\n"
        writer.write(f"GET {path} HTTP/1.1\r\n{self._head}{fragment}\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        status = head.split(" ", 2)[1]
        if status != "200":
            raise RuntimeError(f"{path}: {status}")
        length = next(line for line in head.split("\r\n") if line.startswith("content-length:"))
        await reader.readexactly(int(length.partition(":")[2]))


async def look(address: str, viewers: int, every_s: float, seconds: float) -> Took:
    """All of them look for so long; ms of their answers by page."""
    took: Took = defaultdict(list)
    until_s = time.monotonic() + seconds
    await asyncio.gather(*(Viewer(address, n, every_s).look(until_s, took) for n in range(viewers)))
    return took


def main() -> None:
    """Look when told to."""
    address, viewers, every_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    print("ready", flush=True)
    for line in sys.stdin:
        print(json.dumps(asyncio.run(look(address, viewers, every_s, float(line)))), flush=True)


if __name__ == "__main__":
    main()
