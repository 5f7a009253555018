"""What `--ctl` says when it has worked, and what it brings to light: the tasks of a worker, a quiet pool."""

import re

import pytest

from tests.supervisor.commands import ON, check, run, status
from tests.supervisor.endpoints import get, scrape, value
from tests.supervisor.harness import Pool, Queue
from tests.support.eventually import wait_until

pytestmark = pytest.mark.processes


def said(pool: Pool, *words: str) -> str:
    """The one line that a command which worked says."""
    done = run(pool, *ON, "--ctl", *words)
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    return done.stdout.strip()


def test_each_command_says_what_it_did(pool: Pool) -> None:
    pool.start("--procs", "1", *ON).ready()
    assert said(pool, "scale", "2") == "scale: 1 -> 2 workers"
    assert said(pool, "scale", "2") == "scale: it has 2 workers already"
    assert said(pool, "resume") == "resume: the pool was not quiet"
    assert "--ctl resume" in said(pool, "quiet")
    assert said(pool, "resume") == "resume: the workers take jobs again"
    assert "slot 0" in said(pool, "dump", "0")
    assert "the pool's log" in said(pool, "dump")
    assert said(pool, "reload").startswith("reload: begun")
    assert said(pool, "reload", "--wait").startswith("reload: done: generation ")
    assert said(pool, "stop", "--wait") == "stop: done: the pool has ended with exit code 0"
    assert pool.wait() == 0


def test_a_quiet_pool_says_so_and_can_be_resumed(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "1", "--name", "shop", "--metrics", "127.0.0.1:0", *ON).ready()
    address = pool.wait_event("metrics.listening")["address"]
    said(pool, "quiet")
    wait_until(lambda: "quiet" in get(address, "/readyz")[1], what="readyz says it")
    assert get(address, "/readyz")[0] == 503
    assert value(scrape(address), "arq_pool_quiet", pool="shop") == 1
    code, report = check(pool, "--local")
    assert (code, report["status"]) == (0, "degraded")
    assert "--ctl resume" in report["problems"][0]
    job_id = queue.put("echo", 3)
    said(pool, "resume")
    assert queue.result(job_id) == 3
    wait_until(lambda: get(address, "/readyz")[0] == 200, what="ready again")
    assert check(pool, "--local")[1]["status"] == "ok"


def test_a_failed_reload_leaves_a_quiet_pool_quiet(pool: Pool) -> None:
    pool.start("--procs", "1", *ON).ready()
    said(pool, "quiet")
    (pool.directory / "app.py").write_text("def f(:\n")
    assert run(pool, *ON, "--ctl", "reload", "--wait").returncode == 1
    assert status(pool)["supervisor"]["quiet"]


def test_a_dump_shows_what_a_waiting_job_awaits(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "1", *ON).ready()
    job_id = queue.put("until", "gate")
    pool.wait_started(job_id)
    said(pool, "dump")
    pool.wait_event("child.dump")
    assert pool.wait_event("child.stacks", slot=0)["pid"] == pool.workers()[0]
    (job,) = pool.wait_event("child.tasks", slot=0)["jobs"]
    assert (job["job_id"], job["function"]) == (job_id, "until")
    assert re.search(r'app\.py", line \d+, in until', job["stack"].splitlines()[0])
    assert "sleep" in job["stack"]
    pool.open_gate()


def test_in_a_text_log_too(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "1", *ON, "--log-format", "text")
    wait_until(lambda: "pool.ready" in pool.text(), what="ready")
    job_id = queue.put("block", 2)
    wait_until(lambda: f"{job_id}:block(" in pool.text(), what="the job runs")
    said(pool, "dump", "0")
    wait_until(lambda: "child.dump slot=0" in pool.text(), what="the dump")
    lines = pool.text().splitlines()
    start = next(number for number, line in enumerate(lines) if "child.stacks slot=0 pid=" in line)
    assert any(f"job {job_id}:block runs at:" in line for line in lines[start:])
    assert any("in block" in line for line in lines[start:])
