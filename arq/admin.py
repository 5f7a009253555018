"""What operators see and do: jobs by state, one job, delete, run now, abort, pauses, schedules, workers.

Neither the application nor trust in Redis is needed: payloads are read without importing or calling anything.

    async with Admin.connect("redis://localhost") as admin:
        page = await admin.jobs(state="deferred", function="send_mail")
"""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from ._admin import (
    actions,
    audit,
    counting,
    crons,
    dead,
    details,
    job_lists,
    listing,
    overview,
    pauses,
    pools,
    queues,
    stats,
    workers,
)
from ._admin.admin_scripts import raw
from ._admin.records import (
    AuditNote,
    Counts,
    CronSchedule,
    Deed,
    Event,
    Fleet,
    JobDetails,
    JobPage,
    JobState,
    ListedJob,
    LiveWorker,
    Overview,
    Pause,
    PoolReport,
    QueueOverview,
    RunningJob,
    SlotReport,
)
from ._admin.shown import FULL, WHOLE
from ._admin.workers import HEARD_WITHIN_S
from ._job_statistics import FunctionStats, Histogram, QueueStats, StatsPoint
from ._keys import check_job_id, check_queue_name
from ._payloads.keyring import Keyring
from .connections import RedisSettings, create_pool
from .constants import default_queue_name
from .utils import to_ms

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = [
    "Admin",
    "AuditNote",
    "Counts",
    "CronSchedule",
    "Deed",
    "Event",
    "Fleet",
    "FunctionStats",
    "Histogram",
    "JobDetails",
    "JobPage",
    "JobState",
    "ListedJob",
    "LiveWorker",
    "Overview",
    "Pause",
    "PoolReport",
    "QueueOverview",
    "QueueStats",
    "RunningJob",
    "SlotReport",
    "StatsPoint",
]

#: Jobs of a page unless another number is asked for, and at most.
LIMIT, HIGHEST_LIMIT = 100, 1000
NOTE_ID = re.compile("[0-9]{1,19}-[0-9]{1,19}")


