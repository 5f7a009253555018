"""The audit trail: who has done what with which jobs, queues, schedules and workers; the newest 1,000 of 90 days."""

from __future__ import annotations

import asyncio
import getpass
import json
import logging
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from .._keys import AUDIT_KEY, PREFIX
from .._printable import printable
from .._redis.raw_commands import ask
from .._redis.script_loader import Call, load
from .._redis.script_runner import run
from ..utils import truncate
from .admin_scripts import raw, text
from .records import AuditNote, Deed

if TYPE_CHECKING:
    from redis.asyncio import Redis

logger = logging.getLogger("arq.admin")

_AUDIT = load("audit")
#: Notes that are kept, and for how long.
MOST, LIFE_MS = 1000, 90 * 86_400_000
#: Ids that a note names, and characters of each and of other texts.
MOST_IDS, _LONGEST_ID, _LONGEST = 20, 200, 500
#: What is done with more than so many is noted before, too: who does it may not come to its end.
_FEW = 100


def this_user() -> str:
    """Who runs this program, and where."""
    user = "?"
    with suppress(Exception):  # no such user, as in containers
        user = getpass.getuser()
    return f"{user}@{socket.gethostname()}"


class Trail:
    """Notes what one person does.

    Args:
        by: who it is.

    Attributes:
        only_found: leave out what was not there: several servers were asked, and another one had it.
    """

    def __init__(self, redis: Redis, by: str) -> None:
        self.only_found = False
        self._redis = redis
        self._by = by
        self._one: _One | None = None

    async def note(
        self,
        action: str,
        queue: str,
        of: Sequence[str],
        outcomes: Iterable[str],
        *,
        by: str = "",
        note: str = "",
    ) -> None:
        """Something was done.

        Args:
            of: ids of the jobs, or names.
            outcomes: what became of each.
            note: why, or more about it.
        """
        words = list(outcomes)
        if self.only_found:
            found = [n for n, word in enumerate(words) if word != Deed.unknown]
            of, words = [of[n] for n in found], [words[n] for n in found]
        if self._one is not None:
            self._one.add(of, words)
        elif of or not self.only_found:
            await self._write(action, queue, len(of), Counter(words), of, by=by, note=note)

    @asynccontextmanager
    async def as_one(self, action: str, queue: str, count: int, note: str = "") -> AsyncIterator[None]:
        """What is done meanwhile is one deed, with `count` jobs as far as is known."""
        self._one = one = _One()
        try:
            if count > _FEW:
                await self._write(action, queue, count, {}, [], note=f"{note} (begins)".strip())
            yield
        finally:
            self._one = None
            if one.count:
                done = self._write(action, queue, one.count, one.outcomes, one.ids, note=note)
                await asyncio.shield(done)  # also after Ctrl-C

    async def _write(
        self,
        action: str,
        queue: str,
        count: int,
        outcomes: dict[str, int],
        ids: Sequence[str],
        *,
        by: str = "",
        note: str = "",
    ) -> None:
        """Trouble with it is no reason not to act: a full server must be emptied, for example."""
        fields = {
            "by": truncate(by or self._by, _LONGEST),
            "action": action,
            "queue": queue,
            "count": str(count),
            "outcomes": json.dumps(outcomes),
            "ids": json.dumps([truncate(one, _LONGEST_ID) for one in ids[:MOST_IDS]]),
            "note": truncate(note, _LONGEST),
        }
        words = [raw(word) for pair in fields.items() for word in pair]
        try:
            await run(self._redis, Call(_AUDIT, (AUDIT_KEY,), (PREFIX, MOST, LIFE_MS, *words)))
        except (RedisError, OSError) as exc:
            logger.warning(
                "%s of %d in %s is not in the audit trail: %s", action, count, queue, printable(str(exc))
            )


class _One:
    """Several steps of one deed."""

    def __init__(self) -> None:
        self.count = 0
        self.ids: list[str] = []
        self.outcomes: Counter[str] = Counter()

    def add(self, ids: Sequence[str], outcomes: Iterable[str]) -> None:
        self.count += len(ids)
        self.ids += ids[: max(0, MOST_IDS - len(self.ids))]
        self.outcomes.update(outcomes)


async def notes(redis: Redis, limit: int, before: str) -> list[AuditNote]:
    """The newest notes first; those older than that of the id `before`."""
    newest = f"({before}" if before else "+"
    rows = await ask(redis, "XREVRANGE", AUDIT_KEY, newest, "-", "COUNT", limit)
    return [_note(row) for row in rows]


def _note(row: Any) -> AuditNote:
    note_id, fields = row
    found = fields if isinstance(fields, dict) else dict(zip(fields[::2], fields[1::2], strict=True))
    words = {text(name): text(value) for name, value in found.items()}
    note_id = text(note_id)
    return AuditNote(
        note_id,
        int(note_id.partition("-")[0]),
        words.get("by", ""),
        words.get("action", ""),
        words.get("queue", ""),
        int(words["count"]) if words.get("count", "").isdigit() else 0,
        {str(name): one for name, one in _json(words, "outcomes", dict).items() if isinstance(one, int)},
        [one for one in _json(words, "ids", list) if isinstance(one, str)],
        words.get("note", ""),
    )


def _json(words: dict[str, str], name: str, kind: type) -> Any:
    """What stands there; anybody may have left something else."""
    try:
        found = json.loads(words.get(name, ""))
    except ValueError:
        return kind()
    return found if isinstance(found, kind) else kind()
