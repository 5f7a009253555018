"""A prefix of all keys, and a user of Redis who may touch no others: a whole life, as `arq acl` allows it."""

from __future__ import annotations

import asyncio
import dataclasses
import pickle
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from arq import Retry, cron, func
from arq._redis import membership, scripts
from arq._redis.key_prefix import under
from arq.admin import Admin, Deed
from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.jobs import Job, JobStatus
from arq.worker import Worker, async_check_health
from tests.arq.redis.engines import interpret
from tests.arq.redis.harness import CARELESS, CONNECT_S, Ctx, broken, enqueued, for_ever, quick, running
from tests.arq.redis.operators import run_command
from tests.supervisor.commands import run as command
from tests.supervisor.harness import pool_in
from tests.support.eventually import wait_until, wait_until_async
from tests.support.servers import HOST, RedisServer

PREFIX, QUEUE, USER, PASSWORD = "app:", "mail", "someone", "s3cret"


def address(server: RedisServer) -> str:
    return f"redis://{USER}:{PASSWORD}@{HOST}:{server.port}/0?key_prefix={PREFIX}"


@pytest.fixture
def root(own_server: RedisServer) -> Iterator[redis.Redis]:
    """Somebody who may do everything."""
    with redis.Redis(HOST, own_server.port, decode_responses=True) as client:
        yield client


@pytest.fixture
def allowed(own_server: RedisServer, root: redis.Redis) -> RedisSettings:
    """Settings of a user who may do what `arq acl` says."""
    line = run_command("acl", "--redis", address(own_server), "-q", QUEUE).out
    assert line.count("\n") == 1
    assert PASSWORD not in line
    root.execute_command(*line.split())  # type: ignore[no-untyped-call]
    settings = RedisSettings.from_dsn(address(own_server))
    settings.conn_retries, settings.conn_timeout = 0, CONNECT_S
    return settings


@pytest.fixture
async def pool(allowed: RedisSettings) -> AsyncIterator[ArqRedis]:
    made = await create_pool(allowed, default_queue_name=QUEUE)
    yield made
    await made.aclose()


def only_ours(root: redis.Redis) -> set[str]:
    """All keys without the prefix; nothing was refused to anybody, and no key is elsewhere."""
    refused = [(entry["object"], entry["context"]) for entry in root.acl_log()]
    keys = set(root.scan_iter(count=1000))
    assert not refused
    assert not [key for key in keys if not key.startswith(PREFIX)]
    return {key.removeprefix(PREFIX) for key in keys}


async def again(ctx: Ctx) -> str:
    if ctx["job_try"] == 1:
        raise Retry(defer=0)
    return "again"


def a_worker(settings: RedisSettings, **options: Any) -> Worker:
    functions: list[Any] = [quick, again, func(broken, name="broken"), func(for_ever, name="for_ever")]
    return Worker(
        functions,
        redis_settings=settings,
        queue_name=QUEUE,
        allow_abort_jobs=True,
        poll_delay=0.05,
        health_check_interval=1,
        handle_signals=False,
        **options,
    )


async def test_a_job_from_its_producer_to_its_result(
    pool: ArqRedis, allowed: RedisSettings, root: redis.Redis
) -> None:
    """And cron jobs, aborts, retries, the dead set, health."""
    ticks: list[str] = []

    async def tick(ctx: Ctx) -> None:
        ticks.append(ctx["job_id"])

    worker = a_worker(allowed, cron_jobs=[cron(tick, name="tick", second=set(range(60)))])
    async with running(worker):
        done, twice = await enqueued(pool, "quick"), await enqueued(pool, "again")
        never, dies = await enqueued(pool, "for_ever"), await enqueued(pool, "broken", _job_id="dies")
        deferred = await enqueued(pool, "quick", _defer_by=3600)
        assert await done.result(timeout=30) == "quick"
        assert await twice.result(timeout=30) == "again"
        assert await Job(
            done.job_id, redis.asyncio.Redis(connection_pool=pool.connection_pool), QUEUE
        ).result()
        with pytest.raises(ValueError, match="boom"):
            await dies.result(timeout=30)
        await wait_until_async(lambda: worker.job_tasks, what="it runs")
        assert await never.abort(timeout=30)
        assert await deferred.status() is JobStatus.deferred
        assert [job.job_id for job in await pool.queued_jobs() if job.job_id == deferred.job_id]
        assert {"quick", "again"} <= {found.function for found in await pool.all_job_results()}
        await wait_until_async(lambda: ticks, what="the cron job runs")
        assert await async_check_health(allowed, queue_name=QUEUE) == 0
        assert root.hget(f"{PREFIX}arq:dead:dies", "queue") == QUEUE
    keys = only_ours(root)
    assert {QUEUE, f"{QUEUE}:dead", "arq:dead:dies", f"arq:result:{done.job_id}"} <= keys


