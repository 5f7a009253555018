"""One queue on several servers: each job is on the server of its id, and a server that is away delays only its own."""

from __future__ import annotations

import asyncio
import collections
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import RedisError

from arq import cron
from arq._redis.rendezvous import home
from arq._redis.shard_settings import SHARD_VARIABLE, shard_of
from arq.connections import JobCall, RedisSettings
from arq.jobs import Job, JobStatus
from arq.shards import ArqShards
from arq.worker import Worker, check_health
from tests.arq.redis.harness import CONNECT_S, Ctx, quick, running
from tests.supervisor.commands import run as command
from tests.supervisor.endpoints import get, scrape, value
from tests.supervisor.harness import Pool, pool_in
from tests.support.eventually import wait_until, wait_until_async
from tests.support.servers import HOST, RedisServer, running_server

COUNT = 3
NAMES = ("a", "b", "c")


@pytest.fixture(scope="module")
def servers() -> Iterator[list[RedisServer]]:
    with running_server() as one, running_server() as two, running_server() as three:
        yield [one, two, three]


@pytest.fixture
def settings(servers: list[RedisServer]) -> list[RedisSettings]:
    return [
        RedisSettings(HOST, server.port, conn_retries=0, conn_timeout=CONNECT_S, database=1)
        for server in servers
    ]


@pytest.fixture
async def shards(settings: list[RedisSettings]) -> AsyncIterator[ArqShards]:
    async with ArqShards(settings) as made:
        for client in made.clients.values():
            await client.flushdb()
        yield made


def away(settings: list[RedisSettings], number: int) -> dict[str, RedisSettings]:
    """The same servers, one of which nobody can reach."""
    found = dict(zip(NAMES, settings, strict=True))
    found[NAMES[number]] = RedisSettings(HOST, 1, conn_retries=0)
    return found


async def is_there(shards: ArqShards, key: str) -> bool:
    return all([await client.exists(key) for client in shards.clients.values()])


async def result_of(shards: ArqShards, job_id: str, number: int) -> Any:
    job = await shards.enqueue_job("echo", number, _job_id=job_id)
    assert job
    return await job.result(timeout=60)


async def test_a_job_is_where_its_id_says(shards: ArqShards, settings: list[RedisSettings]) -> None:
    jobs = [await shards.enqueue_job("quick", number) for number in range(60)]
    jobs += await shards.enqueue_jobs([("quick", 1), JobCall("quick", _job_id="mine"), "quick"])
    assert await shards.enqueue_job("quick", _job_id="mine") is None
    assert await shards.enqueue_jobs([JobCall("quick", _job_id="mine")]) == [None]
    assert all(jobs)
    by_name = collections.Counter(shards.name_of(job.job_id) for job in jobs if job)
    assert set(by_name) == set(shards.names)
    for name, client in shards.clients.items():
        assert {shards.name_of(job.job_id) for job in await client.queued_jobs() if job.job_id} == {name}
    assert len(await shards.queued_jobs()) == 63
    async with ArqShards(settings[::-1]) as others:
        for job in jobs:
            assert job
            assert await Job(job.job_id, others).status() is JobStatus.queued
        assert await others.job("mine").abort()
        assert await Job("mine", shards).status() is JobStatus.complete


async def test_workers_of_each_server(shards: ArqShards, settings: list[RedisSettings]) -> None:
    workers = [
        Worker([quick], redis_settings=shard_of(settings, number), handle_signals=False, poll_delay=0.05)
        for number in range(COUNT)
    ]
    async with running(*workers):
        jobs = [await shards.enqueue_job("quick") for _ in range(30)]
        assert {await job.result(timeout=30) for job in jobs if job} == {"quick"}
    assert len(await shards.all_job_results()) == 30
    assert all(worker.jobs_complete for worker in workers)


async def test_a_server_that_is_away_delays_only_its_own_jobs(settings: list[RedisSettings]) -> None:
    async with ArqShards(away(settings, 1)) as shards:
        here = [f"id-{n}" for n in range(30) if shards.name_of(f"id-{n}") != "b"]
        there = next(f"id-{n}" for n in range(30) if shards.name_of(f"id-{n}") == "b")
        lost = asyncio.ensure_future(shards.enqueue_job("quick", _job_id=there))
        for job_id in here:
            assert await shards.enqueue_job("quick", _job_id=job_id)
        with pytest.raises(RedisError):
            await lost
        with pytest.raises(RedisError) as caught:
            await shards.queued_jobs()
        assert caught.value.__notes__ == ["shard b"]


