"""What a model returns becomes exactly the outputs of its signature, or a failure."""

from typing import Any

import numpy as np
import pytest

from trimtab.worker.config import Output, Signature
from trimtab.worker.failures import StageFailure
from trimtab.worker.loaders.contract import Probabilities
from trimtab.worker.outputs import ClassOutputs, same_classes, value_outputs
from trimtab.worker.tensors import array_of, text_of


def signature(task: str, *classes: str, outputs: tuple[Output, ...] = ()) -> Signature:
    return Signature((), outputs, task, classes, 0.5)


def class_outputs(wanted: Signature, answer: Probabilities, rows: int, allow_nan: bool) -> Any:
    return ClassOutputs(wanted, allow_nan).of(answer, rows)


def arrays(tensors: list[Any]) -> dict[str, list[Any]]:
    return {tensor.name: array_of(tensor).tolist() for tensor in tensors}


def test_the_score_is_of_the_last_class_whatever_order_the_model_has() -> None:
    answer = Probabilities(np.array([[0.9, 0.1], [0.2, 0.8]]), ("late", "in time"))
    got = arrays(class_outputs(signature("binary", "in time", "late"), answer, 2, False))
    assert got == {"score": [0.9, 0.2], "label": ["late", "in time"]}


@pytest.mark.parametrize("values", [np.array([0.5, 0.4]), np.array([[0.5], [0.4]])])
def test_a_score_at_the_threshold_is_positive(values: Any) -> None:
    got = arrays(class_outputs(signature("binary", "no", "yes"), Probabilities(values), 2, False))
    assert got["label"] == ["yes", "no"]


@pytest.mark.parametrize("classes", [("no", "on"), ("no", "yes"), ("", "é")])
def test_labels_are_named_whether_their_names_are_equally_long_or_not(
    classes: tuple[str, ...],
) -> None:
    answer = Probabilities(np.array([0.9, 0.1, 0.7]))
    got = arrays(class_outputs(signature("binary", *classes), answer, 3, False))
    assert got["label"] == [classes[1], classes[0], classes[1]]


def test_labels_have_their_declared_datatype() -> None:
    for datatype, classes, labels in (
        ("INT64", ("0", "1"), [1, 0]),
        ("BOOL", ("False", "True"), [True, False]),
        ("FP64", ("-1", "1"), [1.0, -1.0]),
    ):
        outputs = (Output("score", "FP64", ()), Output("label", datatype, ()))
        wanted = signature("binary", *classes, outputs=outputs)
        got = class_outputs(wanted, Probabilities(np.array([0.9, 0.1])), 2, False)
        assert arrays(got)["label"] == labels


def test_scores_of_many_classes_follow_the_signature() -> None:
    answer = Probabilities(np.array([[0.1, 0.2, 0.7]]), ("z", "y", "x"))
    got = arrays(class_outputs(signature("multiclass", "x", "y", "z"), answer, 1, False))
    assert got == {"scores": [[0.7, 0.2, 0.1]], "label": ["x"]}


def test_a_regression_may_have_one_column() -> None:
    got = value_outputs(signature("regression"), np.array([[1.0], [2.0]]), 2, False)
    assert arrays(got) == {"prediction": [1.0, 2.0]}


def test_outputs_of_another_task_are_learned_while_none_are_declared() -> None:
    (tensor,) = value_outputs(signature("other"), {"y": np.zeros((2, 3), "f4")}, 2, False)
    assert (tensor.name, tensor.datatype, tensor.shape) == ("y", "FP32", (2, 3))


def test_rows_with_parts_are_no_texts() -> None:
    with pytest.raises(StageFailure, match="'prediction' holds a dict in row 0; several values"):
        value_outputs(signature("other"), [{"low": 1.0, "high": 2.0}], 1, False)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (np.zeros(3), "3 rows for 2"),
        (np.float64(1), "single value"),
        (np.zeros((2, 2)), "shape"),
        (np.array([1.0, np.nan]), "not finite in row 1"),
        (np.array(["a", "b"], dtype=object), "holds str in row 0, not FP64"),
        ([1.0, None], "holds NoneType in row 1, not FP64"),
        (np.array(["2026-01-01", "2026-01-02"], "M8[s]"), r"is datetime64\[s\], not FP64"),
        ({"x": np.zeros(2)}, "lacks"),
    ],
)
def test_an_answer_that_breaks_the_signature_fails_at_the_output(answer: Any, words: str) -> None:
    wanted = signature("other", outputs=(Output("y", "FP64", ()),))
    with pytest.raises(StageFailure, match=words) as failure:
        value_outputs(wanted, answer, 2, False)
    assert failure.value.stage == "output"


def test_numbers_that_are_not_finite_pass_when_the_release_allows_them() -> None:
    (tensor,) = value_outputs(signature("regression"), np.array([np.nan]), 1, True)
    assert np.isnan(array_of(tensor)).all()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.array([1.5]), "no probability"),
        (np.array([[0.2, 0.3, 0.5]]), "shape"),
        (np.array([0.1, 0.2]), "2 rows for 1"),
    ],
)
def test_what_is_no_probability_is_no_score(values: Any, words: str) -> None:
    with pytest.raises(StageFailure, match=words):
        class_outputs(signature("binary", "a", "b"), Probabilities(values), 1, False)


def test_classes_that_the_signature_does_not_know_are_refused() -> None:
    answer = Probabilities(np.array([[0.5, 0.5]]), ("a", "c"))
    with pytest.raises(StageFailure, match="classes"):
        class_outputs(signature("binary", "a", "b"), answer, 1, False)


def test_a_class_is_the_same_however_its_number_is_written() -> None:
    assert same_classes(["1.0", "0"], ["0", "1"])
    assert same_classes(["True", "False"], ["false", "true"])
    assert not same_classes(["1", "2"], ["0", "1"])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (0.1, "0.1"),
        (np.float32(2), "2"),
        (np.int8(-3), "-3"),
        (np.True_, "true"),
        (float("nan"), None),
        (None, None),
        (b"x", "x"),
        ("é", "é"),
        (np.inf, "inf"),
    ],
)
def test_values_have_one_spelling_as_text(value: Any, text: str | None) -> None:
    assert text_of(value) == text
