"""Signed and encrypted payloads on a real server, and what somebody can do who writes to it without a key."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import pickle
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from arq import Retry, cron
from arq._keys import dead_key, dead_set_key, job_key, result_key
from arq._payloads.signed_envelope import JOB, RESULT, Envelope
from arq.admin import Admin
from arq.codecs import JobFailed, JsonCodec, Keyring, PayloadRefused
from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.jobs import DeserializationError, Job, JobStatus
from arq.worker import Worker
from tests.arq.redis.harness import QUEUE, Ctx
from tests.conftest import WorkerFactory

pytestmark = pytest.mark.keeps_keys()
#: Set by payloads of an attacker, if anybody reads them.
FLAG: list[str] = []
K1, K2 = "1" * 40, b"2" * 40
KEYS = Keyring({"k2": K2, "k1": K1})
FORMS: dict[str, dict[str, Any]] = {
    "json": {"codec": "json"},
    "msgpack": {"codec": "msgpack"},
    "signed pickle": {"signing": KEYS},
    "signed json": {"codec": "json", "signing": KEYS},
    "encrypted msgpack": {"codec": "msgpack", "signing": KEYS, "encrypt": True},
}
SIGNED = {name: form for name, form in FORMS.items() if "signing" in form}
Connect = Callable[..., Awaitable[ArqRedis]]


def raise_the_flag(word: str) -> str:
    FLAG.append(word)
    return word


class Evil:
    """Pickled, it is a call."""

    def __reduce__(self) -> Any:
        return raise_the_flag, ("pickle",)


async def echo(ctx: Ctx, *args: Any, **kwargs: Any) -> Any:
    return [args, kwargs]


async def note(ctx: Ctx) -> None:
    FLAG.append("ran")


async def broken(ctx: Ctx) -> None:
    raise LookupError("no", 3)


async def second_time(ctx: Ctx) -> int:
    if ctx["job_try"] == 1:
        raise Retry
    return int(ctx["job_try"])


FUNCTIONS = [echo, note, broken, second_time]


@pytest.fixture(autouse=True)
def no_flag() -> None:
    FLAG.clear()


@pytest.fixture
async def connect(redis_settings: RedisSettings) -> AsyncIterator[Connect]:
    """Make clients with options of their own."""
    pools: list[ArqRedis] = []

    async def made(**options: Any) -> ArqRedis:
        pools.append(await create_pool(redis_settings, **options))
        return pools[-1]

    yield made
    for pool in pools:
        await pool.aclose(close_connection_pool=True)


@pytest.fixture
def work(redis_settings: RedisSettings, worker: WorkerFactory) -> Callable[..., Awaitable[Worker]]:
    """Run a worker with these options until the queue is empty."""

    async def worked(**options: Any) -> Worker:
        one = worker(FUNCTIONS, redis_settings=redis_settings, **options)
        await one.main()
        return one

    return worked


Work = Callable[..., Awaitable[Worker]]


async def put(redis: ArqRedis, job_id: str, payload: bytes, queue: str = QUEUE) -> None:
    """Do what anybody can do who can write to Redis."""
    await redis.set(job_key(job_id), payload, ex=3600)
    await redis.zadd(queue, {job_id: 1})


async def raw(redis: ArqRedis, key: str) -> bytes:
    """What stands there."""
    found: Any = await redis.get(key)
    return bytes(found)


def forged_job(**changes: Any) -> dict[str, Any]:
    return {"t": None, "f": "note", "a": (), "k": {}, "et": 1} | changes


def forged_result(**changes: Any) -> dict[str, Any]:
    ended = {"s": True, "r": 1, "st": 1, "ft": 2, "q": QUEUE, "id": "x"}
    return forged_job(t=1) | ended | changes


async def refused(job: Job) -> str:
    """What a result says that is no result, or what the failure of a job that was refused."""
    with pytest.raises(DeserializationError) as caught:
        await job.result(timeout=5)
    return str(caught.value)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_jobs_and_results(connect: Connect, work: Work, form: dict[str, Any]) -> None:
    pool = await connect(**form)
    job = await pool.enqueue_job("echo", 1, ("a",), when=datetime(2026, 1, 1))
    failing = await pool.enqueue_job("broken")
    again = await pool.enqueue_job("second_time")
    assert job
    assert failing
    assert again
    info = await job.info()
    assert info
    assert (info.function, info.args, info.kwargs) == (
        "echo",
        (1, ("a",)),
        {"when": datetime(2026, 1, 1)},
    )
    assert sorted(one.function for one in await pool.queued_jobs()) == ["broken", "echo", "second_time"]
    await work(**form)
    assert await job.result(timeout=5) == [(1, ("a",)), {"when": datetime(2026, 1, 1)}]
    assert await again.result(timeout=5) == 2
    with pytest.raises(LookupError) as caught:
        await failing.result(timeout=5)
    assert caught.value.args == ("no", 3)
    results = await pool.all_job_results()
    assert sorted(one.function for one in results) == ["broken", "echo", "second_time"]
    assert await job.status() is JobStatus.complete
    await again_from_the_dead(pool, failing, work, form)


async def again_from_the_dead(pool: ArqRedis, job: Job, work: Work, form: dict[str, Any]) -> None:
    """A job that was requeued is the same job: its signature is right."""
    assert await Admin(pool).requeue([job.job_id]) == ["done"]
    await work(**form)
    with pytest.raises(LookupError):
        await job.result(timeout=5)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_a_pickle_runs_nothing(connect: Connect, work: Work, form: dict[str, Any]) -> None:
    pool = await connect(**form)
    evil = pickle.dumps(forged_job(a=(Evil(),)))
    await put(pool, "evil", evil)
    job = Job("evil", pool)
    admin = Admin(pool)
    assert [one.job_id for one in await pool.queued_jobs()] == ["evil"]
    with pytest.raises(PayloadRefused):
        await job.info()
    assert (await admin.jobs()).jobs
    assert await admin.job("evil")
    await work(**form)
    assert "unable to deserialize job" in await refused(job)
    assert (await admin.jobs(state="dead")).jobs[0].job_id == "evil"
    assert await pool.hget(dead_key("evil"), "payload") == evil
    assert await admin.requeue(["evil"]) == ["done"]
    await work(**form)
    assert await pool.zcard(dead_set_key(QUEUE)) == 1
    await pool.set(result_key("evil"), pickle.dumps(forged_result(r=Evil())), ex=60)
    assert "unable to deserialize job result" in await refused(job)
    with pytest.raises(PayloadRefused):
        await job.result_info()
    with pytest.raises(PayloadRefused):
        await job.info()
    assert [one.success for one in await pool.all_job_results()] == [False]
    await put(pool, "aborted", evil)
    assert await Job("aborted", pool).abort()
    await put(pool, "aborted2", evil)
    assert await admin.abort("aborted2") == "done"
    assert FLAG == []


@pytest.mark.parametrize("form", SIGNED.values(), ids=SIGNED)
async def test_what_is_signed_stands_for_its_id_and_queue(
    connect: Connect, work: Work, form: dict[str, Any]
) -> None:
    pool = await connect(**form)
    await pool.enqueue_job("note", _job_id="good")
    payload = await raw(pool, job_key("good"))
    await work(**form)
    assert FLAG == ["ran"]
    result = await raw(pool, result_key("good"))
    FLAG.clear()
    await put(pool, "other", payload)
    await put(pool, "elsewhere", payload)
    await put(pool, "result", result)
    flipped = bytearray(payload)
    flipped[-1] ^= 1
    await put(pool, "flipped", bytes(flipped))
    await work(**form)
    await put(pool, "good2", payload, "q2")
    await put(pool, "good", payload, "q2")
    await work(queue_name="q2", **form)
    assert FLAG == []
    assert await pool.zcard(dead_set_key(QUEUE)) == 4
    assert await pool.zcard(dead_set_key("q2")) == 2
    await pool.set(result_key("other"), result, ex=60)
    assert "not that of this job id" in await refused(Job("other", pool))
    await pool.set(result_key("good"), result, ex=60)
    assert await Job("good", pool).result() is None
    assert "is signed for queue 'arq:queue', and this is 'q2'" in await refused(
        Job("good", pool, _queue_name="q2")
    )
    await pool.set(result_key("good"), payload, ex=60)
    assert "the reverse" in await refused(Job("good", pool))


async def test_what_another_key_has_signed(connect: Connect, work: Work) -> None:
    own = await connect(codec="json", signing=Keyring({"k2": "other" * 10}))
    unknown = await connect(codec="json", signing=Keyring({"k3": "other" * 10}))
    one, two = await own.enqueue_job("note"), await unknown.enqueue_job("note")
    assert one
    assert two
    form: dict[str, Any] = {"codec": "json", "signing": KEYS}
    await work(**form)
    assert FLAG == []
    pool = await connect(**form)
    assert "its signature, with key 'k2'," in await refused(Job(one.job_id, pool))
    assert "signed with key 'k3', which is not in the keyring (k2, k1)" in await refused(
        Job(two.job_id, pool)
    )
    assert await pool.zcard(dead_set_key(QUEUE)) == 2


async def test_keys_are_replaced_while_jobs_wait(connect: Connect, work: Work) -> None:
    """In each step there are processes of this one and of the one before; the old key leaves when all has expired."""
    steps: list[dict[str, str | bytes]] = [{"k1": K1}, {"k1": K1, "k2": K2}, {"k2": K2, "k1": K1}]
    for before, after in pairwise(steps):
        for writer, reader in ((before, after), (after, before)):
            pool = await connect(signing=Keyring(writer))
            job = await pool.enqueue_job("echo", 1)
            assert job
            await work(signing=Keyring(reader))
            assert await job.result(timeout=5) == [(1,), {}]
    old = await connect(signing=Keyring(steps[1]))
    job = await old.enqueue_job("echo", 1)
    assert job
    await work(signing=Keyring({"k2": K2}))
    assert "signed with key 'k1', which is not in the keyring (k2)" in await refused(job)


STEPS: list[tuple[dict[str, Any], str]] = [
    ({}, "pickle"),
    ({"accepts": ["pickle", "json"], "signing": KEYS, "accept_unsigned": True}, "signed pickle"),
    (
        {"codec": "json", "accepts": ["pickle", "json"], "signing": KEYS, "accept_unsigned": True},
        "signed json",
    ),
    ({"codec": "json", "accepts": ["pickle", "json"], "signing": KEYS}, "only signed"),
    ({"codec": "json", "signing": KEYS}, "only json"),
]


@pytest.mark.filterwarnings("ignore:codec 'json' is written, but pickle")
@pytest.mark.parametrize("number", range(1, 4))
async def test_neighbouring_steps_of_a_migration_read_each_other(
    connect: Connect, work: Work, number: int
) -> None:
    """Forwards and backwards: in each step there are processes of this one and of the one before."""
    old, new = STEPS[number - 1][0], STEPS[number][0]
    for writer, reader in ((old, new), (new, old)):
        pool, other = await connect(**writer), await connect(**reader)
        job = await pool.enqueue_job("echo", 1)
        assert job
        await work(**reader)
        assert await job.result(timeout=5) == [(1,), {}]
        assert await Job(job.job_id, other).result(timeout=5) == [(1,), {}]
    assert await pool.zcard(dead_set_key(QUEUE)) == 0


async def test_what_is_not_signed_is_counted(
    connect: Connect, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    plain = await connect()
    for _ in range(3):
        await plain.enqueue_job("note")
    caplog.set_level(logging.WARNING)
    one = await work(signing=KEYS, accept_unsigned=True)
    assert FLAG == ["ran"] * 3
    assert one.payload_format is not None
    assert one.payload_format.unsigned == 3
    assert caplog.text.count("without a signature were accepted (accept_unsigned)") == 1


async def test_cron_jobs_are_signed(
    connect: Connect, worker: WorkerFactory, redis_settings: RedisSettings
) -> None:
    """Also where the worker was given a client that does not sign."""
    for form in FORMS.values():
        owns: list[dict[str, Any]] = [{"redis_settings": redis_settings}, {"redis_pool": await connect()}]
        for own in owns:
            FLAG.clear()
            for unique in (True, False):
                job = cron(note, run_at_startup=True, unique=unique, second=0)
                await worker(cron_jobs=[job], **own, **form).main()
            assert FLAG == ["ran"] * 2


async def test_a_worker_goes_by_the_client_that_it_was_given(connect: Connect, worker: WorkerFactory) -> None:
    pool = await connect(codec="json", signing=KEYS)
    await put(pool, "evil", pickle.dumps(forged_job(a=(Evil(),))))
    await pool.enqueue_job("note")
    await worker(FUNCTIONS, redis_pool=pool).main()
    assert FLAG == ["ran"]


async def test_what_can_be_said_of_an_encrypted_job(connect: Connect, work: Work) -> None:
    form = FORMS["encrypted msgpack"]
    pool = await connect(**form)
    await pool.enqueue_job("echo", "a secret", _job_id="a")
    admin = Admin(await connect())
    (job,) = (await admin.jobs()).jobs
    assert (job.function, job.arguments, job.problem) == ("echo", "encrypted", "")
    assert b"secret" not in await raw(pool, job_key("a"))
    await work(**form)
    assert b"secret" not in await raw(pool, result_key("a"))
    details = await admin.job("a")
    assert details
    assert (details.job.function, details.job.arguments, details.job.result) == (
        "echo",
        "encrypted",
        "encrypted",
    )
    assert "without keys" not in details.job.problem
    no_keys = await connect(accepts=["pickle", "json"])
    assert "it is encrypted, and there are no keys here" in await refused(Job("a", no_keys))
    assert "it is encrypted, and there are no keys here" in await refused(Job("a", await connect()))


async def test_the_worker_lives(connect: Connect, work: Work, caplog: pytest.LogCaptureFixture) -> None:
    """One line and one outcome for each job that can't be read, and the good one is run."""
    pool = await connect(codec="json", signing=KEYS)
    await pool.enqueue_job("note", _job_id="good")
    payload = await raw(pool, job_key("good"))
    bad = {
        "empty": b"\x01",
        "truncated": payload[:30],
        "shorter": payload[:-1],
        "version": b"\x01\x09" + payload[2:],
        "kind": b"\x01\x01x" + payload[3:],
        "key": Envelope(JOB, False, "\udcff", b"", b"", b"0" * 32, b"x").head() + b"0" * 33,
        "unsigned": json.dumps(forged_job(a=[])).encode(),
        "pickle": pickle.dumps(forged_job()),
        "huge": b"\x80" * 10_000_000,
        "huge signed": payload[:20] + b"\xff" * 10_000_000,
    }
    for job_id, data in bad.items():
        await put(pool, job_id, data)
    caplog.set_level(logging.ERROR)
    one = await work(codec="json", signing=KEYS)
    assert (one.jobs_complete, one.jobs_failed) == (1, len(bad))
    assert FLAG == ["ran"]
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == len(bad)
    assert all(
        line.startswith("deserializing job ") and "\n" not in line and len(line) < 300 for line in lines
    )
    assert not any(record.exc_info for record in caplog.records)
    assert await pool.zcard(dead_set_key(QUEUE)) == len(bad)


