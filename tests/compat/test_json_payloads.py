"""docs/how-to/signed-jobs.md: with its lines the original reads and writes our JSON."""

import asyncio
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from arq import func
from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.jobs import Job, SerializationError
from arq.worker import Worker
from tests.compat.harness import Implementation, Place
from tests.support.programs import ROOT

pytestmark = [pytest.mark.interop, pytest.mark.processes]

PAGE = (ROOT / "docs" / "how-to" / "signed-jobs.md").read_text()
(LINES,) = (
    module
    for module in re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    if "def job_serializer" in module
)
PROGRAM = (
    LINES
    + """
import asyncio, sys
from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker

settings = RedisSettings.from_dsn(sys.argv[1])
how = {"job_serializer": job_serializer, "job_deserializer": job_deserializer}

async def echo(ctx, *args, **kwargs):
    return [args, kwargs]

async def fail(ctx):
    raise ValueError("no such thing")

async def main():
    if sys.argv[3] == "work":
        how.update(redis_settings=settings, queue_name=sys.argv[2], burst=True, handle_signals=False)
        worker = Worker([echo, fail], **how)
        await worker.main()
        await worker.close()
        return
    pool = await create_pool(settings, default_queue_name=sys.argv[2], **how)
    if sys.argv[3] == "enqueue":
        print((await pool.enqueue_job("echo", 1, "ä", [None, {"a": 1.5}], named=True)).job_id)
    else:
        from arq.jobs import Job
        print(await Job(sys.argv[4], pool, sys.argv[2], job_deserializer).result(timeout=5))
    await pool.close()

asyncio.run(main())
"""
)


async def run(original: Implementation, place: Place, path: Path, *words: str) -> str:
    """Run the program on the original; what it has printed."""
    done = await asyncio.to_thread(
        subprocess.run,
        [original.python, str(path), place.dsn, place.queue, *words],
        env=original.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


async def test_jobs_and_results_in_both_directions(
    implementations: dict[str, Implementation], place: Place, tmp_path: Path
) -> None:
    original, program = implementations["original"], tmp_path / "program.py"
    program.write_text(PROGRAM)
    settings = RedisSettings.from_dsn(place.dsn)
    pool: ArqRedis = await create_pool(settings, codec="json", default_queue_name=place.queue)
    good = await pool.enqueue_job("echo", 1, "ä", [None, {"a": 1.5}], named=True)
    bad = await pool.enqueue_job("fail")
    assert good
    assert bad
    await run(original, place, program, "work")
    expected: Any = [[1, "ä", [None, {"a": 1.5}]], {"named": True}]
    assert await good.result(timeout=5) == expected
    with pytest.raises(SerializationError, match="no such thing"):
        await bad.result(timeout=5)

    job_id = await run(original, place, program, "enqueue")

    async def echo(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        return [list(args), kwargs]

    worker = Worker(
        [func(echo, name="echo")],
        redis_settings=settings,
        queue_name=place.queue,
        codec="json",
        burst=True,
        handle_signals=False,
    )
    await worker.main()
    await worker.close()
    assert await Job(job_id, pool, place.queue).result(timeout=5) == expected
    assert await run(original, place, program, "result", job_id) == str(expected)
    await pool.aclose(close_connection_pool=True)
