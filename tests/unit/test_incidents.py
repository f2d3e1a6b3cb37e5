"""The third round of faults of `benchmarks/catalogue` does what its sentences say."""

import numpy as np
import pytest
from catalogue import incidents
from catalogue.effects import HOSTILE
from catalogue.releases import Build, fit
from catalogue.tables import DAY, Table
from catalogue.world import Requests
from tests.support.staged import N, answered, begun, build, data, requests, told, wrong


@pytest.mark.parametrize(
    "name",
    [
        "scale-reversed",
        "app-sends-zero",
        "window-longer",
        "cached-by-caller",
        "release-leaked",
        "release-filtered",
        "worker-old-columns",
        "concept-half-day",
    ],
)
def test_a_fault_that_harms_decisions_makes_more_of_them_wrong(name: str) -> None:
    before, during = wrong(name)
    assert during > before + 0.02


@pytest.mark.parametrize("name", ["latency-creeps", "region-fails", "heavy-caller"])
def test_a_fault_that_harms_callers_leaves_more_of_them_unserved(name: str) -> None:
    effect, scene = begun(name, age=40)
    answers = answered(scene, effect.feed(scene, requests()))
    effect.serve(scene, answers)
    assert (answers.failed | (answers.queue + answers.model > 0.05)).mean() > 0.05


@pytest.mark.parametrize(
    "name", ["scale-reversed", "app-sends-zero", "window-longer", "cached-by-caller"]
)
def test_the_number_that_matters_most_is_changed_and_nothing_else(name: str) -> None:
    effect, scene = begun(name, age=40)
    for _ in range(2):
        made = effect.feed(scene, requests())
    inputs, before = made.rows.inputs, requests().rows.inputs
    assert [each for each in inputs if not np.array_equal(inputs[each], before[each])] == ["level"]


def test_of_skew_training_computes_the_numbers_as_ever_and_of_a_break_it_does_not() -> None:
    for name, same in (("window-longer", True), ("cached-by-caller", True), ("scale-reversed", 0)):
        effect, scene = begun(name)
        for _ in range(2):
            made = effect.feed(scene, requests())
        assert np.array_equal(made.training["level"], requests().training["level"]) == bool(same)


def test_a_reversed_scale_stays_a_scale() -> None:
    effect, scene = begun("scale-reversed")
    kept = data().reference.inputs["level"]
    made = effect.feed(scene, requests()).rows.inputs["level"]
    assert np.allclose(made, kept.min() + kept.max() - requests().rows.inputs["level"])


def test_ever_more_callers_send_zero_and_those_who_do_go_on() -> None:
    hit = []
    for age in (0, 4, 9, 30):
        effect, scene = begun("app-sends-zero", age)
        made = effect.feed(scene, requests())
        hit.append(set(made.unit[made.rows.inputs["level"] == 0.0].tolist()))
    assert hit[0] < hit[1] < hit[2] == hit[3]
    assert 0.7 < len(hit[3]) / 200 < 0.9


def test_a_window_over_nothing_changes_nothing() -> None:
    effect, scene = begun("window-longer")
    asked = requests().changed(level=np.full(N, np.nan))
    assert effect.feed(scene, asked) is asked


def test_a_cached_number_is_one_for_each_caller() -> None:
    effect, scene = begun("cached-by-caller")
    made = effect.feed(scene, requests())
    pairs = set(zip(made.unit.tolist(), made.rows.inputs["level"].tolist(), strict=True))
    assert len(pairs) == len(set(made.unit.tolist())) == 200


def test_labels_of_one_category_are_missing_and_of_no_other() -> None:
    effect, scene = begun("branch-unlabelled")
    asked = effect.feed(scene, requests())
    known = effect.told(scene, told(asked)).request
    assert isinstance(effect, incidents.BranchUnlabelled)
    gone = ~np.isin(told(asked).request.astype(str), known.astype(str))
    assert np.array_equal(gone, effect.inside(scene, asked))


def test_all_positive_labels_are_kept_and_few_negative_ones() -> None:
    effect, scene = begun("negatives-sampled")
    before, after = told(requests()).label, effect.told(scene, told(requests())).label
    assert (after == "1").sum() == (before == "1").sum()
    assert (after == "0").sum() < 0.2 * (before == "0").sum()


def test_misjoined_labels_are_those_of_the_request_before() -> None:
    effect, scene = begun("labels-misjoined")
    before, after = told(requests()), effect.told(scene, told(requests()))
    assert np.array_equal(after.label, np.roll(before.label, 1))
    assert np.array_equal(after.at, before.at)


