"""Fast counts are those of the monitors, to the bit, however the table is cut and typed."""

from functools import reduce
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.traffic import (
    BINARY,
    DAY,
    STABLE,
    Change,
    changed,
    labelled,
    profile,
    related_profile,
    rows,
    spec,
)

from trimtab.domain.deployment import ScalePlan
from trimtab.domain.records import Rows
from trimtab.judge.column_profile import column_profile
from trimtab.judge.estimate import strange_rows as slow_strange_rows
from trimtab.judge.monitors import Monitors
from trimtab.judge.reports import Surroundings
from trimtab.judge.signals.breaks import Cell, Recent
from trimtab.judge.signals.counts import Bins, merged
from trimtab.judge.signals.registry import SERVED
from trimtab.monitoring import counting, timeline
from trimtab.monitoring.arrays import Coded, coded, numbers
from trimtab.monitoring.counting import Division, Segments, Vocabulary
from trimtab.monitoring.estimating import strange_rows
from trimtab.monitoring.judging import Judging
from trimtab.monitoring.precount import Precount, Subject
from trimtab.monitoring.sources import TableSource
from trimtab.monitoring.timeline import Part

PROFILE = msgspec.structs.replace(profile(), multivariate=related_profile().multivariate)
FIRST = 20
SUBJECT = Subject(BINARY, PROFILE, STABLE.digest, "score", "label")
KINDS: dict[str, Any] = {"level": "number", "side": "text", "score": "number", "label": "label"}
CHANGES = (
    Change(),
    Change(missing=0.2),
    Change(missing=1.0),
    Change(missing=0.5, only="left"),
    Change(factor=40.0),
    Change(factor=-3.0, missing=0.1),
    Change(shift=0.037),
)


def taken(precount: Precount, part: Part) -> Any:
    """The part as it is counted."""
    return precount.count(part, precount.segments(part), precount.truth(part))


def table_of(given_rows: Rows, label: np.ndarray) -> pa.Table:
    """The rows as a user would have them."""
    return pa.table(
        {
            "when": pa.array((given_rows.fixed["event_time"] * 1e6).astype("datetime64[us]")),
            "level": pa.array(given_rows.inputs["level"], from_pandas=True),
            "side": pa.array(given_rows.inputs["side"].tolist(), pa.string()),
            "score": pa.array(given_rows.outputs["score"]),
            "label": pa.array([int(text) for text in label]),
        }
    )


def days(changes: list[Change], n: int = 240) -> Rows:
    """A day for each change, with a few texts that were never seen."""
    parts = []
    for day, change in enumerate(changes):
        part = changed(rows(n, seed=day, start=(FIRST + day) * DAY), change, day)
        side = part.inputs["side"].copy()
        side[:: 7 + day] = None
        side[3 :: 11 + 40 * (day % 2)] = "beyond"
        parts.append(Rows(part.fixed, {**part.inputs, "side": side}, part.outputs))
    return Rows(
        *(
            {name: np.concatenate([getattr(p, kind)[name] for p in parts]) for name in names}
            for kind, names in (
                ("fixed", parts[0].fixed),
                ("inputs", ("level", "side")),
                ("outputs", ("score",)),
            )
        )
    )


def line_of(table: pa.Table) -> timeline.Timeline:
    source = TableSource(table)
    return timeline.by_time(source, "when", DAY, timeline.read_dates(source, "when"))


@settings(max_examples=12)
@given(st.lists(st.sampled_from(CHANGES), min_size=1, max_size=6))
def test_a_table_leaves_monitors_as_rows_of_the_log_do(changes: list[Change]) -> None:
    given_rows = days(changes)
    truth = labelled(given_rows, seed=1)
    table = table_of(given_rows, truth.label)
    plan = spec(maturity_seconds=0.0, block_seconds=DAY)
    plan = msgspec.structs.replace(plan, scale=ScalePlan(max=1))
    judging = Judging(plan, SUBJECT, 0.0)
    plain = Monitors.start(plan, BINARY, PROFILE, STABLE.digest, 0.0)
    day_of = np.floor(given_rows.fixed["event_time"] / DAY).astype(int)
    for day in np.unique(day_of).tolist():
        mask = day_of == day
        plain.observe(given_rows.take(mask))
        plain.learn(truth.take(mask))
        plain.assess((day + 1) * DAY + 3600.0, (), Surroundings())
    precount = Precount(judging.monitors, SUBJECT)
    for part in timeline.parts(TableSource(table), line_of(table), KINDS):
        judging.close(part.complete)
        judging.take(part.number, taken(precount, part))
    judging.close()
    for mine, theirs in zip(judging.monitors.families, plain.families, strict=True):
        if not isinstance(mine, tuple(SERVED)):
            assert msgspec.json.encode(mine.state) == msgspec.json.encode(theirs.state), mine.name


