"""Addresses of the dashboard's own pages, below whatever prefix it is mounted at. No I/O."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

#: An id that a path can't name is given as a query.
_BY_QUERY = "-"


class Links:
    """Makes addresses.

    Args:
        root: the prefix, without a slash at its end.
        assets: changes when a file in `static` does.
        here: path and query of this page.
    """

    def __init__(self, root: str, assets: str, here: str) -> None:
        self.root = quote(root.rstrip("/"))
        self.here = here
        self._assets = assets

    def to(self, path: str, **query: Any) -> str:
        """A page; what is None or empty is left out of the query."""
        asked = {name: value for name, value in query.items() if value not in (None, "")}
        words = urlencode(asked, errors="surrogateescape")
        return f"{self.root}/{path}" + (f"?{words}" if words else "")

    def job(self, job_id: str, **query: Any) -> str:
        """The page of a job."""
        if _is_plain(job_id):
            return self.to(f"jobs/{quote(job_id, safe='')}", **query)
        return self.to(f"jobs/{_BY_QUERY}", id=job_id, **query)

    def static(self, name: str) -> str:
        """A file."""
        return f"{self.root}/static/{name}?v={self._assets}"


def _is_plain(job_id: str) -> bool:
    """Whether a path can name it: browsers, proxies and our own `.json` would make something else of some ids."""
    return (
        job_id.isprintable()
        and not job_id.endswith(".json")
        and job_id not in ("", ".", "..", _BY_QUERY)
        and "/" not in job_id
        and "\\" not in job_id
        and _is_text(job_id)
    )


def _is_text(job_id: str) -> bool:
    try:
        job_id.encode()
    except UnicodeEncodeError:
        return False
    return True
