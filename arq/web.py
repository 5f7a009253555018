"""The dashboard, to be mounted in an application. `arq web` runs it on its own.

    from arq.web import dashboard

    app.mount("/arq", dashboard("redis://localhost", authorize=who_may))

Needs the extra: pip install 'arq[web]'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ._payloads.keyring import Keyring
from .connections import RedisSettings
from .shards import ArqShards

if TYPE_CHECKING:
    from redis.asyncio import Redis

try:
    import jinja2 as _jinja2  # noqa: F401
    import starlette as _starlette  # noqa: F401
except ImportError as exc:
    raise ImportError(
        f"the dashboard needs {exc.name}, which is not installed: pip install 'arq[web]'", name=exc.name
    ) from exc

from ._web.access import Access
from ._web.application import Dashboard
from ._web.masking import Redact
from ._web.options import Authorize, Options
from ._web.servers import servers_of

__all__ = ["Access", "Dashboard", "dashboard"]

Access.__module__ = Dashboard.__module__ = __name__


def dashboard(
    redis: RedisSettings
    | str
    | Redis
    | ArqShards
    | Sequence[RedisSettings | str]
    | Mapping[str, RedisSettings | str | Redis]
    | None = None,
    *,
    queues: Sequence[str] = (),
    title: str = "",
    authorize: Authorize | None = None,
    redact: Redact | None = None,
    origins: Sequence[str] = (),
    refresh: float = 5.0,
    signing: Keyring | None = None,
) -> Dashboard:
    """The dashboard as an ASGI application, for `mount` of Starlette and FastAPI and any other server.

    Without `authorize` everybody who reaches it may look, sees no arguments, and can do nothing.

    Args:
        redis: settings, an address, or a client of redis.asyncio that is yours. It is connected at the first request;
            `await aclose()` ends that, the end of the process does, too. Several servers that hold the same queues: an
            `ArqShards`, or a list or a dict of settings, as `ArqShards` takes them. Default: redis://localhost.
        queues: names of queues, the one that is shown first to begin with. Others are found. Default: arq's own.
        title: stands beside the name: `production`.
        authorize: called with each request (of Starlette), may be a coroutine. None: refused. "read": to look. A set
            of `retry`, `requeue`, `abort`, `delete`, `pause`, `cron`, `workers` and `see_args`: that as well; "all":
            all of it. Or an `Access`, with a name for the audit trail.
        redact: called as `redact(function, name, value)` for each argument (its name, or its number as text), and for
            `result`, `error` and `traceback`; what it returns is shown instead.
        origins: addresses under which browsers reach it, if a proxy changes the Host header: `https://ops.example.com`.
        refresh: seconds between two looks of an open page, 2 - 60.
        signing: the keys of the application, as for `arq.admin.Admin.connect`. A client has its own.

    Raises:
        TypeError, ValueError: a value is out of its range, or two servers are the same.
    """
    if not 2 <= refresh <= 60:
        raise ValueError(f"refresh must be 2 to 60 seconds, not {refresh!r}")
    options = Options(
        title=title, authorize=authorize, redact=redact, origins=tuple(origins), refresh_s=float(refresh)
    )
    given: Any = RedisSettings() if redis is None else redis
    return Dashboard(servers_of(given, queues, signing), options)
