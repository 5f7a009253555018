"""Job queues and RPC with asyncio and Redis."""

from ._errors import Snooze
from ._retry_options import Backoff
from .connections import ArqRedis, create_pool
from .cron import cron
from .version import VERSION
from .worker import Retry, Worker, check_health, func, run_worker

__version__ = VERSION

__all__ = (
    "VERSION",
    "ArqRedis",
    "Backoff",
    "Retry",
    "Snooze",
    "Worker",
    "check_health",
    "create_pool",
    "cron",
    "func",
    "run_worker",
)
