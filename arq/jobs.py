"""A job from its producer's side: result, info, status, abort."""

from __future__ import annotations

import asyncio
import warnings
from typing import TYPE_CHECKING, Any

from ._errors import (
    DeserializationError,
    JobFailed,
    PayloadRefused,
    RemoteTraceback,
    ResultNotFound,
    SerializationError,
)
from ._job_records import JobDef, JobResult, JobStatus
from ._keys import result_key
from ._payloads.aborted_result import aborted_result
from ._payloads.pickle_errors import Unreadable
from ._payloads.serialization import (
    Deserializer,
    Serializer,
    deserialize_job,
    deserialize_job_raw,
    deserialize_result,
    serialize_job,
    serialize_result,
    unreadable_value,
)
from ._payloads.unreadable_records import read_job, read_result
from ._printable import printable
from ._redis import scripts
from ._redis.connection_pools import prefix_of
from ._redis.key_prefix import under
from ._redis.raw_commands import ask
from ._redis.rendezvous import SeveralServers
from ._redis.scripts import Ask
from ._reexported_names import elsewhere
from .constants import default_queue_name

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from ._payloads.payload_format import PayloadFormat

__all__ = [
    "DeserializationError",
    "Deserializer",
    "Job",
    "JobDef",
    "JobFailed",
    "JobResult",
    "JobStatus",
    "PayloadRefused",
    "RemoteTraceback",
    "ResultNotFound",
    "SerializationError",
    "Serializer",
    "Unreadable",
    "deserialize_job",
    "deserialize_job_raw",
    "deserialize_result",
    "serialize_job",
    "serialize_result",
]

if not TYPE_CHECKING:

    def __getattr__(name):
        return elsewhere(__name__, name)


#: The first pause of `Job.result`, in s: a quick job takes about this long from the producer to a worker and back.
_FIRST_PAUSE_S = 0.0005
#: A pause of `Job.result` as a part of the time already waited: the answer comes at most so much later than it could.
_PAUSE_SHARE = 0.2


def next_pause_s(waited_s: float, poll_delay_s: float, left_s: float | None) -> float:
    """How long to wait before the next look for a result.

    A short job is answered in milliseconds, a long one costs a look every `poll_delay_s`.
    """
    pause_s = min(poll_delay_s, max(_FIRST_PAUSE_S, waited_s * _PAUSE_SHARE))
    return pause_s if left_s is None else max(0.0, min(pause_s, left_s))


async def look(redis: Redis, job_id: str, queue_name: str) -> tuple[bytes | None, bool]:
    """The bytes of a job's result, and whether the job is in its queue."""
    shared_look = getattr(redis, "_look", None)  # ArqRedis makes one round trip for all who wait
    if shared_look is not None:
        found: tuple[bytes | None, bool] = await shared_look((job_id, queue_name))
        return found
    prefix = prefix_of(redis)
    async with redis.pipeline(transaction=False) as pipe:
        for command in look_commands([(job_id, queue_name)]):
            pipe.execute_command(*(under(prefix, command) if prefix else command), NEVER_DECODE=True)
        score, payload = await pipe.execute()
    return payload, score is not None


def look_commands(wanted: list[tuple[str, str]]) -> list[tuple[str, ...]]:
    """Two commands for each job and queue: its score and its result.

    In this order: a job leaves the queue and gets its result in one step. One that was seen to have left is finished,
    and what is found of its result afterwards is final.
    """
    commands: list[tuple[str, ...]] = []
    for job_id, queue_name in wanted:
        commands += [("ZSCORE", queue_name, job_id), ("GET", result_key(job_id))]
    return commands


def look_answers(answers: list[Any]) -> list[tuple[bytes | None, bool] | Exception]:
    """What the answers to `look_commands` say about each job: its result, and whether it is in the queue."""
    found: list[tuple[bytes | None, bool] | Exception] = []
    for score, payload in zip(answers[::2], answers[1::2], strict=True):
        if isinstance(score, Exception):
            found.append(score)
        elif isinstance(payload, Exception):
            found.append(payload)
        else:
            found.append((payload, score is not None))
    return found


