"""Run arq as well as a user can tune it: uvloop, no INFO log; the settings bring poll_delay 1 ms."""

import asyncio
import logging

import arq_peer  # type: ignore[import-not-found,unused-ignore]
import uvloop

from arq import run_worker

logging.basicConfig(level=logging.WARNING)
asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
run_worker(arq_peer.WorkerSettings)
