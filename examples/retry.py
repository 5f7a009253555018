"""Try again later, and later still: raise `Retry` with a delay that grows with the number of the try.

python examples/retry.py http://localhost:8000/flaky
arq examples.retry.WorkerSettings --burst
"""

import asyncio
import os
import sys
import urllib.error
import urllib.request
from typing import Any

from arq import Retry, create_pool
from arq.connections import RedisSettings

REDIS_SETTINGS = RedisSettings.from_dsn(os.environ.get("REDIS_DSN", "redis://localhost:6379"))


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


async def check(ctx: dict[str, Any], url: str) -> str:
    status = await asyncio.to_thread(status_of, url)
    print(f"try {ctx['job_try']}: {status}")
    if status >= 500:
        # 0.3 s, 0.6 s, 0.9 s, ...; the job fails for good after max_tries runs (5 unless set otherwise)
        raise Retry(defer=ctx["job_try"] * 0.3)
    return f"{status} after {ctx['job_try']} tries"


async def main(url: str) -> None:
    redis = await create_pool(REDIS_SETTINGS)
    await redis.enqueue_job("check", url)
    await redis.aclose()


class WorkerSettings:
    functions = [check]
    redis_settings = REDIS_SETTINGS


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "http://localhost:8000/flaky"))
