"""Settings modules that the tests of the command run."""

HEAD = """
import asyncio, os, sys, time
from arq.connections import RedisSettings

REDIS = RedisSettings.from_dsn(os.environ["REDIS_DSN"])
REDIS.conn_retries = 0
REDIS.conn_timeout = 20

async def quick(ctx):
    print("quick ran", flush=True)

async def for_ever(ctx):
    print("for_ever started", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        print("for_ever ended", flush=True)

async def stubborn(ctx):
    print("stubborn started", flush=True)
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            print("not yet", flush=True)

async def on_shutdown(ctx):
    print("on_shutdown was called", flush=True)
"""
SETTINGS = (
    HEAD
    + """
class Settings:
    functions = [quick, for_ever, stubborn]
    redis_settings = REDIS
    on_shutdown = on_shutdown
    poll_delay = 0.05

as_dict = {"functions": [quick], "redis_settings": REDIS, "poll_delay": 0.05}
"""
)
