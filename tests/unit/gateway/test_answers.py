"""Answers that are filled into a form say what one encoded as a whole would say."""

from types import SimpleNamespace
from typing import Any, cast

import msgspec
import numpy as np
import pytest
from tests.unit.gateway.support import target

from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.gateway.answers import (
    Answer,
    answer,
    answer_headers,
    encode_json,
    id_value,
    output_tensor,
)
from trimtab.gateway.call import Call
from trimtab.gateway.plan import Plan
from trimtab.gateway.values import WRITTEN_TOGETHER, OutputValues
from trimtab.worker.frames import encode_texts

OUTPUTS = (
    Output("50 % or more", Datatype.FP64),
    Output('a "label"', Datatype.BYTES),
    Output("halves", Datatype.FP16, (2,)),
)
PLAN = Plan(target(1, signature=Signature((Column("x", Datatype.FP64),), OUTPUTS, "other", ())))


def values(rows: int) -> list[OutputValues]:
    """Answers of a batch: one number is missing, one text too."""
    numbers = np.arange(rows, dtype="<f8")
    numbers[-1] = np.nan
    texts = [None, *(f'{row} "%b"\n' for row in range(1, rows))]
    halves = np.arange(2 * rows, dtype="<f2")
    data = (numbers.tobytes(), encode_texts(texts), halves.tobytes())
    return [OutputValues(*each, rows) for each in zip(PLAN.outputs, data, strict=True)]


ODD, PLAIN = 'one %d "of" many', "3f9a-1"


def asked(rows: int, outputs: tuple[int, ...] | None = None, request_id: str = ODD) -> Call:
    """A call of a deployment with an odd name."""
    caller, route = SimpleNamespace(), SimpleNamespace(name="50 %d")
    call = Call(cast(Any, caller), cast(Any, route), PLAN)
    call.rows, call.outputs, call.request_id = rows, outputs, request_id
    return call


@pytest.mark.parametrize("request_id", [ODD, PLAIN])
@pytest.mark.parametrize("outputs", [None, (1,), (2, 0)])
@pytest.mark.parametrize(("rows", "start", "of"), [(1, 0, 3), (1, 2, 3), (3, 0, 3), (2, 1, 4)])
def test_an_answer_is_what_encoding_all_of_it_gives(
    rows: int, start: int, of: int, outputs: tuple[int, ...] | None, request_id: str
) -> None:
    batch, call = values(of), asked(rows, outputs, request_id)
    chosen = batch if outputs is None else [batch[place] for place in outputs]
    tensors = [output_tensor(each, start, rows) for each in chosen]
    whole = Answer(call.route.name, PLAN.version, call.request_id, tensors)
    assert answer(call, batch, start) == (answer_headers(call), encode_json(whole))


@pytest.mark.parametrize(
    "texts", [["no", "on", "no"], ["no", "yes", "no"], [None, "", None], [None, "yes", ""]]
)
def test_texts_as_bytes_are_those_of_the_rows_and_empty_where_missing(
    texts: list[str | None],
) -> None:
    batch = OutputValues(PLAN.outputs[1], encode_texts(texts), 3)
    for start, rows in ((0, 3), (1, 2), (2, 1), (0, 1)):
        wanted = [text or "" for text in texts[start : start + rows]]
        assert bytes(batch.raw(start, rows)) == encode_texts(wanted)


@pytest.mark.parametrize("of", [WRITTEN_TOGETHER, WRITTEN_TOGETHER + 1])
def test_a_single_row_is_the_same_in_any_company(of: int) -> None:
    _, body = answer(asked(1), values(of), 5)
    tensors = msgspec.json.decode(body)["outputs"]
    assert [tensor["data"] for tensor in tensors] == [[5.0], ['5 "%b"\n'], [10.0, 11.0]]


@pytest.mark.parametrize(
    ("request_id", "header"),
    [
        ("plain-1", b"plain-1"),
        ("with a space", b"with a space"),
        ("", b""),
        (" ends with one ", b"ends with one"),
        ("two\r\nlines", b"two%0D%0Alines"),
        ("ü%", b"%C3%BC%25"),
    ],
)
def test_an_id_stands_in_a_header_as_it_is_or_percent_encoded(
    request_id: str, header: bytes
) -> None:
    assert id_value(request_id) == header
