"""Development mode: a changed file restarts the workers, a broken one is shown and waited for."""

import itertools
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from arq.connections import RedisSettings
from tests.supervisor.harness import APP, Pool, Queue, change_code, owner_of
from tests.support.eventually import wait_until

pytestmark = pytest.mark.processes

# root in a namespace of its own may set the limits of that namespace
NO_INOTIFY = 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"'


def may_limit_inotify() -> bool:
    command = shutil.which("unshare")
    words = (command or "", "-Ur", "sh", "-c", NO_INOTIFY, "sh", "true")
    return command is not None and subprocess.run(words, capture_output=True, check=False).returncode == 0


WATCH = ("--watch", ".", "--watch-debounce", "0.1", "--watch-grace", "1")


def started(pool: Pool, *more: str) -> Pool:
    pool.start("--procs", "2", *WATCH, *more).ready()
    pool.wait_event("child.ready", role="watcher")
    return pool


def wait_for_answer(queue: Queue, answer: object) -> None:
    wait_until(lambda: queue.result(queue.put("echo", "x")) == answer, what=f"the code answers {answer}")


def test_r56_new_code_after_each_change(pool: Pool, queue: Queue) -> None:
    started(pool)
    for n in range(3):  # quick changes of the same length: old bytecode must not be taken for the new
        change_code(pool, "return value\n" if n == 0 else f"return {n - 1}    \n", f"return {n}    \n")
        pool.wait_event("watch.restart", n=n + 1)
        wait_for_answer(queue, n)
    assert len(os.listdir(f"/proc/{pool.pid}/task")) == 1
    assert pool.stop() == 0


def test_f51_a_broken_file_is_shown_and_waited_for(pool: Pool, queue: Queue) -> None:
    started(pool)
    good = (pool.directory / "app.py").read_text()
    rename_over(pool.directory / "app.py", "def f(:\n")
    pool.wait_event("watch.waiting")
    assert pool.text().count("Traceback (most recent call last)") == 1
    (pool.directory / "app.py").unlink()
    pool.wait_event("watch.waiting", n=2)
    rename_over(pool.directory / "app.py", good)
    pool.wait_event("watch.restart", n=3)
    assert queue.result(queue.put("echo", 5)) == 5
    assert pool.stop() == 0


def test_a_file_that_is_broken_from_the_start(pool: Pool, queue: Queue) -> None:
    good = (pool.directory / "app.py").read_text()
    (pool.directory / "app.py").write_text("import nowhere\n")
    pool.start("--procs", "2", *WATCH).wait_event("watch.waiting")
    pool.wait_event("child.ready", role="watcher")
    (pool.directory / "app.py").write_text(good)
    pool.ready()
    assert queue.result(queue.put("echo", 5)) == 5
    assert pool.stop() == 0


def test_f51_a_hundred_saves_are_one_restart_and_the_job_runs_again(
    pool: Pool, queue: Queue, redis_client: redis.Redis
) -> None:
    started(pool)
    job_id = queue.put("until", "gate")
    owner_of(redis_client, job_id)
    saved_s = []
    for n in range(100):
        (pool.directory / "other.py").write_text(f"x = {n}\n")
        saved_s.append(time.monotonic())
    pool.wait_event("watch.restart")
    pool.open_gate()
    assert queue.result(job_id)
    # when we were held up between two of them, those were two times that somebody saved
    pauses = sum(after - before > 0.05 for before, after in itertools.pairwise(saved_s))
    assert len(pool.events("watch.restart")) <= 1 + pauses
    assert pool.stop() == 0


@pytest.mark.parametrize("options", [(), ("--watch-poll",)], ids=["told", "polling"])
def test_r58_what_is_no_source_does_not_matter(pool: Pool, options: tuple[str, ...]) -> None:
    started(pool, *options)
    (pool.directory / "__pycache__").mkdir(exist_ok=True)
    for name in ("x.sock", "x.log", "x.pid", "__pycache__/app.pyc", "__pycache__/x.py"):
        (pool.directory / name).write_text("x")
    (pool.directory / "source.py").write_text("x = 1\n")
    change = pool.wait_event("watch.change")
    assert change["n"] == 1
    assert change["paths"][0].endswith("source.py")
    assert pool.stop() == 0


def test_f52_the_watcher_is_replaced(pool: Pool) -> None:
    started(pool)
    pool.kill(pool.events("child.ready", role="watcher")[0]["pid"])
    pool.wait_event("child.ready", n=2, role="watcher")
    (pool.directory / "source.py").write_text("x = 1\n")
    pool.wait_event("watch.restart")
    assert pool.stop() == 0


