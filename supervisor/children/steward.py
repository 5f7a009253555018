"""The steward: a child without user code that speaks to Redis for the parent.

The parent sends the whole roster, whenever it changes and once a second; so a steward that was restarted knows
everything after the first line. It renews the leases of all workers that are not reaped yet (even of one whose loop
is blocked), gives back the jobs of those that are, writes the health keys, and sweeps up after workers of other hosts.
"""

import asyncio
import datetime
import logging
import math
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import astuple, replace
from typing import TYPE_CHECKING, Any

from arq._health_line import Tally, format_line
from arq._keys import worker_health_key
from arq._lock_time import SUPERVISED_LEASE_S, look_again_s
from arq._redis import membership
from arq._redis.pool_reports import tell_pool
from arq._redis.raw_commands import ask, pairs
from arq.connections import ArqRedis

from ..addresses import split_address
from ..exit_codes import ChildCode
from ..host.process_title import present_as
from ..ipc.brief import Brief
from ..ipc.child_end import ChildEnd, beat, new_loop
from ..ipc.codec import Message, read_message
from ..ipc.frames import LONGEST_ORDER_BYTES, Decoder
from ..ipc.messages import (
    TO_STEWARD,
    BeatMessage,
    ByeMessage,
    HeadcountMessage,
    MetricsMessage,
    QueueMessage,
    ReadyMessage,
    RedisMessage,
    RedisSettingsMessage,
    ReleasedMessage,
    ReleaseFailedMessage,
    RosterMessage,
    StatusMessage,
    brief_ids,
)
from ..ipc.pipes import Pipes
from ..ipc.redis_report import QueueReport, sum_of
from ..ipc.roster import Entry, Roster, merge_by_key
from ..pool.status import PoolStatus
from ..redis_errors import short
from ..time_limits import within
from .pool_report import report_text
from .redis_connections import RedisConnections

if TYPE_CHECKING:
    from .metrics_server import MetricsServer

RENEW_EVERY_S = 5.0
RETRY_FIRST_S = 0.25
RETRY_MAX_S = 5.0
FAREWELL_S = 3.0
SCRAPE_S = 2.0
COMMAND_S = 5.0
KEY_LIFE = 3
REPORT_LIFE_MS = 30_000


async def look_at_queue(pool: ArqRedis, queue: str) -> QueueReport:
    """What Redis says about it now."""
    seconds, microseconds = map(int, await ask(pool, "TIME"))
    now_ms = seconds * 1000 + microseconds // 1000
    depth = await ask(pool, "ZCARD", queue)
    due = await ask(pool, "ZRANGEBYSCORE", queue, "-inf", now_ms, "WITHSCORES", "LIMIT", 0, 1)
    oldest_s = (now_ms - float(pairs(due)[0][1])) / 1000 if due else 0.0
    return QueueReport(is_up=True, queue=queue, depth=depth, oldest_due_s=oldest_s)


def _told(worker_id: str, released: membership.Released) -> ReleasedMessage:
    """For the parent: what a worker had to give back, and which job is to blame."""
    job_ids, (blamed,) = released.job_ids, brief_ids([released.blamed])
    return ReleasedMessage(worker_id, brief_ids(job_ids), len(job_ids), blamed, released.was_suspected)


def _beat(lag_ms: float) -> BeatMessage:
    return BeatMessage(lag_ms=lag_ms)


def main(brief: Brief, pipes: Pipes) -> int:
    """Run the steward; returns the exit code."""
    logging.getLogger("arq").addHandler(
        logging.NullHandler()
    )  # what there is to say of settings, workers say
    present_as("steward", "st", brief.options.name, brief.generation)
    line = ChildEnd(pipes.beat_fd)
    loop = new_loop(brief.options.uvloop)
    return loop.run_until_complete(Steward(brief, pipes, line).run())


