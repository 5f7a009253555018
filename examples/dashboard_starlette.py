"""The dashboard in a Starlette application: everybody who reaches it may look, sees no arguments, and can do nothing.

python examples/dashboard_starlette.py        # http://127.0.0.1:8000/arq/
"""

import os

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from arq.web import dashboard


async def home(request: Request) -> PlainTextResponse:
    return PlainTextResponse("the shop")


board = dashboard(os.environ.get("REDIS_DSN", "redis://localhost:6379"), title="shop")
app = Starlette(routes=[Route("/", home), Mount("/arq", board)])

if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")))
