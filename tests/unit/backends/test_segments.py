"""The spool and the segments: nothing lost, nothing twice, nothing half visible."""

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from trimtab.backends.segments import SegmentLog
from trimtab.domain.records import FIXED_COLUMNS, LABEL_COLUMNS
from trimtab.ports.logsink import Block, LabelBlock, LogSchema, ValueKind

_SAMPLES: dict[str, Any] = {
    "string": "s",
    "int32": 1,
    "float64": 0.5,
    "uint64": 2**63 + 1,
    "bool": True,
}


def schema(release: str = "r1", kind: ValueKind = "number") -> LogSchema:
    return LogSchema("d", release, (("x", kind), ("c", "text")), (("v", "vector"),))


def block(*ids: str, of: LogSchema | None = None, x: Any = 1) -> Block:
    """One row per id, the other columns filled with samples of their type."""
    fixed = [[_SAMPLES[kind]] * len(ids) for _, kind in FIXED_COLUMNS]
    fixed[0] = list(ids)
    inputs: list[list[Any]] = [[x] * len(ids), [None] * len(ids)]
    return Block(of or schema(), fixed, inputs, [[[1, 2.5]] * len(ids)])


def labels(*texts: str) -> LabelBlock:
    columns: list[list[Any]] = [[_SAMPLES[kind]] * len(texts) for _, kind in LABEL_COLUMNS]
    columns[3] = list(texts)
    return LabelBlock("d", columns)


def segments(home: Path, kind: str = "rows") -> dict[str, pa.Table]:
    paths = sorted((home / "log" / "d" / kind).glob("*.arrow"))
    return {path.name: pa.ipc.open_file(path.read_bytes()).read_all() for path in paths}


def ids(home: Path) -> list[str]:
    return [str(v) for t in segments(home).values() for v in t.column("request_id").to_pylist()]


def spools(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "spool").glob("*"))


def killed(log: SegmentLog) -> None:
    """What a kill does to a writer: its descriptors, and so its lock, are gone."""
    os.close(log._descriptor)


def test_a_sealed_spool_becomes_a_segment_with_the_declared_columns(tmp_path: Path) -> None:
    log = SegmentLog(tmp_path, "g0-1")
    rows = block("a", "b")
    log.spool([rows])
    assert spools(tmp_path) == ["g0-1.log"]
    sealed = log.seal([rows], [])
    log.publish(sealed, [rows], [])
    (table,) = segments(tmp_path).values()
    declared = [(name, str(table.schema.field(name).type)) for name, _ in FIXED_COLUMNS]
    assert declared == [(n, {"float64": "double"}.get(t, t)) for n, t in FIXED_COLUMNS]
    assert table.schema.names[-3:] == ["in.x", "in.c", "out.v"]
    assert table.schema.field("in.x").type == pa.float64()
    assert table.schema.field("out.v").type == pa.list_(pa.float64())
    assert table.column("unit").to_pylist() == [2**63 + 1] * 2
    assert spools(tmp_path) == []


def test_rows_of_two_releases_share_a_segment_unless_their_columns_clash(tmp_path: Path) -> None:
    log = SegmentLog(tmp_path, "g0-1")
    blocks = [
        block("a"),
        block("b", of=schema("r2")),
        block("c", of=schema("r3", "text"), x="one"),
    ]
    log.spool(blocks)
    log.publish(log.seal(blocks, []), blocks, [])
    found = segments(tmp_path)
    assert list(found) == ["g0-1-0.arrow", "g0-1-1.arrow"]
    assert [t.column("request_id").to_pylist() for t in found.values()] == [["a", "b"], ["c"]]


def test_rows_and_labels_are_counted_apart_without_gaps(tmp_path: Path) -> None:
    log = SegmentLog(tmp_path, "g0-1")
    for number in range(3):
        rows = [block(str(number))] if number != 1 else []
        given = [labels("1")] if number else []
        if rows:
            log.spool(rows)
        for each in given:
            log.sync(log.spool_labels(each))
        log.publish(log.seal(rows, given), rows, given)
    assert list(segments(tmp_path)) == ["g0-1-0.arrow", "g0-1-1.arrow"]
    assert list(segments(tmp_path, "labels")) == ["g0-1-0.arrow", "g0-1-1.arrow"]


