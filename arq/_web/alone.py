"""The dashboard of `arq web`: what its options mean, and which of them do not go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .._payloads.keyring import Keyring
from ..connections import RedisSettings
from .access import SEE_ARGS, Access, Token, is_loopback, require_safe
from .application import Dashboard
from .masking import names_hidden
from .options import Options
from .servers import servers_of


def for_everybody(
    redis: RedisSettings | Mapping[str, RedisSettings],
    host: str,
    *,
    queues: Sequence[str],
    token: str | None,
    allow: str,
    hide_args: bool,
    redact: str,
    title: str,
    origins: Sequence[str],
    refresh_s: float,
    signing: Keyring | None = None,
) -> Dashboard:
    """A dashboard for everybody who reaches it, and has the token if there is one.

    Args:
        redis: one server, or several by name.
        host: where it listens.
        allow, redact: words with commas.
        signing: the keys of the application.

    Raises:
        ValueError: what is asked for is not safe, or is no value.
    """
    rights = require_safe(host, token, allow)
    names = frozenset(name.strip().lower() for name in redact.split(",") if name.strip())
    return Dashboard(
        servers_of(redis, queues, signing),
        Options(
            title=title,
            access=Access(rights - {SEE_ARGS} if hide_args else rights | {SEE_ARGS}),
            token=None if token is None else Token(token),
            redact=names_hidden(names) if names else None,
            origins=tuple(origins),
            only_loopback=is_loopback(f"[{host}]" if ":" in host else host),
            refresh_s=refresh_s,
        ),
    )