class Admin:
    """Looks at queues and acts on them.

    Args:
        redis: any client of redis.asyncio, an `ArqRedis` for example. If that has keys (`signing`), they are used as by
            `connect`.
        by: who acts, for the audit trail. Default: None, the user of this process and its host.
    """

    def __init__(self, redis: Redis, *, by: str | None = None) -> None:
        self.redis = redis
        self._trail = audit.Trail(redis, audit.this_user() if by is None else by)

    def _as_one_of_several(self) -> Admin:
        """The same; it notes nothing of what is not there, since other servers are asked for it, too."""
        self._trail.only_found = True
        return self

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, settings: RedisSettings | str, *, by: str | None = None, signing: Keyring | None = None
    ) -> AsyncIterator[Admin]:
        """An admin with a connection of its own.

        Args:
            settings: or an address, see `RedisSettings.from_dsn`.
            by: see `Admin`.
            signing: the keys of the application: what is not signed by one of them is not looked into, and what is
                written here (runs of schedules, results of aborted jobs) is signed.

        Raises:
            redis.exceptions.RedisError, OSError: Redis can't be reached.
            ValueError: the address is wrong.
            TypeError: `signing` is no Keyring.
        """
        found = RedisSettings.from_dsn(settings) if isinstance(settings, str) else settings
        pool = await create_pool(found, signing=signing)
        try:
            yield cls(pool, by=by)
        finally:
            await pool.aclose(close_connection_pool=True)

    async def jobs(
        self,
        queue: str = default_queue_name,
        *,
        state: JobState | str | None = None,
        function: str | None = None,
        id_prefix: str = "",
        arg: str = "",
        older_than: float | timedelta | None = None,
        cursor: str = "",
        limit: int = LIMIT,
        scan_limit: int = listing.SCAN_LIMIT,
    ) -> JobPage:
        """A page of jobs. What is queued, deferred or running comes in the order of its due times.

        Payloads of a page are read up to 1 MB in all, those of up to 4 kB in any case. Of larger ones function, time
        and the first 2 kB of the arguments are known, which end with an "…"; `job` tells all.

        Args:
            state: only such jobs; None: all that are in the queue. Those that are `done` are in no list of Redis's: all
                keys are looked at for them, and they come in no order.
            function: only those of the function of this name.
            id_prefix: only those whose ids begin so.
            arg: only those that have this somewhere in their arguments, as they are shown.
            older_than: only those that were enqueued, or when they are done finished, so many seconds ago at least.
            cursor: of the page before.
            limit: jobs of a page at most, 1 - 1000.
            scan_limit: entries to look at for this page at most. A page is also given out when making it has taken
                0.6 s; `is_cut` says that it could go on.

        Raises:
            ValueError: a value is out of its range, or the cursor is none of such a list.
        """
        wanted = job_lists.wanted_jobs(
            queue, state=state, function=function, id_prefix=id_prefix, arg=arg, older_than=older_than
        )
        if not 1 <= limit <= HIGHEST_LIMIT:
            raise ValueError(f"limit must be a number from 1 to {HIGHEST_LIMIT}, not {limit!r}")
        page, _ = await job_lists.page_of(self.redis, wanted, cursor, limit, scan_limit)
        return page

    async def job(
        self, job_id: str, queue: str = default_queue_name, *, whole: bool = False
    ) -> JobDetails | None:
        """All that is known of a job; None if nothing is.

        Args:
            job_id: its id.
            queue: name of its queue.
            whole: do not cut texts at 4,000 characters, but at a million.

        Raises:
            ValueError: it can't be an id.
        """
        _check(queue, job_id)
        return await details.details(self.redis, job_id, queue, WHOLE if whole else FULL)

    async def has_payload(self, job_id: str) -> bool:
        """Whether there is a payload under an id, whatever queue it is for."""
        _check(default_queue_name, job_id)
        return await details.has_payload(self.redis, job_id)

    async def dead_job(
        self, job_id: str, queue: str = default_queue_name, *, whole: bool = False
    ) -> JobDetails | None:
        """All that is kept of a job in the dead set; None: it is not there.

        Args:
            job_id: its id.
            queue: name of its queue.
            whole: as for `job`.
        """
        _check(queue, job_id)
        return await dead.dead_details(self.redis, job_id, queue, WHOLE if whole else FULL)

    async def requeue(
        self,
        jobs: Sequence[str | ListedJob],
        queue: str = default_queue_name,
        *,
        tries: Literal[1] | None = None,
        delay: float | timedelta = 0,
    ) -> list[Deed]:
        """Put jobs of the dead set into the queue again, with their ids and payloads; their results are removed.

        Args:
            jobs: ids; or jobs as they were listed with `state="dead"`: one that has died again since is left alone.
                100 at a time are one step.
            tries: None: their tries begin anew; 1: they get one more.
            delay: seconds, or a timedelta, until they are due.

        Returns:
            for each `done`, `queued` (the id stands in the queue already), `running`, `changed` (it has died again) or
            `unknown`.
        """
        if tries not in (None, 1):
            raise ValueError(f"tries must be None or 1, not {tries!r}")
        act = functools.partial(actions.requeue, defer_ms=max(0, to_ms(delay)), one_more=tries == 1)
        return await self._act("requeue", act, jobs, queue)

    async def delete_dead(
        self, jobs: Sequence[str | ListedJob], queue: str = default_queue_name
    ) -> list[Deed]:
        """Remove jobs from the dead set, with all that is kept of them.

        Args:
            jobs: see `requeue`.
        """
        return await self._act("delete dead", actions.forget_dead, jobs, queue)

    async def counts(self, queue: str = default_queue_name, *, with_done: bool = False) -> Counts:
        """How many jobs there are in each state.

        Args:
            with_done: also count results; keys are looked at for that, 100,000 at most.
        """
        _check(queue)
        return await counting.counts(self.redis, queue, with_done=with_done)

    async def overview(self, queues: Sequence[str] = (default_queue_name,)) -> Overview:
        """How many jobs queues have, who looks at them, and whether they are paused: a few round trips for all of them,
        however many jobs there are.
        """
        for queue in queues:
            _check(queue)
        return await overview.overview(self.redis, list(queues))

    async def queues(self, *, most_keys: int = 100_000) -> list[str]:
        """Names of queues, in order. Redis has no list of them: they are found by what workers and jobs leave.

        Args:
            most_keys: how many keys of Redis are looked at.
        """
        _, found = await queues.some_queues(self.redis, 0, most_keys)
        return sorted(found)

    async def exists(self, queue: str) -> bool:
        """Whether there is anything of a queue: jobs, workers, a pause."""
        _check(queue)
        return await counting.exists(self.redis, queue)

    async def stats(
        self,
        queue: str = default_queue_name,
        *,
        since: float | timedelta = 3600,
        function: str | None = None,
    ) -> QueueStats:
        """What workers have counted by function: done, failed, retried, how long jobs ran and waited; and by minute,
        how many were due. Workers write every 10 s, and count a job when they write. Those of python-arq count nothing.

        Args:
            since: for the last so many seconds, a minute to 72 h; up to 8 h it is known by minutes, before by ten.
            function: only for the function of this name.

        Raises:
            ValueError: `since` is out of its range.
        """
        _check(queue)
        return await stats.stats(self.redis, queue, to_ms(since), function)

    async def delete(self, jobs: Sequence[str | ListedJob], queue: str = default_queue_name) -> list[Deed]:
        """Remove jobs, or their results, with all that is known of them. What runs is left alone.

        Args:
            jobs: ids; or jobs as they were listed: one whose id has another job by now is left alone. 100 at a time
                are one step.
        """
        return await self._act("delete", actions.delete, jobs, queue)

    async def run_now(self, jobs: Sequence[str | ListedJob], queue: str = default_queue_name) -> list[Deed]:
        """Let jobs that are deferred, or wait for another try, be due now.

        Args:
            jobs: see `delete`.
        """
        return await self._act("run now", actions.run_now, jobs, queue)

    async def _act(
        self,
        action: str,
        act: Callable[[Redis, str, Sequence[tuple[str, str]]], Awaitable[list[Deed]]],
        jobs: Sequence[str | ListedJob],
        queue: str,
    ) -> list[Deed]:
        chosen = list(map(_chosen, jobs))
        _check(queue, *(job_id for job_id, _ in chosen))
        found: list[Deed] = []
        try:
            for first in range(0, len(chosen), actions.STEP):
                found += await act(self.redis, queue, chosen[first : first + actions.STEP])
        finally:
            if found:
                await self._trail.note(action, queue, [job_id for job_id, _ in chosen[: len(found)]], found)
        return found

    async def abort(self, job: str | ListedJob, queue: str = default_queue_name) -> Deed:
        """Abort a job: one that nobody runs is taken out of the queue, and its result says so; for one that runs a
        request is noted, which workers with `allow_abort_jobs=True` obey.

        Args:
            job: its id, or as it was listed, see `delete`.
        """
        job_id, mark = _chosen(job)
        _check(queue, job_id)
        deed = await actions.abort(self.redis, queue, job_id, mark)
        await self._trail.note("abort", queue, [job_id], [deed])
        return deed

    async def paused(self, queue: str = default_queue_name) -> Pause | None:
        """The pause of a queue; None: it is not paused."""
        _check(queue)
        return await pauses.paused(self.redis, queue)

    async def pause(self, queue: str = default_queue_name, *, by: str = "", note: str = "") -> Pause:
        """Pause a queue: no job is started any more once this has answered, but by workers of python-arq. Running jobs
        end, jobs may be enqueued, those that are deferred fall due, and none expires.

        Args:
            by: who does it, a line.
            note: why.

        Raises:
            ValueError: the key that says so is something else.
        """
        _check(queue)
        found = await pauses.pause(self.redis, queue, by, note)
        await self._trail.note("pause", queue, [queue], [Deed.done], by=by, note=note)
        return found

    async def resume(self, queue: str = default_queue_name) -> bool:
        """End a pause; False: there was none."""
        _check(queue)
        was_paused = await pauses.resume(self.redis, queue)
        await self._trail.note("resume", queue, [queue], [Deed.done if was_paused else Deed.over])
        return was_paused

    async def workers(self, queue: str | Sequence[str] = default_queue_name) -> Fleet:
        """Who works, on what since when, and who ignores a pause of this queue, or of these queues."""
        queues = [queue] if isinstance(queue, str) else queue
        for one in queues:
            _check(one)
        return await workers.fleet(self.redis, queues)

    async def tell(
        self,
        worker_id: str,
        word: Literal["quiet", "resume", "stop"],
        *,
        wait: float = HEARD_WITHIN_S,
    ) -> Deed:
        """Tell a worker to take no more jobs (`quiet`), to take jobs again (`resume`), or to stop as on SIGTERM
        (`stop`): a supervisor starts another one in its place.

        Args:
            wait: seconds to wait until it has heard; workers ask every 20 s.

        Returns:
            `done`: it has heard. `asked`: not so far: it is blocked, or of an earlier version. `unknown`: there is no
            such worker.
        """
        if word not in ("quiet", "resume", "stop"):
            raise ValueError(f"a worker can be told quiet, resume or stop, not {word!r}")
        deed = await workers.tell(self.redis, worker_id, word, wait)
        await self._trail.note(f"{word} worker", "", [worker_id], [deed])
        return deed

    async def crons(self, queue: str = default_queue_name) -> list[CronSchedule]:
        """The schedules that workers of the queue have, by name."""
        _check(queue)
        return await crons.crons(self.redis, queue)

    async def pause_cron(self, name: str, queue: str = default_queue_name) -> Deed:
        """Enqueue no more runs of the schedules of this name; workers of python-arq go on. One that is due within a
        second may be enqueued already.

        Returns:
            `done`; `over`: they were paused before; `unknown`: no worker has shown such a schedule.
        """
        _check(queue)
        deed = Deed.unknown
        if await crons.is_known(self.redis, queue, name):
            deed = Deed.done if await crons.pause(self.redis, queue, name) else Deed.over
        await self._trail.note("pause cron", queue, [name], [deed])
        return deed

    async def resume_cron(self, name: str, queue: str = default_queue_name) -> Deed:
        """Enqueue runs of the schedules of this name again; those that were left out are not made up for.

        Returns:
            `done`; `over`: they were not paused; `unknown`: no worker has shown such a schedule.
        """
        _check(queue)
        if await crons.resume(self.redis, queue, name):
            deed = Deed.done
        else:
            deed = Deed.over if await crons.is_known(self.redis, queue, name) else Deed.unknown
        await self._trail.note("resume cron", queue, [name], [deed])
        return deed

    async def run_cron(self, name: str, queue: str = default_queue_name) -> str | None:
        """Enqueue a run of a schedule now, beside those that are planned; its id, None: there is no such schedule."""
        _check(queue)
        job_id = await crons.run_now(self.redis, queue, name)
        deed = Deed.unknown if job_id is None else Deed.done
        await self._trail.note(
            "run cron", queue, [name], [deed], note="" if job_id is None else f"as {job_id}"
        )
        return job_id

    def as_one(
        self, action: str, queue: str, count: int, note: str = ""
    ) -> AbstractAsyncContextManager[None]:
        """What this admin does meanwhile is one note of the audit trail, however many steps it takes; more than a few
        jobs are noted before, too.

        Args:
            action: what it is called there.
            queue: of which queue; '' if of none.
            count: how many jobs it is about; 0: that is not known.
            note: more about it.
        """
        return self._trail.as_one(action, queue, count, note)

    async def pools(self) -> list[PoolReport]:
        """What supervisors say of their pools, by name: processes, restarts, memory."""
        return await pools.pools(self.redis)

    async def audit(self, *, limit: int = LIMIT, before: str = "") -> list[AuditNote]:
        """What operators have done, the newest first: with `arq`, on the dashboard and with `Admin`.

        Args:
            limit: so many at most, 1 - 1000.
            before: only what was done before the note of this id.

        Raises:
            ValueError: a value is out of its range.
        """
        if not 1 <= limit <= HIGHEST_LIMIT:
            raise ValueError(f"limit must be a number from 1 to {HIGHEST_LIMIT}, not {limit!r}")
        if before and not NOTE_ID.fullmatch(before):
            raise ValueError(f"{before!r} is no id of a note, as 1700000000000-0 is")
        return await audit.notes(self.redis, limit, before)


def _chosen(job: str | ListedJob) -> tuple[str, str]:
    """The id, and the fingerprint that the job must have."""
    return (job, "") if isinstance(job, str) else (job.job_id, job.fingerprint)


def _check(queue: str, *job_ids: str) -> None:
    """Refuse what can't be a queue or an id."""
    check_queue_name(queue)
    for job_id in job_ids:
        check_job_id(raw(job_id).decode(errors="replace"))
