"""Fixtures of the dashboard's tests: asked in the process of the test, on a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest

from arq.connections import RedisSettings
from arq.web import Dashboard, dashboard

ORIGIN = "http://127.0.0.1:8800"


@asynccontextmanager
async def browsing(app: Any, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client that asks as a browser does."""
    transport = httpx.ASGITransport(app)
    sent = {"Accept": "text/html", "Sec-Fetch-Site": "same-origin", **headers}
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers=sent) as client:
        yield client


@pytest.fixture
async def open_dashboard(
    redis_settings: RedisSettings,
) -> AsyncIterator[Callable[..., Any]]:
    """Makes a client of a dashboard with these options; without others, everything is allowed."""
    async with AsyncExitStack() as stack:

        async def make(**options: Any) -> httpx.AsyncClient:
            options.setdefault("authorize", lambda request: "all")
            app: Dashboard = dashboard(redis_settings, **options)
            stack.push_async_callback(app.aclose)
            return await stack.enter_async_context(browsing(app))

        yield make


@pytest.fixture
async def web(open_dashboard: Callable[..., Any]) -> httpx.AsyncClient:
    """A client of a dashboard on which everything is allowed."""
    client: httpx.AsyncClient = await open_dashboard()
    return client
