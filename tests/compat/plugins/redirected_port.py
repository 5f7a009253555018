"""A plugin of pytest for suites that name Redis's usual port: their settings lead to the server of the test instead."""

import os
from typing import Any

from arq.connections import RedisSettings

_original = RedisSettings.__init__


def _init(self: RedisSettings, *args: Any, **kwargs: Any) -> None:
    _original(self, *args, **kwargs)
    if self.port == 6379:  # else it is a test of the settings themselves
        host, port = os.environ["ARQ_TEST_REDIS"].split(":")
        self.host, self.port = host, int(port)


RedisSettings.__init__ = _init  # type: ignore[method-assign]
