"""`trimtab.monitor`: what it says of tables of any kind, and of tables that it cannot judge."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from tests.support.tables import MEANING, table

import trimtab
from trimtab import errors
from trimtab.domain.profile import Metric
from trimtab.monitoring.sources import opened

REFERENCE = table(seed=1)
CALM = table(seed=2, first_day=30)
FLIPPED = table(seed=3, first_day=30, flip=0.4)


@pytest.fixture(scope="module")
def flipped() -> trimtab.Report:
    return trimtab.monitor(REFERENCE, FLIPPED, **MEANING)


def test_ordinary_data_are_ok() -> None:
    report = trimtab.monitor(REFERENCE, CALM, **MEANING)
    assert report.verdict == "ok"
    assert {each.verdict for each in report.streams} <= {"ok", "watch"}
    assert report.incidents == ()
    assert report.view.blocks == 30
    assert report["quality"].reference is not None


def test_labels_turned_around_are_concept_drift(flipped: trimtab.Report) -> None:
    assert flipped.verdict == "bad"
    assert flipped["quality"].verdict == "bad"
    assert flipped["quality"].since_block in range(15, 19)
    assert [each.causes[0].cause for each in flipped.incidents] == ["concept_drift"]
    ruled_out = {ruled.cause for each in flipped.incidents for ruled in each.ruled_out}
    assert "environment_misalignment" not in ruled_out


def test_a_moved_input_is_something_to_watch_and_no_harm() -> None:
    report = trimtab.monitor(REFERENCE, table(seed=4, first_day=30, shift=1.0), **MEANING)
    assert report["input:size"].verdict == "bad"
    assert report["quality"].verdict != "bad"
    assert report.verdict == "watch"


def test_a_feed_that_breaks_in_one_segment_is_named_with_it() -> None:
    report = trimtab.monitor(REFERENCE, table(seed=5, first_day=30, broken_from=20), **MEANING)
    (incident,) = [each for each in report.incidents if "upstream:rate" in each.signals]
    assert incident.causes[0].cause == "upstream_break"
    assert report["upstream:rate"].scope == {"column": "rate", "region": "north"}
    assert incident.first_block == 21


@dataclass
class Exported:
    """A frame of some library, known by its Arrow stream alone."""

    table: Any

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        made: object = self.table.__arrow_c_stream__(requested_schema)
        return made


def viewed(data: pa.Table) -> pa.Table:
    """Texts as polars hands them over: plain, and as a category."""
    texts = data["region"].combine_chunks()
    place = data.schema.get_field_index("region")
    named = texts.dictionary_encode()
    views = pa.DictionaryArray.from_arrays(named.indices, named.dictionary.cast(pa.string_view()))
    return data.set_column(place, "region", views)


def shapes(tmp_path: Path) -> dict[str, Callable[[pa.Table], Any]]:
    """The ways a user may hold a table."""

    def parquet(data: pa.Table, **options: Any) -> str:
        path = tmp_path / f"{data.num_rows}-{len(options)}.parquet"
        pq.write_table(data, path, **options)
        return str(path)

    def arrow(data: pa.Table, writer: Any) -> Path:
        path = tmp_path / f"{writer.__name__}.arrow"
        with writer(str(path), data.schema) as out:
            out.write_table(data, max_chunksize=1000)
        return path

    def files(data: pa.Table) -> list[Path]:
        paths = [tmp_path / f"part-{number}.parquet" for number in range(3)]
        for number, path in enumerate(paths):
            pq.write_table(data.slice(number * 3000, 3000), path)
        return paths

    def pattern(data: pa.Table) -> str:
        files(data)
        return str(tmp_path / "part-*.parquet")

    def text(data: pa.Table) -> Path:
        pyarrow.csv.write_csv(data, tmp_path / "data.csv")
        return tmp_path / "data.csv"

    return {
        "arrow": lambda data: data,
        "record batch": lambda data: data.combine_chunks().to_batches()[0],
        "reader": lambda data: data.to_reader(),
        "text views": lambda data: Exported(viewed(data)),
        "pandas": lambda data: data.to_pandas(),
        "pandas of objects": lambda data: data.to_pandas().astype({"region": object}),
        "pandas categories": lambda data: data.to_pandas().astype({"region": "category"}),
        "duckdb": duckdb.from_arrow,
        "parquet": parquet,
        "small row groups": lambda data: parquet(data, row_group_size=700, use_dictionary=False),
        "several files": files,
        "a pattern": pattern,
        "arrow file": lambda data: arrow(data, pa.ipc.new_file),
        "arrow stream": lambda data: arrow(data, pa.ipc.new_stream),
        "csv": text,
        "shuffled": lambda data: data.take(np.random.default_rng(0).permutation(data.num_rows)),
    }


KINDS = list(shapes(Path()))


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_rows_are_judged_the_same_whatever_holds_them(
    kind: str, tmp_path: Path, flipped: trimtab.Report
) -> None:
    made = shapes(tmp_path)[kind](FLIPPED)
    report = trimtab.monitor(REFERENCE, made, **MEANING, threads=2)
    assert report.streams == flipped.streams
    assert report.view.quality == flipped.view.quality
    assert report.view.segments == flipped.view.segments


def test_polars_is_taken_through_the_arrow_stream(flipped: trimtab.Report) -> None:
    report = trimtab.monitor(polars.from_arrow(REFERENCE), polars.from_arrow(FLIPPED), **MEANING)
    assert report.streams == flipped.streams
    assert type(report.to_frame()).__module__.startswith("polars")


def test_a_frame_comes_back_in_the_library_that_live_came_in(flipped: trimtab.Report) -> None:
    assert isinstance(flipped.to_frame(), pa.Table)
    frame = trimtab.monitor(REFERENCE, FLIPPED.to_pandas(), **MEANING).to_frame()
    assert isinstance(frame, pd.DataFrame)
    assert frame["signal"].tolist() == [each.signal for each in flipped.streams]


def test_without_a_time_column_rows_are_counted() -> None:
    data = FLIPPED.drop_columns(["when"])
    plain = {**MEANING, "time": None}
    report = trimtab.monitor(REFERENCE.drop_columns(["when"]), data, **plain, block=300)
    quality = report["quality"]
    assert report.view.block_rows == 300
    assert quality.since is None
    assert quality.verdict == "bad"
    assert quality.since_block is not None
    assert f"row {(quality.since_block - 1) * 300 + 1:,}" in quality.reason
    assert "1970-" not in report.to_json().decode()
    assert any("300 rows are a block" in note for note in report.notes)


def test_numbers_are_predicted_too() -> None:
    rng = np.random.default_rng(0)

    def made(noise: float, first: int) -> pa.Table:
        data = table(seed=first, first_day=first).select(["when", "size"])
        size = data["size"].to_numpy()
        data = data.append_column("guess", pa.array(size))
        return data.append_column("truth", pa.array(size + rng.normal(0.0, noise, size.size)))

    meaning: dict[str, Any] = {"target": "truth", "prediction": "guess", "time": "when"}
    assert trimtab.monitor(made(0.3, 0), made(0.3, 30), **meaning)["quality"].verdict == "ok"
    worse = trimtab.monitor(made(0.3, 0), made(0.6, 30), **meaning)
    assert worse.view.quality is not None
    assert worse.view.quality.metric == "squared_error"
    assert worse["quality"].verdict == "bad"


def test_classes_are_predicted_too() -> None:
    rng = np.random.default_rng(1)

    def made(wrong: float, first: int) -> pa.Table:
        data = table(seed=first, first_day=first).select(["when", "size", "region"])
        truth = np.array(data["region"].to_pylist(), dtype=object)
        other = rng.random(truth.size) < wrong
        guess = np.where(other, "south", truth)
        return data.append_column("guess", pa.array(guess.tolist()).dictionary_encode())

    meaning: dict[str, Any] = {"target": "region", "prediction": "guess", "time": "when"}
    assert trimtab.monitor(made(0.1, 0), made(0.1, 30), **meaning)["quality"].verdict == "ok"
    assert trimtab.monitor(made(0.1, 0), made(0.5, 30), **meaning)["quality"].verdict == "bad"


def test_labels_that_come_late_leave_the_last_blocks_without_quality() -> None:
    label = FLIPPED["label"].to_pylist()
    data = FLIPPED.set_column(
        FLIPPED.schema.get_field_index("label"),
        "label",
        pa.array([*label[:6000], *[None] * 3000], pa.int64()),
    )
    report = trimtab.monitor(REFERENCE, data, **MEANING)
    quality = report.view.quality
    assert quality is not None
    assert quality.coverage_ratio == pytest.approx(2 / 3)
    assert quality.cohorts[-1].value is None
    assert [each.labelled for each in quality.cohorts[-2:]] == [0, 0]


def test_segments_show_their_sizes_and_no_quality_of_a_few_rows(flipped: trimtab.Report) -> None:
    assert sum(each.rows for each in flipped.view.segments) == FLIPPED.num_rows
    for each in flipped.view.segments:
        assert each.quality is not None
        assert each.positive_ratio == pytest.approx(0.18, abs=0.05)
    few = trimtab.monitor(REFERENCE, CALM.slice(0, 90), **MEANING)
    assert {each.quality for each in few.view.segments} == {None}


def test_segments_show_what_is_expected_of_them_without_labels(tmp_path: Path) -> None:
    unlabelled = CALM.drop_columns(["label"])
    report = trimtab.monitor(REFERENCE, unlabelled, **MEANING)
    assert len(report.view.segments) == 3
    for each in report.view.segments:
        stream = report[f"estimate:{each.segment}"]
        assert (stream.verdict, stream.scope) == ("ok", {"region": each.segment[7:]})
        assert each.expected is not None
        assert each.expected_reason is None
        assert (each.expected_lower, each.expected_upper) == (stream.lower, stream.upper)
        assert each.expected == stream.estimate
    page = report.html(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "expected of the last rows" in page
    assert "estimate:region=north" in report.to_frame().column("signal").to_pylist()


def test_a_segment_that_is_refused_says_why_in_its_row(tmp_path: Path) -> None:
    report = trimtab.monitor(REFERENCE.slice(0, 250), CALM, **MEANING)
    reasons = {each.expected_reason for each in report.view.segments}
    assert all("labelled rows with region=" in (reason or "") for reason in reasons)
    page = report.html(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "at least 100 are needed" in page


def test_the_page_is_one_small_file_that_asks_for_nothing(
    flipped: trimtab.Report, tmp_path: Path
) -> None:
    path = flipped.html(tmp_path / "report.html")
    text = path.read_text()
    assert path.stat().st_size < 2_000_000
    assert not re.search(r"""(src|href)\s*=|url\(|@import|<script""", text)
    assert "concept drift" in text
    assert "prefers-color-scheme: dark" in text
    for each in flipped.streams:
        assert each.signal in text


def test_names_of_a_user_are_text_and_no_markup(tmp_path: Path) -> None:
    evil = "<b onclick=x>&size"
    names = [evil if name == "size" else name for name in REFERENCE.column_names]
    report = trimtab.monitor(
        REFERENCE.rename_columns(names), CALM.rename_columns(names), **MEANING, name="<i>mine</i>"
    )
    for text in (report._repr_html_(), report.html(tmp_path / "x.html").read_text()):
        assert "<b onclick" not in text
        assert "<i>mine" not in text


def test_a_report_says_itself_as_text_json_and_notebook(flipped: trimtab.Report) -> None:
    assert "quality" in str(flipped)
    assert "concept drift" in flipped._repr_html_()
    told = flipped.to_dict()
    assert told == json.loads(flipped.to_json())
    assert told["verdict"] == "bad"
    with pytest.raises(KeyError):
        flipped["input:nothing"]


def test_what_is_not_watched_is_unknown_with_its_reason() -> None:
    def odd(data: pa.Table) -> pa.Table:
        n = data.num_rows
        data = data.append_column("day", data["when"].cast(pa.date32()))
        return data.append_column("empty", pa.nulls(n, pa.float64()))

    report = trimtab.monitor(odd(REFERENCE), odd(CALM), **MEANING)
    for name, reason in (("day", "date32"), ("empty", "no value")):
        stream = report[f"input:{name}"]
        assert stream.verdict == "unknown"
        assert reason in stream.reason


def test_a_label_on_one_side_only_leaves_quality_unknown() -> None:
    bare = trimtab.monitor(REFERENCE, CALM.drop_columns(["label"]), **MEANING)
    assert bare["quality"].verdict == "unknown"
    assert bare["estimate"].verdict == "ok"
    assert any("live has no column 'label'" in note for note in bare.notes)
    blind = trimtab.monitor(REFERENCE.drop_columns(["label"]), CALM, **MEANING)
    assert blind["quality"].verdict == "unknown"
    assert any("the reference has no column 'label'" in note for note in blind.notes)


def test_inputs_alone_can_be_watched_and_the_rest_is_unknown() -> None:
    keep = ["size", "rate", "region"]
    report = trimtab.monitor(REFERENCE.select(keep), CALM.select(keep))
    assert {report[name].verdict for name in ("prediction", "quality")} == {"unknown"}
    assert report["input:size"].verdict == "ok"
    assert report.verdict == "ok"


def test_scores_outside_their_range_count_as_missing_and_are_told() -> None:
    score = CALM["score"].to_numpy().copy()
    score[::3] = 7.0
    data = CALM.set_column(CALM.schema.get_field_index("score"), "score", pa.array(score))
    report = trimtab.monitor(REFERENCE, data, **MEANING)
    assert report["prediction"].verdict == "bad"
    assert any("3,000 scores outside [0, 1]" in note for note in report.notes)


def test_rows_without_a_time_are_left_out_and_told() -> None:
    when = CALM["when"].to_pylist()
    when[5] = None
    data = CALM.set_column(0, "when", pa.array(when, pa.timestamp("us")))
    assert any(
        note.startswith("1 rows without a time")
        for note in trimtab.monitor(REFERENCE, data, **MEANING).notes
    )


def without(data: pa.Table, *names: str) -> pa.Table:
    return data.drop_columns(list(names))


def put(data: pa.Table, name: str, values: Any) -> pa.Table:
    return data.set_column(data.schema.get_field_index(name), name, values)


REFUSED: dict[str, tuple[pa.Table, Any, dict[str, Any], str]] = {
    "no rows": (REFERENCE.slice(0, 0), CALM, {}, "reference: it holds no rows"),
    "no live rows": (REFERENCE, CALM.slice(0, 0), {}, "live: it holds no rows"),
    "a list": (REFERENCE, [1, 2], {}, "live: a list is no table"),
    "a number": (REFERENCE, 5, {}, "live: an int is no table"),
    "a pandas series": (REFERENCE, pd.Series([1.0]), {}, "live: a Series is one column"),
    "a polars series": (REFERENCE, polars.Series([1.0]), {}, "live: a Series is one column"),
    "an array": (REFERENCE, CALM["size"], {}, "live: a ChunkedArray is one column"),
    "a column of one value": (REFERENCE, {"size": 5}, {}, "live: 'size' is one value"),
    "rows of two kinds": (REFERENCE, [{"size": 5.0}, 6.0], {}, "live: a list is no table"),
    "an input is lacking": (REFERENCE, without(CALM, "size"), {}, "live: it has no column 'size'"),
    "a score is lacking": (REFERENCE, without(CALM, "score"), {}, "it has no column 'score'"),
    "no such target": (REFERENCE, CALM, {"target": "truth"}, "it has no column 'truth'"),
    "another type": (
        REFERENCE,
        put(CALM, "size", pa.array(["x"] * CALM.num_rows)),
        {},
        "column 'size' is of type string, in the reference of type double",
    ),
    "no time": (
        REFERENCE,
        put(CALM, "when", pa.array(["soon"] * CALM.num_rows)),
        {},
        "column 'when' cannot be read as time; its first value is 'soon'",
    ),
    "years": (
        REFERENCE,
        put(CALM, "when", pa.array([2026] * CALM.num_rows)),
        {},
        "holds 2026 to 2026: no seconds since 1970",
    ),
    "milliseconds taken for seconds": (
        REFERENCE,
        put(CALM, "when", pa.array([1_700_000_000_000] * CALM.num_rows, pa.timestamp("s"))),
        {},
        "'when' holds times that are not within the years 1 to 9999",
    ),
    "no time at all": (
        REFERENCE,
        put(CALM, "when", pa.nulls(CALM.num_rows, pa.timestamp("us"))),
        {},
        "every value of 'when' is missing",
    ),
    "swapped": (CALM, REFERENCE, {}, "it ends before the reference begins"),
    "a score of texts": (REFERENCE, CALM, {"score": "region"}, "'region' holds no numbers"),
    "a score that is none": (REFERENCE, CALM, {"score": "count"}, "a score is in [0, 1]"),
    "three labels": (
        REFERENCE,
        CALM,
        {"target": "region", "segments": []},
        "a score needs two labels",
    ),
    "two answers": (REFERENCE, CALM, {"prediction": "label"}, "were both given"),
    "a segment of numbers": (REFERENCE, CALM, {"segments": ["size"]}, "'size' is no text input"),
    "which is positive": (
        put(REFERENCE, "label", pa.array(["a", "b"] * (REFERENCE.num_rows // 2))),
        CALM,
        {},
        "which of ['a', 'b'] is positive?",
    ),
    "nothing to watch": (
        REFERENCE.select(["when", "label"]),
        CALM,
        {"score": None, "segments": []},
        "no column is left to watch",
    ),
    "an answer among the inputs": (
        REFERENCE,
        CALM,
        {"inputs": ["score"]},
        "is the answer or the truth",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_judged_is_refused_in_words(case: str) -> None:
    reference, live, meaning, words = REFUSED[case]
    with pytest.raises(errors.Usage) as caught:
        trimtab.monitor(reference, live, **{**MEANING, **meaning})
    assert caught.value.code == errors.BAD_DATA
    assert words in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"false_alarms": "rarely"}, "'rarely' is not a rate"),
        ({"block": "soon"}, "'soon' is not a duration"),
        ({"input_tolerance": 7}, "is not a number from 0"),
        ({"quality": "beauty"}, "is not auto, none, or one or more of"),
        ({"quality": ["error", "auto"]}, "is not auto, none, or one or more of"),
        ({"quality": "cost"}, "nothing says what a decision costs"),
        ({"costs": {"1": {"0": -1.0}}}, "is not a table of decisions"),
        ({"threshhold": 0.3}, "there is no such option"),
        ({"threshold": "0.5"}, "'0.5' is not a number from 0 to 1"),
        ({"threshold": 50}, "50 is not a number from 0 to 1"),
    ],
)
def test_options_of_the_wrong_form_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(errors.Usage) as caught:
        trimtab.monitor(REFERENCE, CALM, **{**MEANING, **options})
    assert caught.value.code == errors.BAD_VALUE
    assert words in str(caught.value)


def test_one_name_is_a_list_of_one(flipped: trimtab.Report) -> None:
    named = {**MEANING, "segments": "region", "threshold": np.float32(0.5)}
    assert trimtab.monitor(REFERENCE, FLIPPED, **named).to_dict() == flipped.to_dict()


METRICS: list[Metric] = ["roc_auc", "recall", "precision", "f1", "log_loss", "cost"]
COSTS = {"1": {"0": 1.0}, "0": {"1": 3.0}}


def test_several_metrics_are_judged_at_once() -> None:
    calm, changed = (
        trimtab.monitor(REFERENCE, live, **MEANING, quality=METRICS, costs=COSTS)
        for live in (CALM, FLIPPED)
    )
    names = ["quality", *(f"quality:{metric}" for metric in METRICS[1:])]
    assert {calm[name].verdict for name in names} <= {"ok", "watch"}
    assert {"quality", "quality:f1", "quality:cost"} <= {
        name for name in names if changed[name].verdict == "bad"
    }
    assert calm["estimate:cost"].verdict in ("ok", "watch")


def test_costs_alone_are_what_is_judged() -> None:
    report = trimtab.monitor(REFERENCE, CALM, **MEANING, costs=COSTS)
    assert report["quality"].reason.startswith("cost ")


def test_a_metric_of_another_task_is_unknown_with_its_reason() -> None:
    report = trimtab.monitor(REFERENCE, CALM, **MEANING, quality="macro_recall")
    (found,) = [each for each in report.streams if each.signal.startswith("quality")]
    assert found.verdict == "unknown"
    assert "macro_recall cannot be watched" in found.reason


@pytest.mark.parametrize("metric", ["recall", "macro_recall"])
def test_segments_have_their_own_ratios(metric: Metric) -> None:
    meaning: dict[str, Any] = MEANING
    reference, live = REFERENCE, CALM
    if metric == "macro_recall":
        meaning = {**MEANING, "prediction": "said", "ignore": ["score"]}
        del meaning["score"]
        reference, live = decided(REFERENCE), decided(CALM)
    report = trimtab.monitor(reference, live, **meaning, quality=metric)
    assert report["quality"].verdict in ("ok", "watch")
    for each in report.view.segments:
        assert each.quality is not None
        assert each.lower is not None
        assert each.upper is not None
        assert each.lower < each.quality < each.upper


def decided(data: pa.Table) -> pa.Table:
    """The table with classes as texts in the place of scores."""
    said = pa.array(np.where(data["score"].to_numpy() >= 0.5, "yes", "no").tolist())
    label = pa.array(np.where(data["label"].to_numpy() == 1, "yes", "no").tolist())
    kept = data.drop_columns(["label"]).append_column("label", label)
    return kept.append_column("said", said)


def test_files_that_are_not_there_or_no_tables_are_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.Usage) as caught:
        opened(tmp_path / "nothing.parquet", "live")
    assert caught.value.code == errors.MISSING_FILE
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 and no more")
    with pytest.raises(errors.Usage, match="cannot be read as a table"):
        opened(broken, "live")
    torn = tmp_path / "torn.arrow"
    torn.write_bytes(b"ARROW1\0\0")
    with pytest.raises(errors.Usage, match="cannot be read as a table"):
        opened(torn, "live")
    with pytest.raises(errors.Usage, match="are not known together"):
        opened([broken, torn], "live")


def test_files_of_other_columns_are_refused_by_name(tmp_path: Path) -> None:
    pq.write_table(CALM, tmp_path / "a.parquet")
    pq.write_table(without(CALM, "size"), tmp_path / "b.parquet")
    with pytest.raises(errors.Usage, match=r"b\.parquet: it has no column 'size'"):
        opened(str(tmp_path / "*.parquet"), "live")


@pytest.mark.no_cover
@pytest.mark.parametrize("rows", [1, 1700, 5000])
def test_the_report_is_the_same_however_many_rows_are_counted_at_once(
    rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = table(seed=5, first_day=30, flip=0.4, broken_from=20)
    meant: Any = {**MEANING, "quality": ["brier", "roc_auc"], "threads": 1}
    whole = trimtab.monitor(REFERENCE, data, **meant).to_json()
    monkeypatch.setattr("trimtab.monitoring.sources.BATCH_ROWS", rows)
    assert trimtab.monitor(REFERENCE, data.to_reader(rows), **meant).to_json() == whole


def grouped(n: int, seed: int, harm: float = 0.0) -> pd.DataFrame:
    """Scored people of two groups; `harm` of the second one's decisions are turned down."""
    rng = np.random.default_rng(seed)
    sex = rng.choice(["F", "M"], n)
    score = rng.beta(2.0, 2.0, n)
    label = (rng.random(n) < score).astype(int)
    low = (sex == "F") & (rng.random(n) < harm)
    return pd.DataFrame({"sex": sex, "score": np.where(low, score / 4, score), "y": label})


def test_groups_are_compared_and_shown_with_their_intervals(tmp_path: Path) -> None:
    meant: Any = {"target": "y", "score": "score", "groups": ["sex"], "block": 500}
    calm = trimtab.monitor(grouped(4000, 1), grouped(4000, 2), **meant)
    assert calm["bias:selection"].verdict == "ok"
    report = trimtab.monitor(grouped(4000, 1), grouped(4000, 2, harm=0.6), **meant)
    assert report["bias:selection"].verdict == "bad"
    assert any("bias:selection" in each.signals for each in report.incidents)
    told = {(each.group, each.measure): each for each in report.view.groups}
    gap = told["sex=F", "selection"]
    assert gap.lower is not None
    assert gap.upper is not None
    assert gap.lower < (gap.gap or 0.0) < gap.upper < 0.0
    page = report.html(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<h2>Groups</h2>" in page
    assert "sex=F" in page


def test_a_bound_on_a_gap_is_taken_as_in_the_settings() -> None:
    meant: Any = {"target": "y", "score": "score", "groups": ["sex"], "block": 500}
    harmed = grouped(4000, 2, harm=0.3)
    wide = trimtab.monitor(grouped(4000, 1), harmed, bias={"selection": 0.5}, **meant)
    assert wide["bias:selection"].verdict == "ok"
    with pytest.raises(errors.Usage, match="bias"):
        trimtab.monitor(grouped(4000, 1), harmed, bias={"charm": 0.5}, **meant)


def test_groups_without_rows_enough_or_without_answers_are_unknown() -> None:
    report = trimtab.monitor(grouped(4000, 1), grouped(40, 2), score="score", groups=["sex"])
    assert {each.verdict for each in report.view.groups} == {"unknown"}
    bare = grouped(400, 1).drop(columns=["score", "y"])
    report = trimtab.monitor(bare, bare, groups=["sex"])
    assert report["bias"].verdict == "unknown"


def test_a_group_that_is_no_input_is_refused() -> None:
    with pytest.raises(errors.Usage, match="'y' is no input"):
        trimtab.monitor(grouped(400, 1), grouped(400, 2), target="y", score="score", groups=["y"])
