"""Who may see and do what. No I/O."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import time
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

#: What may be allowed, and the words that are taken for it, too.
ACTION_RIGHTS = ("retry", "requeue", "abort", "delete", "pause", "cron", "workers")
SEE_ARGS = "see_args"
_ALSO = {
    "run": "retry",
    "run_now": "retry",
    "resume": "pause",
    "crons": "cron",
    "quiet": "workers",
    "stop": "workers",
    "worker": "workers",
    "args": SEE_ARGS,
}
SHORTEST_TOKEN = 32
#: The options of `arq web`.
OPTIONS = ("--token or ARQ_WEB_TOKEN", "--allow")
#: Seconds for which a browser stays logged in.
SESSION_S = 12 * 3600


@dataclass(frozen=True, slots=True)
class Access:
    """What somebody may do on the dashboard, beside looking.

    Attributes:
        rights: of `retry`, `requeue`, `abort`, `delete`, `pause`, `cron`, `workers`; and `see_args`: to see arguments,
            results and errors of jobs.
        user: who it is, for the audit trail; '': the address that the request comes from.
    """

    rights: frozenset[str] = frozenset()
    user: str = ""

    @property
    def actions(self) -> list[str]:
        """The rights that are more than to look."""
        return sorted(self.rights - {SEE_ARGS})

    def may(self, right: str) -> bool:
        """Whether this is allowed."""
        return right in self.rights


def rights_of(words: Iterable[str]) -> frozenset[str]:
    """The rights that these words mean; `all`: all actions, `read`: nothing more than to look.

    Raises:
        ValueError: there is no such right.
    """
    found: set[str] = set()
    for given in words:
        word = given.strip().lower().replace("-", "_")
        right = _ALSO.get(word, word)
        if right == "all":
            found |= {*ACTION_RIGHTS, SEE_ARGS}
        elif right in (*ACTION_RIGHTS, SEE_ARGS):
            found.add(right)
        elif right not in ("", "read"):
            known = ", ".join(("all", *ACTION_RIGHTS, SEE_ARGS))
            raise ValueError(f"there is no right {given!r}: {known}")
    return frozenset(found)


def is_loopback(host: str) -> bool:
    """Whether a Host header, or an address to listen at, is this machine."""
    try:
        name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def require_origins(origins: Iterable[str]) -> frozenset[str]:
    """Where a dashboard may be reached, each as `origin_of` has it.

    Raises:
        ValueError: one is none.
    """
    return frozenset(map(origin_of, origins))


def origin_of(text: str) -> str:
    """Scheme, host and port.

    Raises:
        ValueError: it is none.
    """
    parts = urlsplit(text.strip().lower())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError(f"{text!r} is no origin, as https://ops.example.com is")
    return f"{parts.scheme}://{parts.netloc}"


def require_safe(
    host: str, token: str | None, allow: str, names: tuple[str, str] = OPTIONS
) -> frozenset[str]:
    """The rights of everybody who reaches a dashboard that listens at `host`.

    Args:
        host: an address, or a name.
        token: the secret that opens it; None: none is needed.
        allow: words with commas, see `rights_of`.
        names: what the options are called that say the last two.

    Raises:
        ValueError: what is asked for is not safe, or is no value.
    """
    named_token, named_allow = names
    rights = rights_of(allow.split(","))
    if token is not None:
        Token(token)
    elif not is_loopback(f"[{host}]" if ":" in host else host):
        raise ValueError(f"to listen at {host}, where others reach it, needs {named_token}")
    elif rights & {*ACTION_RIGHTS}:
        raise ValueError(f"{named_allow} needs {named_token}: whoever reaches the port could act")
    return rights


class Token:
    """The secret that opens a dashboard, and the cookie that stands for it.

    Raises:
        ValueError: it is too short.
    """

    def __init__(self, secret: str) -> None:
        if len(secret) < SHORTEST_TOKEN:
            raise ValueError(
                f"the token has {len(secret)} characters, it must have {SHORTEST_TOKEN} at least: "
                'python -c "import secrets; print(secrets.token_urlsafe(32))" makes one'
            )
        self._secret = secret.encode(errors="surrogateescape")

    def is_it(self, given: str) -> bool:
        """Whether this is the secret; takes as long whatever is wrong with it."""
        return hmac.compare_digest(given.encode(errors="surrogateescape"), self._secret)

    def new_cookie(self) -> str:
        """A value that `accepts` accepts for some hours."""
        until = str(int(time.time()) + SESSION_S)
        return f"{until}.{self._signature(until)}"

    def accepts(self, cookie: str) -> bool:
        """Whether a cookie is one of ours, and not too old."""
        until, _, signature = cookie.partition(".")
        is_ours = hmac.compare_digest(signature.encode(errors="replace"), self._signature(until).encode())
        return is_ours and until.isdigit() and len(until) < 12 and int(until) > time.time()

    def _signature(self, until: str) -> str:
        text = b"arq dashboard session " + until.encode(errors="replace")
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()
