"""Workers of an earlier state of this project and ours on one queue, killed at random: no job is lost or doubled."""

import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compat.earlier import REVISIONS, NoHistoryError, earlier
from tests.compat.harness import Client, Implementation, Place, Worker, connected, ours, own_database
from tests.support.eventually import wait_until
from tests.support.servers import RedisServer

pytestmark = [pytest.mark.processes, pytest.mark.slow, pytest.mark.timeout(300)]

JOBS, KILLS = 400, 12
REGISTERS = ("arq:workers", "arq:leases", "arq:members")


class Fleet:
    """Workers of both kinds that are killed and replaced.

    Args:
        kinds: what to start.
        place: their queue, in a database of its own.
        logs: where they write.
        chance: decides who is killed, and what replaces it.
    """

    def __init__(self, kinds: list[Implementation], place: Place, logs: Path, chance: random.Random) -> None:
        self.kinds, self.place, self.logs, self.chance = kinds, place, logs, chance
        self.running: list[Worker] = []
        self.killed: set[str] = set()

    def start(self, kind: Implementation) -> None:
        """One more."""
        max_jobs = self.chance.choice([3, 20])
        self.running.append(Worker(kind, self.place, self.logs, max_jobs=max_jobs, max_tries=1000))

    def kill_one(self) -> None:
        """SIGKILL; whoever looks for dead workers finds it at once, as it would half a minute later."""
        victim = self.running.pop(self.chance.randrange(len(self.running)))
        victim.kill()
        self.killed.add(victim.name)
        for register in REGISTERS:
            for member in self.place.redis.zrange(register, 0, -1):
                if f":{victim.process.pid}:" in str(member):
                    self.place.redis.zadd(register, {str(member): 1}, xx=True)
        self.start(self.chance.choice(self.kinds))

    def close(self) -> None:
        """End all."""
        for worker in self.running:
            worker.kill()


@pytest.fixture(params=REVISIONS)
def kinds(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Implementation]:
    """The earlier state, and this one."""
    try:
        return [earlier(request.param, tmp_path_factory.mktemp(request.param)), ours()]
    except NoHistoryError as exc:
        pytest.skip(str(exc))


@pytest.fixture
def place(compat_server: RedisServer) -> Iterator[Place]:
    """A database of its own: the registers of workers are the fleet's alone."""
    with own_database(compat_server, 7) as place:
        yield place
        place.redis.flushdb()


@pytest.mark.parametrize("seed", [1, 2])
def test_workers_of_both_are_killed_at_random(
    kinds: list[Implementation], place: Place, logs: Path, seed: int
) -> None:
    chance = random.Random(seed)
    fleet = Fleet(kinds, place, logs, chance)
    with connected(chance.choice(kinds), place) as client:
        try:
            for kind in kinds * 2:
                fleet.start(kind)
            _enqueue(client)
            for number in range(KILLS):
                _wait_for_runs(place, number * JOBS // KILLS // 2)
                fleet.kill_one()
            fleet.start(kinds[1])  # one that looks for dead workers of both kinds, and is not killed
            wait_until(lambda: place.queued() == 0, 120, "all are over")
        finally:
            fleet.close()
        assert _results(place) == JOBS
    _assert_only_the_killed_are_repeated(place, fleet.killed)


def _enqueue(client: Client) -> None:
    client.send("enqueue_many", function="nap", count=JOBS // 2, args=[0.02], prefix="short")
    client.send("enqueue_many", function="nap", count=JOBS // 2, args=[0.2], prefix="long")
    assert [client.receive().value for _ in range(2)] == [JOBS // 2] * 2


def _wait_for_runs(place: Place, count: int) -> None:
    wait_until(lambda: len(place.runs()) > count, 60, f"{count} runs have begun")


def _results(place: Place) -> int:
    return sum(1 for _ in place.redis.scan_iter("arq:result:*", count=1000))


def _assert_only_the_killed_are_repeated(place: Place, killed: set[str]) -> None:
    starts: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for job_id, job_try, worker, _what in place.runs():
        starts[job_id].append((job_try, worker))
    assert len(starts) == JOBS
    for job_id, tries in starts.items():
        assert all(worker in killed for _, worker in tries[:-1]), f"{job_id} ran twice: {tries}"
        numbers = [number for number, _ in tries]
        assert numbers == sorted(set(numbers)), f"{job_id}: a start was not counted: {tries}"
