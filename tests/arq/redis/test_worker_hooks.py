"""Hooks of a worker, and its end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from signal import SIGTERM, SIGUSR1
from typing import Any

import pytest

from arq._worker import shutdown
from arq.connections import ArqRedis, RedisSettings
from arq.jobs import JobResult
from arq.worker import Retry, Worker, func
from tests.arq.redis.harness import (
    QUEUE,
    Ctx,
    enqueued,
    for_ever,
    nothing_held,
    quick,
    running,
    until_stopped,
)
from tests.conftest import WorkerFactory
from tests.support.eventually import wait_until_async

# ---------------------------------------------------------------- hooks


def remember(calls: list[Any], name: str) -> Callable[[Ctx], Awaitable[None]]:
    async def hook(ctx: Ctx) -> None:
        calls.append((name, ctx.get("job_id")))

    return hook


async def test_hooks_come_in_order(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    calls: list[Any] = []
    names = ("on_startup", "on_job_start", "on_job_end", "after_job_end", "on_shutdown")
    await arq_redis.enqueue_job("quick", _job_id="a")
    one = worker([quick], **{name: remember(calls, name) for name in names})
    await one.main()
    await one.close()
    assert calls == [
        ("on_startup", None),
        ("on_job_start", "a"),
        ("on_job_end", "a"),
        ("after_job_end", "a"),
        ("on_shutdown", None),
    ]


async def test_one_context_for_all_hooks_of_a_run(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    contexts = []

    async def note(ctx: Ctx, *args: Any) -> None:
        contexts.append(ctx)
        ctx["count"] = ctx.get("count", 0) + 1

    await arq_redis.enqueue_job("note")
    one = worker([func(note, name="note")], on_job_start=note, on_job_end=note, after_job_end=note)
    await one.main()
    assert len({id(ctx) for ctx in contexts}) == 1
    assert contexts[0]["count"] == 4
    assert "count" not in one.ctx


async def test_results_are_there_when_after_job_end_is_called(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    seen = []

    async def after(ctx: Ctx) -> None:
        seen.append(await arq_redis.exists(f"arq:result:{ctx['job_id']}"))

    async def end(ctx: Ctx) -> None:
        seen.append(await arq_redis.exists(f"arq:result:{ctx['job_id']}"))

    await arq_redis.enqueue_job("quick")
    await worker([quick], on_job_end=end, after_job_end=after).main()
    assert seen == [0, 1]


async def test_no_hook_for_a_job_that_does_not_start(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    calls: list[Any] = []
    names = ("on_job_start", "on_job_end", "after_job_end")
    await arq_redis.enqueue_job("unknown")
    await worker([quick], **{name: remember(calls, name) for name in names}).main()
    assert calls == []


async def test_a_hook_may_put_a_job_off(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    calls: list[Any] = []

    async def not_yet(ctx: Ctx) -> None:
        calls.append(ctx["job_try"])
        if ctx["job_try"] == 1:
            raise Retry

    job = await enqueued(arq_redis, "quick")
    await worker([quick], on_job_start=not_yet).main()
    assert await job.result(timeout=30) == "quick"
    assert calls == [1, 2]


async def test_on_startup_that_fails_ends_the_worker(worker: WorkerFactory) -> None:
    async def fail(ctx: Ctx) -> None:
        raise ValueError("no start")

    with pytest.raises(ValueError, match="no start"):
        await worker([quick], on_startup=fail).main()


async def test_on_shutdown_that_fails_still_lets_go(
    arq_redis: ArqRedis, redis_settings: RedisSettings
) -> None:
    async def fail(ctx: Ctx) -> None:
        raise ValueError("no end")

    one = Worker([quick], redis_settings=redis_settings, burst=True, on_shutdown=fail, handle_signals=False)
    await one.main()
    with pytest.raises(ValueError, match="no end"):
        await one.close()
    await one.close()
    await nothing_held(arq_redis)


@pytest.mark.parametrize("hook", ["on_job_start", "on_job_end", "after_job_end"])
async def test_a_stop_during_a_hook(arq_redis: ArqRedis, redis_settings: RedisSettings, hook: str) -> None:
    """What the job has done stands; what it has not begun is begun elsewhere."""
    reached = asyncio.Event()

    async def stuck(ctx: Ctx) -> None:
        reached.set()
        await asyncio.Event().wait()

    job = await enqueued(arq_redis, "quick")
    options: dict[str, Any] = {hook: stuck}
    one = Worker([quick], redis_settings=redis_settings, handle_signals=False, **options)
    async with running(one):
        await asyncio.wait_for(reached.wait(), 30)
    await nothing_held(
        arq_redis, [QUEUE, *(f"arq:{kind}:{job.job_id}" for kind in ("job", "retry", "interrupted"))]
    )
    if hook == "on_job_start":
        assert await arq_redis.zscore(QUEUE, job.job_id) is not None
    else:
        assert await job.result(timeout=30) == "quick"


# ---------------------------------------------------------------- stopping


async def test_stopping_cancels_and_forgives(
    arq_redis: ArqRedis, redis_settings: RedisSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """Deploys must not use up the tries of a job."""
    caplog.set_level(logging.INFO)
    job = await enqueued(arq_redis, "for_ever")
    for _ in range(4):
        one = Worker([for_ever], redis_settings=redis_settings, handle_signals=False, max_tries=2)
        async with until_stopped(one):
            await wait_until_async(lambda one=one: one.job_tasks)  # type: ignore[misc]
            one.handle_sig(SIGTERM)
        assert one.jobs_retried == 1
    assert (
        await arq_redis.get(f"arq:retry:{job.job_id}")
        == await arq_redis.get(f"arq:interrupted:{job.job_id}")
        == b"4"
    )
    text = caplog.text
    assert "shutdown on SIGTERM ◆ 0 jobs complete ◆ 0 failed ◆ 0 retries ◆ 1 ongoing to cancel" in text
    assert f"↻ {job.job_id}:for_ever cancelled, will be run again" in text


async def test_draining_lets_jobs_finish(
    arq_redis: ArqRedis, redis_settings: RedisSettings, gate: asyncio.Event, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def waits(ctx: Ctx) -> str:
        await gate.wait()
        return "finished"

    job = await enqueued(arq_redis, "waits")
    one = Worker(
        [func(waits, name="waits")],
        redis_settings=redis_settings,
        handle_signals=False,
        job_completion_wait=30,
        max_jobs=1,
    )
    async with until_stopped(one):
        await wait_until_async(lambda: one.job_tasks)
        left = await enqueued(arq_redis, "waits")
        for _ in range(3):  # saying it again changes nothing
            one.handle_sig_wait_for_completion(SIGTERM)
        assert not one.allow_pick_jobs
        gate.set()
    assert await job.result(timeout=30) == "finished"
    assert await arq_redis.zscore(QUEUE, left.job_id) is not None
    lines = [message for message in caplog.messages if "SIGTERM" in message or "allow_pick" in message]
    assert lines == [
        "Setting allow_pick_jobs to `False`",
        "shutdown on SIGTERM ◆ 0 jobs complete ◆ 0 failed ◆ 0 retries ◆ 1 to be completed",
        "shutdown on SIGTERM, wait complete ◆ 1 jobs complete ◆ 0 failed ◆ 0 retries ◆ 0 ongoing to cancel",
    ]


async def test_draining_has_an_end(arq_redis: ArqRedis, redis_settings: RedisSettings) -> None:
    await arq_redis.enqueue_job("for_ever")
    one = Worker([for_ever], redis_settings=redis_settings, handle_signals=False, job_completion_wait=1)
    one.job_completion_wait = 0.1
    stopped: list[Any] = []
    one.on_stop = stopped.append
    async with until_stopped(one):
        await wait_until_async(lambda: one.job_tasks)
        one.handle_sig_wait_for_completion(SIGTERM)
    assert stopped == [SIGTERM]
    assert one.jobs_retried == 1


async def test_a_job_that_blocks_the_loop_does_not_draw_out_the_drain(
    arq_redis: ArqRedis, redis_settings: RedisSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen from the drain it looks as if the process stood still."""
    monkeypatch.setattr(shutdown, "_DRAIN_STEP_S", 0.01)
    steps = 0

    async def blocks(ctx: Ctx) -> None:
        nonlocal steps
        while True:
            steps += 1
            asyncio.get_running_loop().call_soon(time.sleep, 0.1)
            await asyncio.sleep(0)

    await arq_redis.enqueue_job("blocks")
    one = Worker(
        [func(blocks, name="blocks")],
        redis_settings=redis_settings,
        handle_signals=False,
        job_completion_wait=1,
    )
    one.job_completion_wait = 0.3
    main = asyncio.create_task(one.async_run())
    await wait_until_async(lambda: one.job_tasks)
    steps = 0
    one.handle_sig_wait_for_completion(SIGTERM)
    await asyncio.wait([main], timeout=30)
    await one.close()
    assert steps < 20  # 0.6 s: not 30 steps, of which each would count as 0.01 s


