# mypy: disable-error-code="import-not-found"
"""An ASGI application whose requests are the jobs, for servers of web applications."""

from typing import Any
from urllib.parse import parse_qs

from arrival import worker_is_up
from jobs import call_async


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """`/?kind=nap&argument=a&argument=2`."""
    if scope["type"] == "lifespan":
        await _life(receive, send)
        return
    query = parse_qs(scope["query_string"].decode())
    arguments = [float(one) if one[:1].isdigit() else one for one in query["argument"]]
    await call_async(query["kind"][0], *arguments)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"done"})


async def _life(receive: Any, send: Any) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            worker_is_up()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
