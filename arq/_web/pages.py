"""The pages, each as a function that looks and answers with facts; and where they are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from .job_pages import dead, job, jobs
from .overview_pages import overview
from .view import Look, Page

#: Paths of a page, with that for programs, and what makes it.
PAGES: list[tuple[tuple[str, ...], Callable[[Look], Awaitable[Page]]]] = [
    (("/", "/.json", "/index.json", "/overview.json"), overview),
    (("/jobs", "/jobs.json"), jobs),
    (("/jobs/{job_id:path}.json", "/jobs/{job_id:path}"), job),
    (("/dead", "/dead.json"), dead),
]
