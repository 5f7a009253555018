"""The health line and the lease of a worker."""

from __future__ import annotations

import logging
import re
from time import time
from typing import Any

import pytest

from arq.connections import ArqRedis, JobCall, RedisSettings
from arq.utils import timestamp_ms
from arq.worker import async_check_health
from tests.arq.redis.harness import broken, for_ever, quick, running
from tests.conftest import WorkerFactory
from tests.support.eventually import wait_until_async


async def test_the_health_line(
    arq_redis: ArqRedis,
    worker: WorkerFactory,
    redis_settings: RedisSettings,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    await arq_redis.enqueue_jobs(["quick", "broken", JobCall("quick", _defer_by=60)])
    assert await async_check_health(redis_settings) == 1
    one = worker([quick, broken], burst=False, poll_delay=0.02, health_check_interval=0.05)
    async with running(one):
        await wait_until_async(lambda: one.jobs_complete == 1 and one.jobs_failed == 1)

        async def up_to_date() -> bool:
            found: Any = await arq_redis.get("arq:queue:health-check")
            line = (found or b"").decode()
            return bool(
                re.fullmatch(
                    r"\w{3}-\d\d \d\d:\d\d:\d\d j_complete=1 j_failed=1 j_retried=0 j_ongoing=0 queued=1",
                    line,
                )
            )

        await wait_until_async(up_to_date)
        await wait_until_async(lambda: "recording health: " in caplog.text)
        # from now on seldom: the line stays for so long and a second
        one.health_check_interval, one._last_health_check = 600, 0.0

        async def seldom() -> bool:
            return 1050 < await arq_redis.pttl("arq:queue:health-check") <= 601_000

        await wait_until_async(seldom)
        assert await async_check_health(redis_settings) == 0
        assert one.queued == 1
        assert repr(one) == "<Worker j_complete=1 j_failed=1 j_retried=0 j_ongoing=0>"
    assert await async_check_health(redis_settings) == 1
    assert "Health check successful: b'" in caplog.text
    assert "Health check failed: no health check sentinel value found" in caplog.messages


@pytest.mark.parametrize("step_s", [-3600, 3600])
async def test_the_health_line_outlives_a_clock_that_is_set(
    arq_redis: ArqRedis, worker: WorkerFactory, monkeypatch: pytest.MonkeyPatch, step_s: float
) -> None:
    one = worker([quick], burst=False, poll_delay=0.02, health_check_interval=0.05)
    async with running(one):
        for shift_s in (0, step_s):
            monkeypatch.setattr("arq._worker.health_writer.time", lambda shift_s=shift_s: time() + shift_s)
            await arq_redis.delete("arq:queue:health-check")
            await wait_until_async(lambda: arq_redis.exists("arq:queue:health-check"))


async def test_another_health_key(
    arq_redis: ArqRedis, worker: WorkerFactory, redis_settings: RedisSettings
) -> None:
    await worker([quick], health_check_key="my:health").main()
    assert await async_check_health(redis_settings, "my:health") == 0
    assert await async_check_health(redis_settings, queue_name="other") == 1


async def test_a_supervised_worker_leaves_health_and_lease_to_its_supervisor(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    one = worker([for_ever], burst=False, poll_delay=0.02, health_check_interval=0.01)
    one.supervised = True
    await arq_redis.enqueue_job("for_ever")
    async with running(one):
        await wait_until_async(lambda: one.job_tasks)
        assert not await arq_redis.exists("arq:queue:health-check")
        deadline = await arq_redis.zscore("arq:leases", one.worker_id)
        assert deadline is not None
        assert 5_000 < deadline - timestamp_ms() <= 30_000


async def test_the_lease_is_renewed_however_seldom_the_worker_looks(
    arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    one = worker([quick], burst=False, poll_delay=60)
    one.in_progress_timeout_s = 0.6
    deadlines = set()

    async def moved() -> bool:
        deadlines.add(await arq_redis.zscore("arq:leases", one.worker_id))
        return len(deadlines - {None}) > 2

    async with running(one):
        await wait_until_async(moved)
