"""What becomes of labels: which predictions they find, and which are forgotten."""

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from tests.support.request_log import LABEL, ROW, table

from trimtab.backends.requestlog_files import to_labels, to_rows
from trimtab.domain.records import FIXED_COLUMNS, LABEL_COLUMNS, Fate, Labels, Rows
from trimtab.loop.joiner import SENDERS, Joiner, Read, SavedJoiner, Terms
from trimtab.loop.key_index import KeyIndex
from trimtab.loop.recall import Recall
from trimtab.ports.requestlog import Segment


def given(*labels: tuple[str, str | None], source: str = "warehouse") -> Labels:
    """A segment of labels by request."""
    rows = [
        {**LABEL, "request_id": name, "label": label, "source": source} for name, label in labels
    ]
    return to_labels(table(rows, LABEL_COLUMNS))


ONE = to_rows(table([{**ROW, "request_id": "r0"}], FIXED_COLUMNS))
"""A prediction that waits for a label."""


def waiting() -> Joiner:
    """A joiner that holds it."""
    joiner = Joiner(Terms(horizon=10.0))
    joiner.add(Segment("flights", "rows", "g0-1", 0, ""), ONE)
    return joiner


def recalled(saved: SavedJoiner, read: Read) -> Joiner:
    """The joiner of a controller that starts again."""
    joiner = Recall(saved, read, 0.0).some(1000)
    assert joiner is not None
    return joiner


def heard(joiner: Joiner, *labels: Labels) -> list[str]:
    """What becomes of the labels of one segment, which are taken."""
    names = labels[0].fixed
    every = Labels({name: np.concatenate([each.fixed[name] for each in labels]) for name in names})
    fates: list[str] = joiner.weigh(every).fate.tolist()
    joiner.learn(every, 1.0)
    return fates


def by(source: str, label: str = "1") -> Labels:
    """A label of the prediction from this sender."""
    return given(("r0", label), source=source)


def test_who_says_what_another_sender_said_confirms_it_once() -> None:
    joiner = waiting()
    assert heard(joiner, by("a")) == ["fresh"]
    assert heard(joiner, by("b"), by("b")) == ["confirmed", "repeated"]
    assert heard(joiner, by("b"), by("a")) == ["repeated", "repeated"]
    assert heard(joiner, by("c", "0"), by("c")) == ["contradicted", "confirmed"]


def test_who_said_a_label_in_the_segment_that_it_came_in_is_remembered() -> None:
    joiner = waiting()
    assert heard(joiner, by("a"), by("b"), by("c", "0")) == ["fresh", "confirmed", "contradicted"]
    assert heard(joiner, by("a"), by("b")) == ["repeated", "repeated"]
    assert heard(joiner, by("c")) == ["confirmed"]


def test_who_said_a_label_is_known_after_a_restart_and_a_joiner_of_before_knew_nobody() -> None:
    joiner = waiting()
    heard(joiner, by("a"), by("b"))
    saved = joiner.dump()
    old = msgspec.structs.replace(saved.batches[0], said=b"")
    before = msgspec.structs.replace(saved, batches=(old,), senders={})
    told = (saved, "a", "repeated"), (saved, "c", "confirmed"), (before, "c", "repeated")
    for kept, source, fate in told:
        again = recalled(kept, lambda segments: [ONE] * len(segments))
        assert heard(again, by(source)) == [fate]


def test_of_more_senders_than_are_told_apart_the_last_are_as_one() -> None:
    joiner = waiting()
    fates = [heard(joiner, by(f"s{number}")) for number in range(SENDERS + 3)]
    assert fates == [["fresh"], *[["confirmed"]] * (SENDERS - 1), *[["repeated"]] * 3]
    assert len(joiner.dump().senders) == SENDERS


