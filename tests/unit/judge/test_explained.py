"""A fall of quality, split into what the inputs explain and what they do not."""

from typing import Any

import numpy as np
import pytest
from tests.support.traffic import BINARY, columns

from trimtab.domain.profile import QualityProfile, ReferenceProfile
from trimtab.judge.estimate import Learned, Seen, cells_of, coarse_bins, scores_and_sides
from trimtab.judge.explained import Explained, Split, explained, splits
from trimtab.judge.profile import Reference, build_profile
from trimtab.judge.tie import Tie


def answered(rng: np.random.Generator, n: int, steep: float) -> tuple[Any, Any, np.ndarray]:
    """Rows whose labels come true as the score says; of steeper scores the model is surer."""
    score = rng.beta(1.0 / steep, 1.0 / steep, n)
    return columns(rng, n), {"score": score}, rng.random(n) < score


def known() -> ReferenceProfile:
    """The profile of rows of which the model is rather sure."""
    inputs, outputs, truth = answered(np.random.default_rng(1), 20_000, 2.0)
    return build_profile(
        Reference(BINARY, inputs, outputs, np.where(truth, "1", "0").astype(object))
    )


KNOWN = known()
assert KNOWN.estimate is not None
LEARNED = Learned.of(KNOWN.estimate)
QUALITY = {each.metric: each for each in KNOWN.quality}


def counted(n: int, steep: float, flip: float, strange: int = 0) -> tuple[Seen, Any, Any]:
    """Labelled rows by cell; the truth of a share of them has turned around."""
    rng = np.random.default_rng(2)
    inputs, outputs, truth = answered(rng, n, steep)
    truth = truth ^ (rng.random(n) < flip)
    profile = LEARNED.profile
    cells = cells_of(profile, *scores_and_sides(profile, BINARY, inputs, outputs))
    size = len(profile.chance)
    shift = () if profile.shift is None else profile.shift.columns
    features = [np.bincount(coarse_bins(c, inputs[c.name]), minlength=c.size) for c in shift]
    rows = np.bincount(cells, minlength=size)
    seen = Seen(rows.tolist(), [n for bins in features for n in bins.tolist()], strange)
    return seen, rows.astype(float), np.bincount(cells, truth, minlength=size)


def told(metric: str, steep: float, flip: float, strange: int = 0, n: int = 4_000) -> Explained:
    """The split of one block."""
    made = splits(LEARNED, [metric], 0.0, counted(n, steep, flip, strange), Tie())
    found = explained(QUALITY[metric], [made[metric]])  # type: ignore[index]
    assert found is not None
    return found


@pytest.mark.parametrize("metric", ["roc_auc", "error", "brier"])
def test_harder_rows_explain_a_fall_that_could_be_expected_of_them(metric: str) -> None:
    found = told(metric, 0.3, 0.0)
    assert not found.changed
    assert found.by_inputs > 0.03
    assert abs(found.by_relation) < found.by_inputs / 4.0


@pytest.mark.parametrize("metric", ["roc_auc", "error", "brier"])
def test_rows_as_before_that_come_true_otherwise_explain_nothing(metric: str) -> None:
    found = told(metric, 2.0, 0.2)
    assert found.changed
    assert found.by_relation > 0.03
    assert abs(found.by_inputs) < found.by_relation / 4.0


@pytest.mark.parametrize("metric", ["roc_auc", "error"])
def test_of_both_at_once_the_larger_part_decides(metric: str) -> None:
    assert not told(metric, 0.3, 0.02).changed
    assert told(metric, 1.6, 0.3).changed


def test_rows_too_strange_for_an_estimate_are_held_against_plain_chances() -> None:
    calm, strange = told("error", 2.0, 0.0), told("error", 2.0, 0.0, strange=4_000)
    assert strange.expected == pytest.approx(calm.expected, abs=0.01)


@pytest.mark.parametrize("n", [1, 40])
def test_what_is_not_defined_for_few_rows_is_not_split(n: int) -> None:
    seen, rows, hits = counted(n, 2.0, 0.0)
    assert not splits(LEARNED, ["roc_auc"], 0.0, (seen, rows, hits * 0.0), Tie())


def test_a_metric_that_nothing_can_be_expected_of_is_not_split() -> None:
    assert not splits(LEARNED, ["cost"], 0.0, counted(400, 2.0, 0.0), Tie())


def test_blocks_count_by_their_rows_and_no_block_says_nothing() -> None:
    quality = QualityProfile(metric="error", value=0.1, lower=0.09, upper=0.11, n=1000)
    found = explained(quality, [Split(0.0, 100, 0.1, 0.2), Split(1.0, 300, 0.14, 0.4)])
    assert found is not None
    assert found.expected == pytest.approx(0.13)
    assert found.real == pytest.approx(0.35)
    assert "error was 0.1 on the reference, 0.13 is expected of the rows that came" in str(found)
    assert explained(quality, []) is None


def test_the_newer_blocks_say_by_themselves_how_labels_go_with_chances() -> None:
    """The first ones may be from before the fault."""
    ties = [Tie(2**n, spread=10.0, joint=10.0 * kept) for n, kept in enumerate([1.0] * 6 + [-1.0])]
    made = [Split(float(start), tie.n, 0.8, 0.4, tie) for start, tie in enumerate(ties)]
    found = explained(QUALITY["roc_auc"], made)
    assert found is not None
    half, last = found.lately
    assert (found.tie.n, half.n, last.n) == (127, 64 + 32 + 16 + 8, 64 + 32 + 16)
    assert last.kept == pytest.approx(1.0 / 3.0)
    alone = explained(QUALITY["roc_auc"], made[:1])
    assert alone is not None
    assert alone.lately == (alone.tie, alone.tie)