async def test_close_without_signals_says_so(worker: WorkerFactory, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one = worker([quick])
    await one.main()
    await one.close()
    await one.close()
    assert f"shutdown on {SIGUSR1.name} ◆ 0 jobs complete" in caplog.text


# ---------------------------------------------------------------- what hooks know


boom, wish = ValueError("boom"), Retry()


async def good(ctx: Ctx, *args: Any, **kwargs: Any) -> str:
    return "good"


async def bad(ctx: Ctx, *args: Any, **kwargs: Any) -> None:
    raise boom


async def again(ctx: Ctx, *args: Any, **kwargs: Any) -> None:
    if ctx["job_try"] == 1:
        raise wish


async def test_hooks_know_the_job_and_how_it_ended(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    told: list[tuple[str, str, str, Any]] = []

    def note(name: str) -> Callable[[Ctx], Awaitable[None]]:
        async def hook(ctx: Ctx) -> None:
            result = ctx["job_result"]
            assert isinstance(result, JobResult)
            assert (result.args, result.kwargs, result.queue_name) == ((1,), {"k": 2}, QUEUE)
            assert (result.job_id, result.job_try) == (ctx["job_id"], ctx["job_try"])
            assert (result.enqueue_time, result.score) == (ctx["enqueue_time"], ctx["score"])
            assert result.enqueue_time <= result.start_time <= result.finish_time
            told.append((name, result.function, ctx["job_outcome"], result.result))

        return hook

    async def before(ctx: Ctx) -> None:
        assert "job_result" not in ctx
        assert (ctx["job_def"].function, ctx["job_def"].args) == (ctx["job_id"], (1,))
        assert ctx["job_def"].job_id == ctx["job_id"]

    functions = [func(f, name=f.__name__) for f in (good, bad, again)]
    hooks = {"on_job_start": before, "on_job_end": note("on"), "after_job_end": note("after")}
    for function in functions:
        await arq_redis.enqueue_job(function.name, 1, k=2, _job_id=function.name)
        await worker(functions, **hooks).main()
    expected = [
        ("good", "complete", "good"),
        ("bad", "failed", boom),
        ("again", "retry", wish),
        ("again", "complete", None),
    ]
    assert told == [(name, *what) for what in expected for name in ("on", "after")]


async def test_after_job_end_knows_of_a_hook_that_has_failed_the_job(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    told: list[Any] = []

    async def on_job_end(ctx: Ctx) -> None:
        assert ctx["job_outcome"] == "complete"
        raise boom

    async def after_job_end(ctx: Ctx) -> None:
        told.append((ctx["job_outcome"], ctx["job_result"].success, ctx["job_result"].result))

    await arq_redis.enqueue_job("quick")
    await worker([quick], on_job_end=on_job_end, after_job_end=after_job_end).main()
    assert told == [("failed", False, boom)]


@pytest.mark.parametrize("name", ["on_startup", "on_shutdown"])
async def test_a_hook_that_is_no_coroutine_function_is_named(worker: WorkerFactory, name: str) -> None:
    good: Any = {name: lambda _ctx: asyncio.sleep(0)}
    await worker([quick], **good).async_run()
    wrong: Any = {name: lambda _ctx: None}
    bad = worker([quick], **wrong)
    with pytest.raises(TypeError, match=f"{name} must be an `async def`: what it returns, None, can't be"):
        await run_and_close(bad)


async def run_and_close(worker: Worker) -> None:
    await worker.async_run()
    await worker.close()
