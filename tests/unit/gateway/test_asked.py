"""Parameters mean the same whoever wrote the JSON, and no value of theirs is a surprise."""

from typing import Any

import pytest

from trimtab.gateway.asked import asked
from trimtab.gateway.faults import Fault
from trimtab.gateway.labels import parse_feedback
from trimtab.gateway.mlflow_shapes import parse_invocation


def params(text: str) -> Any:
    return parse_invocation(b'{"instances":[1],"params":{%b}}' % text.encode()).params


def test_a_whole_number_may_be_written_with_a_fraction_of_nothing() -> None:
    found = asked(params('"priority":2.0,"timeout":3000000.0'))
    assert (found.lane, found.timeout) == ("batch", 3.0)


def test_a_timeout_beyond_all_numbers_is_a_very_long_one() -> None:
    found = asked(params(f'"timeout":{"9" * 400}'))
    assert found.timeout is not None
    assert found.timeout > 1e9


@pytest.mark.parametrize(
    "text",
    [
        '"priority":-1',
        '"priority":1.5',
        '"timeout":true',
        '"timeout":"1"',
        '"unit":{}',
        '"unit":[]',
    ],
)
def test_what_is_no_such_value_is_refused(text: str) -> None:
    with pytest.raises(Fault, match=r"parameters\.(priority|timeout|unit)"):
        asked(params(text))


def test_labels_may_say_who_sends_them() -> None:
    named = parse_feedback(b'{"labels":[{"id":"a","label":1}],"source":"crm"}', "d", 1.0)
    assert named.columns[6] == ["crm"]
    for source in (b"", b"x" * 65):
        with pytest.raises(Fault, match="a source has 1 to 64 characters"):
            parse_feedback(b'{"labels":[],"source":"%b"}' % source, "d", 1.0)


def test_a_label_s_row_may_be_written_so_too() -> None:
    block = parse_feedback(b'{"labels":[{"id":"a","row":1.0,"label":1}]}', "d", 1.0)
    assert block.columns[6] == ["feedback"]
    assert block.columns[1] == [1]
    for row in ("1.5", "-1", "1e300", "NaN"):
        with pytest.raises(Fault):
            parse_feedback(b'{"labels":[{"id":"a","row":%b,"label":1}]}' % row.encode(), "d", 1.0)
