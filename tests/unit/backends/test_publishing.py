"""Segments of spools: nothing lost, nothing twice, nothing half visible."""

import os
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from tests.support.spools import (
    entry,
    handed_over,
    ids,
    killed,
    killed_here,
    labels,
    numbers,
    schema,
    segments,
    spools,
)

from trimtab.backends.publishing import publish
from trimtab.backends.requestlog_files import ARROW
from trimtab.backends.spool import AnsweredRecord, RowsRecord, SchemaRecord, SpoolLog
from trimtab.domain.records import FIXED_COLUMNS
from trimtab.ports.logsink import Answered, Attempts, Entry, LogSchema


def test_a_sealed_spool_becomes_a_segment_with_the_declared_columns(tmp_path: Path) -> None:
    log = SpoolLog(tmp_path, "g0-1")
    log.spool([(schema(), [entry("a"), entry("b")])])
    assert spools(tmp_path) == ["g0-1.0.live"]
    handed_over(log)
    assert spools(tmp_path) == ["g0-1.0.log", "g0-1.1.live"]
    assert publish(tmp_path) == 1
    (table,) = segments(tmp_path).values()
    few = ("release", "mode", "lane", "rollout", "outcome", "worker")
    for name, kind in FIXED_COLUMNS:
        plain = str(ARROW[kind])
        told = str(table.schema.field(name).type)
        coded = f"dictionary<values={plain}, indices=int32, ordered=0>"
        assert told == (coded if name in few else plain)
    assert table.schema.names[-3:] == ["in.x", "in.c", "out.v"]
    assert table.schema.field("in.x").type == pa.float64()
    assert table.schema.field("out.v").type == pa.list_(pa.float64())
    assert table.column("unit").to_pylist() == [2**63 + 1] * 2
    assert table.column("release").to_pylist() == ["r1"] * 2
    log.close()
    assert spools(tmp_path) == []


def test_every_row_of_a_request_has_its_own_values(tmp_path: Path) -> None:
    """Attempts of several rows, in a matrix, with missing values, a key, or without an answer."""
    declared = LogSchema(
        "d",
        "r1",
        (("x", "number"), ("y", "number")),
        (("score", "number"), ("label", "text"), ("v", "vector")),
        "flight",
    )
    answered: list[bytes | list[str | None]] = [
        numbers(0.1, 0.2),
        ["no", None],
        numbers(1, 2, 3, 4),
    ]
    log = SpoolLog(tmp_path, "g0-1")
    two = entry("two", 2, inputs=numbers(1, 2, 3, np.nan), key=["F1", None], outputs=answered)
    failed = entry("failed", 1, inputs=numbers(5, 6), outputs=None, outcome="failed")
    refused = entry("refused", 1, inputs=None, outputs=None, outcome="rejected")
    log.spool([(declared, [two, failed, refused])])
    log.close()
    publish(tmp_path)
    (table,) = segments(tmp_path).values()
    found = table.to_pydict()
    assert found["request_id"] == ["two", "two", "failed", "refused"]
    assert found["row"] == [0, 1, 0, 0]
    assert found["in.x"] == [1.0, 3.0, 5.0, None]
    assert found["in.y"] == [2.0, None, 6.0, None]
    assert found["in.flight"] == ["F1", None, None, None]
    assert found["out.score"] == [0.1, 0.2, None, None]
    assert found["out.label"] == ["no", None, None, None]
    assert found["out.v"] == [[1.0, 2.0], [3.0, 4.0], None, None]


def together(*entries: Entry) -> Answered:
    """The same attempts as one batch; their inputs are matrices."""
    first = entries[0]
    shared = ("rollout", "outcome", "worker", "model_seconds")
    columns: dict[str, Any] = {
        name: getattr(first, name) if name in shared else [getattr(e, name) for e in entries]
        for name in Answered.__struct_fields__
    }
    outputs = [list(each) for each in zip(*(e.outputs or [] for e in entries), strict=True)]
    columns |= {
        "inputs": b"".join(e.inputs for e in entries if isinstance(e.inputs, bytes)),
        "key": [key for e in entries for key in e.key or [None] * e.rows],
        "outputs": [
            b"".join(parts) if isinstance(parts[0], bytes) else list(chain.from_iterable(parts))
            for parts in outputs
        ],
    }
    return Answered(**columns)


def test_attempts_answered_together_become_what_they_become_alone(tmp_path: Path) -> None:
    declared = LogSchema(
        "d", "r1", (("x", "number"), ("y", "number")), (("score", "number"), ("label", "text")), "k"
    )
    one = entry("one", 2, inputs=numbers(1, 2, 3, np.nan), key=["F1", None])
    two = entry("two", 1, inputs=numbers(5, 6), unit=7, queue_seconds=0.25, trace_id="t")
    one = msgspec.structs.replace(one, outputs=[numbers(0.1, 0.2), ["no", None]])
    two = msgspec.structs.replace(two, outputs=[numbers(0.3), ["yes"]])
    lost = entry("lost", 1, inputs=None, outputs=None, outcome="failed", error="e", worker=None)
    made: list[pa.Table] = []
    spooled: dict[str, list[Attempts]] = {
        "g0-1": [lost, one, two, lost],
        "g1-1": [lost, together(one, two), lost],
    }
    for name, attempts in spooled.items():
        log = SpoolLog(tmp_path / name, name)
        log.spool([(declared, attempts)])
        log.close()
        publish(tmp_path / name)
        made += segments(tmp_path / name).values()
    assert made[0].to_pydict() == made[1].to_pydict()
    assert made[0].column("request_id").to_pylist() == ["lost", "one", "one", "two", "lost"]