def test_every_label_is_told_by_what_became_of_it() -> None:
    joiner = Joiner(Terms(horizon=10.0, time="received_at"))
    rows = [{**ROW, "request_id": f"r{number}"} for number in range(3)]
    segment = Segment("flights", "rows", "g0-1", 0, "")
    joiner.add(segment, to_rows(table(rows, FIXED_COLUMNS)))
    first = given(("r0", "1"), ("r0", "1"), ("r0", "0"), ("r1", "1"), ("none", "1"))
    fates = ["fresh", "repeated", "contradicted", "fresh", "unknown"]
    told = joiner.weigh(first)
    assert told.fate.tolist() == fates
    assert told.first.tolist() == ["1", "1", "1", "1", "1"]
    assert told.source.tolist() == first.fixed["source"].tolist()
    assert told.at.tolist() == first.fixed["received_at"].tolist()
    joiner.learn(first, 1.0)
    again = given(("r1", "1"), ("r1", "0"), ("r2", "1"))
    told = joiner.weigh(again)
    assert told.fate.tolist() == ["repeated", "contradicted", "fresh"]
    assert told.first.tolist() == ["1", "1", "1"]
    assert Joiner(Terms(horizon=10.0)).weigh(first).at.tolist() == first.fixed["at"].tolist()


def test_what_a_prediction_was_said_to_be_is_known_after_a_restart() -> None:
    joiner = Joiner(Terms(horizon=10.0))
    rows = to_rows(table([{**ROW, "request_id": "r0"}], FIXED_COLUMNS))
    joiner.add(Segment("flights", "rows", "g0-1", 0, ""), rows)
    joiner.learn(given(("r0", "1")), 1.0)
    again = recalled(joiner.dump(), lambda segments: [rows])
    told = again.weigh(given(("r0", "0")))
    assert (told.fate.tolist(), told.first.tolist()) == (["contradicted"], ["1"])


def test_labels_that_say_nothing_are_known_after_a_restart() -> None:
    """Callers may send null, for a prediction that is there and for one that is not."""
    joiner = waiting()
    assert heard(joiner, given(("r0", None), ("r0", "1"), ("later", None))) == [
        "fresh",
        "contradicted",
        "unknown",
    ]
    saved = msgspec.msgpack.decode(msgspec.msgpack.encode(joiner.dump()), type=SavedJoiner)
    assert [label.label for label in saved.labels] == [None]
    again = recalled(saved, lambda segments: [ONE] * len(segments))
    told = again.weigh(given(("r0", "1"), ("r0", None)))
    assert (told.fate.tolist(), told.first.tolist()) == (["contradicted", "repeated"], [None, None])


@pytest.mark.parametrize("left", [{"request_id": "r1"}, {"outcome": "failed"}])
def test_a_segment_of_which_a_power_loss_left_other_rows_is_not_held(left: dict[str, str]) -> None:
    joiner = Joiner(Terms(horizon=10.0))
    rows = [{**ROW, "request_id": f"r{number}"} for number in range(2)]
    joiner.add(Segment("flights", "rows", "g0-1", 0, ""), to_rows(table(rows, FIXED_COLUMNS)))
    joiner.add(Segment("flights", "rows", "g0-1", 1000, ""), ONE)
    found = {0: to_rows(table([{**ROW, **left}], FIXED_COLUMNS)), 1000: ONE}
    again = recalled(joiner.dump(), lambda segments: [found[each.sequence] for each in segments])
    assert again.waiting == 1
    assert heard(again, given(("r0", "1"))) == ["fresh"]


def test_a_flood_of_labels_for_nobody_pushes_out_no_prediction() -> None:
    """The oldest labels go, and are counted; a label that comes for a prediction still counts."""
    joiner = Joiner(Terms(horizon=10.0), capacity=50)
    row = {**ROW, "request_id": "mine", "event_time": 1.0}
    joiner.add(Segment("flights", "rows", "g0-1", 0, ""), to_rows(table([row], FIXED_COLUMNS)))
    flood = [{**LABEL, "request_id": f"nobody{number}"} for number in range(500)]
    assert joiner.learn(to_labels(table(flood, LABEL_COLUMNS)), 2.0) == []
    assert (joiner.waiting, joiner.evicted) == (1, 450)
    assert len(joiner.dump().labels) == 50
    (known,) = joiner.learn(to_labels(table([{**LABEL, "request_id": "mine"}], LABEL_COLUMNS)), 3.0)
    assert known.rows.fixed["request_id"].tolist() == ["mine"]


