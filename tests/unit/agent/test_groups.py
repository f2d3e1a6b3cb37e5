"""Control groups of workers, on folders that look like those of the kernel."""

import os
from pathlib import Path

import pytest

from trimtab.agent.groups import AGENT, Groups, NotDelegated, delegated
from trimtab.domain.processes import WorkerLimits

ALL = "cpuset cpu io memory pids"


def system(root: Path, controllers: str = ALL, members: str = "", mount: str = "") -> Path:
    """A system in which the agent's own group is `/service`; the folder of that."""
    folder = root / "sys/fs/cgroup" / mount / "service"
    folder.mkdir(parents=True)
    for group in (folder.parent, folder):
        (group / "cgroup.controllers").write_text(controllers)
    (folder / "cgroup.procs").write_text(members or f"{os.getpid()}\n")
    (folder / "cgroup.subtree_control").touch()
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("4:memory:/elsewhere\n0::/service\n")
    return folder


@pytest.mark.parametrize("mount", ["", "unified"])
def test_the_agent_moves_aside_and_hands_the_controllers_down(tmp_path: Path, mount: str) -> None:
    folder = system(tmp_path, mount=mount)
    (folder / "trimtab-process-5").mkdir()
    assert delegated(tmp_path) == Groups(folder)
    assert (folder / AGENT / "cgroup.procs").read_text() == str(os.getpid())
    assert (folder / "cgroup.subtree_control").read_text() == "+memory +cpu +pids"
    assert not (folder / "trimtab-process-5").exists(), "a killed agent had left it"


def test_a_group_that_others_are_in_is_left_alone(tmp_path: Path) -> None:
    folder = system(tmp_path, members=f"{os.getpid()}\n1\n")
    with pytest.raises(NotDelegated, match="1 other processes are in the agent's control group"):
        delegated(tmp_path)
    assert not (folder / AGENT).exists()


def test_without_its_controllers_nothing_is_limited(tmp_path: Path) -> None:
    system(tmp_path, controllers="cpu io")
    with pytest.raises(NotDelegated, match="has no memory and no pids"):
        delegated(tmp_path)


def test_a_system_without_control_groups_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotDelegated, match="no control groups of version 2"):
        delegated(tmp_path)


def test_a_group_that_may_not_be_written_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system(tmp_path)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(NotDelegated, match="may not write"):
        delegated(tmp_path)


def test_what_the_kernel_refuses_is_told(tmp_path: Path) -> None:
    folder = system(tmp_path)
    (folder / "cgroup.subtree_control").unlink()
    (folder / "cgroup.subtree_control").mkdir()
    with pytest.raises(NotDelegated, match="the kernel refuses: Is a directory"):
        delegated(tmp_path)


def test_a_worker_gets_a_group_with_its_limits_and_follows_when_they_change(tmp_path: Path) -> None:
    groups, group = Groups(tmp_path), tmp_path / "trimtab-process-7"
    groups.hold(7, WorkerLimits())
    assert settings(group) == ("max", "1", "max 100000", "1024", "7")
    (group / "cgroup.procs").unlink()
    groups.hold(7, WorkerLimits(memory_bytes=2**28, cpus=1.5, processes=4))
    assert settings(group) == (str(2**28), "1", "150000 100000", "64", "")
    (group / "memory.max").unlink()
    assert (group / "memory.swap.max").read_text() == "0", "what is over the limit is not paged out"
    groups.hold(7, WorkerLimits(memory_bytes=2**28, cpus=1.5, processes=4))
    assert not (group / "memory.max").exists(), "nothing is written when nothing has changed"


def test_a_group_yields_to_others_as_its_worker_does(tmp_path: Path) -> None:
    groups = Groups(tmp_path)
    groups.hold(7, WorkerLimits())
    groups.hold(8, WorkerLimits(), niceness=10)
    told = [(tmp_path / f"trimtab-process-{pid}/cpu.weight.nice").read_text() for pid in (7, 8)]
    assert told == ["0", "10"]


def test_a_process_without_limits_yields_all_the_same(tmp_path: Path) -> None:
    groups, group = Groups(tmp_path), tmp_path / "trimtab-process-7"
    groups.hold(7, None, niceness=8)
    assert {each.name for each in group.iterdir()} == {"cpu.weight.nice", "cgroup.procs"}
    groups.hold(7, None, niceness=8)
    assert (group / "cgroup.procs").read_text() == "7"
    assert groups.leave(7) is False
    assert groups.held == {}


def test_the_agents_own_group_counts_for_those_that_work_in_it(tmp_path: Path) -> None:
    folder = system(tmp_path)
    delegated(tmp_path).share(3)
    assert (folder / AGENT / "cpu.weight").read_text() == "300"


def settings(group: Path) -> tuple[str, ...]:
    names = ("memory.max", "memory.oom.group", "cpu.max", "pids.max", "cgroup.procs")
    return tuple((group / n).read_text() if (group / n).exists() else "" for n in names)


@pytest.mark.parametrize(
    ("events", "ended"), [("oom 1\noom_kill 2\n", True), ("oom_kill 0\n", False), ("", False)]
)
def test_the_end_of_a_worker_empties_its_group_and_tells_whether_it_was_the_kernels(
    tmp_path: Path, events: str, ended: bool
) -> None:
    groups = Groups(tmp_path)
    groups.hold(7, WorkerLimits())
    (tmp_path / "trimtab-process-7/memory.events").write_text(events)
    (tmp_path / "trimtab-process-6").mkdir()
    assert groups.leave(7) is ended
    assert (tmp_path / "trimtab-process-7/cgroup.kill").read_text() == "1"
    assert not (tmp_path / "trimtab-process-6").exists()
    assert groups.leave(7) is False
