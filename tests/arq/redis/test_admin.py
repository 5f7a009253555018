"""`arq.admin.Admin` on jobs: lists, filters, cursors, one job, counts, delete, run now, abort."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import redis

from arq._endings import Done
from arq._keys import AUDIT_KEY, PREFIX, in_progress_key, job_key, result_key, retry_key
from arq._redis import scripts
from arq.admin import Admin, Deed, JobPage, JobState, ListedJob
from arq.connections import ArqRedis, JobCall
from arq.jobs import Job
from arq.utils import timestamp_ms
from arq.worker import Retry, func
from tests.arq.redis.harness import QUEUE, Ctx, armed, claim, old_enqueue, running
from tests.support.eventually import wait_until_async


@pytest.fixture
async def admin(arq_redis: ArqRedis) -> Admin:
    return Admin(arq_redis)


async def all_pages(admin: Admin, limit: int, **wanted: Any) -> AsyncIterator[JobPage]:
    cursor = ""
    while True:
        page = await admin.jobs(limit=limit, cursor=cursor, **wanted)
        yield page
        cursor = page.cursor
        if not cursor:
            return


async def listed(admin: Admin, limit: int = 100, **wanted: Any) -> list[str]:
    """Ids from all pages."""
    found: list[str] = []
    async for page in all_pages(admin, limit, **wanted):
        assert len(page.jobs) <= limit
        found += [job.job_id for job in page.jobs]
    return found


async def result(ctx: Ctx, *args: Any) -> Any:
    return "x"


async def failing(ctx: Ctx, *args: Any) -> None:
    raise ValueError("no such user")


# ---------------------------------------------------------------- lists


async def test_jobs_by_state(arq_redis: ArqRedis, admin: Admin, worker: Any) -> None:
    await arq_redis.enqueue_job("result", _job_id="done")
    await worker([func(result, name="result")]).async_run()
    await arq_redis.enqueue_job("f", _job_id="running")
    await claim(arq_redis, "w")
    await arq_redis.enqueue_job("f", _job_id="queued")
    await arq_redis.enqueue_job("f", _job_id="deferred", _defer_by=60)
    await arq_redis.enqueue_job("missing", _job_id="dead", _queue_name="other")
    await worker([func(result, name="result")], queue_name="other").async_run()
    assert [(job.job_id, job.state) for job in (await admin.jobs("other", state="dead")).jobs] == [
        ("dead", JobState.dead)
    ]
    for state in set(JobState) - {JobState.dead}:
        page = await admin.jobs(state=state)
        assert [(job.job_id, job.state) for job in page.jobs] == [(state.value, state)]
    assert sorted(await listed(admin)) == ["deferred", "queued", "running"]


async def test_a_job_in_a_list_says_what_is_known(arq_redis: ArqRedis, admin: Admin) -> None:
    before = timestamp_ms()
    await arq_redis.enqueue_job("mail", 1, to="a@b", _job_id="a", _defer_by=60)
    (job,) = (await admin.jobs()).jobs
    assert (job.function, job.arguments, job.args, job.kwargs) == ("mail", "1, to='a@b'", [1], {"to": "a@b"})
    assert job.enqueued_ms is not None
    assert job.due_ms is not None
    assert before <= job.enqueued_ms <= timestamp_ms()
    assert before + 50_000 < job.due_ms < timestamp_ms() + 70_000
    assert (job.tries, job.worker, job.problem) == (0, "", "")


async def test_a_running_job_says_who_has_it_and_since_when(arq_redis: ArqRedis, admin: Admin) -> None:
    await arq_redis.enqueue_job("f", _job_id="a")
    due_ms = int(await arq_redis.zscore(QUEUE, "a") or 0)
    now_ms = (await claim(arq_redis, "host:1:abc")).now_ms
    (job,) = (await admin.jobs(state="running")).jobs
    assert (job.worker, job.tries, job.due_ms) == ("host:1:abc", 1, due_ms)
    assert job.since_ms == now_ms


async def test_jobs_of_plain_arq_workers_are_found_by_their_locks(arq_redis: ArqRedis, admin: Admin) -> None:
    await old_enqueue(arq_redis, "a")
    await old_enqueue(arq_redis, "b")
    await arq_redis.set(in_progress_key("a"), "1", px=60_000)
    (job,) = (await admin.jobs(state="running")).jobs
    assert (job.job_id, job.worker) == ("a", "1")
    assert await listed(admin, state="queued") == ["b"]


@pytest.mark.parametrize("limit", [1, 7, 100])
async def test_pages_have_every_job_once_and_in_order(arq_redis: ArqRedis, admin: Admin, limit: int) -> None:
    ids = [f"job{number:03}" for number in range(50)]
    await arq_redis.enqueue_jobs([JobCall("f", _job_id=job_id) for job_id in ids])  # all of the same ms
    await arq_redis.enqueue_jobs([JobCall("f", _job_id=f"late{n}", _defer_by=60) for n in range(5)])
    assert await listed(admin, limit, state="queued") == ids
    assert len(await listed(admin, limit, state="deferred")) == 5


async def test_a_page_goes_on_where_the_one_before_ended_though_that_job_is_gone(
    arq_redis: ArqRedis, admin: Admin
) -> None:
    ids = [f"job{number:03}" for number in range(600)]
    await arq_redis.enqueue_jobs([JobCall("f", _job_id=job_id) for job_id in ids])
    page = await admin.jobs(limit=400)
    last = page.jobs[-1].job_id
    await arq_redis.zrem(QUEUE, last)
    rest = await admin.jobs(limit=1000, cursor=page.cursor)
    assert [job.job_id for job in rest.jobs] == ids[400:]
    await arq_redis.zadd(QUEUE, {last: 1})  # it has moved to the front
    rest = await admin.jobs(limit=1000, cursor=page.cursor)
    assert [job.job_id for job in rest.jobs] == ids[400:]


@pytest.mark.parametrize("limit", [1, 3, 100])
async def test_results_are_listed_once_each_and_those_of_the_queue_only(
    arq_redis: ArqRedis, admin: Admin, worker: Any, limit: int
) -> None:
    for queue in (QUEUE, "other"):
        await arq_redis.enqueue_jobs(
            [JobCall("result", _job_id=f"{queue}{number}", _queue_name=queue) for number in range(7)]
        )
        await worker([func(result, name="result")], queue_name=queue).async_run()
    assert sorted(await listed(admin, limit, state="done")) == [f"{QUEUE}{number}" for number in range(7)]


async def test_running_jobs_are_paged(arq_redis: ArqRedis, admin: Admin) -> None:
    for number in range(5):
        await arq_redis.enqueue_job("f", _job_id=f"job{number}")
        await claim(arq_redis, f"w{number}")
    assert await listed(admin, 2, state="running") == [f"job{number}" for number in range(5)]


async def test_a_cursor_of_another_list_is_refused(arq_redis: ArqRedis, admin: Admin) -> None:
    await arq_redis.enqueue_jobs(["f", "f"])
    page = await admin.jobs(limit=1)
    for cursor in (page.cursor, "nonsense", "bnVsbA"):
        with pytest.raises(ValueError, match="is none of this list"):
            await admin.jobs(state="done", cursor=cursor)


async def test_a_search_is_bounded_and_says_so(arq_redis: ArqRedis, admin: Admin) -> None:
    await arq_redis.enqueue_jobs(["f"] * 600)
    page = await admin.jobs(function="g", scan_limit=300)
    assert (page.jobs, page.is_cut) == ([], True)
    assert 300 <= page.looked_at < 600
    page = await admin.jobs(function="g", cursor=page.cursor)
    assert (page.cursor, page.is_cut) == ("", False)


@pytest.mark.parametrize("limit", [0, 1001, -1])
async def test_a_page_of_a_wrong_size_is_refused(admin: Admin, limit: int) -> None:
    with pytest.raises(ValueError, match="limit must be a number from 1 to 1000"):
        await admin.jobs(limit=limit)


async def test_an_unknown_state_is_refused(admin: Admin) -> None:
    with pytest.raises(ValueError, match="there is no state 'lost': queued, deferred, running, done"):
        await admin.jobs(state="lost")


# ---------------------------------------------------------------- filters


async def test_filters(arq_redis: ArqRedis, admin: Admin) -> None:
    await arq_redis.enqueue_job("mail", "anna@example.com", _job_id="m1")
    await arq_redis.enqueue_job("mail", "bert@example.com", copy=[17], _job_id="m2")
    await arq_redis.enqueue_job("mailing", 17, _job_id="x1", _defer_by=60)
    assert await listed(admin, function="mail") == ["m1", "m2"]
    assert await listed(admin, id_prefix="m") == ["m1", "m2"]
    assert await listed(admin, arg="anna@") == ["m1"]
    assert await listed(admin, arg="17") == ["m2", "x1"]
    assert await listed(admin, function="mail", arg="17", id_prefix="m") == ["m2"]
    assert await listed(admin, function="ail") == []


async def test_those_that_are_older(arq_redis: ArqRedis, admin: Admin, worker: Any) -> None:
    old = pickle.dumps({"t": None, "f": "f", "a": (), "k": {}, "et": timestamp_ms() - 7_200_000})
    await arq_redis.enqueue_job("f", _job_id="new")
    await arq_redis.enqueue_job("f", _job_id="old")
    await arq_redis.set(job_key("old"), old, ex=100)
    assert await listed(admin, older_than=3600) == ["old"]
    assert await listed(admin, older_than=timedelta(hours=3)) == []


async def test_filters_on_results(arq_redis: ArqRedis, admin: Admin, worker: Any) -> None:
    await arq_redis.enqueue_job("result", 5, _job_id="a*[1]")
    await arq_redis.enqueue_job("failing", 6, _job_id="b")
    await worker([func(result, name="result"), func(failing, name="failing", max_tries=1)]).async_run()
    assert await listed(admin, state="done", function="failing") == ["b"]
    assert await listed(admin, state="done", arg="5") == ["a*[1]"]
    assert await listed(admin, state="done", id_prefix="a*[") == ["a*[1]"]
    assert await listed(admin, state="done", older_than=3600) == []


# ---------------------------------------------------------------- what can't be read


async def test_payloads_that_cannot_be_read_are_listed_with_the_reason(
    arq_redis: ArqRedis, admin: Admin
) -> None:
    for job_id, payload in {
        "broken": b"\x80\x04",
        "packed": b"\x85\xa1t",
        "large": b"\x80" * 300_000,
    }.items():
        await arq_redis.enqueue_job("f", _job_id=job_id)
        await arq_redis.set(job_key(job_id), payload, ex=100)
    await arq_redis.enqueue_job("f", _job_id="expired")
    await arq_redis.delete(job_key("expired"))
    problems = {job.job_id: job.problem for job in (await admin.jobs()).jobs}
    assert problems["broken"].startswith("EOFError")
    assert problems["packed"].startswith(
        "it is neither pickle nor JSON, a serializer of the application wrote it"
    )
    assert problems["large"] == "300000 bytes are too much to be read here"
    assert problems["expired"] == "its payload has expired"
    found = await admin.job("broken")
    assert found is not None
    assert found.job.function is None


async def test_ids_that_are_no_text_can_be_listed_and_removed(arq_redis: ArqRedis, admin: Admin) -> None:
    await arq_redis.zadd(QUEUE, {b"\xff\xfe": 1})
    (job,) = (await admin.jobs()).jobs
    assert await admin.delete([job]) == [Deed.done]
    assert await arq_redis.zcard(QUEUE) == 0


# ---------------------------------------------------------------- one job


async def test_the_timeline_of_a_job(arq_redis: ArqRedis, admin: Admin, worker: Any) -> None:
    await arq_redis.enqueue_job("failing", 6, _job_id="a")
    found = await admin.job("a")
    assert found is not None
    assert [event.what for event in found.timeline] == ["enqueued", "due", "expires"]
    await worker([func(failing, name="failing", max_tries=1)]).async_run()
    found = await admin.job("a")
    assert found is not None
    assert [event.what for event in found.timeline] == ["enqueued", "started", "failed", "result expires"]
    assert found.job.error == "ValueError: no such user"
    assert (found.job.success, found.job.tries, found.job.arguments) == (False, 1, "6")
    times = [event.at_ms or 0 for event in found.timeline]
    assert times == sorted(times)


async def test_a_job_that_waits_for_another_try(arq_redis: ArqRedis, admin: Admin, worker: Any) -> None:
    async def again(ctx: Ctx) -> None:
        raise Retry(60)

    await arq_redis.enqueue_job("again", _job_id="a")
    one = worker([func(again, name="again")], burst=False, poll_delay=0.05)
    async with running(one):
        await wait_until_async(lambda: one.jobs_retried == 1)
    found = await admin.job("a")
    assert found is not None
    assert (found.job.state, found.job.tries) == (JobState.deferred, 1)


async def test_nothing_is_known_of_an_unknown_job(admin: Admin) -> None:
    assert await admin.job("nobody") is None


# ---------------------------------------------------------------- counts


async def test_counts(arq_redis: ArqRedis, admin: Admin, worker: Any) -> None:
    await arq_redis.enqueue_job("result")
    await worker([func(result, name="result")]).async_run()
    await arq_redis.enqueue_jobs(["f"] * 5)
    await arq_redis.enqueue_job("f", _defer_by=60)
    await claim(arq_redis, "w", 2)
    head: Any = await arq_redis.zrangebyscore(QUEUE, "-inf", timestamp_ms(), start=0, num=1)
    await arq_redis.set(in_progress_key(head[0].decode()), "1", px=60_000)
    found = await admin.counts(with_done=True)
    assert (found.queued, found.deferred, found.running, found.done) == (2, 1, 3, 1)
    assert not found.done_is_least
    assert found.paused is None
    assert (await admin.counts()).done is None


async def test_a_page_costs_the_same_however_long_the_queue_is(
    arq_redis: ArqRedis, admin: Admin, redis_client: redis.Redis
) -> None:
    async def calls(wanted: dict[str, Any]) -> int:
        before = commands_run(redis_client)
        await admin.jobs(limit=10, **wanted)
        return commands_run(redis_client) - before

    costs = []
    for number in (50, 3000):
        await arq_redis.enqueue_jobs([JobCall("f", n, _defer_by=n % 2 * 60) for n in range(number)])
        await admin.jobs()  # the scripts are known now
        costs.append([await calls(wanted) for wanted in ({}, {"state": "deferred"}, {"function": "f"})])
    assert costs[0] == pytest.approx(costs[1], abs=3)


async def test_a_search_reads_many_payloads_at_a_time(
    arq_redis: ArqRedis, admin: Admin, redis_client: redis.Redis
) -> None:
    await arq_redis.enqueue_jobs(["f"] * 5000)
    before = commands_run(redis_client)
    page = await admin.jobs(function="g")
    assert commands_run(redis_client) - before < page.looked_at / 50


def commands_run(client: redis.Redis) -> int:
    """Of all clients, and within scripts, without those by which it is asked."""
    found: dict[str, Any] = client.info("commandstats")
    return sum(stat["calls"] for name, stat in found.items() if name != "cmdstat_info")


# ---------------------------------------------------------------- delete


async def test_delete_leaves_nothing(arq_redis: ArqRedis, admin: Admin) -> None:
    await arq_redis.enqueue_job("f", _job_id="a")
    for key in (retry_key("a"), f"{PREFIX}interrupted:a", f"{PREFIX}crashes:a", f"{PREFIX}left:a"):
        await arq_redis.set(key, "1", ex=100)
    assert await admin.delete(["a"]) == [Deed.done]
    assert await arq_redis.keys("*") == [AUDIT_KEY.encode()]


async def test_a_job_that_runs_is_not_deleted(arq_redis: ArqRedis, admin: Admin) -> None:
    await arq_redis.enqueue_job("f", _job_id="ours")
    await claim(arq_redis, "w")
    await arq_redis.enqueue_job("f", _job_id="theirs")
    await arq_redis.set(in_progress_key("theirs"), "1", px=60_000)
    assert await admin.delete(["ours", "theirs", "nobody"]) == [Deed.running, Deed.running, Deed.unknown]
    assert await arq_redis.zcard(QUEUE) == 2
    assert await arq_redis.exists(job_key("ours"), job_key("theirs")) == 2


async def test_a_result_is_deleted_and_its_id_is_free(arq_redis: ArqRedis, admin: Admin, worker: Any) -> None:
    await arq_redis.enqueue_job("result", _job_id="a")
    await worker([func(result, name="result")]).async_run()
    assert await arq_redis.enqueue_job("result", _job_id="a") is None
    assert await admin.delete(["a"]) == [Deed.done]
    assert await arq_redis.enqueue_job("result", _job_id="a") is not None


@pytest.mark.parametrize("state", ["queued", "done"])
async def test_another_job_with_the_same_id_is_left_alone(
    arq_redis: ArqRedis, admin: Admin, worker: Any, state: str
) -> None:
    await arq_redis.enqueue_job("result", 1, _job_id="a")
    if state == "done":
        await worker([func(result, name="result")]).async_run()
    (job,) = (await admin.jobs(state=state)).jobs
    assert await admin.delete(["a"]) == [Deed.done]
    await arq_redis.enqueue_job("result", 2, _job_id="a")
    assert await admin.delete([job]) == [Deed.changed]
    assert await listed(admin) == ["a"]


async def test_nor_is_another_job_with_the_same_id_hastened_or_aborted(
    arq_redis: ArqRedis, admin: Admin
) -> None:
    await arq_redis.enqueue_job("f", 1, _job_id="a", _defer_by=60)
    (job,) = (await admin.jobs()).jobs
    await admin.delete([job])
    await arq_redis.enqueue_job("f", 2, _job_id="a", _defer_by=60)
    score = await arq_redis.zscore(QUEUE, "a")
    assert await admin.run_now([job]) == [Deed.changed]
    assert await admin.abort(job) == Deed.changed
    assert await arq_redis.zscore(QUEUE, "a") == score
    (job,) = (await admin.jobs()).jobs
    assert await admin.run_now([job]) == [Deed.done]
    assert await admin.abort(job) == Deed.done


async def test_one_whose_payload_has_expired_is_deleted(arq_redis: ArqRedis, admin: Admin) -> None:
    await arq_redis.enqueue_job("f", _job_id="a")
    await arq_redis.delete(job_key("a"))
    (job,) = (await admin.jobs()).jobs
    assert await admin.delete([job]) == [Deed.done]


# ---------------------------------------------------------------- run now


async def test_run_now(arq_redis: ArqRedis, admin: Admin, worker: Any) -> None:
    ran: list[str] = []

    async def note(ctx: Ctx) -> None:
        ran.append(ctx["job_id"])

    await arq_redis.enqueue_job("note", _job_id="a", _defer_by=3600)
    one = worker([func(note, name="note")], burst=False, poll_delay=60)
    async with running(one):
        await armed(one)
        assert await admin.run_now(["a", "nobody"]) == [Deed.done, Deed.unknown]
        await wait_until_async(lambda: ran == ["a"])
        await wait_until_async(lambda: arq_redis.exists(result_key("a")))
        assert await admin.run_now(["a"]) == [Deed.over]


async def test_what_runs_is_not_run_once_more(arq_redis: ArqRedis, admin: Admin) -> None:
    await arq_redis.enqueue_job("f", _job_id="a")
    await claim(arq_redis, "w")
    score = await arq_redis.zscore(QUEUE, "a")
    assert await admin.run_now(["a"]) == [Deed.running]
    assert await arq_redis.zscore(QUEUE, "a") == score


# ---------------------------------------------------------------- abort


async def test_an_aborted_job_tells_those_who_wait(arq_redis: ArqRedis, admin: Admin) -> None:
    job = await arq_redis.enqueue_job("f", 1, _job_id="a", _defer_by=3600)
    assert job is not None
    assert await admin.abort("a") == Deed.done
    with pytest.raises(asyncio.CancelledError):
        await job.result(timeout=5)
    info = await job.result_info()
    assert info is not None
    assert (info.function, info.args, info.success) == ("f", (), False)
    assert await admin.abort("a") == Deed.over
    assert await admin.abort("nobody") == Deed.unknown


async def test_a_running_job_is_asked_to_end(arq_redis: ArqRedis, admin: Admin, worker: Any) -> None:
    started = asyncio.Event()

    async def held(ctx: Ctx) -> None:
        started.set()
        await asyncio.Event().wait()

    one = worker([func(held, name="held")], burst=False, poll_delay=0.05, allow_abort_jobs=True)
    async with running(one):
        await arq_redis.enqueue_job("held", _job_id="a")
        await started.wait()
        assert await admin.abort("a") == Deed.asked
        await wait_until_async(lambda: one.jobs_failed == 1)


async def test_a_payload_of_another_serializer_gets_no_result(arq_redis: ArqRedis, admin: Admin) -> None:
    await arq_redis.enqueue_job("f", _job_id="a")
    await arq_redis.set(job_key("a"), b"\x85\xa1t", ex=100)
    assert await admin.abort("a") == Deed.done
    assert not await arq_redis.exists(result_key("a"))
    assert await arq_redis.zcard(QUEUE) == 0


# ---------------------------------------------------------------- pauses


async def test_pause_and_resume(arq_redis: ArqRedis, admin: Admin) -> None:
    assert await admin.paused() is None
    pause = await admin.pause(by="me\nyou", note="why\nnot")
    assert (pause.by, pause.note) == ("me you", "why\nnot")
    assert await admin.paused() == pause
    assert (await admin.counts()).paused == pause
    assert pause.since_ms is not None
    assert await admin.resume()
    assert not await admin.resume()


@pytest.mark.parametrize("queue", ["arq:job:x", "x:health-check", "a" * 70_000])
async def test_what_is_no_queue_is_refused(admin: Admin, queue: str) -> None:
    for call in (admin.jobs(queue), admin.counts(queue), admin.pause(queue), admin.delete(["a"], queue)):
        with pytest.raises(ValueError, match=r"can't be the name of a queue|characters"):
            await call


async def test_a_client_of_its_own(redis_settings: Any, arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_job("f", _job_id="a")
    async with Admin.connect(redis_settings) as admin:
        assert [job.job_id for job in (await admin.jobs()).jobs] == ["a"]


def test_listed_jobs_are_told_apart() -> None:
    assert ListedJob("a", QUEUE, JobState.queued) == ListedJob("a", QUEUE, JobState.queued)
    assert ListedJob.__module__ == "arq.admin"


async def test_a_job_that_was_taken_meanwhile_is_no_loss(arq_redis: ArqRedis, admin: Admin) -> None:
    """A worker may claim between the list and the deed."""
    await arq_redis.enqueue_job("f", _job_id="a")
    (job,) = (await admin.jobs()).jobs
    answer = await claim(arq_redis, "w")
    assert await admin.delete([job]) == [Deed.running]
    done = scripts.finish(QUEUE, "w", [Done("a", answer.jobs[0].stamp)])
    await scripts.run(arq_redis, done)
    assert await Job("a", arq_redis).status() == "not_found"
