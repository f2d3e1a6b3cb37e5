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


def test_what_work_waits_for_is_told_for_the_machine_or_its_group(tmp_path: Path) -> None:
    """The pressure that is higher counts; without the files nothing is told."""
    host = machine(tmp_path, memory_pressure="some avg10=1.00 avg60=30.50 avg300=1.00 total=9\n")
    (tmp_path / "proc/pressure").mkdir()
    line = "some avg10=0.00 avg60=12.00 avg300=0.00 total=1\nfull avg10=0.00 avg60=99.00\n"
    for name in ("cpu", "memory"):
        (tmp_path / "proc/pressure" / name).write_text(line)
    (tmp_path / "proc/pressure/io").write_text("some avg60=much\n")
    (tmp_path / "proc/loadavg").write_text("3.25 1.00 0.50 2/300 999\n")
    (tmp_path / "proc/17").mkdir()
    (tmp_path / "proc/17/schedstat").write_text("9000000000 2500000000 12\n")
    seen = host.look([17, 18])
    assert seen is not None
    assert seen.waiting == {"cpu": 0.12, "memory": pytest.approx(0.305)}
    assert (seen.load, seen.waited_seconds) == (3.25, {17: 2.5})
