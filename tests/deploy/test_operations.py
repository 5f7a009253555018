"""docs/operations.md says what the code does."""

import ast
import re
import shlex
import signal

import pytest

from arq._redis.worker_connection import REPLY_TIMEOUT_S
from supervisor.cli import cli
from supervisor.commands.check import LIMIT_S
from supervisor.exit_codes import MEANINGS, ExitCode
from supervisor.options import Options
from supervisor.pool.events import Dump, Quiet, Ready, Reload, Report, Scale, Stop
from supervisor.pool.hang import STALL_S
from supervisor.pool.shutdown import budget_s
from supervisor.process.signals import MEANINGS as SIGNAL_MEANINGS
from supervisor.process.signals import PARENT_SIGNALS, event_of
from tests.deploy.dockerfile import ROOT
from tests.deploy.manifests import SPARE_S, documents
from tests.deploy.metrics import complaints, existing
from tests.supervisor.unit.pool.play import Play, booted
from tests.support.source import modules

PAGE = (ROOT / "docs" / "operations.md").read_text()
#: and those that it leads to
PAGES = [ROOT / "docs/reference/log-events.md", *sorted((ROOT / "docs/how-to").glob("*.md"))]
COMPLETION_WAIT_S = 30


def section(title: str) -> str:
    """The text under a heading."""
    (found,) = re.findall(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def table(text: str) -> list[list[str]]:
    """The cells of each row of the table in this text."""
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows[1:]]


def codes(text: str) -> list[str]:
    """What stands between backticks, outside of blocks."""
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return [code.replace(r"\|", "|") for code in re.findall(r"`([^`]+)`", prose)]


# --- signals --------------------------------------------------------------------------------------------------

MEANING = {
    "graceful stop": Stop, "cancel": Stop, "rolling reload": Reload, "one process": Scale, "quiet": Quiet,
    "stacks": Dump,
}  # fmt: skip


def rows_of_signals() -> list[tuple[str, str, str]]:
    return [(name, row[1], row[2]) for row in table(section("Signals")) for name in row[0].split(", ")]


def test_every_signal_is_in_the_table() -> None:
    named = {signal.Signals[f"SIG{name}"] for name, _, _ in rows_of_signals()}
    assert named == set(PARENT_SIGNALS) - {signal.SIGCHLD}
    texts = {
        signal.Signals[f"SIG{name}"]: (running, stopping) for name, running, stopping in rows_of_signals()
    }
    assert texts == SIGNAL_MEANINGS


@pytest.mark.parametrize(("name", "running", "stopping"), rows_of_signals())
def test_signals_do_what_the_table_says(name: str, running: str, stopping: str) -> None:
    event = event_of(signal.Signals[f"SIG{name}"])
    (meaning,) = (kind for start, kind in MEANING.items() if running.startswith(start))
    assert event is not None
    assert isinstance(event, meaning)
    if isinstance(event, Stop):
        assert event.hard == running.startswith("cancel running jobs now")
    play = booted().feed(Stop("SIGTERM")).pass_time(1.0)
    worker = play.workers()[0]
    before = play.signals_to(worker)
    assert before == ["TERM"]
    play.feed(event)
    match stopping:
        case "ignored":
            assert play.said("ignored")
            assert play.signals_to(worker) == before
        case "the same":
            assert play.signals_to(worker) == ["TERM", "USR1"]
        case _:
            assert stopping.endswith("next stage")
            assert play.signals_to(worker) == ["TERM", "QUIT"]


def test_a_signal_that_follows_at_once_is_the_same_request() -> None:
    play = booted().feed(Stop("SIGTERM")).pass_time(0.3).feed(Stop("SIGTERM"))
    assert play.signals_to(play.workers()[0]) == ["TERM"]


# --- exit codes -----------------------------------------------------------------------------------------------


def test_every_exit_code_is_in_the_table() -> None:
    assert table(section("Exit codes")) == [[str(int(code)), *MEANINGS[code]] for code in ExitCode]