async def test_what_operators_see_and_do(pool: ArqRedis, allowed: RedisSettings, root: redis.Redis) -> None:
    admin = Admin(pool)
    await enqueued(pool, "broken", _job_id="dies")
    await enqueued(pool, "quick", _job_id="later", _defer_by=3600)
    await enqueued(pool, "quick", _job_id="goes", _defer_by=3600)
    worker = a_worker(allowed, cron_jobs=[cron(quick, name="yearly", month=1, day=1, unique=True)])
    async with running(worker):
        await enqueued(pool, "for_ever", _job_id="runs")
        await wait_until_async(lambda: root.exists(f"{PREFIX}arq:dead:dies"), what="it is dead")
        await wait_until_async(lambda: "runs" in worker.job_tasks, what="it runs")
        fleet = await admin.workers(QUEUE)
        assert [(job.job_id, job.queue) for one in fleet.workers for job in one.jobs] == [("runs", QUEUE)]
        assert await admin.exists(QUEUE)
        await admin.pause(QUEUE, by="me")
        assert await admin.paused(QUEUE)
        assert await admin.requeue(["dies"], QUEUE) == [Deed.done]
        assert await admin.run_now(["later"], QUEUE) == [Deed.done]
        assert await admin.delete(["goes"], QUEUE) == [Deed.done]
        assert await admin.resume(QUEUE)
        await wait_until_async(lambda: root.exists(f"{PREFIX}arq:dead:dies"), what="it is dead again")
        assert await admin.pause_cron("yearly", QUEUE) is Deed.done
        assert [(one.name, one.is_paused) for one in await admin.crons(QUEUE)] == [("yearly", True)]
        assert await admin.resume_cron("yearly", QUEUE) is Deed.done
        assert await admin.run_cron("yearly", QUEUE)
        for state in ("queued", "running", "deferred", "done", "dead"):
            await admin.jobs(QUEUE, state=state)
        assert [job.job_id for job in (await admin.jobs(QUEUE, state="done", id_prefix="lat")).jobs] == [
            "later"
        ]
        assert (await admin.counts(QUEUE, with_done=True)).done
        assert await admin.job("later", QUEUE)
        assert await admin.abort("runs", QUEUE) in (Deed.asked, Deed.done)
        (worker_id,) = [one.worker_id for one in fleet.workers]
        assert await admin.tell(worker_id, "quiet", wait=0) is Deed.asked
    assert {one.function for one in (await admin.stats(QUEUE)).functions} >= {"quick"}
    assert await admin.delete_dead(["dies"], QUEUE) == [Deed.done]
    only_ours(root)


async def test_a_worker_that_dies(pool: ArqRedis, root: redis.Redis) -> None:
    """Its jobs come back, and a token for those who wait."""
    await enqueued(pool, "quick", _job_id="a")
    for end in (membership.release, membership.sweep):
        asked = scripts.ClaimRequest(10, 60_000, caution=CARELESS)
        await membership.register(pool, "w", 1 if end is membership.sweep else 60_000)
        answer = scripts.read_claim(await scripts.run(pool, scripts.claim(QUEUE, "w", asked)))
        assert [job.job_id for job in getattr(answer, "jobs", [])] == ["a"] or end is membership.sweep
        await (membership.release(pool, "w") if end is membership.release else membership.sweep(pool))
    assert root.llen(f"{PREFIX}arq:wake:{QUEUE}") > 0
    await membership.deregister(pool, "w")
    only_ours(root)


@pytest.mark.parametrize(
    "words", ["ls", "ls --state done", "stats", "workers", "crons", "dead ls", "show gone", "audit"]
)
def test_commands(allowed: RedisSettings, own_server: RedisServer, root: redis.Redis, words: str) -> None:
    of_queue = () if words == "audit" else ("-q", QUEUE)
    found = run_command(*words.split(), *of_queue, ARQ_REDIS=address(own_server))
    assert found.code in (0, 1), found.err
    assert "redis refuses" not in found.err
    only_ours(root)


