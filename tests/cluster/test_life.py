"""All of arq on a cluster: jobs, operators, commands, supervised pools, and what the application does itself."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import NoPermissionError, ResponseError

from arq import Retry, cron, func
from arq.admin import Admin, Deed
from arq.connections import ArqRedis, RedisSettings, create_pool, log_redis_info
from arq.jobs import JobStatus
from arq.worker import Worker, async_check_health
from tests.arq.redis.harness import Ctx, broken, enqueued, for_ever, quick, running
from tests.arq.redis.operators import run_command
from tests.supervisor.commands import run as command
from tests.supervisor.harness import pool_in
from tests.support.clusters import Cluster
from tests.support.eventually import wait_until, wait_until_async


def in_thread(do: Any, *args: Any, **options: Any) -> Any:
    return asyncio.to_thread(do, *args, **options)


async def again(ctx: Ctx) -> str:
    if ctx["job_try"] == 1:
        raise Retry(defer=0)
    return "again"


async def test_a_job_from_its_producer_to_its_result(cluster: Cluster, pool: ArqRedis) -> None:
    ticks: list[str] = []

    async def tick(ctx: Ctx) -> None:
        ticks.append(ctx["job_id"])

    functions: list[Any] = [quick, again, func(broken, name="broken"), func(for_ever, name="for_ever")]
    worker = Worker(
        functions,
        cron_jobs=[cron(tick, name="tick", second=set(range(60)))],
        redis_settings=cluster.settings(),
        allow_abort_jobs=True,
        poll_delay=0.05,
        health_check_interval=1,
        handle_signals=False,
    )
    admin = Admin(pool)
    async with running(worker):
        done, twice = await enqueued(pool, "quick"), await enqueued(pool, "again")
        never, dies = await enqueued(pool, "for_ever"), await enqueued(pool, "broken", _job_id="dies")
        deferred = await enqueued(pool, "quick", _job_id="later", _defer_by=3600)
        assert await done.result(timeout=30) == "quick"
        assert await twice.result(timeout=30) == "again"
        with pytest.raises(ValueError, match="boom"):
            await dies.result(timeout=30)
        await wait_until_async(lambda: worker.job_tasks, what="it runs")
        assert await never.abort(timeout=30)
        assert await deferred.status() is JobStatus.deferred
        assert {"quick", "again"} <= {found.function for found in await pool.all_job_results()}
        await wait_until_async(lambda: ticks, what="the cron job runs")
        assert await async_check_health(cluster.settings()) == 0
        assert (await admin.workers()).workers
        assert await admin.requeue(["dies"]) == [Deed.done]
        assert await admin.run_now(["later"]) == [Deed.done]
        assert await deferred.result(timeout=30) == "quick"
        assert (await admin.counts(with_done=True)).done
        await admin.stats()
        await admin.crons()
        assert [job.job_id for job in (await admin.jobs(state="done", id_prefix="lat")).jobs] == ["later"]
    for state in ("queued", "running", "deferred", "done", "dead"):
        await admin.jobs(state=state)
    keys = {key for server in cluster.servers for key in await in_thread(cluster.ask, server, "KEYS", "*")}
    assert keys
    assert not [key for key in keys if not key.startswith("{app}:")]


async def test_commands_of_the_application_go_where_their_keys_are(pool: ArqRedis, cluster: Cluster) -> None:
    for number in range(30):
        await pool.set(f"mine:{number}", number, ex=60)
    assert [await pool.get(f"mine:{number}") for number in range(30)] == [b"%d" % n for n in range(30)]
    async with pool.pipeline(transaction=False) as pipe:
        for number in (1, 2):
            pipe.get(f"mine:{number}")
        assert await pipe.execute() == [b"1", b"2"]
    assert await pool.enqueue_job("quick")
    told: list[str] = []
    await log_redis_info(pool, told.append)
    assert "redis_version=" in told[0]


@pytest.mark.parametrize("words", ["ls", "ls --state done", "stats", "workers", "crons", "dead ls", "audit"])
async def test_operators_commands(cluster: Cluster, pool: ArqRedis, words: str) -> None:
    await enqueued(pool, "quick")
    found = await in_thread(run_command, *words.split(), ARQ_REDIS=cluster.dsn)
    assert found.code == 0, found.err


async def test_plain_names_are_refused(cluster: Cluster) -> None:
    settings = RedisSettings(port=cluster.servers[0].port, conn_retries=0)
    with pytest.raises(ResponseError, match=r"node of a Redis Cluster: use RedisSettings\(cluster=True"):
        await create_pool(settings)


async def test_a_user_with_just_the_rights_of_arq_acl(cluster: Cluster) -> None:
    address = cluster.dsn.replace("//", "//someone:s3cret@")
    line = run_command("acl", "--redis", address).out
    for server in cluster.servers:
        cluster.ask(server, *line.split())
    pool = await create_pool(RedisSettings.from_dsn(address))
    worker = Worker([quick], redis_pool=pool, handle_signals=False, burst=True, poll_delay=0)
    job = await enqueued(pool, "quick")
    await worker.main()
    assert await job.result(timeout=30) == "quick"
    with pytest.raises(NoPermissionError):
        await pool.get("mine")
    await worker.close()
    for server in cluster.servers:
        refused = [entry for entry in cluster.ask(server, "ACL", "LOG") if "mine" not in str(entry)]
        assert not refused
        cluster.ask(server, "ACL", "DELUSER", "someone")


async def test_a_right_that_is_missing_on_a_cluster(cluster: Cluster) -> None:
    for server in cluster.servers:
        cluster.ask(
            server,
            "ACL",
            "SETUSER",
            "someone",
            "reset",
            "on",
            ">s3cret",
            "~{app}:*",
            "+@read",
            "+@connection",
        )
    address = cluster.dsn.replace("//", "//someone:s3cret@")
    told = (
        re.escape("+cluster|slots")
        + r" .*; all: ~\{app\}:\* \+@read .*\+cluster\|slots \+cluster\|shards; see"
    )
    with pytest.raises(NoPermissionError, match=told):
        await create_pool(RedisSettings.from_dsn(address))
    for server in cluster.servers:
        cluster.ask(server, "ACL", "DELUSER", "someone")


SETTINGS = """
import os
from app import echo
from arq.connections import RedisSettings

