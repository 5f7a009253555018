"""`close()` and `main()` in every order that lifespans, fixtures, notebooks and threads use."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from arq._worker.context import new_event_loop
from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.worker import Worker, func
from tests.arq.redis import inside
from tests.arq.redis.harness import Ctx, armed, enqueued, for_ever, idle, nothing_held, quick
from tests.conftest import WorkerFactory
from tests.support.eventually import PATIENCE_S, wait_until_async
from tests.support.flaky import Fault, FlakyProxy
from tests.support.servers import RedisServer

Situation = Callable[[Worker, ArqRedis], Awaitable[None]]


@pytest.fixture(scope="module", autouse=True)
def libuv() -> None:
    """libuv opens a pipe for the whole process with its first loop."""
    new_event_loop().close()


async def ended(task: asyncio.Task[Any]) -> None:
    """The task has ended, or ends without being told anything."""
    await asyncio.wait_for(asyncio.shield(task), PATIENCE_S)


async def not_begun(worker: Worker, pool: ArqRedis) -> None:
    """The task was made, and has not had a turn."""


async def starting(worker: Worker, pool: ArqRedis) -> None:
    await asyncio.sleep(0)


async def waits_for_a_token(worker: Worker, pool: ArqRedis) -> None:
    await wait_until_async(lambda: inside.listens(worker))
    await idle(worker)


async def has_run_a_job(worker: Worker, pool: ArqRedis) -> None:
    job = await enqueued(pool, "quick")
    await job.result(timeout=PATIENCE_S, poll_delay=0.01)


async def holds_a_waiting_claim(worker: Worker, pool: ArqRedis) -> None:
    await wait_until_async(lambda: inside.listens(worker))
    await armed(worker)


async def runs_a_job(worker: Worker, pool: ArqRedis) -> None:
    await enqueued(pool, "for_ever", _job_id="kept")
    await wait_until_async(lambda: bool(worker.job_tasks))


SITUATIONS = [not_begun, starting, waits_for_a_token, has_run_a_job, holds_a_waiting_claim, runs_a_job]


@pytest.mark.parametrize("handle_signals", [False, True])
@pytest.mark.parametrize("own_pool", [False, True])
@pytest.mark.parametrize("situation", SITUATIONS)
async def test_main_ends_with_close(
    arq_redis: ArqRedis,
    redis_settings: RedisSettings,
    situation: Situation,
    own_pool: bool,
    handle_signals: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever it waits for; awaiting the task raises nothing, and no job is lost."""
    monkeypatch.setattr("arq._worker.shutdown.CANCEL_AGAIN_S", 0.1)
    options: dict[str, Any] = {"redis_settings": redis_settings}
    if own_pool:
        options = {"redis_pool": await create_pool(redis_settings)}
    worker = Worker([quick, for_ever], poll_delay=60, handle_signals=handle_signals, max_jobs=3, **options)
    task = asyncio.create_task(worker.main())
    await situation(worker, arq_redis)
    await worker.close()
    await ended(task)
    assert worker._pool is None
    await nothing_held(arq_redis, ["arq:queue", "arq:job:kept", "arq:retry:kept", "arq:interrupted:kept"])
    assert await arq_redis.zcard("arq:queue") == (situation is runs_a_job)


async def test_async_run_ends_cancelled_as_ever(arq_redis: ArqRedis, redis_settings: RedisSettings) -> None:
    worker = Worker([quick], redis_settings=redis_settings, poll_delay=60, handle_signals=False)
    task = asyncio.create_task(worker.async_run())
    await wait_until_async(lambda: inside.is_in_main(worker))
    await worker.close()
    with pytest.raises(asyncio.CancelledError):
        await ended(task)


async def test_what_goes_on_after_main_is_not_cancelled(worker: WorkerFactory) -> None:
    """The task in which somebody awaits `main` is theirs."""
    one = worker([quick], burst=False, poll_delay=60)

    async def application() -> str:
        await one.main()
        await asyncio.sleep(0)
        return "went on"

    task = asyncio.create_task(application())
    await wait_until_async(lambda: inside.listens(one))
    await one.close()
    assert await asyncio.wait_for(task, PATIENCE_S) == "went on"


async def test_somebody_elses_cancellation_is_not_swallowed(worker: WorkerFactory) -> None:
    one = worker([quick], burst=False, poll_delay=60)
    task = asyncio.create_task(one.main())
    await wait_until_async(lambda: inside.listens(one))
    task.cancel()
    await one.close()
    with pytest.raises(asyncio.CancelledError):
        await ended(task)