def test_of_a_long_label_no_more_is_kept_than_of_an_id() -> None:
    """A hundred of a megabyte each, for nobody, would wait in the controller for weeks."""
    joiner, long = waiting(), "x" * 1_000_000
    assert heard(joiner, given(("nobody", long), ("r0", long))) == [Fate.UNKNOWN, Fate.FRESH]
    assert len(msgspec.json.encode(joiner.dump())) < 2_000
    assert heard(joiner, by("desk", long)) == [Fate.CONFIRMED]
    assert joiner.weigh(given(("nobody", long))).label.tolist() == [long[:256]]


def test_of_a_long_business_key_no_label_can_name_the_beginning() -> None:
    joiner = Joiner(Terms(horizon=10.0, key="person"))
    rows = table([{**ROW, "request_id": f"r{size}"} for size in (256, 300)], FIXED_COLUMNS)
    keys = ["k" * 256, "k" * 300]
    rows = rows.append_column("in.person", pa.array(keys))
    joiner.add(Segment("flights", "rows", "g0-1", 0, ""), to_rows(rows))
    told = table([{**LABEL, "request_id": None, "key": key} for key in keys], LABEL_COLUMNS)
    (known,) = joiner.learn(to_labels(told), 1.0)
    assert known.rows.fixed["request_id"].tolist() == ["r256"]


