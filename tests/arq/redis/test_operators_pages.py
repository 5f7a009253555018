"""The pages about the commands for operators: what they show is run, and the reference is made of the commands."""

from __future__ import annotations

import os
import pickle
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from arq._commands.reference_page import page
from tests.arq.redis.operators import run_command
from tests.support.programs import ROOT
from tests.support.servers import RedisServer

DOCS = ROOT / "docs"
HOW_TO = ("find-and-mend-jobs", "pause-and-drain")
QUEUE = "arq:queue"


def commands_on(name: str) -> list[list[str]]:
    text = (DOCS / "how-to" / f"{name}.md").read_text()
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [shlex.split(line.removeprefix("$ ")) for block in blocks for line in block.splitlines()]


@pytest.fixture
def shop(redis_client: redis.Redis) -> None:
    """A queue in which there is something of all that the pages talk about."""
    now_ms = int(time.time() * 1000)
    for number, (prefix, function, in_ms, age_ms) in enumerate(
        [
            ("mail", "send_mail", -1000, 3 * 3_600_000),
            ("mail", "send_mail", 60_000, 0),
            *(("invoice", "bill", 3_600_000, 0) for _ in range(12)),
        ]
    ):
        job_id = f"{prefix}-{number}"
        payload: dict[str, Any] = {
            "t": None,
            "f": function,
            "a": ("anna@example.com",),
            "k": {},
            "et": now_ms - age_ms,
        }
        redis_client.set(f"arq:job:{job_id}", pickle.dumps(payload), ex=86_400)
        redis_client.zadd(QUEUE, {job_id: now_ms + in_ms})
    for job_id in ("order-1", "order-2"):
        payload = {"t": None, "f": "send_mail", "a": (), "k": {}, "et": now_ms}
        redis_client.hset(f"arq:dead:{job_id}", mapping={"payload": pickle.dumps(payload), "entry": b"{}"})
        redis_client.expire(f"arq:dead:{job_id}", 600)
        redis_client.zadd(f"{QUEUE}:dead", {job_id: now_ms})
    redis_client.expire(f"{QUEUE}:dead", 600)


def test_the_pages_have_examples() -> None:
    assert all(len(commands_on(name)) > 5 for name in HOW_TO)


@pytest.mark.parametrize("name", HOW_TO)
def test_the_commands_on_a_page_do_what_they_say(name: str, shop: None, redis_server: RedisServer) -> None:
    """Each after the other on one queue."""
    for words in commands_on(name):
        assert words[0] == "arq"
        outcome = run_command(*words[1:], ARQ_REDIS=redis_server.dsn)
        assert outcome.code == 0, (words, outcome)


@pytest.mark.processes
def test_the_program_on_the_page_runs(
    shop: None, redis_server: RedisServer, redis_client: redis.Redis, tmp_path: Path
) -> None:
    text = (DOCS / "how-to/find-and-mend-jobs.md").read_text()
    (program,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "program.py").write_text(program)
    environment: dict[str, Any] = {"ARQ_REDIS": redis_server.dsn, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("mail-1 'anna@example.com' ")
    assert redis_client.zcount(QUEUE, "-inf", time.time() * 1000) == 2


def test_the_reference_is_made_of_the_commands() -> None:
    """Else: `python -m manual`."""
    assert (DOCS / "reference" / "arq-commands.md").read_text() == page()


@pytest.mark.processes
@pytest.mark.parametrize(
    ("words", "number", "found"),
    [
        ("arq w", 1, ["watch", "web", "workers"]),
        ("arq ls --st", 2, ["--state"]),
        ("arq --bur", 1, ["--burst"]),
    ],
)
def test_a_shell_completes_commands_and_their_options(words: str, number: int, found: list[str]) -> None:
    asked = {"_ARQ_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(number)}
    code = "from arq.cli import cli; cli(prog_name='arq')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | asked,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == [f"plain,{one}" for one in found], done.stderr