@settings(max_examples=10)
@given(st.sampled_from(CHANGES), st.integers(1, 5), st.randoms(use_true_random=False))
def test_parts_merge_to_the_whole_in_any_order(change: Change, pieces: int, chance: Any) -> None:
    given_rows = days([change])
    table = table_of(given_rows, labelled(given_rows).label)
    judging = Judging(spec(block_seconds=DAY), SUBJECT, 0.0)
    precount = Precount(judging.monitors, SUBJECT)

    def counted(part_of: pa.Table) -> Any:
        (part,) = timeline.parts(TableSource(part_of), line_of(table), KINDS)
        return taken(precount, part)

    size = -(-len(table) // pieces)
    parts = [counted(table.slice(start, size)) for start in range(0, len(table), size)]
    chance.shuffle(parts)
    whole = counted(table)
    for family, block in whole.items():
        assert reduce(merged, [part[family] for part in parts]) == block, family


@settings(max_examples=15)
@given(st.lists(st.sampled_from(CHANGES), min_size=1, max_size=3), st.integers(0, 3))
def test_each_family_would_count_the_same_of_the_rows(changes: list[Change], nth: int) -> None:
    """What is not counted by the fast way counts the same lazy rows."""
    given_rows = days(changes)
    score = given_rows.outputs["score"].copy()
    score[:: 5 + nth] = np.nan
    given_rows = Rows(given_rows.fixed, given_rows.inputs, {"score": score})
    table = table_of(given_rows, labelled(days(changes)).label)
    judging = Judging(spec(block_seconds=DAY, quality="roc_auc"), SUBJECT, 0.0)
    precount = Precount(judging.monitors, SUBJECT)
    for part in timeline.parts(TableSource(table), line_of(table), KINDS):
        counted, truth = taken(precount, part), precount.truth(part)
        assert truth is not None
        for family in judging.monitors.families:
            if not isinstance(family, tuple(SERVED)):
                slow = merged(family.count(precount.rows(part)), family.learn(truth.known))
                assert counted[family.name] == slow, family.name


numbers_of = st.lists(
    st.one_of(
        st.floats(width=32, allow_nan=True, allow_infinity=True),
        st.integers(-5, 5).map(float),
    ),
    min_size=1,
    max_size=60,
)


@settings(max_examples=300)
@given(numbers_of, numbers_of, st.sampled_from(["float64", "float32", "float16"]))
def test_floats_of_every_width_are_counted_as_the_judge_counts(
    reference: list[float], live: list[float], dtype: str
) -> None:
    with np.errstate(over="ignore"):
        values = np.array(live).astype(dtype)
    compare(np.array(reference), values, np.asarray(values, dtype=np.float64))


@settings(max_examples=200)
@given(
    st.lists(st.integers(-3, 200), min_size=1, max_size=200),
    st.lists(st.integers(0, 127), min_size=1, max_size=60),
    st.sampled_from(["int8", "uint8", "int32", "uint64", "int64"]),
    st.booleans(),
)
def test_whole_numbers_of_every_type_are_counted_as_the_judge_counts(
    reference: list[int], live: list[int], dtype: str, often: bool
) -> None:
    values = np.array(live).astype(dtype)
    compare(np.repeat(np.array(reference, float), 60 if often else 1), values, values.astype(float))


def compare(reference: np.ndarray, values: np.ndarray, plain: np.ndarray) -> None:
    """The fast count of `values` and the judge's of the same numbers as floats."""
    held = reference[~np.isinf(reference)]
    if not held.size:
        return
    known = column_profile("x", held, None)
    recent = Recent.of(known)
    half = np.arange(values.size) % 2 == 0
    texts = Coded(pa.array(["a", "b"]), np.where(half, 0, 1))
    segments = Segments((Division(("s=a",), texts, np.array([0, 1, 1])),))
    made = counting.count_numbers(known, recent, values, segments)
    missing, strange = np.isnan(plain), recent.strange(known, plain)
    assert made.bins == Bins.of(known, plain)
    assert made.seen == recent.look(known, plain)[0]
    assert made.cells["x\n"] == Cell.of(missing, strange)
    assert made.cells["x\ns=a"] == Cell.of(missing[half], strange[half])


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from(["a", "b", "c", "", None]), min_size=1, max_size=40),
    st.lists(st.sampled_from(["a", "b", "d", "e", "", None]), min_size=1, max_size=40),
    st.sampled_from(
        [pa.string(), pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]
    ),
)
def test_texts_in_every_layout_are_counted_as_the_judge_counts(
    reference: list[str | None], live: list[str | None], layout: pa.DataType
) -> None:
    known = column_profile("x", np.array(reference, dtype=object), None)
    recent, plain = Recent.of(known), np.array(live, dtype=object)
    column = pa.array(live, pa.string()).cast(layout)
    nobody = Segments()
    made = counting.count_texts(Vocabulary(known), known, recent, coded(column), nobody)
    missing = np.array([value is None for value in live])
    strange = recent.strange(known, plain)
    assert made.bins == Bins.of(known, plain)
    assert made.seen == recent.look(known, plain)[0]
    assert made.cells["x\n"] == Cell.of(missing, strange)


