"""A file is what it is declared to be, or the error names both."""

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from trimtab.worker.config import Signature, WorkerConfig
from trimtab.worker.failures import Refusal
from trimtab.worker.loaders import FORMATS, load_predictor
from trimtab.worker.loaders.formats import looks_like

CONFIG = WorkerConfig(
    *(Path(), "sha256:0", "m@1", "pickle", "model", None, "pandas"),
    *(Signature((), (), "other", (), 0.5), {}, None, ()),
)


@pytest.mark.parametrize("declared", [name for name in FORMATS if name != "python"])
@pytest.mark.parametrize("data", [b"", b"GIF89a", b'[{"a": 1}]', b"import os\n"])
def test_a_file_of_no_known_model_format_is_refused_before_any_library_is_imported(
    declared: str, data: bytes, tmp_path: Path
) -> None:
    (tmp_path / "model").write_bytes(data)
    with pytest.raises(Refusal, match=f"declared as {declared}") as refusal:
        load_predictor(replace(CONFIG, folder=tmp_path, format=declared))
    assert (refusal.value.exit_code, refusal.value.code) == (11, "TT-203")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickles_are_known_by_their_protocol(protocol: int) -> None:
    assert looks_like(pickle.dumps({"a": 1}, protocol=protocol)) == "a pickle"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="'model' is missing"):
        load_predictor(replace(CONFIG, folder=tmp_path))


def test_an_unknown_format_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="skops"):
        load_predictor(replace(CONFIG, format="tarot"))


def test_an_object_that_cannot_predict_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(TypeError, match="no method 'predict'"):
        load_predictor(replace(CONFIG, folder=tmp_path))
