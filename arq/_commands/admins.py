"""The servers that a command asks: one, or several at the same time, of which some may be away."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, TypeVar

from .._admin.fan_out import AllAwayError, away_line, of_each
from .._admin.job_lists import OneList, Wanted
from .._admin.merged_jobs import MergedJobs
from .._payloads.keyring import Keyring
from ..admin import Admin
from ..connections import RedisSettings

if TYPE_CHECKING:
    from redis.asyncio import Redis

Answer = TypeVar("Answer")


class Admins:
    """Connections to the servers of a command, each made when it is first asked.

    Args:
        servers: how to reach them, by name; one server has the name ''.
        signing: the keys of the application.
        say: tells something in a line.
        stack: closes the connections.

    Attributes:
        away: name of a server -> why it can't be asked.
    """

    def __init__(
        self,
        servers: Mapping[str, RedisSettings],
        signing: Keyring | None,
        say: Callable[[str], None],
        stack: AsyncExitStack,
    ) -> None:
        self.names = list(servers)
        self.away: dict[str, str] = {}
        self._servers = servers
        self._signing = signing
        self._say = say
        self._stack = stack
        self._admins: dict[str, Admin] = {}
        self._connecting = {name: asyncio.Lock() for name in servers}

    @property
    def are_several(self) -> bool:
        """Whether there are several servers."""
        return len(self.names) > 1

    async def _admin(self, name: str) -> Admin:
        async with self._connecting[name]:
            if name not in self._admins:
                connecting = Admin.connect(self._servers[name], signing=self._signing)
                admin = await self._stack.enter_async_context(connecting)
                self._admins[name] = admin._as_one_of_several() if self.are_several else admin
        return self._admins[name]

    async def each(self, do: Callable[[Admin], Awaitable[Answer]]) -> dict[str, Answer]:
        """What the servers answer. Of those that are away a line is said.

        Raises:
            AllAwayError: all of several are.
            redis.exceptions.RedisError, OSError: the only one is.
        """
        return await self.each_by_name(lambda _, admin: do(admin), self.names)

    async def each_by_name(
        self, do: Callable[[str, Admin], Awaitable[Answer]], names: Iterable[str]
    ) -> dict[str, Answer]:
        """The same of some servers; `do` is told which one it is at.

        Raises:
            AllAwayError: all of several are.
            redis.exceptions.RedisError, OSError: the only one is.
        """
        if not self.are_several:
            return {name: await do(name, await self._admin(name)) for name in names}

        async def at(name: str) -> Answer:
            return await do(name, await self._admin(name))

        answers = await of_each({name: functools.partial(at, name) for name in names})
        self.note(answers.away, answers.found)
        return answers.found

    async def jobs(self, wanted: Wanted, cursor: str) -> OneList | MergedJobs:
        """A list of jobs of all servers; `note` what it says of servers that are away.

        Raises:
            ValueError: the cursor is none of such a list.
        """
        if self.are_several:
            return MergedJobs({name: _Asker(self._admin, name) for name in self.names}, wanted, cursor)
        (name,) = self.names
        return OneList((await self._admin(name)).redis, wanted, cursor)

    def note(self, away: Mapping[str, str], back: Iterable[str] = ()) -> None:
        """Say which servers are away now, and which were and are back.

        Raises:
            AllAwayError: all are away.
        """
        for name, why in away.items():
            if self.away.get(name) != why:
                self._say(away_line(name, why))
                self.away[name] = why
        for name in self.away.keys() & set(back):
            del self.away[name]
            self._say(f"server {name} is back")
        if len(self.away) == len(self.names):
            raise AllAwayError


class _Asker:
    """Asks a server with a client."""

    def __init__(self, admin: Callable[[str], Awaitable[Admin]], name: str) -> None:
        self._admin = admin
        self._name = name

    async def __call__(self, question: Callable[[Redis], Awaitable[Answer]]) -> Answer:
        return await question((await self._admin(self._name)).redis)