def test_a_watcher_that_is_ready_misses_nothing(pool: Pool) -> None:
    """On a busy machine it takes a while until the system reports changes."""
    (pool.directory / "late.py").write_text(
        "import time\n"
        "import watchfiles.main\n"
        "real = watchfiles.main.RustNotify\n"
        "def late(*args):\n"
        "    time.sleep(1)\n"
        "    return real(*args)\n"
        "watchfiles.main.RustNotify = late\n"
        "from _arq_supervise import main\n"
        "main()\n"
    )
    pool.start("--procs", "1", *WATCH, script="late.py").ready()
    pool.wait_event("child.ready", role="watcher")
    rename_over(pool.directory / "source.py", "x = 1\n")
    pool.wait_event("watch.restart")
    assert pool.stop() == 0


def test_hup_restarts_too(pool: Pool) -> None:
    started(pool)
    before = pool.workers()
    pool.signal(signal.SIGHUP)
    pool.wait_event("watch.restart")
    wait_until(lambda: len(pool.workers()) == 2 and set(pool.workers().values()).isdisjoint(before.values()))
    assert pool.stop() == 0


def test_a_path_that_is_not_there(pool: Pool) -> None:
    assert pool.start("--watch", "nowhere").wait() == 2
    assert "--watch nowhere: there is no such" in pool.text()


def rename_over(path: Path, text: str, saved_ns: int | None = None) -> None:
    """As vim, emacs and most IDEs save: a new file takes the place of the old one."""
    new = path.with_name("4913~")
    new.write_text(text)
    if saved_ns is not None:
        os.utime(new, ns=(saved_ns, saved_ns))
    new.rename(path)


def truncate_and_write(path: Path, text: str) -> None:
    """As simple editors save: for a moment, the file is empty."""
    with open(path, "w") as file:
        file.flush()
        file.write(text[:10])
        file.flush()
        file.write(text[10:])


def keep_a_backup(path: Path, text: str) -> None:
    """The old one is moved away, then a new one appears."""
    path.rename(path.with_name("app.py~"))
    path.write_text(text)


@pytest.mark.parametrize("save", [rename_over, truncate_and_write, keep_a_backup])
def test_f51_however_an_editor_saves(pool: Pool, queue: Queue, save: Callable[[Path, str], None]) -> None:
    started(pool, "--watch-debounce", "0.5")  # the two halves of a save may be as far apart
    path = pool.directory / "app.py"
    save(path, path.read_text().replace("    return value\n", "    return 'saved'\n"))
    wait_for_answer(queue, "saved")
    assert len(pool.events("watch.restart")) == 1
    assert not pool.events("watch.waiting")
    assert pool.stop() == 0


@pytest.mark.parametrize("options", [("--watch", "app.py"), ("--watch", ".", "--watch-poll")])
def test_however_often_a_file_is_replaced(pool: Pool, queue: Queue, options: tuple[str, ...]) -> None:
    """A watched file is a name, not the file that had it at first. And all may happen within one second."""
    pool.start("--procs", "1", *WATCH[2:], *options).ready()
    pool.wait_event("child.ready", role="watcher")
    path = pool.directory / "app.py"
    code, saved_ns = path.read_text(), path.stat().st_mtime_ns // 10**9 * 10**9
    for n in range(3):
        # Python takes old bytecode for that of a file with the same length and the same time in whole seconds
        text = code.replace("    return value\n", f"    return {n}{' ' * n}\n")
        rename_over(path, text, saved_ns + n)
        pool.wait_event("watch.restart", n=n + 1)
        wait_for_answer(queue, n)
    assert pool.stop() == 0


def test_what_is_not_watched_or_ignored_does_not_matter(pool: Pool) -> None:
    (pool.directory / "made").mkdir()
    pool.start("--procs", "1", *WATCH, "--watch-ignore", "gen_*.py", "--watch-ignore", "*/made/*").ready()
    pool.wait_event("child.ready", role="watcher")
    for name in ("gen_one.py", "made/two.py"):
        (pool.directory / name).write_text("x = 1\n")
    (pool.directory / "source.py").write_text("x = 1\n")
    change = pool.wait_event("watch.change")
    assert [Path(path).name for path in change["paths"]] == ["source.py"]
    assert pool.stop() == 0


