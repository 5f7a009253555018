"""What an application's tests do on fakeredis: `on_fakeredis.py in-process|tcp`; prints what came of it, as JSON."""

import asyncio
import json
import logging
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

import fakeredis  # type: ignore[import-not-found,unused-ignore]
from fakeredis import TcpFakeServer  # type: ignore[import-not-found,unused-ignore]

from arq import ArqRedis, Retry, Worker, create_pool
from arq.connections import RedisSettings
from arq.jobs import Job

Ctx = dict[Any, Any]
PATIENCE_S = 60.0


class Lines(logging.Handler):
    """Keeps warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


async def add(ctx: Ctx, number: int) -> int:
    """Succeed."""
    return number + 1


async def shaky(ctx: Ctx) -> int:
    """Succeed on the second try."""
    if ctx["job_try"] == 1:
        raise Retry(0.01)
    return int(ctx["job_try"])


async def held(ctx: Ctx) -> None:
    """Go on."""
    await ctx["started"].put(ctx["job_id"])
    await asyncio.Event().wait()


async def enqueued(pool: ArqRedis, function: str, *args: Any, **options: Any) -> Job:
    """A job that is new."""
    job = await pool.enqueue_job(function, *args, **options)
    assert job is not None
    return job


async def produce_and_burst(pool: ArqRedis, make: Callable[[], ArqRedis]) -> dict[str, Any]:
    """Enqueue, look, run everything, read the results."""
    job, again = (
        await enqueued(pool, "add", 1, _job_id="one"),
        await pool.enqueue_job("add", 1, _job_id="one"),
    )
    other, later = await enqueued(pool, "shaky"), await enqueued(pool, "add", 5, _defer_by=1000)
    info = await job.info()
    found = {
        "status": [await one.status() for one in (job, later, Job("none", pool))],
        "again": again,
        "info": info and info.args,
        "queued": len(await pool.queued_jobs()),
        "aborted": await later.abort(timeout=PATIENCE_S),
    }
    worker = Worker([add, shaky], redis_pool=make(), burst=True, poll_delay=0.01, handle_signals=False)
    await asyncio.wait_for(worker.main(), PATIENCE_S)
    await worker.close()
    results = await asyncio.gather(job.result(timeout=PATIENCE_S), other.result(timeout=PATIENCE_S))
    return found | {"results": results, "kept": len(await pool.all_job_results())}


async def run_beside(pool: ArqRedis, make: Callable[[], ArqRedis]) -> dict[str, Any]:
    """A worker in a task, as in a lifespan: it is woken, aborts, and gives back at its end."""
    started: asyncio.Queue[str] = asyncio.Queue()
    worker = Worker(
        [add, held],
        redis_pool=make(),
        poll_delay=0.05,
        handle_signals=False,
        allow_abort_jobs=True,
        ctx={"started": started},
    )
    task = asyncio.create_task(worker.main())
    job = await enqueued(pool, "add", 2)
    found: dict[str, Any] = {"beside": await job.result(timeout=PATIENCE_S, poll_delay=0.01)}
    running = await enqueued(pool, "held")
    await asyncio.wait_for(started.get(), PATIENCE_S)
    found["abort"] = await running.abort(timeout=PATIENCE_S)
    await enqueued(pool, "held", _job_id="kept")
    await asyncio.wait_for(started.get(), PATIENCE_S)
    await worker.close()
    await asyncio.wait_for(task, PATIENCE_S)
    return found | {"given back": await pool.zcard("arq:queue")}


async def main(way: str) -> None:
    """Do it all."""
    lines = Lines()
    logging.getLogger("arq").addHandler(lines)
    if way == "tcp":
        with socket.create_server(("127.0.0.1", 0)) as one:
            port = one.getsockname()[1]
        server = TcpFakeServer(("127.0.0.1", port))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        pool = await create_pool(RedisSettings(port=port))

        def make() -> ArqRedis:
            return ArqRedis(host="127.0.0.1", port=port)
    else:
        shared = fakeredis.FakeServer()

        def make() -> ArqRedis:
            return ArqRedis(connection_pool=fakeredis.FakeAsyncRedis(server=shared).connection_pool)

        pool = make()
    found = await produce_and_burst(pool, make) | await run_beside(pool, make)
    await pool.aclose(close_connection_pool=True)
    print(json.dumps(found | {"warnings": lines.texts}))


asyncio.run(main(sys.argv[1]))
