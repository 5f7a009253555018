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
        server: which of several servers this page is about; '': all of them.
    """

    def __init__(self, root: str, assets: str, here: str, server: str = "") -> None:
        self.root = quote(root.rstrip("/"))
        self.here = here
        self.server = server
        self._assets = assets

    def page(self, path: str, **query: Any) -> str:
        """A page, about the server that this page is about; `server=''`: about all."""
        return self.to(path, **{"server": self.server, **query})

    def to(self, path: str, **query: Any) -> str:
        """An address; what is None or empty is left out of the query."""
        asked = {name: value for name, value in query.items() if value not in (None, "")}
        words = urlencode(asked, errors="surrogateescape")
        return f"{self.root}/{path}" + (f"?{words}" if words else "")

    def job(self, job_id: str, **query: Any) -> str:
        """The page of a job."""
        if _is_plain(job_id):
            return self.page(f"jobs/{quote(job_id, safe='')}", **query)
        return self.page(f"jobs/{_BY_QUERY}", id=job_id, **query)

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