def test_rows_of_two_releases_share_a_segment_unless_their_columns_clash(tmp_path: Path) -> None:
    log = SpoolLog(tmp_path, "g0-1")
    text = entry("c", inputs=[["one"], [None]])
    log.spool(
        [
            (schema(), [entry("a")]),
            (schema("r2"), [entry("b")]),
            (schema("r3", "text"), [text]),
        ]
    )
    log.close()
    publish(tmp_path)
    found = segments(tmp_path)
    assert list(found) == ["g0-1-0.arrow", "g0-1-1.arrow"]
    assert [t.column("request_id").to_pylist() for t in found.values()] == [["a", "b"], ["c"]]


def test_sequences_follow_the_number_of_the_spool(tmp_path: Path) -> None:
    log = SpoolLog(tmp_path, "g0-1")
    for number in range(3):
        if number != 1:
            log.spool([(schema(), [entry(str(number))])])
        if number:
            log.sync(log.spool_labels(labels("1")))
        handed_over(log)
        publish(tmp_path)
    assert list(segments(tmp_path)) == ["g0-1-0.arrow", "g0-1-2000.arrow"]
    assert list(segments(tmp_path, "labels")) == ["g0-1-1000.arrow", "g0-1-2000.arrow"]


def test_a_spool_is_not_published_before_the_one_that_its_dead_writer_left_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers go on behind what they have read, and would never see the first."""
    dead = SpoolLog(tmp_path, "g0-1")
    dead.spool([(schema(), [entry("a")])])
    assert dead.prepare()
    first = dead._file
    assert first is not None
    dead.turn()
    dead.spool([(schema(), [entry("b")])])
    os.close(first.descriptor)
    killed(dead)
    real = Path.rename

    def refused(path: Path, target: Path) -> Path:
        if path.name == "g0-1.0.live":
            raise OSError(28, "No space left on device")
        return real(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", refused)
        assert publish(tmp_path) == 0
    assert publish(tmp_path) == 2
    assert ids(tmp_path) == ["a", "b"]


def test_what_a_killed_writer_left_is_published(tmp_path: Path) -> None:
    dead = SpoolLog(tmp_path, "g0-1")
    dead.spool([(schema(), [entry("a")])])
    dead.spool([(schema(), [entry("b"), entry("c")])])
    dead.sync(dead.spool_labels(labels("yes")))
    killed(dead)
    assert publish(tmp_path) == 1
    assert ids(tmp_path) == ["a", "b", "c"]
    (table,) = segments(tmp_path, "labels").values()
    assert table.column("label").to_pylist() == ["yes"]
    assert spools(tmp_path) == []


def test_a_torn_record_ends_its_spool_and_costs_nothing_else(tmp_path: Path) -> None:
    dead = SpoolLog(tmp_path, "g0-1")
    dead.spool([(schema(), [entry("a")])])
    whole = (tmp_path / "spool/g0-1.0.live").stat().st_size
    dead.spool([(schema(), [entry("b")])])
    killed(dead)
    data = (tmp_path / "spool/g0-1.0.live").read_bytes()
    for cut in range(whole, len(data)):
        home = tmp_path / str(cut)
        (home / "spool").mkdir(parents=True)
        (home / "spool/g0-1.0.live").write_bytes(data[:cut])
        publish(home)
        assert ids(home) == ["a"]


def test_zeros_after_a_power_loss_end_a_spool_and_cost_nothing_else(tmp_path: Path) -> None:
    dead = SpoolLog(tmp_path, "g0-1")
    dead.spool([(schema(), [entry("a")])])
    killed(dead)
    with (tmp_path / "spool/g0-1.0.live").open("ab") as file:
        file.write(bytes(4096))
    publish(tmp_path)
    assert ids(tmp_path) == ["a"]
    assert spools(tmp_path) == []


def test_a_spool_that_a_living_writer_holds_is_left_alone(tmp_path: Path) -> None:
    living = SpoolLog(tmp_path, "g0-1")
    living.spool([(schema(), [entry("a")])])
    assert publish(tmp_path) == 0
    assert spools(tmp_path) == ["g0-1.0.live"]
    living.close()


def test_a_spool_of_which_nothing_can_be_made_is_set_aside(tmp_path: Path) -> None:
    log = SpoolLog(tmp_path, "g0-1")
    log.spool([(schema(), [entry("a", inputs=[["one"], [None]])])])
    log.close()
    (tmp_path / "spool/stray.log").write_bytes(b"")
    publish(tmp_path)
    assert spools(tmp_path) == ["g0-1.0.unreadable", "stray.log"]


def test_rows_of_which_nothing_can_be_made_cost_no_others_and_no_label(tmp_path: Path) -> None:
    log = SpoolLog(tmp_path, "g0-1")
    other = LogSchema("e", "r1", (("x", "number"),), ())
    log.spool([(other, [entry("a", inputs=[["one"]])]), (schema(), [entry("b")])])
    log.sync(log.spool_labels(labels("yes")))
    log.close()
    publish(tmp_path)
    assert ids(tmp_path) == ["b"]
    assert list(segments(tmp_path, "labels")) == ["g0-1-0.arrow"]
    assert spools(tmp_path) == ["g0-1.0.unreadable"]


@pytest.mark.parametrize("rolled", [False, True])
def test_a_publish_that_was_cut_short_is_finished_not_repeated(
    tmp_path: Path, rolled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the first of two segments was visible, or even rolled, and before the second."""
    log = SpoolLog(tmp_path, "g0-1")
    text = entry("b", inputs=[["one"], [None]])
    log.spool([(schema(), [entry("a")]), (schema("r3", "text"), [text])])
    log.close()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", killed_here)
        with pytest.raises(OSError, match="killed"):
            publish(tmp_path)
    folder = tmp_path / "log/d/rows"
    (folder / "g0-1-1.arrow").unlink()
    if rolled:
        (folder / "date=2013-04-01").mkdir()
        (folder / "g0-1-0.arrow").rename(folder / "date=2013-04-01/g0-1-0-0.parquet")
    publish(tmp_path)
    expected = ["g0-1-1.arrow"] if rolled else ["g0-1-0.arrow", "g0-1-1.arrow"]
    assert list(segments(tmp_path)) == expected
    assert spools(tmp_path) == []


