"""`arq.admin.Admin` on workers and schedules."""

from __future__ import annotations

import asyncio
import json
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from arq._admin.workers import identity
from arq._keys import LEASES_KEY, control_key, crons_key, in_progress_key, lookers_key
from arq._redis import membership, scripts
from arq.admin import Admin, Deed, LiveWorker
from arq.connections import ArqRedis
from arq.cron import cron
from arq.utils import timestamp_ms
from arq.worker import Worker, func
from tests.arq.redis import inside
from tests.arq.redis.harness import QUEUE, Ctx, armed, claim, old_enqueue, running
from tests.support.eventually import wait_until_async


@pytest.fixture
async def admin(arq_redis: ArqRedis) -> Admin:
    return Admin(arq_redis)


async def nothing(ctx: Ctx) -> None: ...


# ---------------------------------------------------------------- who is who


@pytest.mark.parametrize(
    ("worker_id", "host", "pid", "pool", "slot"),
    [
        ("web1:4711:0a1b2c3d", "web1", 4711, "", None),
        ("mail:web1:3:0a1b2c3d", "web1", None, "mail", 3),
        ("my:pool:web1:3:abc", "web1", None, "my:pool", 3),
        ("somebody", "", None, "", None),
    ],
)
def test_what_the_id_of_a_worker_says(
    worker_id: str, host: str, pid: int | None, pool: str, slot: int | None
) -> None:
    assert identity(worker_id) == (host, pid, pool, slot)


async def test_workers_and_what_they_run(arq_redis: ArqRedis, admin: Admin, worker: Any) -> None:
    go = asyncio.Event()

    async def held(ctx: Ctx) -> None:
        await go.wait()

    one = worker([func(held, name="held")], burst=False, poll_delay=0.05)
    async with running(one):
        before = timestamp_ms()
        await arq_redis.enqueue_job("held", _job_id="a")
        await wait_until_async(lambda: bool(one.job_tasks))
        fleet = await admin.workers()
        (found,) = fleet.workers
        assert (found.worker_id, found.is_late, found.looks, found.obeys) == (
            one.worker_id,
            False,
            True,
            True,
        )
        assert found.pid is not None
        (job,) = found.jobs
        assert (job.job_id, job.queue, job.function) == ("a", QUEUE, "held")
        assert job.since_ms is not None
        assert before - 1 <= job.since_ms <= timestamp_ms() + 1
        assert (fleet.has_old, fleet.ignore_pauses) == (False, 0)
        go.set()
    assert (await admin.workers()).workers == []


async def test_a_worker_that_is_late_is_shown_so(arq_redis: ArqRedis, admin: Admin) -> None:
    await membership.register(arq_redis, "w", 60_000)
    await arq_redis.zadd(LEASES_KEY, {"w": timestamp_ms() - 1000})
    (found,) = (await admin.workers()).workers
    assert (found.worker_id, found.is_late) == ("w", True)


async def test_a_worker_of_an_earlier_version_ignores_pauses(arq_redis: ArqRedis, admin: Admin) -> None:
    await membership.register(arq_redis, "w", 60_000)
    await arq_redis.zadd(lookers_key(QUEUE), {"w": timestamp_ms() + 60_000})
    await arq_redis.expire(lookers_key(QUEUE), 60)
    fleet = await admin.workers()
    assert [(one.looks, one.obeys) for one in fleet.workers] == [(True, False)]
    assert fleet.ignore_pauses == 1
    assert (await admin.workers("other")).ignore_pauses == 0


async def test_workers_of_plain_arq_are_known_by_their_locks(arq_redis: ArqRedis, admin: Admin) -> None:
    await old_enqueue(arq_redis, "a", "mail")
    await arq_redis.set(in_progress_key("a"), "1", px=60_000)
    fleet = await admin.workers()
    assert [(job.job_id, job.function, job.since_ms) for job in fleet.old_jobs] == [("a", "mail", None)]
    assert (fleet.has_old, fleet.ignore_pauses) == (True, 1)


async def test_jobs_of_plain_arq_whose_hosts_are_ahead_of_redis_are_known_too(
    arq_redis: ArqRedis, admin: Admin
) -> None:
    await old_enqueue(arq_redis, "a", "mail", score=timestamp_ms() + 30_000)
    await arq_redis.set(in_progress_key("a"), "1", px=60_000)
    assert [job.job_id for job in (await admin.workers()).old_jobs] == ["a"]


async def test_workers_of_plain_arq_that_are_idle_are_known_by_their_health_line(
    arq_redis: ArqRedis, admin: Admin, worker: Any
) -> None:
    await arq_redis.set(f"{QUEUE}:health-check", "Nov-28 j_complete=0", ex=60)
    assert (await admin.workers()).ignore_pauses == 1
    one = worker([func(nothing, name="nothing")], burst=False, poll_delay=0.05)
    async with running(one):
        await armed(one)
        assert (await admin.workers()).ignore_pauses == 0


# ---------------------------------------------------------------- words


async def test_a_worker_hears_a_word(arq_redis: ArqRedis, admin: Admin, worker: Any) -> None:
    one: Worker = worker([func(nothing, name="nothing")], burst=False, poll_delay=0.05)
    async with running(one):
        await armed(one)
        for word, takes in (("quiet", False), ("resume", True)):
            telling = asyncio.ensure_future(admin.tell(one.worker_id, word))  # type: ignore[arg-type]
            await wait_until_async(lambda: arq_redis.exists(control_key(one.worker_id)))
            inside.due(one).present_at_s = 0.0
            inside.wake_up(one)
            assert await telling == Deed.done
            assert one.allow_pick_jobs is takes


