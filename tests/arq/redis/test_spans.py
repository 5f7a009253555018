"""Tracers replace methods of redis-py's clients: they see what arq sends, and nothing else changes."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline

from arq import Retry
from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.utils import timestamp_ms
from arq.worker import Worker, func
from tests.arq.redis.harness import Ctx, broken, enqueued, quick, running
from tests.conftest import WorkerFactory
from tests.support.eventually import PATIENCE_S, wait_until_async
from tests.support.flaky import Fault, FlakyProxy


class Tracer:
    """Notes each call with the names of its commands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.spans: list[list[str]] = []
        self._monkeypatch = monkeypatch

    def trace_pipelines(self, wrap: Callable[[Any, Any], Any]) -> None:
        def before(pipe: Any) -> None:
            assert pipe.connection_pool.connection_kwargs["port"]
            self.spans.append([command[0] for command, _ in pipe.command_stack])

        self._monkeypatch.setattr(Pipeline, "execute", wrap(Pipeline.execute, before))

    def trace_commands(self, wrap: Callable[[Any, Any], Any]) -> None:
        def before(client: Any, *args: Any) -> None:
            assert client.connection_pool.connection_kwargs["port"]
            self.spans.append([args[0]])

        self._monkeypatch.setattr(Redis, "execute_command", wrap(Redis.execute_command, before))


def by_function(method: Any, before: Any) -> Any:
    """As sentry does."""

    async def traced(self: Any, *args: Any, **kwargs: Any) -> Any:
        before(self, *args)
        return await method(self, *args, **kwargs)

    return traced


def by_wraps(method: Any, before: Any) -> Any:
    return functools.wraps(method)(by_function(method, before))


class by_object:  # noqa: N801
    """As wrapt's FunctionWrapper, with which OpenTelemetry and others wrap: all is as if it were the method itself."""

    def __init__(self, method: Any, before: Any) -> None:
        self._method, self._before = method, before

    def __getattr__(self, name: str) -> Any:
        return getattr(self._method, name)

    def __eq__(self, other: object) -> bool:
        return other is self._method

    def __hash__(self) -> int:
        return hash(self._method)

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self if instance is None else by_function(self._method, self._before).__get__(instance, owner)


WAYS = [by_function, by_wraps, by_object]


@pytest.fixture
def tracer(monkeypatch: pytest.MonkeyPatch) -> Tracer:
    return Tracer(monkeypatch)


@pytest.mark.parametrize("wrap", WAYS)
@pytest.mark.parametrize("what", ["trace_pipelines", "trace_commands"])
async def test_what_a_producer_sends(
    arq_redis: ArqRedis, worker: WorkerFactory, tracer: Tracer, what: str, wrap: Any
) -> None:
    """One span for one `enqueue_job`; the same answers as ever."""
    getattr(tracer, what)(wrap)
    job = await enqueued(arq_redis, "quick", b"\x00\xff", _job_id="one")
    assert tracer.spans == [["EVAL"]]
    assert await arq_redis.enqueue_job("quick", _job_id="one") is None
    assert tracer.spans == [["EVAL"], ["EVALSHA"]]
    await worker([quick]).main()
    assert await job.result(timeout=PATIENCE_S) == b"\x00\xff"
    assert ["ZSCORE", "GET"] in tracer.spans or ["ZSCORE"] in tracer.spans


async def test_a_refused_command_is_an_answer_still(arq_redis: ArqRedis, tracer: Tracer) -> None:
    tracer.trace_pipelines(by_function)
    await arq_redis.set("arq:queue", "no queue", px=5000)
    with pytest.raises(Exception, match="WRONGTYPE"):
        await arq_redis.enqueue_job("quick")
    await arq_redis.delete("arq:queue")
    await enqueued(arq_redis, "quick")


async def test_scripts_that_were_flushed(arq_redis: ArqRedis, tracer: Tracer) -> None:
    tracer.trace_pipelines(by_function)
    await enqueued(arq_redis, "quick")
    await arq_redis.script_flush()
    await enqueued(arq_redis, "quick")
    assert tracer.spans == [["EVAL"], ["EVALSHA"], ["EVAL"]]