async def test_jobs_without_an_id_take_another_server(settings: list[RedisSettings]) -> None:
    async with ArqShards(away(settings, 1), on_shard_down="next") as shards:
        jobs = [await shards.enqueue_job("quick") for _ in range(30)]
        assert {shards.name_of(job.job_id) for job in jobs if job} == {"a", "c"}
        for job in jobs:
            assert job
            assert await Job(job.job_id, shards).status() is JobStatus.queued
        assert all(await shards.enqueue_jobs(["quick"] * 5))
        there = next(f"id-{n}" for n in range(30) if shards.name_of(f"id-{n}") == "b")
        with pytest.raises(RedisError):
            await shards.enqueue_job("quick", _job_id=there)
    everywhere = {name: RedisSettings(HOST, 1, conn_retries=0) for name in NAMES}
    async with ArqShards(everywhere, on_shard_down="next") as none:
        with pytest.raises(RedisError):
            await none.enqueue_job("quick")


def test_few_ids_move_when_a_server_is_added() -> None:
    ids = [f"id-{n}" for n in range(3000)]
    before = [NAMES[home(NAMES, job_id)] for job_id in ids]
    after = [(*NAMES, "d")[home((*NAMES, "d"), job_id)] for job_id in ids]
    assert {new for old, new in zip(before, after, strict=True) if old != new} == {"d"}
    assert 600 < after.count("d") < 900
    assert before == [NAMES[::-1][home(NAMES[::-1], job_id)] for job_id in ids]


def test_each_schedule_is_one_servers(settings: list[RedisSettings]) -> None:
    async def tick(ctx: Ctx) -> None: ...

    schedules = [cron(tick, name=f"tick-{number}", second=0) for number in range(20)]
    found = [
        Worker(cron_jobs=schedules, redis_settings=shard_of(settings, number)) for number in range(COUNT)
    ]
    names = [one.name for worker in found for one in worker.cron_jobs or ()]
    assert sorted(names) == sorted(one.name for one in schedules)
    assert all(worker.cron_jobs for worker in found)


def test_a_single_worker_is_told_which_one(
    settings: list[RedisSettings], monkeypatch: pytest.MonkeyPatch
) -> None:
    several: Any = settings
    for wrong in ("", "3", "x"):
        monkeypatch.setenv(SHARD_VARIABLE, wrong)
        with pytest.raises(ValueError, match="names 3 servers, and a worker works for one: .*from 0 to 2"):
            Worker([quick], redis_settings=several)
    monkeypatch.setenv(SHARD_VARIABLE, "1")
    assert Worker([quick], redis_settings=several).redis_settings == settings[1]
    monkeypatch.delenv(SHARD_VARIABLE)
    assert Worker([quick], redis_settings=several[:1]).redis_settings == settings[0]


@pytest.mark.parametrize(
    ("given", "kind", "problem"),
    [
        ([], ValueError, "no shards"),
        ([RedisSettings(), RedisSettings()], ValueError, "two shards are the same: localhost:6379/0/"),
        (["redis://h"], TypeError, "not a text"),
        (5, TypeError, "must be a list of RedisSettings"),
    ],
)
def test_what_are_no_shards(given: Any, kind: type[Exception], problem: str) -> None:
    with pytest.raises(kind, match=problem):
        ArqShards(given)


def test_prefixes_of_one_server_are_shards_too() -> None:
    shards = ArqShards([RedisSettings(key_prefix="{a}:"), RedisSettings(key_prefix="{b}:")])
    assert shards.names == ("localhost:6379/0/{a}:", "localhost:6379/0/{b}:")
    wrong: Any = "some"
    with pytest.raises(ValueError, match="on_shard_down must be 'fail' or 'next'"):
        ArqShards([RedisSettings()], on_shard_down=wrong)


async def test_the_health_of_all(
    shards: ArqShards, settings: list[RedisSettings], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "arq.worker")
    for client in shards.clients.values():
        await client.set("arq:queue:health-check", "line")
    given = dict(zip(NAMES, settings, strict=True))
    check: Any = check_health
    assert await asyncio.to_thread(check, {"functions": [quick], "redis_settings": given}) == 0
    assert caplog.messages.count("Health check successful: b'line'") == COUNT
    caplog.clear()
    assert await asyncio.to_thread(check, {"functions": [quick], "redis_settings": away(settings, 1)}) == 1
    assert [text.split(": ")[0] for text in caplog.messages] == [
        "server a:", "Health check successful", "server b:", "Health check failed",
        "server c:", "Health check successful",
    ]  # fmt: skip


