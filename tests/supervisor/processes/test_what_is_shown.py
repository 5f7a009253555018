"""What people read: no text of a job forges a line or reaches the terminal as a command, and no password is shown."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.supervisor.commands import ON, ctl, run
from tests.supervisor.harness import Pool, Queue
from tests.support.eventually import wait_until

pytestmark = pytest.mark.processes

FORGED = "s\n12:00:00: \x1b[31m[pool] stop.done code=0 \u202e"
READS_DSN = """import os
from arq.connections import RedisSettings
async def echo(ctx): ...
class Settings:
    functions = [echo]
    redis_settings = RedisSettings.from_dsn(os.environ["DSN"])
    redis_settings.conn_retries = 0
"""
LITERAL = READS_DSN.replace('os.environ["DSN"]', '"{}"')
SECRET = "s3cr3t"
QUESTIONS = (("--check-settings",), ("--print-unit",), ("--check",), ("--check", "--json"))


def test_a_job_forges_no_line_of_the_log(pool: Pool, queue: Queue) -> None:
    """Neither a line of the worker, nor one of the supervisor when that job's worker is killed, nor of an answer."""
    pool.start("--procs", "1", "--log-format", "text", *ON)
    wait_until(lambda: "pool.ready" in pool.text(), what="the pool is ready")
    queue.put("until", "gate", _job_id=FORGED)
    wait_until(lambda: "→ s\\n12:00:00: \\x1b[31m" in pool.text(), what="the job runs")
    wait_until(
        lambda: "12:00:00" in ctl(pool, "status", "--json").stdout, what="the supervisor knows of the job"
    )
    (worker,) = json.loads(ctl(pool, "status", "--json").stdout)["workers"]
    os.kill(worker["pid"], signal.SIGKILL)
    wait_until(lambda: "child.exit" in pool.text(), what="its end is told")
    shown = ctl(pool, "status").stdout
    pool.open_gate()
    queue.result(FORGED)
    assert pool.stop() == 0
    shown += pool.text()
    assert not any(line.startswith("12:00:00") for line in shown.splitlines())
    assert not set(shown) & set("\x1b\u202e")


@pytest.mark.parametrize(
    "dsn",
    [
        f"redis://me:{SECRET}/x@127.0.0.1:1/0",
        f"redis://me:{SECRET}@127.0.0.1:6x9/0",
        f"redis://me:{SECRET}@[::1/0",
        f"redis://me:{SECRET}@127.0.0.1:{{port}}/0",
    ],
    ids=["slash", "port", "host", "refused"],
)
def test_no_password_is_shown_whatever_is_wrong(pool: Pool, dsn: str) -> None:
    """Every command, with settings that read it from the environment, and with ones that have it in their text."""
    dsn = dsn.format(port=pool.port)
    (pool.directory / "reads.py").write_text(READS_DSN)
    (pool.directory / "literal.py").write_text(LITERAL.format(dsn))
    said = ""
    environ = {**pool.environ, "DSN": dsn}
    for settings in ("reads.Settings", "literal.Settings"):
        for module, words in (
            *(("supervisor", question) for question in QUESTIONS),
            ("supervisor", ("--procs", "1", "--control", "off", "--boot-retries", "0")),
            ("arq", ()),
            ("arq", ("--check",)),
        ):
            command = [sys.executable, "-m", module, settings, *words]
            done = subprocess.run(
                command, env=environ, cwd=pool.directory, capture_output=True, text=True, check=False
            )
            assert done.returncode != 0 or "--print-unit" in words or "--check-settings" in words
            said += done.stdout + done.stderr
    for asked in (["--check", "--name", "x"], ["--check", "--fleet"], []):
        done = run(pool, *asked, "--redis-url", dsn)
        said += done.stdout + done.stderr
    assert said
    assert SECRET not in said


def test_the_title_of_a_check_has_no_address(pool: Pool) -> None:
    """`ps` shows a command line to every user of the machine."""
    (pool.directory / "sitecustomize.py").write_text(
        "import atexit\\n"
        "atexit.register(lambda: print('TITLE', open('/proc/self/cmdline').read()))\\n".replace("\\n", "\n")
    )
    done = run(pool, "--check", "--name", "x", "--redis-url", f"redis://:{SECRET}@127.0.0.1:1/0")
    assert "TITLE" in done.stdout
    assert SECRET not in done.stdout + done.stderr
