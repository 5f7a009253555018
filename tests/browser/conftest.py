"""A pool with a dashboard and jobs of all states, and Debian's chromium that looks at it.

Playwright drives it, from PyPI without a browser of its own: unlike Selenium it needs no driver that fits the browser,
and it tells of each request, of each line of the console and of contrast without a word of ours in the page.
"""

import asyncio
import shutil
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from arq.connections import ArqRedis, RedisSettings, create_pool
from tests.browser.chromium import browser_flags, find_chromium
from tests.browser.shop import MARKUP
from tests.supervisor.harness import Pool, pool_in
from tests.support.eventually import wait_until
from tests.support.servers import HOST, running_server

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra browser)")

TOKEN = "the token of the dashboard, long enough"
SCREENSHOTS = Path(__file__).resolve().parents[2] / ".screenshots"
T = TypeVar("T")


def in_thread(make: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine. Not in this thread, where Playwright has a loop that seems to run all the time."""
    found: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(asyncio.run(make()))
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return found[0]


class Shop:
    """The pool, its queue, and the address of its dashboard."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.address = f"http://{pool.wait_event('web.listening')['address']}"
        self._settings = RedisSettings(host=HOST, port=pool.port)

    def do(self, use: Callable[[ArqRedis], Coroutine[Any, Any, T]]) -> T:
        async def with_redis() -> T:
            redis = await create_pool(self._settings)
            try:
                return await use(redis)
            finally:
                await redis.aclose(close_connection_pool=True)

        return in_thread(with_redis)

    def put(self, function: str, *args: Any, **options: Any) -> str:
        """Enqueue a job; returns its id."""

        async def use(redis: ArqRedis) -> str:
            job = await redis.enqueue_job(function, *args, **options)
            assert job is not None
            return job.job_id

        return self.do(use)

    def has(self, *keys: str) -> bool:
        """Are there all these keys?"""

        async def use(redis: ArqRedis) -> bool:
            return int(await redis.exists(*keys)) == len(keys)

        return self.do(use)


def fill(shop: Shop) -> None:
    """Jobs of all states."""
    for number in range(6):
        shop.put("charge", number, note="thanks", _job_id=f"charge-{number}")
        shop.put("refuse", number, note="no money", _job_id=f"refuse-{number}")
        shop.put("deliver", "Rome", _job_id=f"deliver-{number}")
        shop.put("charge", number, _job_id=f"later-{number}", _defer_by=3600 + number)
    shop.put("pack", "gate", _job_id="pack-1")
    shop.put("refuse", 1, note=MARKUP, _job_id="markup")
    shop.put("charge", 1, note="long " * 500, _job_id="long", _defer_by=7200)
    shop.put("no_such_function", MARKUP, _job_id="unknown")
    ended = [f"arq:dead:refuse-{number}" for number in range(6)] + [
        "arq:dead:markup",
        "arq:in-progress:pack-1",
    ]
    wait_until(lambda: shop.has(*ended), what="the jobs have ended")


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """All tests look at the same one; those that act have jobs of their own."""
    directory = tmp_path_factory.mktemp("shop")
    shutil.copy(Path(__file__).with_name("shop.py"), directory / "shop.py")
    with running_server() as server, pool_in(directory, server.port) as pool:
        words = ("--procs", "2", "--name", "shop", "--web", "127.0.0.1:0", "--web-allow", "all")
        pool.start(*words, settings="shop.Settings", ARQ_WEB_TOKEN=TOKEN).ready()
        shop = Shop(pool)
        fill(shop)
        yield shop
        (directory / "gate").touch()
        assert pool.stop() == 0


@pytest.fixture(autouse=True)
def nothing_left_running() -> None:
    """A browser starts and ends processes as it likes; the pool sees to its own."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Debian's."""
    path = find_chromium()
    if not path:
        pytest.skip("no chromium on the PATH: apt-get install chromium")
    SCREENSHOTS.mkdir(exist_ok=True)
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=browser_flags())
        yield browser
        browser.close()


class Visitor:
    """A window of the browser whose owner has logged in. What goes wrong in it is kept in `troubles`."""

    def __init__(self, browser: Any, address: str, *, is_known: bool = True, **options: Any) -> None:
        self.address = address
        self.troubles: list[str] = []
        #: what the browser notes of answers that are meant: it may do so at any time
        self.expected = ["a status of 401"]
        # axe is put into the page by the debugger; the page's own policy stays in force for everything else
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(10_000)
        self.page = self.context.new_page()
        self.page.on(
            "console", lambda said: self._note(said.type in ("error", "warning"), f"console: {said.text}")
        )
        self.page.on("pageerror", lambda error: self._note(True, f"error: {error}"))
        self.page.on(
            "request", lambda one: self._note(not self._is_own(one.url), f"asks elsewhere: {one.url}")
        )
        self.page.on("dialog", lambda dialog: dialog.accept())
        if is_known:
            self.log_in()

    def log_in(self) -> None:
        self.page.goto(self.address)
        self.page.fill("input[name=token]", TOKEN)
        self.page.press("input[name=token]", "Enter")
        self.page.wait_for_selector("nav")

    def go(self, path: str) -> Any:
        """Open a page; what the server answers."""
        return self.page.goto(f"{self.address}/{path}")

    def _is_own(self, url: str) -> bool:
        return url.startswith((f"{self.address}/", "data:"))

    def _note(self, is_bad: bool, text: str) -> None:
        if is_bad and not any(expected in text for expected in self.expected):
            self.troubles.append(text)


@pytest.fixture
def visit(browser: Any, shop: Shop) -> Iterator[Callable[..., Visitor]]:
    """Opens windows; nothing may have gone wrong in any of them."""
    visitors: list[Visitor] = []

    def open_window(**options: Any) -> Visitor:
        visitors.append(Visitor(browser, shop.address, **options))
        return visitors[-1]

    yield open_window
    for visitor in visitors:
        visitor.context.close()
    assert not [text for visitor in visitors for text in visitor.troubles]
