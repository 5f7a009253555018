"""What a worker and Redis say about jobs: one exchange carries the endings of jobs there and new jobs back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from .._endings import Done, Ending, Terms, read_evicted, read_finish
from .._redis import scripts
from .._redis.batch_sizes import MOST_BYTES, SizeLimit
from .._redis.redis_errors import blames_item
from .._redis.scripts import NO_CAUTION, Call, ClaimAnswer, ClaimRequest, Refusal, Why
from .._redis.worker_connection import Link
from . import bad_items, job_log
from .dead_evictions import DeadEvictions
from .unwritten_endings import Batch, Outbox


class _Wanted(NamedTuple):
    """What the next claim is to bring: of what is due, or exactly these."""

    limit: int
    fair: bool
    job_ids: Sequence[str]


class Exchange:
    """Group commit of endings, batch claim of jobs, and recovery of answers that were lost.

    Args:
        link: the connection.
        queue_name: the queue.
        worker_id: who holds the locks.
        lock_ms: ms until the lock of a claimed job lapses.
        lease_ms: ms for which the worker announces itself.
        look_at_aborts: whether claims look at the requests to abort.
    """

    def __init__(
        self, link: Link, queue_name: str, worker_id: str, lock_ms: int, lease_ms: int, look_at_aborts: bool
    ) -> None:
        #: the connection, also for what else the worker has to say
        self.link = link
        self._queue_name = queue_name
        self._worker_id = worker_id
        self._lock_ms = lock_ms
        self._lease_ms = lease_ms
        self._look_at_aborts = look_at_aborts
        self._outbox = Outbox()
        self._limit = SizeLimit()
        #: notes how a job ended; the next exchange writes it
        self.record = self._outbox.add
        #: makes a future that is done when everything noted so far is written
        self.written = self._outbox.written
        self._claim_lost = self._stray = False
        #: whether to ask what is ours has failed, perhaps because of the payloads
        self._recovery_failed = False
        #: the jobs that the worker knows to be its own
        self.known: Mapping[str, object] = {}
        #: goes up with each `reclaim`: claims that were given up before and arrive after it are refused
        self.epoch = 0
        #: from which entry of the queue on the next claim looks; '': from the first one
        self.begin_at = ""
        #: whether the worker has said that it is alive
        self.announced = False
        self._parting: str | None = None
        #: which workers we belong to, see `ClaimRequest`
        self.cohorts = ""
        #: what the next claim says about suspects
        self.caution = NO_CAUTION
        self._turn = asyncio.Lock()
        self._evictions = DeadEvictions()

    @property
    def has_endings(self) -> bool:
        """Whether endings wait to be written."""
        return bool(self._outbox)

    @property
    def claim_lost(self) -> bool:
        """Whether jobs may be ours of which we do not know: an answer was lost, or is not here yet."""
        return self._claim_lost or self._stray

    def claim_no_more(self, cohort: str) -> None:
        """The worker stops: no claim that was sent before now counts once Redis hears of the next ending.

        Args:
            cohort: see `Terms`.
        """
        self.epoch += 1
        self._parting = cohort

    def start_over(self) -> None:
        """Let the next claim look at the whole queue again."""
        self.begin_at = ""

    async def commit(self) -> None:
        """Write the endings noted so far; see `commit_and_claim`."""
        await self.commit_and_claim()

    async def commit_and_claim(
        self, want: int = 0, *, fair: bool = True, job_ids: Sequence[str] = (), recover: bool = False
    ) -> ClaimAnswer | None:
        """Write the endings noted so far and claim up to `want` jobs; None if nothing was claimed.

        After a claim whose answer was lost the answer is what we hold, and nothing is claimed; with `recover` also if
        `want` is 0.

        Nothing is awaited before the commands are on their way: jobs that were started just before run while Redis
        works on them.

        Raises:
            redis.exceptions.RedisError, OSError, TimeoutError: nothing of it is lost, the next exchange repeats it. The
                same holds for a cancellation.
        """
        async with self._turn:
            return await self._talk(_Wanted(want, fair, job_ids), recover)

    async def _talk(self, wanted: _Wanted, recover: bool) -> ClaimAnswer | None:
        await self._look_at_endings()
        batch = self._outbox.take()
        recovers = self.claim_lost and (wanted.limit > 0 or recover)
        calls = self._calls(batch.endings, wanted, recovers)
        asks = recovers or wanted.limit > 0
        if asks:  # until the answer is here
            self._claim_lost, self._stray = True, self._stray and not recovers
        try:
            answers = await self.link.call(calls) if calls else []
        except BaseException as exc:
            if not self._blames_ending(exc, batch, recovers):
                raise
            await bad_items.write_apart(self.link, self._outbox, self._finish)
            return await self._talk(wanted, recovers)
        if batch.endings:
            self._outbox.settle(batch, read_finish(answers[0], len(batch.endings)))
            if answers[0] and (evicted := read_evicted(answers[0])):
                self._evictions.note(self._queue_name, evicted)
        if not asks:
            return None
        self.announced = True
        if recovers:
            return await self._recovered(answers[-1])
        self._claim_lost = False
        return await self._claimed(answers[-1], wanted)

    def _blames_ending(self, exc: BaseException, batch: Batch, recovers: bool) -> bool:
        """An exchange has failed, nothing of it is lost. Whether it is one of the endings that Redis refuses."""
        self._outbox.put_back(batch)
        self._outbox.is_suspect = bool(batch.endings)
        self._recovery_failed = recovers
        if not (isinstance(exc, Exception) and blames_item(exc)):
            return False
        if not batch.endings:  # the scripts look before they write: nothing was claimed
            self._claim_lost = recovers
        return bool(batch.endings)

    async def _look_at_endings(self) -> None:
        """What may be too much for Redis is cut down, and after a failure the endings are written by themselves."""
        if self._outbox.has_large:
            self._outbox.cut_down(await self._limit.ask(self.link.commands))
        if self._outbox.is_suspect and self._outbox:
            await bad_items.write(self.link, self._outbox, self._finish)

    def _calls(self, endings: list[Ending], wanted: _Wanted, recovers: bool) -> list[Call]:
        calls = []
        if endings:
            calls.append(self._finish(endings))
        if recovers:  # first what is ours already: it takes the places that were free
            calls.append(self._reclaim())
        elif wanted.limit > 0:
            if not self.announced:  # a claim of somebody unknown would be refused
                calls.append(scripts.lease([self._worker_id], self._lease_ms))
            calls.append(self._claim(wanted))
        return calls

    def _finish(self, endings: list[Ending]) -> Call:
        is_repeating = self._outbox.is_repeating
        if is_repeating:  # what was sent before may still be on its way
            self.epoch += 1
            self._stray = True  # so may be the answer of a claim that was carried out before
        is_leaving, cohort = self._parting is not None, self._parting or ""
        over = self._outbox.batches.over_with(endings)
        terms = Terms(self.epoch, is_repeating, is_leaving, cohort, over)
        return scripts.finish(self._queue_name, self._worker_id, endings, terms)

    def _reclaim(self) -> Call:
        self.epoch += 1
        return scripts.reclaim(self._worker_id, self.epoch, 0 if self._recovery_failed else MOST_BYTES)

    def _claim(self, wanted: _Wanted) -> Call:
        limit, fair, job_ids = wanted
        asked = ClaimRequest(
            limit,
            self._lock_ms,
            job_ids,
            fair,
            self.begin_at,
            self._look_at_aborts,
            self.epoch,
            cohorts=self.cohorts,
            caution=self.caution,
        )
        return scripts.claim(self._queue_name, self._worker_id, asked)

    def claim_one_behind_a_wait(self) -> Call:
        """The claim of one job that waits for a token on another connection, see `waiting_claim`."""
        asked = ClaimRequest(
            1,
            self._lock_ms,
            look_at_aborts=self._look_at_aborts,
            epoch=self.epoch,
            waited=True,
            cohorts=self.cohorts,
            caution=self.caution,
        )
        return scripts.claim(self._queue_name, self._worker_id, asked)

    async def _recovered(self, answer: Any) -> ClaimAnswer:
        """What is ours and not known yet. From now on we know."""
        over = {(ending.job_id, ending.stamp) for ending in self._outbox} | self._outbox.given_up
        jobs, nameless = scripts.read_jobs(answer)
        nameless = [ending for ending in nameless if (ending.job_id, ending.stamp) not in over]
        held = [job for job in jobs if (job.job_id, job.stamp) not in over and job.job_id not in self.known]
        held = await bad_items.fetch(self.link, held)
        self._outbox.batches.opened(held)
        self._remove(nameless)
        self._claim_lost = self._recovery_failed = False
        return ClaimAnswer(now_ms=0, wait_ms=0, begin_at="", shared=False, jobs=held, recovered=True)

    async def _claimed(self, raw: Any, wanted: _Wanted) -> ClaimAnswer:
        answer = scripts.read_claim(raw)
        while isinstance(answer, Refusal):
            self._claim_lost = True
            if answer.why == "late":  # the worker ran before, and Redis was away when it left
                self.epoch = answer.epoch
                (raw,) = await self.link.call([self._reclaim()])
                return await self._recovered(raw)
            # presumed dead, or Redis has lost its data: announce ourselves and ask again
            calls = [scripts.lease([self._worker_id], self._lease_ms)]
            if self.epoch:  # was forgotten with the worker, and counts again; nothing is ours
                calls.append(self._reclaim())
            raw = (await self.link.call([*calls, self._claim(wanted)]))[-1]
            self._claim_lost = False
            answer = scripts.read_claim(raw)
        return self.accept(answer, answer.begin_at or self.begin_at)

    def accept(self, answer: ClaimAnswer, begin_at: str) -> ClaimAnswer:
        """A claim was carried out; the next one begins to look at `begin_at`."""
        self.begin_at = begin_at
        self._outbox.batches.opened(answer.jobs, self.known)
        if answer.nameless:
            self._remove(answer.nameless)
        return answer

    def _remove(self, nameless: Sequence[Done]) -> None:
        """Write the endings of jobs that can't be run, because their ids are not text."""
        self._outbox.batches.opened_nameless(nameless)
        for ending in nameless:
            job_log.nameless(ending.job_id)
            self.record(ending)

    def ask_what_is_ours(self) -> None:
        """The answer of a claim on another connection is lost: the next exchange asks."""
        self._stray = True

    async def earliest_ms(self) -> int | None:
        """The score of the first entry that may be free: one cheap command."""
        begin_at = f"({self.begin_at}" if self.begin_at else "-inf"
        command = ("ZRANGEBYSCORE", self._queue_name, begin_at, "+inf", "WITHSCORES", "LIMIT", 0, 1)
        (answer,) = await self.link.commands([command])
        if isinstance(answer, Exception):
            raise answer
        if not answer:
            return None
        score = answer[0][1] if isinstance(answer[0], list) else answer[1]  # RESP3 pairs member and score
        return scripts.score_ms(score)

    async def run(self, call: Call) -> Any:
        """Run one script over the same connection."""
        (answer,) = await self.link.call([call])
        return answer

    async def take_over(self, job_id: str, lock: str) -> ClaimAnswer | None:
        """Claim a job that code of this process has locked as arq does, in one step; None: it is somebody else's."""
        async with self._turn:
            _, owner = await self.link.commands([("WATCH", lock), ("GET", lock)])
            if owner != b"1":
                await self.link.commands([("UNWATCH",)])
                return None
            self._claim_lost = True
            steps = [
                ("MULTI",),
                ("DEL", lock),
                self._claim(_Wanted(1, fair=False, job_ids=[job_id])).by_sha(),
                ("EXEC",),
            ]
            *_, done = await self.link.commands(steps)
            self._claim_lost = False
        answer = scripts.read_claim(done[1]) if isinstance(done, list) else None
        return self.accept(answer, self.begin_at) if isinstance(answer, ClaimAnswer) else None

    async def leave(self) -> list[str]:
        """Write the last endings, give back what was claimed and not begun, and be no member any more.

        Returns:
            ids of the jobs that were given back.
        """
        async with self._turn:
            pass  # an exchange that fails puts its endings back
        while self._outbox:
            await self.commit()
        last_calls = [
            scripts.release(self._worker_id, Why.UNBEGUN),
            scripts.pass_on(self._queue_name, leaving=self._worker_id),
        ]
        answer, _ = await self.link.call(last_calls)
        return scripts.read_release(answer).job_ids

    async def close(self) -> None:
        """Close the connection."""
        await self.link.drop()

    def unwritten(self) -> list[str | bytes]:
        """Ids of jobs whose endings are not written."""
        return [ending.job_id for ending in self._outbox]
