"""What lies in examples/deploy, read."""

from typing import Any

import yaml

from supervisor.cli import cli, make_options
from supervisor.options import QUESTION, Options
from supervisor.pool.events import Forked, Ready, Report
from supervisor.pool.machine import Machine
from supervisor.pool.shutdown import budget_s
from supervisor.pool.stop_budget import MANAGER_MARGIN_S
from tests.deploy.dockerfile import ROOT, Instruction, read

FOLDER = ROOT / "examples" / "deploy"
DOCKERFILE = FOLDER / "Dockerfile"
# what a manager of any kind gives to a stop beyond the supervisor's own budget
SPARE_S = MANAGER_MARGIN_S


def documents(name: str) -> list[Any]:
    """The documents of a YAML file of this folder."""
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


def last(name: str) -> Instruction:
    """The instruction of this name that counts: the last one."""
    return [instruction for instruction in read(DOCKERFILE) if instruction.name == name][-1]


def health_command() -> list[str]:
    """The command of the image's HEALTHCHECK."""
    check = last("HEALTHCHECK")
    assert check.rest.startswith("CMD [")
    return Instruction("CMD", check.rest.removeprefix("CMD "), {}).words


COMPOSE = documents("compose.yaml")[0]
DEPLOYMENT, BUDGET = documents("kubernetes/deployment.yaml")
POD = DEPLOYMENT["spec"]["template"]["spec"]
WORKER = POD["containers"][0]
IMAGE_COMMAND = [*last("ENTRYPOINT").words, *last("CMD").words]


def options_of(arguments: list[str]) -> Options:
    """What `arq-supervise` makes of these arguments; leaves with its own message when it refuses them."""
    given = dict(cli.make_context("arq-supervise", list(arguments)).params)
    (settings,) = given.pop("words")
    for row in QUESTION:
        given.pop(row.name)
    return make_options(settings, given)


def stop_budget_s(options: Options, completion_wait_s: float) -> float:
    """The longest that a stop takes, as the supervisor works it out for workers that report this wait."""
    machine = Machine(options, lambda: 0.5)
    machine.start(0.0)
    (worker,) = machine.pool.workers()  # the first goes alone
    machine.handle(Forked(worker.key, 1000, f"{options.name}:host:0:00000000"), 0.0)
    machine.handle(Ready(worker.key, Report(completion_wait_s=completion_wait_s)), 0.0)
    return budget_s(machine.pool)
