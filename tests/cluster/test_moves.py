"""Fail-overs and moves of our slot under load: workers and producers ride them out, and no job is lost."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from arq._redis import cluster as cluster_module
from arq._redis import membership, scripts
from arq.connections import ArqRedis, create_pool
from tests.arq.redis.harness import CARELESS, enqueued
from tests.cluster.load import Load
from tests.support.clusters import Cluster
from tests.support.eventually import wait_until_async

SLOT = key_slot(b"{app}:")
pytestmark = pytest.mark.timeout(300)


def in_thread(do: Any, *args: Any) -> Any:
    return asyncio.to_thread(do, *args)


async def test_a_fail_over_that_was_asked_for(cluster: Cluster, pool: ArqRedis) -> None:
    load = Load(cluster, pool)
    async with load.under_way():
        owner = await in_thread(cluster.owner)
        replica = await in_thread(cluster.replica_of, owner)
        assert await in_thread(cluster.ask, replica, "CLUSTER", "FAILOVER") == "OK"
        await wait_until_async(lambda: cluster.owner() is replica, what="the replica is the primary")
    assert set(load.runs.values()) == {1}


async def test_a_primary_that_is_killed(cluster: Cluster, pool: ArqRedis) -> None:
    load = Load(cluster, pool)
    async with load.under_way():
        owner = await in_thread(cluster.owner)
        await load.hold()
        owner.kill()
        load.go_on()


async def test_a_primary_that_stands_still(cluster: Cluster, pool: ArqRedis) -> None:
    """It takes connections and answers nothing; when it comes back, it is a replica."""
    load = Load(cluster, pool)
    owner = await in_thread(cluster.owner)
    async with load.under_way():
        await load.hold()
        owner.pause()
        load.go_on()
        await load.goes_on()
        owner.resume()


async def test_a_slot_that_is_moved_by_keys(cluster: Cluster, pool: ArqRedis) -> None:
    """Half of the keys are here and half there for a while: nobody can do anything then, nor does anything half."""
    load = Load(cluster, pool)
    async with load.under_way():
        source = await in_thread(cluster.owner)
        target = await in_thread(cluster.another, source)
        await in_thread(cluster.begin_move, source, target, SLOT)
        for most in (1, 10, 40):
            await in_thread(cluster.move_keys, source, target, SLOT, most)
            await asyncio.sleep(0)
        await in_thread(cluster.end_move, source, target, SLOT)
        assert await in_thread(cluster.owner) is target
    assert set(load.runs.values()) == {1}


async def test_a_move_that_is_called_off_before_a_key_has_gone(cluster: Cluster, pool: ArqRedis) -> None:
    load = Load(cluster, pool)
    async with load.under_way():
        source = await in_thread(cluster.owner)
        target = await in_thread(cluster.another, source)
        await in_thread(cluster.begin_move, source, target, SLOT)
        for server in (target, source):
            await in_thread(cluster.ask, server, "CLUSTER", "SETSLOT", SLOT, "STABLE")
    assert set(load.runs.values()) == {1}


async def test_a_slot_that_is_moved_at_once(cluster: Cluster, pool: ArqRedis) -> None:
    source = await in_thread(cluster.owner)
    if "valkey_version:9" not in cluster.ask(source, "INFO", "server"):
        pytest.skip("only Valkey 9 has CLUSTER MIGRATESLOTS")
    load = Load(cluster, pool)
    async with load.under_way():
        target = await in_thread(cluster.another, source)
        words = ("SLOTSRANGE", SLOT, SLOT, "NODE", cluster.id_of(target))
        assert await in_thread(cluster.ask, source, "CLUSTER", "MIGRATESLOTS", *words) == "OK"
        await wait_until_async(lambda: cluster.owner() is target, what="the slot is the target's")
    assert set(load.runs.values()) == {1}


async def test_scripts_are_forgotten(cluster: Cluster, pool: ArqRedis) -> None:
    load = Load(cluster, pool)
    async with load.under_way():
        await in_thread(cluster.ask, cluster.owner(), "SCRIPT", "FLUSH")


async def test_no_script_is_broken_off_half_way(
    cluster: Cluster, pool: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the slot is moved: neither one whose keys are known, nor a claim, which learns inside what is due."""
    await enqueued(pool, "work", _job_id="a")
    await membership.register(pool, "w", 60_000)
    source = await in_thread(cluster.owner)
    target = await in_thread(cluster.another, source)
    await in_thread(cluster.begin_move, source, target, SLOT)
    before = set(cluster.ask(source, "CLUSTER", "GETKEYSINSLOT", SLOT, 100))
    monkeypatch.setattr(cluster_module.RideOut, "__init__", shortly)
    hasty = await create_pool(cluster.settings(retry=cluster_module.RideOut()))
    claim = scripts.claim("arq:queue", "w", scripts.ClaimRequest(1, 60_000, caution=CARELESS))
    told = rf"^the cluster is in motion: slot {SLOT} is moved by keys, [^\n]*(?i:try_?again|ask)"
    for doing in (hasty.enqueue_job("work", _job_id="b"), scripts.run(hasty, claim)):
        with pytest.raises(RedisConnectionError, match=told):
            await doing
    assert set(cluster.ask(source, "CLUSTER", "GETKEYSINSLOT", SLOT, 100)) == before
    await in_thread(cluster.end_move, source, target, SLOT)
    assert await hasty.enqueue_job("work", _job_id="b")
    answer = scripts.read_claim(await scripts.run(hasty, claim))
    assert not isinstance(answer, scripts.Refusal)
    assert [job.job_id for job in answer.jobs] == ["a"]
    await hasty.aclose()


def shortly(self: Any) -> None:
    super(cluster_module.RideOut, self).__init__(NoBackoff(), 0)
    self._limit_s = 0.2


async def test_half_a_cluster(cluster: Cluster, pool: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nodes that have our keys are away: one line says so, and when they are back all goes on."""
    owner = await in_thread(cluster.owner)
    replica = await in_thread(cluster.replica_of, owner)
    await enqueued(pool, "work", _job_id="a")
    monkeypatch.setattr(cluster_module.RideOut, "__init__", shortly)
    hasty = await create_pool(cluster.settings(retry=cluster_module.RideOut()))
    for server in (replica, owner):
        server.pause()
    with pytest.raises((RedisConnectionError, RedisTimeoutError)) as caught:
        await hasty.enqueue_job("work")
    assert "\n" not in str(caught.value)
    for server in (owner, replica):
        server.resume()
    assert await pool.enqueue_job("work", _job_id="b")
    await hasty.aclose()
