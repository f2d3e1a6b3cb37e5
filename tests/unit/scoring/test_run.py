"""Every row is scored once and in order: over refusals, over a crash, and never by halves."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from tests.unit.scoring.server import Deployed, deployed

from trimtab import errors
from trimtab.scoring import run
from trimtab.scoring.fit import ADDED
from trimtab.scoring.run import Order, score
from trimtab.scoring.work import Manifest, Work

ROWS = 1_000


@pytest.fixture
def server() -> Iterator[Deployed]:
    with deployed() as it:
        yield it


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests of 10 rows and chunks of 40."""
    monkeypatch.setattr(run, "MOST_ROWS", 10)
    monkeypatch.setattr(run, "REQUESTS_PER_CHUNK", 4)


def flights(rows: int = ROWS) -> pa.Table:
    """A table with one column that the deployment does not take, and missing values."""
    return pa.table(
        {
            "note": pa.array([f"n{row}" for row in range(rows)]).dictionary_encode(),
            "x": [None if row % 7 == 0 else row / 2 for row in range(rows)],
            "carrier": ["AA" if row % 2 else None for row in range(rows)],
            "flight_id": [f"f{row}" for row in range(rows)],
        }
    )


def order(server: Deployed, folder: Path, suffix: str = ".parquet", **fields: object) -> Order:
    """Score `in` to `out` in a folder."""
    paths = (folder / f"in{suffix}", folder / f"out{suffix}")
    return Order(server.url, "d", *paths, **{"concurrency": 3, **fields})  # type: ignore[arg-type]


def held(found: pa.Table, given: pa.Table) -> None:
    """The result is the table with the right scores beside it."""
    assert found.select(given.column_names).to_pydict() == given.to_pydict()
    expected = [None if x is None else 2 * x for x in given.column("x").to_pylist()]
    assert found.column("score").to_pylist() == expected
    assert found.column("label").to_pylist() == given.column("carrier").to_pylist()
    assert found.column("pair").to_pylist() == [[score or 0.0, 1.0] for score in expected]
    assert set(found.column("release").to_pylist()) <= {"m@3"}
    names = list(
        zip(found["request_id"].to_pylist(), found["request_row"].to_pylist(), strict=True)
    )
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("rows", [0, 1, 39, 40, 41, ROWS])
def test_the_result_has_the_rows_of_the_table_in_order(
    server: Deployed, tmp_path: Path, rows: int
) -> None:
    pq.write_table(flights(rows), tmp_path / "in.parquet", row_group_size=17)
    done = score(order(server, tmp_path))
    held(pq.read_table(tmp_path / "out.parquet"), flights(rows))
    assert (done.rows, done.resumed) == (rows, 0)
    assert sum(done.releases.values()) == rows
    assert not (tmp_path / "out.parquet.scoring").exists()
    assert all(each["parameters"]["priority"] == 2 for each in server.asked)
    keys = {each["name"] for body in server.asked for each in body["inputs"]}
    assert keys == ({"x", "carrier", "flight_id"} if rows else set())


def test_each_row_group_may_have_categories_of_its_own(server: Deployed, tmp_path: Path) -> None:
    """As where several frames were written to one file."""
    groups = []
    for start in range(0, 200, 20):
        part, names = flights(200).slice(start, 20), [f"{start}-{each}" for each in range(100)]
        codes = pa.array(range(20), pa.int8())
        notes = pa.DictionaryArray.from_arrays(codes, pa.array(names))
        groups.append(part.set_column(0, "note", notes))
    given = pa.concat_tables(groups)
    pq.write_table(given, tmp_path / "in.parquet", row_group_size=20)
    score(order(server, tmp_path))
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.schema.field("note").type == given.schema.field("note").type
    held(found, given)


