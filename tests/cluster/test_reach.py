"""The ways to the nodes of a cluster: host names, and seeds that are gone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from arq.connections import RedisSettings, create_pool
from tests.cluster.steps import hand_over, works
from tests.support.clusters import Cluster
from tests.support.eventually import wait_until_async
from tests.support.servers import HOST, free_port


@pytest.fixture
def named(cluster: Cluster) -> Iterator[Cluster]:
    """Nodes are told by their names, as in Kubernetes."""
    changes = [
        ("cluster-announce-hostname", "localhost", ""),
        ("cluster-preferred-endpoint-type", "hostname", "ip"),
    ]
    for server in cluster.servers:
        for name, value, _ in changes:
            cluster.ask(server, "CONFIG", "SET", name, value)
    yield cluster
    for server in cluster.servers:
        for name, _, value in changes:
            cluster.ask(server, "CONFIG", "SET", name, value)


async def test_host_names(named: Cluster) -> None:
    settings = named.settings()
    pool = await create_pool(settings)
    await wait_until_async(lambda: named_nodes(named) == {"localhost"}, what="all know the names")
    await works(pool, settings)
    await hand_over(named)
    await works(pool, settings)
    await pool.aclose()


def named_nodes(cluster: Cluster) -> set[str]:
    slots = [row for server in cluster.servers for row in cluster.ask(server, "CLUSTER", "SLOTS")]
    return {node[0] for row in slots for node in row[2:]}


async def test_nodes_that_are_gone_stand_first(cluster: Cluster) -> None:
    nodes = [(HOST, free_port()), (HOST, free_port()), (HOST, cluster.servers[4].port)]
    settings = RedisSettings(nodes, cluster=True, key_prefix="{app}:", conn_retries=0)
    pool = await create_pool(settings)
    await works(pool, settings)
    await pool.aclose()
