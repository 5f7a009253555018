"""Clusters of Redis and of Valkey, which `make test-cluster` needs a minute for; `make test` leaves them out."""

from collections.abc import AsyncIterator, Iterator

import pytest

from arq.connections import ArqRedis, create_pool
from tests.support import leaks
from tests.support.clusters import Cluster, running_cluster
from tests.support.servers import debian_binary, wheel_binary

BINARIES = {"redis": debian_binary, "valkey": wheel_binary}


@pytest.fixture(scope="module", params=BINARIES)
def one_cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    with running_cluster(binary=BINARIES[request.param]()) as cluster:
        yield cluster


@pytest.fixture
def cluster(one_cluster: Cluster) -> Iterator[Cluster]:
    """Three primaries and three replicas, all there, without keys; which is which may be any."""
    one_cluster.restore()
    yield one_cluster
    one_cluster.restore()


@pytest.fixture
async def pool(cluster: Cluster) -> AsyncIterator[ArqRedis]:
    made = await create_pool(cluster.settings())
    yield made
    await made.aclose()


@pytest.fixture(autouse=True)
def nothing_left_running(one_cluster: Cluster) -> Iterator[None]:
    """The same for tests that kill and start nodes of the cluster."""
    children, files = leaks.child_pids(), leaks.open_files()
    yield
    nodes = {server.pid for server in one_cluster.servers if server.is_running}
    survivors = leaks.leftover_children(children | nodes)
    assert not survivors, f"processes left behind: {survivors}"
    leaked = leaks.files_left_open(files)
    assert not leaked, f"files left open: {leaked}"
