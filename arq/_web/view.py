"""One look at the dashboard: what was asked, who asks, and what is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException

from .._keys import check_queue_name
from .access import Access
from .links import Links
from .lookups import Lookups
from .masking import Mask
from .servers import MergedLookups, Servers

#: Characters of a query that are looked at.
LONGEST_QUERY = 16_384


@dataclass(frozen=True)
class Look:
    """What a page may look at to make its answer.

    Attributes:
        servers: all of them.
        lookups: answers questions about the one that the address names, or about all.
        query: what stands behind `?` in the address.
        access: what whoever asks may do.
        links: makes addresses.
        mask: hides what is not to be seen.
        job_id: the job that the address names.
    """

    servers: Servers
    lookups: Lookups | MergedLookups
    query: QueryParams
    access: Access
    links: Links
    mask: Mask
    job_id: str = ""

    def asked(self, name: str, default: str = "") -> str:
        """A word of the query."""
        return self.query.get(name, default).strip() or default

    @property
    def queue(self) -> str:
        """The queue that was asked about."""
        name = self.query.get("queue", "") or self.lookups.first_queue
        try:
            check_queue_name(name)
        except ValueError as exc:
            raise HTTPException(400, str(exc)) from exc
        return name

    def number(self, name: str, default: float, lowest: float, highest: float) -> float:
        """A number of the query, within limits."""
        try:
            value = float(self.query.get(name, "") or default)
        except ValueError:
            return default
        return min(max(value, lowest), highest) if value == value else default  # noqa: PLR0124  (nan)


@dataclass(frozen=True)
class Page:
    """What is answered.

    Attributes:
        template: its name, without `.html`.
        title: what stands above it.
        facts: for the template.
        json: the same for programs.
        status: of the answer.
        is_live: whether it changes by itself.
        now_ms: as of when it is, unix ms.
        away: name of a server -> why there is nothing of it.
        is_long: it takes some time to be written.
    """

    template: str
    title: str
    facts: dict[str, Any]
    json: Any
    status: int = 200
    is_live: bool = True
    now_ms: int = field(default=0)
    away: Mapping[str, str] = field(default_factory=dict)
    is_long: bool = False
