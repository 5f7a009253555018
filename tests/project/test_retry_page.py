"""docs/how-to/retry.md: its modules run as they stand there, and do what the page says."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from arq.worker import create_worker
from tests.support.programs import ROOT, Program, program_starter
from tests.support.servers import RedisServer

pytestmark = pytest.mark.processes

PAGE = (ROOT / "docs" / "how-to" / "retry.md").read_text()
MODULES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
Work = Callable[[str, str], Program]
ENQUEUE = """
import asyncio, sys
from arq import create_pool
from arq.connections import RedisSettings

async def main():
    pool = await create_pool(RedisSettings.from_dsn(sys.argv[1]))
    await pool.enqueue_job(*sys.argv[2:], _job_id="6f02")
    await pool.aclose()

asyncio.run(main())
"""


def module_with(function: str) -> str:
    """The module on the page that has this function."""
    (found,) = [text for text in MODULES if f"async def {function}(" in text]
    return str(found)


@pytest.fixture
def work(tmp_path: Path, redis_server: RedisServer, redis_client: redis.Redis) -> Iterator[Work]:
    """Enqueue a job, and run the module on the page that has its function until the queue is empty."""
    environment = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    with program_starter(tmp_path, environment) as start:

        def worked(function: str, argument: str) -> Program:
            settings = f"    redis_settings = RedisSettings.from_dsn({redis_server.dsn!r})\n"
            head = "from arq.connections import RedisSettings\n"
            (tmp_path / "app.py").write_text(head + module_with(function) + settings)
            (tmp_path / "enqueue.py").write_text(ENQUEUE)
            producer = start(str(tmp_path / "enqueue.py"), redis_server.dsn, function, argument)
            assert producer.ended() == 0, producer.stderr
            worker = start("-m", "arq", "app.WorkerSettings", "--burst")
            assert worker.ended() == 0, worker.stderr
            return worker

        yield worked


def test_errors_that_pass(work: Work) -> None:
    worker = work("send_mail", "anna@example.com")
    assert worker.lines == ["sent to anna@example.com on try 3"]
    (line,) = [text for text in PAGE.splitlines() if "retrying job in" in text and "send_mail" in text]
    pattern = (
        re.escape(line.partition("↻ ")[2]).replace(r"6f02\.\.\.", "6f02").replace(r"0\.09s", r"0\.(0\d|10)s")
    )
    assert re.search(pattern, worker.stderr), worker.stderr


def test_a_function_that_says_how_long_to_wait(work: Work) -> None:
    worker = work("ask_api", "why?")
    assert worker.stderr.count("ask_api retrying job in 0.20s: try ") == 2
    assert "ask_api failed, TooManyRequests: come back in 0.2 s" in worker.stderr


def test_a_snooze(work: Work) -> None:
    worker = work("fetch_report", "2026")
    assert worker.lines == ["2026 is ready on try 1"]


@pytest.mark.parametrize("function", ["charge", "nightly"])
def test_settings_that_are_only_shown(function: str) -> None:
    shown: dict[str, type] = {}
    exec(module_with(function), shown)
    worker = create_worker(shown["WorkerSettings"])
    assert any(function in name for name in worker.functions)


def test_every_module_on_the_page_has_a_test() -> None:
    functions = ("send_mail", "charge", "ask_api", "fetch_report", "nightly")
    assert sorted(MODULES) == sorted(map(module_with, functions))