class Settings:
    functions = [echo]
    redis_settings = RedisSettings.from_dsn(os.environ["MY_REDIS"])
"""


async def test_a_supervised_pool(
    cluster: Cluster, pool: ArqRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its steward, and --check; the primary goes meanwhile."""
    monkeypatch.setenv("MY_REDIS", cluster.dsn)
    (tmp_path / "clustered.py").write_text(SETTINGS)
    owner = await in_thread(cluster.owner)
    with pool_in(tmp_path, owner.port) as supervised:
        supervised.start("--procs", "2", "--health-interval", "1", settings="clustered.Settings").ready()
        assert await (await enqueued(pool, "echo", 1)).result(timeout=60) == 1
        health = "{app}:arq:queue:health-check"
        await in_thread(wait_until, lambda: cluster.ask(owner, "EXISTS", health), what="the steward writes")
        for words in (["--check"], ["--check", "--fleet"]):
            checked = await in_thread(command, supervised, "clustered.Settings", *words)
            assert checked.returncode == 0, checked.stdout
        supervised.kill(next(iter(supervised.workers().values())))
        await in_thread(supervised.wait_event, "child.ready", 3, role="worker")
        owner.kill()
        assert await (await enqueued(pool, "echo", 2)).result(timeout=60) == 2
        new = await in_thread(cluster.owner)
        await in_thread(wait_until, lambda: cluster.ask(new, "EXISTS", health), what="the steward goes on")
        assert await in_thread(supervised.stop) == 0