async def test_close_while_an_answer_is_awaited(
    proxy: FlakyProxy, proxied: RedisSettings, arq_redis: ArqRedis
) -> None:
    """The claim was carried out, its answer hangs: the job goes back."""
    worker = Worker([quick], redis_settings=proxied, poll_delay=0.01, max_jobs=1, handle_signals=False)
    task = asyncio.create_task(worker.main())
    await wait_until_async(lambda: inside.is_in_main(worker))
    proxy.arm(Fault.ANSWER_STALLED, b"EVALSHA")
    await enqueued(arq_redis, "quick", _job_id="one")
    await wait_until_async(lambda: proxy.struck == 1)
    await worker.close()
    await ended(task)
    assert await arq_redis.zcard("arq:queue") == 1
    assert not await arq_redis.exists("arq:in-progress:one")


async def test_close_while_redis_is_away(own_server: RedisServer, own_settings: RedisSettings) -> None:
    worker = Worker([quick], redis_settings=own_settings, poll_delay=0.01, handle_signals=False)
    task = asyncio.create_task(worker.main())
    await wait_until_async(lambda: inside.is_in_main(worker))
    own_server.kill()
    await wait_until_async(lambda: inside.poll(worker).more)
    await worker.close()
    await ended(task)


async def test_close_while_it_waits_for_the_first_connection(redis_settings: RedisSettings) -> None:
    away = RedisSettings(port=1, conn_retries=1000, conn_retry_delay=60)
    worker = Worker([quick], redis_settings=away, handle_signals=False)
    task = asyncio.create_task(worker.main())
    await wait_until_async(lambda: inside.context(worker).has_loop)
    await worker.close()
    await ended(task)


async def test_close_while_a_hook_runs(arq_redis: ArqRedis, worker: WorkerFactory) -> None:
    hooks: list[str] = []

    async def on_startup(ctx: Ctx) -> None:
        hooks.append("startup")
        await asyncio.Event().wait()

    async def on_shutdown(ctx: Ctx) -> None:
        hooks.append("shutdown")

    one = worker([quick], burst=False, on_startup=on_startup, on_shutdown=on_shutdown)
    task = asyncio.create_task(one.main())
    await wait_until_async(lambda: hooks == ["startup"])
    await one.close()
    await ended(task)
    assert hooks == ["startup", "shutdown"]


@pytest.mark.parametrize("hook", ["on_startup", "on_shutdown"])
async def test_a_hook_that_closes_the_worker(
    worker: WorkerFactory, redis_settings: RedisSettings, hook: str
) -> None:
    async def close(ctx: Ctx) -> None:
        await made[0].close()

    hooks: dict[str, Any] = {hook: close}
    made = [worker([quick], redis_settings=redis_settings, **hooks)]
    await asyncio.wait_for(made[0].main(), PATIENCE_S)
    await asyncio.wait_for(made[0].close(), PATIENCE_S)


async def test_main_cancelled_while_it_starts(arq_redis: ArqRedis, redis_settings: RedisSettings) -> None:
    """As a lifespan does that fails in its next line: nothing stays behind, and the worker can be used again."""
    worker = Worker([quick], redis_settings=redis_settings, burst=True, poll_delay=0, handle_signals=True)
    for turns in range(12):
        task = asyncio.create_task(worker.main())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await worker.close()
    await nothing_held(arq_redis)
    await enqueued(arq_redis, "quick")
    await worker.main()
    assert worker.jobs_complete == 1
    await worker.close()


async def test_twice_at_the_same_time(worker: WorkerFactory, redis_settings: RedisSettings) -> None:
    ends: list[str] = []

    async def on_shutdown(ctx: Ctx) -> None:
        ends.append("shutdown")
        await asyncio.sleep(0)

    one = worker([quick], redis_settings=redis_settings, on_shutdown=on_shutdown)
    await one.main()
    await asyncio.gather(one.close(), one.close())
    await one.close()
    assert ends == ["shutdown"]


@pytest.mark.parametrize("own_pool", [False, True])
async def test_before_main_and_between_two(
    arq_redis: ArqRedis, redis_settings: RedisSettings, own_pool: bool
) -> None:
    """A worker that was closed runs jobs again: on the same Redis, also when it was given a pool."""
    options: dict[str, Any] = {"redis_settings": redis_settings}
    if own_pool:
        options = {"redis_pool": await create_pool(redis_settings)}
    worker = Worker([quick], poll_delay=60, handle_signals=False, **options)
    for number in range(3):
        await worker.close()
        await enqueued(arq_redis, "quick", _job_id=f"due{number}")
        task = asyncio.create_task(worker.main())
        await wait_until_async(lambda number=number: worker.jobs_complete == 2 * number + 1)  # type: ignore[misc]
        await idle(worker)
        assert await arq_redis.exists("arq:queue:health-check")
        await enqueued(arq_redis, "quick", _job_id=f"woken{number}")
        await wait_until_async(lambda number=number: worker.jobs_complete == 2 * number + 2)  # type: ignore[misc]
        await worker.close()
        await ended(task)
    await nothing_held(arq_redis)


