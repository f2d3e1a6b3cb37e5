"""An incident in the rows of the request log."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from tests.support.traffic import BINARY, DAY, STABLE, column, labelled, profile, rows

from trimtab.domain.deployment import Objective
from trimtab.domain.records import Labels, Rows
from trimtab.domain.verdicts import Verdict
from trimtab.judge.samples import Known
from trimtab.loop.samples import Bound, Told, Trouble, told

KNOWN = Known(Objective(), BINARY, profile())
START = 30 * DAY
BOUND = Bound(rows=5000)


@dataclass
class Log:
    """What a request log was asked for, and answers in parts, the newest first."""

    parts: Sequence[Rows] = ()
    labels: Sequence[Labels] = ()
    read: list[str] = field(default_factory=list)

    def rows_between(self, deployment: str, since: float, until: float) -> Iterator[Rows]:
        for part in reversed(self.parts):
            at = part.fixed["event_time"]
            inside = (at >= since) & (at <= until)
            if inside.any():
                self.read.append("rows")
                yield part.take(inside)

    def labels_since(self, deployment: str, since: float) -> Iterator[Labels]:
        for part in reversed(self.labels):
            self.read.append("labels")
            yield part


def verdict(signal: str, evidence: float = 9.0, **more: Any) -> Verdict:
    given: dict[str, Any] = {"verdict": "bad", "tier": "page", "threshold_log10": 3.0, **more}
    return Verdict(
        signal=signal, reason="", release=STABLE.digest, evidence_log10=evidence, **given
    )


def trouble(*signals: str, **more: Any) -> Trouble:
    verdicts = tuple(verdict(each) for each in signals)
    return Trouble("d", STABLE.digest, verdicts, START, START + 9 * DAY, **more)


def asked(log: Log, of: Trouble, bound: Bound = BOUND) -> Told:
    port: Any = log
    return told(port, of, KNOWN, bound, 3)


def day(number: int, n: int = 400, **fixed: Any) -> Rows:
    given = {"error": "", **fixed}
    return rows(n, seed=number + 50, start=START + number * DAY, **given)


def truths(given: Rows, seed: int, *, key: str | None = None, flip: Any = False) -> Labels:
    """Labels as they are logged, by row or by a business key; turned around where `flip`."""
    n = len(given)
    truth = labelled(given, seed=seed).label == "1"
    label = np.where(truth ^ flip, "1", "0").astype(object)
    named = {"request_id": given.fixed["request_id"], "key": [""] * n}
    if key is not None:
        named = {"request_id": [""] * n, "key": [str(int(k)) for k in given.inputs[key].tolist()]}
    columns = {**named, "row": 0, "label": label, "at": given.fixed["event_time"] + 60.0}
    return Labels({name: column(value, n) for name, value in columns.items()})


def test_requests_of_the_release_in_that_time_are_shown() -> None:
    elsewhere = day(1, release="sha256:other", outcome="failed")
    copies = day(1, mode="shadow", outcome="failed")
    mine = day(2, outcome=["failed", "ok"] * 200, error="boom")
    found = asked(Log([day(-1, outcome="failed"), elsewhere, copies, mine]), trouble("errors"))
    (shown,) = found.shown
    assert (found.rows, shown.of, shown.share, shown.cut) == (400, 400, 0.5, False)
    assert [each.request_id for each in shown.samples] == ["52-398", "52-396", "52-394"]
    assert {each.value for each in shown.samples} == {"boom"}
    with_copies = asked(Log([copies, mine]), trouble("errors", copies=True))
    assert with_copies.shown[0].of == 800


def test_the_loudest_signals_are_shown_up_to_a_number() -> None:
    many = tuple(verdict(f"input:c{n}", evidence=float(n)) for n in range(9))
    fine = verdict("errors", verdict="ok", evidence=99.0)
    of = Trouble("d", STABLE.digest, (*many, fine), START, START + DAY)
    found = asked(Log([day(0)]), of)
    assert [each.signal for each in found.shown] == [f"input:c{n}" for n in range(8, 3, -1)]


def test_of_very_many_rows_the_newest_are_read_and_that_is_said() -> None:
    log = Log([day(number, outcome="failed", error="boom") for number in range(8)])
    found = asked(log, trouble("errors"), Bound(rows=1000))
    (shown,) = found.shown
    assert (shown.of, shown.cut) == (1000, True)
    assert log.read == ["rows"] * 4
    assert shown.samples[0].request_id == "57-399"


def test_rows_that_are_not_meant_are_looked_at_up_to_a_number() -> None:
    log = Log([day(number, release="sha256:other") for number in range(8)])
    found = asked(log, trouble("errors"), Bound(rows=100, looks=10))
    assert found.shown[0].cut
    assert len(log.read) == 4


def test_quality_is_shown_by_the_rows_whose_label_is_known() -> None:
    parts = [day(0), day(1)]
    found = asked(Log(parts, [truths(parts[0], 50)]), trouble("quality"))
    (shown,) = found.shown
    assert (shown.of, found.rows, shown.cut) == (400, 800, False)
    assert all(each.request_id.startswith("50-") for each in shown.samples)
    assert "the truth is" in shown.samples[0].value


def test_signals_that_look_alike_in_rows_are_shown_once() -> None:
    part = day(0)
    found = asked(Log([part], [truths(part, 50)]), trouble("quality:error", "quality", "labels"))
    assert [each.signal for each in found.shown] == ["quality:error", "labels"]


def test_of_very_many_labels_the_newest_are_read() -> None:
    parts = [day(number) for number in range(6)]
    log = Log(parts, [truths(part, 50 + number) for number, part in enumerate(parts)])
    found = asked(log, trouble("quality"), Bound(rows=4000, labels=0))
    assert found.shown[0].cut
    found = asked(log, trouble("quality"), Bound(rows=400, labels=1))
    assert (found.shown[0].of, found.shown[0].cut) == (400, True)


def test_the_newest_label_of_a_row_counts_whether_by_id_or_by_key() -> None:
    part = day(0)
    part.inputs["flight"] = np.arange(400.0)  # type: ignore[index]
    first, second = truths(part, 50), truths(part, 50, key="flight", flip=True)
    older = Labels({**first.fixed, "at": first.fixed["at"] - 5.0})
    found = asked(Log([part], [older, first, second]), trouble("quality", key="flight"))
    again = asked(Log([part], [first, older]), trouble("quality", key="flight"))
    assert found.shown[0].samples != again.shown[0].samples
    elsewhere = asked(Log([day(0)], [first]), trouble("quality", key="flight"))
    assert elsewhere.shown == again.shown


def test_the_segment_that_the_harm_lies_in_is_named() -> None:
    parts = [day(number, n=900) for number in range(-4, 4)]
    labels = []
    for number, part in zip(range(-4, 4), parts, strict=True):
        wrong = (part.inputs["side"] == "left") & (number >= 0)
        labels.append(truths(part, 50 + number, flip=np.asarray(wrong)))
    found = asked(Log(parts, labels), trouble("quality"))
    assert found.concentration is not None
    assert (found.concentration.column, found.concentration.value) == ("side", "'left'")
    assert found.concentration.share > 0.8
    assert asked(Log(parts, labels), trouble("errors", "quality")).concentration is None


def test_without_rows_nothing_is_shown() -> None:
    found = asked(Log(), trouble("errors", "input:level", "quality"))
    assert (found.rows, [each.of for each in found.shown]) == (0, [0, 0, 0])
    assert found.concentration is None


def test_parts_of_a_segment_that_lost_a_column_are_read_with_it_missing() -> None:
    whole, torn = day(0), day(1)
    part = Rows(torn.fixed, {"level": torn.inputs["level"].astype(object)}, {})
    found = asked(Log([whole, part]), trouble("input:level"))
    assert found.shown[0].said.startswith("missing: 50.0%")


@pytest.mark.parametrize("signal", ["labels", "multivariate:level"])
def test_what_is_of_many_rows_at_once_is_shown_by_none(signal: str) -> None:
    assert asked(Log([day(0)]), trouble(signal)).shown[0].samples == ()
