"""A client of either implementation, driven over pipes: a JSON request a line in, a JSON answer a line out.

    python client.py redis://127.0.0.1:6379/0 some:queue

A request is `{"op": NAME, ...}`, an answer `{"ok": VALUE}` or `{"error": "module.Class", "message": TEXT}`.
"""

import asyncio
import dataclasses
import datetime
import json
import sys
from typing import Any

from arq.connections import RedisSettings, create_pool
from arq.jobs import Job


def plain(value: Any) -> Any:
    """Turn what arq returns into something JSON can hold, keeping types visible."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, BaseException):
        return {
            "exception": f"{type(value).__module__}.{type(value).__qualname__}",
            "args": plain(value.args),
        }
    if isinstance(value, datetime.datetime):
        return {"datetime": value.isoformat(), "aware": value.tzinfo is not None}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


class Client:
    """The operations a test can ask for."""

    def __init__(self, pool: Any, queue: str) -> None:
        self.pool = pool
        self.queue = queue

    def job(self, job_id: str) -> Job:
        """The job of that id on the queue under test."""
        return Job(job_id, self.pool, _queue_name=self.queue)

    async def enqueue(
        self,
        function: str,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
    ) -> Any:
        options = dict(options or {})
        if "_defer_until_in_s" in options:
            delay = datetime.timedelta(seconds=options.pop("_defer_until_in_s"))
            options["_defer_until"] = datetime.datetime.now(datetime.UTC) + delay
        job = await self.pool.enqueue_job(function, *args, **(kwargs or {}), **options)
        return job and job.job_id

    async def enqueue_number(self, number: int) -> Any:
        """A job with an argument whose class not everybody has."""
        from elsewhere import Number  # type: ignore[import-not-found]

        job = await self.pool.enqueue_job("add", Number(number))
        return job and job.job_id

    async def enqueue_many(
        self, function: str, count: int, args: tuple[Any, ...] = (), prefix: str = "job"
    ) -> int:
        made = [self.pool.enqueue_job(function, *args, _job_id=f"{prefix}-{n}") for n in range(count)]
        return sum([await one is not None for one in made])

    async def result(self, job_id: str, timeout: float = 30) -> Any:
        return await self.job(job_id).result(timeout=timeout, poll_delay=0.02)

    async def status(self, job_id: str) -> str:
        return str((await self.job(job_id).status()).value)

    async def info(self, job_id: str) -> Any:
        return await self.job(job_id).info()

    async def result_info(self, job_id: str) -> Any:
        return await self.job(job_id).result_info()

    async def abort(self, job_id: str, timeout: float = 30) -> bool:
        return bool(await self.job(job_id).abort(timeout=timeout, poll_delay=0.02))

    async def queued_jobs(self) -> Any:
        return await self.pool.queued_jobs(queue_name=self.queue)

    async def all_job_results(self) -> Any:
        return await self.pool.all_job_results()


async def answer(client: Client, line: str) -> dict[str, Any]:
    """Do one request."""
    request = json.loads(line)
    operation = getattr(client, request.pop("op"))
    try:
        return {"ok": plain(await operation(**request))}
    except (Exception, asyncio.CancelledError) as exc:
        return {"error": f"{type(exc).__module__}.{type(exc).__qualname__}", "message": str(exc)}


async def main() -> None:
    dsn, queue = sys.argv[1:]
    settings = RedisSettings.from_dsn(dsn)
    settings.conn_timeout = 30  # the machine may stand still for longer than the usual second
    pool = await create_pool(settings, default_queue_name=queue)
    client = Client(pool, queue)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await answer(client, line)), flush=True)


asyncio.run(main())
