"""Jobs on their way into a queue: what is checked of them, and how they are sent, many at a time."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from os import urandom
from typing import TYPE_CHECKING, Any, Protocol

from redis.exceptions import RedisError

from ._errors import SerializationError
from ._keys import check_job_id, check_queue_name
from ._payloads.serialization import Serializer, serialize_job
from ._printable import printable
from ._redis import scripts, single_enqueue
from ._redis.batch_sizes import ALWAYS_TAKEN, SizeLimit, too_large
from ._redis.enqueue_batcher import Batcher, send_apart
from ._redis.producer_connection import Lane
from ._types import SecondsTimedelta
from .utils import LONGEST_MS, LONGEST_S, args_to_string, timestamp_ms, to_ms, to_seconds, to_unix_ms

if TYPE_CHECKING:
    from ._payloads.payload_format import PayloadFormat

#: Bits that say that a UUID is a random one, and all the others.
_FIXED = 0x4000_8000_0000_0000_0000
_NOT_FIXED = (1 << 128) - 1 ^ 0xF000_C000_0000_0000_0000

#: Whether a job was enqueued, or why that is not known.
Accepted = bool | Exception
#: `_job_id`, `_queue_name`, `_defer_until`, `_defer_by`, `_expires`, `_job_try`
Options = tuple[
    str | None, str | None, datetime | None, SecondsTimedelta | None, SecondsTimedelta | None, int | None
]

#: A job on its way into a queue.
Addressed = tuple[str, scripts.NewJob]


class JobCall:
    """A job for `ArqRedis.enqueue_jobs`; the arguments are those of `ArqRedis.enqueue_job`."""

    __module__ = "arq.connections"
    __slots__ = "args", "function", "kwargs", "options"

    def __init__(
        self,
        function: str,
        *args: Any,
        _job_id: str | None = None,
        _queue_name: str | None = None,
        _defer_until: datetime | None = None,
        _defer_by: None | int | float | timedelta = None,
        _expires: None | int | float | timedelta = None,
        _job_try: int | None = None,
        **kwargs: Any,
    ) -> None:
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.options = (_job_id, _queue_name, _defer_until, _defer_by, _expires, _job_try)

    def __repr__(self) -> str:
        return f"<JobCall {printable(self.function)}({args_to_string(self.args, self.kwargs)})>"


def as_call(job: Any) -> JobCall:
    """What `ArqRedis.enqueue_jobs` takes for a job.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(job, JobCall):
        return job
    if isinstance(job, str):
        return JobCall(job)
    if isinstance(job, Sequence) and job and isinstance(job[0], str):
        return JobCall(*job)
    raise TypeError(f"a job must be a JobCall, a tuple (function, *args) or a function's name, not {job!r}")


def due_at(defer_until: datetime | None, defer_by: SecondsTimedelta | None) -> str:
    """When a job is due, as `enqueue.lua` takes it: '' now, '+MS' from now, or unix ms.

    Raises:
        RuntimeError: both were given.
    """
    if defer_until and defer_by:
        raise RuntimeError("use either 'defer_until' or 'defer_by' or neither, not both")
    if defer_until:
        return str(to_unix_ms(defer_until))
    return f"{to_ms(defer_by):+d}" if defer_by else ""


def new_job(
    function: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    queue_name: str,
    options: Options,
    serializer: Serializer | None,
    payload_format: PayloadFormat | None = None,
) -> scripts.NewJob:
    """A job as `enqueue.lua` takes it.

    Raises:
        SerializationError, RuntimeError, TypeError, ValueError: see `ArqRedis.enqueue_job`.
    """
    job_id, _, defer_until, defer_by, expires, job_try = options
    _check(job_id, queue_name, defer_by, expires)  # here: in a batch it would fail the jobs of others, too
    if payload_format is None:
        payload = serialize_job(function, args, kwargs, job_try, timestamp_ms(), serializer=serializer)
    else:
        job_id = job_id or random_id()
        payload = payload_format.write_job(
            function, args, kwargs, job_try, timestamp_ms(), job_id, queue_name
        )
    when = due_at(defer_until, defer_by) if defer_until or defer_by else ""
    expires_ms = None
    if expires is not None:
        expires_ms = LONGEST_MS if expires == math.inf else to_ms(expires) or None
    return scripts.NewJob(job_id or random_id(), payload, when, expires_ms, "")