async def test_after_a_drain_it_takes_jobs_again(arq_redis: ArqRedis, redis_settings: RedisSettings) -> None:
    worker = Worker(
        [quick], redis_settings=redis_settings, poll_delay=0.01, handle_signals=False, job_completion_wait=5
    )
    task = asyncio.create_task(worker.async_run())
    await wait_until_async(lambda: inside.is_in_main(worker))
    worker.handle_sig_wait_for_completion(signal.SIGTERM)
    await asyncio.gather(task, return_exceptions=True)
    await worker.close()
    worker.burst = True
    await enqueued(arq_redis, "quick")
    await worker.main()
    assert worker.jobs_complete == 1
    await worker.close()


async def test_a_second_main_is_refused(worker: WorkerFactory) -> None:
    one = worker([quick], burst=False, poll_delay=60)
    task = asyncio.create_task(one.main())
    await wait_until_async(lambda: inside.is_in_main(one))
    with pytest.raises(RuntimeError, match="runs already"):
        await one.main()
    await one.close()
    await ended(task)


async def test_two_workers_on_one_loop_both_hear_a_signal(redis_settings: RedisSettings) -> None:
    workers = [Worker([quick], redis_settings=redis_settings, poll_delay=60) for _ in range(2)]
    tasks = [asyncio.create_task(worker.async_run()) for worker in workers]
    await wait_until_async(lambda: all(inside.is_in_main(worker) for worker in workers))
    os.kill(os.getpid(), signal.SIGTERM)
    for task in tasks:
        with pytest.raises(asyncio.CancelledError):
            await ended(task)
    before = [signal.getsignal(signal.SIGTERM)]
    for worker in workers:
        await worker.close()
        before.append(signal.getsignal(signal.SIGTERM))
    assert before[0] == before[1] != before[2] == signal.SIG_DFL


async def test_run_says_what_to_do_where_a_loop_runs(worker: WorkerFactory) -> None:
    """A notebook."""
    one = worker([quick])
    with pytest.raises(RuntimeError, match="await worker.async_run"):
        one.run()


async def test_run_in_a_thread_ends_with_close(
    arq_redis: ArqRedis, redis_settings: RedisSettings, caplog: pytest.LogCaptureFixture
) -> None:
    started = threading.Event()

    async def held(ctx: Ctx) -> None:
        started.set()
        await asyncio.Event().wait()

    worker = Worker([func(held, name="held")], redis_settings=redis_settings, handle_signals=False)
    await enqueued(arq_redis, "held", _job_id="kept")
    thread = threading.Thread(target=worker.run)
    thread.start()
    await wait_until_async(started.is_set)
    await worker.close()
    await asyncio.to_thread(thread.join, PATIENCE_S)
    assert not thread.is_alive()
    assert await arq_redis.zcard("arq:queue") == 1
    assert not await arq_redis.exists("arq:in-progress:kept")
    assert "still runs" not in caplog.text


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("own_pool", [False, True])
@pytest.mark.parametrize("where", ["main", "async_run", "thread", "unfinished"])
def test_each_step_in_a_loop_of_its_own(redis_settings: RedisSettings, own_pool: bool, where: str) -> None:
    """As fixtures that are no coroutines do: connections of a loop that is closed are of no use, and no harm."""

    async def pool() -> ArqRedis:
        return await create_pool(redis_settings)

    async def enqueue() -> None:
        client = await pool()
        await enqueued(client, "quick")
        await client.aclose(close_connection_pool=True)

    async def begin() -> None:
        task = asyncio.create_task(worker.main())  # asyncio.run cancels it
        await wait_until_async(lambda: inside.is_in_main(worker))
        assert not task.done()

    options: dict[str, Any] = {"redis_settings": redis_settings}
    if own_pool:
        options = {"redis_pool": asyncio.run(pool())}
    worker = Worker([quick], poll_delay=0.01, handle_signals=False, **options)
    for number in range(2):
        asyncio.run(enqueue())
        worker.burst = where != "unfinished"
        if where == "thread":
            thread = threading.Thread(target=lambda: asyncio.run(worker.async_run()))
            thread.start()
            thread.join(PATIENCE_S)
        else:
            asyncio.run(begin() if where == "unfinished" else getattr(worker, where)())
        if where != "unfinished":
            assert worker.jobs_complete == number + 1
    asyncio.run(worker.close())
    assert worker._pool is None
    gc.collect()
