"""The fourth round of faults of `benchmarks/catalogue` does what its sentences say."""

import numpy as np
import pytest
from catalogue import fourth
from catalogue.effects import HOSTILE
from catalogue.releases import Build, fit
from catalogue.tables import DAY, Table
from tests.support.staged import N, answered, begun, build, data, invented, requests, told, wrong


@pytest.mark.parametrize(
    "name", ["counter-wraps", "mimicry", "counted-so-far", "release-truncated", "worker-mixes-up"]
)
def test_a_fault_that_harms_decisions_makes_more_of_them_wrong(name: str) -> None:
    before, during = wrong(name)
    assert during > before + 0.02


def test_one_word_comes_as_another_and_no_word_is_new() -> None:
    effect, scene = begun("words-merged")
    before, after = requests().rows.inputs, effect.feed(scene, requests()).rows.inputs
    assert [name for name in after if not np.array_equal(after[name], before[name])] == ["side"]
    assert len(set(after["side"])) == 1


def test_the_words_that_are_merged_stay_the_same_ones() -> None:
    effect, scene = begun("words-merged")
    first = effect.feed(scene, requests()).rows.inputs["side"]
    scene.build = Build(fit(invented(9)))
    assert np.array_equal(effect.feed(scene, requests()).rows.inputs["side"], first)


def test_a_number_that_wraps_stays_within_its_type() -> None:
    effect, scene = begun("counter-wraps", high=False)
    before, after = requests().rows.inputs["level"], effect.feed(scene, requests())
    values, known = after.rows.inputs["level"], data().reference.inputs["level"]
    assert values.max() <= np.median(known) + 0.01
    moved = ~np.isclose(values, before)
    assert 0.4 < moved.mean() < 0.6
    assert np.array_equal(after.training["level"], values)


def test_positives_that_mimic_have_all_inputs_of_one_negative() -> None:
    effect, scene = begun("mimicry")
    made, before = effect.world(scene, requests()), requests()
    moved = made.rows.inputs["level"] != before.rows.inputs["level"]
    assert np.array_equal(made.rows.truth, before.rows.truth)
    assert before.rows.truth[moved].all()
    assert 0.5 < moved.sum() / before.rows.truth.sum() < 0.7
    negatives = before.rows.inputs["level"][~before.rows.truth]
    assert np.isin(made.rows.inputs["level"][moved], negatives).all()


def test_without_negatives_nobody_is_mimicked() -> None:
    effect, scene = begun("mimicry")
    asked = requests().take(np.flatnonzero(requests().rows.truth))
    assert effect.world(scene, asked) is asked


def test_the_category_of_most_errors_grows_step_by_step() -> None:
    grown = []
    for age in (0, 9, 30):
        effect, scene = begun("hard-market-grows", age)
        weights = effect.weights(scene, requests().rows)
        assert weights is not None
        grown.append(float(weights.max()))
        assert weights.min() == 1.0
    assert grown[0] < grown[1] == grown[2]
    assert np.isclose(grown[2], 15.0)


def test_columns_go_together_more_closely_and_each_keeps_its_shares() -> None:
    effect, scene = begun("goes-together")
    rows = requests().rows
    weights = effect.weights(scene, rows)
    assert weights is not None
    odds = weights / weights.sum()
    one, two = rows.inputs["noise"], rows.inputs["level"]
    together = np.cov(one, two, aweights=odds)
    assert together[0, 1] / np.sqrt(together[0, 0] * together[1, 1]) > 0.15
    for values in (one, two):
        assert abs(np.average(values, weights=odds) - values.mean()) < 0.1 * values.std()


def test_where_there_is_one_number_it_goes_together_with_a_word() -> None:
    effect, scene = begun("goes-together")
    rows = requests().rows
    inputs = {name: column for name, column in rows.inputs.items() if name != "noise"}
    known = {n: c for n, c in data().train.inputs.items() if n != "noise"}
    scene.build = Build(fit(Table(known, data().train.truth, data().train.seconds)))
    effect._names = {"one": "level", "two": "side"}  # type: ignore[attr-defined]
    weights = effect.weights(scene, Table(inputs, rows.truth, rows.seconds))
    assert weights is not None
    side = inputs["side"] == scene.commonest("side")
    level = inputs["level"]
    means = [np.average(level[hit], weights=weights[hit]) for hit in (side, ~side)]
    assert means[0] > means[1] + 0.3


