"""`arq web`: the dashboard."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from .exit_codes import ExitCode
from .target import Target, fail, say, with_redis

if TYPE_CHECKING:
    from ..web import Dashboard

_ALLOW_HELP = "What may be done, with commas: all, or of retry, requeue, abort, delete, pause, cron, workers."


@click.command("web")
@with_redis
@click.option("--host", default="127.0.0.1", metavar="ADDRESS", help="Where to listen.  [default: 127.0.0.1]")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8800,
    metavar="N",
    help="The port; 0: any.  [default: 8800]",
)
@click.option(
    "-q",
    "--queue",
    "queues",
    multiple=True,
    metavar="NAME",
    help="A queue to show, the first one first. Others are found.",
)
@click.option(
    "--token",
    envvar="ARQ_WEB_TOKEN",
    metavar="TEXT",
    help="Secret of 32 characters or more that opens it; better in the environment.  [env: ARQ_WEB_TOKEN]",
)
@click.option(
    "--allow", default="", metavar="WORDS", help=_ALLOW_HELP + " Needs a token.  [default: only to look]"
)
@click.option("--hide-args", is_flag=True, help="Show no arguments, results and texts of errors.")
@click.option(
    "--redact",
    default="",
    metavar="NAMES",
    help="Hide the values of arguments with these names, with commas.",
)
@click.option("--title", default="", metavar="TEXT", help="Stands beside the name, as production.")
@click.option("--prefix", default="", metavar="PATH", help="Path below which a proxy shows it, as /arq.")
@click.option(
    "--origin",
    "origins",
    multiple=True,
    metavar="URL",
    help="Address under which browsers reach it by way of a proxy: https://ops.example.com",
)
@click.option(
    "--refresh",
    type=click.FloatRange(2, 60),
    default=5.0,
    metavar="SECONDS",
    help="Between two looks of an open page.  [default: 5]",
)
def web(target: Target, host: str, port: int, **options: Any) -> None:
    """Show the dashboard in a browser: queues, jobs, dead jobs, schedules, workers, statistics.

    It listens on this machine only and shows without changing anything, unless a token is given, and what is allowed.
    Needs the extra: pip install 'arq[web]'.
    """
    app = _dashboard(target, host, **options)
    prefix = _prefix(options["prefix"])
    listener = _listen(host, port)
    if asyncio.run(_serve(app, listener, prefix)) is signal.SIGINT:
        sys.exit(ExitCode.INTERRUPTED)


def _dashboard(
    target: Target,
    host: str,
    *,
    queues: tuple[str, ...],
    token: str | None,
    allow: str,
    hide_args: bool,
    redact: str,
    title: str,
    origins: tuple[str, ...],
    refresh: float,
    **_: Any,
) -> Dashboard:
    try:
        import_module("uvicorn")
        from .._web.alone import for_everybody
    except ImportError as exc:
        fail(f"`arq web` needs {exc.name}, which is not installed: pip install 'arq[web]'", ExitCode.USAGE)
    try:
        return for_everybody(
            target.servers if target.are_several else target.redis,
            host,
            queues=queues or (target.queue,),
            token=token,
            allow=allow,
            hide_args=hide_args,
            redact=redact,
            title=title,
            origins=origins,
            refresh_s=refresh,
            signing=target.signing,
        )
    except ValueError as exc:
        fail(str(exc), ExitCode.USAGE)


def _prefix(given: str) -> str:
    found = "/" + given.strip("/") if given.strip("/") else ""
    if urlsplit(found).path != found:
        fail(f"--prefix {given!r} is no path, as /arq is", ExitCode.USAGE)
    return found


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=256)
    except (OSError, UnicodeError) as exc:
        fail(f"can't listen at {host}:{port}: {exc}", ExitCode.USAGE)


async def _serve(app: Dashboard, listener: socket.socket, prefix: str) -> signal.Signals | None:
    from .._web.server import serve

    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.WARNING)
    logging.getLogger("arq.web").setLevel(logging.INFO)  # who has done what
    host, port = listener.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    say(f"the dashboard is at http://{shown}:{port}{prefix}/ (Ctrl-C ends it)")
    return await serve(app, prefix, listener)
