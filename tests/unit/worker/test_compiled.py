"""The compiled engine is fed without pandas and refuses what its model would have refused."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.worker.config import Column, Signature
from trimtab.worker.inputs import Parts, giver
from trimtab.worker.loaders.compiled import (
    METADATA,
    NAN,
    NONE,
    STRANGER,
    Compiled,
    Promise,
    parts_of,
    text_in_graph,
)
from trimtab.worker.tensors import tensor_of

PROMISE = Promise("binary", ("x", "y"), ("carrier",), ("no", "yes"), ("y", "carrier"), 1e300, NAN)


class Session:
    """Keeps what it was fed; answers a half for every row."""

    def __init__(self, promise: Promise = PROMISE, fault: str = "") -> None:
        self.promise, self.fault = promise, fault
        self.fed: dict[str, Any] = {}

    def run(self, names: list[str], feeds: dict[str, Any]) -> list[Any]:
        if self.fault:
            raise RuntimeError(self.fault)
        self.fed = feeds
        return [np.full((len(next(iter(feeds.values()))), 2), 0.5)]

    def get_outputs(self) -> list[Any]:
        return [type("Named", (), {"name": "answer"})]

    def get_inputs(self) -> list[Any]:
        names = [n for n in ("numbers", "texts") if getattr(self.promise, n)]
        return [type("Named", (), {"name": name}) for name in names]

    def get_modelmeta(self) -> Any:
        return type("Meta", (), {"custom_metadata_map": {METADATA: self.promise.written()}})


def parts(x: float, y: float, carrier: str | None) -> Parts:
    return Parts(np.array([[x, y]]), np.array([[carrier]], dtype=object))


def test_a_promise_is_read_as_it_was_written() -> None:
    for promise in (PROMISE, Promise("regression", ("x",), ())):
        assert Promise.read(promise.written()) == promise


def test_the_answer_is_of_the_promised_classes() -> None:
    answer = Compiled(Session()).probabilities(parts(1.0, 2.0, "AA"))
    assert answer.classes == ("no", "yes")
    assert answer.values.tolist() == [[0.5, 0.5]]


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        (parts(np.nan, 1.0, "AA"), "'x' is missing in row 0"),
        (parts(np.inf, 1.0, "AA"), "'x' is infinite or too large"),
        (parts(1.0, -np.inf, "AA"), "'y' is infinite or too large"),
    ],
)
def test_numbers_that_the_model_refuses_are_refused(given_: Parts, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Compiled(Session()).values(given_)


def test_a_text_that_may_not_be_missing_is_refused() -> None:
    promise = Promise("binary", (), ("carrier",), ("no", "yes"))
    with pytest.raises(ValueError, match="'carrier' is missing"):
        Compiled(Session(promise)).values(parts(1.0, 1.0, None))


def test_an_unknown_category_is_told_in_words() -> None:
    with pytest.raises(ValueError, match="has not learned it"):
        Compiled(Session(fault=f"… Name:'{STRANGER}2' …")).values(parts(1.0, 1.0, "ZZ"))
    with pytest.raises(RuntimeError, match="memory"):
        Compiled(Session(fault="no memory")).values(parts(1.0, 1.0, "ZZ"))


def test_a_missing_text_of_a_request_is_what_a_frame_would_hold() -> None:
    session = Session()
    Compiled(session).values(parts(1.0, np.nan, None))
    assert session.fed["texts"].tolist() == [[NAN]]


def test_feature_code_may_give_frames_dicts_and_matrices() -> None:
    frame = pd.DataFrame({"carrier": [None, "AA"], "y": [1, 2], "x": [0.5, np.nan]})
    for made in (frame, {name: frame[name].to_numpy() for name in frame}):
        got = parts_of(made, PROMISE)
        np.testing.assert_equal(got.numbers, [[0.5, 1.0], [np.nan, 2.0]])
        assert got.texts[1, 0] == "AA"
    matrix = np.arange(4.0).reshape(2, 2)
    assert parts_of(matrix, Promise("binary", ("x", "y"), ())).numbers.tolist() == matrix.tolist()


def test_what_is_no_text_is_no_text() -> None:
    with pytest.raises(TypeError, match="3 is no text"):
        text_in_graph(3)


@given(st.text(), st.text())
def test_texts_stay_apart_from_each_other_and_from_missing_ones(one: str, other: str) -> None:
    for text in (one, f"\uffff{one}", f"\uffff{other}none"):
        assert text_in_graph(text) not in {NONE, NAN}
    assert (text_in_graph(one) == text_in_graph(other)) == (one == other)


def test_parts_are_the_columns_of_the_signature_by_kind() -> None:
    signature = Signature(
        (Column("b", "BYTES", True), Column("i", "INT32", False), Column("f", "FP32", True)),
        *((), "other", (), 0.5),
    )
    tensors = [
        tensor_of("f", np.array([0.1, np.nan])),
        tensor_of("b", np.array(["x", None], dtype=object)),
        tensor_of("i", np.array([1.0, 2.0])),
    ]
    got = giver("parts", signature)(tensors, 2)
    np.testing.assert_equal(got.numbers, [[1.0, np.float32(0.1)], [2.0, np.nan]])
    assert got.texts.tolist() == [["x"], [None]]
