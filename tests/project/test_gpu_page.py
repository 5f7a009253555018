"""docs/how-to/gpu-and-memory-heavy-pools.md: its module and its commands, on a machine without a GPU."""

import os
import re
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from supervisor.control.client import ask
from supervisor.control.protocol import Request
from tests.supervisor.commands import ON, status
from tests.supervisor.control_groups import entering, little_memory_for
from tests.supervisor.harness import Pool, Queue, pool_in
from tests.support.eventually import wait_until
from tests.support.programs import ROOT
from tests.support.servers import RedisServer

pytestmark = pytest.mark.processes

PAGE = (ROOT / "docs" / "how-to" / "gpu-and-memory-heavy-pools.md").read_text()
(MODULE,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
FIRST, LIMITED = re.findall(r"^\$ (.*arq-supervise .*)$", PAGE, re.MULTILINE)


def words_of(line: str) -> tuple[dict[str, str], list[str]]:
    """The environment and the options of a command on the page."""
    words = shlex.split(line)
    at = words.index("arq-supervise")
    assert words[at + 1] == "models.Settings"
    return dict(word.split("=", 1) for word in words[:at]), words[at + 2 :]


@pytest.fixture
def pool(tmp_path: Path, redis_server: RedisServer, redis_client: redis.Redis) -> Iterator[Pool]:
    with pool_in(tmp_path, redis_server.port) as found:
        (tmp_path / "models.py").write_text(MODULE)
        yield found


@pytest.fixture
def queue(redis_server: RedisServer) -> Queue:
    return Queue(redis_server.port)


def start(pool: Pool, line: str, *more: str, command: tuple[str, ...] = (), **environ: str) -> None:
    """Start the pool as the page says."""
    given, words = words_of(line)
    values: dict[str, Any] = {**given, "REDIS_DSN": f"redis://127.0.0.1:{pool.port}", **environ}
    pool.start(*words, *ON, *more, settings="models.Settings", command=command, **values).ready()


def answers(queue: Queue) -> set[str]:
    """What the workers say, all of them."""
    found: set[str] = set()

    def ask_more() -> bool:
        found.update(queue.results(queue.put_many("infer", 8, "x")))
        return len({answer[-1] for answer in found}) == 2

    wait_until(ask_more, what="an answer of each worker")
    return found


def test_each_worker_has_a_device_and_a_model_of_its_own(pool: Pool, queue: Queue) -> None:
    start(pool, FIRST, MODEL_MB="20")
    devices = {"x: 20 MB on device 0, worker 0", "x: 20 MB on device 1, worker 1"}
    assert answers(queue) == devices
    pool.kill(pool.workers()[1])
    wait_until(lambda: len(pool.workers()) == 1, what="one worker")
    wait_until(lambda: len(pool.workers()) == 2, what="both workers")
    assert answers(queue) == devices  # the place has kept its device
    assert pool.stop() == 0


def test_more_workers_than_devices_share_them(pool: Pool, queue: Queue) -> None:
    start(pool, FIRST, MODEL_MB="1", CUDA_VISIBLE_DEVICES="7")
    assert answers(queue) == {"x: 1 MB on device 7, worker 0", "x: 1 MB on device 7, worker 1"}
    assert pool.stop() == 0


@pytest.fixture
def small_group(pool: Pool) -> Iterator[Path]:
    with little_memory_for(pool) as group:
        yield group


@pytest.mark.parametrize("order", ["start-first", "stop-first"])
def test_a_model_that_fills_more_than_half_of_the_memory(
    pool: Pool, queue: Queue, small_group: Path, order: str
) -> None:
    """The group has 300 MB: there is room for one model, and for what else belongs to a pool."""
    order_words = ("--procs", "1", "--reload-order", order, "--child-oom-score-adj", "500")
    start(pool, FIRST, *order_words, command=entering(small_group), MODEL_MB="160")
    (pool.directory / "models.py").write_text(MODULE.replace("{prompt}:", "new {prompt}:"))
    is_ok = ask(pool.directory / ON[1], Request("reload", wait=True)).ok
    if order == "start-first":
        pool.wait_event("child.oom_suspected")  # who it is depends on the moment
    else:
        assert is_ok
        assert queue.result(queue.put("infer", "x")).startswith("new x: 160 MB")
        assert not pool.events("child.oom_suspected")
        assert status(pool)["supervisor"]["last_reload"]["ok"] is True
    os.kill(pool.pid, 0)
    pool.signal(signal.SIGTERM)
    pool.wait()


def test_a_worker_that_grows_is_replaced_after_it_has_left(pool: Pool, queue: Queue) -> None:
    eager = pool.script_with({"parent.loop.WEIGH_EVERY_S": 0.2})
    given, words = words_of(LIMITED)
    words = [word if word != "6000" else "100" for word in words]
    environ: dict[str, Any] = {**given, "REDIS_DSN": f"redis://127.0.0.1:{pool.port}", "MODEL_MB": "90"}
    pool.start(*words, *ON, settings="models.Settings", script=eager, **environ).ready()
    recycled = pool.wait_event("child.recycle", why="rss")
    pool.wait_event("child.exit", pid=recycled["pid"], outcome="clean")
    pool.wait_event("child.ready", slot=recycled["slot"], n=2, role="worker")
    assert len(answers(queue)) == 2
    assert pool.stop() == 0
