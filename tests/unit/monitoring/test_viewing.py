"""Tables with free texts, and with columns that go together, are judged as the served loop does."""

import numpy as np
import pyarrow as pa
import pytest
from tests.support.tables import MEANING, table

import trimtab
from trimtab.domain.profile import ColumnProfile
from trimtab.judge.free_text import View, seen
from trimtab.monitoring.arrays import Coded, coded
from trimtab.monitoring.timeline import Part
from trimtab.monitoring.viewing import with_views

WORDS = ["order", "refund", "late", "broken", "thanks", "please", "box", "wet"]


def with_notes(data: pa.Table, seed: int, longest: int = 9) -> pa.Table:
    """The table with a free text, and with a number that goes with another."""
    rng = np.random.default_rng(seed)
    count = data.num_rows
    lengths = rng.integers(2, longest, count).tolist()
    texts = [f"{' '.join(rng.choice(WORDS, n))} {seed}-{i}" for i, n in enumerate(lengths)]
    weight = data["size"].to_numpy() + 0.3 * rng.normal(size=count)
    data = data.append_column("note", pa.array(texts, pa.string()))
    return data.append_column("weight", pa.array(weight))


REFERENCE = with_notes(table(seed=1), 1)
LIVE = with_notes(table(seed=2, first_day=30), 2)


@pytest.mark.parametrize("view", ["length", "script", "word"])
def test_views_of_a_part_are_those_of_its_rows(view: View) -> None:
    texts = np.array(["a b c", None, "зачем", "a b c", "", "12"], dtype=object)
    whole = coded(pa.array([*texts.tolist(), "beyond the part"]))
    column = ColumnProfile(
        name="v",
        kind="continuous" if view == "length" else "categorical",
        n=6,
        missing=0.0,
        source="note",
        view=view,
    )
    part = Part(0, 0, np.zeros(6), {"note": whole.take(slice(0, 6))})
    made = with_views(part, (column,)).columns["v"]
    found = made.objects() if isinstance(made, Coded) else made
    assert np.array_equal(found, seen(view, texts), equal_nan=view == "length")


def test_a_part_without_free_texts_is_left_as_it_is() -> None:
    part = Part(0, 0, np.zeros(1), {"x": np.ones(1)})
    assert with_views(part, (ColumnProfile(name="x", kind="continuous", n=1, missing=0.0),)) is part


def test_ordinary_texts_and_relations_are_ok() -> None:
    report = trimtab.monitor(REFERENCE, LIVE, **MEANING)
    assert report.verdict == "ok"
    assert report["input:note.length"].verdict == "ok"
    assert report["input:note.word"].verdict == "ok"
    assert report["multivariate:weight"].verdict == "ok"


def test_texts_that_became_short_are_told_by_their_length() -> None:
    short = with_notes(table(seed=2, first_day=30), 2, longest=4)
    report = trimtab.monitor(REFERENCE, short, **MEANING)
    assert report["input:note.length"].verdict == "bad"


def test_a_column_joined_to_the_wrong_rows_is_told_by_its_relations() -> None:
    wrong = LIVE.set_column(
        LIVE.schema.get_field_index("weight"), "weight", pa.array(np.roll(LIVE["weight"], 1))
    )
    report = trimtab.monitor(REFERENCE, wrong, **MEANING)
    assert report["input:weight"].verdict == "ok"
    assert report["multivariate:weight"].verdict == "bad"
    assert "size" in report["multivariate:weight"].reason
    # Of two columns that go with no third, neither is more to blame.
    assert report["upstream:relations:size or weight"].verdict == "bad"
    (incident,) = report.incidents
    assert incident.causes[0].cause == "upstream_break"
    assert report.verdict == "bad"
