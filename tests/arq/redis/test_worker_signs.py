"""What a worker says of itself: health and log."""

from __future__ import annotations

import logging
import re
from time import time
from typing import Any

import pytest

from arq.connections import ArqRedis, JobCall, RedisSettings
from arq.cron import cron
from arq.utils import timestamp_ms
from arq.worker import async_check_health, func
from tests.arq.redis.harness import Ctx, broken, for_ever, old_enqueue, quick, running
from tests.conftest import WorkerFactory
from tests.support.eventually import wait_until_async

# ---------------------------------------------------------------- health


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
            monkeypatch.setattr("arq._worker.duties.time", lambda shift_s=shift_s: time() + shift_s)
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


# ---------------------------------------------------------------- log lines


async def test_the_life_of_a_job_in_the_log(
    arq_redis: ArqRedis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "arq.worker")
    await old_enqueue(arq_redis, "a", "quick", {"x": 1}, score=timestamp_ms() - 5000)
    await arq_redis.enqueue_job("broken", _job_id="b")
    await arq_redis.enqueue_job("quick", None, _job_id="c")
    await arq_redis.enqueue_job("unknown", _job_id="d")
    await worker([quick, broken]).main()
    text = "\n".join(caplog.messages)
    seconds = r" +\d+\.\d\ds"
    for line in (
        "Starting worker for 2 functions: quick, broken",
        r"redis_version=\S+ mem_usage=\S+ clients_connected=\d+ db_keys=\d+",
        seconds + r" → a:quick\(\{'x': 1\}\) delayed=\d+\.\d\ds",
        seconds + r" ← a:quick ● \{'x': 1\}",
        seconds + r" → b:broken\(\)( delayed=\d+\.\d\ds)?",
        seconds + r" ! b:broken failed, ValueError: boom",
        seconds + r" ← c:quick ● ",
        "job d, function 'unknown' not found",
    ):
        assert re.search(f"^{line}$", text, re.MULTILINE), f"{line}\n{text}"
    (failure,) = [record for record in caplog.records if "boom" in record.getMessage()]
    assert failure.levelname == "ERROR"
    assert failure.exc_info is not None
    assert failure.extra is None  # type: ignore[attr-defined]


async def test_results_stay_out_of_the_log_where_they_should(
    arq_redis: ArqRedis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await arq_redis.enqueue_job("secret")

    async def secret(ctx: Ctx) -> str:
        return "hunter2"

    await worker([func(secret, name="secret")], log_results=False).main()
    assert ":secret ● " in caplog.text
    assert "hunter2" not in caplog.text


async def test_extra_of_an_exception_reaches_the_log(
    arq_redis: ArqRedis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    class RichError(Exception):
        def extra(self) -> dict[str, int]:
            return {"code": 7}

    async def fail(ctx: Ctx) -> None:
        raise RichError

    await arq_redis.enqueue_job("fail")
    await worker([func(fail, name="fail")]).main()
    assert [record.extra for record in caplog.records if "failed" in record.getMessage()] == [{"code": 7}]  # type: ignore[attr-defined]


async def test_a_cron_job_goes_by_its_name_in_the_log(
    arq_redis: ArqRedis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    async def tick(ctx: Ctx) -> None: ...

    await worker(cron_jobs=[cron(tick, name="tick", run_at_startup=True, month=1, day=1)]).main()
    assert " → tick()" in caplog.text


async def test_the_log_tells_of_changed_health_also_from_one_run_to_the_next(
    arq_redis: ArqRedis, worker: WorkerFactory, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await arq_redis.enqueue_job("quick")
    one = worker([quick], health_check_interval=0)
    for _ in range(3):
        await one.main()
    assert "recording health: " in caplog.text
    assert "j_complete=1 j_failed=0 j_retried=0 j_ongoing=0 queued=0" in caplog.text
