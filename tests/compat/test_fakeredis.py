"""fakeredis, old and new, with Lua and without, in process and over TCP, as docs/how-to/test-your-jobs.md has it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.compat import others
from tests.compat.harness import PEERS

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(900)]

RIGHT = {
    "status": ["queued", "deferred", "not_found"],
    "again": None,
    "info": [1],
    "queued": 3,
    "aborted": True,
    "results": [2, 2],
    "kept": 3,
    "beside": 3,
    "abort": True,
    "given back": 1,
}
OLD = ("fakeredis==2.26.2", "redis==5.3.1", "hiredis==3.5.0")
NEW = ("fakeredis==2.41.0", "redis==8.1.0", "hiredis==3.5.0")


@pytest.mark.parametrize("way", ["in-process", "tcp"])
@pytest.mark.parametrize("with_lua", [False, True], ids=["plain", "lua"])
@pytest.mark.parametrize("packages", [OLD, NEW], ids=["2.26", "2.41"])
def test_on_fakeredis(tmp_path: Path, packages: tuple[str, ...], with_lua: bool, way: str) -> None:
    name = f"{packages[0].replace('==', '-')}{'-lua' if with_lua else ''}"
    python = others.environment(name, (*packages, "lupa==2.8") if with_lua else packages)
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "ARQ_"))}
    variables["PYTHONPATH"] = str(others.ours(tmp_path))
    program = [str(python), str(PEERS / "on_fakeredis.py"), way]
    done = subprocess.run(program, env=variables, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    told = [line for line in found.pop("warnings") if 'pip install "fakeredis[lua]"' in line]
    assert found == RIGHT
    assert len(told) == (0 if with_lua else 1)
