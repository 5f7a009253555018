"""arq as well as a user can tune it: uvloop, no INFO log; the settings bring poll_delay 1 ms.

Without arguments the worker, with arguments the producer.
"""

import asyncio
import logging
import sys

import arq_peer  # type: ignore[import-not-found,unused-ignore]
import uvloop

from arq import run_worker

logging.basicConfig(level=logging.WARNING)
asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
if __name__ == "__main__":
    if len(sys.argv) > 1:
        asyncio.run(arq_peer.main(*sys.argv[1:]))
    else:
        run_worker(arq_peer.WorkerSettings)
