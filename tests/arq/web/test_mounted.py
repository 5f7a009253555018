"""The dashboard in applications of others: the examples, a prefix, a proxy before it."""

from __future__ import annotations

import base64
import importlib.util
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

from arq._web.at_prefix import AtPrefix
from arq.connections import ArqRedis, RedisSettings
from arq.web import dashboard
from tests.arq.web.conftest import browsing
from tests.support.eventually import wait_until
from tests.support.programs import ROOT, Program, program_starter
from tests.support.servers import RedisServer

Load = Callable[[str], ModuleType]


@pytest.fixture
def load(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Imports an example, which finds the server of the test."""
    monkeypatch.setenv("REDIS_DSN", redis_server.dsn)

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(__import__("sys").modules, name, module)
        spec.loader.exec_module(module)
        return module

    return load


def basic(said: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(said.encode()).decode()}"}


async def dashboards_of(app: Any) -> None:
    """Close what the routes of an application mount."""
    for route in app.routes:
        if hasattr(getattr(route, "app", None), "aclose"):
            await route.app.aclose()


async def test_starlette(load: Load, arq_redis: ArqRedis) -> None:
    app = load("dashboard_starlette").app
    await arq_redis.enqueue_job("f", "confidential", _job_id="one")
    async with browsing(app) as web:
        assert (await web.get("/")).text == "the shop"
        page = await web.get("/arq/jobs")
        assert 'href="/arq/jobs/one?queue=arq%3Aqueue"' in page.text
        assert "confidential" not in page.text
        assert "shop" in page.text
        links = re.findall(r'(?:href|src|action)="([^"#]+)"', page.text)
        assert all(link.startswith("/arq/") for link in links), links
        for link in dict.fromkeys(links):
            assert (await web.get(link.replace("&amp;", "&"))).status_code == 200, link
    await dashboards_of(app)


async def test_fastapi(load: Load, arq_redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fastapi", reason="FastAPI is not installed")
    monkeypatch.setenv("OPERATORS", "anna:secret")
    monkeypatch.setenv("VIEWERS", "ben:1234")
    app = load("dashboard_fastapi").app
    await arq_redis.enqueue_job("f", "confidential", _job_id="one", _defer_by=60)
    form = {"action": "run_now", "job": "one", "confirm": "yes"}
    async with browsing(app) as web:
        answer = await web.get("/arq/jobs")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Basic realm="arq"')
        assert "Token" not in answer.text
        page = await web.get("/arq/jobs", headers=basic("ben:1234"))
        assert (page.status_code, "confidential" in page.text) == (200, False)
        assert (await web.post("/arq/act", data=form, headers=basic("ben:1234"))).status_code == 403
        assert "confidential" in (await web.get("/arq/jobs", headers=basic("anna:secret"))).text
        answer = await web.post("/arq/act", data=form, headers=basic("anna:secret"))
        assert "1 due now" in answer.text
        assert "anna (dashboard)" in (await web.get("/arq/audit", headers=basic("anna:secret"))).text
        assert (await web.get("/arq/jobs", headers=basic("anna:1234"))).status_code == 401
    await dashboards_of(app)


async def test_django(load: Load, arq_redis: ArqRedis) -> None:
    pytest.importorskip("django", reason="Django is not installed")
    app = load("dashboard_django").application
    await arq_redis.enqueue_job("f", _job_id="one")
    async with browsing(app) as web:
        assert (await web.get("/")).text == "the shop"
        assert (await web.get("/arq/jobs")).status_code == 403
        assert (await web.get("/enter")).status_code == 302
        page = await web.get("/arq/jobs")
        assert 'href="/arq/jobs/one?queue=arq%3Aqueue"' in page.text
    await dashboards_of(app)


@pytest.fixture
def program(redis_server: RedisServer, tmp_path: Path) -> Iterator[Callable[..., Program]]:
    with program_starter(tmp_path, {"REDIS_DSN": redis_server.dsn, "PORT": "0"}) as start:
        yield start


@pytest.mark.processes
def test_an_example_as_a_program(program: Callable[..., Program]) -> None:
    started = program("examples/dashboard_starlette.py")
    started.printed("Uvicorn running on")
    found = re.search(r"http://\S+:\d+", started.stderr)
    assert found is not None
    wait_until(lambda: httpx.get(f"{found[0]}/arq/").status_code == 200, what="the dashboard answers")
    started.stop(signal.SIGTERM)


async def test_slashes_at_the_end(redis_settings: RedisSettings) -> None:
    """`/arq` and `/arq/` both lead to the overview; our own pages need no redirect."""
    board = dashboard(redis_settings)
    async with browsing(Starlette(routes=[Mount("/deep/down", board)])) as web:
        for path in ("/deep/down", "/deep/down/"):
            answer = await web.get(path, follow_redirects=True)
            assert "<h1>Overview</h1>" in answer.text, path
        assert (await web.get("/deep/down/queues/")).status_code == 200
    async with browsing(AtPrefix(board, "/ops")) as web:
        for path in ("/ops", "/ops/", "/", "/ops/jobs", "/jobs/", "/ops/jobs.json"):
            assert (await web.get(path)).status_code == 200, path
    await board.aclose()


async def test_who_is_logged_in_acts(redis_settings: RedisSettings, arq_redis: ArqRedis) -> None:
    """The user that an authentication middleware has found stands in the audit trail."""

    class User:
        display_name = "carl"

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await board({**scope, "user": User()}, receive, send)

    def authorize(request: Request) -> set[str]:
        assert request.user.display_name == "carl"
        return {"pause"}

    board = dashboard(redis_settings, authorize=authorize)
    async with browsing(app) as web:
        await web.post("/act", data={"action": "resume", "name": "q", "confirm": "yes"})
        (note,) = (await web.get("/audit.json")).json()["notes"]
        assert note["by"] == "carl (dashboard)"
    await board.aclose()
