"""Lists of jobs, a page at a time: each look is bounded, and Redis serves others in between."""

from __future__ import annotations

import base64
import binascii
import functools
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import TYPE_CHECKING, Any

from .._keys import job_key, result_key
from .._payloads.signed_envelope import JOB, RESULT
from .._redis.batch_sizes import PageSize
from .._redis.raw_commands import ask, scan
from .._redis.script_runner import run
from . import admin_scripts
from .admin_scripts import raw, text
from .filters import LARGEST, Filter, done_job, job_id_of, queue_of, queued_job, state_of
from .off_loop import OffLoop
from .records import JobPage, JobState, ListedJob
from .running import all_held, now_ms
from .trust import as_seen, distrust, keyring_of

if TYPE_CHECKING:
    from redis.asyncio import Redis

#: Entries of which Redis is asked in one go: it takes less than a millisecond.
STEP = 250
#: Payloads that are read at a time before their size is known, and however large they are.
_FIRST, _LEAST = 100, 4
#: Bytes of the payloads of a page that are read in all, and of one of them however many there are.
_READ_OF_ALL, _LEAST_READ = 1_048_576, 4096
#: Jobs that are asked for at a time where payloads must be there whole.
_MOST_WHOLE = 16
#: Keys that one SCAN looks at.
_SCAN_STEP = 500
#: Entries that are looked at for one page at most.
SCAN_LIMIT = 100_000
#: Seconds after which a page is given out as it is.
_LONGEST_S = 0.6


