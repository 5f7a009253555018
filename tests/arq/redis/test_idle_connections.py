"""Servers and proxies drop connections that lie idle: the next use opens another one, and nobody hears of it."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
import redis

from arq._redis.settings import FirstAtOnce, client_options, sentinel_options
from arq._worker.wake_tokens import rest_s
from arq.connections import ArqRedis, RedisSettings
from arq.worker import Worker
from tests.arq.redis.harness import QUEUE, armed, enqueued, quick, running
from tests.support.eventually import wait_until_async


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long redis-py has paused before it tried again, each time."""
    found: list[float] = []

    async def sleep(pause_s: float) -> None:
        found.append(pause_s)

    monkeypatch.setattr("redis.asyncio.retry.sleep", sleep)
    return found


def cut_all(client: redis.Redis) -> None:
    """Close all connections but this one, as `timeout 1` does to those that are idle."""
    assert client.client_kill_filter(_type="normal", skipme=True) > 0


def test_pauses_between_tries() -> None:
    backoff = FirstAtOnce()
    waits = [backoff.compute(failures) for failures in range(1, 6)]
    assert waits == [0, 0.2, 0.4, 0.5, 0.5]
    assert backoff == FirstAtOnce()
    assert {backoff, FirstAtOnce(cap_s=1)} == {FirstAtOnce(), FirstAtOnce(cap_s=1)}


@pytest.mark.parametrize("options", [client_options(RedisSettings()), sentinel_options(RedisSettings())])
def test_nobody_pauses_before_the_first_retry(options: dict[str, Any]) -> None:
    assert options["retry"]._backoff.compute(1) == 0


@pytest.mark.parametrize("name", ["enqueue_job", "ping", "status"])
async def test_a_connection_that_was_cut_costs_no_pause(
    arq_redis: ArqRedis, redis_client: redis.Redis, pauses: list[float], name: str
) -> None:
    job = await enqueued(arq_redis, "f")
    uses: dict[str, Callable[[], Awaitable[Any]]] = {
        "enqueue_job": lambda: arq_redis.enqueue_job("f"),
        "ping": arq_redis.ping,
        "status": job.status,
    }
    for _ in range(3):
        await uses[name]()
        cut_all(redis_client)
        await uses[name]()
    assert [pause_s for pause_s in pauses if pause_s] == []


@contextlib.contextmanager
def no_trouble(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.clear()
    yield
    assert "redis trouble" not in caplog.text


async def test_a_worker_whose_idle_connections_are_cut_goes_on(
    arq_redis: ArqRedis,
    redis_client: redis.Redis,
    redis_settings: RedisSettings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """All but the one on which it waits for tokens: a server does not take that for idle."""
    worker = Worker([quick], redis_settings=redis_settings, poll_delay=300, handle_signals=False)
    async with running(worker):
        for number in range(3):
            await armed(worker)
            with no_trouble(caplog):
                for client in redis_client.client_list("normal"):
                    if client["cmd"] not in ("blpop", "client|list"):
                        redis_client.client_kill_filter(_id=client["id"])
                await enqueued(arq_redis, "quick", number)
                await complete(worker, number + 1)
                await wait_until_async(lambda: nothing_queued(arq_redis))


async def complete(worker: Worker, count: int) -> None:
    await wait_until_async(lambda: worker.jobs_complete == count, what=f"{count} jobs complete")


async def nothing_queued(pool: ArqRedis) -> bool:
    return await pool.zcard(QUEUE) == 0


async def test_a_wait_for_tokens_that_is_cut_is_repeated(
    arq_redis: ArqRedis, redis_client: redis.Redis, redis_settings: RedisSettings, restless: None
) -> None:
    worker = Worker([quick], redis_settings=redis_settings, poll_delay=300, handle_signals=False)
    async with running(worker):
        for number in range(3):
            await armed(worker)
            cut_all(redis_client)
            await enqueued(arq_redis, "quick", number)
            await complete(worker, number + 1)


def test_a_wait_that_has_lasted_is_repeated_at_once() -> None:
    assert [rest_s(waited_s) for waited_s in (0.0, 0.25, 1.0, 20.0)] == [1.0, 0.75, 0.0, 0.0]
