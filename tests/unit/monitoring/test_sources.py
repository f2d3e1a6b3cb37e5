"""Tables are read once more, ahead of who counts them, and as what they hold."""

import threading
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from trimtab import errors
from trimtab.domain.records import CodedTexts
from trimtab.monitoring.arrays import numbers
from trimtab.monitoring.columns import Asked, roles
from trimtab.monitoring.reference import Meaning, read_known
from trimtab.monitoring.sources import ArrowSource, Chunk, Reader, TableSource, opened
from trimtab.monitoring.timeline import by_rows, by_time, parts, read_dates


@pytest.mark.parametrize("threads", [1, 2])
def test_what_is_made_ahead_comes_in_its_order(threads: int) -> None:
    with Reader(threads) as reader:
        assert list(reader.ahead(iter(range(1, 6)))) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("threads", [1, 2])
def test_what_was_begun_and_failed_fails_when_it_is_asked_for(threads: int) -> None:
    with Reader(threads) as reader:
        asked = reader.begin(lambda: 1 // 0)
        assert reader.begin(lambda: 1)() == 1
        with pytest.raises(ZeroDivisionError):
            asked()


def test_what_fails_ahead_fails_where_it_would_be_used() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("torn")

    with Reader(2) as reader:
        things = reader.ahead(broken())
        assert next(things) == 1
        with pytest.raises(ValueError, match="torn"):
            next(things)


def test_a_reader_that_stops_early_leaves_no_thread_behind() -> None:
    made: list[int] = []

    def things() -> Iterator[int]:
        for number in range(1, 100):
            made.append(number)
            yield number

    before = threading.active_count()
    with Reader(2) as reader:
        assert next(reader.ahead(things())) == 1
    assert len(made) == 2
    assert threading.active_count() == before


@pytest.mark.parametrize("dictionary", [True, False])
def test_small_batches_are_joined_and_hold_the_same_rows(dictionary: bool, tmp_path: Path) -> None:
    """Also where each batch has a dictionary of its own; batches of other types stay apart."""
    kind: Any = pa.dictionary(pa.int8(), pa.string()) if dictionary else pa.string()
    texts = [f"t{number % 7}" for number in range(100)]
    chunks = [pa.array(texts[start : start + 9], kind) for start in range(0, 100, 9)]
    table = pa.table([pa.chunked_array(chunks)], names=["plan"])
    (joined,) = TableSource(table).batches(["plan"])
    assert joined.column("plan").cast(pa.string()).to_pylist() == texts
    paths = [tmp_path / "0.arrow", tmp_path / "1.arrow"]
    for path, written in zip(paths, (table, table.cast(_large(table))), strict=True):
        with pa.ipc.new_file(str(path), written.schema) as out:
            for chunk in written.combine_chunks().to_batches(max_chunksize=9):
                out.write_batch(chunk)
    assert [len(batch) for batch in ArrowSource(paths).batches(["plan"])] == [100, 100]


def test_batches_are_joined_to_be_counted_and_tell_how_they_were_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of Parquet a batch ends where it would if each were read by itself."""
    monkeypatch.setattr("trimtab.monitoring.sources.BATCH_ROWS", 8)
    table = pa.table({"age": range(50), "plan": [f"t{number % 3}" for number in range(50)]})
    pq.write_table(table, tmp_path / "0.parquet", row_group_size=20)
    source = opened(tmp_path / "0.parquet", "live")
    one_by_one = [len(batch) for batch in source.batches(table.column_names)]
    for most in (2, 3):
        chunks = list(source.chunks(table.column_names, most))
        assert [n for chunk in chunks for n in chunk.read] == one_by_one
        assert max(len(chunk.batch) for chunk in chunks) > 8
        ages = [age for chunk in chunks for age in chunk.batch.column("age").to_pylist()]
        assert ages == list(range(50))
    chunks = list(TableSource(table).chunks(["age"], 2))
    assert [chunk.read for chunk in chunks] == [(8, 8), (8, 8), (8, 8), (2,)]


def test_of_what_was_read_only_the_parts_are_held_while_they_are_counted(tmp_path: Path) -> None:
    """Neither what was copied into one batch, nor the batch, once arrays are made of it."""
    table = pa.table({"age": range(100_000), "plan": ["a", "b"] * 50_000})
    with pa.ipc.new_file(str(tmp_path / "0.arrow"), table.schema) as out:
        out.write_table(table, max_chunksize=10_000)
    source = Watched(tmp_path / "0.arrow")
    for part in parts(source, by_rows(source.rows, None), {"age": "number", "plan": "text"}):
        assert len(part)
        assert not source.alive
    assert source.rows == 100_000


class Watched(ArrowSource):
    """Arrow files that tell which chunks are still held."""

    def __init__(self, path: Path) -> None:
        super().__init__([path])
        self._given: list[weakref.ref[pa.RecordBatch]] = []

    @property
    def alive(self) -> int:
        return sum(batch() is not None for batch in self._given)

    def chunks(self, columns: Sequence[str], most: int) -> Iterator[Chunk]:
        return map(self._watched, super().chunks(columns, most))

    def _watched(self, chunk: Chunk) -> Chunk:
        self._given.append(weakref.ref(chunk.batch))
        return chunk


def test_batches_whose_dictionaries_do_not_fit_together_stay_apart() -> None:
    places = pa.array(range(100), pa.int8())
    chunks = [
        pa.DictionaryArray.from_arrays(places, pa.array([f"{part}{n}" for n in range(100)]))
        for part in "ab"
    ]
    source = TableSource(pa.table([pa.chunked_array(chunks)], names=["plan"]))
    assert [len(batch) for batch in source.batches(["plan"])] == [100, 100]


def _large(table: pa.Table) -> pa.Schema:
    return pa.schema([(name, pa.large_string()) for name in table.column_names])


def test_a_text_that_a_dictionary_holds_twice_is_one_category() -> None:
    places = pa.array(([0, 1, 2] * 100)[:250], pa.int8())
    column = pa.DictionaryArray.from_arrays(places, pa.array(["a", "b", "a"]))
    table = pa.table({"plan": column})
    source = TableSource(table)
    known = read_known(source, roles(Asked(), table.schema, table.schema), Meaning())
    (plan,) = known.profile.inputs
    assert plan.categories == ("a", "b")
    assert plan.masses == (167 / 250, 83 / 250, 0.0)


def test_coded_texts_have_as_many_rows_as_places() -> None:
    texts = CodedTexts(("a",), np.array([0, -1, 0]))
    assert len(texts) == 3
    assert texts[np.array([True, False, True])].places.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("hours", "ordered"), [([0, 5, 5, 30], True), ([5, 0, 30, 26], True), ([30, 0, 5, 6], False)]
)
def test_rows_are_in_order_when_the_numbers_of_their_blocks_never_fall(
    hours: list[int], ordered: bool
) -> None:
    """Times may fall within a block."""
    since = np.datetime64("2026-01-01T00", "us")
    when = pa.array(since + np.array(hours).astype("timedelta64[h]"))
    table = pa.table({"when": when})
    source = TableSource(table)
    line = by_time(source, "when", 86_400.0, read_dates(source, "when"))
    assert line.ordered is ordered


@pytest.mark.parametrize(
    "data",
    [
        {"plan": ["a", None], "age": [1.5, float("nan")]},
        [{"plan": "a", "age": 1.5}, {"plan": float("nan")}],
        pd.DataFrame({"plan": ["a", None], "age": [1.5, None]}).convert_dtypes(),
    ],
    ids=["columns", "rows", "nullable"],
)
def test_plain_columns_and_rows_are_tables_too(data: Any) -> None:
    (batch,) = opened(data, "live").batches(["plan", "age"])
    assert batch.to_pylist() == [{"plan": "a", "age": 1.5}, {"plan": None, "age": None}]


def test_files_whose_numbers_are_whole_or_not_are_one_table(tmp_path: Path) -> None:
    """Each file is read by itself, and pandas writes a column where one is missing as fractions."""
    paths = [tmp_path / "0.csv", tmp_path / "1.csv"]
    paths[0].write_text("age\n1\n")
    paths[1].write_text("age\n2.0\n3.5\n")
    (batch,) = opened([str(path) for path in paths], "live").batches(["age"])
    assert batch.column("age").to_pylist() == [1.0, 2.0, 3.5]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"plan": [1, "a"]}, "it cannot be read as a table: Could not convert 'a'"),
        (pd.DataFrame({"plan": [1, "a"]}), "column 'plan': Could not convert 'a'"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "several columns are named 'a'"),
        (pd.DataFrame({"a": [2**70]}), "column 'a': Python int too large"),
        (pd.DataFrame({"a": []}), "it holds no rows"),
        ("empty.csv", "it cannot be read as a table: Empty CSV file"),
    ],
)
def test_what_is_no_table_is_told_with_its_reason(
    data: Any, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.csv").touch()
    with pytest.raises(errors.Usage, match=told) as caught:
        opened(data, "live")
    assert (caught.value.code, caught.value.subject) == (errors.BAD_DATA, "live")


def test_what_is_ignored_of_a_frame_need_not_even_be_readable() -> None:
    frame = pd.DataFrame({"mixed": [1, "a"], "age": [1.5, 2.5]})
    assert opened(frame, "live", ["mixed", "other"]).schema.names == ["age"]


def test_a_level_of_the_index_that_is_meant_is_a_column() -> None:
    frame = pd.DataFrame({"age": [1.5], "day": [1], "id": [7]}).set_index(["day", "id"])
    assert opened(frame, "live", meant=["day", None, "age"]).schema.names == ["day", "age"]


def test_categories_of_numbers_and_truth_values_are_their_values() -> None:
    frame = pd.DataFrame({"code": pd.Categorical([7, None, 9]), "on": pd.Categorical([True] * 3)})
    source = opened(frame, "live")
    assert list(roles(Asked(), source.schema, source.schema).inputs.values()) == ["number"] * 2
    (batch,) = source.batches(["code", "on"])
    assert np.array_equal(numbers(batch.column(0)), [7.0, np.nan, 9.0], equal_nan=True)
    assert numbers(batch.column(1)).tolist() == [1, 1, 1]


def test_a_folder_is_told_from_a_file_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "days").mkdir()
    with pytest.raises(errors.Usage, match=r"is a folder: name its files, such as .*\*.parquet"):
        opened(str(tmp_path / "days"), "live")


def test_an_index_without_a_name_is_not_watched() -> None:
    schema = pa.table({"": pa.array([1]), "age": pa.array([1.5])}).schema
    found = roles(Asked(), schema, schema)
    assert list(found.inputs) == ["age"]
    assert "as pandas writes its index" in found.unwatched[""]
    assert roles(Asked(), schema.remove(0), schema).notes == ()