@dataclass
class Search:
    """One page that is being made."""

    redis: Redis
    queue: str
    state: JobState | None
    wanted: Filter
    limit: int
    scan_limit: int = SCAN_LIMIT
    jobs: list[ListedJob] = field(default_factory=list)
    positions: list[list[Any]] = field(default_factory=list)  # of each of them
    looked_at: int = 0
    now_ms: int = 0
    off_loop: OffLoop = field(default_factory=OffLoop)
    _began_s: float = field(default_factory=monotonic)
    _values: PageSize = field(default_factory=lambda: PageSize(_FIRST, _LEAST))

    @property
    def is_full(self) -> bool:
        return len(self.jobs) >= self.limit

    @property
    def is_over(self) -> bool:
        """Whether enough was looked at for one page."""
        return self.looked_at >= self.scan_limit or monotonic() - self._began_s > _LONGEST_S

    @property
    def read_bytes(self) -> int:
        """Of payloads that are larger only the first and the last bytes are read: all of a page are some MB at most."""
        return max(_LEAST_READ, min(LARGEST, _READ_OF_ALL // self.limit))

    @property
    def asked_bytes(self) -> int:
        """Larger payloads are not asked for. Where there are keys they are: a part shows no signature."""
        return self.read_bytes if keyring_of(self.redis) is None else LARGEST

    def step(self, *, are_chosen: bool = True) -> int:
        """Jobs to ask for at a time: a few more than are wanted, since some may be in another state.

        Args:
            are_chosen: nearly all of them are wanted, as far as is known; else a filter has not looked at them.
        """
        most = STEP if keyring_of(self.redis) is None else _MOST_WHOLE
        return max(1, min(most, self.limit - len(self.jobs) + 10)) if are_chosen else most

    def page(self, position: list[Any] | None) -> JobPage:
        """The page; `position`: where the next one begins, None: there is none."""
        cursor = "" if position is None else write_cursor(position)
        cut = position is not None and not self.is_full
        return JobPage(self.jobs, cursor, self.looked_at, cut, self.now_ms)

    def add(self, job: ListedJob, position: list[Any]) -> None:
        """A job that is wanted. `position`: where a page behind it begins."""
        self.jobs.append(job)
        self.positions.append(position)

    async def add_queued(self, kind: str, rows: Sequence[tuple[bytes, Any]]) -> int | None:
        """Look at entries of the queue; the index of the one that has filled the page, None if it is not full.

        Args:
            kind: of list, for positions.
            rows: ids, and by what they are sorted.
        """
        ids = [job_id for job_id, _ in rows]
        self.looked_at += len(ids)
        likely = [n for n, job_id in enumerate(ids) if text(job_id).startswith(self.wanted.id_prefix)]
        likely = await self._with_payload(ids, likely)
        step = self.step()
        for first in range(0, len(likely), step):
            part = likely[first : first + step]
            call = admin_scripts.look(self.queue, [ids[n] for n in part], self.asked_bytes)
            self.now_ms, answers = admin_scripts.read_look(await run(self.redis, call))
            for n, found in zip(part, answers, strict=True):
                state = state_of(found, self.now_ms)
                if state in (None, JobState.done) or self.state not in (None, state):
                    continue
                job_id = text(ids[n])
                read = functools.partial(self._queued, job_id, found)
                self.add(
                    await self.off_loop.read(len(found.payload or b""), read), [kind, rows[n][1], job_id, 0]
                )
                if self.is_full:
                    return n
        return None

    def _queued(self, job_id: str, found: admin_scripts.Looked) -> ListedJob:
        problem = distrust(self.redis, JOB, job_id, self.queue, found.payload)
        looked = as_seen(self.redis, found)
        return queued_job(
            job_id, self.queue, looked, self.now_ms, distrust=problem, most_bytes=self.read_bytes
        )[0]

    async def _with_payload(self, ids: Sequence[bytes], likely: list[int]) -> list[int]:
        """Those of them whose payload is such as is wanted."""
        if not likely or not self.wanted.reads_payloads:
            return likely
        found = await self.values(job_key(""), [ids[n] for n in likely])
        fitting = [await self.matches(payload, "et") for payload, _ in found]
        return [n for n, fits in zip(likely, fitting, strict=True) if fits]

    async def matches(self, payload: bytes | None, time_key: str) -> bool:
        """Whether a job is wanted, by its payload or result."""
        if self.wanted.reads_payloads and not self.wanted.may_match(payload):
            return False
        read = functools.partial(self.wanted.matches, payload, time_key, self.now_ms)
        return await self.off_loop.read(len(payload or b""), read)

    async def values(self, prefix: str, ids: Sequence[bytes]) -> list[admin_scripts.Sized]:
        """Payloads or results, a few MB at a time; of what is too large only the size."""
        found: list[admin_scripts.Sized] = []
        while len(found) < len(ids):
            part = ids[len(found) : len(found) + self._values.count]
            values: list[bytes | None] = await ask(
                self.redis, "MGET", *(raw(prefix) + job_id for job_id in part)
            )
            sizes = [len(value or b"") for value in values]
            self._values.had(sizes)
            found += [
                (value if size <= LARGEST else None, size) for value, size in zip(values, sizes, strict=True)
            ]
        return found


def write_cursor(position: list[Any]) -> str:
    """A position as one word."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def read_cursor(cursor: str, kind: str) -> list[Any] | None:
    """The position that a cursor names; None for the start.

    Raises:
        ValueError: it is none of such a list.
    """
    if not cursor:
        return None
    try:
        found = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not (isinstance(found, list) and len(found) == 4 and found[0] == kind):
            raise ValueError
    except (ValueError, binascii.Error):
        raise ValueError(f"the cursor {cursor!r} is none of this list") from None
    return found


# --- the queue, by due time -----------------------------------------------------------------------------------


async def queue_page(search: Search, cursor: str) -> JobPage:
    """Jobs in the order in which they are due; those that run stand where their locks lapse."""
    position = read_cursor(cursor, "queue")
    low, high = await _range(search)
    at = await _rank_after(search, position) if position else None
    start = max(low, at) if at is not None else low
    while start < high:
        count = (
            min(STEP, high - start)
            if search.wanted.reads_payloads
            else min(search.limit + 10, STEP, high - start)
        )
        rows = _rows(await ask(search.redis, "ZRANGE", search.queue, start, start + count - 1, "WITHSCORES"))
        filled_at = await search.add_queued("queue", rows)
        if filled_at is not None or search.is_over:
            last_id, score = rows[filled_at if filled_at is not None else -1]
            is_end = filled_at in (None, len(rows) - 1) and start + len(rows) >= high
            return search.page(None if is_end else ["queue", score, text(last_id), 0])
        if len(rows) < count:
            break
        start += count
    return search.page(None)


async def _range(search: Search) -> tuple[int, int]:
    """Ranks of the entries that may be in the wanted state."""
    search.now_ms = await now_ms(search.redis)
    total = int(await ask(search.redis, "ZCARD", search.queue))
    if search.state not in (JobState.queued, JobState.deferred):
        return 0, total
    due = int(await ask(search.redis, "ZCOUNT", search.queue, "-inf", search.now_ms))
    return (0, due) if search.state is JobState.queued else (due, total)


async def _rank_after(search: Search, position: list[Any]) -> int:
    """Rank of the first entry behind a position: that entry may have moved or gone since."""
    _, score, job_id, _ = position
    found = await ask(search.redis, "ZSCORE", search.queue, raw(job_id))
    if found is not None and float(found) == float(score):
        return int(await ask(search.redis, "ZRANK", search.queue, raw(job_id)) or 0) + 1
    rank = int(await ask(search.redis, "ZCOUNT", search.queue, "-inf", f"({score}"))
    offset = 0
    while True:  # those with the same score stand in the order of their bytes
        ids = await ask(search.redis, "ZRANGEBYSCORE", search.queue, score, score, "LIMIT", offset, STEP)
        passed = sum(1 for one in ids if one <= raw(job_id))
        offset += passed
        if passed < STEP:
            return rank + offset


def _rows(answer: list[Any]) -> list[tuple[bytes, str]]:
    """Members and scores; RESP3 pairs them."""
    if answer and not isinstance(answer[0], bytes):
        return [(member, repr(float(score))) for member, score in answer]
    return [(member, repr(float(score))) for member, score in zip(answer[::2], answer[1::2], strict=True)]


# --- running --------------------------------------------------------------------------------------------------


async def running_page(search: Search, cursor: str) -> JobPage:
    """Jobs that workers have, in the order in which they were taken."""
    position = read_cursor(cursor, "running")
    found = await all_held(search.redis, search.queue, search.scan_limit)
    search.now_ms = await now_ms(search.redis)
    ids = sorted((one.since_ms or 0, one.job_id) for one in found)
    if position:
        ids = [one for one in ids if one > (position[1], raw(position[2]))]
    for first in range(0, len(ids), STEP):
        part = ids[first : first + STEP]
        filled_at = await search.add_queued("running", [(job_id, since_ms) for since_ms, job_id in part])
        if filled_at is not None and first + filled_at + 1 < len(ids):
            return search.page(search.positions[-1])
        if filled_at is not None:
            break
    return search.page(None)


# --- done -----------------------------------------------------------------------------------------------------


async def done_page(search: Search, cursor: str) -> JobPage:
    """Results of the queue, in no order: Redis has no list of them."""
    position = read_cursor(cursor, "done") or ["done", 0, "", 0]
    _, at, last_id, _ = position
    search.now_ms = await now_ms(search.redis)
    prefix = result_key("")
    pattern = _escaped(prefix + search.wanted.id_prefix) + b"*"
    while True:
        following, keys = await scan(search.redis, at, pattern, _SCAN_STEP)
        search.looked_at += _SCAN_STEP
        ids = [
            one for one in sorted({job_id_of(key, prefix) for key in keys}) if not last_id or one > last_id
        ]
        filled_at = await _add_done(search, ids, int(at))
        if filled_at is not None and filled_at + 1 < len(ids):
            return search.page(["done", int(at), ids[filled_at], 0])
        at, last_id = int(following), ""
        if at == 0:
            return search.page(None)
        if filled_at is not None or search.is_over:
            return search.page(["done", at, "", 0])


def _escaped(text: str) -> bytes:
    """A text that stands for itself in a pattern."""
    return raw("".join(f"\\{char}" if char in "*?[]^\\" else char for char in text))


async def _add_done(search: Search, ids: list[str], at: int) -> int | None:
    for first in range(0, len(ids), STEP):
        part = ids[first : first + STEP]
        for n, (payload, size) in enumerate(await search.values(result_key(""), list(map(raw, part)))):
            if not size or not await search.matches(payload, "ft"):
                continue
            job = await search.off_loop.read(size, functools.partial(_done, search, part[n], payload, size))
            if job.queue in ("", search.queue):
                search.add(job, ["done", at, part[n], 0])
                if search.is_full:
                    return first + n
    return None


def _done(search: Search, job_id: str, payload: bytes | None, size: int) -> ListedJob:
    problem = distrust(search.redis, RESULT, job_id, None, payload)
    job, _ = done_job(job_id, payload, size, distrust=problem)
    return job if not problem else replace(job, queue=queue_of(payload))


#: How each state is listed. States that are kept elsewhere (a set of dead jobs, say) get a row of their own.
PAGES: dict[JobState | None, Callable[[Search, str], Awaitable[JobPage]]] = {
    None: queue_page,
    JobState.queued: queue_page,
    JobState.deferred: queue_page,
    JobState.running: running_page,
    JobState.done: done_page,
}
