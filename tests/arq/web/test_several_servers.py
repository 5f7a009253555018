"""The dashboard over several servers: all of them are one queue, and one that is away takes nothing from the others."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from html import unescape
from typing import Any

import httpx
import pytest

from arq._web import servers as servers_module
from arq.admin import Admin
from arq.connections import RedisSettings
from arq.shards import ArqShards
from arq.web import dashboard
from arq.worker import Worker, func
from tests.arq.redis.harness import running
from tests.arq.redis.three_servers import NAMES, emptied, settings_by_name, three_servers
from tests.arq.web.conftest import browsing
from tests.support.eventually import wait_until_async
from tests.support.servers import HOST, RedisServer, running_server

PATHS = (
    "/",
    "/queues",
    "/jobs",
    "/jobs?state=done",
    "/dead",
    "/crons",
    "/workers",
    "/functions",
    "/audit",
    "/about",
)

Act = Callable[..., Awaitable[dict[str, Any]]]


@pytest.fixture(scope="module")
def servers() -> Iterator[list[RedisServer]]:
    with three_servers() as running_ones:
        yield running_ones


@pytest.fixture
def settings(servers: list[RedisServer]) -> dict[str, RedisSettings]:
    return settings_by_name(servers)


@pytest.fixture
async def shards(settings: dict[str, RedisSettings]) -> AsyncIterator[ArqShards]:
    async with emptied(settings) as made:
        yield made


@pytest.fixture
async def web(shards: ArqShards, settings: dict[str, RedisSettings]) -> AsyncIterator[httpx.AsyncClient]:
    app = dashboard(settings, authorize=lambda request: "all")
    async with browsing(app) as client:
        yield client
    await app.aclose()


@pytest.fixture
async def without_b(
    shards: ArqShards, settings: dict[str, RedisSettings]
) -> AsyncIterator[httpx.AsyncClient]:
    """A dashboard of which one server can't be reached."""
    app = dashboard(
        settings | {"b": RedisSettings(HOST, 1, password="secret")}, authorize=lambda request: "all"
    )
    async with browsing(app) as client:
        yield client
    await app.aclose()


async def act_on(web: httpx.AsyncClient, action: str, status: int = 200, **fields: Any) -> dict[str, Any]:
    form = {"action": action, "confirm": "yes", **fields}
    answer = await web.post("/act", data=form, headers={"Accept": "application/json"})
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


def id_on(shards: ArqShards, name: str, number: int = 0) -> str:
    """An id that is on this server."""
    return [f"id-{n}" for n in range(100) if shards.name_of(f"id-{n}") == name][number]


async def fill(shards: ArqShards, count: int) -> list[str]:
    """Jobs in the order in which they are due."""
    ids = [f"job-{number}" for number in range(count)]
    for number, job_id in enumerate(ids):
        assert await shards.enqueue_job("f", number, _job_id=job_id, _defer_by=1000 + number)
    return ids


async def listed(web: httpx.AsyncClient, path: str, **query: Any) -> list[list[dict[str, Any]]]:
    """The jobs of all pages of a list."""
    pages, cursor = [], ""
    while True:
        answer = await web.get(path, params={**query, "cursor": cursor})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        if not body["is_searching"]:
            pages.append(body["jobs"])
            cursor = body["cursor"]
            if not cursor:
                return pages


# --- looking ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
async def test_each_page_of_all_and_of_one(web: httpx.AsyncClient, path: str) -> None:
    for query in ("", "server=b"):
        page = await web.get(
            path, params=dict(pair.split("=") for pair in (*path.partition("?")[2:], query) if pair)
        )
        assert page.status_code == 200
        assert all(f">{name}</a>" in page.text for name in ("all servers", *NAMES))
    assert (await web.get(path.partition("?")[0], params={"server": "d"})).status_code == 404


async def test_the_overview_has_sums_and_a_row_for_each(web: httpx.AsyncClient, shards: ArqShards) -> None:
    await fill(shards, 30)
    found = (await web.get("/overview.json")).json()
    each = {name: one["totals"]["deferred"] for name, one in found["servers"].items()}
    assert found["totals"]["deferred"] == sum(each.values()) == 30
    assert list(each) == [*NAMES]
    assert all(each.values())
    page = (await web.get("/")).text
    assert len(re.findall(r'<span class="state done">up</span>', page)) == 3
    queues = (await web.get("/queues.json")).json()
    assert [queue["deferred"] for queue in queues["queues"]] == [30]
    assert {name: one["deferred"] for name, one in queues["by_server"]["arq:queue"].items()} == each
    one = (await web.get("/overview.json?server=a")).json()
    assert one["totals"]["deferred"] == each["a"]


