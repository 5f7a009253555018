"""`--start-method exec`: the same pool, each child in an interpreter of its own."""

import os
import signal

import psutil
import pytest
import redis

from supervisor.ipc.brief import make_brief
from supervisor.options import Options
from supervisor.pool.events import Fork, Role
from supervisor.process.exec import read_brief, write_brief
from tests.supervisor.harness import Pool, Queue, change_code, owner_of
from tests.support.eventually import wait_until

pytestmark = pytest.mark.processes

EXEC = ("--start-method", "exec")


def test_it_works_reloads_and_ends(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "2", *EXEC).ready()
    assert pool.events("supervisor.start")[0]["start_method"] == "exec"
    before = pool.workers()
    change_code(pool, "    return value\n", "    return ('new', value)\n")
    pool.signal(signal.SIGHUP)
    pool.wait_event("reload.done")
    assert set(before.values()).isdisjoint(pool.workers().values())
    assert queue.result(queue.put("echo", 1)) == ("new", 1)
    seen = queue.result(queue.put("environment"))
    assert seen["ARQ_WORKER_COUNT"] == "2"
    assert queue.result(queue.put("signal_state")) == "0 1"
    assert pool.stop() == 0


def test_a_child_keeps_what_a_forked_one_keeps(pool: Pool) -> None:
    pool.start("--procs", "1", *EXEC).ready()
    pid = pool.workers()[0]
    assert os.getpgid(pid) == pid
    inherited = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (0,)}
    assert inherited == {os.devnull}
    parents = {link for link in links(pool.pid) if link.startswith("pipe:")}
    assert len(parents & links(pid)) <= 3  # its own two pipes, and the life pipe
    assert pool.stop() == 0


def links(pid: int) -> set[str]:
    """What the descriptors of a process lead to."""
    found = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:  # closed meanwhile
            continue
    return found


def test_a_killed_one_is_replaced_and_its_jobs_run_again(
    pool: Pool, queue: Queue, redis_client: redis.Redis
) -> None:
    pool.start("--procs", "2", *EXEC).ready()
    job_id = queue.put("until", "gate")
    pool.kill(pool.worker_of(owner_of(redis_client, job_id)))
    pool.open_gate()
    assert queue.result(job_id)
    assert queue.tries(job_id) == 2
    assert pool.stop() == 0


def test_f04_nobody_survives_the_parent(pool: Pool) -> None:
    pool.start("--procs", "2", *EXEC).ready()
    pool.kill(pool.pid)
    pool.wait_gone()


OPTIONS = """
import sys
from app import Settings as Base

async def options(ctx):
    flags = sys.flags
    return flags.optimize, flags.dev_mode, flags.safe_path, sys.warnoptions, sorted(sys._xoptions)

class Settings(Base):
    functions = [options]
"""


@pytest.mark.parametrize("method", ["fork", "exec"])
def test_children_have_the_interpreters_own_options(pool: Pool, queue: Queue, method: str) -> None:
    (pool.directory / "optimized.py").write_text(OPTIONS)
    own = ("-O", "-W", "error::BytesWarning", "-X", "dev", "-X", "no_debug_ranges")
    pool.start(
        "--procs", "1", "--start-method", method, interpreter=own, settings="optimized.Settings"
    ).ready()
    expected = (1, True, False, ["default", "error::BytesWarning"], ["dev", "no_debug_ranges"])
    assert queue.result(queue.put("options")) == expected
    assert pool.stop() == 0


def test_with_warnings_as_errors_and_of_encodings(pool: Pool, queue: Queue) -> None:
    pool.start("--procs", "1", *EXEC, interpreter=("-W", "error"), PYTHONWARNDEFAULTENCODING="1").ready()
    assert queue.result(queue.put("echo", 1)) == 1
    pool.steward()
    assert pool.stop() == 0
    assert "Warning" not in pool.text()


