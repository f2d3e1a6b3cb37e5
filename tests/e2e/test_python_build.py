"""`trimtab.build(...)` makes the release that `trimtab build` would make."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

import trimtab
from trimtab import errors

pytestmark = pytest.mark.e2e


def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(rng.normal(size=(200, 2)), columns=["a", "b"])
    rows["y"] = (rows["a"] + rng.normal(size=200) > 0).astype(int)
    return rows


def test_a_fitted_model_and_a_data_frame_become_a_release(tmp_path: Path) -> None:
    rows = table()
    model = LogisticRegression().fit(rows[["a", "b"]], rows["y"])
    told: list[str] = []
    made = trimtab.build(
        "toy", model, reference=rows, target="y", folder=tmp_path, narrate=told.append
    )
    assert made.release == "toy@1"
    assert made.signature.task == "binary"
    assert [column.name for column in made.signature.inputs] == ["a", "b"]
    assert any("golden set" in line for line in told)


def test_code_that_is_not_trusted_is_not_opened(tmp_path: Path) -> None:
    rows = table()
    model = LogisticRegression().fit(rows[["a", "b"]], rows["y"])
    with pytest.raises(errors.Usage) as caught:
        trimtab.build("toy", model, format="joblib", reference=rows, folder=tmp_path)
    assert caught.value.code == errors.UNTRUSTED_FORMAT
    assert not (tmp_path / ".trimtab" / "control.db").exists()


def test_an_object_is_stored_as_skops_or_joblib_only(tmp_path: Path) -> None:
    with pytest.raises(errors.Usage, match="cannot be stored as onnx"):
        trimtab.build("toy", object(), format="onnx", folder=tmp_path)
