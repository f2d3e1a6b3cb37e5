"""Rows that hang a model, or end its worker, cost their sender the answer and nobody else."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.support.project import BUILD, request
from tests.support.system import Answer, System, copied, running, until

from trimtab.backends.requestlog import FolderRequestLog

pytestmark = pytest.mark.e2e

MODEL = """

class Fatal(Risk):
    def predict_proba(self, frame):
        while 1001.0 in frame["age"] and not os.path.exists("{gate}"):
            time.sleep(0.01)
        while 1002.0 in frame["age"]:
            pass
        if 1003.0 in frame["age"]:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().predict_proba(frame)
"""
WAITS, HANGS, CRASHES = 1001.0, 1002.0, 1003.0
CONFIG = """
[deployment.risk]
scale = { min = 1, max = 1 }
slo   = { deadline = "12s" }
"""
INFER = "/v2/models/risk/infer"


@pytest.fixture(scope="module")
def system(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that serves such a model by a single worker."""
    folder = tmp_path_factory.mktemp("fatal") / "project"
    copied(built, folder)
    (folder / "trimtab.toml").write_text(CONFIG, encoding="utf-8")
    module = folder / "model.py"
    fatal = MODEL.format(gate=folder / "gate")
    imports = "import os\nimport signal\nimport time\n"
    module.write_text(f"{imports}{module.read_text()}{fatal}", encoding="utf-8")
    made = System(folder).verb(*BUILD, "--model", "model:Fatal")
    assert made.code == 0, made
    with running(folder) as running_system:
        running_system.json("deploy", "risk", "--release", "risk@3", "--wait")
        for _ in range(20):  # from these it is known what a batch costs
            assert running_system.ask(INFER, request(1)).status == 200
        yield running_system


def asked(system: System, age: float) -> Answer:
    """The answer to a request of one row."""
    return system.ask(INFER, request(1, age=[age]))


def waiting(system: System) -> int:
    """Requests that wait for a worker."""
    metrics = system.ask("/metrics").body.decode().splitlines()
    name = 'trimtab_queue_depth{lane="realtime",release="risk@3"} '
    return int(sum(float(each.removeprefix(name)) for each in metrics if each.startswith(name)))


@pytest.mark.parametrize("fatal", [HANGS, CRASHES], ids=["hangs", "crashes"])
def test_a_fatal_row_is_isolated_from_the_batch_it_came_in(system: System, fatal: float) -> None:
    """Even where there is one worker alone: it starts again twice within everybody's time."""
    gate = system.folder / "gate"
    gate.unlink(missing_ok=True)
    ages = [30.0, 40.0, fatal, 50.0]
    with ThreadPoolExecutor(len(ages) + 1) as clients:
        first: Future[Any] = clients.submit(asked, system, WAITS)
        until(lambda: busy(system))
        answers = [clients.submit(asked, system, age) for age in ages]
        until(lambda: waiting(system) == len(ages))
        gate.touch()
        assert first.result().status == 200
        assert [each.result().status for each in answers] == [200, 200, 500, 200]
    failed = "SELECT max(attempt), count(*) FROM rows WHERE outcome = 'failed' GROUP BY final"
    found = FolderRequestLog(system.home)
    until(lambda: len(found.query("risk", failed)) == 2)


def busy(system: System) -> bool:
    """Whether a worker has a request."""
    metrics = system.ask("/metrics").body.decode().splitlines()
    name = 'trimtab_in_flight{release="risk@3"} '
    return any(float(each.removeprefix(name)) == 1 for each in metrics if each.startswith(name))
