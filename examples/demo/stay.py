"""What goes on after the report when the demonstration is to stay: some work, and what one may try meanwhile."""

import asyncio
import os
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from arq.connections import ArqRedis
from examples.demo.plan import NEVER
from examples.demo.pool import Pool
from examples.demo.terminal import row

STEP_S = 0.25


def next_steps(has_web: bool) -> Iterator[str]:
    """At the end of a demonstration that does not stay."""
    looking = "and its dashboard stays" if has_web else "until Ctrl-C"
    yield from row("next", f"make demo ARGS=--stay        it goes on, {looking}")
    yield from row("", "docs/tutorial/first-job.md   ten minutes to a job of your own")


def things_to_try(pool: Pool, redis_address: str, web_address: str, token: str) -> Iterator[str]:
    """While it stays."""
    if web_address:
        yield from row("dashboard", f"http://{web_address}/")
        yield from row("token", f"{token}  (to log in, and to act)")
        yield ""
    yield "  In another terminal, in this directory:"
    yield ""
    arq, supervise = command_path("arq"), command_path("arq-supervise")
    for line in (
        f"export ARQ_REDIS={redis_address}",
        f"{arq} dead ls                   # what has failed, and why",
        f"{arq} stats                     # what became of jobs, by function",
        f"{arq} pause arq:queue           # and resume",
        f"{supervise} --ctl top --name {pool.name}",
        f"kill -9 {pool.pid_of(0)}                  # a worker; the dashboard shows the new one",
    ):
        yield f"    {line}"
    yield ""
    yield "  Ctrl-C ends it."


def command_path(name: str) -> str:
    """As it is typed here."""
    path = Path(sys.executable).parent / name
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else name


async def keep_busy(redis: ArqRedis, pool: Pool, files: list[str]) -> None:
    """A little of everything, until Ctrl-C. Raises DemoError when the pool ends."""
    number = 0
    while True:
        pool.look()
        await redis.enqueue_job("digest_file", random.choice(files))
        if number % 8 == 0:
            await redis.enqueue_job("fetch_mirror", f"mirror-{number}", random.choice((0, 1, 2)))
        if number % 40 == 0:
            await redis.enqueue_job("copy_mirror", f"mirror-{number}", random.uniform(10, 40))
            due = datetime.now(UTC) + timedelta(minutes=random.choice((1, 5, 60)))
            await redis.enqueue_job("remind", due.timestamp(), _defer_until=due)
        if number % 240 == 239:
            await redis.enqueue_job("fetch_mirror", f"mirror-{number}", NEVER)
        number += 1
        await asyncio.sleep(STEP_S)
