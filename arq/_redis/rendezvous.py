"""Which of several servers an id belongs to: the one that has the highest number for it. No I/O.

Everybody who knows the names finds the same one, in whatever order the names are given, and when a server is added or
taken away, only the ids that come to it or were on it move.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any


class SeveralServers:
    """What has a client for each of several servers."""

    def client_of(self, job_id: str) -> Any:
        """That of the server which has the job."""
        raise NotImplementedError


def home(names: Sequence[str], key: str) -> int:
    """Index of the server, by its name, that has this key."""
    if len(names) == 1:
        return 0
    text = key.encode(errors="surrogateescape")
    numbers = [blake2b(text, digest_size=8, key=_short(name)).digest() for name in names]
    return numbers.index(max(numbers))


def _short(name: str) -> bytes:
    """As a key of the hash, which takes up to 64 bytes."""
    return blake2b(name.encode(errors="surrogateescape"), digest_size=32).digest()
