"""A loss of the user's own over a table: a formula or a function, and what cannot be either."""

from typing import Any

import numpy as np
import pytest
from tests.support.tables import MEANING, table

import trimtab
from trimtab import errors

REFERENCE = table(seed=1)
CALM = table(seed=2, first_day=30)
FLIPPED = table(seed=3, first_day=30, flip=0.4)
LOSS = 'where(label == "1", 3, 1) * abs(number(label) - score)'


def lost(label: Any, score: Any) -> Any:
    """The same loss as a function."""
    return np.where(label == "1", 3.0, 1.0) * np.abs(label.astype(float) - score)


@pytest.mark.parametrize("loss", [LOSS, lost])
def test_a_loss_of_ones_own_is_judged_by_formula_or_function(loss: Any) -> None:
    calm, changed = (
        trimtab.monitor(
            REFERENCE, live, **MEANING, loss=loss, loss_bound=3, quality=["loss", "brier"]
        )
        for live in (CALM, FLIPPED)
    )
    assert calm["quality"].verdict in ("ok", "watch")
    assert calm["quality"].reason.startswith("loss ")
    assert changed["quality"].verdict == "bad"
    truth, score = (REFERENCE[name].to_numpy() for name in ("label", "score"))
    days = np.where(truth == 1, 3.0, 1.0) * np.abs(truth - score)
    assert calm["quality"].reference == pytest.approx(days.mean(), abs=3e-4)
    for each in calm.view.segments:
        assert each.quality == pytest.approx(days.mean(), abs=0.06)


def test_a_loss_alone_is_what_is_judged_and_has_no_estimate_without_labels() -> None:
    report = trimtab.monitor(REFERENCE, CALM, **MEANING, loss="abs(number(label) - score) * 2")
    assert report["quality"].reason.startswith("loss ")
    assert "of the losses were outside 0 to 1" in report["quality"].reason
    assert report["estimate"].verdict == "unknown"


def test_a_function_is_given_no_row_that_lacks_a_value() -> None:
    seen: list[int] = []

    def loss(label: Any, rate: Any, *, region: Any) -> Any:
        seen.append(int(np.isnan(rate).sum()) + sum(text is None for text in region))
        return np.where(rate > 5.0, 1.0, 0.0)

    gone = table(seed=5, first_day=30, broken_from=20)
    report = trimtab.monitor(REFERENCE, gone, **MEANING, loss=loss)
    assert set(seen) == {0}
    assert "had no usable score or label" in report["quality"].reason


class Unnamed:
    """A loss whose parameters say nothing."""

    def __call__(self, *columns: Any) -> Any:
        return columns[0]


@pytest.mark.parametrize(
    ("loss", "code", "words"),
    [
        ("label +* 2", errors.BAD_VALUE, "at character 8"),
        ("abs(lable - score)", errors.BAD_DATA, "did you mean label?"),
        ("abs(label - score)", errors.BAD_DATA, "number(…) reads it as one"),
        (lambda size, weight: size, errors.BAD_DATA, "asks for weight, and there are label"),
        (lambda label: 1 / 0, errors.BAD_VALUE, "it failed with ZeroDivisionError"),
        (lambda label: 0.5, errors.BAD_VALUE, "it returned numbers of shape () for"),
        (lambda: 0.5, errors.BAD_VALUE, "must name a column"),
        (Unnamed(), errors.BAD_VALUE, "must name a column"),
        (dict, errors.BAD_VALUE, "its parameters are not known"),
    ],
)
def test_a_loss_that_cannot_be_calculated_is_refused(loss: Any, code: str, words: str) -> None:
    with pytest.raises(errors.Usage) as caught:
        trimtab.monitor(REFERENCE, CALM, **MEANING, loss=loss)
    assert caught.value.code == code
    assert words in str(caught.value)
