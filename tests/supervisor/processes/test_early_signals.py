"""Signals that come while the command is still importing."""

import os

import pytest

from tests.supervisor.harness import Pool
from tests.support.eventually import wait_until

pytestmark = pytest.mark.processes

# does something when the supervisor's modules are about to be imported
WHILE_IMPORTING = """import os, signal, sys, time
from _arq_supervise import main

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "supervisor.cli":
            {action}

sys.meta_path.insert(0, Finder())
main()
"""


def _script(pool: Pool, action: str) -> str:
    (pool.directory / "early.py").write_text(WHILE_IMPORTING.format(action=action))
    return "early.py"


@pytest.mark.parametrize("name", ["SIGHUP", "SIGUSR1", "SIGUSR2"])
def test_what_is_no_stop_does_not_end_or_halt_the_pool(pool: Pool, name: str) -> None:
    script = _script(pool, f"os.kill(os.getpid(), signal.{name})")
    pool.start("--procs", "2", script=script).wait_event("child.ready", role="worker")
    assert not pool.events("reload.requested")  # what is imported afterwards is the newest code
    assert pool.stop() == 0


def test_a_worker_more_is_there_once_the_pool_is(pool: Pool) -> None:
    pool.start("--procs", "1", script=_script(pool, "os.kill(os.getpid(), signal.SIGTTIN)"))
    pool.wait_event("child.ready", n=2, role="worker")
    assert pool.stop() == 0


def test_a_stop_is_a_clean_end(pool: Pool) -> None:
    pool.start("--procs", "1", script=_script(pool, "os.kill(os.getpid(), signal.SIGTERM)"))
    assert pool.wait() == 0
    assert not pool.text()


def test_so_is_the_end_of_its_terminal(pool: Pool) -> None:
    action = "open('importing', 'w').close()\n            while True: signal.pause()"
    pool.start("--procs", "1", on_terminal=True, script=_script(pool, action))
    wait_until((pool.directory / "importing").exists, what="it imports")
    assert pool.terminal is not None
    os.close(pool.terminal)
    pool.terminal = None
    assert pool.wait() == 0


def test_under_nohup_it_goes_on_without_its_terminal(pool: Pool) -> None:
    script = _script(pool, "assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN")
    pool.start("--procs", "1", script=script, command=("nohup",))
    pool.wait_event("signal.ignored")
    assert pool.stop() == 0
