"""The command for one job is the same, byte for byte, as the one for many."""

import math

import pytest
from hiredis import pack_command

from arq._redis.key_prefix import ClusterPrefix, under
from arq._redis.scripts import NewJob, enqueue
from arq._redis.single_enqueue import has_usual_terms, packed

JOBS = [
    NewJob("id", b"payload", "", None, ""),
    NewJob("schlüssel:ü ", b"$0\r\n\r\n$0\r\n\r\n", "", None, ""),
    NewJob("x" * 70_000, bytes(range(256)) * 4000, "", None, ""),
    NewJob("", b"", "", None, ""),
]


@pytest.mark.parametrize("prefix", ["", "shop:", "präfix:"])
@pytest.mark.parametrize("expires_extra_ms", [86_400_000, 1.5, math.inf, None])
@pytest.mark.parametrize("queue_name", ["arq:queue", "ö $0\r\n"])
def test_the_same_bytes(queue_name: str, expires_extra_ms: float | None, prefix: str) -> None:
    for job in JOBS:
        command = enqueue(queue_name, [job], expires_extra_ms).by_sha()
        whole = pack_command(under(prefix, command) if prefix else command)
        assert packed(queue_name, prefix, expires_extra_ms, job) == whole


@pytest.mark.parametrize(
    "job",
    [
        NewJob("id", b"p", "+1000", None, ""),
        NewJob("id", b"p", "", 1000, ""),
        NewJob("id", b"p", "", 0, ""),
        NewJob("id", b"p", "", None, "1000 0 - "),
    ],
)
def test_jobs_with_terms_of_their_own(job: NewJob) -> None:
    assert not has_usual_terms(job, "")


def test_clusters_name_more_keys() -> None:
    assert has_usual_terms(JOBS[0], "shop:")
    assert not has_usual_terms(JOBS[0], ClusterPrefix("{shop}:"))
