"""A release that leaks, forks without end or crashes harms nobody else."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.ledger import Traffic
from tests.support.project import BUILD, people
from tests.support.system import System, copied, running, until

from trimtab import errors
from trimtab.agent.devices import missing
from trimtab.backends.requestlog import FolderRequestLog

pytestmark = pytest.mark.e2e

MODEL = """

import os
import time

KEPT = []


class Leaking(Risk):
    def predict_proba(self, frame):
        if "crash" in frame["city"]:
            os._exit(9)
        if "bomb" in frame["city"]:
            for _ in range(200):
                if os.fork() == 0:
                    time.sleep(600)
                    os._exit(0)
        if "leak" in frame["city"]:
            KEPT.append(os.urandom(1_000_000))
        return super().predict_proba(frame)
"""
MEMORY = 200 * 2**20


@pytest.fixture(scope="module")
def system(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system whose only worker of `risk` leaks when it is asked to; `other` is of risk@1."""
    folder = copied(built, tmp_path_factory.mktemp("limits") / "project")
    model = folder / "model.py"
    model.write_text(model.read_text(encoding="utf-8") + MODEL, encoding="utf-8")
    config = folder / "trimtab.toml"
    text = config.read_text(encoding="utf-8").replace("min = 2, max = 2", "min = 1, max = 1")
    limits = 'limits = { memory = "200 MiB", cpus = 1, processes = 20 }'
    text = text.replace("[deployment.other]", f"{limits}\n[deployment.other]")
    config.write_text(f'{text}\n[deployment.fast]\nmodel = "risk"\nlimits.gpus = ["0"]\n')
    made = System(folder)
    said = made.verb(*BUILD, "--model", "model:Leaking")
    assert said.code == 0, said
    with running(folder) as started:
        started.json("deploy", "risk", "--release", "risk@3", "--wait")
        started.json("deploy", "other", "--release", "risk@1", "--wait")
        yield started


def person(city: str) -> dict[str, Any]:
    """Somebody from a city that makes the model misbehave."""
    (one,) = people(1)
    return {**{k: v for k, v in one.items() if k not in ("left", "person")}, "city": city}


def worker(system: System) -> dict[str, Any]:
    """The worker of risk@3 as the agent sees it."""
    digest = system.deployment("risk")["stable"]["digest"]
    (found,) = [w for w in system.node()["workers"] if w["slot"]["release"] == digest]
    return dict(found)


def failures(system: System, deployment: str) -> int:
    """Attempts that failed, as the request log has them."""
    sql = "select count(*) as n from rows where outcome <> 'ok'"
    return int(FolderRequestLog(system.home).query(deployment, sql).to_pylist()[0]["n"])


def said(system: System, words: str) -> list[str]:
    """Lines of the agent that hold `words`."""
    return [line for line in (system.folder / "up.log").read_text().splitlines() if words in line]


def test_a_leaking_worker_is_relieved_before_its_limit_and_no_request_fails(
    system: System,
) -> None:
    before = worker(system)
    seen = []
    with Traffic(system, "risk") as traffic, system.client() as client:
        for _ in range(2):
            pid = worker(system)["pid"]
            while (now := worker(system))["pid"] == pid:
                seen.append(now["rss_bytes"])
                client.predict("risk", [person("leak")])
        traffic.more(20)
    assert not traffic.book.problems
    assert worker(system)["restarts"] == before["restarts"], "nobody had to die"
    assert len(said(system, "and is relieved")) >= 2
    assert max(seen) < MEMORY
    until(lambda: len(traffic.book.answered) and failures(system, "risk") == 0)


def test_a_worker_is_kept_to_its_processors(system: System) -> None:
    status = Path(f"/proc/{worker(system)['pid']}/status").read_text()
    (allowed,) = [line.split()[1] for line in status.splitlines() if "Cpus_allowed_list" in line]
    assert allowed.isdigit()


def test_a_worker_is_not_started_with_a_gpu_that_is_not_there(system: System) -> None:
    if missing("0") == "":
        pytest.skip("this machine has a GPU, or a driver that does not tell")
    said = system.verb("deploy", "fast", "--release", "risk@2", "--wait")
    assert said.code == 5, said
    assert "limits.gpus gives it the GPU '0', and this machine has none" in said.err
    assert "TT-403" in said.err


@pytest.mark.parametrize("harm", ["crash", "bomb"])
def test_a_release_that_harms_itself_is_contained(system: System, harm: str) -> None:
    """Its worker is ended and comes back; the other deployment notices nothing."""
    before = worker(system)
    with Traffic(system, "other") as others, system.client(deadline=5.0) as client:
        # A bomb may have answered before it is noticed.
        with contextlib.suppress(errors.TrimtabError):
            client.predict("risk", [person(harm)])
        until(lambda: worker(system)["restarts"] > before["restarts"])
        until(lambda: worker(system)["state"] == "ready")
        others.more(20)
        assert client.predict("risk", [person("Riga")])
    assert not others.book.problems
    until(lambda: len(system.named("trimtab-worker")) == len(system.workers()))