def random_id() -> str:
    """As `uuid.uuid4().hex`, at a third of the price."""
    bits = int.from_bytes(urandom(16), "big")
    return f"{bits & _NOT_FIXED | _FIXED:032x}"


def _check(job_id: Any, queue_name: Any, defer_by: Any, expires: Any) -> None:
    if job_id is not None and not isinstance(job_id, str):
        raise TypeError(f"_job_id must be a str, not {job_id!r}")
    if not isinstance(queue_name, str):
        raise TypeError(f"_queue_name must be a str, not {queue_name!r}")
    check_queue_name(queue_name)
    if job_id is not None:
        check_job_id(job_id)
    if expires not in (None, math.inf) and not 0 <= to_seconds(expires) <= LONGEST_S:
        raise ValueError(
            f"_expires must be from 0 to {LONGEST_S:.0f} seconds, or math.inf for no limit, not {expires!r}"
        )
    if defer_by and not -LONGEST_S <= to_seconds(defer_by) <= LONGEST_S:
        raise ValueError(f"_defer_by must be within {LONGEST_S:.0f} seconds, not {defer_by!r}")


class Producer(Protocol):
    """Whose jobs are sent."""

    expires_extra_ms: float | None


class Enqueuer:
    """Sends jobs: those that are enqueued at the same time go out together.

    Args:
        lane: the way to Redis.
        producer: what may change while it is used.

    Attributes:
        batches: takes one job at a time.
    """

    def __init__(self, lane: Lane, producer: Producer) -> None:
        self._lane = lane
        self._producer = producer
        self.size_limit = SizeLimit()
        self.batches: Batcher[Addressed, bool] = Batcher(self.send)

    async def check_sizes(self, functions: list[str], sizes: list[int]) -> None:
        """Refuse jobs that Redis would not take: it would hang up, whoever else is in the middle of something."""
        if max(sizes, default=0) <= ALWAYS_TAKEN:
            return
        limit = await self.size_limit.ask(self._lane.commands)
        for function, size in zip(functions, sizes, strict=True):
            if size > limit:
                raise SerializationError(f'unable to serialize job "{function}": {too_large(size, limit)}')

    async def send(self, batch: list[Addressed]) -> list[Accepted]:
        """Send one script call for each queue; answers in the order of the batch."""
        if len(batch) == 1 and single_enqueue.has_usual_terms(batch[0][1], self._lane.prefix):
            return [await self._send_one(*batch[0])]
        queues: dict[str, list[int]] = {}
        for index, (queue_name, _) in enumerate(batch):
            queues.setdefault(queue_name, []).append(index)
        accepted: list[Accepted] = [False] * len(batch)
        for queue_name, indexes in queues.items():
            answers = await self._send_to(queue_name, [batch[i][1] for i in indexes])
            for index, answer in zip(indexes, answers, strict=True):
                accepted[index] = answer
        return accepted

    async def _send_one(self, queue_name: str, job: scripts.NewJob) -> Accepted:
        extra_ms = self._producer.expires_extra_ms
        packed = single_enqueue.packed(queue_name, self._lane.prefix, extra_ms, job)
        try:
            answer = await self._lane.run_packed(packed, lambda: scripts.enqueue(queue_name, [job], extra_ms))
        except RedisError as exc:
            return exc
        return scripts.read_enqueue(answer)[0]

    async def _send_to(self, queue_name: str, jobs: list[scripts.NewJob]) -> list[Accepted]:
        """Send the jobs of one queue. What goes wrong is for their callers, not for those of other queues.

        And what goes wrong because of one of them is for the caller of that one.
        """
        call = scripts.enqueue(queue_name, jobs, self._producer.expires_extra_ms)
        try:
            accepted: list[Accepted] = [*scripts.read_enqueue(await self._lane.run(call))]
            return accepted
        except RedisError as exc:
            send = functools.partial(self._send_to, queue_name)
            return await send_apart(send, jobs, exc, self._lane.is_there)
