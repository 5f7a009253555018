"""Fetch web pages in the background.

python examples/simple.py                       # put jobs in the queue
arq examples.simple.WorkerSettings              # run them; stop with Ctrl-C
arq examples.simple.WorkerSettings --burst      # run them and leave
"""

import asyncio
import os
import sys
import urllib.request
from typing import Any

from arq import create_pool
from arq.connections import RedisSettings

REDIS_SETTINGS = RedisSettings.from_dsn(os.environ.get("REDIS_DSN", "redis://localhost:6379"))
PAGES = ("https://www.python.org", "https://redis.io", "https://valkey.io")


def fetch(opener: urllib.request.OpenerDirector, url: str) -> str:
    with opener.open(url, timeout=10) as response:
        text: str = response.read().decode()
        return text


async def download_content(ctx: dict[str, Any], url: str) -> int:
    # urllib blocks, so it works in a thread; an asyncio client could be awaited right here
    text = await asyncio.to_thread(fetch, ctx["opener"], url)
    print(f"{url}: {text:.60}...")
    return len(text)


async def startup(ctx: dict[str, Any]) -> None:
    ctx["opener"] = urllib.request.build_opener()


async def shutdown(ctx: dict[str, Any]) -> None:
    ctx["opener"].close()


async def main(urls: list[str]) -> None:
    redis = await create_pool(REDIS_SETTINGS)
    for url in urls or PAGES:
        job = await redis.enqueue_job("download_content", url)
        print(f"enqueued {job}")
    await redis.aclose()


class WorkerSettings:
    """What the `arq` command reads. Every parameter of `arq.worker.Worker` may stand here."""

    functions = [download_content]
    on_startup = startup
    on_shutdown = shutdown
    redis_settings = REDIS_SETTINGS


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
