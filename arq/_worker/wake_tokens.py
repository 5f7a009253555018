"""Wait for wake-up tokens: Redis wakes one idle worker for each, and may give it a job at the same time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from redis.exceptions import RedisError

from .._redis.reply_timeout import Patience
from .._redis.worker_connection import Link

logger = logging.getLogger("arq.worker")

#: Seconds that Redis holds one wait. A new one costs a command; a connection that died is noticed after this.
BLOCK_S = 20
#: Seconds beyond that until the answer is taken for lost.
_GRACE_S = 5.0
#: Seconds from one try to the next at least, while Redis is away. The worker polls meanwhile.
_RETRY_S = 1.0


def rest_s(waited_s: float) -> float:
    """How long to rest after a wait that failed.

    One that was cut after it had lasted (servers and proxies drop what is idle) is repeated at once.
    """
    return max(0.0, _RETRY_S - waited_s)


class _Stage(Enum):
    """How far a wait is."""

    NONE = auto()
    #: nothing is sent yet
    OPENING = auto()
    WAITING = auto()
    #: it failed, the next one must not follow at once
    RESTING = auto()


class Listener:
    """Waits for one token each time it is armed.

    A claim may be sent behind the wait: Redis carries it out at the moment at which the token comes, or the wait runs
    off. So the job comes with the token, without a further round trip.

    Args:
        link: the listener's own connection.
        key: list of tokens.
        old_key: where our first versions leave tokens.
        hear: called when a wait is over, with whether there was a token, and with the answer of the claim, if one was
            sent. The listener has to be armed again.
        lost: called when a claim was sent and its answer will not come.
    """

    def __init__(
        self,
        link: Link,
        key: str,
        old_key: str,
        hear: Callable[[bool, Any], None],
        lost: Callable[[], None],
    ) -> None:
        self._link = link
        self._patience = Patience(BLOCK_S + _GRACE_S)
        self._key = key
        self._old_key: str | None = old_key
        #: whether to listen for tokens of our first versions: only while such workers are there
        self.with_old = False
        self._hear = hear
        self._lost = lost
        self._stage = _Stage.NONE
        self._claim: tuple[Any, ...] | None = None
        self._task: asyncio.Task[None] | None = None
        self._has_told = self._is_over = False

    @property
    def has_claim(self) -> bool:
        """Whether a claim waits for a token."""
        return self._claim is not None

    async def arm(self, claim: tuple[Any, ...] | None = None) -> None:
        """Wait for the next token, unless that is under way; with a claim if one is given and none waits.

        Args:
            claim: the command. From now on it has to be reckoned with.
        """
        if self._stage is _Stage.NONE:
            self._stage, self._claim = _Stage.OPENING, claim
            self._task = asyncio.create_task(self._wait())
        elif claim is not None and self._claim is None and self._stage is not _Stage.RESTING:
            self._claim = claim
            if self._stage is _Stage.WAITING:
                await self._send_behind(claim)

    async def _send_behind(self, claim: tuple[Any, ...]) -> None:
        try:
            await self._link.send([claim])
        except (RedisError, OSError):
            self.disarm()

    def disarm(self) -> None:
        """Let no claim wait any more. If one has been sent, it is lost."""
        if self._stage is _Stage.OPENING:
            self._claim = None
        elif self._claim is not None and self._task is not None:
            self._task.cancel()

    def mute(self) -> None:
        """Wait for no token any more. If a claim has been sent behind the wait, it is lost."""
        if self._stage is _Stage.WAITING and self._task is not None:
            self._task.cancel()
        else:
            self.disarm()

    async def stop(self) -> None:
        """Stop listening and close the connection."""
        while self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait([self._task], timeout=1.0)
        self._patience.stop()
        await self._link.drop()

    async def _wait(self) -> None:
        clock = asyncio.get_running_loop().time
        began_s, self._is_over = clock(), False
        try:
            with self._patience:
                answers = await self._ask()
        except BaseException as exc:
            if self._is_over and isinstance(exc, RedisError | OSError):
                return  # what has come was told, and the next wait may have begun
            await self._failed()
            if not isinstance(exc, RedisError | OSError):
                self._stage = _Stage.NONE
                raise
            logger.debug("no wake-up tokens while redis is away: %r", exc)
            await self._rest(clock() - began_s)
            return
        if not self._is_over:
            self._end(answers)
        if isinstance(answers[0], Exception):
            self._note_refusal(answers[0])
            await self._rest(clock() - began_s)

    def _end(self, answers: list[Any]) -> None:
        """The wait is over: what has come with the token must not wait for the task to go on."""
        self._is_over = True
        token, claimed = answers[0], answers[1] if len(answers) > 1 else None
        refused = isinstance(token, Exception)
        self._claim, self._stage = None, _Stage.RESTING if refused else _Stage.NONE
        self._hear(token is not None and not refused, claimed)

    def _count_answers(self) -> int:
        return 1 if self._claim is None else 2

    async def _ask(self) -> list[Any]:
        await self._link.open()
        self._stage = _Stage.WAITING  # nothing is awaited until it is written: a claim may follow it
        keys = (self._key, self._old_key) if self.with_old and self._old_key else (self._key,)
        wait = ("BLPOP", *keys, BLOCK_S)
        await self._link.send([wait] if self._claim is None else [wait, self._claim])
        return await self._link.read(self._count_answers, self._end)

    async def _failed(self) -> None:
        was_sent = self._claim is not None and self._stage is _Stage.WAITING
        self._claim, self._stage = None, _Stage.RESTING
        if was_sent:
            self._lost()
        self._patience.stop()
        await self._link.drop()

    def _note_refusal(self, refusal: Exception) -> None:
        if self._old_key is not None:
            self._old_key = None  # it is something else, or not permitted
        elif not self._has_told:
            self._has_told = True
            kind = type(refusal).__name__
            logger.warning("no wake-up tokens, new jobs wait for poll_delay: %s: %s", kind, refusal)

    async def _rest(self, waited_s: float) -> None:
        await asyncio.sleep(rest_s(waited_s))
        self._stage = _Stage.NONE
        self._hear(False, None)
