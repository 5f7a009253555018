"""The Dockerfile's steps, carried out on this host, and what the image then does under Docker and Kubernetes."""

import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from supervisor.exit_codes import ExitCode
from tests.deploy.container import Container, container_in
from tests.deploy.dockerfile import Builder, Stage, beside, environ_of, inside, why_not
from tests.deploy.manifests import COMPOSE, DOCKERFILE, IMAGE_COMMAND, POD, health_command
from tests.supervisor.harness import MARK, ROOT, Queue
from tests.support.eventually import wait_until
from tests.support.servers import RedisServer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),  # the first test builds the image
    pytest.mark.processes,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "-"),
]

NAMESPACES = ("--pid", "--fork", "--kill-child", "--mount-proc")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """The last stage of the Dockerfile."""
    return Builder(DOCKERFILE, ROOT, tmp_path_factory.mktemp("image")).image


class Shop(Container):
    """A container of the image: files read-only but for /tmp, the image's user, no privileges."""

    image: Stage

    @property
    def environ(self) -> dict[str, str]:
        more = {"REDIS_DSN": f"redis://127.0.0.1:{self.port}", MARK: self.mark}
        return environ_of(self.image) | more

    def up(self, *command: str) -> "Shop":
        """Start it; metrics are served at a port that is free here."""
        words = [word.replace("0.0.0.0:9090", "127.0.0.1:0") for word in command]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*inside(self.image, *NAMESPACES, sealed=True), *words],
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self

    def execute(self, *words: str) -> "subprocess.CompletedProcess[str]":
        command = [*beside(self.image, self.first), *words]
        return subprocess.run(
            command, env=self.environ, capture_output=True, text=True, check=False, timeout=90
        )


@pytest.fixture
def shop(
    image: Stage, tmp_path: Path, redis_server: RedisServer, redis_client: redis.Redis
) -> Iterator[Shop]:
    with container_in(tmp_path, redis_server.port, Shop) as one:
        one.image = image
        yield one


def test_the_image_holds_the_application_and_its_environment(image: Stage) -> None:
    assert sorted(path.name for path in image.host("/srv").iterdir()) == ["app"]
    assert sorted(path.name for path in image.host(".").iterdir()) == [".venv", "shop.py"]


def test_a_life_under_docker(shop: Shop, queue: Queue) -> None:
    shop.up(*IMAGE_COMMAND, "--procs", "2").ready()
    assert set(psutil.Process(shop.first).uids()) == {10001}
    assert not shop.events("control.unavailable")
    outcome = shop.execute(*health_command())
    assert outcome.returncode == 0, outcome.stderr
    assert "2/2 ready" in shop.execute("arq-supervise", "--ctl", "status", "--name", "shop").stdout
    producer = COMPOSE["services"]["producer"]
    made = shop.execute(*producer["entrypoint"], *producer["command"])
    assert made.stdout == "100 orders\n", made.stderr
    assert queue.result("charge:99") == "order 99 charged"
    assert queue.tries("charge:99") == 2
    running = queue.put("pack", 100, 1.0)
    wait_until(lambda: f"{running}:pack(" in shop.text(), what="the job runs")
    shop.signal(stop_signal(shop.image))
    assert shop.wait() == ExitCode.OK
    assert queue.result(running) == "order 100 packed"
    assert queue.tries(running) == 1


def stop_signal(image: Stage) -> int:
    return signal.Signals[image.settings["STOPSIGNAL"].rest]


def test_a_life_under_kubernetes(shop: Shop, queue: Queue) -> None:
    worker = POD["containers"][0]
    shop.up("arq-supervise", *worker["args"]).ready()
    address = shop.wait_event("metrics.listening")["address"]
    outcome = shop.execute(*worker["startupProbe"]["exec"]["command"])
    assert outcome.returncode == 0, outcome.stderr
    wait_until(lambda: all(probe(address, worker[f"{name}Probe"]) for name in ("liveness", "readiness")))
    assert queue.result(queue.put("pack", 1)) == "order 1 packed"
    os.kill(shop.first, signal.SIGTERM)
    assert shop.wait() == ExitCode.OK


def probe(address: str, about: dict[str, Any]) -> bool:
    """What the kubelet does for an httpGet."""
    try:
        with urllib.request.urlopen(f"http://{address}{about['httpGet']['path']}", timeout=5) as answer:
            return int(answer.status) < 400
    except OSError:
        return False


@pytest.mark.parametrize("words", [("--procs", "0"), ("shop.Nothing",)])
def test_a_mistake_ends_the_container_with_one_line(shop: Shop, words: tuple[str, ...]) -> None:
    shop.up("arq-supervise", *(() if "." in words[0] else ("shop.Settings",)), *words)
    code = ExitCode.SETTINGS if "." in words[0] else ExitCode.USAGE
    assert shop.wait() == code
    assert [line for line in shop.text().splitlines() if line.startswith("arq-supervise: ")]
