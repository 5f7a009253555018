"""Environments of the tools, which `make test-tools` needs an index of packages for; `make test` leaves them out."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.compat.others import ENVIRONMENTS, REDIS_8, NotReadyError, environment
from tests.supervisor.harness import MARK, QUICK, Pool, Queue, pool_in
from tests.support.servers import RedisServer

FOLDER = Path(__file__).parent
LIMIT_S = 600  # the first run makes the environments

APP = """
import asyncio, os
from pathlib import Path
from arq.connections import RedisSettings

async def work(ctx):
    await asyncio.sleep(0.01)
    return os.getpid()

async def until(ctx, name):
    while not Path(name).exists():
        await asyncio.sleep(0.02)
    return os.getpid()

class Settings:
    functions = [work, until]
    redis_settings = RedisSettings(port=int(os.environ["TEST_PORT"]))
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.timeout(LIMIT_S))


class Tool:
    """A pool that some tool starts."""

    def __init__(self, pool: Pool, queue: Queue) -> None:
        self.pool = pool
        self.queue = queue
        self.folder = pool.directory

    def start(self, *command: str | Path, **options: Any) -> None:
        """Run this command with our arguments behind it, two workers; wait until all are ready."""
        self.launch(*command, **options)
        self.pool.ready()
        self.pool.steward()

    def launch(
        self, *command: str | Path, app: str = APP, options: tuple[str, ...] = (), **environ: str
    ) -> None:
        """Run it, and wait for nothing."""
        (self.folder / "app.py").write_text(app)
        words = [*map(str, command), "app.Settings", "--procs", "2", "--log-format", "json", *QUICK, *options]
        variables = {
            key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "ARQ_"))
        }
        variables |= {**self.pool.environ, MARK: self.pool.mark, **environ}
        with open(self.pool.log, "ab") as log:
            self.pool.process = subprocess.Popen(words, cwd=self.folder, env=variables, start_new_session=True,
                                                 stdin=subprocess.DEVNULL, stdout=log, stderr=log)  # fmt: skip

    def pids_at_work(self) -> set[int]:
        """Has each worker do jobs; returns their pids."""
        workers = set(self.pool.workers().values())
        assert len(workers) == 2
        seen: set[int] = set()
        for _ in range(100):
            seen |= set(self.queue.results(self.queue.put_many("work", 10)))
            if seen == workers:
                return seen
        raise AssertionError(f"only {seen} of {workers} did a job")

    def stop(self) -> None:
        """TERM: a job that runs is finished, and the tool ends with 0."""
        job_id = self.queue.put("until", "gate")
        self.pool.wait_started(job_id)
        assert self.pool.process is not None
        self.pool.process.terminate()
        self.pool.wait_event("stop.start")
        self.pool.open_gate()
        assert self.queue.result(job_id)
        assert self.pool.wait() == 0
        assert not [
            line for line in ("Traceback", "panic", "Fatal Python", "Assertion") if line in self.pool.text()
        ]


@pytest.fixture
def tool(tmp_path: Path, redis_server: RedisServer, redis_client: redis.Redis) -> Iterator[Tool]:
    """A tool on an empty server. No process of it may survive the test."""
    with pool_in(tmp_path, redis_server.port) as pool:
        yield Tool(pool, Queue(redis_server.port))


@pytest.fixture(scope="session")
def python_with() -> Callable[..., Path]:
    """`python_with("memray==1.20.0")`: the Python of an environment with arq's own needs and that."""

    def make(*requires: str) -> Path:
        name = "tool-" + requires[0].partition("=")[0]
        try:
            return environment(name, (*REDIS_8, *requires))
        except NotReadyError as reason:
            pytest.skip(str(reason))

    return make


@pytest.fixture
def tini() -> Path:
    """Debian's, unpacked where the environments are."""
    program = ENVIRONMENTS / "tini" / "usr" / "bin" / "tini"
    if not program.exists():
        program.parents[2].mkdir(parents=True, exist_ok=True)
        fetch = "apt-get -q download tini && dpkg -x tini_*.deb ."
        done = subprocess.run(
            fetch, shell=True, cwd=program.parents[2], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"tini can't be had: {done.stderr.strip()[-200:]}")
    return program