class Job:
    """A reference to a job.

    Args:
        job_id: its id.
        redis: the client to ask, or an `ArqShards`: then that of the server that has the job.
        _queue_name: the queue it was put into.
        _deserializer: reads payloads and results; default: pickle. With `codec` or `signing` its client does that.
    """

    __slots__ = "_deserializer", "_queue_name", "_redis", "job_id"

    def __init__(
        self,
        job_id: str,
        redis: Redis | SeveralServers,
        _queue_name: str = default_queue_name,
        _deserializer: Deserializer | None = None,
    ) -> None:
        self.job_id = job_id
        self._redis = redis.client_of(job_id) if isinstance(redis, SeveralServers) else redis
        self._queue_name = _queue_name
        self._deserializer = _deserializer

    async def result(
        self, timeout: float | None = None, *, poll_delay: float = 0.5, pole_delay: float | None = None
    ) -> Any:
        """Wait for the job to finish; return what it returned, or raise what it raised.

        Args:
            timeout: seconds to wait at most; None: for ever.
            poll_delay: the longest pause in s between two looks. Pauses begin at half a millisecond and grow with
                the time waited.
            pole_delay: deprecated, the same as poll_delay.

        Raises:
            TimeoutError: there was no result within `timeout`.
            ResultNotFound: the job is not in the queue and has no result (any more).
            SerializationError: the worker could not serialize the result. Also in the place of an exception of the job
                that can't be brought back: it has that one's type, text and notes.
            DeserializationError: the result can't be read here, the text says why. Also in the place of an exception.
            PayloadRefused: the result is not signed as it must be, or not written by a codec that is accepted.
            JobFailed: with a codec other than pickle: the job raised something whose class is not to be found here.
            Exception: whatever the job raised.
        """
        if pole_delay is not None:
            warnings.warn(
                '"pole_delay" is deprecated, use the correct spelling "poll_delay" instead',
                DeprecationWarning,
                stacklevel=2,
            )
            poll_delay = pole_delay
        info = await self._wait(timeout, poll_delay)
        if info.success:
            if isinstance(info.result, Unreadable):
                raise unreadable_value(info.result.reason or info.result.shown)
            return info.result
        if isinstance(info.result, BaseException):
            raise info.result
        raise SerializationError(info.result)

    async def _wait(self, timeout: float | None, poll_delay: float) -> JobResult:
        clock = asyncio.get_running_loop().time
        start = clock()
        while True:
            waited = clock() - start  # before the look: what came while this loop stood still is seen
            payload, in_queue = await look(self._redis, self.job_id, self._queue_name)
            if payload is not None:
                return read_result(payload, deserializer=self._result_reader())
            if not in_queue:
                raise ResultNotFound(
                    "Not waiting for job result because the job is not in queue. "
                    "Is the worker function configured to keep result?"
                )
            if timeout is not None and waited >= timeout:
                raise TimeoutError
            await asyncio.sleep(
                next_pause_s(waited, poll_delay, None if timeout is None else timeout - waited)
            )

    async def info(self) -> JobDef | None:
        """All that is known about the job, with its result if there is one; None if the job is unknown.

        In the place of an argument or a value that can't be read here stands an `Unreadable`, which says why; in that
        of an exception a DeserializationError with its type, text and notes.

        Raises:
            DeserializationError: nothing of its payload or result can be read.
        """
        call = scripts.inspect(self._queue_name, [self.job_id])
        _, (found,) = scripts.read_inspect(await scripts.run(self._redis, call))
        if found.result is not None:
            return read_result(found.result, deserializer=self._result_reader())
        if found.payload is None:
            return None
        payload_format: PayloadFormat | None = getattr(self._redis, "payload_format", None)
        reader = self._deserializer
        if payload_format is not None:
            reader = payload_format.job_reader(self.job_id, self._queue_name)
        job = read_job(found.payload, deserializer=reader)
        job.score, job.job_id = found.score, self.job_id
        return job

    async def result_info(self) -> JobResult | None:
        """The result with all that goes with it, or None. Does not wait, and raises nothing that the job raised.

        What can't be read is replaced as by `info`.

        Raises:
            DeserializationError: nothing of the result can be read.
        """
        payload = await ask(self._redis, "GET", result_key(self.job_id))
        return None if payload is None else read_result(payload, deserializer=self._result_reader())

    def _result_reader(self) -> Deserializer | None:
        payload_format: PayloadFormat | None = getattr(self._redis, "payload_format", None)
        if payload_format is None:
            return self._deserializer
        return payload_format.result_reader(self.job_id, self._queue_name)

    async def status(self) -> JobStatus:
        """Where the job is."""
        call = scripts.inspect(self._queue_name, [self.job_id], with_bytes=False)
        now_ms, (found,) = scripts.read_inspect(await scripts.run(self._redis, call))
        if found.result is not None:
            return JobStatus.complete
        if found.running:
            return JobStatus.in_progress
        if found.score is None:
            return JobStatus.not_found
        return JobStatus.deferred if found.score > now_ms else JobStatus.queued

    async def abort(self, *, timeout: float | None = None, poll_delay: float = 0.5) -> bool:
        """Abort the job. One that nobody runs is taken out of the queue at once; whoever waits for its result gets a
        CancelledError, which is kept for an hour. One that is running is cancelled by its worker, if that has
        `allow_abort_jobs=True`.

        Args:
            timeout: seconds to wait for the end of a running job; None: for ever; 0: only ask, also where the job is
                queued, and leave it to workers with `allow_abort_jobs`.
            poll_delay: the longest pause in s between two looks.

        Returns:
            True if the job was aborted, False if it ended otherwise or is unknown.

        Raises:
            TimeoutError: it is running, and did not end within `timeout`, or that is 0; the request stands.
            Exception: whatever else the job raised.
        """
        clock = asyncio.get_running_loop().time
        start = clock()
        only_ask = timeout is not None and timeout <= 0
        state = await self._try_to_abort(Ask.ANY_WORKER if only_ask else Ask.ITS_WORKER)
        while state in ("running", "asked"):  # it may be given back by its worker: then it is queued again
            waited = clock() - start
            if timeout is not None and waited >= timeout:
                raise TimeoutError(
                    f"job {printable(self.job_id)} stays: no worker that obeys aborts has ended it"
                )
            await asyncio.sleep(
                next_pause_s(waited, poll_delay, None if timeout is None else timeout - waited)
            )
            state = await self._try_to_abort(Ask.NOBODY)
        if state == "aborted":
            return True
        info = await self.result_info()
        if info is None or info.success or not isinstance(info.result, BaseException):
            return False
        if isinstance(info.result, asyncio.CancelledError):
            return True
        raise info.result

    async def _try_to_abort(self, ask: Ask) -> str:
        """Take the job out of the queue if nobody runs it; what state it is in."""
        look_again = scripts.abort(self._queue_name, self.job_id, ask)
        found = scripts.read_abort(await scripts.run(self._redis, look_again))
        while found.state == "queued":
            result, keep_s = aborted_result(
                found.payload,
                self.job_id,
                self._queue_name,
                starts=found.starts,
                now_ms=found.now_ms,
                serializer=getattr(self._redis, "job_serializer", None),
                deserializer=self._deserializer or getattr(self._redis, "job_deserializer", None),
                payload_format=getattr(self._redis, "payload_format", None),
            )
            call = scripts.take_out(look_again, found.payload, result, keep_s * 1000)
            found = scripts.read_abort(await scripts.run(self._redis, call))
        return found.state

    def __repr__(self) -> str:
        return f"<arq job {printable(self.job_id)}>"
