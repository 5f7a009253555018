"""Producers and workers at work, while a test does something to the cluster."""

from __future__ import annotations

import asyncio
import collections
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from arq import func
from arq.connections import ArqRedis
from arq.jobs import Job
from arq.worker import Worker
from tests.arq.redis.harness import running
from tests.support.clusters import Cluster
from tests.support.eventually import PATIENCE_S, wait_until_async

LIMIT_S = 2 * PATIENCE_S


class Load:
    """Two producers and two workers.

    Attributes:
        jobs: what was enqueued, by its number.
        runs: how often each ran.
    """

    def __init__(self, cluster: Cluster, pool: ArqRedis) -> None:
        self._cluster = cluster
        self._pool = pool
        self._go = asyncio.Event()
        self._go.set()
        self._is_over = False
        self.jobs: dict[int, Job] = {}
        self.runs: collections.Counter[int] = collections.Counter()

    @contextlib.asynccontextmanager
    async def under_way(self) -> AsyncIterator[None]:
        """At the end all jobs that were enqueued have their results."""

        async def work(_: dict[Any, Any], number: int) -> int:
            self.runs[number] += 1
            return number

        function = func(work, name="work")  # type: ignore[arg-type]  # it has arguments

        workers = [
            Worker(
                [function],
                redis_settings=self._cluster.settings(),
                handle_signals=False,
                max_jobs=5,
            )
            for _ in range(2)
        ]
        async with running(*workers):
            producers = [asyncio.create_task(self._produce(first)) for first in (0, 10**9)]
            await self.goes_on()
            try:
                yield
                await self.goes_on()
            finally:
                self._is_over = True
                self._go.set()
                await asyncio.gather(*producers)
            for number, job in self.jobs.items():
                assert await job.result(timeout=LIMIT_S) == number

    async def _produce(self, first: int) -> None:
        number = first
        while not self._is_over:
            await self._go.wait()
            if len(self.jobs) > len(self.runs) + 200:  # what waits in the end takes time
                await asyncio.sleep(0.01)
                continue
            job_id = f"job-{number}"
            # None: it was enqueued, the answer was lost, and the call repeated
            job = await self._pool.enqueue_job("work", number, _job_id=job_id) or Job(job_id, self._pool)
            self.jobs[number] = job
            number += 1
            await asyncio.sleep(0)

    async def goes_on(self) -> None:
        """Wait until jobs are enqueued and run that were not there before."""
        enqueued, ran = len(self.jobs) + 50, len(self.runs) + 50
        await wait_until_async(
            lambda: len(self.jobs) >= enqueued and len(self.runs) >= ran, LIMIT_S, "jobs come and run"
        )

    async def hold(self) -> None:
        """Let no job come until `go_on`; those that are acknowledged are with the replica."""
        self._go.clear()
        owner = await asyncio.to_thread(self._cluster.owner)
        await wait_until_async(
            lambda: self._cluster.ask(owner, "WAIT", 1, 100) >= 1, LIMIT_S, "the replica has all"
        )

    def go_on(self) -> None:
        self._go.set()
