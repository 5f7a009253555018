"""New code behind a link, folders that have gone, libraries that were replaced: a reload means what is there now."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.supervisor.harness import APP, ROOT, Pool, Queue, pool_in
from tests.support.eventually import wait_until
from tests.support.servers import RedisServer

pytestmark = pytest.mark.processes

RELEASE = """
async def release(ctx):
    return {number}
Settings.functions = [release, echo]
"""
LIBRARY = "VERSION = {version!r}\n"
USES_LIBRARY = """
import shoplib
import app
async def version(ctx):
    return shoplib.VERSION
class Settings(app.Settings):
    functions = [version]
"""


def put_release(home: Path, number: int) -> Path:
    folder = home / "releases" / str(number)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "app.py").write_text(APP + RELEASE.format(number=number))
    # unpacked from archives they may be of one age
    os.utime(folder, (1_700_000_000, 1_700_000_000))
    return folder


def point(link: Path, folder: Path) -> None:
    new = link.with_name("new")
    new.symlink_to(folder)
    new.rename(link)


@pytest.fixture
def deployed(tmp_path: Path, redis_server: RedisServer) -> Iterator[Pool]:
    """A pool that is started in a folder behind a link, with the first release."""
    put_release(tmp_path, 1)
    point(tmp_path / "current", tmp_path / "releases" / "1")
    with pool_in(tmp_path / "current", redis_server.port) as pool:
        pool.log = tmp_path / "log"
        put_release(tmp_path, 1)  # the harness has put the plain application there
        yield pool


@pytest.mark.parametrize("path", ["link", "working directory"])
def test_a_reload_takes_the_release_that_the_link_points_to(
    deployed: Pool, queue: Queue, tmp_path: Path, path: str
) -> None:
    environ: Any = {} if path == "link" else {"PYTHONPATH": str(ROOT)}
    deployed.start("--procs", "1", PWD=str(deployed.directory), **environ).ready()
    assert queue.result(queue.put("release")) == 1
    point(tmp_path / "current", put_release(tmp_path, 2))
    deployed.signal(signal.SIGHUP)
    deployed.wait_event("reload.done")
    assert queue.result(queue.put("release")) == 2
    shutil.rmtree(tmp_path / "releases" / "1")
    deployed.kill(deployed.workers()[0])
    assert queue.result(queue.put("release")) == 2
    assert deployed.stop() == 0


def test_a_folder_that_has_gone_is_named(deployed: Pool, queue: Queue, tmp_path: Path) -> None:
    deployed.start("--procs", "1", PWD=str(deployed.directory)).ready()
    point(tmp_path / "current", tmp_path / "nowhere")
    deployed.signal(signal.SIGHUP)
    failed = deployed.wait_event("reload.failed")
    assert str(deployed.directory) in failed["error"]
    assert "the working directory is gone" in failed["error"]
    assert queue.result(queue.put("release")) == 1
    point(tmp_path / "current", tmp_path / "releases" / "1")
    assert deployed.stop() == 0


def test_a_library_of_the_parent_that_was_replaced_is_loaded_anew(pool: Pool, queue: Queue) -> None:
    """As after `pip install`: what was imported before all children were forked is not what is on the disk."""
    (pool.directory / "uses.py").write_text(USES_LIBRARY)
    library = pool.directory / "shoplib.py"
    library.write_text(LIBRARY.format(version="old"))
    (pool.directory / "sitecustomize.py").write_text("import shoplib\n")  # any reason to be in the parent
    pool.start("--procs", "1", settings="uses.Settings").ready()
    assert queue.result(queue.put("version")) == "old"
    library.write_text(LIBRARY.format(version="brand new"))
    pool.signal(signal.SIGHUP)
    pool.wait_event("reload.done")
    assert queue.result(queue.put("version")) == "brand new"
    (record,) = pool.events("libraries.changed")
    assert "shoplib" in record["libraries"]
    assert "restart" in record["instead"]
    pool.kill(pool.workers()[0])
    wait_until(lambda: len(pool.events("child.ready", role="worker")) == 3, what="the next one")
    assert queue.result(queue.put("version")) == "brand new"
    assert pool.stop() == 0
