"""What is estimated of quality without labels, and what is refused."""

from typing import Any

import msgspec
import numpy as np
import pytest
from tests.support.traffic import BINARY, DAY, columns, reference

from trimtab.domain.profile import Coarse, EstimateProfile, ReferenceProfile
from trimtab.domain.records import CodedTexts
from trimtab.domain.records import Column as Values
from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.judge.estimate import (
    CoarseBins,
    Estimate,
    Learned,
    Refusal,
    Seen,
    cells_of,
    coarse_bins,
    estimate,
    recalibrated,
    scores_and_sides,
    strange_rows,
)
from trimtab.judge.profile import Reference, build_profile

REGRESSION = Signature(
    (Column("level", Datatype.FP64), Column("side", Datatype.BYTES)),
    (Output("prediction", Datatype.FP64),),
    "regression",
)
THREE = Signature(
    REGRESSION.inputs,
    (Output("scores", Datatype.FP64, (3,)), Output("label", Datatype.BYTES)),
    "multiclass",
    ("a", "b", "c"),
)


def made(profile: ReferenceProfile) -> EstimateProfile:
    """What it learned for estimates."""
    assert profile.estimate is not None
    return profile.estimate


def learned(profile: ReferenceProfile) -> Learned:
    """The same, with what each block asks of it."""
    return Learned.of(made(profile))


def seen(profile: ReferenceProfile, signature: Signature, inputs: Any, outputs: Any) -> Seen:
    """Rows counted as the family does, all with an output."""
    shape = made(profile)
    score, side = scores_and_sides(shape, signature, inputs, outputs)
    cells = np.bincount(cells_of(shape, score, side), minlength=len(shape.chance))
    values = {**inputs, "": outputs.get("prediction", score)}
    features = [
        np.bincount(coarse_bins(c, values[c.name]), minlength=c.size).tolist()
        for c in (shape.shift.columns if shape.shift else ())
    ]
    strange = int(strange_rows(profile.inputs, inputs, len(inputs["level"])).sum())
    return Seen(cells.tolist(), [n for bins in features for n in bins], strange)


def binary(rng: np.random.Generator, n: int, right: float = 0.5) -> tuple[Any, Any, np.ndarray]:
    """Rows whose labels come true as the score says on the left, half as often on the right."""
    inputs = columns(rng, n)
    inputs["side"] = np.where(rng.random(n) < right, "right", "left").astype(object)
    score = rng.beta(2.0, 2.0, n)
    truth = rng.random(n) < score * np.where(inputs["side"] == "right", 0.5, 1.0)
    return inputs, {"score": score}, truth


def two_sided(n: int = 20_000) -> ReferenceProfile:
    """The profile of such rows."""
    inputs, outputs, truth = binary(np.random.default_rng(1), n)
    label = np.where(truth, "1", "0").astype(object)
    return build_profile(Reference(BINARY, inputs, outputs, label))


def realised(outputs: Any, truth: np.ndarray) -> dict[str, float]:
    """What the labels say."""
    score = outputs["score"]
    decided, near = score >= 0.5, np.clip(np.where(truth, score, 1.0 - score), 1e-3, 1.0)
    both = float((decided & truth).sum())
    up, down = score[truth], score[~truth]
    return {
        "error": float((decided != truth).mean()),
        "brier": float(((score - truth) ** 2).mean()),
        "log_loss": float(-np.log(near).mean() / np.log(1000.0)),
        "precision": both / decided.sum(),
        "recall": both / truth.sum(),
        "f1": 2 * both / (decided.sum() + truth.sum()),
        "roc_auc": float((up[:, np.newaxis] > down).mean()),
    }


SIDES = two_sided()


@pytest.mark.parametrize(
    "metric", ["error", "brier", "log_loss", "precision", "recall", "f1", "roc_auc"]
)
@pytest.mark.parametrize("right", [0.5, 0.9], ids=["as the reference", "shifted"])
def test_the_interval_covers_what_labels_say_later(metric: str, right: float) -> None:
    """Also where the inputs have moved to where chances differ."""
    inside = []
    for seed in range(40):
        inputs, outputs, truth = binary(np.random.default_rng(100 + seed), 1500, right)
        found = estimate(learned(SIDES), seen(SIDES, BINARY, inputs, outputs), metric)
        assert isinstance(found, Estimate)
        inside.append(found.lower <= realised(outputs, truth)[metric] <= found.upper)
    assert np.mean(inside) >= 0.85


