"""An engine is taken when it is proven equal and faster, and for no other reason."""

from dataclasses import replace

import pytest

from trimtab.build import acceptance
from trimtab.build.acceptance import Findings, objection
from trimtab.domain.release import Speed

FAST = (Speed(1, 600e-6, 50e-6), Speed(64, 900e-6, 120e-6))
EQUAL = Findings(
    rows=1000,
    tolerance=1e-9,
    difference=3e-16,
    problems=(),
    tried=2e-16,
    rounding=1e-9,
    speeds=FAST,
)


def test_what_is_equal_and_faster_is_taken() -> None:
    assert objection(EQUAL) is None
    assert objection(replace(EQUAL, difference=1e-9, tried=1e-9)) is None


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (replace(EQUAL, problems=("'label' differs in 2 of its values",)), "'label' differs in 2"),
        (replace(EQUAL, difference=2e-9), "difference on the reference is 2.0e-09"),
        (replace(EQUAL, tolerance=0.0), "tolerance 0.0e"),
        (replace(EQUAL, tried=1e-3), "beyond the reference is 1.0e-03"),
        (replace(EQUAL, speeds=(Speed(1, 60e-6, 55e-6), FAST[1])), "not measurably faster"),
        (replace(EQUAL, speeds=(FAST[0], Speed(64, 60e-6, 61e-6))), "64 rows 60 → 61 µs"),
    ],
)
def test_each_objection_names_its_numbers(found: Findings, words: str) -> None:
    assert words in (objection(found) or "")


def test_equality_comes_before_speed() -> None:
    assert objection(replace(EQUAL, speeds=())) is None
    slow = (Speed(1, 1e-6, 1e-3), FAST[1])
    assert "differ" in (objection(replace(EQUAL, difference=1.0, speeds=slow)) or "")


@pytest.mark.parametrize(
    ("learned", "precision", "largest", "allowed"),
    [
        (0.0, "float64", 1.0, 1e-9),
        (0.0, "float32", 1.0, 1e-6),
        (0.0, "float64", 500.0, 5e-7),
        (0.0, "float64", 0.2, 2e-10),
        (1e-4, "float64", 1.0, 1e-4),
    ],
)
def test_the_tolerance_is_the_learned_one_or_the_rounding_of_the_models_own_precision(
    learned: float, precision: str, largest: float, allowed: float
) -> None:
    assert acceptance.tolerance(learned, precision, largest) == pytest.approx(allowed)


def test_both_figures_of_every_size_are_told() -> None:
    told = acceptance.told(FAST)
    assert told == "one row 600 → 50 µs (12.0 times), 64 rows 900 → 120 µs (7.5 times)"
