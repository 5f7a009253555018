"""A server without scripts. One that only tests have gets arq's scripts command by command, any other a clear line.

What scripts do is tested elsewhere, with the interpreter in their place, too: see the fixture `engine`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.exceptions import ResponseError

from arq import Retry
from arq._redis import without_lua
from arq.connections import ArqRedis, JobCall, RedisSettings, create_pool
from arq.jobs import Job, JobStatus
from arq.worker import Worker, func
from tests.arq.redis import inside
from tests.arq.redis.engines import interpret
from tests.arq.redis.harness import QUEUE, Ctx, broken, enqueued, nothing_held, quick, running
from tests.support.eventually import PATIENCE_S, wait_until_async
from tests.support.servers import HOST, RedisServer, running_server


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    interpret(monkeypatch)


@pytest.fixture(scope="module")
def scriptless() -> Iterator[RedisServer]:
    with running_server(
        arguments=("--rename-command", "EVAL", "", "--rename-command", "EVALSHA", "")
    ) as server:
        yield server


@pytest.fixture
async def pool(scriptless: RedisServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ArqRedis]:
    """On a server without scripts, which says so as Redis does."""
    monkeypatch.undo()
    pool = await create_pool(RedisSettings(host=HOST, port=scriptless.port))
    yield pool
    await pool.flushdb()
    await pool.aclose(close_connection_pool=True)


@pytest.fixture
def fake(pool: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> ArqRedis:
    """The same server, taken for fakeredis."""
    monkeypatch.setattr(without_lua, "_FAKE", re.compile("unknown command"))
    return pool


async def test_a_real_server_without_scripts_is_refused_in_one_line(pool: ArqRedis) -> None:
    said = "this server runs no scripts .*; arq needs EVAL and EVALSHA: were they renamed, or switched off"
    with pytest.raises(ResponseError, match=said) as refused:
        await pool.enqueue_job("quick")
    assert "\n" not in str(refused.value)
    with pytest.raises(ResponseError, match=said):
        await Job("one", pool).status()
    worker = Worker([quick], redis_pool=pool, burst=True, handle_signals=False)
    with pytest.raises(ResponseError, match=said):
        await asyncio.wait_for(worker.main(), PATIENCE_S)
    await worker.close()


async def test_what_a_producer_does(fake: ArqRedis, caplog: pytest.LogCaptureFixture) -> None:
    job = await enqueued(fake, "quick", 1, _job_id="one")
    assert await fake.enqueue_job("quick", _job_id="one") is None
    later, again = await fake.enqueue_jobs(
        [JobCall("quick", 2, _defer_by=60), JobCall("quick", _job_id="one")]
    )
    assert later is not None
    assert again is None
    assert [await one.status() for one in (job, later)] == [JobStatus.queued, JobStatus.deferred]
    assert await Job("none", fake).status() is JobStatus.not_found
    info = await job.info()
    assert info is not None
    assert (info.function, info.args) == ("quick", (1,))
    assert await job.result_info() is None
    assert [queued.args for queued in await fake.queued_jobs()] == [(1,), (2,)]
    assert await later.abort() is True
    assert [queued.args for queued in await fake.queued_jobs()] == [(1,)]
    assert not caplog.records


async def test_what_a_worker_does(fake: ArqRedis, caplog: pytest.LogCaptureFixture) -> None:
    """And says, once."""

    async def shaky(ctx: Ctx) -> int:
        if ctx["job_try"] == 1:
            raise Retry(0.01)
        return int(ctx["job_try"])

    good, bad, again = [await enqueued(fake, name) for name in ("quick", "broken", "shaky")]
    worker = Worker(
        [quick, broken, func(shaky, name="shaky")],
        redis_pool=ArqRedis(fake.connection_pool),
        burst=True,
        poll_delay=0.01,
        handle_signals=False,
    )
    await asyncio.wait_for(worker.main(), PATIENCE_S)
    assert (worker.jobs_complete, worker.jobs_failed, worker.jobs_retried) == (2, 1, 1)
    assert await good.result(timeout=0) == "quick"
    assert await again.result(timeout=0) == 2
    with pytest.raises(ValueError, match="boom"):
        await bad.result(timeout=0)
    assert len(await fake.all_job_results()) == 3
    said = [record.message for record in caplog.records if 'pip install "fakeredis[lua]"' in record.message]
    assert len(said) == 1
    await worker.close()
    await nothing_held(fake)


async def test_a_worker_that_waits_aborts_and_stops(fake: ArqRedis) -> None:
    started: list[str] = []

    async def held(ctx: Ctx) -> None:
        started.append(ctx["job_id"])
        await asyncio.Event().wait()

    worker = Worker(
        [quick, func(held, name="held")],
        redis_pool=ArqRedis(fake.connection_pool),
        poll_delay=0.05,
        allow_abort_jobs=True,
        handle_signals=False,
    )
    async with running(worker):
        await wait_until_async(lambda: inside.listens(worker))
        job = await enqueued(fake, "quick")
        assert await job.result(timeout=PATIENCE_S, poll_delay=0.01) == "quick"
        aborted = await enqueued(fake, "held", _job_id="aborted")
        await wait_until_async(lambda: started == ["aborted"])
        assert await aborted.abort(timeout=PATIENCE_S) is True
        await enqueued(fake, "held", _job_id="kept")
        await wait_until_async(lambda: started == ["aborted", "kept"])
    assert await fake.zcard(QUEUE) == 1
    assert not await fake.exists("arq:in-progress:kept")