def test_covariate_shift_moves_the_estimate_to_where_it_belongs() -> None:
    inputs, outputs, truth = binary(np.random.default_rng(5), 4000, right=1.0)
    counted = seen(SIDES, BINARY, inputs, outputs)
    found = estimate(learned(SIDES), counted, "brier")
    unmoved = estimate(
        Learned.of(msgspec.structs.replace(made(SIDES), shift=None)), counted, "brier"
    )
    assert isinstance(found, Estimate)
    assert isinstance(unmoved, Estimate)
    real = realised(outputs, truth)["brier"]
    assert abs(found.value - real) < abs(unmoved.value - real) / 2
    assert found.moved == pytest.approx(found.value - unmoved.value)
    assert found.effective < unmoved.effective == 20_000
    assert found.upper - found.lower > unmoved.upper - unmoved.lower


def test_without_shift_nothing_is_corrected() -> None:
    inputs, outputs, _ = binary(np.random.default_rng(6), 4000)
    found = estimate(learned(SIDES), seen(SIDES, BINARY, inputs, outputs), "error")
    assert isinstance(found, Estimate)
    assert abs(found.moved) < 0.002


def test_recalibrated_chances_rise_with_the_score_and_are_probabilities() -> None:
    inputs, outputs, _ = binary(np.random.default_rng(7), 4000, right=1.0)
    for part in np.split(recalibrated(learned(SIDES), seen(SIDES, BINARY, inputs, outputs)), 2):
        assert np.diff(part).min() >= 0.0
        assert part.min() >= 0.0
        assert part.max() <= 1.0


def reason(found: Estimate | Refusal) -> str:
    """Why it was refused."""
    assert isinstance(found, Refusal)
    return found.reason


def test_few_rows_are_refused() -> None:
    inputs, outputs, _ = binary(np.random.default_rng(8), 99)
    assert "99 rows" in reason(estimate(learned(SIDES), seen(SIDES, BINARY, inputs, outputs), "f1"))


def test_another_metric_is_refused() -> None:
    assert "squared_error cannot" in reason(estimate(learned(SIDES), Seen(), "squared_error"))


@pytest.mark.parametrize(
    "values", [{"level": 99.0}, {"side": "up"}, {"level": np.nan}, {"side": None}]
)
def test_rows_unlike_any_of_the_reference_are_refused(values: dict[str, Any]) -> None:
    inputs, outputs, _ = binary(np.random.default_rng(9), 1000)
    for name, value in values.items():
        inputs[name][:60] = value
    found = estimate(learned(SIDES), seen(SIDES, BINARY, inputs, outputs), "error")
    assert "6% of the rows have values that the reference never held" in reason(found)


def test_a_reference_that_is_worth_too_little_is_refused() -> None:
    """Each column within its range, together far from everything."""
    inputs, outputs, _ = binary(np.random.default_rng(10), 500)
    small = two_sided(400)
    inputs["level"][:] = 10.0
    inputs["side"][:] = "right"
    found = estimate(learned(small), seen(small, BINARY, inputs, outputs), "error")
    assert "worth" in reason(found)


def test_a_metric_without_its_class_is_refused() -> None:
    inputs, outputs, _ = binary(np.random.default_rng(11), 400)
    outputs["score"] = np.full(400, 0.01)
    found = estimate(learned(SIDES), seen(SIDES, BINARY, inputs, outputs), "precision")
    assert "not defined" in reason(found)


