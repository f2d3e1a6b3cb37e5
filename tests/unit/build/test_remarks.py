"""A build tells what would be missed only when the release serves."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from trimtab.build import remarks
from trimtab.build.reference import Reference, read_reference
from trimtab.build.request import ReferenceData
from trimtab.domain.profile import QualityProfile


def reference(folder: Path, y: Any) -> Reference:
    path = folder / "reference.parquet"
    pq.write_table(pa.table({"a": [1.0], "b": [1.0], "city": ["x"], "amount": [2.0], "y": y}), path)
    return read_reference(ReferenceData(path, target="y", segments=("city",)))


def test_inputs_that_the_model_was_not_fitted_on_are_named(tmp_path: Path) -> None:
    found = reference(tmp_path, [1])
    (told,) = remarks.of_model(found, "binary", ["0", "1"], ["a", "b"])
    assert told.startswith("not fitted on: 'amount'; requests have to hold them all the same")
    for fitted in ((), ["a", "made by feature code"]):
        assert not [*remarks.of_model(found, "binary", ["0", "1"], fitted)]
    assert not [*remarks.of_model(None, "binary", ["0", "1"], ["a"])]


def test_what_loading_the_model_warned_of_is_told_in_short() -> None:
    told = [*remarks.of_loading(["of version 9:\n  may break", "b" * 400, "c", "d", "e"])]
    assert told[0] == "loading it warns: of version 9: may break"
    assert told[1].endswith("bbb …")
    assert len(told[1]) < 330
    assert told[3:] == ["loading it warns: 2 times more"]
    assert [*remarks.of_loading([])] == []


def test_a_classifier_without_probabilities_has_no_quality_and_says_so() -> None:
    (told,) = remarks.of_model(None, "other", ["0", "1"], ())
    assert "without predict_proba, so there is no quality to watch" in told
    assert not [*remarks.of_model(None, "other", (), ())]


def test_labels_that_no_output_is_known_to_predict_are_told_with_what_to_say(
    tmp_path: Path,
) -> None:
    (told,) = remarks.of_model(reference(tmp_path, [1]), "other", (), ())
    assert "nothing says what the outputs are, so there is no quality to watch" in told
    assert "--set task=regression" in told
    assert not [*remarks.of_model(reference(tmp_path, [1]), "regression", (), ())]


def test_a_reference_without_one_label_has_no_quality_and_says_so(tmp_path: Path) -> None:
    (told,) = remarks.of_labels(reference(tmp_path, pa.nulls(1, pa.int64())))
    assert told == "labels: not one in the reference, so there is no quality to watch"
    assert not [*remarks.of_labels(reference(tmp_path, [1]))]


def test_a_setting_that_nothing_reads_is_told_with_the_one_that_was_meant() -> None:
    (told,) = remarks.of_settings(["owner", "tsk"])
    assert told.startswith("settings: nothing in trimtab reads 'owner', 'tsk'; ")
    (told,) = remarks.of_settings(["tsk"])
    assert told.endswith("did you mean task?")
    assert not [*remarks.of_settings(["task", "allow_nan"])]


def test_a_score_of_the_other_class_is_doubted() -> None:
    """As of a model that was fitted on codes of the labels, where class 1 is the other one."""
    turned = QualityProfile(metric="roc_auc", value=0.13, lower=0.1, upper=0.16, n=500)
    (told,) = remarks.of_quality([turned], ("stay", "churn"))
    assert told == (
        "labels: the score is higher for 'stay' than for 'churn', so it may be the probability of "
        "'stay': --positive stay"
    )
    nothing = QualityProfile(metric="roc_auc", value=0.45, lower=0.38, upper=0.52, n=500)
    assert not [*remarks.of_quality([nothing], ("stay", "churn"))]
    assert not [*remarks.of_quality((), ())]
