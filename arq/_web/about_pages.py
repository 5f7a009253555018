"""What was done, and what this dashboard and its Redis are."""

from __future__ import annotations

from importlib.metadata import version

from starlette.exceptions import HTTPException

from ..version import VERSION
from .view import Look, Page


async def audit(look: Look) -> Page:
    """What operators have done."""
    before = look.asked("before")
    try:
        found = await look.lookups.notes(100, before, look.asked("on"))
    except ValueError as exc:
        raise HTTPException(400, str(exc)) from exc
    overview = await look.lookups.overview()
    facts = {"notes": found, "before": before, "has_more": len(found) == 100}
    return Page("audit", "Audit", facts, {"notes": found}, now_ms=overview.now_ms)


async def about(look: Look) -> Page:
    """Versions, the server, and who may do what here."""
    overview, each = await look.lookups.overview(), await look.lookups.server()
    versions = {"arq": VERSION, "redis-py": version("redis"), "starlette": version("starlette")}
    facts = {"versions": versions, "each": each, "queues": len(await look.lookups.queues())}
    json = {
        "versions": versions,
        "redis": each.get("", each),
        "allowed": look.access.actions,
        "sees_args": look.mask.sees_args,
    }
    return Page("about", "About", facts, json, now_ms=overview.now_ms)