def test_only_labels_of_one_caller_are_lies() -> None:
    effect, scene = begun("caller-lies")
    asked = effect.feed(scene, requests())
    lies = effect.told(scene, told(asked)).label != told(asked).label
    assert np.array_equal(lies, asked.unit == HOSTILE)
    assert 0.4 < lies.mean() < 0.5


def test_one_worker_of_four_takes_columns_for_others() -> None:
    effect, scene = begun("worker-old-columns")
    answers = answered(scene, requests())
    before = answers.scores
    effect.serve(scene, answers)
    assert set(answers.worker[answers.scores != before]) == {"w0"}


def test_columns_of_words_are_taken_for_others_where_there_is_one_number() -> None:
    effect, scene = begun("worker-old-columns")
    inputs = {name: column for name, column in data().train.inputs.items() if name != "noise"}
    scene.build = Build(fit(Table(inputs, data().train.truth, data().train.seconds)))
    asked = requests()
    kept = {name: asked.rows.inputs[name] for name in inputs}
    rows = Table(kept, asked.rows.truth, asked.rows.seconds)
    answers = answered(scene, Requests(rows, kept, asked.at, asked.unit))
    before = answers.scores
    effect.serve(scene, answers)
    assert set(answers.worker[answers.scores != before]) == {"w0"}


def test_calls_take_longer_from_step_to_step() -> None:
    medians = []
    for age in (0, 20, 39, 60):
        effect, scene = begun("latency-creeps", age)
        answers = answered(scene, requests())
        effect.serve(scene, answers)
        medians.append(float(np.median(answers.model)))
    assert medians[0] < 2 * 0.004 < medians[1] < medians[2] == medians[3]


def test_calls_of_one_category_fail_and_no_others() -> None:
    effect, scene = begun("region-fails")
    answers = answered(scene, requests())
    before = answers.failed.copy()
    effect.serve(scene, answers)
    assert isinstance(effect, incidents.RegionFails)
    assert effect.inside(scene, requests())[answers.failed & ~before].all()


def test_the_truth_turns_around_in_the_second_half_of_the_day_only() -> None:
    effect, scene = begun("concept-half-day")
    turned = effect.world(scene, requests()).rows.truth != requests().rows.truth
    late = requests().at >= DAY / 2.0
    assert not turned[~late].any()
    assert 0.5 < turned[late].mean() < 0.7


def test_more_unsure_rows_of_one_category_come() -> None:
    effect, scene = begun("unsure-in-category")
    weights = effect.weights(scene, requests().rows)
    assert weights is not None
    more = weights > 1.0
    scores = build().scores(requests().rows.inputs)
    assert isinstance(effect, incidents.UnsureInCategory)
    assert 0 < more.sum() < N / 2
    assert effect.inside(scene, requests())[more].all()
    assert ((scores[more] > 0.25) & (scores[more] < 0.75)).all()


def test_one_caller_is_slow_and_the_others_wait() -> None:
    effect, scene = begun("heavy-caller")
    asked = effect.feed(scene, requests())
    answers, before = answered(scene, asked), answered(scene, asked)
    effect.serve(scene, answers)
    slow = answers.model > before.model + 0.1
    assert np.array_equal(slow, asked.unit == HOSTILE)
    assert (answers.queue > before.queue).all()


def test_requests_that_come_twice_are_the_same_ones_in_the_order_of_time() -> None:
    effect, scene = begun("requests-twice")
    made = effect.feed(scene, requests())
    assert len(made) == 2 * N
    assert (np.diff(made.at) >= 0.0).all()
    assert np.array_equal(made.rows.inputs["level"][::2], requests().rows.inputs["level"])


def test_labels_that_come_together_say_the_same_a_little_later() -> None:
    effect, scene = begun("labels-batched")
    before, after = told(requests()), effect.told(scene, told(requests()))
    assert np.array_equal(after.label, before.label)
    assert ((after.at >= before.at) & (after.at <= before.at + 900.0)).all()
    assert len(np.unique(after.at)) < 110


def test_a_source_that_moves_says_the_same_under_another_name() -> None:
    effect, scene = begun("source-renamed")
    before, after = told(requests()), effect.told(scene, told(requests()))
    assert np.array_equal(after.label, before.label)
    assert set(after.source) == {incidents.MIGRATED}


def test_better_machines_are_faster_and_answer_the_same() -> None:
    effect, scene = begun("hardware-faster")
    answers, before = answered(scene, requests()), answered(scene, requests())
    effect.serve(scene, answers)
    assert np.allclose(answers.model, 0.5 * before.model)
    assert np.array_equal(answers.scores, before.scores)
