"""Every host keeps these promises."""

import os
from pathlib import Path

import pytest

from trimtab.backends.host import LinuxHost
from trimtab.backends.memory import MemoryHost
from trimtab.domain.processes import HostStatus
from trimtab.ports.host import Host


@pytest.fixture(params=["memory", "linux"])
def host(request: pytest.FixtureRequest) -> Host:
    if request.param == "memory":
        return MemoryHost(HostStatus(2.0, 2**33, 2**32), {os.getpid(): 1.0})
    return LinuxHost()


def test_a_machine_has_cores_and_memory(host: Host) -> None:
    seen = host.look([])
    assert seen is not None
    assert seen.cores > 0
    assert 0 <= seen.free_bytes <= seen.memory_bytes


def test_processes_that_live_have_used_time_and_others_are_left_out(host: Host) -> None:
    seen = host.look([os.getpid(), 2**22 + 1])
    assert seen is not None
    assert set(seen.cpu_seconds) == {os.getpid()}
    assert seen.cpu_seconds[os.getpid()] >= 0


def test_where_nothing_can_be_read_nothing_is_known(tmp_path: Path) -> None:
    assert MemoryHost().look([1]) is None
    assert LinuxHost(tmp_path).look([1]) is None


def machine(root: Path, **group: str) -> LinuxHost:
    """A machine of 8 GiB with 4 free, whose control group has these files."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text("MemTotal: 8388608 kB\nMemAvailable:  4194304 kB\n")
    (root / "proc/self/cgroup").write_text("0::/a/b\n")
    folder = root / "sys/fs/cgroup/a"
    folder.mkdir(parents=True)
    for name, text in group.items():
        (folder / name.replace("_", ".", 1)).write_text(text)
    return LinuxHost(root)


def test_limits_of_a_control_group_count(tmp_path: Path) -> None:
    limited = machine(
        tmp_path,
        memory_max=f"{2**31}\n",
        memory_current=f"{2**30}\n",
        memory_stat=f"anon 1\ninactive_file {2**20}\n",
        cpu_max="50000 100000\n",
    )
    seen = limited.look([])
    assert seen is not None
    assert (seen.memory_bytes, seen.free_bytes) == (2**31, 2**30 + 2**20)
    assert seen.cores == 0.5


def test_a_control_group_without_limits_takes_nothing(tmp_path: Path) -> None:
    seen = machine(tmp_path, memory_max="max\n", cpu_max="max 100000\n").look([])
    assert seen is not None
    assert (seen.memory_bytes, seen.free_bytes) == (2**33, 2**32)
    assert seen.cores == len(os.sched_getaffinity(0))