def test_csv_goes_in_and_out(server: Deployed, tmp_path: Path) -> None:
    given = flights().drop_columns(["note"])
    pyarrow.csv.write_csv(given, tmp_path / "in.csv")
    with pytest.raises(errors.Usage, match="'pair' has several values a row"):
        score(order(server, tmp_path, ".csv"))
    assert server.requests == 0
    score(Order(server.url, "d", tmp_path / "in.csv", tmp_path / "out.parquet"))
    held(pq.read_table(tmp_path / "out.parquet"), given)
    del server.metadata["outputs"][2]
    score(order(server, tmp_path, ".csv"))
    columns = pyarrow.csv.read_csv(tmp_path / "out.csv").column_names
    assert columns == [*given.column_names, "score", "label", *ADDED]


def test_what_the_server_refuses_is_sent_again_with_less_at_once(
    server: Deployed, tmp_path: Path
) -> None:
    pq.write_table(flights(200), tmp_path / "in.parquet")
    server.refuse_every = 4
    done = score(order(server, tmp_path))
    held(pq.read_table(tmp_path / "out.parquet"), flights(200))
    assert done.refusals >= 5


def test_a_run_that_was_cut_short_goes_on_where_it_was(server: Deployed, tmp_path: Path) -> None:
    pq.write_table(flights(), tmp_path / "in.parquet")
    server.dies_after = 50
    with pytest.raises(errors.Usage, match="no more") as caught:
        score(order(server, tmp_path))
    told = re.fullmatch("score row ([0-9]+) and the 9 behind it of", caught.value.operation)
    assert told is not None
    assert int(told[1]) % 10 == 0
    assert 400 <= int(told[1]) < ROWS, "a request of ten rows after some fifty of them"
    assert not (tmp_path / "out.parquet").exists()
    server.dies_after, first = None, len(server.asked)
    done = score(order(server, tmp_path))
    assert done.rows == ROWS
    assert done.resumed >= 40 * (first // 4 - 3)
    held(pq.read_table(tmp_path / "out.parquet"), flights())


def test_a_run_that_ends_leaves_no_request_that_is_tried_on(
    server: Deployed, tmp_path: Path
) -> None:
    """As when somebody interrupts it while nothing answers in time."""
    pq.write_table(flights(40), tmp_path / "in.parquet")
    server.late, server.dies_after = ("-10", "-20", "-30"), 0
    seen: list[int] = []
    with pytest.raises(errors.Usage, match="no more"):
        score(order(server, tmp_path, patience=600.0), lambda done: seen.append(done.late))
    asked = server.requests
    assert seen == sorted(seen)
    assert asked < 100, "it gave up with the first answer that was final"


def test_a_name_and_a_row_mean_the_same_row_of_a_table_whenever_it_is_scored(
    server: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log takes the first answer of a name for what a label is about."""
    pq.write_table(flights(100), tmp_path / "in.parquet")
    meant: dict[tuple[str, int], set[str]] = {}
    for rows in (10, 7):
        monkeypatch.setattr(run, "MOST_ROWS", rows)
        score(order(server, tmp_path))
        for each in pq.read_table(tmp_path / "out.parquet").to_pylist():
            name = (each["request_id"], each["request_row"])
            meant.setdefault(name, set()).add(each["flight_id"])
    assert all(len(rows) == 1 for rows in meant.values())


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())]
)
def test_long_texts_are_sent_in_requests_of_fewer_rows(
    server: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: pa.DataType
) -> None:
    """A server takes bodies of a certain size only; one row is never split."""
    monkeypatch.setattr(run, "REQUEST_BYTES", 1_000)
    texts = [("long" * (600 if row == 33 else 60) if 20 <= row < 40 else "AA") for row in range(60)]
    given = flights(60).set_column(2, "carrier", pa.array(texts).cast(kind))
    pq.write_table(given, tmp_path / "in.parquet")
    score(order(server, tmp_path))
    held(pq.read_table(tmp_path / "out.parquet"), given)
    sizes = {body["id"].rpartition("-")[2]: body["inputs"][0]["shape"][0] for body in server.asked}
    assert {sizes[place] for place in ("0", "10", "40", "50")} == {10}
    assert max(sizes[place] for place in sizes if 20 <= int(place) < 40) <= 3
    assert sizes["33"] == 1


def test_two_runs_do_not_write_one_output_at_once(server: Deployed, tmp_path: Path) -> None:
    pq.write_table(flights(), tmp_path / "in.parquet")
    told: list[str] = []

    def again(_: object) -> None:
        if not told:
            told.append("")
            with pytest.raises(errors.Conflict, match="another run is at work on it") as caught:
                score(order(server, tmp_path))
            told[0] = caught.value.code

    assert score(order(server, tmp_path), again).rows == ROWS
    assert told == [errors.OTHER_SCORING]
    held(pq.read_table(tmp_path / "out.parquet"), flights())


def test_chunks_of_another_table_are_not_mixed_in(server: Deployed, tmp_path: Path) -> None:
    pq.write_table(flights(), tmp_path / "in.parquet")
    server.dies_after = 50
    with pytest.raises(errors.Usage):
        score(order(server, tmp_path))
    pq.write_table(flights(ROWS - 1), tmp_path / "in.parquet")
    server.dies_after = None
    with pytest.raises(errors.Refused, match="another table") as caught:
        score(order(server, tmp_path))
    assert caught.value.code == errors.OTHER_SCORING


def test_a_folder_that_does_not_say_whose_it_is_is_not_mixed_in(
    server: Deployed, tmp_path: Path
) -> None:
    pq.write_table(flights(40), tmp_path / "in.parquet")
    (tmp_path / "out.parquet.scoring").mkdir()
    (tmp_path / "out.parquet.scoring" / "manifest.json").write_bytes(b'{"deployment":"\xff"}')
    with pytest.raises(errors.Refused, match="another table"):
        score(order(server, tmp_path))


def test_what_is_left_of_a_folder_whose_removal_was_cut_short_is_of_no_table(
    server: Deployed, tmp_path: Path
) -> None:
    """Files of a folder are removed in any order, the manifest perhaps before the chunks."""
    pq.write_table(flights(400), tmp_path / "in.parquet")
    server.dies_after = 24
    with pytest.raises(errors.Usage):
        score(order(server, tmp_path))
    (tmp_path / "out.parquet.scoring" / "manifest.json").unlink()
    other = flights(400).set_column(1, "x", pa.array([float(row) for row in range(400)]))
    pq.write_table(other, tmp_path / "in.parquet")
    server.dies_after = None
    assert score(order(server, tmp_path)).resumed == 0
    held(pq.read_table(tmp_path / "out.parquet"), other)


def test_chunks_with_other_outputs_or_that_cannot_be_read_are_scored_again(
    server: Deployed, tmp_path: Path
) -> None:
    """As when another release was deployed, or a disk lost what it held."""
    pq.write_table(flights(400), tmp_path / "in.parquet")
    server.dies_after = 24
    with pytest.raises(errors.Usage):
        score(order(server, tmp_path))
    server.dies_after = None
    first, second, third, *_ = sorted((tmp_path / "out.parquet.scoring").glob("*.arrows"))
    first.write_bytes(b"")
    second.write_bytes(b"ARROW1")
    third.write_bytes(third.read_bytes()[: third.stat().st_size // 2])
    assert score(order(server, tmp_path)).resumed > 0
    held(pq.read_table(tmp_path / "out.parquet"), flights(400))
    server.dies_after = server.requests + 24
    with pytest.raises(errors.Usage):
        score(order(server, tmp_path))
    server.dies_after = None
    del server.metadata["outputs"][2]
    assert score(order(server, tmp_path)).resumed == 0
    names = pq.read_table(tmp_path / "out.parquet").column_names
    assert names == [*flights(400).column_names, "score", "label", *ADDED]


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({"x": [1.0]}, "there is no column 'carrier'"),
        ({"x": ["a"], "carrier": ["AA"]}, "x is string, and FP64 is wanted"),
        ({"x": [1.0], "carrier": ["AA"], "score": [1.0]}, "column 'score' is there already"),
    ],
)
def test_a_table_that_does_not_fit_is_told_before_a_row_is_sent(
    server: Deployed, tmp_path: Path, table: dict[str, list[object]], problem: str
) -> None:
    pq.write_table(pa.table(table), tmp_path / "in.parquet")
    with pytest.raises(errors.Usage, match=problem):
        score(order(server, tmp_path))
    assert server.requests == 0
    assert not (tmp_path / "out.parquet.scoring").exists()


def test_new_columns_may_have_a_prefix(server: Deployed, tmp_path: Path) -> None:
    given = flights(5).append_column("score", pa.array([0.0] * 5))
    pq.write_table(given, tmp_path / "in.parquet")
    score(order(server, tmp_path, prefix="new_"))
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.column_names[-6:] == [
        *("new_score", "new_label", "new_pair"),
        *("new_release", "new_request_id", "new_request_row"),
    ]
    assert found.column("score").to_pylist() == [0.0] * 5


def test_a_missing_or_strange_file_is_wrong_usage(server: Deployed, tmp_path: Path) -> None:
    with pytest.raises(errors.Usage, match="no such file"):
        score(order(server, tmp_path))
    (tmp_path / "in.parquet").write_text("x,carrier\n")
    with pytest.raises(errors.Usage, match="cannot be read as a table"):
        score(order(server, tmp_path))
    with pytest.raises(errors.Usage, match="are not known"):
        score(order(server, tmp_path, ".xlsx"))


WHOLE = {"name": "n", "datatype": "INT64", "shape": [-1]}
FLAG = {"name": "flag", "datatype": "BOOL", "shape": [-1]}


def sent(server: Deployed, name: str) -> list[object]:
    """What the server was sent of an input, in the order of the requests' names."""
    asked = sorted(server.asked, key=lambda body: str(body["id"]))
    tensors = [each for body in asked for each in body["inputs"] if each["name"] == name]
    return [value for each in tensors for value in each["data"]]


def test_whole_numbers_and_truth_values_may_be_written_with_a_fraction_of_zero(
    server: Deployed, tmp_path: Path
) -> None:
    """As pandas writes a column where some are missing."""
    server.metadata["inputs"] += [WHOLE, FLAG]
    rows = ["1,AA,44.0,1.0", "2,AA,,", "3,AA,9007199254740993.0,False", "4,AA, 7 ,0"]
    (tmp_path / "in.csv").write_text("\n".join(["x,carrier,n,flag", *rows]))
    score(Order(server.url, "d", tmp_path / "in.csv", tmp_path / "out.parquet"))
    assert sent(server, "n") == [44, None, 9007199254740993, 7]
    assert sent(server, "flag") == [True, None, False, False]
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.schema.field("n").type == pa.int64()


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("1,AA,44.5,1", "row 57: 'n' is '44.5', no whole number [(]int64[)]"),
        ("1,AA,many,1", "row 57: 'n' is 'many', no whole number"),
        ("1,AA,1,yes", "row 57: 'flag' is 'yes', no truth value"),
        ('"1,5",AA,1,1', "row 57: 'x' is '1,5', no number"),
    ],
)
def test_a_value_of_another_kind_is_told_with_its_row_and_column(
    server: Deployed, tmp_path: Path, row: str, told: str
) -> None:
    server.metadata["inputs"] += [WHOLE, FLAG]
    rows = ["1,AA,1,1"] * 57 + [row] + ["1,AA,1,1"] * 3
    (tmp_path / "in.csv").write_text("\n".join(["x,carrier,n,flag", *rows]))
    with pytest.raises(errors.Usage, match=told):
        score(Order(server.url, "d", tmp_path / "in.csv", tmp_path / "out.parquet"))