async def test_lists_are_in_order_of_time_over_all_pages(web: httpx.AsyncClient, shards: ArqShards) -> None:
    ids = await fill(shards, 60)
    for query in ({}, {"state": "deferred"}):
        pages = await listed(web, "/jobs.json", limit=7, **query)
        assert [job["job_id"] for page in pages for job in page] == ids
        assert [len(page) for page in pages] == [7] * 8 + [4]
    assert all(job["server"] == shards.name_of(job["job_id"]) for page in pages for job in page)
    of_one = await listed(web, "/jobs.json", limit=7, server="b")
    assert [job["job_id"] for page in of_one for job in page] == [
        job_id for job_id in ids if shards.name_of(job_id) == "b"
    ]


async def test_pages_go_on_where_one_server_has_nearly_all(web: httpx.AsyncClient, shards: ArqShards) -> None:
    """Also when jobs leave the list in between."""
    for number in range(40):
        await shards.clients["c"].enqueue_job("f", number, _job_id=f"c-{number:02}", _defer_by=1000 + number)
    await shards.clients["a"].enqueue_job("f", _job_id="a", _defer_by=5000)
    first = (await web.get("/jobs.json?limit=25")).json()
    assert [job["job_id"] for job in first["jobs"]] == [f"c-{number:02}" for number in range(25)]
    for number in (3, 24, 25):
        await Admin(shards.clients["c"]).delete([f"c-{number:02}"])
    rest = (await web.get(f"/jobs.json?limit=25&cursor={first['cursor']}")).json()
    assert [job["job_id"] for job in rest["jobs"]] == [f"c-{number}" for number in range(26, 40)] + ["a"]
    assert rest["cursor"] == ""
    assert (await web.get("/jobs.json?cursor=nonsense")).status_code == 400


async def test_a_filter_over_all(web: httpx.AsyncClient, shards: ArqShards) -> None:
    for number in range(45):
        await shards.enqueue_job(
            "odd" if number % 2 else "even", number, _job_id=f"job-{number}", _defer_by=1000 + number
        )
    pages = await listed(web, "/jobs.json", limit=10, function="odd")
    assert [job["args"] for page in pages for job in page] == [[number] for number in range(1, 45, 2)]
    (found,) = await listed(web, "/jobs.json", arg="44")
    assert [job["job_id"] for job in found] == ["job-44"]


async def run_all(shards: ArqShards, settings: dict[str, RedisSettings], jobs: int) -> None:
    """Half of the jobs are done, the others have failed for good."""

    async def half(ctx: dict[Any, Any], number: int) -> int:
        if number % 2:
            raise ValueError(f"odd: {number}")
        return number

    for number in range(jobs):
        await shards.enqueue_job("half", number, _job_id=f"job-{number}")
    workers = [
        Worker(
            [func(half, name="half")], redis_settings=one, burst=True, handle_signals=False, poll_delay=0.05
        )
        for one in settings.values()
    ]
    for worker in workers:
        await worker.main()
        await worker.close()


async def test_what_is_over(
    web: httpx.AsyncClient, shards: ArqShards, settings: dict[str, RedisSettings]
) -> None:
    await run_all(shards, settings, 24)
    dead = [job for page in await listed(web, "/dead.json", limit=5) for job in page]
    assert len(dead) == 12
    assert {job["server"] for job in dead} == set(NAMES)
    assert [job["finished_ms"] for job in dead] == sorted((job["finished_ms"] for job in dead), reverse=True)
    done = [job for page in await listed(web, "/jobs.json", limit=5, state="done") for job in page]
    assert sorted(job["job_id"] for job in done) == sorted(f"job-{number}" for number in range(24))
    (function,) = (await web.get("/functions.json")).json()["functions"]
    assert (function["done"], function["failed"]) == (12, 12)


async def test_a_job_is_found_wherever_it_is(web: httpx.AsyncClient, shards: ArqShards) -> None:
    """Also where its id does not lead to, and the one that is to run where there are two."""
    await shards.clients["a"].enqueue_job("f", _job_id=id_on(shards, "c"))
    assert (await web.get(f"/jobs/{id_on(shards, 'c')}.json")).json()["details"]["job"]["server"] == "a"
    assert (await web.get(f"/jobs/{id_on(shards, 'c')}?server=c")).status_code == 404
    await shards.clients["b"].set("arq:result:twice", b"{}")
    await shards.clients["c"].enqueue_job("f", _job_id="twice")
    page = (await web.get("/jobs/twice")).text
    assert "on server <a" in page
    assert "Server b has a job of this id, too." in page
    assert (await web.get("/jobs/nobody")).status_code == 404


