"""Answers to requests: who asks, what may be shown, and trouble told."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote

from redis.exceptions import RedisError, ResponseError
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.responses import Response

from .._admin.fan_out import AwayError, away_line
from .._printable import printable, redacted
from ..version import VERSION
from .access import SEE_ARGS, Access, rights_of
from .json_form import as_json_bytes
from .links import Links
from .masking import Mask
from .options import Answer, Options
from .rendering import ASSETS_MARK, environment
from .servers import Servers
from .session import is_logged_in
from .view import LONGEST_QUERY, Look, Page

if TYPE_CHECKING:
    from starlette.requests import Request

logger = logging.getLogger("arq.web")

#: Seconds that an answer may take.
LONGEST_S = 60.0
#: The field of a query that names a server.
SERVER = "server"
#: Fields that mean something on one page of a list only.
_OF_ONE_PAGE = ("cursor", "before", "on", SERVER)
#: Fields of a query.
_MOST_FIELDS = 100
#: Pages that stand in the head of all.
NAV = (
    ("", "Overview"),
    ("queues", "Queues"),
    ("jobs", "Jobs"),
    ("dead", "Dead"),
    ("crons", "Crons"),
    ("workers", "Workers"),
    ("functions", "Functions"),
    ("audit", "Audit"),
    ("about", "About"),
)


class Answers:
    """Answers requests as its options say."""

    def __init__(self, servers: Servers, options: Options) -> None:
        self.servers = servers
        self.options = options
        self._templates = environment()

    async def access(self, request: Request) -> Access:
        """What whoever asks may do.

        Raises:
            HTTPException: nothing.
        """
        options = self.options
        if options.token is not None and not is_logged_in(request, options.token):
            raise HTTPException(401, "log in first")
        if options.authorize is None:
            return options.access
        answer = options.authorize(request)
        found: Answer = await answer if inspect.isawaitable(answer) else answer
        if found is None:
            raise HTTPException(403, "you may not see this")
        if isinstance(found, Access):
            return found
        return Access(rights_of([found] if isinstance(found, str) else found))

    def look(self, request: Request, access: Access) -> Look:
        """What a page may look at."""
        if len(request.url.query) > LONGEST_QUERY:
            raise HTTPException(414, "the address is too long")
        mask = Mask(sees_args=access.may(SEE_ARGS), redact=self.options.redact)
        try:
            pairs = parse_qsl(
                request.url.query,
                keep_blank_values=True,
                errors="surrogateescape",
                max_num_fields=_MOST_FIELDS,
            )
        except ValueError:
            raise HTTPException(400, f"the address has more than {_MOST_FIELDS} fields") from None
        query = QueryParams(pairs)
        job_id = query.get("id") or request.path_params.get("job_id", "")
        lookups = self.servers.looking(query.get(SERVER, ""))
        return Look(self.servers, lookups, query, access, self.links(request), mask, job_id)

    @staticmethod
    def links(request: Request) -> Links:
        """Makes addresses below the prefix at which the request has come in."""
        raw_path = request.scope.get("raw_path") or quote(request.scope["path"]).encode()
        query = request.scope.get("query_string", b"")
        here = (raw_path.partition(b"?")[0] + (b"?" + query if query else b"")).decode("latin-1")
        server = request.query_params.get(SERVER, "")
        return Links(request.scope.get("root_path", ""), ASSETS_MARK, here, server)

    def render(self, request: Request, page: Page, access: Access, *, is_fragment: bool = False) -> bytes:
        """A page as HTML."""
        template = self._templates.get_template(f"{page.template}.html")
        asked = dict(request.query_params)
        text = template.render(
            page=page,
            layout="fragment.html" if is_fragment else "layout.html",
            links=self.links(request),
            access=access,
            options=self.options,
            version=VERSION,
            asked=asked,
            nav=NAV,
            servers=self.servers.names,
            several=bool(self.servers.names) and SERVER not in asked,
            kept_asked={name: value for name, value in asked.items() if name not in _OF_ONE_PAGE},
            away=[away_line(name, why) for name, why in page.away.items()],
            now_ms=page.now_ms,
            here=request.scope["path"]
            .removeprefix(request.scope.get("root_path", ""))
            .strip("/")
            .partition("/")[0],
            **page.facts,
        )
        return text.encode(errors="backslashreplace")

    async def answer(
        self, request: Request, make: Callable[[Request, Access], Awaitable[Response]]
    ) -> Response:
        """What `make` answers to somebody who may ask; trouble is told."""
        try:
            async with asyncio.timeout(LONGEST_S):
                return await make(request, await self.access(request))
        except HTTPException as exc:
            return self.told(request, exc.status_code, str(exc.detail), exc.headers)
        except AwayError as exc:
            return self.told(request, 503, f"Redis can't be used: {exc}")
        except ResponseError as exc:
            if "WRONGTYPE" in str(exc):
                return self.told(request, 404, "that is no queue: it is another kind of key")
            return self.told(request, 503, f"Redis refuses: {redacted(str(exc))}")
        except (RedisError, OSError, TimeoutError) as exc:
            text = redacted(f"{exc.__class__.__name__}: {exc}").rstrip(": ")
            return self.told(request, 503, f"Redis can't be used: {text}")
        except Exception:
            logger.exception("the page %s has failed", printable(request.url.path))
            return self.told(request, 500, "this page has failed, the log says why")

    def told(
        self,
        request: Request,
        status: int,
        reason: str,
        headers: Mapping[str, str] | None = None,
        *,
        following: str | None = None,
    ) -> Response:
        """An answer that says why there is no other. `following`: where to go from there; None: to this page."""
        if wants_json(request):
            body = as_json_bytes({"error": reason})
            return Response(body, status, headers, "application/json")
        is_login = status == 401 and self.options.token is not None
        template, title = ("login", "Log in") if is_login else ("problem", "This did not work")
        if following is None:  # what was sent is lost with the session, and only pages can be gone back to
            following = self.links(request).here if request.method == "GET" else ""
        page = Page(template, title, {"reason": reason, "following": following}, None, status)
        return Response(self.render(request, page, Access()), status, headers, "text/html")


def wants_json(request: Request) -> bool:
    """Whether a program asks."""
    accepted = request.headers.get("accept", "")
    return request.url.path.endswith(".json") or ("json" in accepted and "html" not in accepted)
