"""One booted system for all tests of this folder, which `make test-systemd` runs and `make test` leaves out."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.systemd import tree
from tests.systemd.machine import CannotBootError, Machine, why_not
from tests.systemd.pools import Pool, install_units

FOLDER = Path(__file__).parent
LIMIT_S = 900  # the first test waits until the system is made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.timeout(LIMIT_S))


@pytest.fixture(autouse=True)
def nothing_left_running() -> None:
    """Takes the place of the check for all other tests: what runs in the booted system is no child of a test."""


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """A booted Debian with Redis, the installed wheel, and the units as they are in systemd/."""
    if reason := why_not():
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("machine")
    try:
        base = tree.prepared_tree()
    except tree.CannotMakeTreeError as error:
        pytest.skip(str(error))
    root = tree.copy_of(base, folder)
    try:
        tree.install(root)
        install_units(root)
        with booted(root, folder / "console.log") as one:
            one.run("systemd-sysusers")
            yield one
    finally:
        tree.remove(root)


@contextmanager
def booted(root: Path, log: Path) -> Iterator[Machine]:
    try:
        machine = Machine(root, log)
    except CannotBootError as error:
        pytest.skip(str(error))
    try:
        yield machine
    finally:
        machine.close()


@pytest.fixture
def pool(machine: Machine, request: pytest.FixtureRequest) -> Iterator[Pool]:
    """`arq-supervise@NAME` with an application and a queue of its own, not started yet. Stopped after the test."""
    name = request.node.name.removeprefix("test_").replace("_", "-")[:40].rstrip("-[]")
    with Pool(machine, name) as one:
        yield one
