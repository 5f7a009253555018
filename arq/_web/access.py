"""Who may see and do what. No I/O."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterable
from dataclasses import dataclass

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