def test_directories_of_sources_that_come_move_and_go(pool: Pool) -> None:
    for name in ("package", "empty"):
        (pool.directory / name).mkdir()
    (pool.directory / "package" / "one.py").write_text("x = 1\n")
    started(pool)
    (pool.directory / "empty").rename(pool.directory / "void")  # no source, no restart
    (pool.directory / "package").rename(pool.directory / "renamed")
    pool.wait_event("watch.restart", n=1)
    rename_over(pool.directory / "renamed" / "one.py", "x = 2\n")
    pool.wait_event("watch.restart", n=2)
    (pool.directory / "renamed").rename(pool.directory.parent / f"{pool.mark}-elsewhere")
    pool.wait_event("watch.restart", n=3)
    pool.wait_event("child.ready", role="worker", gen=4)
    assert len(pool.events("watch.restart")) == 3
    assert pool.stop() == 0
    shutil.rmtree(pool.directory.parent / f"{pool.mark}-elsewhere")


@pytest.mark.parametrize("options", [(), ("--watch-poll",)], ids=["told", "polling"])
def test_a_watched_directory_that_is_removed_or_replaced_is_watched_again(
    pool: Pool, options: tuple[str, ...]
) -> None:
    """As a checkout of another branch does it. The kernel tells of the directory, not of its name."""
    source = pool.directory / "source"
    source.mkdir()
    pool.start("--procs", "1", "--watch", "source", "--watch-debounce", "0.1", *options).ready()
    pool.wait_event("child.ready", role="watcher")
    source.rmdir()
    source.mkdir()
    (source / "one.py").write_text("x = 1\n")
    pool.wait_event("watch.restart", n=1)
    pool.wait_event("child.ready", role="worker", gen=2)
    source.rename(pool.directory / "old")
    source.mkdir()
    (source / "two.py").write_text("x = 1\n")
    wait_until(lambda: any("two.py" in str(one["paths"]) or one["paths"] == [str(source)]
                           for one in pool.events("watch.change")[1:]), what="the new directory")  # fmt: skip
    count = len(pool.events("watch.change"))
    if options:
        (source / "two.py").write_text("x = 2\n")
        pool.wait_event("watch.change", n=count + 1)
    else:
        write_until(source / "two.py", lambda: len(pool.events("watch.change")) > count)
    assert pool.stop() == 0


def write_until(path: Path, is_seen: Callable[[], bool]) -> None:
    """Write again and again: the watching begins soon, and nobody says when."""
    number = itertools.count()

    def write() -> bool:
        path.write_text(f"x = {next(number)}\n")
        return is_seen()

    wait_until(write, what="a change is seen")


def test_development_mode_as_the_readme_shows_it(pool: Pool) -> None:
    """Its own server, restart on save; the server and what is in it outlive the restart, and so does a job."""
    (pool.directory / "dev.py").write_text(DEVELOPED)
    pool.start("--procs", "2", *WATCH, "--embedded-redis", settings="dev.Settings").ready()
    pool.wait_event("child.ready", role="watcher")
    queue = Queue(RedisSettings.from_dsn(pool.events("supervisor.start")[-1]["redis"]))
    job_id = queue.put("until_told")
    pool.wait_started(job_id)
    (pool.directory / "dev.py").write_text(DEVELOPED.replace("'old'", "'new'"))
    pool.wait_event("watch.restart")
    pool.open_gate()
    assert queue.result(job_id) == "new"
    assert len(pool.events("child.ready", role="redis")) == 1
    assert pool.stop() == 0


DEVELOPED = """
import asyncio, os

async def until_told(ctx):
    while not os.path.exists('gate'):
        await asyncio.sleep(0.02)
    return 'old'

class Settings:
    functions = [until_told]
"""


@pytest.mark.skipif(
    not may_limit_inotify(), reason="this user may not make a user namespace with limits of its own"
)
def test_where_the_kernel_tells_nothing_the_files_are_looked_at(pool: Pool, queue: Queue) -> None:
    """One record names the limit; no traceback, and changes are seen all the same."""
    pool.start(
        "--procs", "1", "--watch", ".", command=("unshare", "-Ur", "sh", "-c", NO_INOTIFY, "sh")
    ).ready()
    record = pool.wait_event("watch.polling")
    assert "fs.inotify.max_user_instances" in record["limits"]
    pool.wait_event("child.ready", role="watcher")
    (pool.directory / "app.py").write_text(APP.replace("return value", "return 'new'", 1))
    wait_until(lambda: queue.result(queue.put("echo", "old")) == "new", what="the new code")
    assert pool.text().count('"event": "watch.polling"') == 1
    assert "Traceback" not in pool.text()
    assert pool.stop() == 0
