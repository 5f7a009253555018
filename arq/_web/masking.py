"""What is not to be seen of jobs: by those who may not see it, or by anybody."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Callable
from typing import Any

from .._admin.shown import WHOLE, shown_call
from ..admin import Event, JobDetails, ListedJob

logger = logging.getLogger("arq.web")

#: What stands in the place of something that is hidden.
HIDDEN = "(hidden)"
#: Is told the function, the name of the argument (a number for those without one; or `result`, `error`, `traceback`)
#: and its value; its answer is shown.
Redact = Callable[[str | None, str, Any], Any]
_KIND = re.compile(r"[\w.]{1,200}")


class Mask:
    """Hides parts of jobs.

    Args:
        sees_args: whether arguments, results and texts of errors are shown.
        redact: changes values before they are shown; None: nothing is changed.
    """

    def __init__(self, *, sees_args: bool, redact: Redact | None) -> None:
        self.sees_args = sees_args
        self._redact = redact

    @property
    def changes(self) -> bool:
        """Whether something is hidden: then nobody may search for it."""
        return self._redact is not None or not self.sees_args

    def job(self, job: ListedJob) -> ListedJob:
        """A job as it may be seen."""
        if not self.sees_args:
            has_any = bool(job.arguments)
            return dataclasses.replace(
                job,
                arguments=HIDDEN if has_any else "",
                args=[],
                kwargs={},
                result=HIDDEN if job.result else "",
                error=kind_of(job.error),
            )
        if self._redact is None:
            return job
        args = [self._value(job.function, str(n), value) for n, value in enumerate(job.args)]
        kwargs = {name: self._value(job.function, name, value) for name, value in job.kwargs.items()}
        is_same = args == job.args and kwargs == job.kwargs
        return dataclasses.replace(
            job,
            arguments=job.arguments if is_same else shown_call(args, kwargs, WHOLE),
            args=args,
            kwargs=kwargs,
            result=str(self._value(job.function, "result", job.result)),
            error=str(self._value(job.function, "error", job.error)),
        )

    def details(self, found: JobDetails) -> JobDetails:
        """All that is known of a job, as it may be seen."""
        function, job = found.job.function, self.job(found.job)
        events = [self._event(function, event, found.job, job) for event in found.timeline]
        if not self.sees_args:
            return dataclasses.replace(
                found,
                job=job,
                timeline=events,
                traceback=HIDDEN if found.traceback else "",
                crashes=found.crashes,
            )
        told = self._value(function, "traceback", found.traceback)
        return dataclasses.replace(found, job=job, timeline=events, traceback=str(told))

    def _event(self, function: str | None, event: Event, plain: ListedJob, job: ListedJob) -> Event:
        """What an event tells is a result, an error, or harmless."""
        if event.what == "finished":
            return dataclasses.replace(
                event, detail=job.result if event.detail == plain.result else event.detail
            )
        if event.what != "failed" or not event.detail:
            return event
        if not self.sees_args:
            return dataclasses.replace(event, detail=kind_of(event.detail))
        return dataclasses.replace(event, detail=str(self._value(function, "error", event.detail)))

    def _value(self, function: str | None, name: str, value: Any) -> Any:
        if self._redact is None:
            return value
        try:
            return self._redact(function, name, value)
        except Exception:
            logger.exception("redact has failed for %r of %r: it is hidden", name, function)
            return HIDDEN


def kind_of(error: str) -> str:
    """The class of an error, without what it says."""
    found = _KIND.match(error)
    return f"{found[0]}: {HIDDEN}" if found else error and HIDDEN


def names_hidden(names: frozenset[str]) -> Redact:
    """Hides arguments of these names, also inside of dictionaries."""

    def hide(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: HIDDEN if _is_in(key, names) else hide(one) for key, one in value.items()}
        return [hide(one) for one in value] if isinstance(value, list) else value

    def redact(function: str | None, name: str, value: Any) -> Any:
        return HIDDEN if _is_in(name, names) else hide(value)

    return redact


def _is_in(name: object, names: frozenset[str]) -> bool:
    return isinstance(name, str) and name.lower() in names
