"""A system whose model takes its time, so that work waits."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.project import BUILD
from tests.support.system import System, copied, running

MODEL = """

class Patient(Risk):
    def predict_proba(self, frame):
        time.sleep(SECONDS * len(frame["age"]))
        return super().predict_proba(frame)
"""


@contextmanager
def patient(built: Path, folder: Path, config: str, row_seconds: float) -> Iterator[System]:
    """A copy of the project `built` that serves such a model, `row_seconds` for each row."""
    copied(built, folder)
    (folder / "trimtab.toml").write_text(config, encoding="utf-8")
    module = folder / "model.py"
    slow = MODEL.replace("SECONDS", str(row_seconds))
    module.write_text(f"import time\n{module.read_text()}{slow}", encoding="utf-8")
    made = System(folder).verb(*BUILD, "--model", "model:Patient")
    assert made.code == 0, made
    with running(folder) as system:
        system.json("deploy", "risk", "--release", "risk@3", "--wait")
        yield system