def test_predictions_that_no_label_was_looked_for_are_never_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Names cost more than all the rest: they are made when the first label comes."""
    named: list[int] = []
    monkeypatch.setattr(KeyIndex, "add", lambda self, keys, first: named.append(first))
    joiner = Joiner(Terms(horizon=10.0), capacity=2)
    for number in range(4):
        row = {**ROW, "request_id": f"r{number}"}
        segment = Segment("flights", "rows", "g0-1", number, "")
        joiner.add(segment, to_rows(table([row], FIXED_COLUMNS)))
    assert (joiner.waiting, named) == (2, [])
    joiner.learn(given(("r3", "1"), ("r3", "1")), 1.0)
    assert named == [2, 3]


def test_what_no_label_can_reach_is_forgotten() -> None:
    joiner = Joiner(Terms(horizon=10.0), capacity=2)
    for number, moment in enumerate((0.0, 5.0)):
        row = {**ROW, "request_id": f"r{number}", "event_time": moment}
        segment = Segment("flights", "rows", "g0-1", number, "")
        joiner.add(segment, to_rows(table([row], FIXED_COLUMNS)))
    joiner.expire(11.0)
    assert joiner.waiting == 1
    for number in range(2, 5):
        row = {**ROW, "request_id": f"r{number}", "event_time": 11.0}
        segment = Segment("flights", "rows", "g0-1", number, "")
        joiner.add(segment, to_rows(table([row], FIXED_COLUMNS)))
    assert (joiner.waiting, joiner.evicted) == (2, 2)
    labels = [{**LABEL, "request_id": f"r{number}"} for number in range(9)]
    known = joiner.learn(to_labels(table(labels, LABEL_COLUMNS)), 12.0)
    assert [list(each.rows.fixed["request_id"]) for each in known] == [["r3", "r4"]]
    joiner.expire(50.0)
    assert joiner.dump().labels == ()
    assert joiner.waiting == 0


def answers(number: int, size: int, **changes: object) -> tuple[Segment, Rows]:
    """A segment of so many answered requests."""
    rows = [
        {**ROW, "request_id": f"r{number}-{place}", "event_time": float(number), **changes}
        for place in range(size)
    ]
    return Segment("flights", "rows", "g0-1", number, ""), to_rows(table(rows, FIXED_COLUMNS))


def held(joiner: Joiner) -> list[list[int]]:
    """The segments that are held, as they are held together."""
    return [[part.sequence for part, _ in each.parts] for each in joiner._batches.values()]


def test_small_segments_are_held_together_and_large_ones_by_themselves() -> None:
    """A service that is asked now and then makes a segment of each request: by themselves a day of
    them would take a gigabyte, and as many mappings of files as a kernel has."""
    joiner = Joiner(Terms(horizon=6400.0))
    sizes = (1, 3, 511, 1200, 2, 400, 400, 400, 400, 400, 400)
    for number, size in enumerate(sizes):
        joiner.add(*answers(number, size))
    assert held(joiner) == [[0, 1, 2], [3], [4, 5, 6, 7, 8, 9], [10]]
    assert joiner.waiting == sum(sizes)
    assert [len(each.pieces) for each in joiner._batches.values()] == [1, 1, 1, 1]
    apart = joiner._batches[0].rows
    assert isinstance(apart.fixed, dict)
    assert apart.fixed["request_id"].tolist()[:4] == ["r0-0", "r1-0", "r1-1", "r1-2"]


def test_what_is_forgotten_together_is_of_about_the_same_time_and_of_the_same_columns() -> None:
    joiner = Joiner(Terms(horizon=64.0, inputs=("y",)))
    for number in (0, 1, 2, 3):
        joiner.add(*answers(number, 1))
    for number, values in ((10, {"in.y": 1.0}), (11, {}), (12, {"in.y": 1.0}), (13, {"in.y": "?"})):
        joiner.add(*answers(number, 1, **values))
    assert held(joiner) == [[0, 1], [2, 3], [10], [11], [12], [13]]
    joiner.expire(65.5)
    assert held(joiner)[0] == [2, 3]


def test_labels_find_predictions_that_are_held_together_before_and_after_a_restart() -> None:
    joiner = Joiner(Terms(horizon=6400.0))
    log = dict(answers(number, 2) for number in range(40))
    for number, (segment, rows) in enumerate(log.items()):
        joiner.add(segment, rows)
        if number in (10, 20):
            (known,) = joiner.learn(given((f"r{number}-1", "1"), ("r3-0", "0")), 1.0)
            names = ["r3-0", "r10-1"] if number == 10 else ["r20-1"]
            assert known.rows.fixed["request_id"].tolist() == names
    again = recalled(joiner.dump(), lambda segments: [log[each] for each in segments])
    assert again.dump() == joiner.dump()
    assert held(again) == held(joiner) == [list(range(40))]
    for each in (joiner, again):
        assert heard(each, given(("r3-0", "0"), ("r39-1", "1"))) == ["repeated", "fresh"]
        each.add(*answers(40, 2))
        assert held(each) == [list(range(41))]
        each.expire(7000.0)
        assert (each.waiting, each._index.places("r39-1")) == (0, [])


def test_a_saved_joiner_is_held_as_it_was_whatever_is_gone_of_it() -> None:
    joiner = Joiner(Terms(horizon=6400.0))
    log = dict(answers(number, size) for number, size in enumerate((2, 2, 600, 2, 2)))
    for segment, rows in log.items():
        joiner.add(segment, rows)
    assert held(joiner) == [[0, 1], [2], [3, 4]]
    gone = {2, 3}
    again = recalled(
        joiner.dump(),
        lambda segments: [None if each.sequence in gone else log[each] for each in segments],
    )
    assert held(again) == [[0, 1], [4]]
    older = msgspec.structs.replace(
        joiner.dump(),
        batches=tuple(msgspec.structs.replace(each, joins=None) for each in joiner.dump().batches),
    )
    upgraded = recalled(older, lambda segments: [log[each] for each in segments])
    assert held(upgraded) == [[0, 1], [2], [3, 4]]