async def test_a_word_that_is_not_heard(arq_redis: ArqRedis, admin: Admin) -> None:
    assert await admin.tell("nobody", "stop", wait=0) == Deed.unknown
    await membership.register(arq_redis, "w", 60_000)
    assert await admin.tell("w", "stop", wait=0) == Deed.asked
    with pytest.raises(ValueError, match="can be told quiet, resume or stop, not 'dance'"):
        await admin.tell("w", "dance")  # type: ignore[arg-type]


# ---------------------------------------------------------------- schedules


async def shown(one: Worker, pool: ArqRedis) -> None:
    one._pool = pool
    await one.run_cron(datetime.now(UTC), 0.5)


async def test_schedules(arq_redis: ArqRedis, admin: Admin, worker: Any) -> None:
    jobs = [
        cron(nothing, name="report", hour={17, 9}, minute=30, weekday="mon", timeout=60),
        cron(nothing, name="tick", second={0, 30}, unique=False),
    ]
    await shown(worker(cron_jobs=jobs, timezone=ZoneInfo("Asia/Tokyo")), arq_redis)
    report, tick = await admin.crons()
    assert (report.name, report.spec, report.timezone) == ("report", "30 9,17 * * mon", "Asia/Tokyo")
    assert (report.timeout_s, report.unique, report.is_paused) == (60, True, False)
    assert (tick.spec, tick.unique) == ("* * * * * second=0,30", False)
    for one, job in ((report, jobs[0]), (tick, jobs[1])):
        assert one.next_ms is not None
        planned = job.next_after(datetime.now(UTC), ZoneInfo("Asia/Tokyo"))
        assert abs(one.next_ms / 1000 - planned.timestamp()) <= 31
    assert await admin.crons("other") == []


async def test_the_last_run_of_a_schedule(arq_redis: ArqRedis, admin: Admin, worker: Any) -> None:
    one = worker(cron_jobs=[cron(nothing, name="tick", second=None)], timezone=UTC)
    one._pool = arq_redis
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    await one.run_cron(start, 0.5)
    await one.run_cron(start + timedelta(seconds=1.2), 0.5)
    (tick,) = await admin.crons()
    assert tick.last_ms is not None
    assert 0 <= tick.last_ms / 1000 - start.timestamp() < 3


async def test_pause_resume_and_run_a_schedule(arq_redis: ArqRedis, admin: Admin, worker: Any) -> None:
    await shown(worker(cron_jobs=[cron(nothing, name="report", hour=3)]), arq_redis)
    assert await admin.pause_cron("report") == Deed.done
    assert await admin.pause_cron("report") == Deed.over
    assert [one.is_paused for one in await admin.crons()] == [True]
    assert await admin.resume_cron("report") == Deed.done
    assert await admin.resume_cron("report") == Deed.over
    assert await admin.pause_cron("nobody") == await admin.resume_cron("nobody") == Deed.unknown
    assert await admin.run_cron("nobody") is None
    first, second = await admin.run_cron("report"), await admin.run_cron("report")
    assert first != second
    assert [job.function for job in (await admin.jobs()).jobs] == ["report", "report"]


async def test_a_run_is_written_with_the_serializer_of_the_worker(
    arq_redis: ArqRedis, admin: Admin, worker: Any
) -> None:
    ran: list[str] = []

    async def note(ctx: Ctx) -> None:
        ran.append(ctx["job_id"])

    options = {"job_serializer": lambda data: json.dumps(data).encode(), "job_deserializer": json.loads}
    one = worker(cron_jobs=[cron(note, name="report", hour=3)], **options)
    await shown(one, arq_redis)
    job_id = await admin.run_cron("report")
    await one.async_run()
    assert ran == [job_id]


async def test_a_schedule_that_no_worker_has_shown_for_two_days_is_gone(
    arq_redis: ArqRedis, admin: Admin, worker: Any
) -> None:
    await shown(worker(cron_jobs=[cron(nothing, name="report", hour=3)]), arq_redis)
    ((field, text),) = (await arq_redis.hgetall(crons_key(QUEUE))).items()
    fields = json.loads(text)
    fields["seen_ms"] -= 3 * 86_400_000
    await arq_redis.hset(crons_key(QUEUE), field, json.dumps(fields))
    assert await admin.crons() == []


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b"\xff", b'{"name": 1, "offset_s": "x"}', pickle.dumps({})]
)
async def test_what_is_no_schedule_is_left_out(arq_redis: ArqRedis, admin: Admin, text: bytes) -> None:
    await arq_redis.hset(crons_key(QUEUE), "x", text)
    await arq_redis.expire(crons_key(QUEUE), 60)
    assert await admin.crons() == []


async def test_a_worker_without_schedules_shows_none(arq_redis: ArqRedis, worker: Any) -> None:
    one = worker([func(nothing, name="nothing")])
    await one.async_run()
    assert not await arq_redis.exists(crons_key(QUEUE))


async def test_a_worker_is_one_line(admin: Admin, arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_job("f", _job_id="a", _queue_name="other")
    await claim(arq_redis, "host:1:0a1b2c3d", queue_name="other")
    (found,) = (await admin.workers()).workers
    assert isinstance(found, LiveWorker)
    assert (found.looks, found.obeys, [job.queue for job in found.jobs]) == (False, None, ["other"])
    await scripts.run(arq_redis, scripts.release("host:1:0a1b2c3d", scripts.Why.UNBEGUN))
