"""Reading saved state refuses what was never written."""

from collections.abc import Callable, Mapping

import pytest

from trimtab.stats import saved
from trimtab.stats.bets import BetGrid
from trimtab.stats.edetector import EDetector
from trimtab.stats.eprocess import EProcess
from trimtab.stats.rate_ratio import RateRatio


@pytest.mark.parametrize("value", [None, "1", True, float("nan"), float("inf"), [1]])
def test_a_real_must_be_a_finite_number(value: object) -> None:
    """Text, truth values and the infinite are refused."""
    with pytest.raises(ValueError, match="'m' must be a finite number"):
        saved.real({"m": value}, "m")


@pytest.mark.parametrize("value", [None, "x", "1.5", "--1", True, 1.5])
def test_a_whole_must_be_an_integer_or_decimal_text(value: object) -> None:
    """Fractions and other text are refused."""
    with pytest.raises(ValueError, match="'n' must hold integers"):
        saved.whole({"n": value}, "n")


def test_a_whole_may_be_negative_text() -> None:
    """Sums of log increments often are."""
    assert saved.wholes({"n": ["-12", 3]}, "n") == [-12, 3]


@pytest.mark.parametrize("reader", [saved.text, saved.items, saved.part])
def test_the_other_readers_refuse_a_number(
    reader: Callable[[Mapping[str, object], str], object],
) -> None:
    """Each names the key."""
    with pytest.raises(ValueError, match="'key' must be"):
        reader({"key": 1}, "key")


def test_a_saved_side_or_direction_must_be_known() -> None:
    """A typo never turns into the other test."""
    with pytest.raises(ValueError, match="side"):
        BetGrid.from_dict({"m": 0.5, "side": "over", "k": 3})
    with pytest.raises(ValueError, match="direction"):
        RateRatio.from_dict({"direction": "better"})


def test_a_saved_state_of_another_grid_is_refused() -> None:
    """The number of stakes must fit."""
    with pytest.raises(ValueError, match="12 stakes"):
        EDetector.from_dict(EDetector.against(0.1, "above").to_dict() | {"log_wealth": [0.0]})
    with pytest.raises(ValueError, match="12 stakes"):
        EProcess.from_dict(
            EProcess.against(0.1, "above").to_dict() | {"sums": {"units": [], "trials": 0}}
        )
