"""What a release learns of segments, and what is then expected of them."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from tests.support.traffic import BINARY, columns, reference

from trimtab.domain.profile import EstimateProfile, ReferenceProfile, SegmentEstimate
from trimtab.domain.records import CodedTexts
from trimtab.judge import segment_profile
from trimtab.judge.estimate import Estimate, Learned, Seen, estimate, with_costs
from trimtab.judge.profile import Reference, build_profile
from trimtab.judge.segment_estimate import of_segment


def unequal(n: int = 12_000, times: float = 0.4, seed: int = 1, small: float = 0.1) -> Reference:
    """Rows whose scores come true on the left, and less often on the right, which is smaller."""
    rng = np.random.default_rng(seed)
    inputs = columns(rng, n)
    inputs["side"] = np.where(rng.random(n) < small, "right", "left").astype(object)
    score = rng.beta(2.0, 2.0, n)
    truth = rng.random(n) < score * np.where(inputs["side"] == "right", times, 1.0)
    label = np.where(truth, "1", "0").astype(object)
    return Reference(BINARY, inputs, {"score": score}, label, segments=("side",))


def on_the_right(given: Reference) -> np.ndarray:
    """Which rows are on the right."""
    return np.asarray(np.asarray(given.inputs["side"]) == "right", dtype=np.bool_)


def made(profile: ReferenceProfile) -> EstimateProfile:
    """What it learned for estimates."""
    assert profile.estimate is not None
    return profile.estimate


def segment(profile: ReferenceProfile, name: str = "side=right") -> SegmentEstimate:
    """One of its segments."""
    return next(each for each in made(profile).segments if each.name == name)


def learned(profile: ReferenceProfile, name: str = "side=right") -> Learned:
    """What is expected of a segment."""
    return of_segment(Learned.of(made(profile)), made(profile), segment(profile, name))


def gap(profile: ReferenceProfile, name: str = "side=right") -> float:
    """By how much a segment's chances lie below those of all rows."""
    rows = np.array(segment(profile, name).cells)
    apart = np.array(made(profile).chance) - learned(profile, name).chance
    return float(apart @ rows) / float(rows.sum())


def test_a_segment_has_the_chances_of_its_own_rows() -> None:
    profile = build_profile(unequal())
    mine = segment(profile)
    truth = sum(map(sum, mine.hits)) / mine.n
    expected = learned(profile).chance @ np.array(mine.cells) / mine.n
    assert expected == pytest.approx(truth, abs=0.01)
    assert gap(profile) > 0.2


def test_little_is_believed_of_few_rows_that_are_like_all_others() -> None:
    alike = build_profile(unequal(times=1.0, small=0.03))
    mine = segment(alike)
    seen = sum(map(sum, mine.hits)) / mine.n
    usual = np.array(made(alike).chance) @ np.array(mine.cells) / mine.n
    assert abs(gap(alike)) < abs(seen - usual) / 2.0


def test_less_is_known_of_a_segment_than_of_all_rows() -> None:
    profile = build_profile(unequal())
    rows = np.array(segment(profile).cells, dtype=np.float64)
    weight = rows / rows.sum()
    assert learned(profile).variance(weight) > Learned.of(made(profile)).variance(weight)
    assert learned(profile).worth == segment(profile).n


def test_the_interval_of_a_segment_holds_what_its_labels_say() -> None:
    profile = build_profile(unequal())
    own, inside = learned(profile), []
    for seed in range(60):
        live = unequal(2_000, seed=100 + seed)
        right = live.take(on_the_right(live))
        found = estimate(own, seen(profile, right), "error")
        assert isinstance(found, Estimate)
        inside.append(found.lower <= wrong(right) <= found.upper)
    assert np.mean(inside) >= 0.88


def seen(profile: ReferenceProfile, rows: Reference) -> Seen:
    """Rows of a segment, without regard to their inputs."""
    score, cuts = rows.outputs["score"], np.array(made(profile).cuts)
    side = (score >= 0.5).astype(np.int64)
    cells = side * (cuts.size + 1) + np.searchsorted(cuts, score, side="right")
    mean = np.array(segment(profile).features) * score.size
    counts = np.bincount(cells, minlength=len(made(profile).chance))
    return Seen(counts.tolist(), mean.round().astype(int).tolist())


def wrong(rows: Reference) -> float:
    """The share of wrong decisions."""
    assert rows.label is not None
    return float(((rows.outputs["score"] >= 0.5) != (rows.label == "1")).mean())


def test_segments_of_few_rows_are_named_with_their_number_and_not_learned() -> None:
    profile = build_profile(unequal(3_000, small=0.025))
    right = segment(profile)
    assert 60 <= right.n < 100
    assert right.cells == ()
    assert right.quality == ()


def test_of_many_segments_the_largest_are_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_profile, "MOST_SEGMENTS", 1)
    profile = build_profile(unequal())
    assert [bool(each.cells) for each in made(profile).segments] == [True, False]


def test_what_a_segment_was_worth_is_measured_on_its_rows() -> None:
    given = unequal()
    profile = build_profile(given)
    right = given.take(on_the_right(given))
    error = next(each for each in segment(profile).quality if each.metric == "error")
    assert error.value == pytest.approx(wrong(right))
    assert error.lower < error.value < error.upper
    assert sum(map(sum, segment(profile).decisions)) == segment(profile).n == error.n


def test_a_timed_reference_tells_how_days_of_a_segment_differ() -> None:
    profile = build_profile(reference(days=12))
    whole, left = made(profile), segment(profile, "side=left")
    assert len(left.drifts) == len(whole.drifts)
    assert [each.metric for each in left.wobbles] == list(whole.metrics)
    for mine, every in zip(left.wobbles, whole.wobbles, strict=True):
        assert mine.variance >= every.variance
    assert left.quality[0].spread is not None


def test_a_segment_is_learned_alike_from_coded_texts() -> None:
    given = unequal(4_000)
    names = ("left", "right")
    places = on_the_right(given).astype(np.int64)
    coded = replace(given, inputs={**given.inputs, "side": CodedTexts(names, places)})
    assert made(build_profile(coded)).segments == made(build_profile(given)).segments


def test_without_declared_segments_none_is_learned() -> None:
    profile = build_profile(replace(unequal(), segments=()))
    assert made(profile).segments == ()


def test_where_no_shift_is_known_a_segment_has_no_correction_either() -> None:
    profile = build_profile(unequal())
    bare = msgspec.structs.replace(made(profile), shift=None)
    assert of_segment(Learned.of(bare), bare, segment(profile)).ratio is None


def test_costs_of_a_segment_go_by_what_is_decided_of_it() -> None:
    profile = build_profile(reference(days=12))
    whole, half = made(profile), len(made(profile).chance) // 2
    error = next(each for each in profile.quality if each.metric == "error")
    cost = msgspec.structs.replace(error, metric="cost", costs=((0.0, 0.2), (1.0, 0.0)))
    every = np.sum(whole.rows, axis=0).tolist()
    never = [*every[:half], *([0] * half)]
    rare, usual = (with_costs(whole, cost, cells).wobbles[-1] for cells in (never, ()))
    assert rare.variance < usual.variance