def test_a_spool_from_before_there_were_traces_becomes_a_segment(tmp_path: Path) -> None:
    """A gateway may be upgraded with attempts in its spool."""
    log = SpoolLog(tmp_path, "g0-1")
    declared = LogSchema("d", "r1", (("x", "number"), ("y", "number")), (("v", "vector"),), None)
    a, b, c, d, e = (entry(name, inputs=numbers(1, 2)) for name in "abcde")
    alone = msgspec.msgpack.decode(msgspec.msgpack.encode(a))[:-1]
    answered = msgspec.msgpack.decode(msgspec.msgpack.encode(together(b)))[:-1]
    old = log._encoded(
        [SchemaRecord(0, declared), RowsRecord(0, [alone]), AnsweredRecord(0, answered)]
    )
    log._open_file().append(old)
    c, e = msgspec.structs.replace(c, trace_id="t"), msgspec.structs.replace(e, trace_id="u")
    log.spool([(declared, [together(c, d), e])])
    log.close()
    publish(tmp_path)
    traces = {
        name: trace
        for table in segments(tmp_path).values()
        for name, trace in zip(
            table.column("request_id").to_pylist(),
            table.column("trace_id").to_pylist(),
            strict=True,
        )
    }
    assert traces == {"a": None, "b": None, "c": "t", "d": None, "e": "u"}


def test_a_matrix_of_other_rows_than_were_declared_is_no_segment(tmp_path: Path) -> None:
    declared = LogSchema("d", "r1", (("x", "number"),), ())
    log = SpoolLog(tmp_path, "g0-1")
    log.spool([(declared, [entry("a", 3, inputs=numbers(1, 2), outputs=[])])])
    log.close()
    publish(tmp_path)
    assert segments(tmp_path) == {}
    assert spools(tmp_path) == ["g0-1.0.unreadable"]


def test_publishing_may_rest_between_any_two_pieces_of_work(tmp_path: Path) -> None:
    declared = LogSchema("d", "r1", (("x", "number"), ("y", "number")), ())
    many = np.arange(4000.0).tobytes()
    rests: list[list[Path]] = []
    log = SpoolLog(tmp_path, "g0-1")
    log.spool([(declared, [entry("a", 2000, inputs=many, outputs=[])])])
    log.close()
    publish(tmp_path, rest=lambda: rests.append(list(tmp_path.rglob("*.tmp"))))
    assert len(rests) > len(FIXED_COLUMNS) + 2000 // 512
    assert any(rests), "also while a segment is written"
    (table,) = segments(tmp_path).values()
    assert table.column("in.y").to_pylist() == [float(each) for each in range(1, 4000, 2)]


def test_a_segment_of_many_bytes_is_written_whole(tmp_path: Path) -> None:
    declared = LogSchema("d", "r1", tuple((f"x{each}", "number") for each in range(4)), ())
    rows = 70_000
    log = SpoolLog(tmp_path, "g0-1")
    values = np.arange(4.0 * rows)
    log.spool([(declared, [entry("a", rows, inputs=values.tobytes(), outputs=[])])])
    log.close()
    publish(tmp_path)
    (table,) = segments(tmp_path).values()
    for position in range(4):
        assert table.column(f"in.x{position}").to_numpy().tolist() == values[position::4].tolist()
