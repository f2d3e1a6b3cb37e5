"""Results of workers, whose descriptions are mostly those of the result before."""

from typing import Any

import numpy as np
import pytest
from tests.unit.gateway.support import target

from trimtab.gateway.plan import Plan
from trimtab.gateway.wire import Results
from trimtab.worker.frames import (
    Frame,
    FrameError,
    Kind,
    Tensor,
    decode_all,
    encode_tensors,
    encode_texts,
)

PLAN = Plan(target(1))


def outputs(scores: list[float], labels: list[str | None]) -> list[Tensor]:
    rows = len(scores)
    return [
        Tensor("score", "FP64", (rows,), np.array(scores).tobytes()),
        Tensor("label", "BYTES", (rows,), encode_texts(labels)),
        Tensor("pair", "FP32", (rows, 2), np.ones((rows, 2), "<f4").tobytes()),
    ]


def result(rows: int, tensors: list[Tensor]) -> Frame:
    header = {"id": 1, "rows": rows}
    (frame,) = decode_all(b"".join(encode_tensors(Kind.RESULT, header, {"outputs": tensors})))
    return frame


def read(results: Results, rows: int, tensors: list[Tensor]) -> list[list[Any]]:
    return [each.flat for each in results.values(result(rows, tensors), rows)]


def test_results_of_as_many_rows_are_read_alike_however_they_are_described() -> None:
    results = Results(PLAN)
    for _ in range(2):
        assert read(results, 1, outputs([0.5], ["a"])) == [[0.5], ["a"], [1.0, 1.0]]
        assert read(results, 1, outputs([0.25], ["longer"])) == [[0.25], ["longer"], [1.0, 1.0]]
        assert read(results, 1, outputs([2.0], [None])[::-1]) == [[2.0], [None], [1.0, 1.0]]
        assert read(results, 2, outputs([0.0, 1.0], ["a", "b"]))[:2] == [[0.0, 1.0], ["a", "b"]]


def test_many_numbers_of_rows_are_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimtab.gateway.wire.MOST_LAYOUTS", 2)
    results = Results(PLAN)
    for rows in (1, 2, 3, 1):
        assert read(results, rows, outputs([0.5] * rows, ["a"] * rows))[0] == [0.5] * rows


@pytest.mark.parametrize(
    ("rows", "tensors", "problem"),
    [
        (2, outputs([0.5], ["a"]), "1 rows were sent, 2 came back"),
        (1, outputs([0.5], ["a"])[:2], "not those of the signature"),
        (1, [*outputs([0.5], ["a"])[:2], Tensor("x", "FP64", (1,), b"8" * 8)], "'pair' is missing"),
        (1, [*outputs([0.5], ["a"])] * 2, "not those of the signature"),
        (1, outputs([0.5, 0.5], ["a", "b"]), r"'score' is FP64 of shape \[2\], not FP64 of \[1\]"),
    ],
)
def test_a_result_that_is_not_what_was_asked_for_is_refused_before_and_after_a_right_one(
    rows: int, tensors: list[Tensor], problem: str
) -> None:
    results = Results(PLAN)
    for _ in range(2):
        with pytest.raises(FrameError, match=problem):
            results.values(result(rows, tensors), 1)
        read(results, 1, outputs([0.5], ["a"]))


def test_a_result_that_says_what_the_last_one_said_and_has_other_bytes_is_refused() -> None:
    results = Results(PLAN)
    whole = result(1, outputs([0.5], ["a"]))
    results.values(whole, 1)
    with pytest.raises(FrameError, match="cut off"):
        results.values(whole._replace(body=whole.body[:-1]), 1)
    with pytest.raises(FrameError, match="bytes of a body"):
        results.values(whole._replace(body=memoryview(bytes(whole.body) + b"0")), 1)
