"""The dashboard in a FastAPI application, for those who have a password: some may look, others may act.

OPERATORS='anna:secret' VIEWERS='ben:1234' python examples/dashboard_fastapi.py     # http://127.0.0.1:8000/arq/
"""

import base64
import binascii
import hmac
import os

import uvicorn
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request

from arq.web import Access, dashboard

LOG_IN = {"WWW-Authenticate": 'Basic realm="arq"'}


def people(variable: str) -> list[str]:
    """Names and passwords: `anna:secret,carl:more`."""
    return [one for one in os.environ.get(variable, "").split(",") if ":" in one]


def is_one_of(said: str, known: list[str]) -> bool:
    """Compares with all of them, and takes as long whatever is wrong."""
    return sum(hmac.compare_digest(said.encode(), one.encode()) for one in known) > 0


def authorize(request: Request) -> Access:
    """Who asks, and what may they do? Browsers ask for name and password when they are told 401."""
    scheme, _, word = request.headers.get("authorization", "").partition(" ")
    try:
        said = base64.b64decode(word).decode() if scheme.lower() == "basic" else ""
    except (binascii.Error, UnicodeDecodeError):
        said = ""
    name = said.partition(":")[0]
    if is_one_of(said, people("OPERATORS")):
        return Access(frozenset({"retry", "requeue", "abort", "pause", "see_args"}), name)
    if is_one_of(said, people("VIEWERS")):
        return Access(user=name)
    raise HTTPException(401, "name and password, please", LOG_IN)


app = FastAPI()


@app.get("/")
async def home() -> dict[str, str]:
    return {"this is": "the shop"}


app.mount("/arq", dashboard(os.environ.get("REDIS_DSN", "redis://localhost:6379"), authorize=authorize))

if __name__ == "__main__":
    uvicorn.run(app, port=int(os.environ.get("PORT", "8000")))
