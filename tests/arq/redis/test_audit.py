"""The audit trail: what operators do with `Admin` and with `arq`."""

from __future__ import annotations

import asyncio
import json

import pytest
import redis

from arq.admin import Admin, AuditNote
from arq.connections import ArqRedis
from tests.arq.redis.operators import run_command
from tests.support.servers import RedisServer

pytestmark = pytest.mark.filterwarnings("error")


def told(note: AuditNote) -> tuple[str, str, str, int, dict[str, int], list[str]]:
    return note.by, note.action, note.queue, note.count, note.outcomes, note.ids


async def test_each_deed_is_noted(arq_redis: ArqRedis, engine: None) -> None:
    admin = Admin(arq_redis, by="anna")
    await arq_redis.enqueue_job("f", _job_id="one", _defer_by=60)
    await admin.run_now(["one"])
    await admin.delete(["one", "two"])
    await admin.pause("q", note="maintenance")
    await admin.resume("q")
    await admin.pause_cron("cron:none")
    await admin.tell("nobody", "stop", wait=0)
    newest = [told(note) for note in await admin.audit()]
    assert newest == [
        ("anna", "stop worker", "", 1, {"unknown": 1}, ["nobody"]),
        ("anna", "pause cron", "arq:queue", 1, {"unknown": 1}, ["cron:none"]),
        ("anna", "resume", "q", 1, {"done": 1}, ["q"]),
        ("anna", "pause", "q", 1, {"done": 1}, ["q"]),
        ("anna", "delete", "arq:queue", 2, {"done": 1, "unknown": 1}, ["one", "two"]),
        ("anna", "run now", "arq:queue", 1, {"done": 1}, ["one"]),
    ]
    assert 0 < await arq_redis.pttl("arq:audit") <= 90 * 86_400_000


async def test_many_steps_of_one_deed_are_one_note(arq_redis: ArqRedis) -> None:
    admin = Admin(arq_redis, by="anna")
    ids = [f"job {n}" for n in range(250)]
    async with admin.as_one("delete", "arq:queue", len(ids)):
        for job_id in ids:
            await admin.delete([job_id])
    end, begin = await admin.audit()
    assert (end.count, end.outcomes, end.ids) == (250, {"unknown": 250}, ids[:20])
    assert (begin.count, begin.outcomes, begin.note) == (250, {}, "(begins)")


async def test_what_was_done_before_trouble_is_noted(arq_redis: ArqRedis) -> None:
    admin = Admin(arq_redis, by="anna")

    async def interrupted() -> None:
        async with admin.as_one("delete", "arq:queue", 2):
            await admin.delete(["one"])
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await interrupted()
    (note,) = await admin.audit()
    assert (note.count, note.outcomes) == (1, {"unknown": 1})


async def test_old_notes_go(arq_redis: ArqRedis) -> None:
    admin = Admin(arq_redis)
    pipe = arq_redis.pipeline(transaction=False)
    for n in range(2500):
        pipe.xadd("arq:audit", {"by": "x", "action": str(n)})
    await pipe.execute()
    await admin.delete(["one"])
    assert await arq_redis.xlen("arq:audit") < 1200
    page = await admin.audit(limit=10)
    older = await admin.audit(limit=10, before=page[-1].note_id)
    assert [note.action for note in older] == [str(n) for n in range(2490, 2480, -1)]
    with pytest.raises(ValueError, match="no id of a note"):
        await admin.audit(before="x")


async def test_a_deed_is_done_also_where_it_can_not_be_noted(
    arq_redis: ArqRedis, redis_client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    """The user of Redis may not write this key, for example."""
    redis_client.acl_setuser(
        "weak", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-xadd"], reset=True
    )
    try:
        await arq_redis.enqueue_job("f", _job_id="one")
        weak = ArqRedis(
            host=str(arq_redis.connection_pool.connection_kwargs["host"]),
            port=arq_redis.connection_pool.connection_kwargs["port"],
            username="weak",
            password="any",
        )
        assert await Admin(weak).delete(["one"]) == ["done"]
        await weak.aclose(close_connection_pool=True)
        assert "delete of 1 in arq:queue is not in the audit trail" in caplog.text
    finally:
        redis_client.acl_deluser("weak")


async def test_what_is_no_note_does_no_harm(arq_redis: ArqRedis) -> None:
    admin = Admin(arq_redis)
    await arq_redis.set("arq:audit", "x", ex=60)
    await admin.delete(["one"])
    assert len(await admin.audit()) == 1
    await arq_redis.xadd("arq:audit", {b"\xff": b"\xfe", "outcomes": "[1]", "ids": '{"a": 1}', "count": "-"})
    note = (await admin.audit())[0]
    assert (note.count, note.outcomes, note.ids) == (0, {}, [])


def test_what_commands_do_is_listed(redis_server: RedisServer, redis_client: redis.Redis) -> None:
    env = {"ARQ_REDIS": redis_server.dsn}
    assert "nobody has done anything" in run_command("audit", **env).err
    run_command("rm", "--yes", *(f"job-{n}" for n in range(150)), **env)
    run_command("pause", "q", "--note", "deploy", **env)
    run_command("resume", "q", **env)
    rows = run_command("audit", "--json", **env).rows
    assert [(row["action"], row["queue"], row["count"], row["note"]) for row in rows] == [
        ("resume", "q", 1, ""),
        ("pause", "q", 1, "deploy"),
        ("delete", "arq:queue", 150, ""),
        ("delete", "arq:queue", 150, "(begins)"),
    ]
    assert all("@" in row["by"] for row in rows)
    shown = run_command("audit", "-n", "1", **env).out
    assert "resume" in shown
    assert len(shown.splitlines()) == 2
    json.dumps(rows)