SETTINGS = """
import os
from app import echo
from arq.connections import RedisSettings

class Settings:
    functions = [echo]
    redis_settings = [
        RedisSettings(port=int(port), database=1, conn_timeout=30) for port in os.environ["MY_PORTS"].split()
    ]
"""


def sees(pool: Pool, names: list[str], away: list[str]) -> None:
    """What metrics and dashboard of a pool say of its servers."""
    metrics, web = (pool.wait_event(f"{name}.listening")["address"] for name in ("metrics", "web"))

    def is_seen() -> bool:
        up = {name: value(scrape(metrics), "arq_redis_up", server=name) for name in names}
        status, text = get(web, "/overview.json")
        shown = json.loads(text) if status == 200 else {"servers": [], "away": {}}
        return (
            up == {name: float(name not in away) for name in names}
            and list(shown["away"]) == away
            and sorted([*shown["servers"], *away]) == sorted(names)
        )

    wait_until(is_seen, what="servers are seen as they are")
    depth = value(scrape(metrics), "arq_queue_depth", server=names[-1])
    assert (depth is None) == (names[-1] in away)


@pytest.mark.processes
async def test_a_supervised_pool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each slot has its server, also after a restart; a server that is away delays only its own jobs."""
    in_thread: Any = asyncio.to_thread
    with running_server() as one, running_server(durable=True) as two, pool_in(tmp_path, one.port) as pool:
        monkeypatch.setenv("MY_PORTS", f"{one.port} {two.port}")
        (tmp_path / "sharded.py").write_text(SETTINGS)
        found = [RedisSettings(HOST, server.port, database=1, conn_retries=0) for server in (one, two)]
        async with ArqShards([*found]) as shards:
            (of_one,) = [f"id-{n}" for n in range(50) if shards.name_of(f"id-{n}") == shards.names[0]][:1]
            (of_two,) = [f"id-{n}" for n in range(50) if shards.name_of(f"id-{n}") == shards.names[1]][:1]
            served = ("--metrics", "127.0.0.1:0", "--web", "127.0.0.1:0")
            pool.start("--procs", "2", "--health-interval", "1", *served, settings="sharded.Settings").ready()
            jobs = [await shards.enqueue_job("echo", number) for number in range(20)]
            assert [await job.result(timeout=60) for job in jobs if job] == list(range(20))
            health = "arq:queue:health-check"
            await wait_until_async(lambda: is_there(shards, health), what="the steward writes")
            for words in (["--check"], ["--check", "--fleet"]):
                checked = await in_thread(command, pool, "sharded.Settings", *words)
                assert checked.returncode == 0, checked.stdout
            names = [f"localhost:{server.port}/1/" for server in (one, two)]
            await in_thread(sees, pool, names, [])
            await in_thread(two.stop)
            assert await result_of(shards, of_one, 1) == 1
            await in_thread(sees, pool, names, names[1:])
            checked = await in_thread(command, pool, "sharded.Settings", "--check")
            assert checked.returncode != 0
            assert checked.stdout.count(f"problem: redis server {names[1]}: ") == 1
            checked = await in_thread(command, pool, "sharded.Settings", "--check", "--fleet")
            assert checked.returncode == 1
            assert f"problem: redis server {names[1]}: " in checked.stdout
            assert " 1/1 healthy" in checked.stdout
            await in_thread(two.start)
            assert await result_of(shards, of_two, 2) == 2
            pool.kill(pool.workers()[1])
            await in_thread(pool.wait_event, "child.ready", 3, role="worker")
            assert await shards.client_of(of_two).delete(f"arq:result:{of_two}")
            assert await result_of(shards, of_two, 3) == 3
            assert await in_thread(pool.stop) == 0


@pytest.mark.processes
def test_more_servers_than_workers(
    tmp_path: Path, servers: list[RedisServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_PORTS", " ".join(str(server.port) for server in servers))
    (tmp_path / "sharded.py").write_text(SETTINGS)
    with pool_in(tmp_path, servers[0].port) as pool:
        assert pool.start("--procs", "2", settings="sharded.Settings").wait() == 4
        assert "names 3 servers, and each needs a worker: --procs 3 or more" in pool.text()
        checked = command(pool, "sharded.Settings", "--check-settings")
        assert checked.returncode == 0, checked.stderr
        assert checked.stdout.count(f"{HOST}:") + checked.stdout.count("localhost:") == 3