def test_the_units_do_not_restart_what_the_table_says_is_useless() -> None:
    useless = [row[0] for row in table(section("Exit codes")) if row[2] == "no"]
    for unit in ("arq-supervise.service", "arq-supervise@.service"):
        text = (ROOT / "systemd" / unit).read_text()
        assert re.findall(r"^RestartPreventExitStatus=(.*)$", text, re.MULTILINE) == [" ".join(useless)]


# --- the time budget ------------------------------------------------------------------------------------------


def test_the_worked_example_is_what_happens() -> None:
    play = Play(Options("app.Settings", procs=1))
    (worker,) = play.workers()
    play.feed(Ready(worker, Report(completion_wait_s=COMPLETION_WAIT_S)))
    budget = budget_s(play.machine.pool)
    began_s = play.now
    play.feed(Stop("SIGTERM"))
    seen = {0: "TERM"}
    while "KILL" not in seen.values():
        play.pass_time(1.0, beating=False)
        for name in play.signals_to(worker)[len(seen) :]:
            seen[round(play.now - began_s)] = name
    seen[COMPLETION_WAIT_S] = "each worker cancels"
    seen[round(budget + SPARE_S)] = "the service manager"
    rows = {int(row[0].removesuffix(" s")): row[1] for row in table(section("The time budget of a stop"))}
    assert rows.keys() == seen.keys()
    for at_s, what in seen.items():
        assert rows[at_s].startswith(what), at_s
    assert f"With `job_completion_wait = {COMPLETION_WAIT_S}`" in section("The time budget of a stop")
    assert rows[round(budget)].endswith("This is the stop budget")


def test_other_numbers_on_the_page() -> None:
    assert f"a check takes {LIMIT_S:g} s at most" in PAGE
    assert f"one that hangs after {REPLY_TIMEOUT_S:g} s" in PAGE
    assert f"has its stack after {STALL_S:g} s" in PAGE


# --- commands, events, metrics --------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [code for code in codes(PAGE) if code.startswith("arq-supervise ")])
def test_commands_can_be_given(command: str) -> None:
    words = shlex.split(command)[1:]
    cli.make_context("arq-supervise", [word.replace("HOST:PORT", "127.0.0.1:9090") for word in words])


def test_options_exist() -> None:
    known = {option for parameter in cli.params for option in (*parameter.opts, *parameter.secondary_opts)}
    named = {word for code in codes(PAGE) for word in code.split() if re.fullmatch(r"--[a-z-]+", word)}
    named |= set(re.findall(r"--[a-z][a-z-]+", section("The time budget of a stop")))
    assert len(named) >= 15
    assert named - {"--init"} <= known


def said_in_the_source() -> set[str]:
    """Names of events: texts of the form `word.word` that stand alone in the supervisor's source."""
    return {
        node.value
        for module in modules("supervisor")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if re.fullmatch(r"[a-z]+\.[a-z_]+", node.value)
    }


def test_events_exist() -> None:
    kinds = "supervisor|pool|child|jobs|lease|redis|metrics|stop|intensity|reload|hang|fork"
    text = "\n".join([PAGE, *(path.read_text() for path in PAGES)])
    named = set(re.findall(rf"`((?:{kinds})\.[a-z_]+)`", text))
    assert len(named) >= 12
    assert named <= said_in_the_source()


def test_metrics_exist() -> None:
    named = set(re.findall(r"\barq_[a-z_]+", PAGE))
    assert len(named) >= 8
    assert named <= existing().keys()


def test_alerts_are_those_of_the_example() -> None:
    (rules,) = documents("alerts.yaml")
    there = {rule["alert"]: " ".join(rule["expr"].split()) for rule in rules["groups"][0]["rules"]}
    here = {row[0]: " ".join(codes(row[1])) for row in table(section("What to alert on"))}
    assert here == there
    for expression in here.values():
        assert complaints(expression) == []


def test_links_lead_somewhere() -> None:
    targets = [target.partition("#") for target in re.findall(r"\]\(([^)]+)\)", PAGE)]
    assert targets
    for path, _, _ in targets:
        assert (ROOT / "docs" / path).exists(), path
    readme = (ROOT / "examples" / "deploy" / "README.md").read_text()
    for anchor in re.findall(r"operations\.md#([a-z-]+)", readme):
        assert anchor in {
            re.sub(r"[^a-z]+", "-", title.lower()) for title in re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
        }
