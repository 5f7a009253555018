"""`arq COMMAND` over several servers: one answer for all of them, also when one is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from arq import cron
from arq.admin import Admin
from arq.connections import RedisSettings
from arq.shards import ArqShards
from arq.worker import Worker, func
from tests.arq.redis.harness import Ctx, running
from tests.arq.redis.operators import Outcome, run_command
from tests.arq.redis.three_servers import NAMES, emptied, settings_by_name, three_servers
from tests.support.eventually import wait_until_async
from tests.support.servers import HOST, RedisServer

NOWHERE = f"--redis=z=redis://:secret@{HOST}:1"


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
def words(servers: list[RedisServer]) -> list[str]:
    """The options that name all servers."""
    return [
        f"--redis={name}=redis://{HOST}:{server.port}" for name, server in zip(NAMES, servers, strict=True)
    ]


async def arq(*words: str, **env: str) -> Outcome:
    return await asyncio.to_thread(run_command, *words, **env)


def ids_on(shards: ArqShards, *names: str) -> list[str]:
    """An id on each of these servers."""
    return [next(f"id-{n}" for n in range(100) if shards.name_of(f"id-{n}") == name) for name in names]


async def fill(shards: ArqShards, count: int) -> list[str]:
    """Jobs in the order in which they are due."""
    ids = [f"job-{number}" for number in range(count)]
    for number, job_id in enumerate(ids):
        assert await shards.enqueue_job("f", number, _job_id=job_id, _defer_by=1000 + number)
    return ids


async def run_all(shards: ArqShards, settings: dict[str, RedisSettings], jobs: int) -> None:
    """The half of some jobs is done, the others have failed for good."""

    async def half(ctx: Ctx, number: int) -> int:
        if number % 2:
            raise ValueError(f"odd: {number}")
        return number

    for number in range(jobs):
        await shards.enqueue_job("half", number, _job_id=f"job-{number}")
    for one in settings.values():
        worker = Worker(
            [func(half, name="half")], redis_settings=one, burst=True, handle_signals=False, poll_delay=0.05
        )
        await worker.main()
        await worker.close()


async def test_one_list_in_order_of_time(shards: ArqShards, words: list[str]) -> None:
    ids = await fill(shards, 25)
    listed = await arq("ls", "--json", *words)
    assert (listed.code, listed.err) == (0, "")
    assert [(row["id"], row["server"]) for row in listed.rows] == [(one, shards.name_of(one)) for one in ids]
    table = (await arq("ls", *words)).out
    assert table.split()[:3] == ["ID", "SERVER", "STATE"]
    first = await arq("ls", "--json", "-n", "10", *words)
    cursor = first.err.split("--cursor ")[1].strip()
    rest = await arq("ls", "--json", "--cursor", cursor, *words)
    assert [row["id"] for row in first.rows + rest.rows] == ids
    in_environment = " ".join(word.removeprefix("--redis=") for word in words)
    shown = await arq("show", "job-3", "--json", ARQ_REDIS=in_environment)
    assert [(row["id"], row["server"]) for row in shown.rows] == [("job-3", shards.name_of("job-3"))]
    assert (await arq("show", "nobody", *words)).code == 1
    assert (await arq("ls", "-q", "nothing", *words)).code == 1


async def test_sums(shards: ArqShards, words: list[str], settings: dict[str, RedisSettings]) -> None:
    await run_all(shards, settings, 20)
    await fill(shards, 0)
    (counted,) = (await arq("ls", "--counts", "--json", *words)).rows
    assert (counted["done"], counted["dead"]) == (20, 10)
    assert sum(one["dead"] for one in counted["servers"].values()) == 10
    table = (await arq("ls", "--counts", *words)).out
    assert table.split()[:5] == ["STATE", "JOBS", *NAMES]
    (stats,) = (await arq("stats", "--json", *words)).rows
    assert (stats["function"], stats["done"], stats["failed"]) == ("half", 10, 10)
    dead = (await arq("dead", "ls", "--json", *words)).rows
    assert [row["died"] for row in dead] == sorted((row["died"] for row in dead), reverse=True)
    assert {row["server"] for row in dead} == set(NAMES)
    shown = await arq("dead", "show", dead[0]["id"], *words)
    assert f"server    {dead[0]['server']}\n" in shown.out
    requeued = await arq("dead", "requeue", "--all", "--yes", "--rate", "1000", *words)
    assert (requeued.code, len(requeued.out.splitlines())) == (0, 10)
    removed = await arq("rm", "--state", "queued", "--yes", "--json", *words)
    assert [row["outcome"] for row in removed.rows] == ["done"] * 10
    for servers in (words, words[:1]):
        none = await arq("rm", "--state", "queued", "--yes", *servers)
        assert (none.code, none.err) == (0, "arq: no such jobs\n")


@pytest.mark.parametrize("command", ["rm", "abort", "retry"])
async def test_ids_that_are_spread(shards: ArqShards, words: list[str], command: str) -> None:
    """Each was found somewhere; which one nowhere, is told."""
    ids = ids_on(shards, *NAMES)
    for job_id in ids:
        await shards.enqueue_job("f", _job_id=job_id, _defer_by=1000)
    done = await arq(command, "-y", *ids, *words)
    assert (done.code, done.err) == (0, "")
    assert len(done.out.splitlines()) == 3
    more = await arq(command, "-y", ids[0], "nobody", *words)
    assert more.code == 1
    assert "nobody: there is no such job" in more.err
    notes = (await arq("audit", "--json", *words)).rows
    assert sorted(note["server"] for note in notes if note["ids"] != [ids[0]]) == [
        name for name in NAMES if name != shards.name_of(ids[0])
    ]


async def test_dead_ids_that_are_spread(
    shards: ArqShards, words: list[str], settings: dict[str, RedisSettings]
) -> None:
    await run_all(shards, settings, 20)
    ids = [f"job-{number}" for number in range(1, 20, 2)]
    assert (await arq("dead", "requeue", "-y", *ids[:5], *words)).code == 0
    assert (await arq("dead", "rm", "-y", *ids[5:], *words)).code == 0
    assert (await arq("dead", "rm", "-y", *ids[5:], *words)).code == 1


async def test_queues_schedules_and_workers(
    shards: ArqShards, words: list[str], settings: dict[str, RedisSettings]
) -> None:
    async def tick(ctx: Ctx) -> None: ...

    workers = [
        Worker(
            cron_jobs=[cron(tick, name=f"tick-{name}", month=1)],
            redis_settings=one,
            handle_signals=False,
            poll_delay=0.05,
        )
        for name, one in settings.items()
    ]

    async def shown() -> bool:
        return len((await arq("crons", "--json", *words)).rows) == 3

    async with running(*workers):
        await wait_until_async(shown)
        paused = await arq("crons", "pause", "tick-a", "tick-c", *words)
        assert (paused.code, paused.out) == (0, "tick-a: is paused\ntick-c: is paused\n")
        rows = (await arq("crons", "--json", *words)).rows
        assert {row["name"]: (row["server"], row["paused"]) for row in rows} == {
            "tick-a": ("a", True),
            "tick-b": ("b", False),
            "tick-c": ("c", True),
        }
        rows = (await arq("workers", "--json", *words)).rows
        assert sorted(row["server"] for row in rows) == [*NAMES]
        told = await arq("workers", "quiet", rows[0]["id"], rows[1]["id"], "--no-wait", *words)
        assert (told.code, told.err.count("is told")) == (0, 2)
        (watched,) = (await arq("watch", "--times", "1", "--json", *words)).rows
        assert list(watched["servers"]) == [*NAMES]
        assert sorted(worker["server"] for worker in watched["workers"]) == [*NAMES]
    stopped = await arq("pause", "arq:queue", *words)
    assert (stopped.code, stopped.out) == (0, "queue arq:queue is paused: 0 running jobs end, 0 wait\n")
    assert all([await Admin(client).paused("arq:queue") for client in shards.clients.values()])
    assert (await arq("resume", "arq:queue", *words)).code == 0
    assert (await arq("resume", "arq:queue", *words)).code == 1


def away_lines(done: Outcome) -> list[str]:
    return [line for line in done.err.splitlines() if line.startswith("arq: server z can't be reached: ")]


@pytest.mark.parametrize(
    "command",
    [
        ["ls"],
        ["ls", "--counts"],
        ["show", "job-1"],
        ["stats"],
        ["dead", "ls"],
        ["crons"],
        ["workers"],
        ["audit"],
        ["watch", "--times", "2", "--every", "0.5"],
        ["pause", "arq:queue"],
        ["retry", "-y", "job-1", "job-2"],
        ["retry", "--all", "-y"],
        ["rm", "--id-prefix", "job-", "-y"],
    ],
    ids=" ".join,
)
async def test_a_server_that_is_away(shards: ArqShards, words: list[str], command: list[str]) -> None:
    """Its line is said once, the others are shown and acted on; the code tells what may be missing."""
    await fill(shards, 6)
    done = await arq(*command, *words, NOWHERE)
    is_complete = command[-1].startswith("job-") and "--id-prefix" not in command
    assert done.code == (0 if is_complete else 3), done.err
    assert len(away_lines(done)) == 1, done.err
    assert "secret" not in done.err + done.out
    if command[0] in ("ls", "show", "retry", "rm", "pause", "watch"):
        assert done.out.strip()


async def test_what_may_be_on_a_server_that_is_away(shards: ArqShards, words: list[str]) -> None:
    (there,) = ids_on(shards, "a")
    await shards.enqueue_job("f", _job_id=there)
    done = await arq("rm", "-y", there, "other", *words, NOWHERE)
    assert done.code == 3
    assert f"{there}: removed" in done.out
    assert "other: not found on the servers that could be asked" in done.err
    alone = await arq("ls", NOWHERE, f"--redis=redis://{HOST}:2")
    assert (alone.code, alone.out, alone.err.count("\n")) == (3, "", 2)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (["redis://h", "x=redis://h"], "--redis: h:6379/0/ is given twice"),
        (["x=redis://h", "x=redis://i"], "--redis: two servers are called x"),
        (["x=redis://h", "nonsense"], "--redis is no address of a Redis"),
    ],
)
def test_servers_that_are_none(given: list[str], problem: str) -> None:
    done = run_command("ls", *(f"--redis={one}" for one in given))
    assert (done.code, problem in done.err, done.err.count("\n")) == (2, True, 1), done.err


def test_the_rights_for_each(words: list[str]) -> None:
    done: Any = run_command("acl", *words)
    assert (done.code, done.out.count("ACL SETUSER arq reset")) == (0, 3)