async def test_a_result_for_a_type_that_is_not_here(
    connect: Connect, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    pool = await connect(codec="json")
    await put(
        pool, "a", JsonCodec().dumps(forged_job(f="echo", a=({"$": 1},))).replace(b'"dict"', b'"dataclass"')
    )
    caplog.set_level(logging.ERROR)
    await work(codec="json")
    (record,) = caplog.records
    assert "\n" not in record.getMessage()
    assert record.exc_info is None
    with pytest.raises(RuntimeError, match="unable to deserialize job"):
        await Job("a", pool).result(timeout=5)
    raised = {"$": "exception", "name": "not_here:Odd", "text": "so it is", "args": ["so it is"]}
    data = forged_result(s=False, r=raised, a=[])
    await pool.set(result_key("b"), json.dumps(data).encode(), ex=60)
    with pytest.raises(JobFailed, match="not_here.Odd: so it is"):
        await Job("b", pool).result(timeout=5)


async def test_without_results_what_is_refused_is_kept(connect: Connect, work: Work) -> None:
    pool = await connect()
    await put(pool, "evil", pickle.dumps(forged_job(a=(Evil(),))))
    await work(signing=KEYS, keep_result=0)
    assert await pool.zcard(dead_set_key(QUEUE)) == 1
    assert not await pool.exists(result_key("evil"))


async def test_a_job_signed_with_a_newer_key_is_left_to_others(
    connect: Connect, worker: WorkerFactory, redis_settings: RedisSettings
) -> None:
    pool = await connect(signing=Keyring({"k3": "3" * 40}))
    job = await pool.enqueue_job("note")
    assert job
    one = worker(FUNCTIONS, redis_settings=redis_settings, signing=KEYS, unreadable="retry")
    await one.main()
    assert await job.status() is JobStatus.queued
    await pool.delete(*[key async for key in pool.scan_iter("arq:left:*")])
    await pool.zadd(QUEUE, {job.job_id: 1})
    await worker(FUNCTIONS, redis_settings=redis_settings, signing=Keyring({"k2": K2, "k3": "3" * 40})).main()
    assert FLAG == ["ran"]


async def test_aborted_jobs_have_signed_results(connect: Connect) -> None:
    pool = await connect(codec="json", signing=KEYS)
    job = await pool.enqueue_job("echo", 5, _defer_by=60)
    assert job
    assert await job.abort()
    info = await job.result_info()
    assert info
    assert isinstance(info.result, asyncio.CancelledError)
    assert info.args == (5,)
    assert (await raw(pool, result_key(job.job_id)))[2:3] == RESULT


# --- operators ----------------------------------------------------------------------------------------------------


async def test_operators_with_keys_do_not_look_into_what_is_not_signed(connect: Connect, work: Work) -> None:
    pool = await connect(codec="json", signing=KEYS)
    await pool.enqueue_job("broken", _job_id="good")
    payload = await raw(pool, job_key("good"))
    await put(pool, "forged", json.dumps(forged_job(a=[])).encode())
    await put(pool, "copied", payload)
    admin = Admin(pool)
    seen = {job.job_id: (job.function, job.problem) for job in (await admin.jobs()).jobs}
    assert seen["good"] == ("broken", "")
    assert seen["forged"] == (None, "it is not signed")
    assert seen["copied"][0] is None
    assert "not that of this job id" in seen["copied"][1]
    await work(codec="json", signing=KEYS)
    dead = {job.job_id: (job.function, job.problem) for job in (await admin.jobs(state="dead")).jobs}
    assert dead["good"] == ("broken", "")
    assert dead["forged"][1] == "it is not signed"
    entry: Any = await pool.hget(dead_key("good"), "entry")
    forged = entry.replace(b"LookupError", b"ForgedError")
    await pool.hset(dead_key("good"), "entry", forged)
    (job,) = [one for one in (await admin.jobs(state="dead")).jobs if one.job_id == "good"]
    assert (job.error, job.problem) == ("", "what is kept of its failure is not signed by one of the keys")
    plain = Admin(await connect())
    assert len((await plain.jobs(state="dead")).jobs) == 3
    done = {job.job_id: job.problem for job in (await admin.jobs(state="done")).jobs}
    assert done == dict.fromkeys(("good", "forged", "copied"), "")


@pytest.mark.parametrize("form", SIGNED.values(), ids=SIGNED)
async def test_what_operators_write_is_signed(
    connect: Connect, worker: WorkerFactory, redis_settings: RedisSettings, form: dict[str, Any]
) -> None:
    pool = await connect(**form)
    job = await pool.enqueue_job("echo", _defer_by=60)
    assert job
    async with Admin.connect(redis_settings, signing=KEYS) as admin:
        assert await admin.abort(job.job_id) == "done"
        with pytest.raises(asyncio.CancelledError):
            await job.result(timeout=5)
        schedule = cron(note, month=1, day=1)
        await worker(cron_jobs=[schedule], redis_settings=redis_settings, **form).main()
        assert await admin.run_cron("cron:note")
        with pytest.raises(ValueError, match="ARQ_SIGNING_KEYS"):
            await Admin(await connect()).run_cron("cron:note")
        # nothing that stands in Redis is signed
        table: Any = await pool.hgetall("arq:crons:arq:queue")
        ((field, text),) = table.items()
        shown = {**json.loads(text), "payload": base64.b64encode(b"\x01{" + b"evil").decode()}
        await pool.hset("arq:crons:arq:queue", field, json.dumps(shown))
        await admin.run_cron("cron:note")
    json_too = {"accepts": [form.get("codec", "pickle"), "json"]} if form.get("codec") != "json" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        await worker(cron_jobs=[schedule], redis_settings=redis_settings, **form | json_too).main()
    assert FLAG == ["ran"] * 2


async def test_plain_processes_say_what_they_can_not_read(
    connect: Connect, work: Work, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    for options, said in (
        ({"codec": "json"}, "it looks like JSON, which is read with accepts"),
        ({"codec": "json", "signing": KEYS}, "it is signed and no pickle: set codec and signing here"),
        ({"signing": KEYS, "encrypt": True}, "it is encrypted, and there are no keys here"),
    ):
        caplog.clear()
        job = await (await connect(**options)).enqueue_job("note")
        assert job
        await work()
        assert said in caplog.text
        with pytest.raises(DeserializationError):
            await Job(job.job_id, await connect()).result(timeout=5)
    assert FLAG == []