def test_columns_that_only_go_through_a_csv_file_stay_as_they_are_written(
    server: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers for long, as it seems, and then something else."""
    monkeypatch.setattr("trimtab.scoring.table.BLOCK_BYTES", 256)
    del server.metadata["outputs"][2]
    rows = ["0.5,AA,00123,9007199254740993.0"] * 60 + ["0.5,AA,D-01067,"]
    (tmp_path / "in.csv").write_text("\n".join(["x,carrier,zip,account", *rows]) + "\n")
    score(order(server, tmp_path, ".csv"))
    told = (tmp_path / "out.csv").read_text().splitlines()
    assert len(told) == 62
    assert told[1].startswith('0.5,"AA","00123","9007199254740993.0",1,"AA","m@3"')
    assert told[61].startswith('0.5,"AA","D-01067",,1,"AA","m@3"')


def test_finished_rows_of_a_version_that_read_numbers_are_gone_on_with(
    tmp_path: Path,
) -> None:
    given = pa.table({"x": [0.5], "zip": [123]})
    wanted = pa.table({"x": [0.5], "zip": ["123"]}).schema
    work = Work(tmp_path / "out.csv", Manifest("d", "in.csv", "0", 10, ""))
    with work.open():
        work.keep(0, given)
        work.publish(1, wanted)
    assert (tmp_path / "out.csv").read_text() == '"x","zip"\n0.5,"123"\n'


def test_semicolons_decimal_commas_and_compression_are_understood(
    server: Deployed, tmp_path: Path
) -> None:
    del server.metadata["outputs"][2]
    text = "\ufeffnote;carrier;x\n1,25;AA;0,5\n;UA;\n"
    (tmp_path / "in.csv.gz").write_bytes(gzip.compress(text.encode()))
    score(order(server, tmp_path, ".csv.gz"))
    assert sent(server, "x") == [0.5, None]
    told = gzip.decompress((tmp_path / "out.csv.gz").read_bytes()).decode().splitlines()
    assert told[0].startswith('"note","carrier","x","score"')
    assert told[1].startswith('1.25,"AA",0.5,1,"AA","m@3"')
    assert told[2].startswith(',"UA",,,"UA","m@3"')


def test_what_the_server_says_of_a_row_names_its_place_in_the_table(
    server: Deployed, tmp_path: Path
) -> None:
    pq.write_table(flights(40), tmp_path / "in.parquet")
    server.dies_after, server.words = 0, "input 'x' row 3: null"
    with pytest.raises(errors.Usage) as caught:
        score(order(server, tmp_path, concurrency=1))
    told = re.fullmatch("score row ([0-9]+) and the 9 behind it of", caught.value.operation)
    assert told is not None
    assert caught.value.message == f"input 'x' row {int(told[1]) + 3}: null"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "it cannot be read as a table: Empty CSV file"),
        ("x,x,carrier\n1,2,AA\n", "there are two columns 'x'"),
        ("x,carrier\n1,AA,3\n", "Expected 2 columns, got 3"),
    ],
)
def test_a_file_that_is_no_table_says_why(
    server: Deployed, tmp_path: Path, text: str, told: str
) -> None:
    (tmp_path / "in.csv").write_text(text)
    with pytest.raises(errors.Usage, match=told):
        score(Order(server.url, "d", tmp_path / "in.csv", tmp_path / "out.parquet"))
    assert server.requests == 0


def test_a_column_that_arrow_does_not_read_in_pieces_is_told(
    server: Deployed, tmp_path: Path
) -> None:
    texts = pa.DictionaryArray.from_arrays(pa.array([0, 0], pa.int8()), pa.array(["a"]))
    lists = pa.ListArray.from_arrays(pa.array([0, 1, 2], pa.int32()), texts)
    given = flights(2).append_column("lists", pa.chunked_array([lists]))
    pq.write_table(pa.concat_tables([given] * 3), tmp_path / "in.parquet", row_group_size=2)
    with pytest.raises(errors.Usage, match="cannot be read as a table: Nested data") as caught:
        score(order(server, tmp_path))
    assert caught.value.code == errors.BAD_TABLE


def test_a_column_that_csv_does_not_hold_is_told_before_a_row_is_sent(
    server: Deployed, tmp_path: Path
) -> None:
    del server.metadata["outputs"][2]
    given = flights(5).append_column("seen", pa.array(["a"] * 5, pa.string_view()))
    pq.write_table(given, tmp_path / "in.parquet")
    with pytest.raises(errors.Usage, match="'seen' is string_view, which CSV does not hold"):
        score(Order(server.url, "d", tmp_path / "in.parquet", tmp_path / "out.csv"))
    assert server.requests == 0
