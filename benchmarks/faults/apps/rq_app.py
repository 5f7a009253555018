# mypy: disable-error-code="import-not-found, no-untyped-call"
"""Functions for rq: it imports this module anew for each job, in the process that runs it."""

from typing import Any

import jobs


def job(kind: str, *arguments: Any) -> None:
    """Any of the jobs."""
    jobs.call(kind, *arguments)