def test_a_tools_script_in_place_of_the_interpreter_is_not_started(pool: Pool, queue: Queue) -> None:
    """As a profiler does it: the script starts a program of its own, which would be nobody's child."""
    wrapper = pool.directory / "python"
    wrapper.write_text("#!/bin/sh\nexit 1\n")
    wrapper.chmod(0o755)
    (pool.directory / "wrapped.py").write_text(
        f"import sys\nsys.executable = {str(wrapper)!r}\nfrom _arq_supervise import main\nmain()\n"
    )
    pool.start("--procs", "1", *EXEC, script="wrapped.py").ready()
    assert queue.result(queue.put("echo", 1)) == 1
    assert pool.stop() == 0


BY_COMMAND = "from _arq_supervise import main\nmain()\n"
BY_CALL = """import supervisor
options = supervisor.Options("app.Settings", start_method="exec", log_format="json", control="off")
sys.exit(supervisor.run(options))
"""


@pytest.mark.parametrize("start", [BY_COMMAND, BY_CALL], ids=["command", "call"])
def test_a_frozen_program_is_started_again_as_it_was(pool: Pool, queue: Queue, start: str) -> None:
    """`sys.executable` takes no options of Python then, and begins with the application's own code."""
    (pool.directory / "frozen.py").write_text(f"import sys\nsys.frozen = True\n{start}")
    pool.start("--procs", "1", *EXEC, script="frozen.py").ready()
    assert queue.result(queue.put("echo", 1)) == 1
    seen = queue.result(queue.put("environment"))
    assert not [name for name in seen if name.startswith("_ARQ_")]
    pool.kill(pool.workers()[0])
    pool.wait_event("child.ready", n=2, role="worker")
    assert pool.stop() == 0


def test_what_was_set_up_before_our_code_has_its_exit_handler_run(pool: Pool) -> None:
    """A tracer that comes in by `sitecustomize` is the child's own, where the child has an interpreter of its own."""
    (pool.directory / "sitecustomize.py").write_text(
        "import atexit, os\natexit.register(lambda: open(f'exit-{os.getpid()}', 'w').close())\n"
    )
    pool.start("--procs", "1", *EXEC).ready()
    pid = pool.workers()[0]
    assert pool.stop() == 0
    assert (pool.directory / f"exit-{pid}").exists()


@pytest.mark.parametrize("n_spawned", [1, 2])
def test_f41_a_stop_while_interpreters_start(pool: Pool, n_spawned: int) -> None:
    pool.start("--procs", "2", *EXEC)
    pool.wait_event("child.spawn", n=n_spawned)
    assert pool.stop() == 0
    assert "Traceback" not in pool.text()


def test_the_orders_arrive_as_they_were_sent() -> None:
    options = Options("app.Settings", procs=3, watch=("a", "b c"), graceful_timeout_s=1.5)
    brief = make_brief(
        options, Fork(1, Role.WORKER, 2, 1, 3, True, False, "old"), "host", ("redis://x", "/d")
    )
    assert read_brief(write_brief(brief)) == brief


@pytest.mark.parametrize("method", ["fork", "exec"])
def test_ps_shows_who_is_who(pool: Pool, method: str) -> None:
    pool.start("--procs", "1", "--name", "shop", "--start-method", method).ready()

    def title(pid: int) -> str:
        return " ".join(psutil.Process(pid).cmdline()).rstrip()

    wait_until(lambda: title(pool.workers()[0]) == "arq-supervise: worker[shop/0] gen 1", what="a title")
    assert title(pool.steward()) == "arq-supervise: steward[shop] gen 1"
    assert psutil.Process(pool.workers()[0]).name() == "arq:0:shop"
    assert "supervisor app.Settings" in title(pool.pid)
    assert pool.stop() == 0


def test_a_package_that_changes_titles_goes_on_to_work(pool: Pool) -> None:
    """It keeps where the command line was, and would not find it when somebody else has written there."""
    (pool.directory / "setproctitle.py").write_text(
        "def setproctitle(title): open('title', 'w').write(title)\n"
    )
    pool.start("--procs", "1", "--name", "shop").ready()
    pool.steward()  # the last who writes there
    pid = pool.workers()[0]
    assert (pool.directory / "title").read_text().startswith("arq-supervise: ")
    assert "app.Settings" in " ".join(psutil.Process(pid).cmdline())  # left alone by us
    assert pool.stop() == 0
