"""docs/security.md: the attacks of its table are run in each mode, and what it names is there."""

from __future__ import annotations

import asyncio
import json
import pickle
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import arq
from arq import connections
from arq._commands.web import web
from arq._keys import dead_key, job_key, result_key
from arq._payloads.signed_envelope import RESULT, Envelope
from arq.admin import Admin
from arq.codecs import Keyring, MsgpackCodec, PayloadRefused
from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.jobs import Job
from supervisor.options import ROWS
from tests.arq.redis.harness import QUEUE, Ctx
from tests.conftest import WorkerFactory
from tests.support.programs import ROOT

PAGE = (ROOT / "docs" / "security.md").read_text()
KEYS = Keyring({"k1": "1" * 40})
#: A column of the table -> the options of the application.
MODES: dict[str, dict[str, Any]] = {
    "pickle": {},
    "JSON": {"codec": "json"},
    "signed": {"signing": KEYS},
    "encrypted": {"codec": "msgpack", "signing": KEYS, "encrypt": True},
}
RAN: list[Any] = []


def run(what: str) -> None:
    """What payloads of an attacker call."""
    RAN.append(what)


class Evil:
    """Pickled, it is a call."""

    def __reduce__(self) -> Any:
        return run, ("code",)


async def pay(ctx: Ctx, amount: int = 0) -> int:
    RAN.append(amount)
    if amount == 13:
        raise ValueError("unlucky")
    return amount


class Scene:
    """An application, and somebody who can read and write all keys."""

    def __init__(self, pool: ArqRedis, attacker: ArqRedis, work: Callable[[], Awaitable[Any]]) -> None:
        self.pool, self.attacker, self.work = pool, attacker, work

    async def put(self, job_id: str, payload: bytes, queue: str = QUEUE) -> None:
        await self.attacker.set(job_key(job_id), payload, ex=100)
        await self.attacker.zadd(queue, {job_id: 1})

    async def written(self, data: dict[str, Any], put: Callable[[bytes], Awaitable[Any]]) -> None:
        """Write something in each format that there is."""
        listed = {**data, "a": list(data["a"])}
        for payload in (pickle.dumps(data), json.dumps(listed).encode(), MsgpackCodec().dumps(data)):
            await put(payload)

    async def found(self, key: str) -> bytes:
        value: Any = await self.attacker.get(key)
        return bytes(value)


def job(*args: Any) -> dict[str, Any]:
    return {"t": None, "f": "pay", "a": args, "k": {}, "et": 1}


def result(value: Any) -> dict[str, Any]:
    return {**job(), "t": 1, "s": True, "r": value, "st": 1, "ft": 2, "q": QUEUE, "id": "x"}


async def code_in_workers(scene: Scene) -> bool:
    await scene.put("x", pickle.dumps(job(Evil())))
    await scene.work()
    return "code" in RAN


async def code_in_readers(scene: Scene) -> bool:
    await scene.attacker.set(result_key("x"), pickle.dumps(result(Evil())), ex=100)
    await readable(scene, "x")
    await scene.pool.all_job_results()
    return "code" in RAN


async def readable(scene: Scene, job_id: str) -> Any:
    try:
        return await Job(job_id, scene.pool).result(timeout=5)
    except Exception as exc:
        return exc


async def any_job(scene: Scene) -> bool:
    async def put(payload: bytes) -> None:
        await scene.put(f"x{len(payload)}", payload)

    await scene.written(job(7), put)
    await scene.work()
    return 7 in RAN


async def any_result(scene: Scene) -> bool:
    got: list[Any] = []

    async def put(payload: bytes) -> None:
        await scene.attacker.set(result_key("x"), payload, ex=100)
        got.append(await readable(scene, "x"))

    await scene.written(result("forged"), put)
    return "forged" in got


async def under_another_id(scene: Scene) -> bool:
    await scene.pool.enqueue_job("pay", 5, _job_id="a")
    await scene.put("b", await scene.found(job_key("a")))
    await scene.work()
    await scene.attacker.set(result_key("c"), await scene.found(result_key("a")), ex=100)
    return RAN == [5, 5] or await readable(scene, "c") == 5


async def dead_entry(scene: Scene) -> bool:
    await scene.pool.enqueue_job("pay", 13, _job_id="a")
    await scene.work()
    entry: Any = await scene.attacker.hget(dead_key("a"), "entry")
    await scene.attacker.hset(dead_key("a"), "entry", entry.replace(b"unlucky", b"forged!"))
    (dead,) = (await Admin(scene.pool).jobs(state="dead")).jobs
    return "forged!" in dead.error


async def read_arguments(scene: Scene) -> bool:
    await scene.pool.enqueue_job("pay", amount="secret-text", _job_id="a")
    return b"secret-text" in await scene.found(job_key("a"))