async def test_workers_and_schedules(
    web: httpx.AsyncClient, shards: ArqShards, settings: dict[str, RedisSettings]
) -> None:
    async def tick(ctx: dict[Any, Any]) -> None: ...

    from arq import cron

    workers = [
        Worker(
            cron_jobs=[cron(tick, name=f"tick-{name}", month=1, run_at_startup=False)],
            redis_settings=one, handle_signals=False, poll_delay=0.05,
        )
        for name, one in settings.items()
    ]  # fmt: skip
    async with running(*workers):

        async def shown() -> bool:
            return len((await web.get("/crons.json")).json()["crons"]) == 3

        await wait_until_async(shown)
        found = (await web.get("/workers.json")).json()["workers"]
        assert sorted(one["server"] for one in found) == [*NAMES]
        assert (await act_on(web, "cron_pause", name="tick-b", server="b"))["outcomes"] == {"done": 1}
        assert (await act_on(web, "cron_pause", name="tick-c"))["outcomes"] == {"done": 1}
        crons = (await web.get("/crons.json")).json()["crons"]
        assert {one["name"]: (one["server"], one["is_paused"]) for one in crons} == {
            "tick-a": ("a", False), "tick-b": ("b", True), "tick-c": ("c", True),
        }  # fmt: skip
        worker_id = next(one["worker_id"] for one in found if one["server"] == "c")
        assert (await act_on(web, "worker_quiet", name=worker_id))["outcomes"] == {"asked": 1}
        assert await shards.clients["c"].exists(f"arq:control:{worker_id}")


# --- acting -------------------------------------------------------------------------------------------------------


def words_of(page: str) -> dict[str, str]:
    """What a form says of each job."""
    pairs = re.findall(r'name="job" value="([^"]*)" aria-label="Select ([^"]*)"', page)
    return {unescape(label): unescape(value) for value, label in pairs}


async def test_a_selection_over_several_servers(web: httpx.AsyncClient, shards: ArqShards) -> None:
    ids = [id_on(shards, name) for name in NAMES]
    for job_id in ids:
        await shards.enqueue_job("f", _job_id=job_id)
    words = words_of((await web.get("/jobs")).text)
    await Admin(shards.clients["b"]).delete([ids[1]])
    await shards.enqueue_job("another", _job_id=ids[1])
    done = await act_on(web, "delete", job=list(words.values()))
    assert done["outcomes"] == {"done": 2, "changed": 1}
    assert [job.job_id for job in await shards.queued_jobs()] == [ids[1]]
    notes = (await web.get("/audit.json")).json()["notes"]
    assert sorted((note["server"], note["action"]) for note in notes if "dashboard" in note["by"]) == [
        (name, "delete") for name in NAMES
    ]


async def test_ids_alone_are_found(web: httpx.AsyncClient, shards: ArqShards) -> None:
    ids = [id_on(shards, name) for name in NAMES]
    for job_id in ids:
        await shards.enqueue_job("f", _job_id=job_id, _defer_by=1000)
    assert (await act_on(web, "retry", job=[*ids, "nobody"]))["outcomes"] == {"done": 3, "unknown": 1}
    assert (await act_on(web, "abort", job=ids[0], server="b"))["outcomes"] == {"unknown": 1}
    assert (await act_on(web, "abort", job=ids))["outcomes"] == {"done": 3}


async def test_all_that_a_filter_fits(web: httpx.AsyncClient, shards: ArqShards) -> None:
    await fill(shards, 40)
    form = {"action": "filter:delete", "function": "f"}
    question = (await web.post("/act", data=form)).text
    assert "<h1>Delete 40 jobs?</h1>" in question
    await shards.enqueue_job("f", _job_id="later")
    kept = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', question))
    assert "40 deleted" in (await web.post("/act", data={**kept, "confirm": "yes"})).text
    assert [job.job_id for job in await shards.queued_jobs()] == ["later"]


async def test_a_pause_is_one_of_all_servers(web: httpx.AsyncClient, shards: ArqShards) -> None:
    async def paused() -> list[str]:
        return [name for name, client in shards.clients.items() if await Admin(client).paused("arq:queue")]

    assert (await act_on(web, "pause", name="arq:queue", server="b"))["outcomes"] == {"done": 1}
    assert await paused() == ["b"]
    page = (await web.get("/queues")).text
    assert 'value="pause"' in page
    assert 'value="resume"' in page
    await act_on(web, "pause", name="arq:queue")
    assert await paused() == [*NAMES]
    await act_on(web, "resume", name="arq:queue")
    assert await paused() == []


