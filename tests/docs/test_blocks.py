"""Every block of code on a page is run as it stands there, or says why not. What is shown as output is compared.

A page is one story: its blocks are run one after the other in an empty folder, on an empty server. A comment above a
block says what is not plain:

    <!-- terminal: NAME -->      commands of another terminal; the last one does not end, and is waited for until it has
                                 printed what is shown. `$ ^C` ends it. Text: what that terminal shows by now.
    <!-- file: NAME -->          the block is this file; so is one whose first line is `# NAME`.
    <!-- not run: REASON -->
    <!-- run by: TEST -->
"""

import configparser
import json
import shutil
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
import yaml

from tests.docs.blocks import FILES, Block, Command, blocks_of, indented_blocks
from tests.docs.prepared import PREPARED
from tests.docs.terminals import Terminal, environment_in
from tests.support.programs import ROOT
from tests.support.servers import RedisServer, free_port

pytestmark = [pytest.mark.processes, pytest.mark.keeps_keys("*")]

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "examples/deploy/README.md",
    *sorted(
        page for page in (ROOT / "docs").rglob("*.md") if page.parent.name not in ("decisions", "reference")
    ),
]
NAMES = {str(page.relative_to(ROOT)): page for page in PAGES}
RUN = {
    name: page for name, page in NAMES.items() if any(not block.is_for_others for block in blocks_of(page))
}


class Reader:
    """Somebody who does what a page says."""

    def __init__(self, directory: Path, environment: dict[str, str], rewritten: dict[str, str]) -> None:
        self._directory, self._environment, self._rewritten = directory, environment, rewritten
        self._terminals: dict[str, Terminal] = {}

    def follow(self, block: Block) -> None:
        """Do what one block says."""
        if block.language == "console":
            name = block.marks.get("terminal", "")
            commands = list(block.commands())
            assert commands, f"line {block.line}: no command begins with `$ `"
            for command in commands[:-1] if name else commands:
                self._do(name, command)
            if name:
                self._leave_running(name, commands[-1])
        elif block.language == "text":
            for line in block.text.splitlines():
                self._terminal(block.marks["terminal"]).shows(line)
        elif block.language in FILES:
            self._write(block)
        else:
            raise AssertionError(f"line {block.line}: what is {block.language!r}?")

    def close(self) -> None:
        """Leave."""
        for terminal in self._terminals.values():
            terminal.close()

    def _do(self, name: str, command: Command) -> None:
        self._terminal(name).run(command, self._seen())

    def _leave_running(self, name: str, command: Command) -> None:
        if command.line == "^C":
            self._terminal(name).interrupt(command)
        else:
            self._terminal(name).start(command, self._seen())

    def _seen(self) -> str:
        return "".join(terminal.output for terminal in self._terminals.values())

    def _terminal(self, name: str) -> Terminal:
        if name not in self._terminals:
            number = len(self._terminals)
            self._terminals[name] = Terminal(self._directory, self._environment, self._rewritten, number)
        return self._terminals[name]

    def _write(self, block: Block) -> None:
        text = block.text
        for word, instead in self._rewritten.items():
            text = text.replace(word, instead)
        check_syntax(block.language, text)
        name = block.file or f"block-{block.line}.py"
        target = self._directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        if not block.file and block.language == "python":
            self._do("", Command(f"python {name}", None))


def check_syntax(language: str, text: str) -> None:
    """Raise what a reader of this language raises."""
    match language:
        case "python":
            compile(text, "block", "exec")
        case "yaml":
            list(yaml.safe_load_all(text))
        case "toml":
            tomllib.loads(text)
        case "json":
            json.loads(text)
        case "ini":
            configparser.ConfigParser(strict=False, interpolation=None).read_string(text)


@pytest.fixture
def reader(
    request: pytest.FixtureRequest, redis_server: RedisServer, redis_client: redis.Redis
) -> Iterator[Reader]:
    directory = Path(tempfile.mkdtemp(prefix="arq-m-"))
    port = free_port()
    # pages take a server at its usual place for granted, unless they start one
    is_page_with_server = "--embedded-redis" in NAMES[request.node.callspec.params["name"]].read_text()
    usual = {} if is_page_with_server else {"ARQ_REDIS": redis_server.dsn}
    rewritten = {
        "redis://localhost:6379/0": redis_server.dsn,
        "redis://localhost:6379": redis_server.dsn,
        "redis://localhost": redis_server.dsn,
        "--port 8000": f"--port {port}",
        "127.0.0.1:8000": f"127.0.0.1:{port}",
        "127.0.0.1:9090": f"127.0.0.1:{free_port()}",
    }
    one = Reader(directory, environment_in(directory, usual), rewritten)
    yield one
    one.close()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.mark.parametrize("name", RUN)
def test_a_page_does_what_it_says(name: str, reader: Reader, redis_client: redis.Redis) -> None:
    if name in PREPARED:
        PREPARED[name](redis_client)
    for block in blocks_of(NAMES[name]):
        if not block.is_for_others:
            reader.follow(block)


@pytest.mark.parametrize("name", NAMES)
def test_blocks_that_are_not_run_here_say_why(name: str) -> None:
    assert indented_blocks(NAMES[name]) == [], "a fence can say what it is"
    for block in blocks_of(NAMES[name]):
        if test := block.marks.get("run by"):
            assert Path(name).name in (ROOT / test).read_text(), f"line {block.line}"
        elif "not run" in block.marks:
            assert len(block.marks["not run"]) > 10, f"line {block.line}"
