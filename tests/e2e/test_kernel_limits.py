"""Limits that the kernel enforces on the workers of a whole system, under load.

They need a control group of version 2 with memory, cpu and pids, below which this process may make
its own; elsewhere the tests say what is lacking.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.ledger import Traffic
from tests.support.project import BUILD, people
from tests.support.system import System, copied, running, until

from trimtab import errors
from trimtab.agent.groups import AGENT, CONTROLLERS, PREFIX

pytestmark = pytest.mark.e2e

MODEL = """

import os
import time


class Greedy(Risk):
    def predict_proba(self, frame):
        if "hoard" in frame["city"]:
            os.posix_fallocate(os.memfd_create("hoard"), 0, 600 << 20)
        if "bomb" in frame["city"]:
            for _ in range(1000):
                if os.fork() == 0:
                    time.sleep(600)
                    os._exit(0)
        if "spin" in frame["city"]:
            end = time.monotonic() + 2.0
            while time.monotonic() < end:
                pass
        return super().predict_proba(frame)
"""
LIMITS = 'limits = { memory = "200 MiB", cpus = 0.5, processes = 20 }'


@pytest.fixture(scope="module")
def group() -> Iterator[Path]:
    """A control group for `trimtab up`, with everything that it needs."""
    mounts = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
    root = next((each for each in mounts if (each / "cgroup.controllers").exists()), None)
    if root is None:
        pytest.skip("there are no control groups of version 2")
    lacking = set(CONTROLLERS) - set((root / "cgroup.subtree_control").read_text().split())
    if lacking:
        pytest.skip(f"control groups of version 2 have no {' and no '.join(sorted(lacking))} here")
    made = root / f"trimtab-test-{os.getpid()}"
    try:
        made.mkdir()
    except OSError as why:
        pytest.skip(f"this process may not make control groups: {why}")
    yield made
    until(lambda: removed(made))


def removed(folder: Path) -> bool:
    """Whether a group and those below it are gone; one goes when the last process in it has."""
    with suppress(OSError):
        for group in (*folder.glob("*/"), folder):
            group.rmdir()
    return not folder.exists()


@pytest.fixture(scope="module")
def system(built: Path, group: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system whose release of `risk` wants more than it may have; `other` is of risk@1."""
    folder = copied(built, tmp_path_factory.mktemp("kernel") / "project")
    model = folder / "model.py"
    model.write_text(model.read_text(encoding="utf-8") + MODEL, encoding="utf-8")
    config = folder / "trimtab.toml"
    text = config.read_text(encoding="utf-8")
    text = text.replace("min = 2, max = 2", "min = 1, max = 1, batch = 1")
    config.write_text(text.replace("[deployment.other]", f"{LIMITS}\n[deployment.other]"))
    said = System(folder).verb(*BUILD, "--model", "model:Greedy")
    assert said.code == 0, said
    with running(folder, group) as started:
        started.json("deploy", "risk", "--release", "risk@3", "--wait")
        started.json("deploy", "other", "--release", "risk@1", "--wait")
        yield started


def person(city: str) -> dict[str, Any]:
    """Somebody from a city that makes the model want more."""
    (one,) = people(1)
    return {**{k: v for k, v in one.items() if k not in ("left", "person")}, "city": city}


def worker(system: System, lane: str = "realtime") -> dict[str, Any]:
    """The worker of risk@3 for a lane as the agent sees it."""
    digest = system.deployment("risk")["stable"]["digest"]
    workers = system.node()["workers"]
    (found,) = [
        each
        for each in workers
        if each["slot"]["release"] == digest and each["slot"].get("lane", "realtime") == lane
    ]
    return dict(found)


def said(system: System, words: str) -> list[str]:
    """Lines of the agent that hold `words`."""
    return [line for line in (system.folder / "up.log").read_text().splitlines() if words in line]


def told(folder: Path, name: str) -> dict[str, int]:
    """A file of a group with a number behind each word."""
    lines = (folder / name).read_text().splitlines()
    return {key: int(value) for key, value in map(str.split, lines)}


@contextmanager
def asking(system: System, city: str) -> Iterator[None]:
    """Ask in the background what may fail."""

    def ask() -> None:
        with suppress(errors.TrimtabError), system.client(deadline=8.0) as client:
            client.predict("risk", [person(city)])

    thread = threading.Thread(target=ask)
    thread.start()
    yield
    thread.join()


def test_the_system_says_that_the_kernel_enforces_limits(system: System, group: Path) -> None:
    assert said(system, "enforced by control groups")
    assert set(system.pids("trimtab.gateway")) <= members(group / AGENT)
    assert members(group) == set()


def members(folder: Path) -> set[int]:
    """The processes in a group."""
    return set(map(int, (folder / "cgroup.procs").read_text().split()))


def test_who_yields_does_so_between_groups(system: System, group: Path) -> None:
    weights = {
        pid: int((group / f"{PREFIX}{pid}" / "cpu.weight.nice").read_text())
        for pid in (worker(system)["pid"], worker(system, "batch")["pid"], system.controller)
    }
    assert list(weights.values()) == [0, 10, 8]


def test_memory_beyond_the_limit_ends_the_worker_at_once_and_nobody_else(system: System) -> None:
    """Also what is mapped by no process, so that whoever looks at processes sees nothing of it."""
    before = worker(system)
    with Traffic(system, "other") as others:
        with asking(system, "hoard"):
            until(lambda: said(system, "the kernel ended it at the limit of its memory"))
        # What kills one worker is asked of the next before it is given up.
        until(lambda: worker(system)["restarts"] >= before["restarts"] + 2)
        until(lambda: worker(system)["state"] == "ready")
        others.more(20)
    assert not others.book.problems
    with system.client() as client:
        assert client.predict("risk", [person("Riga")])


def test_a_fraction_of_a_processor_is_what_a_worker_gets(system: System, group: Path) -> None:
    folder = group / f"{PREFIX}{worker(system)['pid']}"
    before, began = told(folder, "cpu.stat"), time.monotonic()
    with Traffic(system, "other") as others, asking(system, "spin"):
        others.more(20)
    after, seconds = told(folder, "cpu.stat"), time.monotonic() - began
    used = (after["usage_usec"] - before["usage_usec"]) / 1e6
    assert after["nr_periods"] > before["nr_periods"], "the kernel counts"
    assert 0.1 < used < 0.5 * seconds + 0.2
    assert not others.book.problems


def test_a_fork_bomb_reaches_the_end_of_its_group_or_of_the_agents_patience(
    system: System, group: Path
) -> None:
    before = worker(system)
    folder = group / f"{PREFIX}{before['pid']}"
    assert (folder / "pids.max").read_text().strip() == "320"
    with Traffic(system, "other") as others, asking(system, "bomb"):
        until(lambda: worker(system)["pid"] not in (None, before["pid"]))
        until(lambda: worker(system)["state"] == "ready")
        others.more(20)
    assert not others.book.problems
    until(lambda: not folder.exists() or not members(folder))
    until(lambda: len(system.named("trimtab-worker")) == len(system.node()["workers"]))
