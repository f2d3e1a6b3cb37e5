"""Labels of one class that others take back, however rare the class is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.domain.records import Fate, Heard
from trimtab.judge.signals.breaks import FEWEST_ROWS
from trimtab.judge.signals.denials import CLASSES, DENIERS, Denials, Said, said

LIMIT = 3.0
BOTH = ("0", "1")

Label = tuple[Fate, str, str]
LABELS = st.lists(
    st.tuples(
        st.sampled_from(list(Fate)), st.sampled_from(["0", "1", "", "7"]), st.text("ab", max_size=2)
    ),
    max_size=20,
)


def heard(labels: list[Label]) -> Heard:
    fate, first, source = (np.array([x[at] for x in labels], dtype=object) for at in range(3))
    other = np.where(first == "1", "0", "1").astype(object)
    said = np.where(fate == Fate.CONTRADICTED, other, first).astype(object)
    return Heard(np.zeros(len(labels)), fate, first, source, said)


def day(given: int, denied: int, name: str = "1", source: str = "ledger") -> dict[str, Said]:
    return {name: Said(given, denied, {source: denied})}


def test_labels_are_counted_by_what_the_first_one_of_their_prediction_says() -> None:
    labels: list[Label] = [
        (Fate.FRESH, "1", "a"),
        (Fate.FRESH, "0", "a"),
        (Fate.CONTRADICTED, "1", "b"),
        (Fate.CONTRADICTED, "1", "c"),
        (Fate.REPEATED, "1", "b"),
        (Fate.UNKNOWN, "0", "b"),
        (Fate.UNKNOWN, "no class", "b"),
        (Fate.FRESH, "no class", "a"),
    ]
    assert said(BOTH, heard(labels)) == {
        "0": Said(1, stray=1, corrected=2),
        "1": Said(1, 2, {"b": 1, "c": 1}),
    }
    assert said((), heard(labels)) == {}
    many = tuple(map(str, range(CLASSES + 1)))
    assert said(many, heard([(Fate.FRESH, many[-1], "a")])) == {}


@given(LABELS, st.integers(0, 20))
def test_counts_of_parts_merge_to_those_of_all(labels: list[Label], cut: int) -> None:
    one, other = (said(BOTH, heard(part)) for part in (labels[:cut], labels[cut:]))
    both = {
        name: one.get(name, Said()).merge(other.get(name, Said()))
        for name in sorted({*one, *other})
    }
    assert both == said(BOTH, heard(labels))


def test_of_too_many_deniers_the_first_are_counted() -> None:
    labels: list[Label] = [(Fate.CONTRADICTED, "1", f"s{each:02}") for each in range(DENIERS + 4)]
    parts = [said(BOTH, heard([label]))["1"] for label in reversed(labels)]
    merged = Said()
    for part in parts:
        merged = merged.merge(part)
    assert merged == said(BOTH, heard(labels))["1"]
    assert (merged.denied, len(merged.sources), merged.denier) == (DENIERS + 4, DENIERS, "")


def test_a_rare_class_that_is_denied_breaks_though_few_of_all_labels_are() -> None:
    denials = Denials()
    for number in range(10):
        denials.take(float(number), {**day(20, 1), **day(600, 1, "0")}, LIMIT)
    assert not denials.broken
    assert denials.evidence < LIMIT
    for number in range(10, 14):
        denials.take(float(number), {**day(20, 14), **day(600, 1, "0")}, LIMIT)
    (watch,) = denials.broken
    assert (watch.column, watch.share, watch.since) == ("1", 0.7, 10.0)
    assert denials.words("1") == "that say 1 are contradicted by later ones, mostly from ledger"
    for number in range(14, 20):
        denials.take(float(number), day(20, 1), LIMIT)
    assert not denials.broken


@pytest.mark.parametrize(("share", "broken"), [(0.15, False), (0.3, False), (0.9, True)])
def test_what_was_always_denied_as_often_is_usual(share: float, broken: bool) -> None:
    """A share that grew little by little to .2 is the past that is compared with."""
    denials = Denials()
    for number in range(20):
        denials.take(float(number), day(100, number), LIMIT)
    for number in range(20, 30):
        denials.take(float(number), day(100, round(100 * share)), LIMIT)
    assert bool(denials.broken) is broken


def test_few_labels_of_a_class_are_judged_once_enough_came() -> None:
    denials, each = Denials(), FEWEST_ROWS // 4
    for number in range(3):
        denials.take(float(number), day(each, each), LIMIT)
        assert not denials.watches
    denials.take(3.0, day(each, each, source=""), LIMIT)
    assert (denials.broken[0].since, denials.broken[0].n) == (0.0, FEWEST_ROWS)
    assert not denials.gathered
    assert "from ledger" in denials.words("1")


def test_labels_of_busy_days_that_are_denied_on_quiet_ones_are_no_more_than_of_busy_days() -> None:
    denials = Denials()
    for number in range(14):
        busy = number % 2 == 0
        denials.take(float(number), day(200, 0) if busy else day(20, 20), LIMIT)
    assert denials.watches["1"].share == 0.1
    assert denials.evidence <= 0.0


def test_a_denier_without_a_name_is_not_named() -> None:
    denials = Denials()
    denials.take(0.0, day(20, 30, source=""), LIMIT)
    assert denials.broken[0].share == 1.0
    assert denials.words("1") == "that say 1 are contradicted by later ones"


def test_no_labels_of_a_class_are_no_evidence() -> None:
    denials = Denials()
    denials.take(0.0, {}, LIMIT)
    assert (denials.evidence, denials.broken) == (0.0, [])
