"""A cluster whose nodes talk TLS, also to each other, and ask everybody for a certificate."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from arq.connections import RedisSettings, create_pool
from tests.arq.redis.harness import CONNECT_S
from tests.arq.redis.operators import run_command
from tests.cluster.steps import hand_over, works
from tests.support.clusters import Cluster, running_cluster
from tests.support.servers import HOST, free_port
from tests.support.tls import Certificates, binary_with_tls, make_certificates, tls_words

pytestmark = pytest.mark.skipif(binary_with_tls() is None, reason="no server that was built with TLS")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def one_cluster(certificates: Certificates) -> Iterator[Cluster]:
    """All nodes talk TLS, also to each other, and ask everybody for a certificate."""

    def arguments() -> tuple[str, ...]:
        words = tls_words(certificates, free_port(), clients_need_one=True)
        return (*words, "--tls-cluster", "yes", "--tls-replication", "yes")

    with running_cluster(binary=binary_with_tls(), arguments=arguments) as cluster:
        yield cluster


def with_tls(cluster: Cluster, certificates: Certificates, **options: Any) -> RedisSettings:
    ports = [int(server.arguments[server.arguments.index("--tls-port") + 1]) for server in cluster.servers]
    nodes = ",".join(f"{HOST}:{port}" for port in (ports[0], ports[-1]))
    settings = RedisSettings.from_dsn(f"rediss+cluster://someone:s3cret@{nodes}?key_prefix={{app}}:")
    paths = {
        "ssl_ca_certs": certificates.authority,
        "ssl_certfile": certificates.client,
        "ssl_keyfile": certificates.client,
    }
    for name, value in {**paths, "conn_retries": 0, "conn_timeout": CONNECT_S, **options}.items():
        setattr(settings, name, str(value) if isinstance(value, Path) else value)
    settings.ssl_check_hostname = True
    return settings


async def test_tls_with_certificates_and_a_user_of_ones_own(
    cluster: Cluster, certificates: Certificates
) -> None:
    line = run_command("acl", "--redis", f"redis+cluster://someone:s3cret@{HOST}?key_prefix={{app}}:").out
    for server in cluster.servers:
        cluster.ask(server, *line.split())
        cluster.ask(server, "ACL", "SETUSER", "default", "reset", "on", "nopass", "~*", "+@all", "&*")
    settings = with_tls(cluster, certificates)
    pool = await create_pool(settings)
    await works(pool, settings)
    await hand_over(cluster)  # MOVED names the port for TLS
    await works(pool, settings)
    await pool.aclose()
    assert not [
        cluster.ask(server, "ACL", "LOG") for server in cluster.servers if cluster.ask(server, "ACL", "LOG")
    ]


@pytest.mark.parametrize("wrong", ["foreign authority", "no certificate"])
async def test_tls_that_fails(cluster: Cluster, certificates: Certificates, wrong: str) -> None:
    options: dict[str, Any] = {"ssl_ca_certs": certificates.foreign}
    if wrong == "no certificate":
        options = {"ssl_certfile": None, "ssl_keyfile": None}
    with pytest.raises(RedisConnectionError, match="^no node of the cluster serves the keys [^\n]*$"):
        await create_pool(with_tls(cluster, certificates, **options))
