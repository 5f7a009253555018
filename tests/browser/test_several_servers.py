"""A dashboard of three servers, one of which is away: in all widths and schemes, and with and without JavaScript."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from arq.connections import RedisSettings
from arq.shards import ArqShards
from arq.worker import Worker, func
from tests.browser.conftest import SCREENSHOTS, TOKEN, Visitor, in_thread
from tests.browser.page_checks import WIDTHS, too_wide, violations
from tests.support.programs import program_starter
from tests.support.servers import HOST, RedisServer, running_server

PAGES = {
    "overview": "", "queues": "queues", "jobs": "jobs", "dead": "dead", "crons": "crons", "workers": "workers",
    "functions": "functions", "audit": "audit", "about": "about", "job": "jobs/later-1", "one": "jobs?server=paris",
}  # fmt: skip


async def refuse(ctx: dict[Any, Any], amount: int) -> None:
    raise ValueError(f"the bank refuses {amount}")


async def fill(servers: dict[str, RedisServer]) -> None:
    """Jobs on each server: some are dead, some wait."""
    settings = {name: RedisSettings(HOST, server.port) for name, server in servers.items()}
    async with ArqShards(settings) as shards:
        for number in range(20):
            await shards.enqueue_job("refuse", number, _job_id=f"refuse-{number}")
        for one in settings.values():
            worker = Worker(
                [func(refuse, name="refuse")],
                redis_settings=one,
                burst=True,
                handle_signals=False,
                poll_delay=0.05,
            )
            await worker.main()
            await worker.close()
        for number in range(20):
            await shards.enqueue_job("charge", number, _job_id=f"later-{number}", _defer_by=3600 + number)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    directory = tmp_path_factory.mktemp("servers")
    with (
        running_server() as paris,
        running_server() as rome,
        program_starter(Path(directory), {"ARQ_WEB_TOKEN": TOKEN}) as start,
    ):
        in_thread(lambda: fill({"paris": paris, "rome": rome}))
        named = {"paris": paris.dsn, "rome": rome.dsn, "oslo": f"redis://{HOST}:1"}
        words = [f"--redis={name}={dsn}" for name, dsn in named.items()]
        program = start("-m", "arq", "web", "--port", "0", "--allow", "all", *words)
        program.printed("the dashboard is at ")
        found = re.search(r"at (http://\S+)/ ", program.stderr)
        assert found
        yield found[1]
        assert program.stop() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_pages_are_whole_and_accessible(browser: Any, address: str, width: str, scheme: str) -> None:
    viewer = Visitor(browser, address, viewport={"width": WIDTHS[width], "height": 900}, color_scheme=scheme)
    axe, found = Axe(), {}
    for name, path in PAGES.items():
        assert viewer.go(path).status == 200, name
        assert viewer.page.locator("h1").count() == 1, name
        told = viewer.page.get_by_text("server oslo can't be reached").count()
        assert told == (name != "one"), name
        viewer.page.screenshot(path=SCREENSHOTS / f"servers-{name}-{width}-{scheme}.png", full_page=True)
        if faults := [*too_wide(viewer.page), *violations(axe, viewer.page)]:
            found[name] = faults
    viewer.context.close()
    assert not found
    assert not viewer.troubles


@pytest.mark.parametrize("script", [True, False], ids=["script", "no-script"])
def test_jobs_of_several_servers_are_chosen_together(browser: Any, address: str, script: bool) -> None:
    viewer = Visitor(browser, address, java_script_enabled=script)
    page = viewer.page
    page.click("text=all servers")
    assert page.get_by_role("row").filter(has_text="oslo").filter(has_text="away").count() == 1
    viewer.go("dead?limit=25")
    where = {
        name: page.get_by_role("row").filter(has_text=name).locator("input[name=job]")
        for name in ("paris", "rome")
    }
    for boxes in where.values():
        boxes.first.check()
    page.get_by_role("button", name="Requeue", exact=True).click()
    assert page.locator("h1").inner_text() == "Requeue 2 jobs?"
    page.click("button[name=confirm]")
    assert "2 requeued" in page.locator("[role=status]").inner_text()
    viewer.go("audit")
    assert {page.locator("tbody tr").nth(n).locator("td").nth(1).inner_text() for n in (0, 1)} == {
        "paris",
        "rome",
    }
    viewer.context.close()
    assert not viewer.troubles
