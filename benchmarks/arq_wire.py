"""Queues in arq's format, written inside Redis: a million jobs in seconds, and no producer that costs a processor."""

from __future__ import annotations

import json
import pickle
import time
from typing import Any

import redis

QUEUE = "arq:queue"
#: Jobs in one call: Redis does nothing else meanwhile, some 20 ms.
_PAGE = 5000

_FILL = """
local scored = {}
for n = tonumber(ARGV[3]), tonumber(ARGV[4]) do
  local id = string.format('%032d', n)
  redis.call('SET', 'arq:job:' .. id, ARGV[1], 'PX', 86400000)
  scored[#scored + 1] = ARGV[2]
  scored[#scored + 1] = id
  if #scored == 1000 then
    redis.call('ZADD', KEYS[1], unpack(scored))
    scored = {}
  end
end
if #scored > 0 then
  redis.call('ZADD', KEYS[1], unpack(scored))
end
"""
# As a worker of the original holds them: due in the past, locked, the payload present.
_HOLD = """
for n = 1, tonumber(ARGV[3]) do
  redis.call('SET', 'arq:job:held' .. n, ARGV[1], 'PX', 86400000)
  redis.call('SET', 'arq:in-progress:held' .. n, '1', 'PX', 310000)
  redis.call('ZADD', KEYS[1], ARGV[2] - 60000, 'held' .. n)
end
"""


class ArqQueue:
    """The queue of arq workers, old and new.

    Args:
        client: a client of the server.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._fill = client.register_script(_FILL)
        self._hold = client.register_script(_HOLD)
        self._made = 0

    def fill(self, function: str, count: int, serializer: str = "pickle") -> None:
        """Add jobs that are due now."""
        payload, now_ms = payload_of(function, serializer)
        for start in range(0, count, _PAGE):
            size = min(_PAGE, count - start)
            self._call(self._fill, payload, now_ms, self._made + 1, self._made + size)
            self._made += size

    def hold(self, count: int) -> None:
        """Make it look as if workers of the original ran `count` jobs."""
        payload, now_ms = payload_of("noop")
        self._call(self._hold, payload, now_ms, count)

    @staticmethod
    def _call(script: Any, *args: bytes | int) -> None:
        script(keys=[QUEUE], args=args)


def payload_of(function: str, serializer: str = "pickle") -> tuple[bytes, int]:
    """A job as arq writes it, and its time in unix ms."""
    now_ms = int(time.time() * 1000)
    job: dict[str, Any] = {"t": None, "f": function, "a": (), "k": {}, "et": now_ms}
    return json.dumps(job).encode() if serializer == "json" else pickle.dumps(job, protocol=4), now_ms
