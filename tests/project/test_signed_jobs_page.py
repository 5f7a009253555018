"""docs/how-to/signed-jobs.md: its modules run as they stand there, and do what the page says."""

import re
import secrets
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from arq.codecs import Keyring
from arq.connections import RedisSettings, create_pool
from arq.worker import Worker, create_worker
from tests.support.eventually import wait_until
from tests.support.programs import ROOT, Program, program_starter
from tests.support.servers import RedisServer

PAGE = (ROOT / "docs" / "how-to" / "signed-jobs.md").read_text()
MODULES = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
KEYS = f"k2:{secrets.token_urlsafe(32)} k1:{secrets.token_urlsafe(32)}"
Run = Callable[[str, str], tuple[Program, Program]]


def module_with(text: str) -> str:
    """The module on the page that has this text."""
    (found,) = [module for module in MODULES if text in module]
    return str(found)


@pytest.fixture
def run(tmp_path: Path, redis_server: RedisServer, redis_client: redis.Redis) -> Iterator[Run]:
    """Run a producer and a worker of the page."""
    with program_starter(tmp_path, {"PYTHONPATH": f"{tmp_path}:{ROOT}", "ARQ_SIGNING_KEYS": KEYS}) as start:

        def ran(settings: str, producer: str) -> tuple[Program, Program]:
            options = f"    redis_settings = RedisSettings.from_dsn({redis_server.dsn!r})\n"
            head = "from arq.connections import RedisSettings\n"
            (tmp_path / "app.py").write_text(head + module_with(settings) + options)
            (tmp_path / "enqueue.py").write_text(module_with(producer))
            sent = start(str(tmp_path / "enqueue.py"), redis_server.dsn)
            wait_until(lambda: redis_client.zcard("arq:queue"), what="a job is in the queue")
            worker = start("-m", "arq", "app.WorkerSettings", "--burst")
            assert worker.ended() == 0, worker.stderr
            assert sent.ended() == 0, sent.stderr
            return sent, worker

        yield ran


@pytest.mark.processes
def test_json(run: Run) -> None:
    sent, worker = run("async def send(", "import Order")
    assert sent.lines == ["True"]
    assert worker.lines == ["9.90 due in 2026, ['urgent']"]


@pytest.mark.processes
def test_signed(run: Run, redis_client: redis.Redis) -> None:
    sent, _ = run("async def add(", '"add", 1')
    assert sent.lines == ["3"]
    (key,) = redis_client.keys("arq:result:*")
    result: Any = redis_client.get(key)
    assert result[:7] == b"\x01\x01r\x02k2\x00"


def test_the_command_makes_a_key(tmp_path: Path) -> None:
    (code,) = re.findall(r'python -c "(.*)" >', PAGE)
    with program_starter(tmp_path, {}) as start:
        made = start("-c", code)
        assert made.ended() == 0
    (tmp_path / "keys").write_text("# a comment\n\n" + made.lines[0] + "\n")
    assert Keyring.from_file(tmp_path / "keys").ids == ("k1",)


async def test_steps_of_the_migration(redis_settings: RedisSettings) -> None:
    """The options of the table are options, and each step reads what the one before has written."""
    table = PAGE.partition("| step |")[2].partition("\n\n")[0]
    rows = [row.split("|")[2] for row in table.splitlines()[2:]]
    keys = Keyring({"k1": "1" * 32})
    given: dict[str, Any] = {}
    steps: list[dict[str, Any]] = []
    for row in rows:
        given = dict(given)
        without = "without" in row
        for option in re.findall(r"`(\w+)[^`]*`", row):
            if without:
                del given[option]
        for option, value in re.findall(r"`(\w+)=([^`]*)`", row):
            given[option] = eval(value, {"keys": keys})
        steps.append(given)
    assert [sorted(step) for step in steps] == [
        [],
        ["accept_unsigned", "accepts", "signing"],
        ["accept_unsigned", "accepts", "codec", "signing"],
        ["accepts", "codec", "signing"],
        ["codec", "signing"],
    ]
    for number, step in enumerate(steps):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            pool = await create_pool(redis_settings, **step)
        await pool.aclose(close_connection_pool=True)
        assert bool(told) is (number in (2, 3))


async def test_a_codec_of_ones_own(redis_settings: RedisSettings, redis_client: redis.Redis) -> None:
    shown: dict[str, Any] = {}
    exec(module_with("class Zipped"), shown)
    settings = shown["WorkerSettings"]
    settings.redis_settings, settings.burst = redis_settings, True
    pool = await create_pool(redis_settings, codec=settings.codec, accepts=settings.accepts)
    json_pool = await create_pool(redis_settings, codec="json")
    job, other = await pool.enqueue_job("shout", "hey"), await json_pool.enqueue_job("shout", "ho")
    assert job
    assert other
    worker: Worker = create_worker(settings, handle_signals=False)
    await worker.main()
    await worker.close()
    assert await job.result(timeout=5) == "HEY"
    assert worker.jobs_complete == 2
    for one in (pool, json_pool):
        await one.aclose(close_connection_pool=True)


def test_every_module_on_the_page_has_a_test() -> None:
    texts = (
        "async def send(",
        "import Order",
        "async def add(",
        '"add", 1',
        "def job_serializer",
        "class Zipped",
    )
    assert sorted(MODULES) == sorted(map(module_with, texts))
