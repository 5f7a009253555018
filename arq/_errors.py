"""Every exception of arq. They travel inside pickled results, so the modules they claim are wire format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._types import SecondsTimedelta
from .utils import LONGEST_S, safe_repr, to_ms, to_seconds

if TYPE_CHECKING:
    from ._job_records import JobResult


class SerializationError(RuntimeError):
    """A job or its result could not be turned into bytes.

    Also the stand-in for an exception of a job that can't be brought back: the text names its type and says what it
    said, the notes are its notes, why it can't be brought back, and its traceback.

    Attributes:
        original_type: of a stand-in: the full name of the exception's class, else None.
    """

    __module__ = "arq.jobs"
    original_type: str | None = None


class DeserializationError(SerializationError):
    """The bytes of a job or of its result could not be read. Also a stand-in, see `SerializationError`."""

    __module__ = "arq.jobs"


class PayloadRefused(DeserializationError):
    """The bytes of a job or of its result were not even decoded: they are not signed, or not by a key that is known, or
    they are written by a codec that is not accepted.

    Attributes:
        elsewhere: whether another worker, with other options, may take them.
    """

    __module__ = "arq.jobs"

    def __init__(self, text: str, *, elsewhere: bool = False) -> None:
        super().__init__(text)
        self.elsewhere = elsewhere

    def __reduce__(self) -> tuple[object, ...]:
        return DeserializationError, self.args  # readers of other versions do not have this class


class JobFailed(RuntimeError):
    """A job has failed with an exception whose class is not known here.

    Attributes:
        type_name: full name of that class.
        text: what `str` said of the exception.
        arguments: its arguments; those that could not be written are text.
        traceback: its traceback as text; '' if that is not known.
        attributes: what it had beside its arguments, by name.
    """

    __module__ = "arq.jobs"

    def __init__(
        self, type_name: str, text: str = "", arguments: tuple[object, ...] = (), traceback: str = ""
    ) -> None:
        super().__init__(type_name, text, arguments, traceback)
        self.type_name, self.text, self.arguments, self.traceback = type_name, text, arguments, traceback
        self.attributes: dict[str, object] = {}

    def __str__(self) -> str:
        return f"{self.type_name}: {self.text}" if self.text else self.type_name


class RemoteTraceback(Exception):
    """Stands as the cause of an exception that was raised in a worker, and shows where."""

    __module__ = "arq.jobs"

    def __init__(self, traceback: str) -> None:
        super().__init__(traceback)
        self.traceback = traceback

    def __str__(self) -> str:
        return f"\n\n{self.traceback.rstrip()}"


class ResultNotFound(RuntimeError):
    """There is no result, and there will be none."""

    __module__ = "arq.jobs"


class Retry(RuntimeError):
    """Raise it in a job to have the job run again, up to `max_tries` runs.

    Args:
        defer: how long to wait before the next run, in seconds or as a timedelta; None: run again at once.
    """

    __module__ = "arq.worker"

    def __init__(self, defer: SecondsTimedelta | None = None) -> None:
        super().__init__(defer)
        #: the wait in ms, or None
        self.defer_score: int | None = to_ms(defer)

    def __repr__(self) -> str:
        return f"<Retry defer {(self.defer_score or 0) / 1000:0.2f}s>"

    def __str__(self) -> str:
        return repr(self)


class Snooze(Retry):
    """Raise it in a job for which it is too early: it is run again, and this run does not count as a try.

    Neither `max_tries` nor `retry_for` end that.

    Args:
        seconds: how long to wait before the next run, in seconds or as a timedelta, from 0 on.

    Raises:
        ValueError: it is something else, or more than a thousand years.
    """

    __module__ = "arq"

    def __init__(self, seconds: SecondsTimedelta) -> None:
        found_s: object = to_seconds(seconds)
        if not isinstance(found_s, int | float) or not 0 <= found_s <= LONGEST_S:
            raise ValueError(f"Snooze takes a time in seconds from 0 on, or a timedelta, not {seconds!r}")
        super().__init__(seconds)

    def __repr__(self) -> str:
        return f"<Snooze {(self.defer_score or 0) / 1000:0.2f}s>"


class RetryJob(RuntimeError):
    """Raise it in a job to put the job back into the queue as it is."""

    __module__ = "arq.worker"


class JobExecutionFailed(RuntimeError):
    """The job was not run: it had expired, its function is unknown, or it had used up its tries."""

    __module__ = "arq.worker"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JobExecutionFailed) and self.args == other.args

    def __hash__(self) -> int:
        return hash(self.args)


class FailedJobs(RuntimeError):
    """Raised by `Worker.run_check` when jobs failed.

    Attributes:
        count: how many failed.
        job_results: the failed results that were found.
    """

    __module__ = "arq.worker"

    def __init__(self, count: int, job_results: list[JobResult]) -> None:
        super().__init__(count, job_results)
        self.count = count
        self.job_results = job_results

    def __str__(self) -> str:
        results = [safe_repr(r.result) for r in self.job_results]
        if self.count == 1 and results:
            return f"1 job failed {results[0]}"
        return f"{self.count} jobs failed:\n" + "\n".join(results)

    def __repr__(self) -> str:
        return f"<{self}>"
