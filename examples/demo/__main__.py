"""Run the demonstration: `python -m examples.demo`, or `make demo`."""

import argparse
import asyncio
import os
import re
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from arq.connections import ArqRedis, RedisSettings, create_pool
from arq.jobs import Job
from examples.demo.plan import Call, calls, library_files
from examples.demo.pool import DemoError, Pool
from examples.demo.report import Facts, Killed, report
from examples.demo.stay import keep_busy, next_steps, things_to_try
from examples.demo.terminal import command_lines, painted, row, show

TIME_LIMIT_S = 90
KILL_AT = 0.4  # of all jobs done
QUEUE = "arq:queue"


class Progress:
    """A line that is drawn again and again on a terminal, and once a second anywhere else."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._live = sys.stdout.isatty()
        self._drawn_s = 0.0

    def draw(self, done: int) -> None:
        now_s = time.monotonic()
        if now_s - self._drawn_s < (0.05 if self._live else 1) and done < self._total:
            return
        self._drawn_s = now_s
        share = done / self._total
        line = f"  [{'#' * int(30 * share):<30}] {done:>5,} of {self._total:,} jobs"
        print(
            f"\r{painted(f'{line:<78}')}" if self._live else line, end="" if self._live else "\n", flush=True
        )

    def say(self, text: str) -> None:
        """A line of its own between two drawings."""
        print(f"\r{painted(f'{text:<78}')}" if self._live else text, flush=True)


async def enqueue(redis: ArqRedis, work: Iterable[Call]) -> list[Job]:
    """Put everything into the queue. Calls made at the same time share round trips."""
    pending = [redis.enqueue_job(call.function, *call.arguments, _defer_until=call.due) for call in work]
    return [job for job in await asyncio.gather(*pending) if job is not None]


async def count_done(redis: ArqRedis, total: int) -> int:
    """A job leaves the queue when it has ended; ticks of the clock are not counted."""
    waiting = await redis.zcard(QUEUE)
    if waiting < 50:
        names = [name for name in await redis.zrange(QUEUE, 0, -1) if isinstance(name, bytes)]
        waiting = sum(not name.startswith(b"cron:") for name in names)
    return max(0, total - waiting)


async def work_off(redis: ArqRedis, pool: Pool, total: int, victim: int) -> Killed | None:
    """Watch the queue become empty; SIGKILL the worker of slot `victim` on the way (-1: none)."""
    progress = Progress(total)
    kill: tuple[int, float] | None = None
    began_s = time.monotonic()
    while (done := await count_done(redis, total)) < total:
        if time.monotonic() - began_s > TIME_LIMIT_S:
            raise DemoError(f"only {done:,} of {total:,} jobs were done after {TIME_LIMIT_S} s")
        pool.look()
        if victim >= 0 and kill is None and done >= KILL_AT * total:
            kill = (pool.pid_of(victim), time.time())
            os.kill(kill[0], signal.SIGKILL)
            progress.say(f"  kill -9 {kill[0]}: worker {victim} is gone, in the middle of its jobs")
        progress.draw(done)
        await asyncio.sleep(0.05)
    progress.draw(total)
    progress.say("")
    if kill is None:
        return None
    released = await pool.first("jobs.released", 10)
    return Killed(victim, kill[0], kill[1], int(released["n"]))


@dataclass(frozen=True)
class Wishes:
    """How the demonstration is to be. Without a `token` it does not stay."""

    procs: int
    files: list[str]
    has_web: bool
    token: str = ""


async def demonstrate(pool: Pool, wishes: Wishes) -> None:
    await pool.first("pool.ready")
    address = redis_address(pool)
    redis = await create_pool(RedisSettings.from_dsn(address))
    try:
        introduce(pool, wishes, address)
        jobs = await enqueue(redis, calls(wishes.files))
        killed = await work_off(redis, pool, len(jobs), wishes.procs - 1 if wishes.procs > 1 else -1)
        facts = Facts(await redis.all_job_results(), len(jobs), killed)
        check(facts)
        show(*report(facts, bar_mark()), "")
        if wishes.token:
            show(*things_to_try(pool, address, web_address(pool), wishes.token))
            await keep_busy(redis, pool, wishes.files)
    finally:
        await redis.aclose(close_connection_pool=True)


def introduce(pool: Pool, wishes: Wishes, address: str) -> None:
    pids = ", ".join(str(pool.pid_of(slot)) for slot in range(wishes.procs))
    show(*row("workers", pids), *row("Valkey", address))
    web = web_address(pool)
    why_none = "none: the extra `web` is not installed (pip install 'arq[web]')"
    show(*row("dashboard", f"http://{web}/" if web else why_none), "")


def web_address(pool: Pool) -> str:
    """Where the dashboard is, as the supervisor's log says; "" without one."""
    found = pool.named("web.listening")
    return str(found[0]["address"]) if found else ""


