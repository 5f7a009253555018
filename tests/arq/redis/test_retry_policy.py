"""Jobs that are tried again by options of their function or worker, and what lives how long meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from arq import Backoff, Snooze
from arq._keys import interrupted_key, job_key, retry_key
from arq.connections import ArqRedis, create_pool
from arq.cron import cron
from arq.worker import JobExecutionFailed, Retry, Worker, func
from tests.arq.redis.engines import Engine
from tests.arq.redis.harness import QUEUE, Ctx, enqueued, info, nothing_held, running
from tests.conftest import WorkerFactory
from tests.support.eventually import PATIENCE_S, wait_until_async

DAY_MS = 86_400_000
AT_ONCE = Backoff(0)