def test_an_edge_that_a_narrow_float_cannot_hold_divides_as_it_would_in_full() -> None:
    """0.1 as float32 is a little more than 0.1."""
    compare(
        np.array([0.1] * 3), np.array([0.1], dtype=np.float32), np.array([np.float32(0.1)], float)
    )


def test_whole_numbers_spread_too_far_to_be_listed_are_compared_one_by_one() -> None:
    reference = np.repeat([0.0, 1.0, 1e6], 100)
    values = np.array([0, 1, 1_000_000, 7], dtype=np.int64)
    compare(reference, values, values.astype(float))


@pytest.mark.parametrize("missing", [0, 2])
@pytest.mark.parametrize("leapt", [None, 5.0])
def test_each_row_of_a_leap_within_the_reference_counts(leapt: float | None, missing: int) -> None:
    known = column_profile("x", np.repeat(np.arange(100.0), 60), None)
    recent = Recent(known=list(known.values), lows=[0.0], highs=[5.0], leapt=leapt)
    live = np.array([3.0] * 4 + [90.0] * 9 + [np.nan] * missing)
    made = counting.count_numbers(known, recent, live, Segments())
    seen, strange = recent.look(known, live)
    assert made.seen == seen
    assert seen.leaps == 9
    assert made.cells["x\n"] == Cell.of(np.isnan(live), strange)


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (pa.array([True, False, None]), "f"),
        (pa.array([True, False]), "u"),
        (pa.array([1, None], pa.int64()), "f"),
        (pa.array([1, 2], pa.decimal128(5, 2)), "f"),
        (pa.nulls(3), "f"),
    ],
)
def test_numbers_keep_their_type_where_none_is_missing(column: Any, kind: str) -> None:
    assert numbers(column).dtype.kind == kind


def test_a_dictionary_that_holds_null_is_made_anew() -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), pa.array(["a", None]))
    made = coded(column)
    assert made.objects().tolist() == ["a", None, "a"]


def test_a_part_knows_its_size() -> None:
    assert len(Part(0, 0, np.zeros(3), {})) == 3


def test_a_sample_is_taken_of_each_piece_that_was_read_at_once() -> None:
    part = Part(0, 0, np.arange(10.0), {"level": np.arange(10)}, (6, 3, 1))
    sample = part.sample(2)
    np.testing.assert_array_equal(sample.columns["level"], [0, 3, 6, 7, 8, 9])
    assert sample.times.tolist() == [0, 3, 6, 7, 8, 9]
    whole = Part(0, 0, np.arange(10.0), {})
    assert whole.sample(3).times.tolist() == [0, 3, 6, 9]


@pytest.mark.parametrize("name", ["plain", "none missing", "none listed"])
def test_strange_rows_are_those_of_the_estimate(name: str) -> None:
    rng = np.random.default_rng(3)
    number, text = rng.normal(size=40), rng.choice(np.array(["a", "b"], dtype=object), 40)
    if name == "plain":
        number[3], text[4] = np.nan, None
    if name == "none listed":
        text = np.array([f"t{i}" for i in range(100)], dtype=object)
    known = (column_profile("x", number, None), column_profile("s", text, None))
    live_text = np.array(["a", "c", None, "", "b"] * 4, dtype=object)
    live = np.append(rng.normal(size=18) * 3.0, [np.nan, np.inf])
    values: dict[str, Any] = {"x": live, "s": coded(pa.array(live_text.tolist(), pa.string()))}
    nobody = Segments()
    counts = {"x": counting.count_numbers(known[0], Recent.of(known[0]), live, nobody)}
    found = strange_rows(known, values, counts, {"s": Vocabulary(known[1])})
    assert found is not None
    assert (
        found.tolist() == slow_strange_rows(known, {"x": live, "s": live_text}, len(live)).tolist()
    )
