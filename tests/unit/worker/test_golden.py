"""The golden set tells whether a model still is itself, and how far it is off."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trimtab.worker import golden
from trimtab.worker.config import Column, GoldenFile, Output, Signature, WorkerConfig
from trimtab.worker.failures import Refusal
from trimtab.worker.frames import FrameError
from trimtab.worker.golden import compare
from trimtab.worker.loaders.contract import Facts, Probabilities
from trimtab.worker.model import Model
from trimtab.worker.tensors import array_of, tensor_of

BINARY = Signature((), (), "binary", ("no", "yes"), 0.5)
OTHER = Signature((Column("x", "FP64", True),), (Output("y", "FP64", ()),), "other", (), 0.5)


class Doubler:
    """Doubles x, plus how many rows came at once."""

    facts = Facts("other")

    def __init__(self, batched: float = 0.0) -> None:
        self.batched = batched

    def probabilities(self, given: Any) -> Probabilities:
        raise TypeError

    def values(self, given: Any) -> Any:
        return given["x"] * 2 + self.batched * len(given["x"])


def model(folder: Path, batched: float = 0.0, tolerance: float = 0.0) -> Model:
    config = WorkerConfig(
        *(folder, "sha256:0", "m@1", "python", "m:M", None, "columns", OTHER, {}),
        golden=GoldenFile(folder / "golden.bin", tolerance),
        tree=(),
    )
    return Model(config, Doubler(batched), None)


def stored(folder: Path, expected: list[float]) -> golden.GoldenSet:
    inputs = [tensor_of("x", np.arange(len(expected), dtype=float))]
    made = golden.GoldenSet(len(expected), inputs, [tensor_of("y", np.array(expected))])
    golden.write(folder / "golden.bin", made)
    return made


def scores(*values: float) -> list[Any]:
    labels = np.array(["yes" if value >= 0.5 else "no" for value in values], dtype=object)
    return [tensor_of("score", np.array(values)), tensor_of("label", labels)]


def test_a_model_that_answers_as_stored_is_verified(tmp_path: Path) -> None:
    stored(tmp_path, [0.0, 2.0, 4.0])
    assert golden.verified(model(tmp_path)) == 0.0


def test_a_model_beyond_its_tolerance_is_refused_with_the_difference(tmp_path: Path) -> None:
    stored(tmp_path, [0.0, 2.0, 4.5])
    assert golden.verified(model(tmp_path, tolerance=0.5)) == 0.5
    with pytest.raises(Refusal, match=r"0\.5") as refusal:
        golden.verified(model(tmp_path, tolerance=0.4))
    assert (refusal.value.exit_code, refusal.value.difference) == (10, 0.5)


def test_a_golden_set_that_cannot_be_read_is_not_reproduced(tmp_path: Path) -> None:
    (tmp_path / "golden.bin").write_bytes(b"\x05\0\0\0")
    with pytest.raises(Refusal, match="cannot be read"):
        golden.verified(model(tmp_path))
    with pytest.raises(FrameError):
        golden.read(tmp_path / "golden.bin")


def test_rows_asked_in_batches_come_back_in_order(tmp_path: Path) -> None:
    asked = stored(tmp_path, [0.0] * 5)
    (outputs,) = golden.answers(model(tmp_path, batched=100.0), asked, batch=2)
    assert array_of(outputs).tolist() == [200.0, 202.0, 204.0, 206.0, 108.0]


def test_equal_numbers_differ_by_nothing_even_when_missing_or_infinite() -> None:
    values = [tensor_of("y", np.array([np.nan, np.inf, 1.0]))]
    assert compare(values, values, OTHER, 0.0) == golden.Comparison(0.0, ())


def test_a_number_that_is_missing_on_one_side_is_a_problem() -> None:
    one, other = ([tensor_of("y", np.array([v, 1.0]))] for v in (np.nan, 2.0))
    assert not compare(one, other, OTHER, 1e9).within(1e9)


def test_a_label_may_flip_only_where_the_score_is_within_tolerance_of_the_threshold() -> None:
    near = compare(scores(0.5, 0.9), scores(0.5 - 1e-9, 0.9), BINARY, 1e-8)
    assert near.within(1e-8)
    far = compare(scores(0.6, 0.9), scores(0.4, 0.9), BINARY, 1e-8)
    assert far.problems == ("'label' differs in 1 of its values",)
    assert far.difference == pytest.approx(0.2)


def test_other_names_and_shapes_are_problems() -> None:
    one = [tensor_of("y", np.zeros(2))]
    result = compare(one, [tensor_of("z", np.zeros(2))], OTHER, 1.0)
    assert len(result.problems) == 2
    assert compare(one, [tensor_of("y", np.zeros(3))], OTHER, 1.0).problems
