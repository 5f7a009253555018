"""What a form sends: bounded, and read without a library."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from starlette.datastructures import ImmutableMultiDict
from starlette.exceptions import HTTPException

if TYPE_CHECKING:
    from starlette.requests import Request

#: Bytes and fields of a form, and seconds until all of it is there.
LARGEST, _MOST_FIELDS, _PATIENCE_S = 1_048_576, 1200, 15.0
Form = ImmutableMultiDict[str, str]


async def read_form(request: Request) -> Form:
    """The fields of a form.

    Raises:
        HTTPException: it is none, too large, or too slow.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/x-www-form-urlencoded":
        raise HTTPException(415, "send a form: application/x-www-form-urlencoded")
    try:
        async with asyncio.timeout(_PATIENCE_S):
            body = await _body(request)
    except TimeoutError:
        raise HTTPException(408, "the form did not come in time") from None
    try:
        pairs = parse_qsl(
            body.decode("ascii", "surrogateescape"),
            keep_blank_values=True,
            errors="surrogateescape",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise HTTPException(413, f"the form has more than {_MOST_FIELDS} fields") from None
    return ImmutableMultiDict(pairs)


async def _body(request: Request) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST:
            raise HTTPException(413, f"the form has more than {LARGEST} bytes")
        parts.append(part)
    return b"".join(parts)
