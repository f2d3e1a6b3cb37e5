"""Tables of anything: they are judged, or refused in words."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from trimtab import errors, monitor

RNG = np.random.default_rng(5)


def judged(reference: pd.DataFrame, live: pd.DataFrame, **options: Any) -> dict[str, Any]:
    """The report, as JSON without NaN."""
    report = monitor(reference, live, **options)
    assert len(report._repr_html_()) < 2_000_000

    def none(word: str) -> None:
        raise AssertionError(word)

    told: dict[str, Any] = json.loads(report.to_json(), parse_constant=none)
    return told


def scored(rows: int) -> pd.DataFrame:
    """Scores that come true, and nothing else."""
    score = RNG.beta(2.0, 5.0, rows)
    return pd.DataFrame({"score": score, "label": (RNG.random(rows) < score).astype(int)})


def test_numbers_may_be_further_apart_than_there_are_numbers() -> None:
    far = pd.DataFrame({"x": [1e308, -1e308, 0.0, 5.0] * 60})
    assert judged(far, far)["verdict"] == "ok"
    assert judged(far.head(2), far)["notes"] is not None


def test_infinite_numbers_lie_between_none_that_are_known() -> None:
    known = pd.DataFrame({"x": RNG.choice([0.0, 1.0, 2.0], 300)})
    live = pd.DataFrame({"x": RNG.choice([0.0, np.inf, -np.inf, np.nan], 300)})
    streams = judged(known, live)["streams"]
    assert any(each["verdict"] == "bad" for each in streams)


def test_whole_numbers_are_held_against_a_reference_of_infinite_ones() -> None:
    for end in (np.inf, -np.inf):
        reference = pd.DataFrame({"x": [end] * 50})
        assert judged(reference, pd.DataFrame({"x": range(300)}))["streams"]


def test_labels_may_be_whole_numbers_that_no_double_holds_all_of() -> None:
    rows = pd.DataFrame({"x": range(300), "y": RNG.choice([-(2.0**63), 2.0**60], 300)})
    assert judged(rows.assign(p=rows["y"]), rows.assign(p=rows["y"]), target="y", prediction="p")


def test_a_reference_without_any_time_is_refused() -> None:
    rows = pd.DataFrame({"x": range(30), "t": pd.date_range("2026-01-01", periods=30)})
    gone = rows.assign(t=pd.Series([pd.NaT] * 30, dtype="datetime64[ns]"))
    with pytest.raises(errors.Usage, match="every value of 't' is missing"):
        monitor(gone, rows, time="t")


def test_answers_alone_are_judged_without_any_input() -> None:
    told = judged(scored(400), scored(3_000), score="score", target="label")
    assert {"quality", "prediction"} <= {each["signal"] for each in told["streams"]}
    plain = pd.DataFrame({"p": RNG.normal(size=400)})
    plain["y"] = plain["p"] + RNG.normal(size=400)
    assert judged(plain, plain, prediction="p", target="y")["verdict"] == "ok"


COLUMNS: tuple[Callable[[np.random.Generator, int], Any], ...] = (
    lambda rng, n: rng.normal(size=n),
    lambda rng, n: np.full(n, rng.choice([0.0, 1e308, 5e-324, np.nan, np.inf])),
    lambda rng, n: rng.integers(-(2**62), 2**62, n),
    lambda rng, n: rng.integers(0, 3, n),
    lambda rng, n: rng.choice(np.array(["a", "b", None], dtype=object), n),
    lambda rng, n: np.array([f"x{i}" for i in rng.integers(0, 10**6, n)], dtype=object),
    lambda rng, n: rng.random(n) < 0.5,
    lambda rng, n: np.where(rng.random(n) < 0.5, np.nan, rng.normal(size=n)),
    lambda rng, n: pd.array(rng.integers(0, 5, n), dtype="Int64"),
    lambda rng, n: pd.Categorical(rng.choice(["u", "v"], n)),
    lambda rng, n: pd.to_datetime(rng.integers(0, 10**9, n), unit="s"),
    lambda rng, n: rng.choice([1e308, -1e308, 0.0, np.inf, -np.inf, np.nan], n),
    lambda rng, n: np.array([None] * n, dtype=object),
    lambda rng, n: rng.normal(size=n).astype(np.float32),
    lambda rng, n: rng.choice(np.array(["", "\x00", "<script>", "é" * 50], dtype=object), n),
    lambda rng, n: rng.choice([2**53, 2**53 + 1, -(2**63)], n),
)


def tables(rng: np.random.Generator) -> tuple[list[pd.DataFrame], dict[str, Any]]:
    """A reference and live rows of a few columns of any kind, and what else is known of them."""
    kinds = [COLUMNS[each] for each in rng.integers(0, len(COLUMNS), rng.integers(1, 5))]
    sizes = rng.choice([0, 1, 2, 10, 50, 300, 3_000], 2).tolist()
    made = [pd.DataFrame({f"c{i}": kind(rng, n) for i, kind in enumerate(kinds)}) for n in sizes]
    options: dict[str, Any] = {}
    if rng.random() < 0.7:
        options |= {"score": "score", "target": "label"}
        for rows in made:
            rows["score"] = np.clip(rng.normal(0.4, 0.3, len(rows)), 0.0, 1.0)
            rows["label"] = (rng.random(len(rows)) < rows["score"]).astype(int)
    if rng.random() < 0.6:
        options["time"] = "t"
        for rows in made:
            seconds = rng.integers(0, rng.choice([1, 86_400, 5_184_000]), len(rows))
            rows["t"] = pd.Timestamp("2026-01-01") + pd.to_timedelta(seconds, unit="s")
    return made, options


@pytest.mark.no_cover
@pytest.mark.parametrize("first", range(0, 120, 10))
def test_tables_of_anything_are_judged_or_refused_in_words(first: int) -> None:
    for seed in range(first, first + 10):
        (reference, live), options = tables(np.random.default_rng(seed))
        hint = "judged"
        try:
            judged(reference, live, **options)
        except errors.TrimtabError as refused:
            hint = refused.hint
        assert hint, seed