def redis_address(pool: Pool) -> str:
    """Where the embedded server listens, as the supervisor's log says. Raises DemoError."""
    found = re.search(r"unix://[^\s\"',}]+", str(pool.events))
    if not found:
        raise DemoError("arq-supervise did not say where its embedded Redis listens")
    return found.group()


def check(facts: Facts) -> None:
    """A demonstration that only looks good is none. Raises DemoError."""
    if facts.failed:
        first = facts.failed[0]
        raise DemoError(
            f"{len(facts.failed)} jobs failed, the first is {first.function}{first.args}: {first.result!r}"
        )
    done = sum(not one.function.startswith("cron:") for one in facts.results)
    if done != facts.expected:
        raise DemoError(f"{facts.expected} jobs were put into the queue, {done} have a result")


def bar_mark() -> str:
    try:
        "█".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return "#"
    return "█"


def stop(pool: Pool) -> None:
    """Graceful, and said so. Raises DemoError."""
    began_s = time.monotonic()
    exit_code = pool.stop()
    if exit_code != 0:
        raise DemoError(f"arq-supervise ended with exit code {exit_code} instead of 0")
    text = f"gracefully in {time.monotonic() - began_s:.1f} s, exit code 0, no process left"
    show(*row("stopped", text))


def run(pool: Pool, wishes: Wishes) -> None:
    """Raises DemoError; KeyboardInterrupt, unless the demonstration stays until then."""
    try:
        asyncio.run(demonstrate(pool, wishes))
    except KeyboardInterrupt:
        if not wishes.token:
            pool.stop()
            raise
    except BaseException:
        pool.stop()
        raise
    stop(pool)


class Interruption:
    """Makes SIGTERM and a closed terminal stop the demonstration as Ctrl-C does."""

    def __init__(self) -> None:
        self.signum = signal.SIGINT
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has it ignored in the background
        for signum in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, self._interrupt)

    def _interrupt(self, signum: int, _frame: object) -> None:
        self.signum = signal.Signals(signum)
        signal.raise_signal(signal.SIGINT)


def parse() -> Wishes:
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument("--procs", type=int, default=4, metavar="N", help="worker processes (default 4)")
    parser.add_argument("--files", type=int, metavar="N", help="only the first N files (default: all)")
    parser.add_argument(
        "--stay", action="store_true", help="go on until Ctrl-C, with a dashboard that may act"
    )
    options = parser.parse_args()
    has_web = all(find_spec(name) for name in ("jinja2", "starlette", "uvicorn"))
    token = (os.environ.get("ARQ_WEB_TOKEN") or secrets.token_urlsafe(32)) if options.stay else ""
    return Wishes(options.procs, library_files()[: options.files], has_web, token)


def main() -> int:
    wishes = parse()
    interruption = Interruption()
    directory = Path(tempfile.mkdtemp(prefix="arq-demo-"))
    log_file = directory / "arq-supervise.log"
    try:
        pool = Pool(log_file, wishes.procs, has_web=wishes.has_web, token=wishes.token)
        show(*command_lines(pool.command), "")
        run(pool, wishes)
        if not wishes.token:
            show("", *next_steps(wishes.has_web))
    except DemoError as error:
        print(f"demo: {error} (log: {log_file})", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 128 + interruption.signum
    shutil.rmtree(directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
