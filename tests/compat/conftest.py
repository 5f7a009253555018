"""Fixtures of the compatibility tests: the original beside ours, on a server that no other test flushes."""

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.compat.harness import (
    NO_INTEROP_VARIABLE,
    Implementation,
    NoEnvironmentError,
    Place,
    Worker,
    original,
    ours,
    running,
)
from tests.support.servers import RedisServer, running_server


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests marked `interop` out where the user says that no package index can be reached."""
    if os.environ.get(NO_INTEROP_VARIABLE) != "1":
        return
    without = [item for item in items if item.get_closest_marker("interop")]
    config.hook.pytest_deselected(items=without)
    items[:] = [item for item in items if item not in without]


@pytest.fixture(scope="session")
def implementations() -> dict[str, Implementation]:
    """Both, by name. Installs the original on first use.

    With ARQ_TEST_INTEROP_CONTROL=1 the original plays both parts: what fails then is wrong with the test.
    """
    try:
        first = original()
        control = os.environ.get("ARQ_TEST_INTEROP_CONTROL") == "1"
        return {"ours": replace(first, name="ours") if control else ours(), "original": first}
    except NoEnvironmentError as exc:
        pytest.fail(str(exc), pytrace=False)


@pytest.fixture(scope="session")
def compat_server() -> Iterator[RedisServer]:
    """A server of their own: worker processes outlive a test and must not lose their keys."""
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the worker processes write."""
    return tmp_path_factory.mktemp("logs")


@pytest.fixture
def place(compat_server: RedisServer) -> Iterator[Place]:
    """An empty queue of its own, on a server that knows no id: some stand in several tests."""
    place = Place(compat_server.dsn, f"q:{uuid.uuid4().hex[:8]}")
    place.redis.flushdb()
    yield place
    place.redis.close()


@pytest.fixture
def fleet(
    implementations: dict[str, Implementation], place: Place, logs: Path
) -> Iterator[Callable[..., list[Worker]]]:
    """Start any number of workers by implementation; all are ended after the test."""
    with ExitStack() as stack:

        def start(*names: str, **settings: object) -> list[Worker]:
            return [
                stack.enter_context(running(implementations[name], place, logs, **settings)) for name in names
            ]

        yield start
