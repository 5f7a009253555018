"""What a worker says in the log: jobs, results, changed health."""

from __future__ import annotations

import logging
import re

import pytest

from arq.connections import ArqRedis
from arq.cron import cron
from arq.utils import timestamp_ms
from arq.worker import func
from tests.arq.redis.harness import Ctx, broken, old_enqueue, quick
from tests.conftest import WorkerFactory


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
        "job d, function 'unknown' not found; this worker has quick, broken",
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
