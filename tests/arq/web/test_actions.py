"""What is done on the dashboard: the question, the deed, the answer, and the note in the audit trail."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from html import unescape
from typing import Any

import httpx
import pytest

from arq import cron
from arq.admin import Admin
from arq.connections import ArqRedis
from arq.worker import func
from tests.arq.redis.harness import claim
from tests.conftest import WorkerFactory

Act = Callable[..., Awaitable[dict[str, Any]]]
HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')


@pytest.fixture
def act(web: httpx.AsyncClient) -> Act:
    """Does something without being asked, as a program does."""

    async def act(action: str, **fields: Any) -> dict[str, Any]:
        form = {"action": action, "confirm": "yes", **fields}
        answer = await web.post("/act", data=form, headers={"Accept": "application/json"})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    return act


async def fail(ctx: dict[Any, Any], *args: Any) -> None:
    raise ValueError("no such user")


async def buried(arq_redis: ArqRedis, worker: WorkerFactory, *ids: str) -> None:
    """Jobs that have failed for good."""
    for job_id in ids:
        await arq_redis.enqueue_job("fail", job_id, _job_id=job_id)
    await worker([func(fail, name="fail")]).async_run()


async def ids_of(arq_redis: ArqRedis, state: str | None = None) -> list[str]:
    return sorted(job.job_id for job in (await Admin(arq_redis).jobs(state=state)).jobs)


async def last_note(arq_redis: ArqRedis) -> tuple[str, str, str, dict[str, int], list[str]]:
    note = (await Admin(arq_redis).audit())[0]
    return note.by, note.action, note.queue, note.outcomes, note.ids


async def test_a_selection_by_hand(web: httpx.AsyncClient, arq_redis: ArqRedis) -> None:
    """As a browser without JavaScript does it: choose, be asked, answer."""
    for name in ("one", "two", "three"):
        await arq_redis.enqueue_job("f", _job_id=name)
    page = (await web.get("/jobs?state=queued")).text
    words = {
        unescape(label): unescape(value)
        for value, label in re.findall(r'name="job" value="([^"]*)" aria-label="([^"]*)"', page)
    }
    form = {"action": "delete", "queue": "arq:queue", "job": [words["Select one"], words["Select two"]]}
    question = await web.post("/act", data=form)
    assert "<h1>Delete 2 jobs?</h1>" in question.text
    assert await ids_of(arq_redis) == ["one", "three", "two"]
    kept: dict[str, list[str]] = {}
    for name, value in HIDDEN.findall(question.text):
        kept.setdefault(name, []).append(unescape(value))
    answer = await web.post("/act", data={**kept, "confirm": "yes"})
    assert "2 deleted" in answer.text
    assert await ids_of(arq_redis) == ["three"]
    assert await last_note(arq_redis) == (
        "127.0.0.1 (dashboard)", "delete", "arq:queue", {"done": 2}, ["one", "two"],
    )  # fmt: skip
    again = await web.post("/act", data={**kept, "confirm": "yes"})
    assert (again.status_code, "done already" in again.text) == (409, True)


async def test_another_job_of_the_same_id_is_left_alone(
    act: Act, web: httpx.AsyncClient, arq_redis: ArqRedis
) -> None:
    await arq_redis.enqueue_job("f", 1, _job_id="one")
    ((word,),) = [re.findall(r'name="job" value="([^"]*)"', (await web.get("/jobs")).text)]
    await Admin(arq_redis).delete(["one"])
    await arq_redis.enqueue_job("f", 2, _job_id="one")
    assert (await act("delete", job=unescape(word)))["outcomes"] == {"changed": 1}


async def test_a_whole_filter(act: Act, web: httpx.AsyncClient, arq_redis: ArqRedis) -> None:
    """What comes in after the question is left alone."""
    for n in range(30):
        await arq_redis.enqueue_job("f" if n % 3 else "g", n, _job_id=f"job-{n}")
    fields = {"state": "queued", "function": "g", "queue": "arq:queue"}
    question = (await web.post("/act", data={"action": "filter:delete", **fields})).text
    assert "<h1>Delete 10 jobs?</h1>" in question
    kept = {name: unescape(value) for name, value in HIDDEN.findall(question)}
    await arq_redis.enqueue_job("g", _job_id="later", _defer_by=-1)
    outcome = await act(kept.pop("action"), **kept)
    assert (outcome["count"], outcome["outcomes"]) == (10, {"done": 10})
    assert len(await ids_of(arq_redis)) == 21
    assert "later" in await ids_of(arq_redis)


async def test_run_now_and_abort(act: Act, arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_job("f", _job_id="later", _defer_by=600)
    await arq_redis.enqueue_job("f", _job_id="due")
    assert (await act("run_now", job="later"))["outcomes"] == {"done": 1}
    assert await ids_of(arq_redis, "queued") == ["due", "later"]
    assert (await act("abort", job="due"))["outcomes"] == {"done": 1}
    assert (await act("retry", job="nobody"))["outcomes"] == {"unknown": 1}
    await claim(arq_redis, "w")
    assert (await act("filter:abort", state="running"))["outcomes"] == {"asked": 1}
    assert (await last_note(arq_redis))[1:4] == ("abort", "arq:queue", {"asked": 1})


async def test_dead_jobs(
    act: Act, web: httpx.AsyncClient, arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    await buried(arq_redis, worker, "one", "two", "three")
    page = (await web.get("/jobs/one")).text
    assert "no such user" in page
    assert "Traceback" in page
    assert "requeue it" in page
    assert (await act("requeue", job="one"))["outcomes"] == {"done": 1}
    assert (await act("requeue_once", job="two"))["outcomes"] == {"done": 1}
    assert (await act("filter:delete_dead", state="dead"))["outcomes"] == {"done": 1}
    assert await ids_of(arq_redis, "dead") == []
    assert await ids_of(arq_redis) == ["one", "two"]


@pytest.mark.keeps_keys("arq:paused:*")
async def test_pause_and_resume(act: Act, web: httpx.AsyncClient, arq_redis: ArqRedis) -> None:
    await act("pause", name="arq:queue", note="deploy <b>")
    page = (await web.get("/queues")).text
    assert "paused" in page
    assert "deploy &lt;b&gt;" in page
    assert (await last_note(arq_redis))[1:] == ("pause", "arq:queue", {"done": 1}, ["arq:queue"])
    assert (await act("resume", name="arq:queue"))["outcomes"] == {"done": 1}
    assert (await act("resume", name="arq:queue"))["outcomes"] == {"over": 1}


@pytest.mark.keeps_keys("arq:crons-paused:*")
async def test_schedules(
    act: Act, web: httpx.AsyncClient, arq_redis: ArqRedis, worker: WorkerFactory
) -> None:
    async def tick(ctx: dict[Any, Any]) -> None: ...

    await worker(cron_jobs=[cron(tick, hour=3, minute=0, name="nightly")], burst=True).async_run()
    (row,) = (await web.get("/crons.json")).json()["crons"]
    assert (row["name"], row["is_paused"]) == ("nightly", False)
    assert (await act("cron_pause", name="nightly", queue="arq:queue"))["outcomes"] == {"done": 1}
    assert "Resume" in (await web.get("/crons")).text
    assert (await act("cron_resume", name="nightly"))["outcomes"] == {"done": 1}
    outcome = await act("cron_run", name="nightly")
    assert await ids_of(arq_redis) == [outcome["deeds"][0]["detail"].removeprefix("as ")]
    assert (await act("cron_run", name="nobody"))["outcomes"] == {"unknown": 1}


async def test_workers(act: Act, web: httpx.AsyncClient, arq_redis: ArqRedis) -> None:
    await arq_redis.enqueue_job("f", _job_id="one")
    await claim(arq_redis, "host:12:00000000")
    page = (await web.get("/workers")).text
    assert 'href="/jobs/one?queue=arq%3Aqueue"' in page
    assert (await act("worker_quiet", name="host:12:00000000"))["outcomes"] == {"asked": 1}
    assert await arq_redis.get("arq:control:host:12:00000000") == b"quiet"
    assert (await act("stop", name="nobody"))["outcomes"] == {"unknown": 1}


@pytest.mark.parametrize(
    ("form", "status", "reason"),
    [
        ({"action": "format"}, 400, "there is no action"),
        ({"action": "filter:pause"}, 400, "there is no action"),
        ({"action": "delete"}, 400, "choose a job first"),
        ({"action": "delete", "job": "x" * 70_000, "confirm": "yes"}, 400, "characters"),
        ({"action": "pause", "name": "arq:leases", "confirm": "yes"}, 400, "be the name of a queue"),
        ({"action": "delete", "job": [f"{n}" for n in range(1300)]}, 413, "fields"),
        ({"action": "delete", "job": "x" * 1_100_000}, 413, "bytes"),
        ({"action": "filter:delete", "queue": "arq:leases"}, 400, "be the name of a queue"),
    ],
)
async def test_forms_that_are_refused(
    web: httpx.AsyncClient, form: dict[str, Any], status: int, reason: str
) -> None:
    answer = await web.post("/act", data=form, headers={"Accept": "application/json"})
    assert (answer.status_code, reason in answer.json()["error"]) == (status, True), answer.text


async def test_what_is_no_form(web: httpx.AsyncClient) -> None:
    answer = await web.post("/act", json={"action": "delete"})
    assert answer.status_code == 415


async def test_what_is_counted_for_a_question_is_what_the_answer_is_about(
    act: Act, web: httpx.AsyncClient, arq_redis: ArqRedis
) -> None:
    """Also where the overview that all viewers share is older than the jobs."""
    assert (await web.get("/")).status_code == 200
    await arq_redis.enqueue_job("f", _job_id="new", _defer_by=3600)
    form = {"action": "filter:delete", "state": "deferred", "queue": "arq:queue"}
    question = (await web.post("/act", data=form, headers={"Accept": "application/json"})).json()
    assert question["count"] == 1
    page = (await web.post("/act", data=form)).text
    before = int(page.split('name="before" value="')[1].split('"')[0])
    answer = await web.post(
        "/act", data={**form, "confirm": "yes", "before": str(before)}, headers={"Accept": "application/json"}
    )
    assert answer.json()["count"] == 1
