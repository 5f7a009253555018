"""What `help` says of what applications use most: every argument, with its default, and what is raised."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from click.testing import CliRunner

import arq
import arq.connections
from arq.cli import _PAGES, cli
from arq.worker import Worker
from tests.support.programs import ROOT

PUBLIC: list[Any] = [
    arq.Worker,
    arq.func,
    arq.cron,
    arq.Backoff,
    arq.Snooze,
    arq.create_pool,
    arq.connections.RedisSettings,
    arq.connections.ArqRedis.enqueue_job,
]
#: Whether they were left out is seen where they are given: None says something else.
TOLD_APART = {"timeout"}


def entries(documented: Any) -> dict[str, str]:
    """What a docstring says of each argument."""
    text = inspect.getdoc(documented) or ""
    found = re.search(r"^(?:Args|Attributes):\n(.*?)(?=^\w|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    said = re.split(r"^    (?=\w+:)", found[1], flags=re.MULTILINE)[1:]
    return {name: " ".join(rest.split()) for name, _, rest in (one.partition(":") for one in said)}


@pytest.mark.parametrize("documented", PUBLIC, ids=lambda one: one.__qualname__)
def test_help_lists_every_argument_with_its_default(documented: Any) -> None:
    said = entries(documented)
    parameters = inspect.signature(documented).parameters
    assert list(said) == [name for name in parameters if name != "self"]
    for name, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty:
            continue
        default = "left out" if name in TOLD_APART else _shown(parameter.default)
        assert f"Default: {default}" in said[name], name


def _shown(default: Any) -> str:
    return "none" if default == () else repr(default)


@pytest.mark.parametrize("documented", PUBLIC, ids=lambda one: one.__qualname__)
def test_help_says_what_is_raised(documented: Any) -> None:
    assert re.search(r"^Raises:\n    \w", inspect.getdoc(documented) or "", re.MULTILINE)


def test_a_worker_shows_the_arguments_of_its_options() -> None:
    parameters = inspect.signature(Worker).parameters
    assert list(parameters)[:2] == ["functions", "queue_name"]
    kinds = {one.kind for one in parameters.values()}
    assert kinds == {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    assert inspect.signature(Worker.__init__).parameters.keys() == {"self", *parameters}


def test_help_of_a_worker_says_what_its_attributes_are() -> None:
    assert inspect.getdoc(vars(Worker)["jobs_complete"]) == "How many jobs have returned."


def test_the_command_names_pages_of_the_manual() -> None:
    assert all((ROOT / page).is_file() for page in _PAGES)
    assert all(page in CliRunner().invoke(cli, ["--help"]).output for page in _PAGES)