async def test_without_scripts(
    pool: ArqRedis, allowed: RedisSettings, root: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where arq's own interpreter runs the scripts, they know of no prefix."""
    interpret(monkeypatch)
    await enqueued(pool, "quick", _job_id="a")
    worker = a_worker(allowed, burst=True)
    await worker.main()
    await worker.close()
    assert root.exists(f"{PREFIX}arq:result:a")
    only_ours(root)


async def test_two_applications_of_one_server(
    redis_settings: RedisSettings, redis_client: redis.Redis
) -> None:
    """Neither sees what is the other's, though their names are the same."""
    pools = [
        await create_pool(dataclasses.replace(redis_settings, key_prefix="a:")),
        await create_pool(redis_settings),
    ]
    for number, pool in enumerate(pools):
        assert await pool.enqueue_job("quick", number, _job_id="same")
    for number, pool in enumerate(pools):
        assert [job.args for job in await pool.queued_jobs()] == [(number,)]
        through = ArqRedis(pool.connection_pool)
        assert through.key_prefix == pool.key_prefix
        assert await Job("same", through).status() is JobStatus.queued
    assert set(redis_client.keys()) == {b"arq:queue", b"arq:job:same", b"a:arq:queue", b"a:arq:job:same"}
    for pool in pools:
        await pool.aclose()


async def test_commands_of_the_application_have_no_prefix(redis_settings: RedisSettings) -> None:
    redis_settings.key_prefix = PREFIX
    pool = await create_pool(redis_settings)
    await pool.set("mine", "1", ex=60)
    assert await pool.keys() == [b"mine"]
    await pool.aclose()


async def test_what_is_missing_is_named_with_the_prefix(pool: ArqRedis, root: redis.Redis) -> None:
    root.execute_command("ACL", "SETUSER", USER, "resetkeys", "~other:*")  # type: ignore[no-untyped-call]
    with pytest.raises(redis.exceptions.NoPermissionError, match=r"the keys app:mail .*all: ~app:\* \+@read"):
        await pool.enqueue_job("quick")


def test_each_command_knows_where_its_keys_are() -> None:
    assert under("p:", ("EVALSHA", "sha", 2, "k1", "k2", "arq:", "x")) == (
        *("EVALSHA", "sha", 2, "p:k1", "p:k2", "p:arq:", "x"),
    )
    assert under("p:", ("MGET", "a", b"\xff")) == ("MGET", "p:a", b"p:\xff")
    assert under("p:", ("BLPOP", "a", "b", 20)) == ("BLPOP", "p:a", "p:b", 20)
    assert under("p:", ("PING",)) == ("PING",)
    with pytest.raises(KeyError):
        under("p:", ("RENAME", "a", "b"))


@pytest.mark.parametrize(
    "prefix", ["app", "app:", "{app}:", "a{b}c:", "a.b-c_d/e:", "A" * 200, "arq:mine:", "~+@!$(),<>|=;:"]
)
def test_prefixes(prefix: str) -> None:
    settings = RedisSettings(key_prefix=prefix)
    assert RedisSettings.from_dsn(
        f"redis://h?key_prefix={prefix.replace('+', '%2B').replace(';', '%3B')}"
    ) == (RedisSettings(host="h", key_prefix=prefix))
    assert pickle.loads(pickle.dumps(settings)) == settings
    assert f"key_prefix={prefix!r}" in repr(settings)


@pytest.mark.parametrize(
    ("prefix", "problem"),
    [
        ("{app:", "braces that are no hash tag"),
        ("app}:", "braces that are no hash tag"),
        ("}app{:", "braces that are no hash tag"),
        ("{}app:", "braces that are no hash tag"),
        ("{{app}}:", "braces that are no hash tag"),
        ("{a}{b}:", "braces that are no hash tag"),
        ("my app:", "has ' ' in it"),
        ("app*", r"has '\*' in it"),
        ("a\nb", r"has '\\n' in it"),
        ("größe:", "has 'ö' in it"),
        ("a\x00", r"has '\\x00' in it"),
        ("A" * 201, "has 201 characters, 200 are allowed"),
        ("arq:job:", "what keys of arq's begin with"),
        ("arq:stats:x", "what keys of arq's begin with"),
    ],
)
def test_prefixes_that_can_not_be(prefix: str, problem: str) -> None:
    for make in (lambda: RedisSettings(key_prefix=prefix), lambda: ArqRedis(key_prefix=prefix)):
        with pytest.raises(ValueError, match=problem) as caught:
            make()
        assert "\n" not in str(caught.value)
    refused = run_command("acl", "--key-prefix", prefix)
    assert refused.code == 2
    assert refused.err.count("\n") == 1


def test_a_prefix_is_a_text_and_there_is_one() -> None:
    no_text: Any = 5
    with pytest.raises(TypeError, match="key_prefix must be a text, not int"):
        RedisSettings(key_prefix=no_text)
    with pytest.raises(ValueError, match="two key_prefix"):
        RedisSettings.from_dsn("redis://h?key_prefix=a&key_prefix=b")


SETTINGS = """
import os
from app import echo
from arq.connections import RedisSettings

class Settings:
    functions = [echo]
    queue_name = "mail"
    redis_settings = RedisSettings.from_dsn(os.environ["MY_REDIS"])
"""


@pytest.mark.processes
async def test_a_supervised_pool(
    own_server: RedisServer,
    pool: ArqRedis,
    root: redis.Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MY_REDIS", address(own_server))
    (tmp_path / "prefixed.py").write_text(SETTINGS)
    in_thread: Callable[..., Any] = asyncio.to_thread
    with pool_in(tmp_path, own_server.port) as supervised:
        supervised.start("--procs", "2", "--health-interval", "1", settings="prefixed.Settings").ready()
        assert await (await enqueued(pool, "echo", "here")).result(timeout=60) == "here"
        await in_thread(wait_until, lambda: root.exists("app:mail:health-check"), what="the steward writes")
        for words in (["--check"], ["--check", "--fleet"]):
            checked = await in_thread(command, supervised, "prefixed.Settings", *words)
            assert checked.returncode == 0, checked.stdout
        supervised.kill(next(iter(supervised.workers().values())))
        await in_thread(supervised.wait_event, "child.ready", 3, role="worker")
        assert await in_thread(supervised.stop) == 0
    only_ours(root)