def test_what_a_killed_writer_left_is_recovered_by_the_next_of_its_index(tmp_path: Path) -> None:
    dead = SegmentLog(tmp_path, "g0-1")
    dead.spool([block("a")])
    dead.spool([block("b", "c")])
    dead.sync(dead.spool_labels(labels("yes")))
    killed(dead)
    assert SegmentLog(tmp_path, "g1-2").recover(1) == 0
    assert SegmentLog(tmp_path, "g0-2").recover(0) == 3
    assert ids(tmp_path) == ["a", "b", "c"]
    assert list(segments(tmp_path)) == ["g0-2-0.arrow"]
    (table,) = segments(tmp_path, "labels").values()
    assert table.column("label").to_pylist() == ["yes"]
    assert spools(tmp_path) == []


def test_a_torn_record_ends_its_spool_and_costs_nothing_else(tmp_path: Path) -> None:
    dead = SegmentLog(tmp_path, "g0-1")
    dead.spool([block("a")])
    whole = (tmp_path / "spool/g0-1.log").stat().st_size
    dead.spool([block("b")])
    killed(dead)
    data = (tmp_path / "spool/g0-1.log").read_bytes()
    for cut in range(whole, len(data)):
        home = tmp_path / str(cut)
        (home / "spool").mkdir(parents=True)
        (home / "spool/g0-1.log").write_bytes(data[:cut])
        assert SegmentLog(home, "g0-2").recover(0) == 1
        assert ids(home) == ["a"]


def test_a_spool_that_a_living_writer_holds_is_left_alone(tmp_path: Path) -> None:
    living = SegmentLog(tmp_path, "g0-1")
    living.spool([block("a")])
    assert SegmentLog(tmp_path, "g0-2").recover(0) == 0
    assert spools(tmp_path) == ["g0-1.log"]
    killed(living)


def _killed_here(path: Path, missing_ok: bool = False) -> None:
    raise OSError("killed")


@pytest.mark.parametrize("rolled", [False, True])
def test_a_publish_that_was_cut_short_is_finished_not_repeated(
    tmp_path: Path, rolled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the first of two segments was visible, or even rolled, and before the second."""
    dead = SegmentLog(tmp_path, "g0-1")
    blocks = [block("a"), block("b", of=schema("r3", "text"), x="one")]
    dead.spool(blocks)
    sealed = dead.seal(blocks, [])
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", _killed_here)
        with pytest.raises(OSError, match="killed"):
            dead.publish(sealed, blocks, [])
    os.close(sealed.descriptor)
    folder = tmp_path / "log/d/rows"
    (folder / "g0-1-1.arrow").unlink()
    if rolled:
        (folder / "date=2013-04-01").mkdir()
        (folder / "g0-1-0.arrow").rename(folder / "date=2013-04-01/g0-1-0-0.parquet")
    SegmentLog(tmp_path, "g0-2").recover(0)
    expected = ["g0-1-1.arrow"] if rolled else ["g0-1-0.arrow", "g0-1-1.arrow"]
    assert list(segments(tmp_path)) == expected
    assert spools(tmp_path) == []


def test_a_write_that_fails_leaves_the_spool_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = SegmentLog(tmp_path, "g0-1")
    log.spool([block("a")])
    before = (tmp_path / "spool/g0-1.log").read_bytes()
    real = os.write

    def disk_full(descriptor: int, data: bytes) -> int:
        if len(data) < 20:
            raise OSError(28, "No space left on device")
        return real(descriptor, data[:-10])

    monkeypatch.setattr(os, "write", disk_full)
    with pytest.raises(OSError, match="No space"):
        log.spool([block("b", of=schema("r2"))])
    monkeypatch.undo()
    assert (tmp_path / "spool/g0-1.log").read_bytes() == before
    log.spool([block("c", of=schema("r2"))])
    killed(log)
    assert SegmentLog(tmp_path, "g0-2").recover(0) == 2
    assert ids(tmp_path) == ["a", "c"]