class Steward:
    """Keeps what the last roster says."""

    def __init__(self, brief: Brief, pipes: Pipes, line: ChildEnd) -> None:
        self._brief = brief
        self._pipes = pipes
        self._line = line
        self._decoder = Decoder(LONGEST_ORDER_BYTES)
        self._redis = RedisConnections()
        self._roster = Roster()
        self._releasing: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._heard = asyncio.Event()
        self._ending = asyncio.Event()
        self._written: dict[tuple[str, str], tuple[bytes, ...]] = {}
        self._is_lost = False
        self._lost_at_s = 0.0
        self._overdue_s = math.inf
        self._metrics: MetricsServer | None = None
        self._status: PoolStatus | None = None
        self._reported_to: set[str] = set()

    async def run(self) -> int:
        """Until the parent says so, or is gone."""
        loop = asyncio.get_running_loop()
        os.set_blocking(self._pipes.orders_fd, False)
        loop.add_reader(self._pipes.orders_fd, self._read)
        loop.add_reader(self._pipes.life_fd, os._exit, 0)
        for number in (signal.SIGTERM, signal.SIGQUIT):
            signal.signal(number, self._on_stop)
        duties = [
            asyncio.create_task(beat(self._line, self._brief.options.heartbeat_s, _beat)),
            asyncio.create_task(self._keep(RENEW_EVERY_S, self._renew)),
            asyncio.create_task(self._keep(self._brief.options.health_interval_s, self._write_health)),
            asyncio.create_task(self._keep(RENEW_EVERY_S, self._report_pool)),
        ]
        if self._brief.options.metrics:
            duties.append(asyncio.create_task(self._serve_metrics(self._brief.options.metrics)))
        self._line.send_surely(ReadyMessage())
        await self._ending.wait()
        for duty in duties:
            duty.cancel()
        self._read()
        with suppress(TimeoutError):
            await within(FAREWELL_S, self._farewell())
        self._line.send_surely(ByeMessage("stop"))
        return ChildCode.CLEAN

    def _on_stop(self, *_: object) -> None:
        asyncio.get_event_loop().call_soon_threadsafe(self._ending.set)

    # --- from the parent ------------------------------------------------------------------------------------------

    def _read(self) -> None:
        try:
            while data := os.read(self._pipes.orders_fd, 65536):
                for frame in self._decoder.feed(data):
                    self._take(read_message(frame, TO_STEWARD))
        except BlockingIOError:
            return

    def _take(self, message: Message | None) -> None:
        match message:
            case RedisSettingsMessage(name=name, settings=settings):
                self._redis.take(name, settings)
            case HeadcountMessage(headcount=headcount) if self._metrics is not None:
                self._metrics.take_headcount(headcount)
            case StatusMessage(status=status, jobs=jobs):
                self._status = status
                if self._metrics is not None:
                    self._metrics.take(status, jobs)
            case RosterMessage(roster=roster):
                self._roster = roster
                self._heard.set()
                for entry in roster.lost:
                    self._release_soon(entry)

    # --- Redis ----------------------------------------------------------------------------------------------------

    async def _keep(self, period_s: float, duty: Any) -> None:
        """Do it now and then every `period_s`, or sooner if it says so; Redis being away is said once."""
        await self._heard.wait()
        loop = asyncio.get_running_loop()
        while True:
            begun_s = loop.time()
            try:
                sooner_s = await within(COMMAND_S, duty())
                self._note_reached(begun_s)
            except Exception as error:  # noqa: BLE001  # the next round tries again
                self._note_lost(error, loop.time())
                sooner_s = None
            await asyncio.sleep(min(period_s, sooner_s or period_s))

    def _note_lost(self, error: Exception, now_s: float) -> None:
        self._lost_at_s = now_s
        if not self._is_lost:
            self._is_lost = True
            self._line.send(RedisMessage(short(error)))

    def _note_reached(self, begun_s: float) -> None:
        """What was asked before Redis was lost says nothing of now."""
        if self._is_lost and begun_s > self._lost_at_s:
            self._is_lost = False
            self._line.send(RedisMessage(""))

    async def _renew(self) -> float:
        """Leases of ours, then a look for workers, on any host, that nobody has renewed.

        Returns:
            seconds until one may be overdue.
        """
        self._overdue_s = math.inf
        try:
            await self._each(self._roster.by_redis(), self._renew_at)
        finally:
            await self._close_unused()
        return look_again_s(self._overdue_s, random.random())

    async def _renew_at(self, name: str, entries: list[Entry]) -> None:
        pool = await self._redis.pool(name)
        await membership.renew(pool, [entry.worker_id for entry in entries], round(SUPERVISED_LEASE_S * 1000))
        swept = await membership.sweep(pool)
        self._overdue_s = min(self._overdue_s, swept.next_s)
        for worker_id, released in swept.items():
            self._line.send(_told(worker_id, released))

    async def _close_unused(self) -> None:
        used = {entry.redis for entry in (*self._roster.alive, *self._roster.lost)}
        closed = await self._redis.close_unused(used)
        self._written = {key: texts for key, texts in self._written.items() if key[0] not in closed}

    async def _each(
        self, groups: dict[str, list[Entry]], duty: Callable[[str, list[Entry]], Awaitable[None]]
    ) -> None:
        await self._redis.each(groups, duty, COMMAND_S)

    # --- metrics --------------------------------------------------------------------------------------------------

    async def _serve_metrics(self, address: str) -> None:
        from .metrics_server import MetricsServer

        host, port = split_address(address)
        self._metrics = MetricsServer(self._ask_queue)
        while True:
            try:
                where = await self._metrics.listen(host, port)
            except OSError as error:
                self._line.send(MetricsMessage(address, short(error)))
            else:
                self._line.send(MetricsMessage(where))
                return
            await asyncio.sleep(RENEW_EVERY_S)

    async def _ask_queue(self) -> list[QueueReport]:
        """How long the queue is, and how long the oldest due job has been waiting, on each server."""
        queue = self._roster.queue

        async def look(name: str) -> QueueReport:
            server = self._redis.server_name(name)
            try:
                report = await within(SCRAPE_S, self._look_at_queue(name, queue))
            except Exception:  # noqa: BLE001  # it is away
                return QueueReport(queue=queue, server=server)
            return replace(report, server=server)

        reports = await asyncio.gather(*map(look, self._roster.by_redis()))
        if not self._redis.servers:
            return [sum_of(reports)]
        known = {report.server for report in reports}
        # servers where no worker has been ready so far
        missing = [name for name in self._redis.servers if name not in known]
        return [*reports, *(QueueReport(queue=queue, server=name) for name in missing)]

    async def _look_at_queue(self, name: str, queue: str) -> QueueReport:
        return await look_at_queue(await self._redis.pool(name), queue)

    # --- a dead worker's jobs -------------------------------------------------------------------------------------

    def _release_soon(self, entry: Entry) -> None:
        if entry.worker_id not in self._releasing:
            self._releasing.add(entry.worker_id)
            task = asyncio.create_task(self._release(entry))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _release(self, entry: Entry) -> None:
        pause_s = RETRY_FIRST_S
        while True:
            try:
                pool = await self._redis.pool(entry.redis)
                why = membership.Why(entry.why)
                released = await within(
                    COMMAND_S, membership.release(pool, entry.worker_id, why, entry.detail)
                )
            except Exception as error:  # noqa: BLE001  # Redis is away: the lease or the lock's own end is the fallback
                self._line.send(ReleaseFailedMessage(entry.worker_id, short(error)))
            else:
                self._releasing.discard(entry.worker_id)
                self._line.send_surely(_told(entry.worker_id, released))
                return
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, RETRY_MAX_S)

    # --- health ---------------------------------------------------------------------------------------------------

    async def _write_health(self) -> None:
        """One key for each worker that beats, and the sum under the plain key, all in arq's format."""
        try:
            await self._each(self._roster.by_redis(), self._write_health_at)
        finally:
            facts = sum_of(await self._ask_queue())
            if facts.is_up:
                self._line.send(QueueMessage(facts.depth, facts.oldest_due_s))

    async def _report_pool(self) -> None:
        """How the pool is, for dashboards; where its workers are, or were last if there are none."""
        if self._status is None:
            return
        text = report_text(self._status, time.time())
        names = list(self._roster.by_redis()) or self._redis.last
        self._reported_to.update(names)

        async def tell(name: str, _: list[Entry]) -> None:
            await tell_pool(await self._redis.pool(name), self._pool_name, text, REPORT_LIFE_MS)

        await self._each({name: [] for name in names}, tell)

    @property
    def _pool_name(self) -> str:
        return f"{self._brief.options.name}:{self._brief.host}"

    async def _write_health_at(self, name: str, entries: list[Entry]) -> None:
        now = datetime.datetime.now()  # noqa: DTZ005  # arq writes naive local time
        life_ms = round(self._brief.options.health_interval_s * KEY_LIFE * 1000)
        fresh = [entry for entry in entries if entry.beat_age_s * 1000 < life_ms]
        found = {self._key(entry): entry.counts for entry in fresh}
        found |= merge_by_key(fresh, self._roster.past)
        texts = {key: format_line(Tally(*astuple(counts)), now).encode() for key, counts in found.items()}
        pool = await self._redis.pool(name)
        for key, text in texts.items():
            # the one before stays known: nobody tells whether a write that is cut off was carried out
            self._written[name, key] = (text, *self._written.get((name, key), ())[:1])
        await membership.write_health(pool, texts, life_ms)

    async def _forget_at(self, name: str, _: list[Entry]) -> None:
        keys = [key for at, key in self._written if at == name]
        pool = await self._redis.pool(name)
        if name in self._reported_to:
            await tell_pool(pool, self._pool_name, b"", REPORT_LIFE_MS)
        for key in keys:
            (text,) = await ask(pool, "MGET", key)  # None where somebody has put something else
            if text in self._written[name, key]:
                await ask(pool, "DEL", key)

    def _key(self, entry: Entry) -> str:
        return worker_health_key(entry.health_key, self._brief.options.name, self._brief.host, entry.slot)

    async def _farewell(self) -> None:
        """What a clean end owes: jobs given back, our keys gone (the plain key only if nobody else writes it)."""
        while self._tasks:
            await asyncio.wait(set(self._tasks))
        names = {name for name, _ in self._written} | self._reported_to
        await self._each(self._roster.by_redis() | {name: [] for name in names}, self._forget_at)
        await self._redis.close()
