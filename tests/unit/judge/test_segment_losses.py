"""What a reference says of its segments: which there are, and what their rows lose."""

from dataclasses import replace

import numpy as np
import pytest
from tests.support.traffic import BINARY, DAY, reference

from trimtab.domain.profile import SegmentLosses, SegmentProfile
from trimtab.judge.profile import Reference, build_profile
from trimtab.judge.segment_losses import MOST_COLUMNS
from trimtab.judge.signals.segments import value_of
from trimtab.stats.fixed_point import MICRO


def learned(given: Reference) -> SegmentLosses:
    """The segments of the profile of a reference."""
    found = build_profile(given).segment_losses
    assert found is not None
    return found


def by_name(found: SegmentLosses) -> dict[str, SegmentProfile]:
    """Segments by what people call them."""
    columns = found.columns
    return {
        f"{columns[s.column].name} {value_of(columns[s.column], s.place)}": s
        for s in found.segments
    }


def gapped(n: int, seed: int = 0) -> Reference:
    """A reference in which a number is missing in a tenth of the rows, and a few texts are rare."""
    known = reference(days=n)
    rng = np.random.default_rng(seed)
    level = np.array(known.inputs["level"])
    level[rng.random(len(level)) < 0.1] = np.nan
    side = np.array(known.inputs["side"])
    side[:50] = "rare"
    return replace(known, inputs={"level": level, "side": side})


def test_segments_are_categories_quarters_of_numbers_and_missing_values() -> None:
    names = by_name(learned(gapped(10)))
    assert {"side left", "side right", "level missing"} < set(names)
    assert sum(name.startswith("level") for name in names) == 5
    assert not [name for name in names if "rare" in name or "anything" in name]


def test_a_segment_and_its_others_are_all_rows_and_lose_what_they_lost() -> None:
    given = reference(days=10)
    assert given.label is not None
    wrong = (given.outputs["score"] >= BINARY.threshold) != (given.label == "1")
    left = np.array(given.inputs["side"]) == "left"
    gap = by_name(learned(given))["side left"].gap
    assert (gap.n, gap.others_n) == (left.sum(), (~left).sum())
    assert (gap.total, gap.others_total) == (wrong[left].sum() * MICRO, wrong[~left].sum() * MICRO)
    assert gap.promised / gap.n == pytest.approx(gap.total / gap.n, rel=0.1)


def test_by_how_much_a_gap_differs_between_days_is_learned_from_days() -> None:
    known = reference(days=20)
    assert known.time is not None
    assert known.label is not None
    odd = (known.time // DAY) % 2 == 1
    turned = odd & (known.inputs["side"] == "left")
    label = np.where(turned, np.where(known.label == "1", "0", "1"), known.label).astype(object)
    moody = replace(known, label=label)
    assert by_name(learned(moody))["side left"].gap.variance > 0.05
    assert by_name(learned(known))["side left"].gap.variance < 0.002
    assert by_name(learned(replace(moody, time=None)))["side left"].gap.variance == 0.0


def test_of_many_columns_those_are_taken_that_tell_most_of_the_loss() -> None:
    known = reference(days=5)
    rng = np.random.default_rng(0)
    wrong = (known.outputs["score"] >= BINARY.threshold) != (known.label == "1")
    telling = np.where(wrong, "hard", "easy").astype(object)
    noise = {
        f"noise{i}": rng.choice(np.array(["a", "b"], dtype=object), len(wrong))
        for i in range(MOST_COLUMNS + 3)
    }
    found = learned(replace(known, inputs={**noise, "telling": telling}))
    assert len(found.columns) == MOST_COLUMNS
    assert found.columns[0].name == "telling"


def test_a_column_that_does_not_part_the_rows_makes_no_segment() -> None:
    known = reference(days=5)
    one = np.array(["same"] * len(known.inputs["side"]), dtype=object)
    constant = np.full(len(one), 3.0)
    found = learned(replace(known, inputs={"one": one, "constant": constant}))
    assert found == SegmentLosses()


def test_texts_that_all_differ_make_no_segment() -> None:
    known = reference(days=5)
    free = np.array([f"text {i}" for i in range(len(known.inputs["side"]))], dtype=object)
    assert {
        c.name for c in learned(replace(known, inputs={**known.inputs, "t": free})).columns
    } == {
        "side",
        "level",
    }


@pytest.mark.parametrize("change", ["no labels", "no outputs", "none usable", "no task"])
def test_without_losses_there_is_no_segment(change: str) -> None:
    known = reference(days=5)
    assert known.label is not None
    given = {
        "no labels": replace(known, label=None),
        "no outputs": replace(known, outputs={}),
        "none usable": replace(known, label=np.full(len(known.label), "what", dtype=object)),
        "no task": replace(known, signature=type(BINARY)(BINARY.inputs, ()), outputs={}),
    }[change]
    assert learned(given) == SegmentLosses()
