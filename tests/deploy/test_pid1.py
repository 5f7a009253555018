"""arq-supervise as PID 1 of a container, in a pid namespace of its own."""

import os
import signal
import subprocess

import pytest
import redis

from supervisor.exit_codes import ExitCode
from tests.deploy.container import Container, handles, wait_first, why_not
from tests.supervisor.harness import Queue
from tests.support.eventually import wait_until

pytestmark = [pytest.mark.processes, pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")]

# a port at which nobody listens, also while other servers come and go
NOBODY = "1"
ORPHANS = """
import asyncio, os, subprocess
from app import Settings as Base, slow, stubborn

async def leave(ctx, seconds, count=1):
    for _ in range(count):  # each in a session of its own, its parent gone at once
        subprocess.run(["setsid", "--fork", "sleep", str(seconds)], check=True)
    return os.getpid()

class Settings(Base):
    functions = [leave, slow, stubborn]
"""


@pytest.fixture
def orphanage(container: Container) -> Container:
    """Runs an application whose jobs leave processes behind."""
    (container.directory / "orphans.py").write_text(ORPHANS)
    return container


def test_orphans_are_reaped_while_jobs_run(orphanage: Container, queue: Queue) -> None:
    orphanage.boot("--procs", "2", "--log-level", "debug", settings="orphans.Settings").ready()
    ids = queue.put_many("leave", 20, 0.05, 3)
    assert {queue.result(job_id) for job_id in ids} <= set(orphanage.workers().values())
    orphanage.wait_event("child.unknown", n=60)
    wait_until(lambda: not orphanage.zombies(), what="no zombie")
    assert not orphanage.adopted()
    assert not orphanage.events("child.exit")
    assert orphanage.stop() == 0


def test_what_a_killed_worker_leaves_is_ended_and_reaped(orphanage: Container, queue: Queue) -> None:
    orphanage.boot("--procs", "2", "--log-level", "debug", settings="orphans.Settings").ready()
    pid = queue.result(queue.put("leave", 600))
    running = queue.put_many("slow", 10, 0.3)
    (orphan,) = orphanage.adopted()
    assert orphan.name() == "sleep"
    orphanage.kill(pid)
    (killed,) = orphanage.wait_event("child.leftovers")["killed"]
    assert killed.endswith(" sleep")
    orphanage.wait_event("child.ready", n=3, role="worker")
    for job_id in running:
        queue.result(job_id)
    assert orphanage.events("child.exit", outcome="crash", status="SIGKILL")
    orphanage.wait_event("child.unknown", status="SIGKILL")
    wait_until(lambda: not orphanage.adopted(), what="the orphan is reaped")
    assert not orphanage.zombies()
    assert orphanage.stop() == 0


def test_a_stop_drains_and_takes_everybody_along(orphanage: Container, queue: Queue) -> None:
    orphanage.boot("--procs", "2", settings="orphans.Settings").ready()
    queue.result(queue.put("leave", 600))
    running = queue.put("slow", 1)
    orphanage.wait_started(running)
    assert orphanage.stop() == 0
    assert queue.result(running) > 1
    assert queue.tries(running) == 1
    assert orphanage.events("stop.done", code=0)
    orphanage.wait_gone()  # the orphan of ten minutes, too: the kernel ends a namespace with its PID 1


def test_a_stop_is_heard_as_soon_as_the_interpreter_runs(container: Container) -> None:
    """Before that the kernel drops it: PID 1 has no default action. The image's first 50 ms are not ours."""
    container.boot("--procs", "1", TEST_IMPORT="slow")
    first = wait_first(container)
    wait_until(lambda: handles(first, signal.SIGTERM), what="a handler for TERM")
    os.kill(first, signal.SIGTERM)
    assert container.wait() == 0  # the import would take a minute


@pytest.mark.parametrize(
    ("code", "arguments", "environ"),
    [
        (ExitCode.OK, ("--burst",), {}),
        (ExitCode.USAGE, ("--procs", "0"), {}),
        (ExitCode.BOOT, ("--boot-retries", "0"), {"TEST_STARTUP": "raise"}),
        (ExitCode.SETTINGS, ("--procs", "1"), {"settings": "nowhere.Settings"}),
        (ExitCode.INTENSITY, ("--max-restarts", "1"), {"TEST_STARTUP": "crash_soon"}),
        (ExitCode.UNAVAILABLE, ("--exit-on-tempfail", "0.5"), {"TEST_PORT": NOBODY}),
    ],
)
def test_exit_codes_reach_the_engine(
    container: Container, code: ExitCode, arguments: tuple[str, ...], environ: dict[str, str]
) -> None:
    container.boot("--procs", "1", *arguments, **environ)
    assert container.wait() == code, container.text()


def test_jobs_that_do_not_end_are_said_in_the_exit_code(orphanage: Container, queue: Queue) -> None:
    orphanage.boot("--procs", "1", "--graceful-timeout", "0.2", "--kill-timeout", "0.3",
                   settings="orphans.Settings", TEST_WAIT="0").ready()  # fmt: skip
    orphanage.wait_started(queue.put("stubborn", 30))
    assert orphanage.stop() == ExitCode.INTERRUPTED


def test_a_second_supervisor_in_the_container_is_refused(container: Container) -> None:
    container.boot("--procs", "1").ready()
    second = container.supervise("app.Settings", "--procs", "1", "--control", str(container.control))
    assert second.returncode == ExitCode.TAKEN
    assert len(second.stderr.splitlines()) == 1
    assert container.stop() == 0


# --- the health check -----------------------------------------------------------------------------------------


def healthy(container: Container) -> int:
    """The exit code of the image's health check."""
    check = ("--check", "--local", "--name", "app.Settings", "--control", str(container.control))
    return container.supervise(*check).returncode


def test_the_health_check_beside_pid_1(container: Container, redis_client: redis.Redis) -> None:
    container.boot("--procs", "2").ready()
    assert healthy(container) == 0
    container.kill(container.workers()[0])
    assert healthy(container) == 0  # one of two is enough
    container.wait_event("child.ready", n=3, role="worker")
    os.kill(container.first, signal.SIGSTOP)
    assert healthy(container) == 3  # nobody answers
    os.kill(container.first, signal.SIGCONT)
    wait_until(lambda: healthy(container) == 0, what="healthy again")
    assert container.stop() == 0


def test_no_worker_is_not_healthy(container: Container) -> None:
    container.boot("--procs", "1", TEST_PORT=NOBODY)
    container.wait_event("tempfail")
    assert healthy(container) == 1
    assert container.stop() == 0


def test_a_control_directory_where_everybody_may_write(container: Container) -> None:
    """An emptyDir of Kubernetes is 0777 and not sticky: the socket lies in a directory of our own below it."""
    runtime = container.directory / "run"
    runtime.mkdir()
    runtime.chmod(0o2777)
    container.start("--control", "", "--procs", "1", command=container.command, XDG_RUNTIME_DIR=str(runtime))
    container.ready()
    assert not container.events("control.unavailable")
    assert (runtime / "arq-supervise" / "app.Settings.sock").is_socket()
    assert subprocess.run(["stat", "-c", "%a", runtime / "arq-supervise"],
                          capture_output=True, text=True, check=True).stdout.strip() in ("700", "2700")  # fmt: skip
    assert container.stop() == 0
