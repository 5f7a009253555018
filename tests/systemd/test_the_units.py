"""The unit files themselves: systemd's own checks, several pools, units printed by the command, ordinary Python."""

import re

import pytest

from tests.support.eventually import wait_until
from tests.systemd.machine import Machine
from tests.systemd.pools import SYSTEM, UNITS, Pool
from tests.systemd.tree import APP, VENV

COMMAND = f"/{VENV}/bin/arq-supervise"
MOST_EXPOSED = 15  # tenths


@pytest.mark.parametrize("unit", [*UNITS, "arq-supervise@shop.service"])
def test_systemd_finds_nothing_to_complain_about(machine: Machine, unit: str) -> None:
    done = machine.run("systemd-analyze", "verify", unit)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize("unit", ["arq-supervise.service", "arq-supervise@shop.service"])
def test_the_exposure_is_small(machine: Machine, unit: str) -> None:
    done = machine.run(
        "systemd-analyze", "security", "--no-pager", f"--threshold={MOST_EXPOSED}", unit, check=False
    )
    (level,) = re.findall(r"exposure level for \S+: ([0-9.]+)", done.stdout)
    assert float(level) * 10 <= MOST_EXPOSED, done.stdout
    assert done.returncode == 0


def test_what_ordinary_applications_do_works(pool: Pool) -> None:
    pool.start()
    assert pool.queue.call("ordinary") == []


def test_two_instances_live_side_by_side(machine: Machine) -> None:
    with Pool(machine, "left") as left, Pool(machine, "right") as right:
        left.start()
        right.start()
        assert not left.pids() & right.pids()
        right.write_code(version=2)
        right.systemctl("reload")
        left.systemctl("stop")
        assert right.state == ("active", "running")
        assert right.queue.call("version") == "2"
        right.systemctl("reload")  # its socket is still there
        left.start()
        assert left.queue.call("version") == "1"


def test_the_target_stops_all_pools_and_starts_those_that_are_enabled(machine: Machine) -> None:
    with Pool(machine, "north") as north, Pool(machine, "south") as south:
        machine.run("systemctl", "enable", "arq-supervise.target", north.unit, south.unit)
        machine.run("systemctl", "start", "arq-supervise.target")
        both = (north, south)
        wait_until(lambda: {one.state for one in both} == {("active", "running")}, 30, "both run")
        machine.run("systemctl", "stop", "arq-supervise.target")
        wait_until(lambda: {one.state for one in both} == {("inactive", "dead")}, 30, "both have stopped")
        machine.run("systemctl", "disable", "arq-supervise.target", north.unit, south.unit)


def test_the_unit_for_one_pool_and_an_instance_do_not_meet(machine: Machine) -> None:
    """As it lies in systemd/: app.worker.Settings, named app."""
    machine.write(f"/{APP}/app/__init__.py", "")
    machine.write(f"/{APP}/app/worker.py", "from single import Settings\n")
    with Pool(machine, "single", "arq-supervise.service") as single, Pool(machine, "beside") as beside:
        single.start()
        beside.start()
        assert "pool app " in control(machine, "app", "status")
        assert "pool beside " in control(machine, "beside", "status")
        assert "degraded" not in machine.run(COMMAND, "--name", "app", "--check", "--local").stdout.lower()
        single.systemctl("reload")
        single.systemctl("stop")
        assert beside.queue.call("version") == "1"
        beside.systemctl("reload")


def control(machine: Machine, name: str, *command: str) -> str:
    """As root, from anywhere."""
    return str(machine.run(COMMAND, "--name", name, "--ctl", *command).stdout)


@pytest.mark.parametrize("is_template", [False, True], ids=["one pool", "template"])
def test_a_printed_unit_can_be_started(machine: Machine, is_template: bool) -> None:
    """By the user who is to run it, from the application's directory, into a file."""
    name = "printed-many" if is_template else "printed"
    unit = f"{name}@.service" if is_template else f"{name}.service"
    asked = "--template" if is_template else f"{name}.Settings --name {name} --procs 2"
    with Pool(machine, name, unit.replace("@", f"@{name}")) as pool:
        command = f"cd /{APP} && {COMMAND} --print-unit {asked} > /tmp/{unit}"
        machine.run("setpriv", "--reuid=arq", "--regid=arq", "--clear-groups", "sh", "-c", command)
        machine.run("cp", f"/tmp/{unit}", f"/{SYSTEM}/{unit}")
        machine.run("systemctl", "daemon-reload")
        assert machine.run("systemd-analyze", "verify", unit).stderr == ""
        pool.start()
        assert pool.show("User") == "arq"
        assert pool.queue.call("version") == "1"
        # job_completion_wait is 20 s; a template does not know it
        assert pool.show("TimeoutStopUSec") == ("1min 30s" if is_template else "50s")
        pool.write_code(version=2)
        pool.systemctl("reload")
        assert pool.queue.call("version") == "2"
        pool.systemctl("stop")
        assert pool.show("Result") == "success"


def test_a_unit_is_not_printed_for_settings_that_can_not_be_used(machine: Machine) -> None:
    machine.write(f"/{APP}/unusable.py", "import nowhere\n")
    done = machine.run("sh", "-c", f"cd /{APP} && {COMMAND} --print-unit unusable.Settings", check=False)
    assert (done.returncode, done.stdout) == (4, "")
    (line,) = done.stderr.splitlines()[-1:]
    assert line.startswith("arq-supervise: cannot use 'unusable.Settings' (ModuleNotFoundError")


def test_a_supervisor_that_is_there_already_is_not_replaced(pool: Pool) -> None:
    """Another start for the same pool ends at once, and is not tried again."""
    pool.start()
    with Pool(pool.machine, pool.name, "second.service") as second:
        text = pool.machine.path(f"/{SYSTEM}/arq-supervise@.service").read_text().replace("%i", pool.name)
        socket = f"/run/arq-supervise/{pool.name}/{pool.name}.sock"
        text = re.sub(r"^RuntimeDirectory\w*=.*\n", "", text, flags=re.MULTILINE)
        text = text.replace("$ARQ_SUPERVISE_OPTS", f"--control {socket} --procs 1")
        pool.machine.write(f"/{SYSTEM}/second.service", text)
        pool.machine.run("systemctl", "daemon-reload")
        assert second.systemctl("start", check=False).returncode != 0
        assert (second.show("ExecMainStatus"), second.show("NRestarts")) == ("7", "0")
    assert pool.queue.call("version") == "1"