async def read_names(scene: Scene) -> bool:
    await scene.pool.enqueue_job("pay", 13, _job_id="a")
    entry = await scene.found(job_key("a"))
    await scene.work()
    kept: Any = await scene.attacker.hget(dead_key("a"), "entry")
    return b"pay" in entry and b"unlucky" in kept


async def again(scene: Scene) -> bool:
    await scene.pool.enqueue_job("pay", 5, _job_id="a")
    payload = await scene.found(job_key("a"))
    await scene.work()
    await scene.attacker.delete(result_key("a"))
    await scene.put("a", payload)
    await scene.work()
    return RAN == [5, 5]


async def delete(scene: Scene) -> bool:
    await scene.pool.enqueue_job("pay", 5)
    await scene.attacker.delete(QUEUE)
    await scene.work()
    return RAN == []


async def odd_keys(scene: Scene) -> bool:
    return bool(await scene.attacker.set("arq:abort", "no set", ex=100))


#: In the order of the table.
ATTACKS = (
    code_in_workers,
    code_in_readers,
    any_job,
    any_result,
    under_another_id,
    dead_entry,
    read_arguments,
    read_names,
    again,
    delete,
    odd_keys,
)


def rows() -> list[list[str]]:
    table = PAGE.partition("| somebody without keys")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_the_table_has_a_column_for_each_mode_and_a_row_for_each_attack() -> None:
    head, _, *body = rows()
    assert head[1:] == list(MODES)
    assert len(body) == len(ATTACKS)


@pytest.mark.keeps_keys
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("attack", ATTACKS)
async def test_what_the_table_says_is_so(
    attack: Callable[[Scene], Awaitable[bool]],
    mode: str,
    arq_redis: ArqRedis,
    redis_settings: RedisSettings,
    worker: WorkerFactory,
) -> None:
    RAN.clear()
    pool = await create_pool(redis_settings, **MODES[mode])

    async def work() -> None:
        await worker([arq.func(pay, name="pay")], redis_settings=redis_settings, **MODES[mode]).main()

    said = rows()[2 + ATTACKS.index(attack)][1 + list(MODES).index(mode)]
    assert await attack(Scene(pool, arq_redis, work)) is {"yes": True, "no": False}[said]
    await pool.aclose(close_connection_pool=True)


@pytest.mark.keeps_keys
@pytest.mark.parametrize("mode", ["pickle", "JSON"])
async def test_a_process_without_keys_is_as_open_as_its_codec(
    mode: str, arq_redis: ArqRedis, redis_settings: RedisSettings
) -> None:
    """What looks signed changes nothing for it: an envelope with any signature around a hostile result."""
    RAN.clear()
    reader = await create_pool(redis_settings, **MODES[mode])
    envelope = Envelope(RESULT, False, "k1", QUEUE.encode(), b"", b"", b"")
    for body in (pickle.dumps(result(Evil())), json.dumps(result("forged") | {"a": []}).encode()):
        await arq_redis.set(result_key("x"), envelope.head() + b"0" * 32 + body, ex=100)
        got = await readable(Scene(reader, arq_redis, asyncio.Event().wait), "x")
        if body.startswith(b"{") is (mode == "JSON"):  # what it accepts
            assert got == (None if mode == "pickle" else "forged")
        else:
            assert isinstance(got, PayloadRefused)
    assert ("code" in RAN) is (mode == "pickle")
    await reader.aclose(close_connection_pool=True)


def test_options_that_are_named_are_there() -> None:
    known = {row.option for row in ROWS.values()}
    known |= {option for parameter in web.params for option in parameter.opts} | {
        "--print-unit",
        "--settings",
    }
    named = set(re.findall(r"(--[a-z][a-z-]+)", PAGE))
    assert named
    assert not {option for option in named if not any(one and option in one for one in known)}


def test_settings_of_redis_that_are_named_can_be_given() -> None:
    calls = re.findall(r"`(RedisSettings\([^`]*\))`", PAGE)
    assert len(calls) == 2
    for call in calls:
        settings = eval(call, {"RedisSettings": connections.RedisSettings})
        assert "secret" not in repr(settings)


def test_directives_and_container_options_are_in_our_files() -> None:
    unit = (ROOT / "systemd" / "arq-supervise.service").read_text()
    directives = re.findall(r"`([A-Z][A-Za-z]+=[0-9]*)`", PAGE)
    assert len(directives) >= 7
    assert not {one for one in directives if not re.search(rf"^{one}", unit, re.MULTILINE)}
    compose = (ROOT / "examples" / "deploy" / "compose.yaml").read_text()
    for text in ("read_only", "cap_drop", "no-new-privileges"):
        assert f"`{text}`" in PAGE
        assert text in compose
