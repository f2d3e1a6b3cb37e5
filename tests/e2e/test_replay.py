"""A worker that serves replays its golden set, and tells whoever connects what came of it."""

from pathlib import Path

import numpy as np
import pytest
from tests.e2e.test_worker import Checkout, answer, columns, started
from tests.support.system import until

from trimtab.backends import shim
from trimtab.worker import golden, tensors

pytestmark = pytest.mark.e2e

WEARING_MODEL = """
class Model:
    worn = 0.0

    def predict(self, columns):
        if columns["x"][0] < 0.0:
            self.worn = 1.0
            return {"twice": columns["x"] * 2}
        return {"twice": columns["x"] * 2 + self.worn}
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A model that changes for good once it is asked about a number below zero."""
    folder = tmp_path / "release"
    folder.mkdir()
    for name, text in (("model.skops", ""), ("features.py", ""), ("worn.py", WEARING_MODEL)):
        (folder / name).write_text(text)
    outputs = [tensors.tensor_of("twice", np.arange(20.0) * 2)]
    inputs = columns(np.arange(20.0).tolist(), ["UA"] * 20)
    golden.write(folder / "golden.bin", golden.GoldenSet(20, inputs, outputs))
    made = Checkout(folder, shim.install(tmp_path / "home"))
    made.write_light(model_path="worn:Model", golden={"path": "golden.bin", "tolerance": 1e-6})
    return made


def test_a_model_that_changes_while_it_serves_is_told_and_requests_are_answered(
    checkout: Checkout, tmp_path: Path
) -> None:
    with started(checkout, tmp_path, replay=0.05) as running:
        client = running.connect()
        assert client.frame().header["golden_failure"] == ""
        client.predict(1, [-1.0], ["UA"])
        assert answer(client.frame()) == {"twice": [-2.0]}
        told: list[str] = []

        def wears() -> str:
            told.append(running.connect().frame().header["golden_failure"])
            return told[-1]

        until(wears)
        assert "the largest difference is 1" in told[-1]
        client.predict(2, [2.0], ["UA"])
        assert answer(client.frame()) == {"twice": [5.0]}
