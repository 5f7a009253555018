"""One number, job_completion_wait, and everything that follows from it: the same in the code and in every manager."""

import os
import re
import subprocess
import sys

import pytest

from examples.deploy.shop import Settings
from supervisor.exit_codes import ExitCode
from tests.deploy.container import Container, why_not
from tests.deploy.dockerfile import ROOT
from tests.deploy.manifests import (
    COMPOSE,
    IMAGE_COMMAND,
    POD,
    SPARE_S,
    WORKER,
    options_of,
    stop_budget_s,
)

BUDGET_S = stop_budget_s(options_of(IMAGE_COMMAND[1:]), Settings.job_completion_wait)


def seconds(text: str) -> int:
    """`60s`, `1m30s` or `90` of a unit or of a compose file."""
    parts = re.fullmatch(r"(?:(\d+)m(?:in)?)?\s*(?:(\d+)s?)?", text)
    assert parts, text
    return 60 * int(parts[1] or 0) + int(parts[2] or 0)


def test_docker_and_kubernetes_wait_as_long_as_a_stop_may_take() -> None:
    assert seconds(COMPOSE["services"]["worker"]["stop_grace_period"]) == BUDGET_S + SPARE_S
    assert POD["terminationGracePeriodSeconds"] == BUDGET_S + SPARE_S
    hints = (COMPOSE["services"]["worker"]["environment"]["TIMEOUT_STOP_HINT"], WORKER["env"][0]["value"])
    assert [float(hint) for hint in hints] == [BUDGET_S + SPARE_S] * 2
    assert stop_budget_s(options_of(WORKER["args"]), Settings.job_completion_wait) == BUDGET_S


@pytest.mark.parametrize("more", [(), ("--template",)])
def test_systemd_waits_at_least_as_long(more: tuple[str, ...]) -> None:
    unit = subprocess.run(
        [sys.executable, "-m", "supervisor", "shop.Settings", "--name", "shop", "--print-unit", *more],
        cwd=ROOT / "examples" / "deploy",
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (given,) = re.findall(r"^TimeoutStopSec=(\S+)", unit, re.MULTILINE)
    assert seconds(given) >= BUDGET_S + SPARE_S


@pytest.mark.processes
@pytest.mark.skipif(bool(why_not()), reason=why_not() or "-")
def test_the_log_says_the_same_budget(container: Container) -> None:
    (container.directory / "shop.py").write_text((ROOT / "examples/deploy/shop.py").read_text())
    container.boot(
        "--procs", "1", settings="shop.Settings", REDIS_DSN=f"redis://127.0.0.1:{container.port}"
    ).ready()
    assert container.events("pool.ready")[0]["stop_budget_s"] == BUDGET_S
    assert container.stop() == ExitCode.OK
    assert container.events("stop.start")[0]["budget_s"] == BUDGET_S
