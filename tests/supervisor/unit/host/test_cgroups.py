"""What the control group says, in the old and the new form, on a host and in a container."""

from pathlib import Path

import pytest

from supervisor.host.cgroups import oom_kills
from supervisor.host.cpus import cpu_quota, usable_cpus

NEW = "0::/system.slice/pool.service\n"
OLD = "9:name=systemd:/x\n4:memory:/pools/one\n2:cpu,cpuacct:/pools/one\n0::/\n"


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where control groups are mounted."""
    (tmp_path / "cgroup").mkdir()
    return tmp_path / "cgroup"


def member(root: Path, text: str) -> Path:
    """What /proc/self/cgroup says."""
    put(root.parent / "membership", text)
    return root.parent / "membership"


def test_r81_the_quota_of_a_container(root: Path) -> None:
    nowhere = member(root, "")
    assert cpu_quota(root, nowhere) is None
    put(root / "cpu.max", "150000 100000\n")
    assert cpu_quota(root, nowhere) == 1.5
    assert usable_cpus(root, nowhere) <= 2
    put(root / "cpu.max", "25000 100000\n")
    assert usable_cpus(root, nowhere) == 1
    put(root / "cpu.max", "max 100000\n")
    assert cpu_quota(root, nowhere) is None


def test_r81_the_quota_of_a_service_and_of_its_slice(root: Path) -> None:
    where = member(root, NEW)
    put(root / "system.slice/pool.service/cpu.max", "max 100000\n")
    assert cpu_quota(root, where) is None
    put(root / "system.slice/cpu.max", "300000 100000\n")
    assert cpu_quota(root, where) == 3
    put(root / "system.slice/pool.service/cpu.max", "120000 100000\n")
    assert cpu_quota(root, where) == 1.2


def test_r81_the_quota_of_the_old_kind(root: Path) -> None:
    where = member(root, OLD)
    put(root / "cpu/pools/one/cpu.cfs_quota_us", "-1\n")
    put(root / "cpu/pools/one/cpu.cfs_period_us", "100000\n")
    assert cpu_quota(root, where) is None
    put(root / "cpu/pools/one/cpu.cfs_quota_us", "50000\n")
    assert cpu_quota(root, where) == 0.5


@pytest.mark.parametrize("text", ["", "nonsense\n", "1 0\n", "1 2 3\n"])
def test_a_quota_that_is_none(root: Path, text: str) -> None:
    put(root / "cpu.max", text)
    assert cpu_quota(root, member(root, "")) is None


def test_f28_processes_killed_for_memory(root: Path) -> None:
    assert oom_kills(root, root / "missing") is None
    put(root / "memory/pools/one/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n")
    assert oom_kills(root, member(root, OLD)) == 4
    put(root / "system.slice/pool.service/memory.events", "low 0\noom 2\noom_kill 1\noom_group_kill 0\n")
    assert oom_kills(root, member(root, NEW)) == 1
