"""The work for a job does not grow with what is queued, nor with what runs elsewhere. Counted, not timed."""

import asyncio
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import redis
import uvloop

from arq._redis import membership, scripts
from arq._redis.scripts import ClaimRequest
from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.worker import Worker
from benchmarks.arq_wire import ArqQueue
from tests.perf.elements import WholeCollectionError, elements, watching
from tests.perf.measure import Calls, noop
from tests.support.servers import HOST, RedisServer, running_server

pytestmark = [pytest.mark.slow, pytest.mark.alone]

QUEUE = "arq:queue"
JOBS = 2000
SHALLOW, DEEP = 1000, 1_000_000
#: A heart beat more or less on a slow machine.
TOLERANCE = 1.05


@dataclass(frozen=True)
class Cost:
    """Of one job."""

    elements: float
    python_calls: float

    def at_most(self, times: float, other: "Cost") -> None:
        """Fail if this is more than `times` the other."""
        assert self.elements <= times * other.elements, f"elements in Redis: {self} against {other}"
        assert self.python_calls <= times * other.python_calls, f"Python calls: {self} against {other}"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A server whose keys nobody looks through after each test."""
    uvloop.new_event_loop().close()  # the first one opens a pipe that stays as long as the process
    with running_server() as server:
        yield server


@pytest.fixture
def settings(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> RedisSettings:
    """An empty server. Workers look at what they step over once, not twice a second: that would be timed."""
    monkeypatch.setattr("arq._worker.periodic_tasks._START_OVER_BUSY_S", 3600.0)
    with redis.Redis(host=HOST, port=server.port) as client:
        client.flushall()
    return RedisSettings(host=HOST, port=server.port, conn_retries=0)


@pytest.fixture
def queue(server: RedisServer, settings: RedisSettings) -> Iterator[ArqQueue]:
    with redis.Redis(host=HOST, port=server.port) as client:
        yield ArqQueue(client)


def working(server: RedisServer, settings: RedisSettings, max_jobs: int = 100) -> Cost:
    """What a job costs a worker that runs `JOBS` of them."""
    worker = Worker(
        functions=[noop], redis_settings=settings, max_jobs=max_jobs, burst=True, max_burst_jobs=JOBS,
        handle_signals=False,
    )  # fmt: skip
    calls = Calls()
    with watching(server) as watcher:
        sys.setprofile(calls)
        try:
            worker.run()
        finally:
            sys.setprofile(None)
    assert worker.jobs_complete >= JOBS
    return Cost(watcher.total / worker.jobs_complete, calls.count / worker.jobs_complete)


def enqueueing(server: RedisServer, settings: RedisSettings) -> Cost:
    """What a job costs a producer that awaits one after the other."""

    async def produce() -> Cost:
        pool = await create_pool(settings)
        await pool.enqueue_job("noop")
        calls = Calls()
        with watching(server) as watcher:
            sys.setprofile(calls)
            for _ in range(200):
                await pool.enqueue_job("noop")
            sys.setprofile(None)
        await pool.close(close_connection_pool=True)
        return Cost(watcher.total / 200, calls.count / 200)

    return asyncio.run(produce())


async def hold(settings: RedisSettings, count: int) -> None:
    """Let another worker of ours take jobs, and keep them."""
    pool: ArqRedis = await create_pool(settings)
    await membership.register(pool, "elsewhere", 60_000)
    for _ in range(count // 500):
        call = scripts.claim(QUEUE, "elsewhere", ClaimRequest(500, 60_000))
        answer = scripts.read_claim(await scripts.run(pool, call))
        assert isinstance(answer, scripts.ClaimAnswer)
        assert len(answer.jobs) == 500
    await pool.close(close_connection_pool=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_million_queued_jobs_cost_no_more_than_a_thousand(
    server: RedisServer, settings: RedisSettings, queue: ArqQueue
) -> None:
    queue.fill("noop", SHALLOW + JOBS)
    shallow, shallow_enqueue = working(server, settings), enqueueing(server, settings)
    queue.fill("noop", DEEP + JOBS)
    deep, deep_enqueue = working(server, settings), enqueueing(server, settings)
    deep.at_most(TOLERANCE, shallow)
    deep_enqueue.at_most(TOLERANCE, shallow_enqueue)


@pytest.mark.parametrize("max_jobs", [10, 100])
def test_jobs_that_our_workers_run_elsewhere_cost_nothing(
    server: RedisServer, settings: RedisSettings, queue: ArqQueue, max_jobs: int
) -> None:
    queue.fill("noop", SHALLOW + JOBS)
    alone = working(server, settings, max_jobs)
    queue.fill("noop", SHALLOW + JOBS + 2000)
    asyncio.run(hold(settings, 2000))
    working(server, settings, max_jobs).at_most(TOLERANCE, alone)


@pytest.mark.parametrize("max_jobs", [10, 100])
def test_jobs_that_the_original_runs_elsewhere_are_stepped_over_once(
    server: RedisServer, settings: RedisSettings, queue: ArqQueue, max_jobs: int
) -> None:
    """Plain arq leaves its running jobs at the head of the queue: 2,000 cost one look, not one for each claim."""
    queue.fill("noop", SHALLOW + JOBS)
    alone = working(server, settings, max_jobs)
    queue.hold(2000)
    queue.fill("noop", SHALLOW + JOBS)
    beside = working(server, settings, max_jobs)
    one_look = 2 * 2000 / JOBS  # its entry, and its lock
    assert beside.elements <= TOLERANCE * alone.elements + 2 * one_look, f"{beside} against {alone}"
    assert beside.python_calls <= TOLERANCE * alone.python_calls


@pytest.mark.parametrize(
    ("command", "cost"),
    [
        (["GET", "a"], 1),
        (["mget", "a", "b", "c"], 3),
        (["ZRANGEBYSCORE", "q", "-inf", "5", "LIMIT", "10", "100"], 110),
    ],
)
def test_what_a_command_touches(command: list[str], cost: int) -> None:
    assert elements(command) == cost


@pytest.mark.parametrize(
    "command", ["ZRANGE q 0 -1", "ZRANGEBYSCORE q -inf 5", "HGETALL h", "KEYS *", "SMEMBERS s"]
)
def test_reading_everything_would_be_found(command: str) -> None:
    with pytest.raises(WholeCollectionError):
        elements(command.split())
