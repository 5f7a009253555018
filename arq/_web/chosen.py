"""With what something is to be done: what a form names, or all that a filter fits."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from starlette.exceptions import HTTPException

from ..admin import Admin, JobState, ListedJob
from .actions import Action
from .forms import Form

#: Jobs that one look takes.
_STEP = 500
#: Jobs and names that one form may name.
_MOST = 1000
#: Entries that are counted for a question, and seconds that this may take.
_MOST_COUNTED, _COUNTING_S = 100_000, 2.0


def as_word(job: ListedJob) -> str:
    """A job in a form: its fingerprint and its id, so that another job with this id is left alone; of several servers
    the name of its own before that.
    """
    server = f"{quote(job.server, safe='')}|" if job.server else ""
    return f"{server}{quote(job.fingerprint, safe='')}|{quote(job.job_id, safe='', errors='surrogateescape')}"


def named_jobs(form: Form, queue: str) -> list[ListedJob]:
    """The jobs that a form names.

    Raises:
        HTTPException: they are too many.
    """
    words = dict.fromkeys(form.getlist("job"))
    if len(words) > _MOST:
        raise HTTPException(413, f"choose {_MOST} jobs at most")
    jobs = []
    for word in words:
        marks, bar, name = word.rpartition("|")
        job_id = unquote(name, errors="surrogateescape") if bar else word
        server, _, mark = marks.rpartition("|")
        at = unquote(server) or form.get("server", "")
        jobs.append(ListedJob(job_id, queue, JobState.queued, fingerprint=unquote(mark), server=at))
    return jobs


def named(form: Form) -> list[str]:
    """The queues, schedules or workers that a form names.

    Raises:
        HTTPException: they are too many.
    """
    names = list(dict.fromkeys(form.getlist("name")))
    if len(names) > _MOST:
        raise HTTPException(413, f"choose {_MOST} at most")
    return names


@dataclass(frozen=True)
class Filtered:
    """All jobs that a filter fits.

    Attributes:
        state: '': in the queue.
        wanted: as `Admin.jobs` takes it.
        before_ms: only those that were there at this time, unix ms; 0: no limit.
    """

    queue: str
    state: str
    wanted: dict[str, Any]
    before_ms: int

    async def pages(self, admin: Admin) -> AsyncIterator[list[ListedJob]]:
        """Some of them at a time."""
        cursor = ""
        while True:
            page = await admin.jobs(
                self.queue,
                state=self.state or None,
                cursor=cursor,
                limit=_STEP,
                scan_limit=20_000,
                **self.wanted,
            )
            yield [job for job in page.jobs if self._was_there(job)]
            cursor = page.cursor
            if not cursor:
                return

    def _was_there(self, job: ListedJob) -> bool:
        at_ms = job.finished_ms if job.state in (JobState.dead, JobState.done) else job.enqueued_ms
        return not self.before_ms or at_ms is None or at_ms <= self.before_ms

    async def count(self, admin: Admin, action: Action) -> tuple[int, bool]:
        """How many there are, and whether there may be more."""
        counted, until_s = 0, time.monotonic() + _COUNTING_S
        async for jobs in self.pages(admin):
            counted += sum(action.fits(job.state) for job in jobs)
            if counted >= _MOST_COUNTED or time.monotonic() > until_s:
                return counted, True
        return counted, False
