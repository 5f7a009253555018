"""Pages of the dashboard and their JSON."""

from __future__ import annotations

import dataclasses
import re
from html import unescape
from typing import Any

import httpx
import pytest

from arq import Backoff
from arq.admin import Admin
from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.web import dashboard
from arq.worker import func
from tests.arq.web.conftest import browsing
from tests.conftest import WorkerFactory

PATHS = ("/", "/queues", "/jobs", "/dead", "/crons", "/workers", "/functions", "/audit", "/about")


@pytest.mark.parametrize("path", PATHS)
async def test_a_page_of_an_empty_redis(web: httpx.AsyncClient, path: str) -> None:
    answer = await web.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "<h1>" in answer.text
    answer = await web.get(f"{path.rstrip('/') or '/overview'}.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert isinstance(answer.json(), dict)


async def test_a_job_in_a_list_and_on_its_page(web: httpx.AsyncClient, arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_job("send", "<b>to</b>", _job_id="one")
    page = await web.get("/jobs")
    assert 'href="/jobs/one?queue=arq%3Aqueue"' in page.text
    assert "&lt;b&gt;to&lt;/b&gt;" in page.text
    assert "<b>to" not in page.text
    page = await web.get("/jobs/one")
    assert "send" in page.text
    assert (await web.get("/jobs/one.json")).json()["details"]["job"]["args"] == ["<b>to</b>"]
    assert (await web.get("/jobs/other")).status_code == 404


async def test_long_arguments_are_cut_and_can_be_seen_whole(
    web: httpx.AsyncClient, arq_redis: ArqRedis
) -> None:
    long = "x" * 9000 + "the end"
    await arq_redis.enqueue_job("send", long, _job_id="one")
    page = await web.get("/jobs")
    assert len(page.text) < 9000
    assert "all=1" in page.text
    assert "the end" not in (await web.get("/jobs/one")).text
    assert "the end" in (await web.get("/jobs/one?all=1")).text
    assert (await web.get("/jobs/one.json?all=1")).json()["details"]["job"]["args"] == [long]


LARGE = [{"number": number} for number in range(9000)]


async def net_output(arq_redis: ArqRedis) -> int:
    """Bytes that the server has sent so far."""
    info: dict[str, Any] = await arq_redis.info("stats")
    return int(info["total_net_output_bytes"])


async def test_a_list_of_large_jobs_reads_little_of_them(
    web: httpx.AsyncClient, arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    """Function, the first arguments and the time are known all the same, and the page of one has all."""
    for number in range(40):
        await arq_redis.enqueue_job("pack", number, LARGE, _job_id=f"job-{number}", _defer_by=100 + number)
    size = await arq_redis.strlen("arq:job:job-1")
    before = await net_output(arq_redis)
    jobs = (await web.get("/jobs.json?limit=40")).json()["jobs"]
    assert await net_output(arq_redis) - before < 10 * size
    assert [(job["function"], job["args"][0], job["bytes"]) for job in jobs] == [
        ("pack", number, size) for number in range(40)
    ]
    assert all(job["enqueued_ms"] and job["args"][-1] == "…" for job in jobs)
    assert "1, [{&#39;number&#39;: 0}" in (await web.get("/jobs?limit=40")).text
    (alone,) = (await web.get("/jobs.json?id_prefix=job-17")).json()["jobs"]
    assert alone["args"][0] == 17
    whole = (await web.get("/jobs/job-17.json?all=1")).json()["details"]["job"]
    assert whole["args"] == [17, LARGE]


async def test_a_large_job_that_was_replaced_is_left_alone(
    web: httpx.AsyncClient, arq_redis: ArqRedis
) -> None:
    for number in range(30):
        await arq_redis.enqueue_job("pack", LARGE, _job_id=f"job-{number}", _defer_by=100 + number)
    page = (await web.get("/jobs?limit=100")).text
    words = [unescape(word) for word in re.findall(r'name="job" value="([^"]*)"', page)]
    await Admin(arq_redis).delete(["job-3", "job-4"])
    await arq_redis.enqueue_job("pack", LARGE, _job_id="job-3", _defer_by=100)
    await arq_redis.enqueue_job("pack", LARGE, _job_id="job-4", _defer_by=100)
    for action, good in (("retry", [1, 3]), ("abort", [2, 4]), ("delete", [5, 3])):
        form = {"action": action, "confirm": "yes", "job": [words[number] for number in good]}
        done = await web.post("/act", data=form, headers={"Accept": "application/json"})
        assert done.json()["outcomes"] == {"done": 1, "changed": 1}, action


async def test_a_job_tells_of_each_try(
    web: httpx.AsyncClient, arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    async def charge(ctx: dict[Any, Any]) -> None:
        raise ConnectionError(f"refused {ctx['job_try']}")

    await arq_redis.enqueue_job("charge", _job_id="one")
    backoff = Backoff(first=0.01, jitter=0)
    policy = func(charge, name="charge", retry_on=(ConnectionError,), backoff=backoff, max_tries=3)
    await worker([policy]).async_run()
    page = (await web.get("/jobs/one")).text
    assert [text for text in ("refused 1", "refused 2", "refused 3") if text in page] == [
        "refused 1", "refused 2", "refused 3",
    ]  # fmt: skip
    assert "kept with its arguments" in page


async def test_a_job_that_waits_for_its_next_try(web: httpx.AsyncClient, arq_redis: ArqRedis) -> None:
    """As workers leave it there."""
    await arq_redis.enqueue_job("charge", _job_id="one", _defer_by=60)
    await arq_redis.set("arq:retry:one", 1, ex=60)
    await arq_redis.rpush("arq:errors:one", "ConnectionError('refused')")
    await arq_redis.expire("arq:errors:one", 60)
    page = (await web.get("/jobs/one")).text
    assert "ConnectionError(&#39;refused&#39;)" in page
    assert "waits for its next try" in page


async def test_functions_and_their_charts(
    web: httpx.AsyncClient, arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    async def work(ctx: dict[Any, Any], n: int) -> None:
        if n == 2:
            raise ValueError

    for n in range(5):
        await arq_redis.enqueue_job("work", n)
    await worker([func(work, name="work")]).async_run()
    await worker([func(work, name="work")]).close()
    (row,) = (await web.get("/functions.json")).json()["functions"]
    assert (row["function"], row["done"], row["failed"]) == ("work", 4, 1)
    page = (await web.get("/functions")).text
    assert 'aria-label="Jobs that ended: 4 done, 1 failed, 0 retried"' in page
    assert '<rect class="bar-done"' in page
    assert re.search(r'aria-label="Run times: 95 of 100 within \d+ms at most"', page)
    points = (await web.get("/functions.json")).json()["points"]
    assert sum(point["done"] for point in points) == 4
    assert any(point["run_p95_s"] for point in points)
    assert "style=" not in page
    assert (await web.get("/functions?function=work&hours=72")).status_code == 200


async def test_a_page_with_a_filter_and_its_next_page(web: httpx.AsyncClient, arq_redis: ArqRedis) -> None:
    for n in range(70):
        await arq_redis.enqueue_job(
            "even" if n % 2 == 0 else "odd", n, _job_id=f"job-{n:02}", _defer_by=n + 60
        )
    found = (await web.get("/jobs.json?function=even&limit=20&state=deferred")).json()
    assert [job["job_id"] for job in found["jobs"]] == [f"job-{n:02}" for n in range(0, 40, 2)]
    page = (await web.get("/jobs?function=even&limit=25&state=deferred")).text
    (link,) = re.findall(r'rel="next" href="([^"]+)"', page)
    rest = (await web.get(link.replace("&amp;", "&"))).text
    assert "job-50" in rest
    assert "job-48" not in rest
    assert "First page" in rest
    assert (await web.get("/jobs.json?arg=69")).json()["jobs"][0]["job_id"] == "job-69"
    assert "No job fits this filter" in (await web.get("/jobs?function=none")).text


async def test_an_upgrade_does_not_change_pages_under_a_program_that_runs(
    web: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Templates on the disk are those of another version by then."""

    def refuse(*_: object) -> None:
        raise AssertionError("a template is read from the disk")

    monkeypatch.setattr("jinja2.PackageLoader.get_source", refuse)
    for path in ("/", "/queues", "/jobs", "/dead", "/crons", "/workers", "/functions", "/about", "/nowhere"):
        assert (await web.get(path)).status_code in (200, 404)


async def test_keys_under_a_prefix(redis_settings: RedisSettings) -> None:
    """Queues under it are found, those of others beside it are not."""
    for prefix in ("", "app:"):
        settings = dataclasses.replace(redis_settings, key_prefix=prefix)
        pool = await create_pool(settings)
        await pool.enqueue_job("f", _job_id=f"of {prefix}", _queue_name=f"mails {prefix}")
        await pool.aclose(close_connection_pool=True)
        board = dashboard(settings, authorize=lambda _: "all")
        async with browsing(board) as web:
            found = (await web.get("/queues.json")).json()["queues"]
            assert [one["queue"] for one in found] == ["arq:queue", f"mails {prefix}"]
            form = {"action": "delete", "job": f"of {prefix}", "queue": f"mails {prefix}", "confirm": "yes"}
            answer = await web.post("/act", data=form, headers={"Accept": "application/json"})
            assert answer.json()["outcomes"] == {"done": 1}
            assert len((await web.get("/audit.json")).json()["notes"]) == 1
            for path in PATHS:
                assert (await web.get(path)).status_code == 200, path
        await board.aclose()
        pool = await create_pool(settings)
        await pool.enqueue_job("f", _job_id=f"of {prefix}", _queue_name=f"mails {prefix}")
        await pool.aclose(close_connection_pool=True)
