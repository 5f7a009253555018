"""How a dashboard is to be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from .access import Access, Token
from .masking import Redact

if TYPE_CHECKING:
    from starlette.requests import Request

Answer = None | Literal["read", "all"] | Sequence[str] | frozenset[str] | set[str] | Access
Authorize = Callable[["Request"], "Answer | Awaitable[Answer]"]


@dataclass(frozen=True)
class Options:
    """How a dashboard is to be.

    Attributes:
        title: stands beside the name, so that nobody takes one environment for another.
        authorize: says what whoever asks may do; None: `access`.
        access: what everybody may do.
        token: must be known; None: none is needed.
        redact: changes values before they are shown.
        origins: where it may be reached beside its own address.
        only_loopback: answer to hosts that are this machine only.
        refresh_s: seconds between two looks of a page that is open, 2 - 60.
    """

    title: str = ""
    authorize: Authorize | None = None
    access: Access = field(default_factory=Access)
    token: Token | None = None
    redact: Redact | None = None
    origins: Sequence[str] = ()
    only_loopback: bool = False
    refresh_s: float = 5.0