async def test_what_a_worker_sends_belongs_to_the_job_that_is_run_alone(
    arq_redis: ArqRedis, worker: WorkerFactory, tracer: Tracer
) -> None:
    """`run_job` outside of `main`: a claim and an end, both before it returns."""
    job = await enqueued(arq_redis, "quick")
    tracer.trace_pipelines(by_function)
    one = worker([quick])
    await one.run_job(job.job_id, timestamp_ms())
    assert tracer.spans == [["EVAL", "EVAL"], ["EVAL"]]
    assert await arq_redis.exists(f"arq:result:{job.job_id}")


async def test_a_running_worker_is_seen(
    arq_redis: ArqRedis, redis_settings: RedisSettings, tracer: Tracer
) -> None:
    tracer.trace_pipelines(by_function)
    one = Worker([quick], redis_settings=redis_settings, poll_delay=0.05, handle_signals=False)
    async with running(one):
        jobs = [await enqueued(arq_redis, "quick", number) for number in range(20)]
        assert [await job.result(timeout=PATIENCE_S) for job in jobs] == list(range(20))
    assert len([span for span in tracer.spans if "EVALSHA" in span]) > 5


async def test_a_lost_answer_is_repeated_as_ever(
    proxy: FlakyProxy, proxied: RedisSettings, tracer: Tracer
) -> None:
    """The pool's retries hold, not those of redis-py on top of them."""
    pool = await create_pool(proxied)
    tracer.trace_pipelines(by_function)
    await enqueued(pool, "quick", _job_id="before")
    proxy.arm(Fault.ANSWER_LOST, b"second")
    await enqueued(pool, "quick", "second")
    assert proxy.struck == 1
    assert await pool.zcard("arq:queue") == 2
    await pool.aclose(close_connection_pool=True)


async def test_nobody_looks(arq_redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then redis-py's methods have nothing to do with it."""

    def fail(*args: Any, **kwargs: Any) -> None:
        raise AssertionError(args)

    monkeypatch.setattr("arq._redis.tracing.talk", fail)
    job = await enqueued(arq_redis, "quick")
    assert await arq_redis.exists(f"arq:job:{job.job_id}")


# ---------------------------------------------------------------- single steps


async def test_run_job_alone_is_over_when_it_is_written(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    """So it can be run again at once, after a retry."""

    async def shaky(ctx: Ctx) -> int:
        tries.append(ctx["job_try"])
        if len(tries) < 3:
            raise Retry
        return len(tries)

    tries: list[int] = []
    one = worker([func(shaky, name="shaky")])
    job = await enqueued(arq_redis, "shaky")
    for _ in range(3):
        await one.run_job(job.job_id, timestamp_ms())
    assert tries == [1, 2, 3]
    assert await job.result(timeout=0) == 3
    await one.run_job(job.job_id, timestamp_ms())
    assert tries == [1, 2, 3]


async def test_several_alone_at_the_same_time(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    one = worker([quick, broken])
    jobs = [await enqueued(arq_redis, ["quick", "broken"][number % 2]) for number in range(8)]
    await asyncio.gather(*(one.run_job(job.job_id, timestamp_ms()) for job in jobs))
    assert [await arq_redis.exists(f"arq:result:{job.job_id}") for job in jobs] == [1] * 8


async def test_start_jobs_alone(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    seen: list[Any] = []

    async def after(ctx: Ctx) -> None:
        seen.append(await ctx["redis"].exists(f"arq:result:{ctx['job_id']}"))

    one = worker([quick], after_job_end=after, ctx={"redis": arq_redis})
    job = await enqueued(arq_redis, "quick")
    await one.start_jobs([job.job_id.encode()])
    await asyncio.gather(*one.tasks.values())
    assert seen == [1]
    await wait_until_async(lambda: not one.tasks)
