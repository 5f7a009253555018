"""Every example does what it says: started as a user starts it, against a real server."""

import re
import signal
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import redis

from tests.support.eventually import wait_until
from tests.support.programs import ROOT, Program, program_starter
from tests.support.servers import RedisServer

pytestmark = pytest.mark.processes


class Examples:
    """Starts the two sides of an example."""

    def __init__(self, start: Callable[..., Program]) -> None:
        self._start = start

    def start(self, name: str, *arguments: str) -> Program:
        """Start `python examples/NAME.py`."""
        return self._start(f"examples/{name}.py", *arguments)

    def produce(self, name: str, *arguments: str, exit_code: int = 0) -> list[str]:
        """Run `python examples/NAME.py` to its end; the lines it printed."""
        producer = self.start(name, *arguments)
        assert producer.ended() == exit_code, producer.stderr
        return producer.lines

    def work(self, name: str, *options: str) -> Program:
        """Start `arq examples.NAME.WorkerSettings`."""
        return self._start("-m", "arq", f"examples.{name}.WorkerSettings", *options)

    def work_off(self, name: str) -> list[str]:
        """Run a worker until the queue is empty; the lines that the jobs printed."""
        worker = self.work(name, "--burst")
        assert worker.ended() == 0, worker.stderr
        return worker.lines


@pytest.fixture
def examples(redis_server: RedisServer, redis_client: redis.Redis, tmp_path: Path) -> Iterator[Examples]:
    with program_starter(tmp_path, {"REDIS_DSN": redis_server.dsn}) as start:
        yield Examples(start)


@pytest.fixture
def website() -> Iterator[str]:
    """A local web server: /page answers, /flaky refuses its first two visitors."""
    refusals = iter([503, 503])

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(next(refusals, 200) if self.path == "/flaky" else 200)
            self.end_headers()
            self.wfile.write(b"<h1>It works</h1>")

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_simple(examples: Examples, website: str) -> None:
    produced = examples.produce("simple", f"{website}/page", f"{website}/page?2")
    assert [line[:18] for line in produced] == ["enqueued <arq job "] * 2
    worker = examples.work("simple", "--burst")
    assert worker.ended() == 0
    assert sorted(worker.lines) == [
        f"{website}/page: <h1>It works</h1>...",
        f"{website}/page?2: <h1>It works</h1>...",
    ]
    assert ":download_content ● 17" in worker.stderr


def test_hooks(examples: Examples) -> None:
    examples.produce("hooks")
    assert examples.work_off("hooks") == [
        "startup: open what all jobs share",
        "job_start: greet-ada",
        "job_end: greet-ada took less than a minute: True",
        "after_job_end: the result of greet-ada is in Redis now",
        "shutdown: close the back office",
    ]


def test_deferred(examples: Examples) -> None:
    produced = examples.produce("deferred")
    assert produced == ["queued: half a second", "queued: a timedelta", "queued: a leap day"]
    worker = examples.work("deferred")
    worker.printed("a timedelta ran")
    assert worker.stop() == 0
    assert [line.split(" ran ")[0] for line in worker.lines] == ["half a second", "a timedelta"]
    waited_s = [float(line.split(" ran ")[1].split()[0]) for line in worker.lines]
    assert waited_s[0] >= 0.5
    assert waited_s[1] >= 1


def test_unique_ids(examples: Examples) -> None:
    first, second, third, fourth = examples.produce("unique_ids")
    assert first.startswith("<arq job ")
    assert len(first) == len("<arq job >") + 32
    assert (second, third, fourth) == (
        "<arq job backup:/home>",
        "None",
        "<arq job backup:/home> is queued",
    )
    assert sorted(line.split(" as ")[0] for line in examples.work_off("unique_ids")) == [
        "backing up /home",
        "backing up /tmp",
    ]


def test_results(examples: Examples) -> None:
    producer = examples.start("results")
    producer.printed("divide(84,)")
    worker = examples.work("results")
    assert producer.ended() == 0, producer.stderr
    first, *others = producer.lines
    # a machine that stands still just then makes it due
    assert first in ("divide(84,) {'by': 2}: deferred", "divide(84,) {'by': 2}: queued")
    assert others == [
        "result: 42.0",
        "complete on try 1, success: True",
        "failed: ZeroDivisionError('division by zero')",
    ]
    assert worker.stop() == 0


def test_retry(examples: Examples, website: str) -> None:
    examples.produce("retry", f"{website}/flaky")
    worker = examples.work("retry", "--burst")
    assert worker.ended() == 0
    assert worker.lines == ["try 1: 503", "try 2: 503", "try 3: 200"]
    assert "check retrying job in 0.30s" in worker.stderr
    assert "check retrying job in 0.60s" in worker.stderr
    assert "check ● '200 after 3 tries'" in worker.stderr


def test_slow_job_is_run_again(examples: Examples) -> None:
    examples.produce("slow_job")
    first = examples.work("slow_job")
    first.printed("try 1")
    assert first.stop(signal.SIGINT) == 0
    assert first.lines == ["try 1", "cancelled: put things in order, then let go"]
    assert "shutdown on SIGINT ◆ 0 jobs complete ◆ 0 failed ◆ 0 retries ◆ 1 ongoing to cancel" in first.stderr
    assert "digest cancelled, will be run again" in first.stderr
    second = examples.work("slow_job", "--burst")
    assert second.ended() == 0
    assert second.lines == ["try 2"]
    assert "digest ● 'digested'" in second.stderr


def test_abort(examples: Examples) -> None:
    worker = examples.work("abort")
    assert examples.produce("abort") == [
        "tea, running: aborted True",
        "coffee, not started: aborted True",
    ]
    assert worker.stop() == 0
    assert worker.lines == ["brewing tea"]


def test_cron_jobs(examples: Examples) -> None:
    worker = examples.work("cron_jobs")
    worker.printed("every second", times=2)
    assert worker.stop() == 0
    assert worker.lines.count("once at the start, then on Mondays at 6:00") == 1


def test_sync_jobs(examples: Examples) -> None:
    examples.produce("sync_jobs")
    assert sorted(examples.work_off("sync_jobs")) == ["connected", "correct horse -> 6e8453a042a8"]


def test_msgpack_jobs(examples: Examples, redis_client: redis.Redis) -> None:
    worker = examples.work("msgpack_jobs")
    assert examples.produce("msgpack_jobs") == ["{'items': 2, 'sum': 3.75}"]
    assert worker.stop() == 0
    (result_key,) = redis_client.scan_iter("arq:result:*")
    stored = redis_client.get(result_key)
    assert isinstance(stored, bytes)
    assert b"\xa5items\x02" in stored


def test_health(examples: Examples, redis_client: redis.Redis) -> None:
    assert examples.produce("health", exit_code=1) == ["no worker"]
    worker = examples.work("health")
    wait_until(lambda: redis_client.exists("arq:queue:health-check"))
    assert examples.produce("health") == ["healthy"]
    check = examples.work("health", "--check")
    assert check.ended() == 0
    assert "j_complete=0 j_failed=0 j_retried=0 j_ongoing=0 queued=0" in check.stderr
    assert worker.stop() == 0
    assert examples.work("health", "--check").ended() == 1


def test_every_example_has_a_test() -> None:
    examples = {path.stem for path in (ROOT / "examples").glob("*.py")}
    tested = {name for name in examples if any(test.startswith(f"test_{name}") for test in globals())}
    mounted = re.findall(r'load\("(\w+)"\)', (ROOT / "tests/arq/web/test_mounted.py").read_text())
    assert examples == tested.union(mounted)
