"""The id of a supervised worker, `pool:host:slot:nonce`, as it stands in Redis, in the log and in reports."""

import re
from dataclasses import dataclass

_TEXT = re.compile(r"(.*):([^:]*):([0-9]{1,9}):([^:]*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class WorkerId:
    """One process in its slot: `nonce` is another one for each process."""

    pool: str
    host: str
    slot: int
    nonce: str

    def __str__(self) -> str:
        return f"{self.pool}:{self.host}:{self.slot}:{self.nonce}"


def parse_worker_id(text: str) -> WorkerId | None:
    """What the id says; None for that of a worker without a supervisor."""
    found = _TEXT.fullmatch(text)
    return WorkerId(found[1], found[2], int(found[3]), found[4]) if found else None
