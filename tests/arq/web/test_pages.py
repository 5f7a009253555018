"""Pages of the dashboard and their JSON."""

from __future__ import annotations

import httpx
import pytest

from arq.connections import ArqRedis

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
