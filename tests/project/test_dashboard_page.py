"""docs/how-to/dashboard.md says what there is: options, rights, files, and what stands in its code."""

import re

from arq._commands.web import web
from arq._web.access import ACTION_RIGHTS, SEE_ARGS
from arq._web.pages import PAGES
from supervisor.cli import cli as supervise
from tests.support.programs import ROOT

PAGE = (ROOT / "docs" / "how-to" / "dashboard.md").read_text()


def test_options_that_are_named_are_there() -> None:
    known = {name for command in (web, supervise) for one in command.params for name in one.opts}
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE))
    assert named
    assert not named - known


def test_rights_are_those_that_there_are() -> None:
    assert {*ACTION_RIGHTS, SEE_ARGS} <= set(re.findall(r"`(\w+)`", PAGE))


def test_addresses_for_programs_are_there() -> None:
    paths = {path for all_paths, _ in PAGES for path in all_paths}
    named = {path.partition("?")[0] for path in re.findall(r"`(/[\w/.?=]+\.json[\w?=]*)`", PAGE)}
    assert len(named) >= 4
    assert not {path.replace("ID", "{job_id:path}") for path in named} - paths


def test_examples_that_are_named_are_there() -> None:
    named = set(re.findall(r"`(examples/\w+\.py)`", PAGE))
    assert named == {f"examples/{path.name}" for path in (ROOT / "examples").glob("dashboard_*.py")}
