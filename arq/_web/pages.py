"""The pages, each as a function that looks and answers with facts; and where they are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from .about_pages import about, audit
from .fleet_pages import crons, queues, workers
from .function_pages import functions
from .job_pages import dead, job, jobs
from .overview_pages import overview
from .view import Look, Page

#: Paths of a page, with that for programs, and what makes it.
PAGES: list[tuple[tuple[str, ...], Callable[[Look], Awaitable[Page]]]] = [
    (("/", "/overview", "/.json", "/index.json", "/overview.json"), overview),
    (("/jobs", "/jobs.json"), jobs),
    (("/jobs/{job_id:path}.json", "/jobs/{job_id:path}"), job),
    (("/dead", "/dead.json"), dead),
    (("/queues", "/queues.json"), queues),
    (("/crons", "/crons.json"), crons),
    (("/workers", "/workers.json"), workers),
    (("/functions", "/functions.json"), functions),
    (("/audit", "/audit.json"), audit),
    (("/about", "/about.json"), about),
]