def test_labels_that_are_spelt_otherwise_mean_the_same() -> None:
    effect, scene = begun("labels-respelt")
    before, after = told(requests()), effect.told(scene, told(requests()))
    assert set(after.label) == {"no", "yes"}
    assert np.array_equal(after.label == "yes", before.label == "1")


def test_almost_every_label_is_inverted() -> None:
    effect, scene = begun("labels-inverted", high=False)
    before, after = told(requests()), effect.told(scene, told(requests()))
    assert 0.85 < (before.label != after.label).mean() < 0.95
    assert set(after.label) == {"0", "1"}


def test_a_number_is_less_the_earlier_the_request_and_training_knows_all_of_it() -> None:
    effect, scene = begun("counted-so-far")
    before, made = requests(), effect.feed(scene, requests())
    least = data().reference.inputs["level"].min()
    come = (made.rows.inputs["level"] - least) / (before.rows.inputs["level"] - least)
    assert np.allclose(come, before.at / DAY)
    assert np.array_equal(made.training["level"], before.rows.inputs["level"])


def test_answers_of_one_worker_are_those_of_its_call_before() -> None:
    effect, scene = begun("worker-mixes-up")
    answers = answered(scene, requests())
    before = answers.scores.copy()
    effect.serve(scene, answers)
    mine = answers.worker == "w0"
    assert np.array_equal(answers.scores[mine], np.roll(before[mine], 1))
    assert np.array_equal(answers.scores[~mine], before[~mine])


def test_scores_are_coarse_on_the_workers_that_have_started_since() -> None:
    effect, scene = begun("engine-rounds", age=1)
    answers = answered(scene, requests())
    before = answers.scores.copy()
    effect.machine(scene)
    effect.serve(scene, answers)
    changed = answers.scores != before
    assert set(answers.worker[changed]) == {"w0", "w1"} == set(scene.node.golden)
    assert len(np.unique(np.round(answers.scores[changed], 9))) < 8


def test_all_calls_of_some_hours_fail_and_no_others() -> None:
    effect, scene = begun("rebuilt-at-noon")
    answers = answered(scene, requests())
    answers.failed[:] = False
    effect.serve(scene, answers)
    hours = answers.requests.at % DAY / 3600.0
    assert np.array_equal(answers.failed, (hours >= 12.0) & (hours < 16.0))


def test_a_flood_is_of_one_caller_and_all_wait_behind_it() -> None:
    effect, scene = begun("flood")
    asked = effect.feed(scene, requests())
    flood = asked.unit == HOSTILE
    assert (len(asked), flood.sum()) == (4 * N, 3 * N)
    assert (np.diff(asked.at) >= 0.0).all()
    answers, before = answered(scene, asked), answered(scene, asked)
    effect.serve(scene, answers)
    assert (answers.queue > before.queue).all()
    assert (answers.queue > 0.05).mean() > 0.3
    labelled = effect.told(scene, told(asked)).request
    assert np.array_equal(np.isin(told(asked).request.astype(str), labelled.astype(str)), ~flood)


def test_what_a_queue_held_back_comes_in_the_next_step() -> None:
    effect, scene = begun("backlog", age=0)
    assert len(effect.feed(scene, requests())) == 0
    scene.age = 1
    tomorrow = requests()
    later = type(tomorrow)(tomorrow.rows, tomorrow.training, tomorrow.at + DAY, tomorrow.unit)
    made = effect.feed(scene, later)
    assert len(made) == 2 * N
    assert (np.diff(made.at) >= 0.0).all()
    assert made.at.min() >= DAY
    early = made.at < DAY * (1.0 + fourth.CAUGHT_UP)
    assert early.sum() == N + (later.at < DAY * (1.0 + fourth.CAUGHT_UP)).sum()
    scene.age = 2
    assert len(effect.feed(scene, later)) == N


def test_nobody_is_asked_about_more_than_there_is() -> None:
    assert build().scores(fourth._spread_out(data().reference).inputs).shape == (fourth.TRIED,)