# --- a server that is away ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
async def test_pages_without_a_server(without_b: httpx.AsyncClient, shards: ArqShards, path: str) -> None:
    """It is told in one line, and all others are shown."""
    here = [id_on(shards, name) for name in ("a", "c")]
    for job_id in here:
        await shards.enqueue_job("f", _job_id=job_id)
    page = await without_b.get(path)
    assert page.status_code == 200
    assert page.text.count("server b can&#39;t be reached: ConnectionError") == 1
    assert "secret" not in page.text
    if path == "/jobs":
        assert all(f">{job_id}</a>" in page.text for job_id in here)
    if path == "/":
        assert page.text.count('<span class="state done">up</span>') == 2
    body = (await without_b.get(f"{path.partition('?')[0].rstrip('/') or '/overview'}.json")).json()
    assert list(body["away"]) == ["b"]


async def test_a_job_that_may_be_on_a_server_that_is_away(
    without_b: httpx.AsyncClient, shards: ArqShards
) -> None:
    answer = await without_b.get("/jobs/nobody")
    assert answer.status_code == 503
    assert "server b can&#39;t be reached" in answer.text
    assert (await without_b.get("/jobs?server=b")).status_code == 503


async def test_what_can_be_done_without_a_server(without_b: httpx.AsyncClient, shards: ArqShards) -> None:
    here = [id_on(shards, name) for name in ("a", "c")]
    for job_id in here:
        await shards.enqueue_job("f", _job_id=job_id)
    done = await act_on(without_b, "delete", job=[*here, id_on(shards, "b")])
    assert (done["outcomes"], done["left"], list(done["away"])) == ({"done": 2}, 1, ["b"])
    done = await act_on(without_b, "pause", name="arq:queue")
    assert (done["outcomes"], list(done["away"])) == ({"done": 1}, ["b"])
    form = {"action": "resume", "name": "arq:queue", "confirm": "yes"}
    page = (await without_b.post("/act", data=form)).text
    assert "1 resumed. Nothing was done on b: away." in page
    await act_on(without_b, "delete", job=id_on(shards, "b"), server="b", status=503)
    await act_on(without_b, "delete", job=id_on(shards, "b"), status=503)


async def test_a_server_that_goes_and_comes_back(
    settings: dict[str, RedisSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that takes connections and answers nothing."""
    monkeypatch.setattr(servers_module, "_PATIENCE_S", 0.5)
    with running_server() as other:
        app = dashboard(
            {"a": settings["a"], "z": RedisSettings(HOST, other.port)}, authorize=lambda request: "read"
        )
        async with browsing(app) as web:

            async def is_away(expected: bool) -> bool:
                return ("z" in (await web.get("/overview.json")).json()["away"]) is expected

            await wait_until_async(lambda: is_away(False))
            other.pause()
            await wait_until_async(lambda: is_away(True))
            assert (await web.get("/jobs.json")).json()["away"] == {"z": "does not answer"}
            other.resume()
            await wait_until_async(lambda: is_away(False))
            other.kill()
            await wait_until_async(lambda: is_away(True))
        await app.aclose()


async def test_all_are_away() -> None:
    app = dashboard([RedisSettings(HOST, 1), RedisSettings(HOST, 2)])
    async with browsing(app) as web:
        answer = await web.get("/")
        assert answer.status_code == 503
        assert answer.text.count("can&#39;t be reached: ConnectionError") == 2
    await app.aclose()


# --- what may be given --------------------------------------------------------------------------------------------


async def test_clients_and_shards_may_be_given(shards: ArqShards) -> None:
    for given in (shards, shards.clients):
        app = dashboard(given)
        async with browsing(app) as web:
            assert list((await web.get("/overview.json")).json()["servers"]) == [*NAMES]
        await app.aclose()
    await shards.enqueue_job("f")  # they are not closed


@pytest.mark.parametrize(
    ("given", "kind", "problem"),
    [
        ([], ValueError, "there are no shards"),
        (["redis://h", "redis://h"], ValueError, "two shards are the same: h:6379/0/"),
        (["nonsense"], (ValueError, RuntimeError), "invalid DSN scheme"),
        ([5], TypeError, "must be RedisSettings"),
    ],
)
def test_what_are_no_servers(given: Any, kind: Any, problem: str) -> None:
    with pytest.raises(kind, match=problem):
        dashboard(given)
