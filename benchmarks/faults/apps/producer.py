"""Sends jobs: `python producer.py MODULE`, then a JSON list per line on stdin; answers each with a line."""

import asyncio
import importlib
import inspect
import json
import sys


async def main() -> None:
    """Until stdin is closed."""
    send = importlib.import_module(sys.argv[1]).send
    print("ready", flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        try:
            sent = send(*json.loads(line))
            if inspect.isawaitable(sent):
                await sent
            print("sent", flush=True)
        except Exception as error:
            print(f"failed {type(error).__name__}: {error}".splitlines()[0], flush=True)


asyncio.run(main())
