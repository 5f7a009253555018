"""One side of a queue, for a Python of another version: JSON out.

python versions.py enqueue|work|look redis://127.0.0.1:6379/0 some:queue [fail|retry]
"""

import asyncio
import json
import logging
import pathlib
import re
import sys
from typing import Any

from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.jobs import Job
from arq.utils import safe_repr
from arq.worker import Worker, func

Ctx = dict[Any, Any]


async def take(ctx: Ctx, *args: Any, **kwargs: Any) -> str:
    """Use what was given."""
    return f"{[str(arg) for arg in args]} {kwargs} try {ctx['job_try']}"


async def give(ctx: Ctx, path: Any = None) -> Any:
    """Return what another Python may not have."""
    return [pathlib.Path("/srv/orders")]


async def decline(ctx: Ctx) -> Any:
    """Raise what another Python may not have."""
    return re.compile("(")


async def keep(ctx: Ctx, path: Any) -> int:
    """Return what everybody can read, for arguments that not everybody can."""
    return len(str(path))


FUNCTIONS = [func(one, name=one.__name__) for one in (take, give, decline, keep)]


async def enqueue(pool: ArqRedis, settings: RedisSettings, option: str) -> Any:
    """One job that names a path, and one that everybody can read."""
    await pool.enqueue_job("take", 1, pathlib.Path("/srv/orders"), _job_id="path")
    await pool.enqueue_job("take", 1, k=[2], _job_id="plain")


async def work(pool: ArqRedis, settings: RedisSettings, option: str) -> Any:
    """Run what is there."""
    unreadable: Any = option
    worker = Worker(
        FUNCTIONS,
        queue_name=pool.default_queue_name,
        redis_settings=settings,
        burst=True,
        handle_signals=False,
        poll_delay=0.01,
        unreadable=unreadable,
    )
    await worker.main()
    await worker.close()
    return [worker.jobs_complete, worker.jobs_failed, worker.jobs_retried]


async def results(pool: ArqRedis, settings: RedisSettings, option: str) -> Any:
    """Have jobs run whose outcome another Python may not be able to read."""
    for name in ("give", "decline"):
        await pool.enqueue_job(name, _job_id=name)
    await pool.enqueue_job("keep", pathlib.Path("/srv"), _job_id="keep")
    return await work(pool, settings, option)


async def look(pool: ArqRedis, settings: RedisSettings, option: str) -> Any:
    """What a client sees."""
    return {
        "queued": {job.job_id: [job.function, safe_repr(job.args)] for job in await pool.queued_jobs()},
        "results": {str(one.job_id): await seen(pool, one) for one in await pool.all_job_results()},
    }


async def seen(pool: ArqRedis, result: Any) -> Any:
    notes: list[str] = []
    try:
        value = safe_repr(await Job(result.job_id, pool).result(timeout=0))

    except Exception as exc:
        value = f"{type(exc).__name__}: {exc}"
        notes = getattr(exc, "__notes__", [])
    known = result.enqueue_time.year > 2000 and result.start_time >= result.enqueue_time
    return {
        "function": result.function,
        "success": result.success,
        "args": safe_repr(result.args),
        "times": known,
        "value": value,
        "notes": notes,
    }


async def main(operation: str, dsn: str, queue: str, option: str = "fail") -> None:
    logging.disable(logging.CRITICAL)
    settings = RedisSettings.from_dsn(dsn)
    settings.conn_timeout = 30  # the machine may stand still for longer than the usual second
    pool = await create_pool(settings, default_queue_name=queue)
    operations = {"enqueue": enqueue, "work": work, "results": results, "look": look}
    print(json.dumps(await operations[operation](pool, settings, option)))
    await pool.aclose()


asyncio.run(main(*sys.argv[1:]))