def test_days_that_differ_widen_the_interval_and_more_days_narrow_it() -> None:
    timed = reference(days=30)
    assert timed.time is not None
    assert timed.label is not None
    day = (timed.time // DAY).astype(int)
    rng = np.random.default_rng(3)
    flip = rng.random(day.size) < np.where(day % 2, 0.3, 0.0)
    label = np.where(flip, np.where(timed.label == "1", "0", "1"), timed.label).astype(object)
    wild = build_profile(
        Reference(BINARY, timed.inputs, timed.outputs, label, timed.time, timed.segments)
    )
    calm = build_profile(timed)
    widths = {}
    for name, profile, days in (("calm", calm, 1), ("wild", wild, 1), ("week", wild, 7)):
        counted = seen(profile, BINARY, timed.inputs, timed.outputs)
        found = estimate(learned(profile), counted, "error", days)
        assert isinstance(found, Estimate)
        widths[name] = found.upper - found.lower
    assert widths["wild"] > 3 * widths["calm"]
    assert widths["wild"] > widths["week"] > widths["calm"]
    assert made(wild).drifts[0] > 10 * made(calm).drifts[0]


def test_days_on_which_a_metric_is_not_defined_say_nothing_of_how_days_differ() -> None:
    timed = reference(days=8)
    assert timed.time is not None
    score = np.where(timed.time < DAY, timed.outputs["score"], timed.outputs["score"] * 0.45)
    outputs = {"score": score}
    built = build_profile(Reference(BINARY, timed.inputs, outputs, timed.label, timed.time))
    wobbles = {each.metric: each.variance for each in made(built).wobbles}
    assert wobbles["precision"] == 0.0
    assert set(wobbles) == set(made(built).metrics)


def three(rng: np.random.Generator, n: int) -> tuple[Any, Any, np.ndarray]:
    """Rows of three classes, the true one drawn by the scores."""
    scores = rng.dirichlet([1.0, 1.0, 1.0], n)
    names = np.array(["a", "b", "c"], dtype=object)
    truth = names[(rng.random(n)[:, np.newaxis] > scores.cumsum(axis=1)).sum(axis=1)]
    rows = np.empty(n, dtype=object)
    rows[:] = scores.tolist()
    return columns(rng, n), {"scores": rows, "label": names[scores.argmax(axis=1)]}, truth


def test_the_error_of_many_classes_is_estimated() -> None:
    inputs, outputs, truth = three(np.random.default_rng(1), 8000)
    profile = build_profile(Reference(THREE, inputs, outputs, truth))
    inputs, outputs, truth = three(np.random.default_rng(2), 3000)
    found = estimate(learned(profile), seen(profile, THREE, inputs, outputs), "error")
    assert isinstance(found, Estimate)
    assert found.lower <= float((outputs["label"] != truth).mean()) <= found.upper
    assert made(profile).sides == THREE.classes


def test_a_class_that_is_never_predicted_has_the_overall_chance() -> None:
    inputs, outputs, truth = three(np.random.default_rng(3), 3000)
    kept = outputs["label"] != "c"
    part = {name: column[kept] for name, column in outputs.items()}
    taken = {name: column[kept] for name, column in inputs.items()}
    profile = build_profile(Reference(THREE, taken, part, truth[kept]))
    chance = np.split(np.array(made(profile).chance), 3)[2]
    assert chance == pytest.approx(float((part["label"] == truth[kept]).mean()), abs=1e-5)


def test_labels_without_scores_and_unknown_classes() -> None:
    """A model may answer with a class alone; a class of no reference has no chance."""
    inputs, outputs, truth = three(np.random.default_rng(4), 2000)
    bare = {"label": outputs["label"]}
    profile = build_profile(Reference(THREE, inputs, bare, truth))
    score, side = scores_and_sides(
        made(profile), THREE, inputs, {"label": np.array(["b", "z", None], dtype=object)}
    )
    assert np.isnan(score).tolist() == [False, True, True]
    assert side.tolist() == [1, 0, 0]


def amounts(rng: np.random.Generator, n: int, right: float = 0.5) -> tuple[Any, Any, np.ndarray]:
    """A regression that errs three times as far on high levels of the right."""
    inputs = columns(rng, n)
    inputs["side"] = np.where(rng.random(n) < right, "right", "left").astype(object)
    wild = (inputs["side"] == "right") & (inputs["level"] > 10.0)
    predicted = 5.0 * inputs["level"]
    return inputs, {"prediction": predicted}, predicted + rng.normal(0, np.where(wild, 3.0, 1.0))


@pytest.mark.parametrize("right", [0.5, 0.95])
def test_the_loss_of_a_regression_is_estimated_where_it_depends_on_the_inputs(right: float) -> None:
    inputs, outputs, truth = amounts(np.random.default_rng(1), 8000)
    label = np.array([repr(float(each)) for each in truth], dtype=object)
    profile = build_profile(Reference(REGRESSION, inputs, outputs, label))
    scale = profile.quality[0].scale
    inputs, outputs, truth = amounts(np.random.default_rng(2), 4000, right)
    found = estimate(learned(profile), seen(profile, REGRESSION, inputs, outputs), "squared_error")
    assert isinstance(found, Estimate)
    lost = np.minimum((outputs["prediction"] - truth) ** 2 / scale, 1.0)
    assert found.lower <= float(lost.mean()) <= found.upper
    assert found.upper - found.lower < 0.25 * found.value


def test_what_has_no_labels_or_no_metric_learns_nothing() -> None:
    whole = reference(days=1, per_day=150)
    few = whole.take(np.arange(150) < 80)
    bare = Reference(BINARY, whole.inputs, whole.outputs)
    none = Reference(BINARY, whole.inputs, whole.outputs, np.full(150, None, dtype=object))
    other = Signature(BINARY.inputs, (), "other")
    unscored = Reference(other, whole.inputs, {"odd": whole.outputs["score"]}, whole.label)
    for given in (few, bare, none, unscored):
        assert build_profile(given).estimate is None
    assert build_profile(whole).estimate is not None


def test_too_many_classes_are_not_learned() -> None:
    inputs, outputs, truth = three(np.random.default_rng(5), 500)
    many = msgspec.structs.replace(THREE, classes=tuple(f"c{i}" for i in range(40)))
    assert build_profile(Reference(many, inputs, outputs, truth)).estimate is None


def test_a_profile_is_small_and_the_same_each_time() -> None:
    first, again = (msgspec.json.encode(two_sided(3000)) for _ in range(2))
    assert first == again
    assert len(first) < 120_000


def test_a_profile_of_before_is_still_read() -> None:
    old = msgspec.json.decode(msgspec.json.encode(SIDES))
    del old["estimate"]
    assert msgspec.convert(old, ReferenceProfile).estimate is None


def test_columns_of_little_room_are_left_to_those_that_tell_most() -> None:
    rng = np.random.default_rng(12)
    inputs, outputs, truth = binary(rng, 3000)
    noise = {f"noise{i:02}": rng.normal(size=3000) for i in range(20)}
    label = np.where(truth, "1", "0").astype(object)
    profile = build_profile(Reference(BINARY, {**noise, **inputs}, outputs, label))
    shift = made(profile).shift
    assert shift is not None
    assert len(shift.mean) <= 64
    assert shift.columns[0].name == "side"


def test_coarse_bins_have_a_place_for_others_and_for_missing_values() -> None:
    numbers = Coarse(name="x", cuts=(1.0, 2.0))
    assert coarse_bins(numbers, np.array([1.0, 1.5, 9.0, np.nan])).tolist() == [0, 1, 2, 3]
    words = Coarse(name="w", categories=("a",))
    assert coarse_bins(words, np.array(["a", "b", None], dtype=object)).tolist() == [0, 1, 2]


def test_strange_rows_are_the_same_for_coded_texts() -> None:
    inputs, outputs, truth = binary(np.random.default_rng(13), 300)
    label = np.where(truth, "1", "0").astype(object)
    profile = build_profile(Reference(BINARY, inputs, outputs, label))
    inputs["side"][:4] = ["new", None, "", inputs["side"][5]]
    inputs["level"][4:7] = [np.nan, 1e9, -1e9]
    found = strange_rows(profile.inputs, inputs, 300)
    assert np.flatnonzero(found).tolist() == [0, 1, 2, 4, 5, 6]
    coded = {**inputs, "side": CodedTexts.of(inputs["side"])}
    assert strange_rows(profile.inputs, coded, 300).tolist() == found.tolist()


def test_categories_beyond_those_listed_are_not_strange() -> None:
    """A column of free text brings new ones all the time."""
    inputs, outputs, truth = binary(np.random.default_rng(13), 3000)
    inputs["side"] = np.array([f"n{i % 500}" for i in range(3000)], dtype=object)
    label = np.where(truth, "1", "0").astype(object)
    profile = build_profile(Reference(BINARY, inputs, outputs, label))
    inputs["side"] = np.full(3000, "new", dtype=object)
    assert not strange_rows(profile.inputs, inputs, 3000).any()


def test_a_column_without_any_known_value_makes_nothing_strange() -> None:
    inputs, outputs, truth = binary(np.random.default_rng(14), 300)
    inputs["level"][:] = np.nan
    label = np.where(truth, "1", "0").astype(object)
    profile = build_profile(Reference(BINARY, inputs, outputs, label))
    inputs["level"][:] = 5.0
    assert not strange_rows(profile.inputs, inputs, 300).any()


@pytest.mark.parametrize("texts_only", [False, True])
@pytest.mark.parametrize("n", [0, 1, 50, 2500])
def test_bins_of_many_columns_are_those_of_each(n: int, texts_only: bool) -> None:
    rng = np.random.default_rng(n)
    cuts = Coarse(name="a", cuts=(-1.0, 0.0, 1.0)), Coarse(name="b", cuts=(0.5,)), Coarse(name="c")
    words = Coarse(name="d", categories=("x", "y"))
    numbers = rng.choice([-2.0, -1.0, 0.5, 3.0, np.nan, np.inf, -np.inf], (3, n))
    spoken = np.array(["x", "y", "z", None], dtype=object)[rng.integers(0, 4, n)]
    columns: tuple[Coarse, ...] = (words, words)
    values: list[Values] = [CodedTexts.of(spoken), spoken]
    if not texts_only:
        columns, values = (*cuts, *columns), [*numbers, *values]
    found = CoarseBins(columns).of(values)
    each = [coarse_bins(column, held) for column, held in zip(columns, values, strict=True)]
    assert found.tolist() == [bins.tolist() for bins in each]
